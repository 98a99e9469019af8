"""The runner that does everything in the calling thread, one node after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypergraph.graph import Graph
from hypergraph.nodes import FunctionNode, GraphNode, IfElseNode, RouteNode
from hypergraph.plan.items import split
from hypergraph.runners import base
from hypergraph.runners.inline import prepare, selection
from hypergraph.runners.notes import annotate
from hypergraph.runners.result import MapResult, RunResult


class SyncRunner(base.BaseRunner):
    """Runs graphs in the calling thread: in graph order within a superstep, one node at a time.

    >>> from hypergraph import Graph, node
    >>> @node(output_name="twice")
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> SyncRunner().run(Graph([double]), x=4)["twice"]
    8
    >>> SyncRunner().map(Graph([double]), {"x": [1, 2, 3]}, map_over="x")["twice"]
    [2, 4, 6]
    """

    def __init__(self) -> None:
        self.supported_node_types = {FunctionNode, GraphNode, IfElseNode, RouteNode}

    @property
    def capabilities(self) -> base.RunnerCapabilities:
        """Cycles, but neither async nodes nor interrupts."""
        return base.RunnerCapabilities()

    def run(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        error_handling: str = "raise",
        **inputs: Any,
    ) -> RunResult:
        """Run a graph once.

        Args:
            graph: The graph.
            values: Input name -> value. ``"rag.top_k"`` is input `top_k` of the nested graph
                `rag`.
            select: Names of the outputs to give back; by default the graph's selection, or all.
            max_iterations: Supersteps after which a run has failed; by default 1000.
            error_handling: ``raise`` raises what a node raised, with a note that says where.
                ``continue`` returns it, with the outputs there were by then.
            inputs: Further inputs, by name. One that is called like an option goes into `values`.

        Raises:
            IncompatibleRunnerError: The graph has async nodes or interrupts.
            MissingInputError: An input without a value.
            ValueError: An input given twice, or a dotted name that leads nowhere.
        """
        given = base.gather(values, inputs, base.RUN_OPTIONS)
        base.check_error_handling(error_handling)
        base.check_graph(self, graph)
        unknown = base.check_inputs(graph, given)
        if unknown:
            base.warn_of_unknown(unknown)
        chosen = [select] if isinstance(select, str) else select
        prepared = prepare(graph, given, select=chosen, max_iterations=max_iterations)
        outcome = prepared.run(given)
        result = outcome.as_result()
        if outcome.error is not None:
            annotate(outcome.error, run_id=result.run_id, path=outcome.path)
            if error_handling == "raise":
                try:
                    raise outcome.error
                finally:
                    # Its traceback will hold this frame, so that what the frame holds of it would
                    # keep the values of the run alive until the next garbage collection.
                    del outcome, result
        elif chosen is not None or graph.selected is not None:
            base.warn_of_lacking(prepared.selected, [result])
        return result

    def map(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        map_over: str | Sequence[str],
        map_mode: str = "zip",
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        error_handling: str = "raise",
        **inputs: Any,
    ) -> MapResult:
        """Run a graph once per item.

        Args:
            graph: The graph.
            values: Input name -> value. A name in `map_over` holds the list of its values, one
                per item; all items are given the same object for any other name.
            map_over: Name or names to map over.
            map_mode: ``zip`` pairs lists of equal lengths; ``product`` makes every combination,
                the last name running fastest.
            select: As in :meth:`run`.
            max_iterations: As in :meth:`run`, for each item.
            error_handling: ``raise`` stops at the first item that fails and raises its error.
                ``continue`` gives every item a result.
            inputs: Further inputs, by name.

        Raises:
            IncompatibleRunnerError: The graph has async nodes or interrupts.
            KeyError: A name in `map_over` has no value.
            MissingInputError: An input without a value.
            ValueError: Lists of unequal lengths, an unknown mode, an input given twice, or a
                dotted name that leads nowhere.
        """
        given = base.gather(values, inputs, base.MAP_OPTIONS)
        base.check_error_handling(error_handling)
        base.check_map(self, graph)
        items = split(given, map_over, map_mode)
        chosen = [select] if isinstance(select, str) else select
        if items.is_sized and not len(items):
            return MapResult(outputs=selection(graph, chosen))
        unknown = base.check_inputs(graph, given)
        if unknown:
            base.warn_of_unknown(unknown)
        prepared = prepare(graph, given, select=chosen, max_iterations=max_iterations)
        results = MapResult(outputs=prepared.selected)
        for index, item in enumerate(items):
            outcome = prepared.run(item)
            result = outcome.as_result(index)
            results.append(result)
            if outcome.error is not None:
                annotate(outcome.error, run_id=result.run_id, path=outcome.path, item=index)
                if error_handling == "raise":
                    try:
                        raise outcome.error
                    finally:
                        del outcome, result, results  # as in `run`
        if chosen is not None or graph.selected is not None:
            base.warn_of_lacking(prepared.selected, results)
        return results
