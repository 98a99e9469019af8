"""A host that is told to stop finishes what runs, and what it gives back was never executed."""

from __future__ import annotations

import signal
import time

import pytest

from hypergraph import Graph, node
from tests.faults.bodies import DIAMOND
from tests.faults.ledger import Ledger, check_map, check_run, read_commits, read_item_commits
from tests.faults.rig import Rig
from tests.processes import wait_until

ITEMS = 100


@node(output_name="y")
def linger(item: int, ledger: Ledger) -> int:
    with ledger.call("linger", item):
        time.sleep(0.02)
        return -item


LINGERING = Graph([linger], name="lingering")


def test_a_host_that_is_told_to_stop_finishes_what_runs_and_gives_back_the_rest(
    rig: Rig, ledger: Ledger
) -> None:
    # Given a host in the middle of a node, of a range of items, and with more to do
    of_run, of_map = Ledger(f"{ledger.path}.run"), Ledger(f"{ledger.path}.map")
    of_run.hold("go_left")
    host = rig.start_host(processes=2)
    runner = rig.runner()
    run = runner.submit(DIAMOND, {"x": 1, "ledger": of_run})
    of_run.wait_for("go_left")
    map_ = runner.submit_map(
        LINGERING, {"item": range(ITEMS), "ledger": of_map}, map_over="item", chunk=50
    )
    of_map.wait_for("linger", 20)

    # When it is told to stop, and what runs ends within its time
    host.signal(signal.SIGTERM)
    time.sleep(0.5)
    begun = of_map.executions()
    time.sleep(0.3)
    assert of_map.executions() == begun, "it does not begin anything"
    assert host.process.poll() is None, "it waits for what runs"
    of_run.release("go_left")

    # Then it ends well, and another one does the rest, which counts as not executed
    assert host.wait() == 0
    assert host.id not in rig.store.workers(60.0)
    assert 0 < len(read_item_commits(rig.store, map_.run_id)) < ITEMS
    other = rig.start_host(processes=2)
    assert run.result(timeout=20)["total"] == 10
    assert map_.result(timeout=20)["y"] == [-item for item in range(ITEMS)]
    check_run(of_run, rig.store, run.run_id)
    check_map(of_map, rig.store, map_.run_id, ITEMS)
    commits = read_commits(rig.store, run.run_id)
    assert commits["go_left"][0].slot.startswith(host.id)
    assert commits["join"][0].slot.startswith(other.id)
    items = read_item_commits(rig.store, map_.run_id).values()
    assert {commit.attempt for (commit,) in items} == {1}


@pytest.mark.parametrize("cause", ["a second signal", "the end of its time"])
def test_what_a_host_has_to_leave_runs_elsewhere_and_does_not_count(
    rig: Rig, ledger: Ledger, cause: str
) -> None:
    # Given a host in the middle of a node that does not end, and another host
    ledger.hold("go_left")
    host = rig.start_host(processes=2, drain_s=0.3 if "time" in cause else 60.0)
    handle = rig.runner().submit(DIAMOND, {"x": 1, "ledger": ledger})
    first = ledger.wait_for("go_left")
    rig.start_host()

    # When it has to go at once
    host.signal(signal.SIGTERM)
    if "signal" in cause:
        time.sleep(0.2)
        host.signal(signal.SIGTERM)
    told_at = time.monotonic()

    # Then it does, and the node runs on the other host
    assert host.wait() == 0
    assert time.monotonic() - told_at < 2.0
    second = ledger.wait_for("go_left", number=2)
    assert second.pid != first.pid
    print(f"measured: runs elsewhere after {second.at_s - told_at:.2f} s")
    assert handle.result(timeout=10)["total"] == 10
    check_run(ledger, rig.store, handle.run_id, again={"go_left": 1})
    assert read_commits(rig.store, handle.run_id)["go_left"][0].attempt == 1


def test_hosts_may_come_and_go_all_the_time(rig: Rig, ledger: Ledger) -> None:
    # Given a map, and two hosts of which one is always being replaced
    hosts = [rig.start_host(), rig.start_host()]
    handle = rig.runner().submit_map(
        LINGERING, {"item": range(2 * ITEMS), "ledger": ledger}, map_over="item"
    )
    replaced = 0
    while len(read_item_commits(rig.store, handle.run_id)) < 1.5 * ITEMS and replaced < 4:
        hosts[0].signal(signal.SIGTERM)
        hosts.append(rig.start_host())
        assert hosts.pop(0).wait() == 0
        replaced += 1

    # Then nothing is executed twice
    assert handle.result(timeout=20)["y"] == [-item for item in range(2 * ITEMS)]
    assert replaced
    check_map(ledger, rig.store, handle.run_id, 2 * ITEMS)
    assert wait_until(lambda: len(rig.store.workers(60.0)) == 2)
