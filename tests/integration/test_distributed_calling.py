"""DistributedRunner is called from anywhere: coroutines, notebooks, threads, forks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from hypergraph import (
    DistributedRunner,
    Graph,
    MissingInputError,
    RunCancelled,
    RunStatus,
    SyncRunner,
    node,
)
from hypergraph.worker.local import LocalWorkers
from tests.conftest import SECRET
from tests.integration.test_distributed_maps import nothing_runs
from tests.ledger import Ledger
from tests.processes import wait_until

ROOT = Path(__file__).parents[2]


@node(output_name="a")
def add_one(x: int) -> int:
    return x + 1


@node(output_name="inverse")
def invert(x: float) -> float:
    return 1 / x


GRAPH = Graph([add_one], name="plus")
INVERT = Graph([invert], name="invert")


def endless(ledger: Ledger) -> Graph:
    """Return a graph of short nodes that take long in all."""

    @node(output_name="y")
    def tick(x: int) -> int:
        ledger.note("tick")
        time.sleep(0.02)
        return x + 1

    return Graph(
        [
            tick.with_name(f"n{i}").with_inputs(x=f"v{i}").with_outputs(y=f"v{i + 1}")
            for i in range(500)
        ]
    )


def has_settled(ledger: Ledger) -> bool:
    """Whether nothing begins any more, after a moment for what was under way."""

    def settled() -> bool:
        begun = len(ledger)
        time.sleep(0.2)
        return len(ledger) == begun

    return wait_until(settled, 2)


# -- coroutines -------------------------------------------------------------------------------


def test_a_run_is_awaited(runner: DistributedRunner) -> None:
    async def main() -> Any:
        result = await runner.run_async(GRAPH, {"x": 1})
        results = await runner.map_async(GRAPH, {"x": [1, 2]}, map_over="x", progress=False)
        handle = await runner.submit(GRAPH, x=5)
        many = await runner.submit_map(GRAPH, {"x": [5, 6]}, map_over="x")
        return result["a"], results["a"], handle["a"], many["a"]

    assert asyncio.run(main()) == (2, [2, 3], 6, [6, 7])


def test_keywords_are_inputs_of_coroutines_too(runner: DistributedRunner) -> None:
    assert asyncio.run(runner.run_async(GRAPH, x=1))["a"] == 2


def test_a_coroutine_raises_what_a_node_raised(runner: DistributedRunner) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await runner.run_async(INVERT, x=0)
        with pytest.raises(ZeroDivisionError):
            await runner.map_async(INVERT, {"x": [1, 0]}, map_over="x", progress=False)
        with pytest.raises(ZeroDivisionError):
            await runner.submit(INVERT, x=0)
        with pytest.raises(MissingInputError):
            await runner.run_async(INVERT)

    asyncio.run(main())


def test_the_event_loop_goes_on_meanwhile(runner: DistributedRunner) -> None:
    @node(output_name="y")
    def slow(x: int) -> int:
        time.sleep(0.2)
        return x

    async def main() -> int:
        ticks = 0
        task = asyncio.create_task(runner.run_async(Graph([slow]), x=1))
        while not task.done():
            await asyncio.sleep(0.005)
            ticks += 1
        return ticks

    assert asyncio.run(main()) > 10


def test_many_runs_are_awaited_at_once(runner: DistributedRunner, ledger: Ledger) -> None:
    """Every one of them has begun before any of them ends: no pool of threads limits them."""

    @node(output_name="y")
    def wait(x: int) -> int:
        while x == 0 and "go" not in ledger.words:
            time.sleep(0.005)
        if x == 39:
            ledger.note("go")
        return x

    async def main() -> list[Any]:
        graph = Graph([wait])
        runs = [runner.run_async(graph, x=x) for x in range(40)]
        return [result["y"] for result in await asyncio.gather(*runs)]

    assert asyncio.run(main()) == list(range(40))


def test_results_of_a_map_come_one_by_one(runner: DistributedRunner) -> None:
    async def main() -> list[int]:
        found = []
        async for result in runner.map_iter(GRAPH, {"x": range(200)}, map_over="x", order="input"):
            found.append(result["a"])
        return found

    assert asyncio.run(main()) == list(range(1, 201))


def test_leaving_an_asynchronous_loop_ends_the_map(runner: DistributedRunner) -> None:
    async def main() -> None:
        results = aiter(runner.map_iter(GRAPH, {"x": count()}, map_over="x"))
        async for result in results:
            if result.index == 20:
                break
        await results.aclose()  # type: ignore[attr-defined]  # what `aiter` returns has it

    asyncio.run(main())

    assert nothing_runs(runner)


@pytest.mark.parametrize("way", ["run", "map", "map_iter"])
def test_cancelling_a_task_cancels_what_it_waits_for(
    runner: DistributedRunner, ledger: Ledger, way: str
) -> None:
    graph = endless(ledger)
    one = Graph([graph.nodes["n0"]])

    async def wait() -> None:
        if way == "run":
            await runner.run_async(graph, v0=0)
        elif way == "map":
            await runner.map_async(one, {"v0": range(1_000)}, map_over="v0", progress=False)
        else:
            async for _ in runner.map_iter(one, {"v0": range(1_000)}, map_over="v0", chunk=100):
                continue

    async def main() -> float:
        task = asyncio.create_task(wait())
        while len(ledger) < 3:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    took_s = asyncio.run(main())

    assert took_s < 1
    assert nothing_runs(runner)
    assert has_settled(ledger)


def test_a_time_limit_of_asyncio_cancels_the_run(runner: DistributedRunner, ledger: Ledger) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await runner.run_async(endless(ledger), v0=0)

    began = time.monotonic()
    asyncio.run(main())

    assert time.monotonic() - began < 2
    assert has_settled(ledger)


def test_no_longer_awaiting_a_handle_lets_its_run_go_on(
    runner: DistributedRunner, ledger: Ledger
) -> None:
    handle = runner.submit(endless(ledger), v0=0)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await handle

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 1

    ticks = len(ledger)
    assert wait_until(lambda: len(ledger) > ticks, 5)
    assert handle.status is RunStatus.RUNNING
    handle.cancel()
    with pytest.raises(RunCancelled):
        handle.result(5)


def test_sync_code_within_a_running_loop_works(runner: DistributedRunner) -> None:
    """As in a notebook, whose cells run within a loop."""

    async def cell() -> Any:
        result = runner.run(GRAPH, x=1)
        results = runner.map(GRAPH, {"x": [1, 2]}, map_over="x")
        items = [r["a"] for r in runner.map_iter(GRAPH, {"x": [1]}, map_over="x")]
        return result["a"], results["a"], items, runner.submit(GRAPH, x=2).result(5)["a"]

    assert asyncio.run(cell()) == (2, [2, 3], [2], 3)


# -- threads and processes --------------------------------------------------------------------


def test_threads_share_a_runner(runner: DistributedRunner) -> None:
    barrier = threading.Barrier(8)

    def use(number: int) -> list[Any]:
        barrier.wait()
        found = []
        for turn in range(5):
            x = number * 100 + turn
            found.append(runner.run(GRAPH, x=x)["a"] == x + 1)
            results = runner.map(GRAPH, {"x": range(x, x + 20)}, map_over="x", progress=False)
            found.append(results["a"] == list(range(x + 1, x + 21)))
            found.append(runner.submit(GRAPH, x=x).result(10)["a"] == x + 1)
        return found

    with ThreadPoolExecutor(8) as pool:
        assert all(all(found) for found in pool.map(use, range(8)))


def test_threads_may_be_the_first_to_use_a_runner(workers: LocalWorkers) -> None:
    barrier = threading.Barrier(8)
    with DistributedRunner(workers.config.url, secret=SECRET, namespace="shared") as runner:

        def use(x: int) -> Any:
            barrier.wait()
            return runner.run(GRAPH, x=x)["a"]

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(use, range(8))) == list(range(1, 9))


def script(workers: LocalWorkers, tmp_path: Path, text: str) -> str:
    """Run a script that may use the shared workers, and return what it prints."""
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    env = {**os.environ, "URL": workers.config.url, "KEY": SECRET.decode(), "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, path], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr, found.stderr
    return found.stdout


FORKS = """
import multiprocessing, os, sys, threading
from hypergraph import DistributedRunner, Graph, node

@node(output_name="y")
def square(x):
    return x * x

graph = Graph([square])
runner = RUNNER

def use(x):
    return runner.run(graph, x=x)["y"]

if __name__ == "__main__":
    print(use(2), flush=True)  # what is not flushed is flushed by each fork again
    stream = runner.map_iter(graph, {"x": range(10_000)}, map_over="x")
    next(stream)
    pid = os.fork()
    if not pid:
        print(use(3), flush=True)
        sys.exit(0)
    os.waitpid(pid, 0)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(*pool.map(use, [4, 5]))
    print(sum(1 for _ in stream))
    print(use(6))
"""


@pytest.mark.parametrize(
    "runner_text",
    [
        "DistributedRunner(os.environ['URL'], secret=os.environ['KEY'], namespace='shared')",
        "DistributedRunner(workers=1)",
    ],
    ids=["with a URL", "embedded"],
)
def test_forks_use_the_runner_they_were_born_with(
    workers: LocalWorkers, tmp_path: Path, runner_text: str
) -> None:
    out = script(workers, tmp_path, FORKS.replace("RUNNER", runner_text))

    assert out.splitlines() == ["4", "9", "16 25", "9999", "36"]


def test_what_cannot_go_on_ends_with_its_process_and_is_named(
    workers: LocalWorkers, tmp_path: Path, ledger: Ledger
) -> None:
    text = f"""
        import time
        from hypergraph import DistributedRunner, Graph, node

        @node(output_name="y")
        def slow(x):
            open({ledger.path!r}, "a").write("begun\\n")
            time.sleep(0.2)
            return x

        runner = DistributedRunner(workers=1)
        handle = runner.submit(Graph([slow]), x=1)
        stream = runner.map_iter(Graph([slow]), {{"x": range(1000)}}, map_over="x")
        next(stream)
        print(runner.submit(Graph([slow]), x=2).run_id)
    """

    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    found = subprocess.run(
        [sys.executable, path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert found.returncode == 0
    assert "Traceback" not in found.stderr, found.stderr
    assert f"cancelled with this process: {found.stdout.strip()}" in found.stderr


# -- what a call may say ----------------------------------------------------------------------


def test_workers_are_only_started_without_a_url() -> None:
    with pytest.raises(ValueError, match="workers=2"):
        DistributedRunner("redis://localhost:6379", workers=2)
    with pytest.raises(ValueError, match="workers=0"):
        DistributedRunner(workers=0)


def test_the_environment_names_a_redis(
    workers: LocalWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERGRAPH_REDIS_URL", workers.config.url)
    monkeypatch.setenv("HYPERGRAPH_SECRET", SECRET.decode())
    with DistributedRunner(namespace="shared") as runner:
        assert runner.run(GRAPH, x=1)["a"] == 2
    with pytest.raises(ValueError, match="workers"):
        DistributedRunner(workers=1)


def test_an_input_is_given_once(runner: DistributedRunner) -> None:
    with pytest.raises(ValueError, match="twice"):
        runner.run(GRAPH, {"x": 1}, x=2)


@pytest.mark.parametrize("name", ["select", "max_concurrency", "chunk", "map_over", "progress"])
def test_an_option_is_no_input(runner: DistributedRunner, name: str) -> None:
    @node(output_name="y")
    def same(v: Any) -> Any:
        return v

    graph = Graph([same.with_inputs(v=name)])

    assert runner.run(graph, {name: 5})["y"] == SyncRunner().run(graph, {name: 5})["y"] == 5


def test_an_option_of_maps_is_none_of_runs(runner: DistributedRunner) -> None:
    options: Any = {"event_processor": None}
    with pytest.warns(UserWarning, match="event_processor"):
        runner.run(GRAPH, x=1, **options)


def test_an_unknown_error_handling_is_refused(runner: DistributedRunner) -> None:
    with pytest.raises(ValueError, match="error_handling"):
        runner.run(GRAPH, x=1, error_handling="ignore")


def test_every_run_has_an_id_of_its_own(runner: DistributedRunner) -> None:
    ids = {runner.run(GRAPH, x=x).run_id for x in range(20)}
    ids |= {runner.submit(GRAPH, x=x).run_id for x in range(5)}

    assert len(ids) == 25
    assert all(run_id.startswith("run-") and len(run_id) == 16 for run_id in ids)


def test_a_runner_that_was_closed_begins_anew(workers: LocalWorkers) -> None:
    runner = DistributedRunner(workers.config.url, secret=SECRET, namespace="shared")
    runner.close()
    assert runner.run(GRAPH, x=1)["a"] == 2
    runner.close()
    runner.close()
    assert runner.run(GRAPH, x=2)["a"] == 3
    runner.close()
