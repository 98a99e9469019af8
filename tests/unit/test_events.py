"""Events, those who process them, and how they get there."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args

import pytest

from hypergraph.events import (
    AsyncEventProcessor,
    BaseEvent,
    Event,
    EventDispatcher,
    EventProcessor,
    InterruptEvent,
    NodeEndEvent,
    NodeErrorEvent,
    NodeStartEvent,
    RouteDecisionEvent,
    RunEndEvent,
    RunStartEvent,
    StopRequestedEvent,
    TypedEventProcessor,
)
from hypergraph.events.types import new_span_id

#: class -> its own fields with their defaults (contract 19.1)
#: Who carried out a node, of distributed runs.
BY = {"worker": "", "attempt": 1}
FIELDS: dict[type[BaseEvent], dict[str, Any]] = {
    RunStartEvent: {"graph_name": "", "workflow_id": None, "is_map": False, "map_size": None},
    RunEndEvent: {"graph_name": "", "status": "completed", "error": None, "duration_ms": 0.0},
    NodeStartEvent: {"node_name": "", "graph_name": "", **BY},
    NodeEndEvent: {"node_name": "", "graph_name": "", "duration_ms": 0.0, **BY},
    NodeErrorEvent: {"node_name": "", "graph_name": "", "error": "", "error_type": "", **BY},
    RouteDecisionEvent: {"node_name": "", "graph_name": "", "decision": ""},
    InterruptEvent: {
        "node_name": "",
        "graph_name": "",
        "workflow_id": None,
        "value": None,
        "response_param": "",
    },
    StopRequestedEvent: {"workflow_id": None},
}
COMMON = ["run_id", "span_id", "parent_span_id", "timestamp"]


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_an_event_needs_nothing_but_a_run(kind: type[BaseEvent]) -> None:
    before = time.time()
    event = kind("run-1")

    assert [f.name for f in fields(event)] == [*COMMON, *FIELDS[kind]]
    assert {name: getattr(event, name) for name in FIELDS[kind]} == FIELDS[kind]
    assert event.parent_span_id is None
    assert before <= event.timestamp <= time.time()
    assert event.span_id != kind(run_id="run-1").span_id
    with pytest.raises(AttributeError):
        event.run_id = "other"  # type: ignore[misc]


def test_event_is_any_of_the_eight() -> None:
    assert set(get_args(Event)) == set(FIELDS)


def test_span_ids_are_never_drawn_twice() -> None:
    ids = [new_span_id() for _ in range(2000)]

    assert len(set(ids)) == 2000
    assert all(len(span_id) == 16 and int(span_id, 16) >= 0 for span_id in ids)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # other tests left threads
def test_a_forked_child_draws_ids_of_its_own() -> None:
    new_span_id()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, new_span_id().encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 16).decode() != new_span_id()
    os.close(read)
    os.close(write)


class Log(EventProcessor):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def on_event(self, event: Event) -> None:
        self.log.append(f"{self.name} {type(event).__name__}")

    def shutdown(self) -> None:
        self.log.append(f"{self.name} shutdown")


class AsyncLog(AsyncEventProcessor):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def on_event(self, event: Event) -> None:
        self.log.append(f"{self.name} sync")

    async def on_event_async(self, event: Event) -> None:
        await asyncio.sleep(0)
        self.log.append(f"{self.name} async")

    async def shutdown_async(self) -> None:
        self.log.append(f"{self.name} async shutdown")


class Broken(AsyncEventProcessor):
    def on_event(self, event: Event) -> None:
        raise ValueError("no")

    async def on_event_async(self, event: Event) -> None:
        raise ValueError("no")

    def shutdown(self) -> None:
        raise ValueError("no")

    async def shutdown_async(self) -> None:
        raise ValueError("no")


@pytest.fixture
def log() -> Iterator[list[str]]:
    yield []


def test_a_dispatcher_without_processors_is_idle() -> None:
    for nobody in (EventDispatcher(), EventDispatcher(None), EventDispatcher([])):
        assert not nobody.active
        nobody.emit(NodeStartEvent("r"))
        nobody.shutdown()
        asyncio.run(nobody.emit_async(NodeStartEvent("r")))
    assert EventDispatcher([EventProcessor()]).active


def test_events_are_delivered_in_the_order_of_the_list(log: list[str]) -> None:
    dispatcher = EventDispatcher([Log("p", log), AsyncLog("q", log), Log("r", log)])

    dispatcher.emit(NodeStartEvent("x"))
    dispatcher.shutdown()

    assert log == ["p NodeStartEvent", "q sync", "r NodeStartEvent", "p shutdown", "r shutdown"]


def test_what_can_be_awaited_is_awaited_in_its_place(log: list[str]) -> None:
    dispatcher = EventDispatcher([Log("p", log), AsyncLog("q", log), Log("r", log)])

    async def main() -> None:
        await dispatcher.emit_async(NodeStartEvent("x"))
        await dispatcher.shutdown_async()

    asyncio.run(main())
    assert log == [
        "p NodeStartEvent",
        "q async",
        "r NodeStartEvent",
        "p shutdown",
        "q async shutdown",
        "r shutdown",
    ]


def test_a_processor_that_raises_is_logged_and_passed_over(
    log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = EventDispatcher([Broken(), Log("p", log)])

    async def main() -> None:
        await dispatcher.emit_async(NodeStartEvent("x"))
        await dispatcher.shutdown_async()

    with caplog.at_level(logging.WARNING):
        dispatcher.emit(NodeStartEvent("x"))
        dispatcher.shutdown()
        asyncio.run(main())

    assert log == ["p NodeStartEvent", "p shutdown"] * 2
    assert [record.getMessage().split()[2] for record in caplog.records] == ["Broken"] * 4


def test_processors_do_nothing_by_themselves() -> None:
    for processor in (EventProcessor(), TypedEventProcessor(), AsyncEventProcessor()):
        for kind in FIELDS:
            processor.on_event(kind("r"))  # type: ignore[arg-type]
        processor.shutdown()
    asyncio.run(AsyncEventProcessor().on_event_async(NodeStartEvent("r")))
    asyncio.run(AsyncEventProcessor().shutdown_async())


def test_a_typed_processor_hands_each_type_to_its_method(log: list[str]) -> None:
    class Typed(TypedEventProcessor):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("on_") and name != "on_event":
                return lambda event: log.append(f"{name} {type(event).__name__}")
            return super().__getattribute__(name)

    typed = Typed()
    for kind in FIELDS:
        typed.on_event(kind("r"))  # type: ignore[arg-type]

    assert log == [
        "on_run_start RunStartEvent",
        "on_run_end RunEndEvent",
        "on_node_start NodeStartEvent",
        "on_node_end NodeEndEvent",
        "on_node_error NodeErrorEvent",
        "on_route_decision RouteDecisionEvent",
        "on_interrupt InterruptEvent",
        "on_stop_requested StopRequestedEvent",
    ]


def test_an_unknown_event_is_nobodys_affair() -> None:
    class Strange(BaseEvent):
        pass

    TypedEventProcessor().on_event(Strange("r"))  # type: ignore[arg-type]
