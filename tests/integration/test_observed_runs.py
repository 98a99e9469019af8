"""Observers of distributed runs: told by processors, by `watch`, by `iter`, and in nobody's way."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from hypergraph import (
    AlreadyAnswered,
    DistributedRunner,
    Event,
    EventProcessor,
    Graph,
    InterruptEvent,
    InterruptNode,
    NodeStartEvent,
    ResultExpired,
    RichProgressProcessor,
    RunEndEvent,
    RunHandle,
    RunStartEvent,
    RunStatus,
    SyncRunner,
    node,
)
from hypergraph.runners import observe
from hypergraph.runners.progress import Progress
from hypergraph.store.sights import read_sights
from tests.contract.members import Notebook
from tests.contract.spans import check_spans, told


@node(output_name="a")
def first(x: int) -> int:
    return x + 1


@node(output_name="b")
def second(a: int) -> int:
    if a < 0:
        raise ValueError(f"negative: {a}")
    return 2 * a


@node(output_name="z")
def slowly(x: int) -> int:
    time.sleep(0.5)
    return x


chain = Graph([first, second], name="chain")
ask = InterruptNode("ask", input_param="a", output_param="decision")
asking = Graph([first, ask], name="asking")


def sights(runner: DistributedRunner, run_id: str) -> list[str]:
    found = read_sights(runner._open().store, run_id, 0, 0)
    return [sight.fields["k"].decode() for sight in found]


# -- processors -----------------------------------------------------------------------------------


def test_what_happens_is_told_while_it_happens(runner: DistributedRunner) -> None:
    begun = threading.Event()

    class Seer(EventProcessor):
        def on_event(self, event: Event) -> None:
            if isinstance(event, NodeStartEvent):
                assert event.worker
                begun.set()

    done = threading.Thread(
        target=runner.run, args=(Graph([slowly]), {"x": 1}), kwargs={"event_processors": [Seer()]}
    )
    done.start()
    assert begun.wait(10)
    assert done.is_alive()  # the node is not through
    done.join()


def test_a_slow_processor_delays_neither_the_run_nor_its_result_for_long(
    runner: DistributedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "LINGER_S", 0.2)
    let_go, ended = threading.Event(), threading.Event()

    class Slow(EventProcessor):
        def on_event(self, event: Event) -> None:
            let_go.wait(30)

        def shutdown(self) -> None:
            ended.set()

    began = time.monotonic()
    assert runner.run(chain, {"x": 1}, event_processors=[Slow()])["b"] == 4
    assert time.monotonic() - began < 10
    assert not ended.is_set()
    let_go.set()
    assert ended.wait(10)  # it is told the rest, and shut down, all the same


def test_a_processor_that_raises_is_no_affair_of_the_run(runner: DistributedRunner) -> None:
    class Broken(EventProcessor):
        def on_event(self, event: Event) -> None:
            raise RuntimeError("no")

        def shutdown(self) -> None:
            raise RuntimeError("no")

    notebook = Notebook()
    assert runner.run(chain, {"x": 1}, event_processors=[Broken(), notebook])["b"] == 4
    assert (len(notebook.events), notebook.shutdowns) == (6, 1)


def test_a_run_that_is_given_up_is_told_to_its_end(
    runner: DistributedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    notebook = Notebook()
    monkeypatch.setattr(RunHandle, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        runner.run(Graph([slowly]), {"x": 1}, event_processors=[notebook])

    assert notebook.shutdowns == 1
    check_spans(notebook.events)
    end = notebook.events[-1]
    assert isinstance(end, RunEndEvent)
    assert end.status == "cancelled"


def test_bars_of_a_processor_take_the_place_of_the_default_one(
    runner: DistributedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[bool] = []
    update = Progress.update

    def see(self: Progress, *numbers: int) -> None:
        wanted.append(self.is_wanted)
        update(self, *numbers)

    monkeypatch.setattr(Progress, "update", see)
    rich = RichProgressProcessor()
    runner.map(chain, {"x": [1, 2]}, map_over="x", progress=True, event_processors=[rich])
    assert set(wanted) <= {False}
    runner.map(chain, {"x": [1, 2]}, map_over="x", progress=True, event_processors=[Notebook()])
    assert True in wanted


def test_a_run_that_nobody_observes_writes_nothing_for_observers(
    runner: DistributedRunner,
) -> None:
    graph = Graph([chain.as_node().map_over("x")])
    unobserved = runner.run(graph, {"x": [1, 2]})
    observed = runner.run(graph, {"x": [1, 2]}, event_processors=[Notebook()])

    assert sights(runner, unobserved.run_id) == []
    assert sorted(set(sights(runner, observed.run_id))) == ["map", "range", "taken"]


def test_a_graph_with_a_runner_of_its_own_is_seen_inside(runner: DistributedRunner) -> None:
    notebook = Notebook()
    graph = Graph([chain.as_node(runner=SyncRunner())], name="outer")
    runner.run(graph, {"x": 1}, event_processors=[notebook])

    check_spans(notebook.events)
    assert "node second" in told(notebook.events)


def test_results_of_nested_runs_have_the_ids_of_their_events(runner: DistributedRunner) -> None:
    notebook = Notebook()
    mapped = chain.as_node(name="mapped").map_over("x")
    alone = chain.as_node(name="alone", runner=SyncRunner())
    alone = alone.with_inputs(x="y").with_outputs(a="c", b="d")
    graph = Graph([mapped, alone])
    result = runner.run(graph, {"x": [1, 2], "y": 1}, event_processors=[notebook])

    ids = {r.run_id for r in [result, result["alone"], *result["mapped"]]}
    assert ids == {e.run_id for e in notebook.of(RunStartEvent) if not e.is_map}


# -- maps -----------------------------------------------------------------------------------------


def test_each_failing_item_of_a_map_is_told(runner: DistributedRunner) -> None:
    notebook = Notebook()
    runner.map(
        chain,
        {"x": range(-5, 5)},
        map_over="x",
        error_handling="continue",
        event_processors=[notebook],
    )

    check_spans(notebook.events)
    errors = sorted(e.error for e in notebook.of(RunEndEvent) if e.status == "failed")
    assert errors == [f"negative: -{n}" for n in (1, 2, 3, 4)]


def test_a_submitted_map_is_told_to_others(runner: DistributedRunner) -> None:
    handle = runner.submit_map(chain, {"x": [1, 2, 3]}, map_over="x")
    events = list(runner.watch(handle.run_id))

    assert len(handle.result()) == 3
    check_spans(events)
    start = events[0]
    assert isinstance(start, RunStartEvent)
    assert (start.is_map, start.map_size) == (True, 3)


# -- watching -------------------------------------------------------------------------------------


def test_whoever_comes_back_goes_on_where_they_were(runner: DistributedRunner) -> None:
    graph = Graph([chain.as_node().map_over("x"), slowly.with_inputs(x="y")], name="outer")
    handle = runner.submit(graph, {"x": [1, 2, 3], "y": 1})
    watching = runner.watch(handle.run_id)
    events, cursors = [], [""]
    for event in watching:
        events.append(event)
        cursors.append(watching.cursor)

    check_spans(events)
    assert len(set(cursors)) == len(cursors)
    for had, cursor in enumerate(cursors):
        assert list(runner.watch(handle.run_id, after=cursor)) == events[had:]


def test_watching_goes_on_behind_a_pause(runner: DistributedRunner) -> None:
    handle = runner.submit(asking, {"x": 1})
    events: list[Event] = []
    for event in runner.watch(handle.run_id):
        events.append(event)
        if isinstance(event, InterruptEvent):
            assert event.value == 2
            assert handle.result(timeout=10).paused
            runner.resume(handle.run_id, {"decision": True})

    assert [e.status for e in events if isinstance(e, RunEndEvent)] == ["paused", "completed"]
    assert handle.result()["decision"] is True
    with pytest.raises(AlreadyAnswered):
        runner.resume(handle.run_id, {"decision": False})


def test_what_cannot_be_watched_is_refused_at_once(runner: DistributedRunner) -> None:
    with pytest.raises(ResultExpired):
        runner.watch("run-nowhere")
    result = runner.run(chain, {"x": 1})
    with pytest.raises(ValueError, match="no cursor"):
        runner.watch(result.run_id, after="yesterday")


# -- iterating ------------------------------------------------------------------------------------


def test_a_run_can_be_iterated_over(runner: DistributedRunner) -> None:
    async def main() -> tuple[list[Event], Any]:
        async with runner.iter(chain, {"x": 1}) as events:
            with pytest.raises(RuntimeError, match="has not ended"):
                _ = events.result
            found = [event async for event in events]
        return found, events.result

    events, result = asyncio.run(main())
    check_spans(events)
    assert result["b"] == 4
    assert {event.run_id for event in events} == {result.run_id}


def test_an_iteration_ends_with_what_the_run_failed_with(runner: DistributedRunner) -> None:
    async def main() -> list[Event]:
        found = []
        with pytest.raises(ValueError, match="negative"):
            async for event in runner.iter(chain, x=-5):
                found.append(event)
        return found

    check_spans(asyncio.run(main()))


def test_an_iteration_ends_at_a_pause(runner: DistributedRunner) -> None:
    async def main() -> Any:
        events = runner.iter(asking, x=1)
        async for _ in events:
            pass
        return events.result

    assert asyncio.run(main()).status is RunStatus.PAUSED


def test_leaving_an_iteration_cancels_the_run(runner: DistributedRunner) -> None:
    async def main() -> str:
        async with runner.iter(Graph([slowly]), x=1) as events:
            async for event in events:
                return event.run_id
        raise AssertionError

    run_id = asyncio.run(main())
    assert runner.attach(run_id).status is RunStatus.CANCELLED
