"""A host replaces what dies, gives back what it held, and stops as it is told."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from hypergraph import Graph, WorkerCrashed, node
from hypergraph.errors import NodeExited
from hypergraph.runners.distributed import DistributedRunner
from hypergraph.store.link import Link
from hypergraph.store.redis import RedisStore
from hypergraph.values.secret import load_secret
from hypergraph.worker.config import WorkerConfig, new_worker_id
from hypergraph.worker.registry import live_workers
from tests.hosts import Host
from tests.processes import is_alive, wait_until
from tests.redis_server import RedisServer

StartHost = Callable[..., Host]

SECRET = "a secret for tests"


@node(output_name="y")
def double(x: int) -> int:
    return 2 * x


@pytest.fixture
def config(redis_url: str, namespace: str) -> WorkerConfig:
    return WorkerConfig(
        url=redis_url,
        namespace=namespace,
        secret=load_secret(SECRET, redis_url)[0],
        worker_id=new_worker_id("test"),
        lease_s=2.0,
        beat_s=0.1,
        drain_s=10.0,
    )


@pytest.fixture
def store(config: WorkerConfig) -> Iterator[RedisStore]:
    link = Link(config.url)
    yield RedisStore(link, config.namespace)
    link.close()


@pytest.fixture
def start_host(config: WorkerConfig, tmp_path: Path) -> Iterator[StartHost]:
    with ExitStack() as hosts:

        def start(behaviour: str, run_id: str = "-", **options: object) -> Host:
            host = Host(replace(config, **options), tmp_path, behaviour, run_id)  # type: ignore[arg-type]
            hosts.callback(host.stop)
            return host

        yield start


@pytest.fixture
def runner(config: WorkerConfig) -> Iterator[DistributedRunner]:
    with DistributedRunner(config.url, namespace=config.namespace, secret=SECRET) as runner:
        yield runner


@pytest.fixture
def run_id(runner: DistributedRunner) -> str:
    """A run of one task, which nobody has claimed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nobody can do it for now: so we want it
        return runner.submit(Graph([double]), {"x": 1}).run_id


def losses(store: RedisStore, run_id: str) -> int:
    """How many executions of the run's task were lost so far, and count."""
    found = store.link.client.hget(store.keys.run(run_id, "attempts"), "double")
    return int(found or 0)


# -- what dies is replaced ------------------------------------------------------------------------


def test_a_killed_child_is_replaced_within_a_second(start_host: StartHost, run_id: str) -> None:
    host = start_host("body", run_id)
    first = host.wait_for("began")

    os.kill(first.pid, signal.SIGKILL)
    killed_at = time.monotonic()
    second = host.wait_for("began", times=2)

    assert time.monotonic() - killed_at < 1.0
    assert (first.child, second.child) == ("c1", "c2")
    assert "Child c1" in host.logged
    assert "SIGKILL" in host.logged
    assert f"run {run_id}, double" in host.logged


def test_a_body_that_was_running_when_its_process_died_counts_one_execution(
    start_host: StartHost, run_id: str, store: RedisStore
) -> None:
    host = start_host("body", run_id)
    os.kill(host.wait_for("began").pid, signal.SIGKILL)
    host.wait_for("began", times=2)

    lost = [entry.fields for entry in store.read_journal(run_id, 0) if entry.kind == "lost"]

    assert [fields["task"] for fields in lost] == [b"double"]
    assert losses(store, run_id) == 1


@pytest.mark.parametrize(
    ("deadly", "expected"),
    [
        pytest.param(signal.SIGKILL, signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGSEGV, signal.SIGSEGV, id="segfault"),
    ],
)
def test_a_body_that_kills_three_processes_fails_and_says_how(
    start_host: StartHost,
    runner: DistributedRunner,
    run_id: str,
    deadly: signal.Signals,
    expected: signal.Signals,
) -> None:
    host = start_host("body", run_id)
    for times in (1, 2, 3):
        os.kill(host.wait_for("began", times=times).pid, deadly)

    with pytest.raises(WorkerCrashed) as caught:
        runner.attach(run_id).result(timeout=10)

    crash = caught.value
    assert (crash.signal, crash.exit_code) == (expected, None)
    assert (crash.node, crash.item, crash.attempts) == ("double", None, 3)
    assert crash.worker == f"{host.config.worker_id}/c3"


def test_a_body_that_exits_three_processes_fails_and_says_so(
    start_host: StartHost, runner: DistributedRunner, run_id: str
) -> None:
    start_host("exit", run_id)

    with pytest.raises(NodeExited) as caught:
        runner.attach(run_id).result(timeout=10)

    assert (caught.value.exit_code, caught.value.node) == (0, "double")


def test_a_process_that_dies_of_what_it_does_before_a_body_counts_as_well(
    start_host: StartHost, run_id: str, store: RedisStore
) -> None:
    host = start_host("between", run_id)
    os.kill(host.wait_for("began").pid, signal.SIGKILL)
    host.wait_for("began", times=2)

    assert losses(store, run_id) == 1


def test_what_a_dead_child_has_started_is_asked_to_end(start_host: StartHost, run_id: str) -> None:
    host = start_host("parent", run_id)
    subprocess = host.wait_for("subprocess")
    os.kill(host.wait_for("began").pid, signal.SIGKILL)

    assert wait_until(lambda: not is_alive(subprocess.pid))


def test_children_that_die_before_they_work_are_replaced_ever_more_slowly(
    start_host: StartHost,
) -> None:
    host = start_host("broken")
    host.wait_for("started", times=4)

    assert "exit code 3" in host.logged
    assert [f"again in {wait} s" in host.logged for wait in (0.1, 0.2, 0.4)] == [True] * 3
    assert "tests.stand_in_child" in host.logged, "the log says what to try"


def test_a_child_that_is_stopped_for_a_lease_is_killed_and_counted(
    start_host: StartHost, run_id: str, store: RedisStore
) -> None:
    host = start_host("body", run_id, lease_s=0.5)
    os.kill(host.wait_for("began").pid, signal.SIGSTOP)

    assert host.wait_for("began", times=2).child == "c2"
    assert losses(store, run_id) == 1
    assert "stopped for longer than a lease" in host.logged


# -- stopping -------------------------------------------------------------------------------------


def test_a_signal_drains(start_host: StartHost, run_id: str, store: RedisStore) -> None:
    host = start_host("body", run_id)
    host.wait_for("began")

    host.signal(signal.SIGTERM)

    assert host.wait() == 0
    assert [said.word for said in host.said] == ["started", "began", "asked", "left"]
    assert "Draining 1 node" in host.logged
    assert losses(store, run_id) == 0, "what is given back does not count"
    assert live_workers(store) == []
    assert store.held(host.config.worker_id) == []


def test_what_does_not_finish_in_time_is_killed_and_does_not_count(
    start_host: StartHost, run_id: str, store: RedisStore
) -> None:
    host = start_host("deaf", run_id, drain_s=0.5)
    child = host.wait_for("began")

    host.signal(signal.SIGTERM)

    assert host.wait() == 0
    assert not is_alive(child.pid)
    assert losses(store, run_id) == 0
    assert store.inspect(run_id).ready == {host.config.full_queues[0]: 1}
    assert live_workers(store) == []


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_second_signal_stops_within_a_second(
    start_host: StartHost, run_id: str, store: RedisStore, second: signal.Signals
) -> None:
    host = start_host("deaf", run_id, drain_s=60.0)
    host.wait_for("began")
    host.signal(signal.SIGINT)
    host.wait_for("asked")

    host.signal(second)
    asked_at = time.monotonic()

    assert host.wait() == 0
    assert time.monotonic() - asked_at < 1.0
    assert losses(store, run_id) == 0


def test_the_quit_signal_stops_at_once(start_host: StartHost, run_id: str) -> None:
    host = start_host("deaf", run_id, drain_s=60.0)
    host.wait_for("began")

    host.signal(signal.SIGQUIT)

    assert host.wait(2.0) == 0
    assert [said.word for said in host.said] == ["started", "began"]


def test_children_go_when_their_supervisor_is_killed(start_host: StartHost, run_id: str) -> None:
    host = start_host("deaf", run_id, processes=2)
    host.wait_for("began")
    host.wait_for("started", times=2)

    host.process.kill()

    assert wait_until(lambda: not any(is_alive(said.pid) for said in host.said))


def test_a_local_host_goes_when_its_client_has_gone(start_host: StartHost, run_id: str) -> None:
    host = start_host("deaf", run_id, local=True)
    host.wait_for("began")

    assert host.process.stdin is not None
    host.process.stdin.close()

    assert host.wait(2.0) == 0
    assert wait_until(lambda: not any(is_alive(said.pid) for said in host.said))


# -- what others see ------------------------------------------------------------------------------


def test_a_host_says_what_it_is_and_what_it_runs(
    start_host: StartHost, run_id: str, store: RedisStore
) -> None:
    host = start_host("body", run_id, name="big", labels=("gpu", "a100"))
    began = host.wait_for("began")

    assert wait_until(lambda: any(info.running and info.modules for info in live_workers(store)))
    (info,) = live_workers(store)
    (body,) = info.running
    assert (info.id, info.pid, info.name) == (host.config.worker_id, host.process.pid, "big")
    assert info.labels == ("gpu", "a100")
    assert info.children == {"c1": began.pid}
    assert info.serves("default")
    assert not info.draining
    assert info.has_module("json")
    assert info.has_module("hypergraph.worker")
    assert not info.has_module("no_such_module")
    assert (body.child, body.run_id, body.unit, body.item) == ("c1", run_id, "double", None)
    assert 0 <= body.seconds < 30


def test_a_draining_host_serves_no_queue(
    start_host: StartHost, run_id: str, store: RedisStore
) -> None:
    host = start_host("deaf", run_id, drain_s=60.0)
    host.wait_for("began")
    host.signal(signal.SIGTERM)

    assert wait_until(lambda: any(info.draining for info in live_workers(store)))
    assert not any(info.serves("default") for info in live_workers(store))


def test_a_host_that_was_taken_for_dead_still_gives_back_what_it_holds_later(
    start_host: StartHost, run_id: str, store: RedisStore
) -> None:
    # Given a host that was stopped, and buried meanwhile
    host = start_host("body", run_id, lease_s=0.5)
    began = host.wait_for("began")
    host.signal(signal.SIGSTOP)
    time.sleep(0.6)
    store.bury(host.config.worker_id)

    # When it goes on
    host.signal(signal.SIGCONT)

    # Then it is listed again, with what its children may hold
    assert wait_until(lambda: live_workers(store))
    assert wait_until(
        lambda: store.held(host.config.worker_id) == [(f"{host.config.worker_id}/c1/0", run_id)]
    )
    os.kill(began.pid, signal.SIGKILL)
    host.wait_for("began", times=2)


# -- Redis away -----------------------------------------------------------------------------------


@pytest.fixture
def own_redis(make_redis: Callable[..., RedisServer]) -> RedisServer:
    return make_redis()


def test_a_host_outlives_its_redis(start_host: StartHost, own_redis: RedisServer) -> None:
    host = start_host("idle", url=own_redis.url)
    host.wait_for("started")
    own_redis.restart()
    link = Link(own_redis.url)
    store = RedisStore(link, host.config.namespace)

    assert wait_until(lambda: live_workers(store), 5.0)
    (info,) = live_workers(store)
    assert info.host, "a store that has forgotten everything is told everything"
    link.close()


def test_a_host_stops_also_without_redis(start_host: StartHost, own_redis: RedisServer) -> None:
    host = start_host("idle", url=own_redis.url)
    host.wait_for("started")
    own_redis.kill()

    host.signal(signal.SIGTERM)

    assert host.wait(6.0) == 0


def test_a_host_that_waits_for_its_redis_can_be_stopped(
    start_host: StartHost, own_redis: RedisServer
) -> None:
    own_redis.kill()
    host = start_host("idle", url=own_redis.url)
    assert wait_until(lambda: "does not answer" in host.logged, 5.0)

    host.signal(signal.SIGTERM)

    assert host.wait(6.0) == 0
    assert host.said == [], "nobody was told who it is"
