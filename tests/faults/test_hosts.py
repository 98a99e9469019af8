"""A host that vanishes costs what it was in the middle of one more execution, elsewhere."""

from __future__ import annotations

import signal
import time
from dataclasses import replace

from hypergraph import DistributedRunner
from tests.faults.bodies import DIAMOND, SQUARES
from tests.faults.hosts import SELFISH
from tests.faults.ledger import Ledger, check_map, check_run, read_commits, read_item_commits
from tests.faults.rig import Rig
from tests.processes import is_alive, wait_until

#: From kill -9 of a host to the next execution of what it was doing, with the usual lease.
AGAIN_S = 10.0


def test_the_work_of_a_host_that_vanishes_runs_elsewhere_within_ten_seconds(
    rig: Rig, ledger: Ledger
) -> None:
    # Given a run and a map on one host, with the usual lease and heartbeats; and a second host
    usual = replace(rig.config, lease_s=5.0, beat_s=1.0, processes=2)
    host = rig.start_host(usual)
    items = Ledger(f"{ledger.path}.items")
    ledger.hold("go_left")
    items.hold("square", 17)
    runner = rig.runner(DistributedRunner)
    run = runner.submit(DIAMOND, {"x": 1, "ledger": ledger})
    map_ = runner.submit_map(SQUARES, {"item": range(40), "ledger": items}, map_over="item")
    task, item = ledger.wait_for("go_left"), items.wait_for("square", 17)
    other = rig.start_host(usual)

    # When the first one vanishes
    killed_at = time.monotonic()
    host.kill()

    # Then the other one does what was under way
    task_again = ledger.wait_for("go_left", number=2).at_s - killed_at
    item_again = items.wait_for("square", 17, number=2).at_s - killed_at
    print(f"measured: task again after {task_again:.2f} s, item after {item_again:.2f} s")
    assert max(task_again, item_again) < AGAIN_S
    assert run.result(timeout=10)["total"] == 10
    assert map_.result(timeout=10)["square"] == [n * n for n in range(40)]
    check_run(ledger, rig.store, run.run_id, again={"go_left": 1})
    lost = {call.item: 1 for call in items.read() if call.pid == item.pid}
    check_map(items, rig.store, map_.run_id, 40, again=lost)
    assert read_commits(rig.store, run.run_id)["go_left"][0].slot.startswith(other.id)
    assert read_item_commits(rig.store, map_.run_id)[17][0].slot.startswith(other.id)
    assert host.id not in rig.store.workers(60.0)
    assert task.pid != item.pid


def test_the_client_that_waits_notices_a_vanished_host_if_nobody_else_is_there(
    rig: Rig, ledger: Ledger
) -> None:
    # Given a host, and beside it only one that looks after nobody else
    host = rig.start_host()
    ledger.hold("go_left")
    handle = rig.runner().submit(DIAMOND, {"x": 1, "ledger": ledger})
    ledger.wait_for("go_left")
    lonely = rig.start_host(command=SELFISH)

    # When the host vanishes while the client waits
    host.kill()
    result = handle.result(timeout=10)

    # Then the run ends all the same
    assert result["total"] == 10
    check_run(ledger, rig.store, handle.run_id, again={"go_left": 1})
    assert read_commits(rig.store, handle.run_id)["go_left"][0].slot.startswith(lonely.id)


def test_a_run_waits_for_a_host_that_comes_later(rig: Rig, ledger: Ledger) -> None:
    host = rig.start_host()
    ledger.hold("begin")
    handle = rig.runner().submit(DIAMOND, {"x": 1, "ledger": ledger})
    ledger.wait_for("begin")

    host.kill()
    rig.start_host()

    assert handle.result(timeout=10)["total"] == 10
    check_run(ledger, rig.store, handle.run_id, again={"begin": 1})


def test_children_do_not_outlive_their_supervisor(rig: Rig, ledger: Ledger) -> None:
    # Given a host in the middle of a node, and another one
    host, other = rig.start_host(), rig.start_host()
    ledger.hold("begin")
    handle = rig.runner().submit(DIAMOND, {"x": 1, "ledger": ledger})
    first = ledger.wait_for("begin")
    hit, spared = (host, other) if first.pid in host.children else (other, host)

    # When its supervisor alone is killed
    hit.signal(signal.SIGKILL)
    hit.wait()

    # Then the body ends with it, and runs again on the other one
    assert wait_until(lambda: not is_alive(first.pid))
    second = ledger.wait_for("begin", number=2)
    assert second.pid in spared.children
    assert handle.result(timeout=10)["total"] == 10
    check_run(ledger, rig.store, handle.run_id, again={"begin": 1})
