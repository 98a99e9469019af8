"""What a run leaves behind is its record; code and values cross no more often than they must."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from hypergraph import Graph, RunCancelled, node
from tests.faults.bodies import DIAMOND, SQUARES
from tests.faults.conftest import MakeRig
from tests.faults.ledger import Ledger
from tests.faults.rig import Rig
from tests.processes import wait_until
from tests.redis_server import RedisServer

#: What a run that has ended may keep, each for as long as its record.
RECORD = {"meta", "journal", "end", "queues", "maps", "m:map:state", "m:map:journal"}

#: What belongs to no run.
OF_ALL = {"runs", "workers", "tick", "active"}

DAY_S = 86_400


@node(output_name="y")
def fail_at_three(item: int) -> int:
    if item == 3:
        raise ValueError("three")
    return item


FAILING = Graph([fail_at_three], name="failing")


@node(output_name="total")
def add_up(square: list[int]) -> int:
    return sum(square)


FANNED = Graph([SQUARES.as_node().map_over("item"), add_up], name="fanned")


def parts_of(rig: Rig) -> dict[str, set[str]]:
    """Return the parts that are left of each run, by run; those of no run under ""."""
    found: dict[str, set[str]] = {}
    for key in rig.list_keys():
        if key.startswith("{run-"):
            run_id, _, part = key[1:].partition("}:")
            found.setdefault(run_id, set()).add(part)
        else:
            found.setdefault("", set()).add(key)
    return found


def check_only_records(rig: Rig, keep_s: float) -> None:
    """Check that what is left are records, and that all of it will go."""
    redis = rig.store.link.client
    # Reconcilers take what has ended off their list at their next look.
    assert wait_until(lambda: not redis.exists(rig.store.keys.active), 5.0)
    for run_id, parts in parts_of(rig).items():
        if run_id:
            assert parts <= RECORD, run_id
            for part in parts:
                ttl_s = redis.ttl(rig.store.keys.run(run_id, part))
                assert 0 < ttl_s <= keep_s, (run_id, part)
    for key in parts_of(rig)[""] - OF_ALL:
        kind = key.partition(":")[0]
        assert kind in {"code", "worker", "client"}, key
        ttl_s = redis.ttl(f"hg:{rig.namespace}:{key}")
        assert 0 < ttl_s <= DAY_S or key.endswith(":runs"), key


def test_what_is_run_and_mapped_leaves_only_its_record(rig: Rig, ledger: Ledger) -> None:
    # Given everything that can become of a run or map that its client waits for
    rig.start_host(processes=2)
    runner = rig.runner(keep_s=100)
    many = {"item": list(range(30)), "ledger": ledger}
    assert runner.run(DIAMOND, x=1, ledger=ledger)["total"] == 10
    assert runner.run(FANNED, many)["total"] == sum(n * n for n in range(30))
    assert len(runner.map(SQUARES, many, map_over="item")) == 30
    assert len(runner.map(FANNED, {**many, "item": [[1], [2]]}, map_over="item")) == 2
    with pytest.raises(ValueError, match="three"):
        runner.run(FAILING, item=3)
    assert runner.run(FAILING, item=3, error_handling="continue").error is not None
    with pytest.raises(ValueError, match="three"):
        runner.map(FAILING, item=range(30), map_over="item")
    runner.map(FAILING, item=range(30), map_over="item", error_handling="continue")
    for result in runner.map_iter(SQUARES, item=count(), ledger=ledger, map_over="item"):
        if result.index == 40:
            break
    with pytest.raises(ValueError, match="three"):
        list(runner.map_iter(FAILING, item=range(30), map_over="item"))
    never_begun = runner.map_iter(SQUARES, item=count(), ledger=ledger, map_over="item")
    never_begun.close()

    # Then of each there is its record
    check_only_records(rig, 100)
    assert len(parts_of(rig)) == 1 + 11


def test_what_is_submitted_is_kept_for_as_long_as_was_said(rig: Rig, ledger: Ledger) -> None:
    rig.start_host(processes=2)
    runner = rig.runner(keep_s=2)
    run = runner.submit(DIAMOND, x=1, ledger=ledger)
    map_ = runner.submit_map(SQUARES, item=range(30), ledger=ledger, map_over="item")
    for _ in range(2):
        assert run.result(timeout=10)["total"] == 10
        assert len(map_.result(timeout=10)) == 30

    assert wait_until(lambda: set(parts_of(rig)) == {""}, 5.0), "then all of it goes"


def test_what_is_cancelled_leaves_only_its_record(rig: Rig, ledger: Ledger) -> None:
    # Given runs and maps in the middle
    rig.start_host(processes=2)
    runner = rig.runner(keep_s=100)
    ledger.hold("begin")
    run = runner.submit(DIAMOND, x=1, ledger=ledger)
    ledger.wait_for("begin")
    ledger.hold("square", 5)
    map_ = runner.submit_map(SQUARES, item=range(30), ledger=ledger, map_over="item")
    ledger.wait_for("square", 5)

    # When they are cancelled
    run.cancel()
    map_.cancel()

    # Then no body begins any more, and what was under way is not committed
    begun = ledger.executions()
    ledger.release("begin")
    ledger.release("square", 5)
    for handle in (run, map_):
        with pytest.raises(RunCancelled):
            handle.result(timeout=5)
    time.sleep(0.3)
    assert ledger.executions() == begun
    # ... and what is left are records and, as they were submitted, their values
    redis = rig.store.link.client
    for run_id in (run.run_id, map_.run_id):
        parts = parts_of(rig)[run_id]
        assert parts <= RECORD | {"values", "m:map:out", "m:map:fresh"}
        assert all(0 < redis.ttl(rig.store.keys.run(run_id, part)) <= 100 for part in parts)


# -- what crosses ---------------------------------------------------------------------------------


@contextmanager
def listening(url: str) -> Iterator[Counter[tuple[str, str]]]:
    """Count the commands on code that a Redis is given meanwhile, by command and key."""
    import redis

    counted: Counter[tuple[str, str]] = Counter()
    client = redis.Redis.from_url(url)
    stop = threading.Event()
    ready = threading.Event()

    def listen() -> None:
        with client.monitor() as monitor:  # type: ignore[no-untyped-call]  # redis-py 8
            ready.set()
            for said in monitor.listen():
                command, *arguments = said["command"].split(" ")
                if arguments and ":code:" in arguments[0]:
                    counted[command, arguments[0].rpartition(":")[2]] += 1
                if stop.is_set() and command == "ECHO":
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    ready.wait()
    try:
        yield counted
    finally:
        stop.set()
        time.sleep(0.1)
        with redis.Redis.from_url(url) as other:
            other.echo("the end")
        thread.join()
        client.close()


class Heavy:
    """Something that takes long to load, so that it should be loaded once per process."""

    def __init__(self, ledger: Ledger, size: int) -> None:
        self.ledger = ledger
        self.data = bytes(size)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        with self.ledger.call("load"):
            pass


@node(output_name="size")
def measure(item: int, model: Heavy, ledger: Ledger) -> int:
    with ledger.call("measure", item):
        return len(model.data)


MEASURING = Graph([measure], name="measuring")


@pytest.fixture
def own_redis(make_redis: Callable[..., RedisServer]) -> RedisServer:
    return make_redis()


def test_code_crosses_once_per_client_and_is_read_once_per_process(
    own_redis: RedisServer, make_rig: MakeRig, ledger: Ledger
) -> None:
    # Given a client that does the same over and over
    rig = make_rig(own_redis.url)
    rig.start_host(processes=2)
    runner = rig.runner()
    with listening(rig.url) as seen:
        for x in range(20):
            runner.run(DIAMOND, x=x, ledger=ledger)
        for _ in range(3):
            runner.map(SQUARES, item=range(50), ledger=ledger, map_over="item")
            runner.run(FANNED, item=list(range(20)), ledger=ledger)

    # Then what it consists of was sent once, and read by each process at most once
    sent = {key: n for (command, key), n in seen.items() if command == "SET"}
    read = {key: n for (command, key), n in seen.items() if command == "GET"}
    assert sent
    assert set(sent.values()) == {1}
    # ... by two children, and by the supervisor and the client, which look after runs
    assert max(read.values()) <= 4
    assert set(read) <= set(sent)


@pytest.mark.parametrize("size", [100, 100_000, 3_000_000])
def test_a_broadcast_value_is_loaded_once_per_process(rig: Rig, ledger: Ledger, size: int) -> None:
    host = rig.start_host(processes=2)
    of_items = Ledger(f"{ledger.path}.items")
    inputs = {"item": range(100), "model": Heavy(ledger, size), "ledger": of_items}

    result = rig.runner().map(MEASURING, inputs, map_over="item", chunk=3)

    assert result["size"] == [size] * 100
    loads = Counter(call.pid for call in ledger.begun("load"))
    assert set(loads) <= host.children
    assert set(loads.values()) == {1}
