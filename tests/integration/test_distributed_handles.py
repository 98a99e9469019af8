"""Runs that are submitted: held, attached to, cancelled, waited for, and gone at last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from hypergraph import (
    DistributedRunner,
    Graph,
    MapHandle,
    ResultExpired,
    RunCancelled,
    RunHandle,
    RunStatus,
    node,
)
from hypergraph.worker.local import LocalWorkers
from tests.conftest import SECRET
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


def gate(ledger: Ledger) -> Graph:
    """Return a graph whose node notes that it has begun, and waits until it may go on."""

    @node(output_name="y")
    def wait(x: int) -> int:
        ledger.note(f"begun {x}")
        for _ in range(2_000):
            if "go" in ledger.words:
                break
            time.sleep(0.005)
        ledger.note(f"ended {x}")
        return x

    @node(output_name="z")
    def after(y: int) -> int:
        ledger.note(f"after {y}")
        return -y

    return Graph([wait, after], name="gate")


def client(workers: LocalWorkers, tmp_path: Path, text: str) -> subprocess.Popen[str]:
    """Start a script that has a runner for the shared workers."""
    script = tmp_path / "client.py"
    head = """
        import os, sys, time
        from hypergraph import DistributedRunner, Graph, node
        runner = DistributedRunner(os.environ["URL"], secret=os.environ["KEY"], namespace="shared")
    """
    script.write_text(textwrap.dedent(head) + textwrap.dedent(text))
    return subprocess.Popen(
        [sys.executable, script],
        env={
            **os.environ,
            "URL": workers.config.url,
            "KEY": SECRET.decode(),
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return out


# -- one run ----------------------------------------------------------------------------------


def test_a_submitted_run_goes_its_way(runner: DistributedRunner, ledger: Ledger) -> None:
    handle = runner.submit(gate(ledger), x=1)
    assert isinstance(handle, RunHandle)
    assert handle.run_id.startswith("run-")
    assert wait_until(lambda: "begun 1" in ledger.words, 5)
    assert handle.status.name == "RUNNING"

    ledger.note("go")
    result = handle.result(5)

    assert result.values == {"y": 1, "z": -1}
    assert result.run_id == handle.run_id
    assert handle.status is RunStatus.COMPLETED
    assert handle.result() is result


def test_a_run_that_takes_too_long_goes_on(runner: DistributedRunner, ledger: Ledger) -> None:
    handle = runner.submit(gate(ledger), x=1)

    began = time.monotonic()
    with pytest.raises(TimeoutError, match=handle.run_id):
        handle.result(0.1)
    with pytest.raises(TimeoutError):
        handle.result(0)
    assert time.monotonic() - began < 0.6

    ledger.note("go")
    assert handle.result(5)["z"] == -1


def test_a_submitted_run_can_be_attached_to(runner: DistributedRunner) -> None:
    handle = runner.submit(GRAPH, x=1)

    attached = runner.attach(handle.run_id)

    assert isinstance(attached, RunHandle)
    assert attached.result(5).values == {"a": 2}
    assert attached.run_id == handle.run_id
    assert runner.attach(handle.run_id).result(5)["a"] == 2


def test_a_failed_run_raises_for_whoever_asks(runner: DistributedRunner) -> None:
    handle = runner.submit(INVERT, x=0)

    for one in (handle, runner.attach(handle.run_id)):
        with pytest.raises(ZeroDivisionError):
            one.result(5)
        assert one.status is RunStatus.FAILED


def test_a_failed_run_that_shall_not_raise_does_not(runner: DistributedRunner) -> None:
    handle = runner.submit(INVERT, x=0, error_handling="continue")

    for one in (handle, runner.attach(handle.run_id)):
        assert isinstance(one, RunHandle)
        assert isinstance(one.result(5).error, ZeroDivisionError)


def test_after_cancel_no_node_starts_and_no_result_counts(
    runner: DistributedRunner, ledger: Ledger
) -> None:
    handle = runner.submit(gate(ledger), x=1)
    assert wait_until(lambda: "begun 1" in ledger.words, 5)

    handle.cancel()
    ledger.note("go")

    assert wait_until(lambda: "ended 1" in ledger.words, 5)
    with pytest.raises(RunCancelled, match=handle.run_id):
        handle.result(5)
    assert handle.status is RunStatus.CANCELLED
    with pytest.raises(RunCancelled):
        runner.attach(handle.run_id).result(5)
    time.sleep(0.1)
    assert "after 1" not in ledger.words


def test_cancelling_a_run_that_has_ended_changes_nothing(runner: DistributedRunner) -> None:
    handle = runner.submit(GRAPH, x=1)
    assert handle.result(5)["a"] == 2

    handle.cancel()
    handle.cancel()

    assert runner.attach(handle.run_id).status is RunStatus.COMPLETED


def test_an_unknown_run_is_unknown(runner: DistributedRunner) -> None:
    with pytest.raises(ResultExpired):
        runner.attach("run-000000000000")


@pytest.fixture
def forgetful(workers: LocalWorkers) -> Any:
    """A runner that keeps records for a moment only."""
    with DistributedRunner(
        workers.config.url, secret=SECRET, namespace="shared", keep_s=0.2
    ) as runner:
        yield runner


def test_a_result_expires(forgetful: DistributedRunner) -> None:
    fetched, missed = forgetful.submit(GRAPH, x=1), forgetful.submit(GRAPH, x=2)
    many = forgetful.submit_map(GRAPH, {"x": [1, 2]}, map_over="x")
    attached, missed_map = forgetful.attach(missed.run_id), forgetful.attach(many.run_id)
    assert fetched.result(5)["a"] == 2
    assert many.result(5)["a"] == [2, 3]
    assert wait_until(lambda: forgetful._open().store.get_meta(many.run_id) == {}, 2)

    began = time.monotonic()
    assert fetched.result(5)["a"] == 2  # it is here already
    assert many.result(5)["a"] == [2, 3]
    for handle in (missed, attached, missed_map):
        with pytest.raises(ResultExpired, match=handle.run_id):
            handle.result(5)
        with pytest.raises(ResultExpired):
            _ = handle.status
        with pytest.raises(ResultExpired):
            forgetful.attach(handle.run_id)
    assert time.monotonic() - began < 1


def test_values_of_a_run_that_was_waited_for_leave_redis(runner: DistributedRunner) -> None:
    result = runner.run(GRAPH, x=1)
    results = runner.map(GRAPH, {"x": [1, 2]}, map_over="x")

    handle = runner.attach(result.run_id)

    assert results["a"] == [2, 3]
    assert handle.status is RunStatus.COMPLETED
    with pytest.raises(ResultExpired):
        handle.result(5)


# -- maps -------------------------------------------------------------------------------------


def test_a_submitted_map_goes_its_way(runner: DistributedRunner, ledger: Ledger) -> None:
    handle = runner.submit_map(gate(ledger), {"x": range(3)}, map_over="x")
    assert isinstance(handle, MapHandle)
    assert wait_until(lambda: len(ledger) == 2, 5)
    assert handle.status.name == "RUNNING"
    assert (handle.done, handle.total) == (0, 3)

    began = time.monotonic()
    with pytest.raises(TimeoutError, match=handle.run_id):
        handle.result(0.1)
    assert time.monotonic() - began < 0.6

    ledger.note("go")
    assert handle.result(5)["z"] == [0, -1, -2]
    assert (handle.done, handle.total) == (3, 3)
    assert handle.status is RunStatus.COMPLETED
    assert handle.result(5)["z"] == [0, -1, -2]  # for any number of readers
    assert sorted(r["z"] for r in handle) == [-2, -1, 0]


def test_a_submitted_map_of_a_stream_knows_its_size(runner: DistributedRunner) -> None:
    handle = runner.submit_map(GRAPH, {"x": (x for x in range(5_000))}, map_over="x")

    assert handle.total == 5_000
    assert handle.result(10)["a"] == list(range(1, 5_001))


def test_a_submitted_map_can_be_attached_to(runner: DistributedRunner) -> None:
    handle = runner.submit_map(GRAPH, {"x": range(100)}, map_over="x")

    attached = runner.attach(handle.run_id)

    assert isinstance(attached, MapHandle)
    results = attached.result(5)
    assert results["a"] == list(range(1, 101))
    assert results.outputs == handle.result(5).outputs == ("a",)


@pytest.mark.parametrize("error_handling", ["raise", "continue"])
def test_a_failed_map_is_what_was_asked_for(runner: DistributedRunner, error_handling: str) -> None:
    handle = runner.submit_map(
        INVERT, {"x": [1, 0, 2, 0]}, map_over="x", error_handling=error_handling
    )

    for one in (handle, runner.attach(handle.run_id)):
        assert isinstance(one, MapHandle)
        if error_handling == "raise":
            with pytest.raises(ZeroDivisionError) as caught:
                one.result(5)
            assert any("item 1" in note for note in caught.value.__notes__)
            assert one.status is RunStatus.FAILED
        else:
            assert one.result(5)["inverse"] == [1, None, 0.5, None]
            assert one.status is RunStatus.PARTIAL


def test_iterating_over_a_failed_map_gives_every_item_there_is(
    runner: DistributedRunner,
) -> None:
    handle = runner.submit_map(INVERT, {"x": [1, 2, 0]}, map_over="x")

    results = sorted(handle, key=lambda result: result.index or 0)

    assert [r.status for r in results] == [RunStatus.COMPLETED] * 2 + [RunStatus.FAILED]


# -- from other processes ---------------------------------------------------------------------


def test_another_process_gets_the_result(
    runner: DistributedRunner, workers: LocalWorkers, tmp_path: Path
) -> None:
    process = client(
        workers,
        tmp_path,
        """
        @node(output_name="y")
        def square(x):
            return x * x
        print(runner.submit(Graph([square]), x=7).run_id)
        print(runner.submit_map(Graph([square]), {"x": range(50)}, map_over="x").run_id)
        """,
    )
    one, many = output_of(process).split()

    assert runner.attach(one).result(5)["y"] == 49
    results = runner.attach(many).result(5)
    assert results["y"] == [x * x for x in range(50)]


def test_a_map_whose_client_is_killed_goes_on(
    runner: DistributedRunner, workers: LocalWorkers, ledger: Ledger, tmp_path: Path
) -> None:
    process = client(
        workers,
        tmp_path,
        f"""
        ledger = {ledger.path!r}
        @node(output_name="y")
        def slow(x):
            open(ledger, "a").write(f"{{x}}\\n")
            time.sleep(0.01)
            return x
        print(runner.submit_map(Graph([slow]), {{"x": range(60)}}, map_over="x").run_id, flush=True)
        time.sleep(60)
        """,
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    process.kill()
    process.communicate()

    assert runner.attach(run_id).result(10)["y"] == list(range(60))


# -- Ctrl-C -----------------------------------------------------------------------------------

WAITING = """
    @node(output_name="y")
    def slow(x):
        print("begun", file=open(LEDGER, "a"), flush=True)
        time.sleep(0.05)
        return x
    chain = Graph([slow.with_name(f"n{i}").with_inputs(x=f"v{i}").with_outputs(y=f"v{i + 1}")
                   for i in range(300)])
    many = Graph([slow])
    try:
        CALL
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    "call",
    [
        "runner.run(chain, v0=1)",
        "runner.map(many, {'x': range(300)}, map_over='x')",
        "[r for r in runner.map_iter(many, {'x': range(300)}, map_over='x')]",
    ],
    ids=["run", "map", "map_iter"],
)
def test_ctrl_c_cancels_what_is_waited_for(
    runner: DistributedRunner,
    workers: LocalWorkers,
    ledger: Ledger,
    tmp_path: Path,
    call: str,
) -> None:
    text = WAITING.replace("CALL", call).replace("LEDGER", repr(ledger.path))
    process = client(workers, tmp_path, text)
    assert wait_until(lambda: len(ledger) > 2, 10)

    process.send_signal(signal.SIGINT)
    assert "interrupted" in output_of(process)

    time.sleep(0.1)
    begun = len(ledger)
    time.sleep(0.2)
    assert len(ledger) == begun
    newest = runner._open().store.list_runs(1)[0]
    assert newest[1]["status"] == b"cancelled"


@pytest.mark.parametrize(
    "call",
    ["runner.submit(chain, v0=1)", "runner.submit_map(many, {'x': range(300)}, map_over='x')"],
    ids=["run", "map"],
)
def test_ctrl_c_detaches_from_what_was_submitted(
    runner: DistributedRunner,
    workers: LocalWorkers,
    ledger: Ledger,
    tmp_path: Path,
    call: str,
) -> None:
    text = WAITING.replace("CALL", f"{call}.result()").replace("LEDGER", repr(ledger.path))
    process = client(workers, tmp_path, text)
    assert wait_until(lambda: len(ledger) > 2, 10)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)

    assert "interrupted" in out
    run_id = err.split("attach(")[1].split("'")[1]
    handle = runner.attach(run_id)
    begun = len(ledger)
    assert wait_until(lambda: len(ledger) > begun, 5)
    handle.cancel()


def test_what_a_handle_says_of_itself_is_how_to_get_it_back(runner: DistributedRunner) -> None:
    handle = runner.submit(GRAPH, x=1)

    assert handle.run_id in repr(handle)
    assert json.dumps(handle.run_id)
    handle.result(5)
