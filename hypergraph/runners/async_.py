"""The runner for async code: nodes that fall due together run side by side in the event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, cast

from hypergraph.graph import Graph
from hypergraph.nodes import FunctionNode, GraphNode, IfElseNode, InterruptNode, RouteNode
from hypergraph.runners import base
from hypergraph.runners.inprocess import InProcessRunner, Request, all_delivered, delivered
from hypergraph.runners.result import MapResult, RunResult
from hypergraph.runners.together import TOGETHER, limited
from hypergraph.runners.waiting import Soon, T, Way

if TYPE_CHECKING:
    from hypergraph.events import EventProcessor
    from hypergraph.runners.stream import EventStream


class AsyncRunner(InProcessRunner):
    """Runs graphs in the caller's event loop, the nodes of a superstep side by side.

    Async functions are awaited, sync ones called in the loop. Whatever has begun finishes, also
    beside a node that fails: the error of a superstep is that of the first node in graph order.

    >>> import asyncio
    >>> from hypergraph import Graph, node
    >>> @node(output_name="page")
    ... async def fetch(url: str) -> str:
    ...     return f"<{url}>"
    >>> asyncio.run(AsyncRunner().run(Graph([fetch]), url="here"))["page"]
    '<here>'
    """

    _way: ClassVar[Way] = TOGETHER

    def __init__(self) -> None:
        self.supported_node_types = {
            FunctionNode,
            GraphNode,
            IfElseNode,
            InterruptNode,
            RouteNode,
        }

    @property
    def capabilities(self) -> base.RunnerCapabilities:
        """Everything but streaming."""
        return base.RunnerCapabilities(
            supports_async_nodes=True, returns_coroutine=True, supports_interrupts=True
        )

    async def run(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        max_concurrency: int | None = None,
        error_handling: str = "raise",
        event_processors: Iterable[EventProcessor] | None = None,
        **inputs: Any,
    ) -> RunResult:
        """Run a graph once.

        A run that comes to an interrupt nobody answers is paused: `RunResult.pause` says what it
        waits for. To go on, run it again with the same values and
        ``{result.pause.response_key: answer}``.

        Args:
            graph: The graph.
            values: Input name -> value. ``"rag.top_k"`` is input `top_k` of the nested graph
                `rag`.
            select: Names of the outputs to give back; by default the graph's selection, or all.
            max_iterations: Supersteps after which a run has failed; by default 1000.
            max_concurrency: How many functions may be under way at the same moment, in this run
                and everything in it. A limit that the run finds in force stays. By default all.
            error_handling: ``raise`` raises what a node raised, with a note that says where.
                ``continue`` returns it, with the outputs there were by then.
            event_processors: Who is told what happens, as it happens.
            inputs: Further inputs, by name. One that is called like an option goes into `values`.

        Raises:
            MissingInputError: An input without a value.
            ValueError: An input given twice, or a dotted name that leads nowhere.
        """
        asked = Request(
            graph, values, inputs, select, max_iterations, error_handling, event_processors
        )
        with limited(max_concurrency):
            return delivered(await _awaited(self._run(asked)), asked.raises)

    async def map(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        map_over: str | Sequence[str],
        map_mode: str = "zip",
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        max_concurrency: int | None = None,
        error_handling: str = "raise",
        event_processors: Iterable[EventProcessor] | None = None,
        **inputs: Any,
    ) -> MapResult:
        """Run a graph once per item, all items side by side.

        Args:
            graph: The graph.
            values: Input name -> value. A name in `map_over` holds the list of its values, one
                per item; all items are given the same object for any other name.
            map_over: Name or names to map over.
            map_mode: ``zip`` pairs lists of equal lengths; ``product`` makes every combination,
                the last name running fastest.
            select: As in :meth:`run`.
            max_iterations: As in :meth:`run`, for each item.
            max_concurrency: As in :meth:`run`; besides, no more than so many items are begun.
            error_handling: ``raise`` raises the error of the first item that failed, once those
                that have begun are through; with a `max_concurrency`, no item is begun after a
                failure. ``continue`` gives every item a result.
            event_processors: As in :meth:`run`.
            inputs: Further inputs, by name.

        Raises:
            IncompatibleRunnerError: The graph has interrupts.
            KeyError: A name in `map_over` has no value.
            MissingInputError: An input without a value.
            ValueError: Lists of unequal lengths, an unknown mode, an input given twice, or a
                dotted name that leads nowhere.
        """
        asked = Request(
            graph, values, inputs, select, max_iterations, error_handling, event_processors
        )
        with limited(max_concurrency):
            got = self._map(asked, map_over, map_mode, max_concurrency)
            try:
                return all_delivered(await _awaited(got), asked.raises)
            finally:
                del got

    def iter(
        self, graph: Graph, values: Mapping[str, Any] | None = None, **options: Any
    ) -> EventStream:
        """Run a graph once, and iterate over its events as they happen.

        ::

            async with runner.iter(graph, {"x": 5}) as events:
                async for event in events:
                    print(event)
            print(events.result)

        The run begins with the first event that is asked for, and goes on when it has been seen.
        An error of the run is raised behind its last event.

        Args:
            graph: The graph.
            values: As in :meth:`run`.
            options: Options and further inputs, as in :meth:`run`.
        """
        from hypergraph.runners.stream import EventStream

        return EventStream(self, graph, values, options)


async def _awaited(got: Soon[T]) -> T:
    if isinstance(got, CoroutineType):
        got = await got
    return cast(T, got)
