"""Graphs whose nodes run in an order that is known before they start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from hypergraph.nodes import FunctionNode, GraphNode
from hypergraph.runners.call import spare_for
from hypergraph.runners.outcome import Draft, Outcome, Prepared, conclude
from hypergraph.runners.run import RUN, NodeFailure, Run, Values
from hypergraph.runners.visit import Visit, visiting
from hypergraph.runners.waiting import Going, Raised, Soon, Step, start, then
from hypergraph.runners.watch import Watch, watched


class Line(Prepared):
    """A graph laid out as rows of steps, a row per superstep. See :class:`Prepared`.

    Until there is something to wait for, or a node fails, all rows are carried out as if they were
    one, with nothing between the steps.

    Args:
        draft: The graph.
        schedule: Indexes of the nodes that run, superstep by superstep.
    """

    def __init__(self, draft: Draft, schedule: Sequence[Sequence[int]]) -> None:
        self.name = draft.graph.name
        self.selected = draft.selected
        self._way = draft.way
        self._fixed: Values = {}  #: what the values of every run begin with
        self._has_nested = False
        self._rows: list[list[Step]] = []
        self._names: dict[Step, str] = {}
        self._places: dict[Step, tuple[int, int]] = {}  #: step -> its row, and its place there
        present, certain = set(draft.provided), set(draft.provided)
        for superstep in schedule:
            row: list[Step] = []
            for index in superstep:
                planned = draft.plan.nodes[index]
                step, sure = self._lay(draft, index, present)
                unsure = [name for name in planned.needs if name not in certain]
                if unsure:
                    step = _only_with(unsure, step)
                else:
                    certain.update(sure)
                present.update(planned.outputs)
                self._names[step] = planned.name
                self._places[step] = len(self._rows), len(row)
                row.append(step)
            self._rows.append(row)
        self._steps = [step for row in self._rows for step in row]
        self.certain = frozenset(certain.intersection(self.selected))

    def _start(self, values: Mapping[str, Any], watch: Watch | None) -> Soon[Outcome]:
        state = {**self._fixed, **values}
        if self._has_nested or watch is not None:
            state[RUN] = Run({}, watch)
        step: Step | None = None
        try:
            for step in self._steps:
                got = step(state)
                if got is not None:
                    break
            else:
                return conclude(self.selected, state)
        except Exception as error:
            got = Raised(error)
        assert step is not None
        try:
            number, column = self._places[step]
            rows = [self._rows[number][column:], *self._rows[number + 1 :]]
            return start(self._go_on(state, rows, got))
        finally:
            del got

    def _go_on(self, state: Values, rows: Sequence[Sequence[Step]], got: Any) -> Going[Outcome]:
        """Carry out the rows, the very first step of which has returned already.

        Args:
            state: The values of the run.
            rows: What is left to do.
            got: What the first step returned that must be waited for, or its `Raised`.
        """
        for row in rows:
            steps = list(row)
            if got is not None:
                steps[0] = partial(_again, got)
            got = None
            done = yield from self._way.all(steps, state)
            for step, did in zip(row, done, strict=False):  # in turn, a failure cuts it short
                if type(did) is Raised:
                    try:
                        return self._failed(state, step, did.error)
                    finally:
                        done.clear()
                        del did, steps
        return conclude(self.selected, state)

    def _failed(self, state: Values, step: Step, error: BaseException) -> Outcome:
        if isinstance(error, NodeFailure):
            return conclude(self.selected, state, error.error, error.path)
        return conclude(self.selected, state, error, (self._names[step],))

    def _lay(self, draft: Draft, index: int, present: set[str]) -> tuple[Step, Collection[str]]:
        """Return a node's step, and the outputs it is sure to write if it succeeds."""
        node = draft.graph._nodes[index]
        if isinstance(node, GraphNode):
            self._has_nested = True
            inputs = draft.plan.nodes[index].inputs
            visit = visiting(draft, index, [name for name in inputs if name in present])
            visit_step = partial(_visit, visit)
            step = watched(node.name, visit_step) if draft.is_observed else visit_step
            return step, visit.certain
        assert isinstance(node, FunctionNode), "gates and interrupts make no line"
        keys: list[Any] = []
        refills: list[tuple[Any, Callable[[], Any]]] = []
        for name in node.inputs:
            if name in present:
                keys.append(name)
                continue
            key, spare = object(), spare_for(node, name, draft.bound)
            keys.append(key)
            if spare.is_fixed:
                self._fixed[key] = spare.value
            else:
                refills.append((key, spare.take))
        step = draft.way.storing(node, keys)
        step = _refilled(refills, step) if refills else step
        if draft.is_observed:
            plain = step
            step = watched(node.name, lambda values, span_id: plain(values))
        return step, node.outputs


def _visit(visit: Visit, values: Values, span_id: str | None = None) -> Any:
    return then(visit(values, span_id), values.update)


def _again(got: Any, values: Values) -> Any:
    """Return what a step has returned, without carrying it out again."""
    return got


def _refilled(refills: list[tuple[Any, Callable[[], Any]]], step: Step) -> Step:
    """Give a step fresh copies of its defaults each time."""

    def refill(values: Values) -> Any:
        for key, take in refills:
            values[key] = take()
        return step(values)

    return refill


def _only_with(names: list[str], step: Step) -> Step:
    """Leave a step out when a nested graph before it did not write what it reads."""

    def guarded(values: Values) -> Any:
        return step(values) if all(name in values for name in names) else None

    return guarded
