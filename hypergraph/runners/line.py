"""Graphs whose nodes run in an order that is known before they start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from hypergraph.nodes import FunctionNode, GraphNode
from hypergraph.runners.call import caller, outputs_of, spare_for
from hypergraph.runners.outcome import Draft, Nested, NodeFailure, Outcome, Values, pick
from hypergraph.runners.visit import Visit, visiting

#: Runs one node: reads its inputs from the values of a run and writes its outputs to them.
Step = Callable[[Values], object]

_NESTED = object()  #: key of the nested results among the values of a run


class Line:
    """A graph laid out as a row of steps. See :class:`Prepared`.

    Args:
        draft: The graph.
        order: Indexes of the nodes that run, superstep by superstep.
    """

    def __init__(self, draft: Draft, order: Iterable[int]) -> None:
        self.selected = draft.selected
        self._fixed: Values = {}  #: what the values of every run begin with
        self._has_nested = False
        self._steps: list[Step] = []
        self._names: dict[Step, str] = {}
        present, certain = set(draft.provided), set(draft.provided)
        for index in order:
            planned = draft.plan.nodes[index]
            step, sure = self._lay(draft, index, present)
            unsure = [name for name in planned.needs if name not in certain]
            if unsure:
                step = _only_with(unsure, step)
            else:
                certain.update(sure)
            present.update(planned.outputs)
            self._steps.append(step)
            self._names[step] = planned.name
        self.certain = frozenset(certain.intersection(self.selected))

    def run(self, values: Mapping[str, Any]) -> Outcome:
        """Run the graph. See :meth:`Prepared.run`."""
        state = {**self._fixed, **values}
        nested: Nested = {}
        if self._has_nested:
            state[_NESTED] = nested
        step: Step | None = None
        try:
            for step in self._steps:
                step(state)
        except NodeFailure as failure:
            return Outcome(pick(self.selected, state), nested, failure.error, failure.path)
        except Exception as error:
            assert step is not None
            return Outcome(pick(self.selected, state), nested, error, (self._names[step],))
        return Outcome(pick(self.selected, state), nested)

    def _lay(self, draft: Draft, index: int, present: set[str]) -> tuple[Step, Collection[str]]:
        """Return a node's step, and the outputs it is sure to write if it succeeds."""
        node = draft.graph._nodes[index]
        if isinstance(node, GraphNode):
            self._has_nested = True
            inputs = draft.plan.nodes[index].inputs
            visit = visiting(draft, index, [name for name in inputs if name in present])
            return _visit_step(visit), visit.certain
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
        step = _call_step(node, keys)
        return (_refilled(refills, step) if refills else step), node.outputs


def _visit_step(visit: Visit) -> Step:
    return lambda values: values.update(visit(values, values[_NESTED]))


def _call_step(node: FunctionNode, keys: list[Any]) -> Step:
    call = caller(node, keys)
    if len(node.outputs) == 1:
        (output,) = node.outputs

        # The usual case, without a dict in between.
        def step(values: Values) -> None:
            values[output] = call(values)

        return step
    return lambda values: values.update(outputs_of(node, call(values)))


def _refilled(refills: list[tuple[Any, Callable[[], Any]]], step: Step) -> Step:
    """Give a step fresh copies of its defaults each time."""

    def refill(values: Values) -> None:
        for key, take in refills:
            values[key] = take()
        step(values)

    return refill


def _only_with(names: list[str], step: Step) -> Step:
    """Leave a step out when a nested graph before it did not write what it reads."""

    def guarded(values: Values) -> None:
        if all(name in values for name in names):
            step(values)

    return guarded
