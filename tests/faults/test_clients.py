"""A client that is killed loses nothing that it has submitted, and leaves nothing else behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from hypergraph import RunCancelled
from tests.faults.hosts import ROOT
from tests.faults.ledger import Ledger, check_run
from tests.faults.rig import Rig
from tests.processes import is_alive, wait_until


class Client:
    """A process that runs `tests.faults.client`; `told` is what it has said."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.client", *arguments],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        self.told: dict[str, Any] = json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


StartClient = Callable[[str], Client]


@pytest.fixture
def start_client(rig: Rig, ledger: Ledger) -> Iterator[StartClient]:
    with ExitStack() as clients:

        def start(what: str) -> Client:
            client = Client(what, rig.url, rig.namespace, ledger.path)
            clients.callback(client.stop)
            return client

        yield start


def test_what_a_killed_client_has_submitted_is_done_and_kept_for_whoever_attaches(
    rig: Rig, ledger: Ledger, start_client: StartClient
) -> None:
    # Given a run that was submitted and has begun
    rig.start_host(processes=2)
    ledger.hold("go_left")
    client = start_client("submit")
    ledger.wait_for("go_left")

    # When the client is killed
    client.kill()
    ledger.release("go_left")

    # Then any other process gets the result
    handle = rig.runner().attach(client.told["run_id"])
    assert handle.result(timeout=10)["total"] == 10
    check_run(ledger, rig.store, handle.run_id)


def test_what_was_submitted_runs_when_workers_come_after_the_client_has_gone(
    rig: Rig, ledger: Ledger, start_client: StartClient
) -> None:
    client = start_client("submit")
    client.kill()
    # Whatever stood in the queue for workers has vanished, too.
    rig.store.link.client.delete(*rig.store.link.client.keys(f"{rig.store.keys.dramatiq}:*"))

    rig.start_host()

    handle = rig.runner().attach(client.told["run_id"])
    assert wait_until(lambda: handle.status.name == "COMPLETED", 10.0)
    check_run(ledger, rig.store, handle.run_id)


@pytest.mark.parametrize("what", ["map", "map-sized"])
def test_a_map_whose_client_is_killed_is_cancelled_and_leaves_only_its_record(
    rig: Rig, ledger: Ledger, start_client: StartClient, what: str
) -> None:
    # Given a map in the middle
    rig.start_host(processes=2)
    ledger.hold("square", 150)
    client = start_client(what)
    ledger.wait_for("square", 150)
    (run_id,) = (run_id for run_id, _ in rig.store.list_runs())

    # When the client that feeds and reads it is killed
    killed_at = time.monotonic()
    client.kill()

    # Then a host notices that it is not heard of any more, and ends the map
    handle = rig.runner().attach(run_id)
    with pytest.raises(RunCancelled):
        handle.result(timeout=10)
    print(f"measured: cancelled after {time.monotonic() - killed_at:.1f} s")
    # ... and after the range that each process was in, no item begins
    time.sleep(0.3)
    begun = ledger.executions()
    ledger.release("square", 150)
    time.sleep(0.3)
    assert ledger.executions() == begun
    left = {key.rpartition("}:")[2] for key in rig.list_keys() if run_id in key}
    assert left <= {"meta", "journal", "end", "queues", "maps", "m:map:state", "m:map:journal"}


def test_an_embedded_cluster_goes_with_its_client(
    rig: Rig, ledger: Ledger, start_client: StartClient
) -> None:
    # Given a client with a Redis and workers of its own, in the middle of a node
    ledger.hold("begin")
    client = start_client("embedded")
    ledger.wait_for("begin")
    started = psutil.Process(client.process.pid).children(recursive=True)
    directory = Path(urlsplit(client.told["url"]).path).parent
    assert len(started) >= 5, "guardian, Redis, supervisor and two children"
    assert directory.is_dir()

    # When it is killed
    os.kill(client.process.pid, signal.SIGKILL)

    # Then nothing of it is left
    assert wait_until(lambda: not any(is_alive(process.pid) for process in started), 5.0)
    assert wait_until(lambda: not directory.exists(), 5.0)
