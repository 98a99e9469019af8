"""A worker process that is killed costs what it was in the middle of one more execution."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.faults.bodies import DIAMOND, SQUARES
from tests.faults.ledger import Ledger, check_map, check_run, read_commits, read_item_commits
from tests.faults.rig import Rig

#: From kill -9 to the next execution.
AGAIN_S = 1.0

children = pytest.mark.parametrize("processes", [1, 2])


@children
def test_a_task_runs_again_within_a_second_of_its_process_being_killed(
    rig: Rig, ledger: Ledger, processes: int
) -> None:
    # Given a run that is in the middle of one node, and perhaps of another one
    rig.start_host(processes=processes)
    ledger.hold("go_left")
    ledger.hold("go_left", number=2)
    handle = rig.runner().submit(DIAMOND, {"x": 1, "ledger": ledger})
    first = ledger.wait_for("go_left")

    # When the process of the one is killed
    killed_at = time.monotonic()
    os.kill(first.pid, signal.SIGKILL)
    second = ledger.wait_for("go_left", number=2)
    again_s = second.at_s - killed_at
    print(f"measured: runs again after {again_s:.2f} s")
    ledger.release("go_left", number=2)

    # Then it runs again, nothing else does, and the result is right
    assert again_s < AGAIN_S
    assert handle.result(timeout=10)["total"] == 10
    check_run(ledger, rig.store, handle.run_id, again={"go_left": 1})
    assert read_commits(rig.store, handle.run_id)["go_left"][0].attempt == 2


@children
def test_an_item_runs_again_within_a_second_of_its_process_being_killed(
    rig: Rig, ledger: Ledger, processes: int
) -> None:
    rig.start_host(processes=processes)
    ledger.hold("square", 17)
    handle = rig.runner().submit_map(
        SQUARES, {"item": range(40), "ledger": ledger}, map_over="item"
    )
    first = ledger.wait_for("square", 17)

    killed_at = time.monotonic()
    os.kill(first.pid, signal.SIGKILL)
    second = ledger.wait_for("square", 17, number=2)
    again_s = second.at_s - killed_at
    print(f"measured: runs again after {again_s:.2f} s")

    assert again_s < AGAIN_S
    assert handle.result(timeout=10)["square"] == [item * item for item in range(40)]
    check_map(ledger, rig.store, handle.run_id, 40, again=held_with(ledger, first.pid))
    assert read_item_commits(rig.store, handle.run_id)[17][0].attempt == 2


def held_with(ledger: Ledger, pid: int) -> dict[int, int]:
    """Return the items that a process has executed: what it had not committed runs again."""
    return {call.item: 1 for call in ledger.read() if call.pid == pid}
