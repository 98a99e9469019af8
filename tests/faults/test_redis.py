"""Redis may be killed, and may freeze: nothing is lost, nothing is doubled, nobody is restarted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from hypergraph import DistributedRunner, Graph, MapResult, node
from tests.faults.bodies import DIAMOND
from tests.faults.conftest import MakeRig
from tests.faults.ledger import Ledger, check_map, check_run
from tests.faults.rig import Rig
from tests.redis_server import AOF, RedisServer

#: From Redis answering again to work going on.
FLOWS_S = 3.0

ITEMS = 120


@node(output_name="y")
def linger(item: int, ledger: Ledger) -> int:
    with ledger.call("linger", item):
        time.sleep(0.02)
        return -item


LINGERING = Graph([linger], name="lingering")


class Work:
    """A run, a map that was submitted and a map that its client feeds, all under way."""

    def __init__(self, rig: Rig, runner: DistributedRunner, ledger: Ledger) -> None:
        self.rig = rig
        self.ledgers = [Ledger(f"{ledger.path}.{name}") for name in ("run", "submitted", "fed")]
        of_run, submitted, fed = self.ledgers
        of_run.hold("go_left")
        self._threads = ThreadPoolExecutor(1)
        self.run = runner.submit(DIAMOND, {"x": 1, "ledger": of_run})
        of_run.wait_for("go_left")
        before = {run_id for run_id, _ in rig.store.list_runs()}
        self.fed: Future[MapResult] = self._threads.submit(
            runner.map, LINGERING, {"item": range(ITEMS), "ledger": fed}, map_over="item"
        )
        fed.wait_for("linger", 5)
        self.fed_id = ({run_id for run_id, _ in rig.store.list_runs()} - before).pop()
        self.submitted = runner.submit_map(
            LINGERING, {"item": range(ITEMS), "ledger": submitted}, map_over="item"
        )
        submitted.wait_for("linger", 5)

    def begun_after(self, at_s: float) -> float:
        """Return when the first body began after a point in time."""
        for _ in range(2000):
            begun = [
                call.at_s
                for ledger in self.ledgers
                for call in ledger.read()
                if call.word == "begin" and call.at_s > at_s
            ]
            if begun:
                return min(begun)
            time.sleep(0.005)
        raise AssertionError("nothing goes on")

    def check(self) -> None:
        """Wait for the end: the results are right, and every body was executed once."""
        of_run, submitted, fed = self.ledgers
        of_run.release("go_left")
        expected = [-item for item in range(ITEMS)]
        assert self.run.result(timeout=20)["total"] == 10
        assert self.submitted.result(timeout=20)["y"] == expected
        assert self.fed.result(timeout=20)["y"] == expected
        check_run(of_run, self.rig.store, self.run.run_id)
        check_map(submitted, self.rig.store, self.submitted.run_id, ITEMS)
        check_map(fed, self.rig.store, self.fed_id, ITEMS)

    def close(self) -> None:
        self._threads.shutdown()


StartWork = Callable[..., Work]


@pytest.fixture
def start_work() -> Iterator[StartWork]:
    works: list[Work] = []

    def start(*arguments: Any) -> Work:
        works.append(Work(*arguments))
        return works[-1]

    yield start
    for work in works:
        work.close()


@pytest.fixture
def durable(make_redis: Callable[..., RedisServer]) -> RedisServer:
    return make_redis(dict(AOF))


def test_redis_may_be_killed_in_the_middle_of_everything(
    durable: RedisServer, make_rig: MakeRig, ledger: Ledger, start_work: StartWork
) -> None:
    # Given a run and two maps under way
    rig = make_rig(durable.url)
    host = rig.start_host(processes=3)
    work = start_work(rig, rig.runner(), ledger)
    children = host.children

    # When Redis is killed, and comes back after two leases
    durable.kill()
    time.sleep(2.0)
    durable.start()
    back_at = time.monotonic()

    # Then work goes on, every body is executed once, and no process had to be restarted
    flows_s = work.begun_after(back_at) - back_at
    print(f"measured: work flows {flows_s:.2f} s after Redis is back")
    assert flows_s < FLOWS_S
    work.check()
    assert host.children == children


def test_redis_may_freeze_for_longer_than_any_timeout(
    durable: RedisServer, make_rig: MakeRig, ledger: Ledger, start_work: StartWork
) -> None:
    # Given a run and two maps under way, with the usual lease
    rig = make_rig(durable.url)
    host = rig.start_host(replace(rig.config, lease_s=5.0, beat_s=1.0, processes=3))
    work = start_work(rig, rig.runner(DistributedRunner), ledger)
    children = host.children

    # When Redis is stopped for longer than the lease and than connections wait for a reply
    pid = durable.freeze()
    time.sleep(7.0)
    durable.thaw(pid)
    back_at = time.monotonic()

    # Then nothing was done twice, and nobody was taken for dead
    flows_s = work.begun_after(back_at) - back_at
    print(f"measured: work flows {flows_s:.2f} s after the thaw")
    assert flows_s < FLOWS_S
    work.check()
    assert host.children == children
    assert "vanished" not in host.log.read_text()
