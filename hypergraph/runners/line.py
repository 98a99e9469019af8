"""Graphs whose nodes run in an order that is known before they start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import CoroutineType
from typing import Any

from hypergraph.nodes import FunctionNode, GraphNode
from hypergraph.runners.call import Call, outputs_of, spare_for
from hypergraph.runners.outcome import Draft, Outcome, Prepared
from hypergraph.runners.run import RUN, Nested, NodeFailure, Run, Values, pick
from hypergraph.runners.visit import Visit, visiting
from hypergraph.runners.waiting import Going, Raised, Soon, then
from hypergraph.runners.watch import Around, Watch, watched

#: Runs one node: reads its inputs from the values of a run and writes its outputs to them.
#: Returns a coroutine if there is something to wait for.
Step = Callable[[Values], Any]


class Line(Prepared):
    """A graph laid out as rows of steps, a row per superstep. See :class:`Prepared`.

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
                row.append(step)
                self._names[step] = planned.name
            self._rows.append(row)
        self.certain = frozenset(certain.intersection(self.selected))

    def _go(self, values: Mapping[str, Any], watch: Watch | None) -> Going[Outcome]:
        state, nested = self._begin(values, watch)
        for row in self._rows:
            done = yield from self._way.all(row, state)
            for step, got in zip(row, done, strict=False):  # in turn, a failure cuts it short
                if type(got) is Raised:
                    try:
                        return self._failed(state, nested, step, got.error)
                    finally:
                        done.clear()
                        del got
        return Outcome(pick(self.selected, state), nested)

    def _begin(self, values: Mapping[str, Any], watch: Watch | None) -> tuple[Values, Nested]:
        state = {**self._fixed, **values}
        nested: Nested = {}
        if self._has_nested or watch is not None:
            state[RUN] = Run(nested, watch)
        return state, nested

    def _failed(self, state: Values, nested: Nested, step: Step, error: BaseException) -> Outcome:
        values = pick(self.selected, state)
        if isinstance(error, NodeFailure):
            return Outcome(values, nested, error.error, error.path)
        return Outcome(values, nested, error, (self._names[step],))

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
        step = _calling(node, draft.way.calling(node, keys), draft.way.waits)
        step = _refilled(refills, step) if refills else step
        if draft.is_observed:
            plain = step
            step = watched(node.name, lambda values, span_id: plain(values))
        return step, node.outputs


class PlainLine(Line):
    """A line on which nobody waits and nobody looks: one row of steps, with nothing between them.

    It does what a :class:`Line` does, in half the time.
    """

    def __init__(self, draft: Draft, schedule: Sequence[Sequence[int]]) -> None:
        super().__init__(draft, schedule)
        self._steps = [step for row in self._rows for step in row]

    def start(self, values: Mapping[str, Any], around: Around | None = None) -> Soon[Outcome]:
        """See :class:`Prepared`."""
        return self.run(values)

    def run(self, values: Mapping[str, Any]) -> Outcome:
        """See :class:`Prepared`."""
        state, nested = self._begin(values, None)
        step: Step | None = None
        try:
            for step in self._steps:
                step(state)
        except Exception as error:
            assert step is not None
            return self._failed(state, nested, step, error)
        return Outcome(pick(self.selected, state), nested)


def _visit(visit: Visit, values: Values, span_id: str | None = None) -> Any:
    return then(visit(values, span_id), values.update)


def _calling(node: FunctionNode, call: Call, waits: bool) -> Step:
    if len(node.outputs) != 1:
        if not waits:
            return lambda values: values.update(outputs_of(node, call(values)))
        return lambda values: then(call(values), lambda got: values.update(outputs_of(node, got)))
    (output,) = node.outputs

    # The usual case, without a dict in between.
    def step(values: Values) -> None:
        values[output] = call(values)

    if not waits:
        return step

    def step_or_wait(values: Values) -> Any:
        got = call(values)
        if type(got) is CoroutineType:
            return then(got, partial(values.__setitem__, output))
        values[output] = got
        return None

    return step_or_wait


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
