"""The events of one run, for whoever iterates over them while it is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hypergraph.events import AsyncEventProcessor, Event
from hypergraph.graph import Graph
from hypergraph.runners.result import RunResult

if TYPE_CHECKING:
    from hypergraph.runners.async_ import AsyncRunner


class EventStream:
    """Runs a graph, and gives its events one by one. Can be iterated over once.

    Leaving it early cancels the run. Used as a context manager it does not leave that to chance.

    Args:
        runner: Runs the graph.
        graph: The graph.
        values: The values for `AsyncRunner.run`.
        options: Its options and further inputs.
    """

    def __init__(
        self,
        runner: AsyncRunner,
        graph: Graph,
        values: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> None:
        self._runner = runner
        self._graph = graph
        self._values = values
        self._options = options
        self._relay = _Relay()
        self._task: asyncio.Task[RunResult] | None = None

    @property
    def result(self) -> RunResult:
        """The result of the run.

        Raises:
            RuntimeError: The run has not ended.
            Exception: What the run failed with, unless ``error_handling="continue"``.
        """
        if self._task is None or not self._task.done():
            raise RuntimeError("the run has not ended; iterate over its events first")
        return self._task.result()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        event = None if self._is_over() else await self._relay.events.get()
        if event is not None:
            return event
        # Raises what the run failed with, once.
        await self._task
        raise StopAsyncIteration

    def _is_over(self) -> bool:
        return self._task is not None and self._task.done() and self._relay.events.empty()

    async def _run(self) -> RunResult:
        options = dict(self._options)
        processors = [*(options.pop("event_processors", None) or ()), self._relay]
        try:
            return await self._runner.run(
                self._graph, self._values, event_processors=processors, **options
            )
        finally:
            self._relay.events.put_nowait(None)

    async def aclose(self) -> None:
        """Cancel the run if it is still under way, and wait until it has let go."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class _Relay(AsyncEventProcessor):
    """Hands events over, and lets the run go on when somebody had the time to take them."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()

    async def on_event_async(self, event: Event) -> None:
        self.events.put_nowait(event)
        # A run of sync functions would give nobody a chance to look before it has ended.
        await asyncio.sleep(0)
