"""The runner that does everything in the calling thread, one node after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from hypergraph.graph import Graph
from hypergraph.nodes import FunctionNode, GraphNode, IfElseNode, RouteNode
from hypergraph.runners import base
from hypergraph.runners.inprocess import InProcessRunner, Request, all_delivered, delivered
from hypergraph.runners.result import MapResult, RunResult
from hypergraph.runners.waiting import IN_TURN, Way

if TYPE_CHECKING:
    from hypergraph.events import EventProcessor


class SyncRunner(InProcessRunner):
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

    _way: ClassVar[Way] = IN_TURN

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
        event_processors: Iterable[EventProcessor] | None = None,
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
            event_processors: Who is told what happens, as it happens.
            inputs: Further inputs, by name. One that is called like an option goes into `values`.

        Raises:
            IncompatibleRunnerError: The graph has async nodes or interrupts.
            MissingInputError: An input without a value.
            ValueError: An input given twice, or a dotted name that leads nowhere.
        """
        asked = Request(
            graph, values, inputs, select, max_iterations, error_handling, event_processors
        )
        return delivered(cast(RunResult, self._run(asked)), asked.raises)

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
        event_processors: Iterable[EventProcessor] | None = None,
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
            event_processors: As in :meth:`run`.
            inputs: Further inputs, by name.

        Raises:
            IncompatibleRunnerError: The graph has async nodes or interrupts.
            KeyError: A name in `map_over` has no value.
            MissingInputError: An input without a value.
            ValueError: Lists of unequal lengths, an unknown mode, an input given twice, or a
                dotted name that leads nowhere.
        """
        asked = Request(
            graph, values, inputs, select, max_iterations, error_handling, event_processors
        )
        # Held by no name here: see `delivered`.
        return all_delivered(cast(MapResult, self._map(asked, map_over, map_mode)), asked.raises)
