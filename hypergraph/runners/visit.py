"""How a nested graph is run in the place of its node."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hypergraph.nodes import GraphNode
from hypergraph.plan.items import split
from hypergraph.runners.call import spare_for
from hypergraph.runners.notes import annotate
from hypergraph.runners.outcome import Draft, Nested, NodeFailure, Values
from hypergraph.runners.result import MapResult, RunStatus


class Visit:
    """Runs a nested graph with values of the run around it, and returns what comes out.

    Args:
        draft: The graph around it.
        index: Index of the graph node.
        present: Those of the node's inputs that have a value in the run around it.
    """

    certain: Collection[str] = ()  #: outputs that are there whenever it succeeds

    def __init__(self, draft: Draft, index: int, present: Collection[str]) -> None:
        node, planned = draft.graph._nodes[index], draft.plan.nodes[index]
        assert isinstance(node, GraphNode) and planned.nested is not None
        self.node = node
        self.nested = planned.nested
        self._given = [(self.nested.inputs[name], name) for name in present]
        self._spares = [
            (self.nested.inputs[name], spare_for(node, name, draft.bound))
            for name in planned.inputs
            if name not in present and self._must_be_given(name, draft.bound)
        ]
        #: what the nested run is given, by inner name
        self.names = [inner for inner, _ in (*self._given, *self._spares)]

    def _must_be_given(self, name: str, bound: Mapping[str, Any]) -> bool:
        """Whether an input without a value is not just left to the nested graph.

        A seed begins a loop with its value, and a list that is mapped over is taken apart here.
        """
        inner = self.nested.inputs[name]
        return name in bound or inner in self.node.graph.inputs.seeds or name in self.nested.mapped

    def __call__(self, values: Values, nested: Nested) -> dict[str, Any]:
        """Run the nested graph, keep its result in `nested` and return the node's outputs.

        Raises:
            NodeFailure: It failed.
        """
        raise NotImplementedError

    def _enter(self, values: Values) -> dict[str, Any]:
        inputs = {inner: values[name] for inner, name in self._given}
        for inner, spare in self._spares:
            inputs[inner] = spare.take()
        return inputs

    def _leave(self, results: Mapping[str, Any]) -> dict[str, Any]:
        return {o: results[inner] for inner, o in self.nested.outputs.items() if inner in results}

    def _leave_mapped(self, results: MapResult) -> dict[str, Any]:
        """Return one list per output, with None for an item that has no such value."""
        items = [r.values if r.status is RunStatus.COMPLETED else {} for r in results]
        return {
            outer: [values.get(inner) for values in items]
            for inner, outer in self.nested.outputs.items()
        }


def visiting(draft: Draft, index: int, present: Collection[str]) -> Visit:
    """Return how graph node `index` is run. Arguments as for :class:`Visit`."""
    nested = draft.plan.nodes[index].nested
    assert nested is not None
    if nested.alone:
        return _Elsewhere(draft, index, present)
    return (_Mapped if nested.mapped else _Once)(draft, index, present)


class _Once(Visit):
    def __init__(self, draft: Draft, index: int, present: Collection[str]) -> None:
        super().__init__(draft, index, present)
        self._prepared = draft.prepare(self.node.graph, self.names)
        outputs = self.nested.outputs
        self.certain = [outputs[name] for name in self._prepared.certain if name in outputs]

    def __call__(self, values: Values, nested: Nested) -> dict[str, Any]:
        outcome = self._prepared.run(self._enter(values))
        name = self.node.name
        nested[name] = outcome.as_result()
        if outcome.error is not None:
            raise NodeFailure(outcome.error, (name, *outcome.path))
        return self._leave(outcome.values)


class _Mapped(Visit):
    def __init__(self, draft: Draft, index: int, present: Collection[str]) -> None:
        super().__init__(draft, index, present)
        self._prepared = draft.prepare(self.node.graph, self.names)
        self._over = [self.nested.inputs[name] for name in self.nested.mapped]
        self.certain = list(self.nested.outputs.values())

    def __call__(self, values: Values, nested: Nested) -> dict[str, Any]:
        name = self.node.name
        nested[name] = results = MapResult(outputs=self.nested.outputs)
        for index, item in enumerate(split(self._enter(values), self._over, self.nested.mode)):
            outcome = self._prepared.run(item)
            results.append(outcome.as_result(index))
            if outcome.error is not None:
                path = (f"{name}[{index}]", *outcome.path)
                if self.nested.error_handling == "raise":
                    raise NodeFailure(outcome.error, path)
                annotate(outcome.error, path=path)  # nobody else will say where it was
        return self._leave_mapped(results)


class _Elsewhere(Visit):
    """Hands the nested graph to the runner that its node brought along."""

    def __call__(self, values: Values, nested: Nested) -> dict[str, Any]:
        name, runner, graph = self.node.name, self.node.runner, self.node.graph
        inputs = self._enter(values)
        if self.nested.mapped:
            nested[name] = results = runner.map(
                graph,
                inputs,
                map_over=[self.nested.inputs[mapped] for mapped in self.nested.mapped],
                map_mode=self.nested.mode,
                error_handling=self.nested.error_handling,
            )
            return self._leave_mapped(results)
        nested[name] = result = runner.run(graph, inputs, error_handling="continue")
        if result.error is not None:
            raise NodeFailure(result.error, (name,))
        return self._leave(result.values)
