"""How a nested graph is run in the place of its node."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import CoroutineType
from typing import Any

from hypergraph.errors import PauseExecution
from hypergraph.nodes import GraphNode
from hypergraph.plan.items import split
from hypergraph.runners.batch import running_each
from hypergraph.runners.call import spare_for
from hypergraph.runners.notes import annotate
from hypergraph.runners.outcome import Draft
from hypergraph.runners.result import MapResult, PauseInfo, RunStatus
from hypergraph.runners.run import RUN, NodeFailure, Run, Values
from hypergraph.runners.waiting import Going, Soon, Way, start
from hypergraph.runners.watch import Around


class Visit:
    """Runs a nested graph with values of the run around it, and returns what comes out.

    Args:
        draft: The graph around it.
        index: Index of the graph node.
        present: Those of the node's inputs that have a value in the run around it.
        way: The way the nested graph goes.
    """

    certain: Collection[str] = ()  #: outputs that are there whenever it succeeds

    def __init__(self, draft: Draft, index: int, present: Collection[str], way: Way) -> None:
        node, planned = draft.graph._nodes[index], draft.plan.nodes[index]
        assert isinstance(node, GraphNode) and planned.nested is not None
        self.node = node
        self.nested = planned.nested
        self._outer, self._inner = draft.way, way
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

    def __call__(self, values: Values, span_id: str | None = None) -> Soon[dict[str, Any]]:
        """Run the nested graph, keep its result in `Run.nested` and return the node's outputs.

        Args:
            values: The values of the run around it.
            span_id: The node's span, if the run is observed.

        Raises:
            NodeFailure: It failed.
            PauseExecution: It waits for an answer.
        """
        run: Run = values[RUN]
        around = None
        if run.watch is not None and span_id is not None:
            around = run.watch.inside(span_id)
        return start(self._go(self._enter(values), run, around))

    def _go(self, inputs: dict[str, Any], run: Run, around: Around | None) -> Going[dict[str, Any]]:
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

    def _pause(self, pause: PauseInfo) -> PauseExecution:
        path = f"{self.node.name}/{pause.node_name}"
        return PauseExecution(PauseInfo(path, pause.output_param, pause.value))


def visiting(draft: Draft, index: int, present: Collection[str]) -> Visit:
    """Return how graph node `index` is run. Arguments as for :class:`Visit`."""
    node, nested = draft.graph._nodes[index], draft.plan.nodes[index].nested
    assert isinstance(node, GraphNode) and nested is not None
    way = draft.way if node.runner is None else way_of(node.runner)
    if way is None:
        return _Elsewhere(draft, index, present, draft.way)
    return (_Mapped if nested.mapped else _Once)(draft, index, present, way)


def way_of(runner: Any) -> Way | None:
    """Return the way on which a runner's graphs can be run here, without asking the runner.

    None for a subclass too: it may do anything in `run`.
    """
    way: Way | None = vars(type(runner)).get("_way")
    return way


class _Once(Visit):
    def __init__(self, draft: Draft, index: int, present: Collection[str], way: Way) -> None:
        super().__init__(draft, index, present, way)
        self._prepared = draft.prepare_nested(self.node.graph, self.names, way)
        outputs = self.nested.outputs
        self.certain = [outputs[name] for name in self._prepared.certain if name in outputs]

    def _go(self, inputs: dict[str, Any], run: Run, around: Around | None) -> Going[dict[str, Any]]:
        if self._inner is self._outer:
            outcome: Any = self._prepared.start(inputs, around)
        else:
            outcome = self._outer.cross(
                self._inner, lambda: self._prepared.start(inputs, around), self.node
            )
        if type(outcome) is CoroutineType:
            outcome = yield outcome
        name = self.node.name
        run.nested[name] = outcome.as_result()
        try:
            if outcome.error is not None:
                raise NodeFailure(outcome.error, (name, *outcome.path))
            if outcome.pause is not None:
                raise self._pause(outcome.pause)
            return self._leave(outcome.values)
        finally:
            del outcome


class _Mapped(Visit):
    def __init__(self, draft: Draft, index: int, present: Collection[str], way: Way) -> None:
        super().__init__(draft, index, present, way)
        self._prepared = draft.prepare_nested(self.node.graph, self.names, way)
        self._over = [self.nested.inputs[name] for name in self.nested.mapped]
        self.certain = list(self.nested.outputs.values())

    def _go(self, inputs: dict[str, Any], run: Run, around: Around | None) -> Going[dict[str, Any]]:
        items = split(inputs, self._over, self.nested.mode)
        name, stops = self.node.name, self.nested.error_handling == "raise"

        def begin() -> Any:
            return start(running_each(self._inner, self._prepared, items, stops, None, around))

        outcomes = (
            begin()
            if self._inner is self._outer
            else self._outer.cross(self._inner, begin, self.node)
        )
        if type(outcomes) is CoroutineType:
            outcomes = yield outcomes
        results = MapResult(outputs=self.nested.outputs)
        results.extend(outcome.as_result(index) for index, outcome in enumerate(outcomes))
        run.nested[name] = results
        for index, outcome in enumerate(outcomes):
            if outcome.error is None:
                continue
            if stops:
                raise NodeFailure(outcome.error, (f"{name}[{index}]", *outcome.path))
            annotate(outcome.error, path=(f"{name}[{index}]", *outcome.path))
        return self._leave_mapped(results)


class _Elsewhere(Visit):
    """Hands the nested graph to a runner that its node brought along."""

    def _go(self, inputs: dict[str, Any], run: Run, around: Around | None) -> Going[dict[str, Any]]:
        name, runner = self.node.name, self.node.runner
        try:
            result = self._outer.call_runner(
                lambda: self._call(inputs),
                is_async=runner.capabilities.returns_coroutine,
                is_here=hasattr(runner, "_way"),
                node=self.node,
            )
            if type(result) is CoroutineType:
                result = yield result
        except Exception as error:
            raise NodeFailure(error, (name,)) from None
        run.nested[name] = result
        if self.nested.mapped:
            return self._leave_mapped(result)
        if result.error is not None:
            raise NodeFailure(result.error, (name,))
        if result.pause is not None:
            raise self._pause(result.pause)
        return self._leave(result.values)

    def _call(self, inputs: dict[str, Any]) -> Any:
        runner, graph = self.node.runner, self.node.graph
        if not self.nested.mapped:
            return runner.run(graph, inputs, error_handling="continue")
        return runner.map(
            graph,
            inputs,
            map_over=[self.nested.inputs[mapped] for mapped in self.nested.mapped],
            map_mode=self.nested.mode,
            error_handling=self.nested.error_handling,
        )
