"""The runners that the contract suite holds to the contract.

A member is a runner and what it cannot do. A test that is about such a thing asks for a narrower
fixture, and another test shows the refusal. To add a runner, add it to `EVERY`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from hypergraph import (
    AsyncRunner,
    BaseRunner,
    DistributedRunner,
    Event,
    EventProcessor,
    Graph,
    MapResult,
    NodeStartEvent,
    RunResult,
    SyncRunner,
)


@dataclass(frozen=True)
class Member:
    """A runner, called in the same way whatever it is."""

    name: str
    make: Callable[[], BaseRunner]  #: may return the same one every time
    awaits: bool = False  #: it runs async nodes
    pauses: bool = False  #: it runs graphs with interrupts
    is_local: bool = True  #: nodes run in this process, so that they share objects with the test
    stops_at_failure: bool = False  #: nodes beside a failed one may not have run

    def __str__(self) -> str:
        return self.name

    def run(
        self, graph: Graph, values: Mapping[str, Any] | None = None, **options: Any
    ) -> RunResult:
        result: RunResult = _settled(lambda: self.make().run(graph, values, **options))
        return result

    def map(
        self, graph: Graph, values: Mapping[str, Any] | None = None, **options: Any
    ) -> MapResult:
        results: MapResult = _settled(lambda: self.make().map(graph, values, **options))
        return results

    def fail(
        self, graph: Graph, values: Mapping[str, Any] | None = None, **options: Any
    ) -> RunResult:
        """Run a graph that fails, and return the result it has all the same."""
        return self.run(graph, values, error_handling="continue", **options)

    def observe(
        self, graph: Graph, values: Mapping[str, Any] | None = None, **options: Any
    ) -> Observed:
        """Run a graph, failing or not, and return all that was to be seen."""
        notebook = Notebook()
        options.setdefault("error_handling", "continue")
        result = self.run(graph, values, event_processors=[notebook], **options)
        return Observed(result, notebook.events)

    def observe_map(self, graph: Graph, values: Mapping[str, Any], **options: Any) -> Notebook:
        notebook = Notebook()
        self.map(graph, values, event_processors=[notebook], **options)
        return notebook


SYNC = Member("sync", SyncRunner, stops_at_failure=True)
ASYNC = Member("async", AsyncRunner, awaits=True, pauses=True)

#: The fixtures give it a runner for the workers that all tests share.
DISTRIBUTED = Member("distributed", DistributedRunner, awaits=True, pauses=True, is_local=False)

EVERY = [SYNC, ASYNC, DISTRIBUTED]


class Notebook(EventProcessor):
    """Keeps what it sees."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.shutdowns = 0

    def on_event(self, event: Event) -> None:
        assert self.shutdowns == 0, "an event after the last one"
        self.events.append(event)

    def shutdown(self) -> None:
        self.shutdowns += 1

    def of(self, *types: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, types)]


@dataclass
class Observed:
    """A result and the events that led to it."""

    result: RunResult
    events: list[Event]

    @property
    def starts(self) -> str:
        """Names of the nodes that started, in order, separated by blanks."""
        return " ".join(e.node_name for e in self.events if isinstance(e, NodeStartEvent))


def _settled(call: Callable[[], Any]) -> Any:
    """Return what a runner returns, awaited if it wants to be."""
    got = call()
    return asyncio.run(_awaited(got)) if isawaitable(got) else got


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
