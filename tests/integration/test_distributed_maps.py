"""A map on workers gives what SyncRunner gives, of any inputs, within bounds."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypergraph import DistributedRunner, Graph, RunCancelled, RunStatus, SyncRunner, node
from hypergraph.nodes import FunctionNode
from hypergraph.worker.local import LocalWorkers
from tests.agreement import assert_agree, place_of, see
from tests.conftest import SECRET
from tests.ledger import Ledger
from tests.processes import wait_until

ROOT = Path(__file__).parents[2]


@node(output_name="a")
def add_one(x: Any) -> Any:
    return x + 1


@node(output_name="b")
def scale(a: Any, k: Any = 10) -> Any:
    return a * k


@node(output_name="inverse")
def invert(x: Any) -> Any:
    return 1 / x


BOTH = Graph([add_one, scale], name="both")
INVERT = Graph([add_one, invert], name="invert")
NESTED = Graph(
    [BOTH.as_node(), BOTH.as_node(name="again").with_inputs(x="b").with_outputs(a="c", b="d")]
)
MANY = Graph([BOTH.as_node().map_over("x"), invert.with_inputs(x="z")], name="many")

CASES: dict[str, tuple[Graph, dict[str, Any], dict[str, Any]]] = {
    "a list": (BOTH, {"x": [1, 2, 3]}, {"map_over": "x"}),
    "no item": (BOTH, {"x": []}, {"map_over": "x"}),
    "one item": (BOTH, {"x": [7]}, {"map_over": "x"}),
    "many items": (BOTH, {"x": range(5_000)}, {"map_over": "x"}),
    "a broadcast value": (BOTH, {"x": [1, 2], "k": 3}, {"map_over": "x"}),
    "a large broadcast value": (BOTH, {"x": [1, 2], "k": np.ones(300_000)}, {"map_over": "x"}),
    "a zip": (BOTH, {"x": [1, 2], "k": [3, 4]}, {"map_over": ["x", "k"]}),
    "a product": (
        BOTH,
        {"x": [1, 2], "k": [3, 4, 5]},
        {"map_over": ["k", "x"], "map_mode": "product"},
    ),
    "an empty product": (
        BOTH,
        {"x": [1], "k": []},
        {"map_over": ["k", "x"], "map_mode": "product"},
    ),
    "unequal lists": (BOTH, {"x": [1, 2], "k": [3]}, {"map_over": ["x", "k"]}),
    "a missing list": (BOTH, {"k": 1}, {"map_over": "x"}),
    "a missing input": (BOTH, {"k": [1]}, {"map_over": "k"}),
    "an unknown mode": (BOTH, {"x": [1]}, {"map_over": "x", "map_mode": "zap"}),
    "no name": (BOTH, {"x": [1]}, {"map_over": []}),
    "what is no list": (BOTH, {"x": 1}, {"map_over": "x"}),
    "a string": (Graph([scale]), {"a": "abc", "k": 2}, {"map_over": "a"}),
    "a set, a dict, a range": (
        Graph([FunctionNode(lambda p, q, r: (p, q, r), name="f", output_name="a")]),
        {"p": {5}, "q": {"key": 1}, "r": range(1)},
        {"map_over": ["p", "q", "r"]},
    ),
    "an array": (BOTH, {"x": np.arange(6.0).reshape(3, 2)}, {"map_over": "x"}),
    "unknown names": (BOTH, {"x": [1], "typo": 1}, {"map_over": "x"}),
    "intermediate values": (BOTH, {"a": [1, 2]}, {"map_over": "a"}),
    "a bound graph": (BOTH.bind(k=7), {"x": [1, 2]}, {"map_over": "x"}),
    "a selected graph": (BOTH.select("b"), {"x": [1, 2]}, {"map_over": "x"}),
    "a selection": (BOTH, {"x": [1, 2]}, {"map_over": "x", "select": "b"}),
    "a selection of inputs": (BOTH, {"x": [1, 2]}, {"map_over": "x", "select": ["x", "b"]}),
    "a selection of what is not there": (BOTH, {"x": [1, 2]}, {"map_over": "x", "select": ["z"]}),
    "nested graphs": (NESTED, {"x": [1, 2, 3]}, {"map_over": "x"}),
    "nested graphs, by path": (NESTED, {"x": [1, 2], "again.k": 3}, {"map_over": "x"}),
    "nested graphs, mapped by path": (NESTED, {"x": 1, "again.k": [3, 4]}, {"map_over": "again.k"}),
    "maps in items": (MANY, {"x": [[1], [], [2, 3]], "z": 2}, {"map_over": "x"}),
    "failing maps in items": (MANY, {"x": [[1], ["no"], [2, 3]], "z": 2}, {"map_over": "x"}),
    "a failing item": (INVERT, {"x": [1, 2, 0, 4, 0]}, {"map_over": "x"}),
    "only failing items": (INVERT, {"x": [0, 0]}, {"map_over": "x"}),
    "a failing first item of many": (INVERT, {"x": [0, *range(1, 500)]}, {"map_over": "x"}),
    "a failing last item of many": (INVERT, {"x": [*range(1, 500), 0]}, {"map_over": "x"}),
}


@pytest.mark.parametrize("error_handling", ["raise", "continue"])
@pytest.mark.parametrize(("graph", "values", "options"), CASES.values(), ids=CASES)
def test_a_map_gives_what_the_sync_runner_gives(
    runner: DistributedRunner,
    graph: Graph,
    values: dict[str, Any],
    options: dict[str, Any],
    error_handling: str,
) -> None:
    options = {**options, "error_handling": error_handling}

    assert_agree(
        see(lambda: SyncRunner().map(graph, values, **options)),
        see(lambda: runner.map(graph, values, progress=False, **options)),
    )


def test_a_result_that_a_map_gives_says_which_it_is(runner: DistributedRunner) -> None:
    results = runner.map(BOTH, {"x": range(100)}, map_over="x")

    assert [r.index for r in results] == list(range(100))
    assert len({r.run_id for r in results}) == 100
    assert results.summary() == "100 items: 100 completed"
    assert results["b"][:3] == results.values_of("b")[:3] == [10, 20, 30]
    with pytest.raises(KeyError):
        results["zzz"]


# -- inputs of all kinds ----------------------------------------------------------------------


def numbers(upto: int) -> Iterator[int]:
    yield from range(upto)


def test_a_generator_is_mapped_over(runner: DistributedRunner) -> None:
    results = runner.map(BOTH, {"x": numbers(5_000)}, map_over="x")

    assert results["b"] == [(x + 1) * 10 for x in range(5_000)]


def test_generators_are_zipped(runner: DistributedRunner) -> None:
    results = runner.map(BOTH, {"x": numbers(10), "k": (n for n in range(10))}, map_over=["x", "k"])

    assert results["b"] == [(x + 1) * x for x in range(10)]


def test_an_empty_generator_gives_nothing(runner: DistributedRunner) -> None:
    assert runner.map(BOTH, {"x": numbers(0)}, map_over="x") == []
    assert list(runner.map_iter(BOTH, {"x": numbers(0)}, map_over="x")) == []
    assert runner.submit_map(BOTH, {"x": numbers(0)}, map_over="x").result(5) == []
    assert runner.submit_map(BOTH, {"x": []}, map_over="x").result(5) == []


def test_a_generator_that_raises_ends_the_map(runner: DistributedRunner) -> None:
    def broken() -> Iterator[int]:
        yield from range(10_000)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        runner.map(BOTH, {"x": broken()}, map_over="x")
    assert nothing_runs(runner)
    with pytest.raises(RuntimeError, match="no more"):
        runner.submit_map(BOTH, {"x": broken()}, map_over="x")
    assert nothing_runs(runner)


def test_a_stream_that_ends_before_another_is_an_error(runner: DistributedRunner) -> None:
    with pytest.raises(ValueError, match="equal lengths"):
        runner.map(BOTH, {"x": numbers(5), "k": numbers(4)}, map_over=["x", "k"])
    assert nothing_runs(runner)


def test_large_items_are_mapped_over(runner: DistributedRunner) -> None:
    graph = Graph([FunctionNode(lambda x: x[:1], name="first", output_name="y")])

    results = runner.map(graph, {"x": (bytes([n]) * 3_000_000 for n in range(12))}, map_over="x")

    assert results["y"] == [bytes([n]) for n in range(12)]


def test_large_results_come_back(runner: DistributedRunner) -> None:
    graph = Graph([FunctionNode(lambda x: bytes([x]) * 3_000_000, name="big", output_name="y")])

    assert [len(y) for y in runner.map(graph, {"x": range(40)}, map_over="x")["y"]] == [
        3_000_000
    ] * 40


# -- one by one -------------------------------------------------------------------------------


def test_results_come_as_they_are_done_and_each_once(runner: DistributedRunner) -> None:
    found = {r.index: r["b"] for r in runner.map_iter(BOTH, {"x": range(500)}, map_over="x")}

    assert found == {x: (x + 1) * 10 for x in range(500)}


def test_results_come_in_the_order_of_the_inputs(runner: DistributedRunner) -> None:
    @node(output_name="y")
    def uneven(x: int) -> int:
        time.sleep(0.02 if x % 7 == 0 else 0)
        return x

    results = runner.map_iter(Graph([uneven]), {"x": range(100)}, map_over="x", order="input")

    assert [r.index for r in results] == list(range(100))


def test_an_unknown_order_is_refused(runner: DistributedRunner) -> None:
    order: Any = "random"
    with pytest.raises(ValueError, match="order"):
        runner.map_iter(BOTH, {"x": [1]}, map_over="x", order=order)


@pytest.mark.parametrize("order", ["completion", "input"])
def test_an_endless_map_ends_when_its_loop_is_left(
    runner: DistributedRunner, ledger: Ledger, order: Any
) -> None:
    @node(output_name="y")
    def body(x: int) -> int:
        ledger.note(x)
        return x

    seen = []
    for result in runner.map_iter(Graph([body]), {"x": count()}, map_over="x", order=order):
        seen.append(result["y"])
        if len(seen) == 3_000:
            break
    del result

    assert len(set(seen)) == 3_000
    assert nothing_runs(runner)
    time.sleep(0.3)  # for what the slots had at hand
    settled = len(ledger)
    time.sleep(0.1)
    assert len(ledger) == settled


def test_a_map_that_is_closed_or_never_begun_leaves_nothing(runner: DistributedRunner) -> None:
    begun = runner.map_iter(BOTH, {"x": count()}, map_over="x")
    next(begun)
    begun.close()
    never = runner.map_iter(BOTH, {"x": count()}, map_over="x")
    never.close()
    del never

    assert nothing_runs(runner)
    assert next(begun, None) is None


def test_the_feeder_does_not_run_ahead_of_a_slow_consumer(runner: DistributedRunner) -> None:
    taken = 0

    def inputs() -> Iterator[int]:
        nonlocal taken
        for number in count():
            taken = number
            yield number

    with closing(runner.map_iter(BOTH, {"x": inputs()}, map_over="x")) as results:
        for _ in range(10):
            next(results)
        time.sleep(0.3)
        first = taken
        time.sleep(0.3)

    assert taken == first  # nobody fed it meanwhile
    assert first < 20_000


def test_memory_of_the_client_does_not_grow_with_the_items(
    workers: LocalWorkers, tmp_path: Path
) -> None:
    script = tmp_path / "client.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, resource, sys
            from hypergraph import DistributedRunner, Graph, node

            @node(output_name="y")
            def body(x):
                return x

            def peak_mb():
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

            items = int(sys.argv[1])
            url, key = os.environ["URL"], os.environ["KEY"]
            runner = DistributedRunner(url, secret=key, namespace="shared")
            inputs = ("%010d" % n * 10 for n in range(items))
            total = 0
            for result in runner.map_iter(Graph([body]), {"x": inputs}, map_over="x"):
                total += 1
                if total == 5_000:
                    before = peak_mb()
            assert total == items, total
            print(peak_mb() - before)
            """
        )
    )

    found = subprocess.run(
        [sys.executable, script, "200000"],
        env={"URL": workers.config.url, "KEY": SECRET.decode(), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert not found.stderr
    assert float(found.stdout) < 25  # 200,000 items of 100 characters are more than 30 MB


# -- failures ---------------------------------------------------------------------------------


def test_after_a_failure_no_later_item_begins(runner: DistributedRunner, ledger: Ledger) -> None:
    @node(output_name="y")
    def body(x: int) -> int:
        ledger.note(x)
        time.sleep(0.002)
        if x in (300, 350):
            raise ValueError(x)
        return x

    with pytest.raises(ValueError, match=r"^300\b") as caught:
        runner.map(Graph([body]), {"x": range(20_000)}, map_over="x")

    assert place_of(caught.value) == ("body", "300")
    ran = {int(word) for word in ledger.words}
    assert ran >= set(range(301))  # every lower item was finished
    assert max(ran) < 2_000  # and what was under way beside it, but no more
    assert nothing_runs(runner)


def test_the_lowest_failing_item_is_raised_whichever_fails_first(
    runner: DistributedRunner, ledger: Ledger
) -> None:
    @node(output_name="y")
    def body(x: int) -> int:
        if x == 0:
            for _ in range(1000):
                if "1" in ledger.words:
                    break
                time.sleep(0.005)
        ledger.note(x)
        raise ValueError(x)

    with pytest.raises(ValueError, match=r"^0\b"):
        runner.map(Graph([body]), {"x": range(10)}, map_over="x", chunk=1)


def test_map_iter_gives_all_lower_results_before_it_raises(runner: DistributedRunner) -> None:
    seen = []
    with pytest.raises(ZeroDivisionError):
        for result in runner.map_iter(
            INVERT, {"x": [*range(1, 200), 0, *range(1, 5_000)]}, map_over="x"
        ):
            seen.append(result.index)

    assert set(seen) >= set(range(199))
    assert nothing_runs(runner)


def test_map_iter_in_order_raises_where_the_failed_item_would_be(
    runner: DistributedRunner,
) -> None:
    seen = []
    with pytest.raises(ZeroDivisionError):
        for result in runner.map_iter(
            INVERT, {"x": [*range(1, 200), 0, *range(1, 500)]}, map_over="x", order="input"
        ):
            seen.append(result.index)

    assert seen == list(range(199))


def test_map_iter_gives_failed_items_when_it_goes_on(runner: DistributedRunner) -> None:
    values = {"x": [1, 0, 2]}
    results = list(
        runner.map_iter(INVERT, values, map_over="x", order="input", error_handling="continue")
    )

    assert [r.status for r in results] == [
        RunStatus.COMPLETED,
        RunStatus.FAILED,
        RunStatus.COMPLETED,
    ]
    assert results[1].values == {"a": 1}


# -- bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2])
def test_no_more_bodies_run_at_once_than_allowed(
    runner: DistributedRunner, ledger: Ledger, limit: int
) -> None:
    @node(output_name="y")
    def body(x: int) -> int:
        ledger.note("+")
        time.sleep(0.005)
        ledger.note("-")
        return x

    one = Graph([body], name="one")
    wide = Graph([body.with_name(f"n{i}").with_outputs(y=f"y{i}") for i in range(10)])
    for call in (
        lambda: runner.map(one, {"x": range(30)}, map_over="x", max_concurrency=limit),
        lambda: runner.run(wide, {"x": 1}, max_concurrency=limit),
        lambda: runner.run(
            Graph([one.as_node().map_over("x")]), {"x": [*range(20)]}, max_concurrency=limit
        ),
        lambda: list(runner.map_iter(one, {"x": range(20)}, map_over="x", max_concurrency=limit)),
    ):
        ledger.clear()
        call()
        assert most_at_once(ledger) <= limit


def most_at_once(ledger: Ledger) -> int:
    most = now = 0
    for word in ledger.words:
        now += 1 if word == "+" else -1
        most = max(most, now)
    return most


def test_two_workers_share_a_map(runner: DistributedRunner, ledger: Ledger) -> None:
    @node(output_name="y")
    def body(x: int) -> int:
        ledger.note("+")
        time.sleep(0.005)
        ledger.note("-")
        return x

    runner.map(Graph([body]), {"x": range(60)}, map_over="x")

    assert most_at_once(ledger) == 2


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
def test_any_chunk_gives_the_same_results(runner: DistributedRunner, chunk: int) -> None:
    results = runner.map(BOTH, {"x": range(300)}, map_over="x", chunk=chunk)

    assert results["b"] == [(x + 1) * 10 for x in range(300)]


@pytest.mark.parametrize("option", ["chunk", "max_concurrency"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_below_one_is_refused(runner: DistributedRunner, option: str, value: int) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ValueError, match=option):
        runner.map(BOTH, {"x": [1]}, map_over="x", **options)


# -- cancelling -------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [None, 500])
def test_after_cancel_no_item_starts_and_no_result_counts(
    runner: DistributedRunner, ledger: Ledger, chunk: int | None
) -> None:
    @node(output_name="y")
    def body(x: int) -> int:
        ledger.note(x)
        time.sleep(0.02)
        return x

    handle = runner.submit_map(Graph([body]), {"x": range(2_000)}, map_over="x", chunk=chunk)
    assert wait_until(lambda: len(ledger) > 5, 5)
    handle.cancel()
    started, done = len(ledger), handle.done
    time.sleep(0.3)

    assert len(ledger) == started
    assert handle.done == done
    assert handle.status is RunStatus.CANCELLED
    with pytest.raises(RunCancelled):
        handle.result(5)
    with pytest.raises(RunCancelled):
        list(handle)


def test_a_map_that_is_cancelled_from_outside_says_so(runner: DistributedRunner) -> None:
    @node(output_name="y")
    def body(x: int) -> int:
        time.sleep(0.01)
        return x

    def cancel() -> None:
        while not (runs := running(runner)):
            time.sleep(0.01)
        for run_id in runs:
            runner.attach(run_id).cancel()

    assert nothing_runs(runner)
    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(RunCancelled):
        runner.map(Graph([body]), {"x": range(5_000)}, map_over="x", progress=False)
    thread.join()


def nothing_runs(runner: DistributedRunner) -> bool:
    """Whether no run of the shared namespace is under way, within a moment."""
    return wait_until(lambda: not running(runner), 3)


def running(runner: DistributedRunner) -> list[str]:
    """Return the runs of the shared namespace that are under way."""
    store = runner._open().store
    listed = store.link.pipeline([("ZRANGE", "hg:shared:active", 0, -1)])[0]
    return [run.decode() for run in listed if store.inspect(run.decode()).status == "running"]


def test_a_map_leaves_nothing_but_its_record(runner: DistributedRunner) -> None:
    link = runner._open().store.link
    before = set(link.pipeline([("KEYS", "hg:shared:*")])[0])

    runner.map(BOTH, {"x": range(3_000), "k": 3}, map_over="x")
    with pytest.raises(ZeroDivisionError):
        runner.map(INVERT, {"x": range(3_000)}, map_over="x")

    left = set(link.pipeline([("KEYS", "hg:shared:*")])[0]) - before
    parts = {key.decode().rpartition("}:")[2] for key in left if b"{run-" in key}
    assert parts <= {"meta", "journal", "end", "queues", "maps", "m:map:state", "m:map:journal"}
