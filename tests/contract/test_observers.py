"""How events reach those who observe a run: contract 19.3.

EVT-02 EVT-03
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from hypergraph import (
    END,
    AsyncEventProcessor,
    AsyncRunner,
    Event,
    EventProcessor,
    Graph,
    NodeEndEvent,
    NodeStartEvent,
    RouteDecisionEvent,
    RunStartEvent,
    TypedEventProcessor,
    node,
    route,
)
from tests.contract.members import Member, Notebook
from tests.contract.spans import check_spans, told


@node(output_name="a")
def first(x: int) -> int:
    return x + 1


@node(output_name="b")
def second(a: int) -> int:
    if a < 0:
        raise ValueError(f"negative: {a}")
    return a * 2


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> Any:
    return "bump" if n < 1 else END


chain = Graph([first, second], name="chain")


def test_everybody_sees_everything_in_the_order_of_the_list(local_runner: Member) -> None:
    """EVT-02"""
    seen: list[tuple[str, Event]] = []

    class Named(EventProcessor):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_event(self, event: Event) -> None:
            seen.append((self.name, event))

    local_runner.run(chain, {"x": 1}, event_processors=[Named("p"), Named("q")])

    assert [name for name, _ in seen] == ["p", "q"] * 6
    assert [event for _, event in seen[::2]] == [event for _, event in seen[1::2]]


def test_a_processor_that_raises_disturbs_nobody(local_runner: Member) -> None:
    """EVT-02"""

    class Broken(EventProcessor):
        def on_event(self, event: Event) -> None:
            raise RuntimeError("no")

        def shutdown(self) -> None:
            raise RuntimeError("no")

    notebook = Notebook()
    result = local_runner.run(chain, {"x": 1}, event_processors=[Broken(), notebook])

    assert result["b"] == 4
    assert (len(notebook.events), notebook.shutdowns) == (6, 1)


def test_shutdown_comes_once_and_last_also_after_a_failure(local_runner: Member) -> None:
    notebook = Notebook()
    with pytest.raises(ValueError, match="negative"):
        local_runner.run(
            Graph([chain.as_node().map_over("x")]), {"x": [1, -5]}, event_processors=[notebook]
        )

    assert notebook.shutdowns == 1
    check_spans(notebook.events)


def test_an_interrupted_run_is_closed_and_shut_down(local_runner: Member) -> None:
    @node(output_name="y")
    def stop(x: int) -> int:
        raise KeyboardInterrupt

    notebook = Notebook()
    with pytest.raises(KeyboardInterrupt):
        local_runner.run(Graph([stop]), {"x": 1}, event_processors=[notebook])

    assert notebook.shutdowns == 1
    check_spans(notebook.events)


def test_nothing_is_built_for_nobody(local_runner: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("an event for nobody")

    monkeypatch.setattr("hypergraph.runners.watch.NodeStartEvent", refuse)
    monkeypatch.setattr("hypergraph.runners.watch.RunStartEvent", refuse)

    nobody: list[EventProcessor] | None
    for nobody in (None, []):
        assert local_runner.run(chain, {"x": 1}, event_processors=nobody)["b"] == 4


def test_typed_processors_get_each_type_in_its_method(local_runner: Member) -> None:
    """EVT-02"""
    calls: list[str] = []

    class Typed(TypedEventProcessor):
        def on_run_start(self, event: RunStartEvent) -> None:
            calls.append("run")

        def on_node_end(self, event: NodeEndEvent) -> None:
            calls.append(event.node_name)

        def on_route_decision(self, event: RouteDecisionEvent) -> None:
            calls.append(str(event.decision))

    local_runner.run(Graph([bump, again]), {"n": 0}, event_processors=[Typed()])

    assert calls == ["run", "bump", "again", "bump", "END", "again"]


class Awaited(AsyncEventProcessor):
    """Keeps what it sees, and by which methods."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_event(self, event: Event) -> None:
        self.seen.append("sync")

    async def on_event_async(self, event: Event) -> None:
        await asyncio.sleep(0)
        self.seen.append("async")

    def shutdown(self) -> None:
        self.seen.append("sync shutdown")

    async def shutdown_async(self) -> None:
        self.seen.append("async shutdown")


def test_async_processors_are_awaited_where_that_is_possible(local_runner: Member) -> None:
    awaited, notebook = Awaited(), Notebook()
    nested = Graph([chain.as_node()], name="outer")
    local_runner.run(nested, {"x": 1}, event_processors=[awaited, notebook])

    way = "async" if local_runner.awaits else "sync"
    assert Counter(awaited.seen) == {way: 10, f"{way} shutdown": 1}
    check_spans(notebook.events)


def test_a_node_is_announced_before_it_runs_also_to_those_who_are_awaited(
    local_runner: Member,
) -> None:
    log: list[str] = []

    @node(output_name="y")
    def work(x: int) -> int:
        log.append("body")
        return x

    class Log(AsyncEventProcessor):
        def on_event(self, event: Event) -> None:
            log.append(type(event).__name__)

        async def on_event_async(self, event: Event) -> None:
            await asyncio.sleep(0)
            log.append(type(event).__name__)

    local_runner.run(Graph([work]), {"x": 1}, event_processors=[Log()])

    assert log == ["RunStartEvent", "NodeStartEvent", "body", "NodeEndEvent", "RunEndEvent"]


def test_async_siblings_all_start_before_one_ends() -> None:
    @node(output_name="p")
    async def one(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @node(output_name="q")
    async def two(x: int) -> int:
        await asyncio.sleep(0)
        return x

    notebook = Notebook()
    asyncio.run(AsyncRunner().run(Graph([one, two]), {"x": 1}, event_processors=[notebook]))

    assert told(notebook.events)[1:3] == ["node one", "node two"]
    check_spans(notebook.events)


def test_events_can_be_iterated_over_as_they_happen() -> None:
    """EVT-03"""
    log: list[str] = []

    @node(output_name="y")
    def work(x: int) -> int:
        log.append("body")
        return x

    async def main() -> None:
        stream = AsyncRunner().iter(Graph([work], name="g"), {"x": 1})
        with pytest.raises(RuntimeError, match="not ended"):
            stream.result  # noqa: B018
        async for event in stream:
            log.append(told([event])[0])
        assert stream.result["y"] == 1
        assert [event async for event in stream] == []

    asyncio.run(main())
    assert log == ["run g", "node work", "body", "end of node work", "end of run g"]


def test_the_error_of_a_streamed_run_comes_after_its_last_event() -> None:
    """EVT-03"""

    async def main(**options: Any) -> tuple[list[Event], Any]:
        seen: list[Event] = []
        stream = AsyncRunner().iter(chain, x=-5, **options)
        try:
            async for event in stream:
                seen.append(event)
        except ValueError as error:
            return seen, error
        return seen, stream.result

    seen, error = asyncio.run(main())
    assert (told(seen)[-1], str(error)) == ("end of run chain", "negative: -4")
    _, result = asyncio.run(main(error_handling="continue"))
    assert str(result.error) == "negative: -4"


def test_leaving_a_stream_cancels_its_run() -> None:
    """EVT-03"""
    outcome: list[str] = []

    @node(output_name="y")
    async def hang(x: int) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise
        return x

    async def main() -> None:
        async with AsyncRunner().iter(Graph([hang]), {"x": 1}) as events:
            async for event in events:
                if isinstance(event, NodeStartEvent):
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    break

    asyncio.run(main())
    assert outcome == ["cancelled"]


def test_errors_before_the_run_are_raised_by_the_stream() -> None:
    async def main() -> Any:
        return [event async for event in AsyncRunner().iter(chain)]

    with pytest.raises(Exception, match="'x'"):
        asyncio.run(main())
