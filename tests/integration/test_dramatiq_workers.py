"""Dramatiq's own command starts the same worker: `workers.main`, and applications like it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from hypergraph import DistributedRunner, Graph, RunHandle, WorkerCrashed, node
from hypergraph.store.link import Link
from hypergraph.store.redis import RedisStore
from hypergraph.worker import environment
from hypergraph.worker.registry import WorkerInfo, live_workers
from tests.ledger import Ledger
from tests.processes import is_alive, wait_until
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]

SECRET = "a secret of Dramatiq's workers"

#: An application as a user would write it, with every time scaled down.
QUICK = """
from hypergraph.worker.application import make_broker

broker = make_broker(name="quick", lease_s=1.0, beat_s=0.1)
"""


class Command:
    """Dramatiq's command, with the workers of one application.

    Args:
        application: What `dramatiq` is called with: a module.
        options: Its options.
        variables: The environment, besides that of the tests.
        directory: Where it is started; an application may lie there.
        log: Where it writes.
    """

    def __init__(
        self,
        application: str,
        options: tuple[str, ...],
        variables: dict[str, str],
        directory: Path,
        log: Path,
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dramatiq", application, *options],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def logged(self) -> str:
        """What it and its processes have said so far."""
        return self.log.read_text()

    def signal(self, number: int) -> None:
        """Send Dramatiq's master a signal."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 15.0) -> int:
        """Wait until the master has ended, and return its exit code."""
        return self.process.wait(timeout_s)

    def stop(self) -> None:
        """End whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


Start = Callable[..., Command]


@pytest.fixture
def store(redis_url: str, namespace: str) -> Iterator[RedisStore]:
    link = Link(redis_url)
    yield RedisStore(link, namespace)
    link.close()


@pytest.fixture
def start(redis_url: str, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Start `dramatiq APPLICATION OPTIONS...`; by default one that is quick to notice things."""
    (tmp_path / "quick.py").write_text(QUICK)
    variables = {
        environment.URL: redis_url,
        environment.NAMESPACE: namespace,
        "HYPERGRAPH_SECRET": SECRET,
        "TMPDIR": str(tmp_path),
    }
    with ExitStack() as commands:

        def start(application: str = "quick", *options: str, **more: str) -> Command:
            directory = ROOT if application.startswith("workers.") else tmp_path
            command = Command(
                application,
                options or ("-p", "1", "-t", "1"),
                {**variables, **more},
                directory,
                tmp_path / f"{application}.log",
            )
            commands.callback(command.stop)
            return command

        yield start


@pytest.fixture
def runner(redis_url: str, namespace: str) -> Iterator[DistributedRunner]:
    with DistributedRunner(redis_url, namespace=namespace, secret=SECRET) as runner:
        yield runner


def wait_for_host(store: RedisStore, command: Command) -> WorkerInfo:
    """Wait until the host is registered, and has told of its processes."""

    def told() -> list[WorkerInfo]:
        return [host for host in live_workers(store) if host.children]

    assert wait_until(told, 20.0), command.logged
    return told()[0]


def submit(runner: DistributedRunner, graph: Graph, **inputs: object) -> RunHandle:
    """Submit a run, whether or not somebody is there to do it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return runner.submit(graph, inputs)


@node(output_name="y")
def work(x: int, seconds: float, ledger: Ledger) -> int:
    print(f"working on {x}")
    ledger.note(f"begin {os.getpid()}")
    time.sleep(seconds)
    ledger.note(f"end {os.getpid()}")
    return 2 * x


@node(output_name="z")
def add(y: int) -> int:
    return y + 1


@node(output_name="y")
def die(ledger: Ledger) -> int:
    ledger.note(f"begin {os.getpid()}")
    signal.raise_signal(signal.SIGSEGV)  # in this thread: nothing comes after it
    return 1


@node(output_name="y")
def hold_the_lock(ledger: Ledger) -> int:
    ledger.note(f"begin {os.getpid()}")
    ctypes.PyDLL(None).usleep(2_000_000)  # a function of C that keeps the interpreter's lock
    return 1


def pid_of(ledger: Ledger, word: str = "begin", times: int = 1) -> int:
    """Wait until some process has written a word down so many times, and return which it was."""

    def found() -> list[str]:
        return [line for line in ledger.words if line.startswith(word)]

    assert wait_until(lambda: len(found()) >= times, 20.0), ledger.words
    return int(found()[times - 1].split()[1])


# -- the same worker ------------------------------------------------------------------------------


def test_runs_and_maps_are_executed_by_every_process_of_the_command(
    start: Start, store: RedisStore, runner: DistributedRunner, ledger: Ledger
) -> None:
    labels = {environment.LABELS: "disk=fast, zone=a", environment.NAME: "box"}
    command = start("workers.main", "-p", "2", "-t", "1", **labels)
    host = wait_for_host(store, command)
    graph = Graph([work, add])

    result = runner.run(graph, x=5, seconds=0.0, ledger=ledger)
    items = {"x": list(range(8)), "seconds": 0.05, "ledger": ledger}
    results = runner.map(graph, items, map_over="x", chunk=1)

    assert result["z"] == 11
    assert [item["z"] for item in results] == [2 * x + 1 for x in range(8)]
    pids = {int(line.split()[1]) for line in ledger.words}
    assert pids == set(host.children.values())
    assert (host.name, host.labels) == ("box", ("disk=fast", "zone=a"))
    assert (host.processes, host.threads) == (2, 1)
    assert f"[{result.run_id} work] working on 5\n" in command.logged
    assert SECRET not in command.logged


def test_a_copy_of_the_gpu_application_serves_its_own_queue(
    start: Start, store: RedisStore
) -> None:
    command = start("workers.gpu", "-p", "1", "-t", "1", **{environment.QUEUES: "other"})

    host = wait_for_host(store, command)

    assert [queue for queue in ("gpu", "default", "other") if host.serves(queue)] == ["gpu"]
    assert host.labels == ("kind=gpu",)


def test_work_begins_once_redis_has_come(
    start: Start, make_redis: Callable[..., RedisServer], namespace: str, ledger: Ledger
) -> None:
    redis = make_redis()
    redis.kill()
    command = start(**{environment.URL: redis.url})
    assert wait_until(lambda: "Redis does not answer" in command.logged, 20.0), command.logged

    redis.start()

    with DistributedRunner(redis.url, namespace=namespace, secret=SECRET) as runner:
        handle = submit(runner, Graph([work]), x=1, seconds=0.0, ledger=ledger)
        assert handle.result(timeout=10)["y"] == 2


def test_without_a_url_the_command_ends_and_says_what_to_set(start: Start) -> None:
    command = start(**{environment.URL: ""})

    assert command.wait() != 0
    assert "Which Redis? Set HYPERGRAPH_REDIS_URL" in command.logged


def test_lines_are_objects_where_that_is_asked_for(
    start: Start, store: RedisStore, runner: DistributedRunner, ledger: Ledger
) -> None:
    command = start(**{environment.LOG_FORMAT: "json"})
    wait_for_host(store, command)
    run_id = runner.run(Graph([work]), x=5, seconds=0.0, ledger=ledger).run_id

    # Dramatiq's master speaks for itself, as it does.
    said = [json.loads(line) for line in command.logged.splitlines() if line.startswith("{")]

    (printed,) = (line for line in said if line["message"] == "working on 5")
    assert (printed["run"], printed["node"], printed["attempt"]) == (run_id, "work", 1)
    assert "hypergraph.worker" in {line["logger"] for line in said}


# -- the end --------------------------------------------------------------------------------------


def test_a_term_signal_lets_finish_what_runs_and_takes_nothing_more(
    start: Start, store: RedisStore, runner: DistributedRunner, ledger: Ledger
) -> None:
    command = start()
    first = submit(runner, Graph([work]), x=1, seconds=1.0, ledger=ledger)
    pid_of(ledger)

    command.signal(signal.SIGTERM)
    second = submit(runner, Graph([work]), x=2, seconds=0.0, ledger=ledger)

    assert command.wait() == 0
    assert first.result(timeout=5)["y"] == 2
    assert second.status.name in ("QUEUED", "RUNNING")
    assert len(ledger) == 2
    assert live_workers(store) == []


def test_a_second_term_signal_stops_at_once_and_blames_nobody(
    start: Start, store: RedisStore, runner: DistributedRunner, ledger: Ledger
) -> None:
    command = start()
    handle = submit(runner, Graph([work]), x=1, seconds=20.0, ledger=ledger)
    pid_of(ledger)

    command.signal(signal.SIGTERM)
    assert wait_until(lambda: "Stopping worker process" in command.logged, 5.0)
    command.signal(signal.SIGTERM)
    stopped_at = time.monotonic()

    assert command.wait() != 0
    assert time.monotonic() - stopped_at < 3.0
    assert not store.link.client.hexists(store.keys.run(handle.run_id, "attempts"), "work")
    assert live_workers(store) == []


def test_what_a_killed_process_held_is_given_back_and_the_command_must_be_started_again(
    start: Start, store: RedisStore, runner: DistributedRunner, ledger: Ledger
) -> None:
    command = start("workers.main", "-p", "2", "-t", "1")
    handle = submit(runner, Graph([work]), x=1, seconds=1.0, ledger=ledger)
    os.kill(pid_of(ledger), signal.SIGKILL)

    def given_back() -> bool:
        kinds = [entry.kind for entry in store.read_journal(handle.run_id, 0)]
        return "lost" in kinds

    # Others need not wait for the lease of 5 s: the companion has seen it.
    assert wait_until(given_back, 3.0), command.logged
    assert command.wait() != 0
    assert "Dramatiq stops the others as well" in command.logged

    start()

    assert handle.result(timeout=20)["y"] == 2


def test_a_node_that_kills_its_process_three_times_fails(
    start: Start, runner: DistributedRunner, ledger: Ledger
) -> None:
    handle = submit(runner, Graph([die]), ledger=ledger)
    for _ in range(3):
        assert start().wait() != 0

    with pytest.raises(WorkerCrashed) as caught:
        handle.result(timeout=5)

    crash = caught.value
    assert (crash.node, crash.attempts, len(ledger)) == ("die", 3, 3)
    assert (crash.signal, crash.exit_code) == (None, None)  # only Dramatiq's master knows


def test_a_node_that_holds_the_interpreter_lock_is_not_taken_for_dead(
    start: Start, runner: DistributedRunner, ledger: Ledger
) -> None:
    command = start("quick", "-p", "2", "-t", "1")

    result = submit(runner, Graph([hold_the_lock]), ledger=ledger).result(timeout=30)

    assert result["y"] == 1
    assert len(ledger) == 1, command.logged


@pytest.mark.parametrize("who", ["master", "companion"])
def test_processes_end_with_whoever_would_notice_their_own_end(
    start: Start,
    store: RedisStore,
    runner: DistributedRunner,
    ledger: Ledger,
    tmp_path: Path,
    who: str,
) -> None:
    command = start("quick", "-p", "2", "-t", "1")
    host = wait_for_host(store, command)
    handle = submit(runner, Graph([work]), x=1, seconds=20.0, ledger=ledger)
    pid_of(ledger)

    os.kill(command.process.pid if who == "master" else host.pid, signal.SIGKILL)

    pids = [host.pid, *host.children.values()]
    assert wait_until(lambda: not any(map(is_alive, pids)), 5.0), command.logged
    assert command.wait() != 0
    if who == "master":  # then the companion gives back what they held; nobody is to blame
        assert not store.link.client.hexists(store.keys.run(handle.run_id, "attempts"), "work")
        assert not list(tmp_path.glob("hypergraph-*"))
