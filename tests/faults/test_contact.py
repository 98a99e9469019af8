"""First contact fails within five seconds and by name, and nothing of it is stored."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from hypergraph import DistributedRunner, Graph, node
from hypergraph.embedded.server import free_port
from hypergraph.errors import IncompatibleWorker, MissingModule, NoWorker, StoreUnavailable
from hypergraph.store.link import Link
from hypergraph.transport.tags import make_tag
from tests.faults.conftest import MakeRig
from tests.faults.ledger import read_commits, read_item_commits
from tests.faults.rig import SECRET, Rig
from tests.processes import wait_until
from tests.redis_server import RedisServer

#: First contact fails within this time, or not at all.
CONTACT_S = 5.0


@node(output_name="y")
def add_one(x: int) -> int:
    return x + 1


PLAIN = Graph([add_one], name="plain")


def run(runner: DistributedRunner, graph: Graph) -> object:
    return runner.run(graph, x=1)


def map_(runner: DistributedRunner, graph: Graph) -> object:
    return runner.map(graph, x=[1, 2], map_over="x")


def iterate(runner: DistributedRunner, graph: Graph) -> object:
    return next(iter(runner.map_iter(graph, x=count(), map_over="x")))


def submit(runner: DistributedRunner, graph: Graph) -> object:
    return runner.submit(graph, x=1, require_worker=True)


def submit_map(runner: DistributedRunner, graph: Graph) -> object:
    return runner.submit_map(graph, x=[1, 2], map_over="x", require_worker=True)


WAYS = (run, map_, iterate, submit, submit_map)


# -- what is missing ----------------------------------------------------------------------------

RARE = "only_on_some_machines"


@pytest.fixture
def rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a module that this process can import, and workers only if they are told."""
    directory = tmp_path / "modules"
    directory.mkdir()
    (directory / f"{RARE}.py").write_text(
        "import os, time\ndef where(x):\n    time.sleep(0.02)\n    return os.getpid()\n"
    )
    monkeypatch.syspath_prepend(directory)
    yield directory
    sys.modules.pop(RARE, None)


def rare_graph() -> Graph:
    module: ModuleType | Any = __import__(RARE)
    return Graph([node(output_name="pid")(module.where)], name="rare")


class Situation(NamedTuple):
    """Something that is missing at first contact."""

    make_runner: Callable[[], DistributedRunner]
    graph: Graph
    expected: type[Exception]
    said: Sequence[str]  #: parts of the error's text
    rig: Rig | None = None  #: where nothing is stored


def no_redis() -> Situation:
    url = free_port().url("a password")
    return Situation(
        lambda: DistributedRunner(url, secret=SECRET),
        PLAIN,
        StoreUnavailable,
        ["cannot be reached"],
    )


def frozen_redis(url: str) -> Situation:
    return Situation(
        lambda: DistributedRunner(url, secret=SECRET),
        PLAIN,
        StoreUnavailable,
        ["cannot be reached"],
    )


def no_worker(rig: Rig) -> Situation:
    return Situation(rig.runner, PLAIN, NoWorker, ["default"], rig)


def other_queue(rig: Rig) -> Situation:
    rig.start_host(queues=("gpu",))
    return Situation(rig.runner, PLAIN, NoWorker, ["default"], rig)


def other_python(rig: Rig) -> Situation:
    mine, other = sys.version_info.minor, sys.version_info.minor + 1
    tag = make_tag(3, other, 1)
    rig.store.beat("stranger-1-abcd", 60.0, {"queues": f"default.{tag}", "tag": tag})
    rig.store.link.client.zincrby(rig.store.keys.workers, 60_000, "stranger-1-abcd")  # stays alive
    said = ["stranger-1-abcd", f"python 3.{mine},", f"python 3.{other},"]
    return Situation(lambda: rig.runner(DistributedRunner), PLAIN, IncompatibleWorker, said, rig)


def no_module(rig: Rig) -> Situation:
    host = rig.start_host()
    assert wait_until(lambda: "modules" in rig.store.workers(60.0)[host.id], 10.0)
    return Situation(
        lambda: rig.runner(ship="reference"), rare_graph(), MissingModule, [RARE, host.id], rig
    )


def fail(
    name: str, situation: Situation, way: Callable[[DistributedRunner, Graph], object]
) -> None:
    """Try something in a situation: it fails as expected, and in time."""
    began = time.monotonic()
    with pytest.raises(Exception) as caught, situation.make_runner() as runner:
        way(runner, situation.graph)
    took_s = time.monotonic() - began
    case = f"{name}, {way.__name__}"
    print(f"measured: {case}: {type(caught.value).__name__} after {took_s:.2f} s")
    assert type(caught.value) is situation.expected, case
    assert all(part in str(caught.value) for part in situation.said), case
    assert "a password" not in str(caught.value), case
    assert took_s < CONTACT_S, case


def test_whatever_is_missing_is_named_within_five_seconds_and_nothing_is_stored(
    redis_server: RedisServer,
    make_redis: Callable[..., RedisServer],
    make_rig: MakeRig,
    rare: Path,
) -> None:
    # Given all that may be missing, and every way to find out
    def rig() -> Rig:
        return make_rig(redis_server.url)

    frozen = make_redis()
    situations = {
        "no Redis": no_redis(),
        "a frozen Redis": frozen_redis(frozen.url),
        "no worker": no_worker(rig()),
        "workers for another queue": other_queue(rig()),
        "workers of another Python": other_python(rig()),
        "workers without the module": no_module(rig()),
    }
    pid = frozen.freeze()

    # Then each fails by name, and in time
    with ThreadPoolExecutor(30) as threads:
        tries = [
            threads.submit(fail, name, situation, way)
            for name, situation in situations.items()
            for way in WAYS
        ]
    frozen.thaw(pid)
    for tried in tries:
        tried.result()
    # ... and leaves nothing behind, also where Redis hears of it later
    for name, situation in situations.items():
        if situation.rig is not None:
            left = {key for key in situation.rig.list_keys() if not key.startswith("worker")}
            assert left <= {"tick"}, name
    link = Link(frozen.url)
    assert link.client.keys("*") == []
    link.close()


# -- modules ------------------------------------------------------------------------------------


def test_a_worker_without_the_module_leaves_the_work_to_one_that_has_it(
    rig: Rig, rare: Path
) -> None:
    # Given a host that can import the module, and two that cannot
    poor = [rig.start_host() for _ in range(2)]
    rich = rig.start_host(sys_path=(*rig.config.sys_path, str(rare)))
    runner = rig.runner(ship="reference")

    # When many runs and a map need it
    handles = [runner.submit(rare_graph(), x=i) for i in range(8)]
    items = runner.submit_map(rare_graph(), x=range(30), map_over="x")

    # Then all is done on the one, and as a first attempt
    assert {handle.result(timeout=20)["pid"] for handle in handles} <= rich.children
    assert set(items.result(timeout=20)["pid"]) <= rich.children
    for handle in handles:
        assert [c.attempt for c in read_commits(rig.store, handle.run_id)["where"]] == [1]
    commits = read_item_commits(rig.store, items.run_id)
    assert {c.attempt for found in commits.values() for c in found} == {1}
    assert sorted(commits) == list(range(30))
    assert all(host.process.poll() is None for host in poor)


def test_a_run_fails_when_every_worker_has_refused_it(rig: Rig, rare: Path) -> None:
    # Given hosts that say they have a module, and do not
    hosts = [rig.start_host() for _ in range(2)]
    assert wait_until(lambda: all("modules" in w for w in rig.store.workers(60.0).values()), 10.0)
    for host in hosts:
        rig.store.link.client.hset(rig.store.keys.worker(host.id), "modules", RARE)
    runner = rig.runner(ship="reference")

    # Then a run and a map say what is missing, and where
    for way in (run, map_):
        with pytest.raises(MissingModule) as caught:
            way(runner, rare_graph())
        assert caught.value.module == RARE
        assert set(caught.value.workers) == {host.id for host in hosts}


def test_what_is_queued_without_workers_is_done_when_they_come(rig: Rig) -> None:
    runner = rig.runner()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        handle = runner.submit(PLAIN, x=1)
        items = runner.submit_map(PLAIN, x=[1, 2, 3], map_over="x")
    assert len(said) == 2
    assert "No live worker" in str(said[0].message)

    rig.start_host()

    assert handle.result(timeout=10)["y"] == 2
    assert items.result(timeout=10)["y"] == [2, 3, 4]


def test_another_secret_gets_nothing_done(rig: Rig) -> None:
    # Given a client with a secret that the workers do not know
    host = rig.start_host()
    stranger = DistributedRunner(rig.url, secret=b"another secret", namespace=rig.namespace)
    with stranger:
        handle = stranger.submit(PLAIN, x=1)

        # Then its work is not done, and says so nowhere but in the workers' logs
        with pytest.raises(TimeoutError):
            handle.result(timeout=2)
        assert "another secret" in host.log.read_text()
    # ... and others go on
    assert rig.runner().run(PLAIN, x=1)["y"] == 2
