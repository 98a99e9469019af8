"""A worker process that is killed costs what it was in the middle of one more execution."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from tests.faults.bodies import DIAMOND, SQUARES
from tests.faults.ledger import Ledger, check_map, check_run, read_commits, read_item_commits
from tests.faults.rig import Rig
from tests.processes import is_alive, wait_until

#: From kill -9 to the next execution.
AGAIN_S = 1.0

#: How often a process is killed. One more would be taken for the body's own fault.
KILLS = 2

children = pytest.mark.parametrize("processes", [1, 2])


def start_host(rig: Rig, processes: int) -> None:
    """Start a host, and give it the moment it takes to have a spare child."""
    host = rig.start_host(processes=processes)
    assert wait_until(lambda: len(host.children) == processes + 1, 10.0)
    time.sleep(0.5)


def kill_again_and_again(ledger: Ledger, node: str, item: int = -1) -> float:
    """Kill the process of a body `KILLS` times.

    Returns:
        Seconds until the body began again: the best of them, since a new process has to compete
        with whatever else this machine does.
    """
    took_s = []
    for number in range(1, KILLS + 1):
        ledger.hold(node, item, number)
    for number in range(1, KILLS + 1):
        victim = ledger.wait_for(node, item, number)
        killed_at = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        took_s.append(ledger.wait_for(node, item, number + 1).at_s - killed_at)
    print("measured: runs again after", ", ".join(f"{s:.2f} s" for s in took_s))
    return min(took_s)


@children
def test_a_task_runs_again_within_a_second_of_its_process_being_killed(
    rig: Rig, ledger: Ledger, processes: int
) -> None:
    # Given a run that is in the middle of one node, and perhaps of another one
    start_host(rig, processes)
    ledger.hold("go_left")
    handle = rig.runner().submit(DIAMOND, {"x": 1, "ledger": ledger})

    # When the process of the one is killed
    again_s = kill_again_and_again(ledger, "go_left")

    # Then it runs again, nothing else does, and the result is right
    assert again_s < AGAIN_S
    assert handle.result(timeout=10)["total"] == 10
    check_run(ledger, rig.store, handle.run_id, again={"go_left": KILLS})
    assert read_commits(rig.store, handle.run_id)["go_left"][0].attempt == KILLS + 1


@children
def test_an_item_runs_again_within_a_second_of_its_process_being_killed(
    rig: Rig, ledger: Ledger, processes: int
) -> None:
    start_host(rig, processes)
    ledger.hold("square", 17)
    handle = rig.runner().submit_map(
        SQUARES, {"item": range(40), "ledger": ledger}, map_over="item"
    )

    again_s = kill_again_and_again(ledger, "square", 17)

    assert again_s < AGAIN_S
    assert handle.result(timeout=10)["square"] == [item * item for item in range(40)]
    # What the first process had done and not committed ran again. The second one had 17 alone.
    killed = {call.pid for call in ledger.begun("square", 17)[:KILLS]}
    again = {call.item: 1 for call in ledger.read() if call.pid in killed}
    check_map(ledger, rig.store, handle.run_id, 40, again={**again, 17: KILLS})
    assert read_item_commits(rig.store, handle.run_id)[17][0].attempt == KILLS + 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_spare_process_goes_with_its_host(rig: Rig, number: signal.Signals) -> None:
    start_host(rig, 1)
    (host,) = rig.hosts
    children = host.children
    (worker,) = rig.store.workers(60.0).values()
    assert len(json.loads(worker["children"])) == 1, "it is nobody yet"

    host.signal(number)
    host.wait()

    assert wait_until(lambda: not any(map(is_alive, children)))
