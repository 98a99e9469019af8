"""`run_worker` serves runs of other processes, with real children, until it is told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypergraph import Graph, node
from hypergraph.runners.distributed import DistributedRunner
from tests.processes import children_of, is_alive, wait_until

ROOT = Path(__file__).parents[2]

WORKER = """
import sys
from hypergraph.worker.supervisor import run_worker

sys.exit(run_worker(sys.argv[1], namespace=sys.argv[2], processes=1, secret="a secret for tests"))
"""


@node(output_name="pid")
def slow(directory: str, seconds: float) -> int:
    print("about to begin")
    (Path(directory) / "began").touch()
    time.sleep(seconds)
    (Path(directory) / "ended").touch()
    return os.getpid()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start_worker(
    redis_url: str, namespace: str, log: Path
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            command = [sys.executable, "-c", WORKER, redis_url, namespace]
            started.append(subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def runner(redis_url: str, namespace: str) -> Iterator[DistributedRunner]:
    with DistributedRunner(redis_url, namespace=namespace, secret="a secret for tests") as runner:
        yield runner


def test_a_host_finishes_what_it_runs_and_says_so(
    start_worker: Callable[[], subprocess.Popen[bytes]],
    runner: DistributedRunner,
    tmp_path: Path,
    log: Path,
) -> None:
    worker = start_worker()
    handle = runner.submit(
        Graph([slow]), {"directory": str(tmp_path), "seconds": 1.0}, require_worker=True
    )
    assert wait_until((tmp_path / "began").exists, 10.0)

    worker.terminate()

    assert worker.wait(10.0) == 0
    assert (tmp_path / "ended").exists()
    assert handle.result(timeout=5.0)["pid"] != worker.pid
    text = log.read_text()
    assert "Draining 1 node" in text
    assert f"[{handle.run_id} slow] about to begin" in text
    assert "has stopped" in text


def test_what_a_killed_host_ran_runs_on_the_next_one(
    start_worker: Callable[[], subprocess.Popen[bytes]],
    runner: DistributedRunner,
    tmp_path: Path,
) -> None:
    worker = start_worker()
    handle = runner.submit(
        Graph([slow]), {"directory": str(tmp_path), "seconds": 0.5}, require_worker=True
    )
    assert wait_until((tmp_path / "began").exists, 10.0)
    children = children_of(worker.pid)

    os.kill(worker.pid, signal.SIGKILL)

    assert wait_until(lambda: not any(map(is_alive, children)))
    assert not (tmp_path / "ended").exists(), "the child has gone in the middle of the body"
    start_worker()
    assert handle.result(timeout=20.0)["pid"] not in children
