"""``hypergraph worker`` and ``hypergraph workers``: hosts are started and seen from a shell."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hypergraph import DistributedRunner, Graph, node
from hypergraph.errors import UntrustedPayload
from tests.commands import Command, end
from tests.ledger import Ledger
from tests.processes import command_line, is_alive, wait_until
from tests.redis_server import RedisServer

SECRET = b"a secret that nobody shows"

Start = Callable[..., subprocess.Popen[bytes]]


@node(output_name="pid")
def where(x: int) -> int:
    return os.getpid()


@pytest.fixture
def command(redis_url: str, namespace: str) -> Command:
    return Command(redis_url, namespace, SECRET)


@pytest.fixture
def start(command: Command, tmp_path: Path) -> Iterator[Start]:
    """Start a worker with options; wait until it is listed."""
    started: list[subprocess.Popen[bytes]] = []

    def start_(*options: str, processes: int = 1) -> subprocess.Popen[bytes]:
        log = tmp_path / f"worker{len(started)}.log"
        options = ("--processes", str(processes), *options)
        process = command.start("worker", *options, log=log)
        started.append(process)
        assert wait_until(lambda: process.pid in pids(command) or process.poll(), 15), (
            log.read_text()
        )
        return process

    yield start_
    for process in started:
        end(process)


@pytest.fixture
def client(redis_url: str, namespace: str) -> Iterator[DistributedRunner]:
    with DistributedRunner(redis_url, secret=SECRET, namespace=namespace) as runner:
        yield runner


def hosts(command: Command) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = command("workers", "--json").json
    return found


def pids(command: Command) -> list[int]:
    return [host["pid"] for host in hosts(command)]


def test_a_worker_runs_what_clients_submit_and_is_listed(
    start: Start, command: Command, client: DistributedRunner
) -> None:
    process = start("--name", "db1", "--label", "gpu=a100", "--label", "rack=7", processes=2)
    ran_in = client.run(Graph([where]), x=1, progress=False)["pid"]
    # Its processes are in what a host says of itself from its second heartbeat on.
    assert wait_until(lambda: ran_in in hosts(command)[0]["children"].values(), 10.0)
    (host,) = hosts(command)
    told = command("workers")

    assert host["pid"] == process.pid
    assert ran_in in host["children"].values()
    assert len(host["children"]) == 2
    assert (host["labels"], host["threads"]) == (["gpu=a100", "rack=7"], 1)
    assert "modules" not in host
    assert told.out.startswith("1 live worker, 0 of 2 slots busy\n")
    assert f"db1-{process.pid}-" in told.out
    assert "labels gpu=a100, rack=7" in told.out


def test_sigterm_lets_what_runs_finish_and_exits_with_0(
    start: Start, command: Command, client: DistributedRunner, ledger: Ledger, tmp_path: Path
) -> None:
    # Given a worker in the middle of a node
    go = str(tmp_path / "go")

    @node(output_name="waited")
    def wait(x: int) -> int:
        ledger.note("begun")
        while not os.path.exists(go):
            time.sleep(0.01)
        return x

    process = start()
    handle = client.submit(Graph([wait]), x=1)
    assert wait_until(lambda: len(ledger), 10)

    # When it is told to stop
    process.send_signal(signal.SIGTERM)
    assert wait_until(lambda: "draining" in command("workers").out, 10)

    # Then what runs is finished, and it leaves the list
    Path(go).touch()
    assert handle.result(10)["waited"] == 1
    assert process.wait(15) == 0
    assert command("workers").code == 0
    assert "No live worker" in command("workers").out


def test_drain_s_is_how_long_it_waits(
    start: Start, client: DistributedRunner, ledger: Ledger
) -> None:
    @node(output_name="waited")
    def wait(x: int) -> int:
        ledger.note("begun")
        time.sleep(60)
        return x

    process = start("--drain-s", "0.2")
    handle = client.submit(Graph([wait]), x=1)
    assert wait_until(lambda: len(ledger), 10)
    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == 0
    assert handle.status.value in ("queued", "running")
    handle.cancel()


def test_neither_secret_nor_password_is_on_any_command_line(
    start: Start, redis_server: RedisServer, client: DistributedRunner
) -> None:
    process = start(processes=2)
    client.run(Graph([where]), x=1, progress=False)
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(True))]
    lines = " ".join(map(command_line, family))

    assert len(family) >= 3
    assert SECRET.decode() not in lines
    assert redis_server.password not in lines


def test_the_secret_may_be_in_a_file(
    redis_url: str, namespace: str, tmp_path: Path, client: DistributedRunner
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\n")
    command = Command(redis_url, namespace)
    process = command.start(
        "worker", "--processes", "1", "--secret-file", str(file), log=tmp_path / "log"
    )
    try:
        assert client.run(Graph([where]), x=1, progress=False)["pid"] != os.getpid()
    finally:
        end(process)


def test_a_worker_serves_the_queues_it_is_told_and_no_other(
    start: Start, command: Command, client: DistributedRunner
) -> None:
    start("--queues", "gpu, cpu")

    with pytest.warns(UserWarning, match="No live worker serves queue"):
        handle = client.submit(Graph([where]), x=1)
    assert "queues gpu, cpu" in command("workers").out
    assert "Nobody serves it" in command("runs", "show", handle.run_id).out
    handle.cancel()


def test_allow_modules_refuses_code_that_a_client_brings_along(
    start: Start, client: DistributedRunner
) -> None:
    start("--allow-modules", "json,html")

    @node(output_name="y")
    def brought(x: int) -> int:
        return x

    with pytest.raises(UntrustedPayload, match="runs only what lies in html, json"):
        client.run(Graph([brought]), x=1, progress=False)


def test_a_worker_with_another_secret_runs_nothing(
    redis_url: str, namespace: str, tmp_path: Path, client: DistributedRunner
) -> None:
    stranger = Command(redis_url, namespace, b"another secret")
    process = stranger.start("worker", "--processes", "1", log=tmp_path / "log")
    try:
        assert wait_until(lambda: process.pid in pids(stranger), 15)
        handle = client.submit(Graph([where]), x=1)
        with pytest.raises(TimeoutError):
            handle.result(1.5)
        handle.cancel()
    finally:
        end(process)


def test_a_worker_may_wait_for_its_redis(
    make_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    # Given a Redis that is not there yet
    server = make_redis()
    server.kill()
    command = Command(server.url, secret=SECRET)
    process = command.start("worker", "--processes", "1", "--wait", log=tmp_path / "log")
    try:
        assert wait_until(lambda: "Waiting for it" in (tmp_path / "log").read_text(), 20)

        # When it comes
        server.start()

        # Then the worker serves
        assert wait_until(lambda: process.pid in pids(command), 20)
    finally:
        end(process)


def test_nothing_is_left_when_a_worker_is_killed(start: Start) -> None:
    process = start(processes=2)
    children = [child.pid for child in psutil.Process(process.pid).children(True)]
    process.kill()

    assert wait_until(lambda: not any(map(is_alive, children)), 10)
