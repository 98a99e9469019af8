"""What was taken for dead and wakes up never gets its result in."""

from __future__ import annotations

import os
import signal
import time
from typing import NamedTuple

import pytest

from hypergraph import Graph, MapHandle, RunHandle, node
from tests.faults.hosts import Host
from tests.faults.ledger import Ledger, check_map, check_run, read_commits, read_item_commits
from tests.faults.rig import Rig
from tests.processes import is_alive, wait_until

ITEMS = 6
FROZEN = 3  #: the item that the zombie is in


@node(output_name="stamp")
def put_stamp(ledger: Ledger) -> int:
    with ledger.call("put_stamp") as number:
        return number


@node(output_name="seen")
def look(stamp: int, ledger: Ledger) -> int:
    with ledger.call("look"):
        return stamp


@node(output_name="stamp")
def put_stamp_on(item: int, ledger: Ledger) -> int:
    with ledger.call("put_stamp_on", item) as number:
        return number


#: Its result says which execution was committed.
STAMPED = Graph([put_stamp, look], name="stamped")
STAMPED_ITEMS = Graph([put_stamp_on], name="stamped items")


class Scene(NamedTuple):
    """A run and a map whose first attempts are on a host that was taken for dead."""

    zombie: Host
    pids: set[int]  #: of the zombie
    other: Host
    run: RunHandle
    map: MapHandle
    of_run: Ledger
    of_map: Ledger


@pytest.fixture
def scene(rig: Rig, ledger: Ledger) -> Scene:
    """The first attempts have begun on a host that is stopped, the second ones on another host."""
    of_run, of_map = Ledger(f"{ledger.path}.run"), Ledger(f"{ledger.path}.map")
    for number in (1, 2):
        of_run.hold("put_stamp", number=number)
        of_map.hold("put_stamp_on", FROZEN, number=number)
    of_run.hold("look")
    of_map.hold("put_stamp_on", ITEMS - 1)
    zombie = rig.start_host(processes=3)
    runner = rig.runner()
    run = runner.submit(STAMPED, {"ledger": of_run})
    of_run.wait_for("put_stamp")
    map_ = runner.submit_map(
        STAMPED_ITEMS, {"item": range(ITEMS), "ledger": of_map}, map_over="item", chunk=1
    )
    of_map.wait_for("put_stamp_on", FROZEN)
    pids = zombie.freeze()
    other = rig.start_host(processes=3)
    of_run.wait_for("put_stamp", number=2)
    of_map.wait_for("put_stamp_on", FROZEN, number=2)
    return Scene(zombie, pids, other, run, map_, of_run, of_map)


def wake(scene: Scene) -> None:
    """Let the zombie go on, and wait until it has tried to commit."""
    scene.of_run.release("put_stamp", number=1)
    scene.of_map.release("put_stamp_on", FROZEN, number=1)
    scene.zombie.thaw(scene.pids)
    for of, node_, item in (
        (scene.of_run, "put_stamp", -1),
        (scene.of_map, "put_stamp_on", FROZEN),
    ):
        first = of.begun(node_, item)[0]
        assert wait_until(lambda: ("end", first.pid) in ends(of, node_, item), 10.0)  # noqa: B023
    time.sleep(0.3)


def ends(ledger: Ledger, node_: str, item: int) -> list[tuple[str, int]]:
    return [(call.word, call.pid) for call in ledger.read() if call.place == (node_, item)]


def let_the_other_commit(scene: Scene, rig: Rig) -> None:
    scene.of_run.release("put_stamp", number=2)
    scene.of_map.release("put_stamp_on", FROZEN, number=2)
    assert wait_until(lambda: "put_stamp" in read_commits(rig.store, scene.run.run_id), 10.0)
    assert wait_until(lambda: FROZEN in read_item_commits(rig.store, scene.map.run_id), 10.0)


def check_that_the_other_counts(scene: Scene, rig: Rig) -> None:
    scene.of_run.release("look")
    scene.of_map.release("put_stamp_on", ITEMS - 1)
    assert scene.run.result(timeout=10)["seen"] == 2
    assert scene.map.result(timeout=10)["stamp"][FROZEN] == 2
    (commit,) = read_commits(rig.store, scene.run.run_id)["put_stamp"]
    (range_,) = read_item_commits(rig.store, scene.map.run_id)[FROZEN]
    assert commit.slot.startswith(scene.other.id)
    assert range_.slot.startswith(scene.other.id)
    assert (commit.attempt, range_.attempt) == (2, 2)
    check_run(scene.of_run, rig.store, scene.run.run_id, again={"put_stamp": 1})
    # It may have been in the middle of further items.
    again = {call.item: 1 for call in scene.of_map.read() if call.pid in scene.pids}
    check_map(scene.of_map, rig.store, scene.map.run_id, ITEMS, again=again)


def test_a_zombie_that_finishes_first_commits_nothing(scene: Scene, rig: Rig) -> None:
    wake(scene)
    assert "put_stamp" not in read_commits(rig.store, scene.run.run_id)
    assert FROZEN not in read_item_commits(rig.store, scene.map.run_id)

    let_the_other_commit(scene, rig)

    check_that_the_other_counts(scene, rig)


def test_a_zombie_that_finishes_last_commits_nothing(scene: Scene, rig: Rig) -> None:
    let_the_other_commit(scene, rig)

    wake(scene)

    check_that_the_other_counts(scene, rig)


def test_a_zombie_whose_run_has_ended_is_a_good_worker_again(scene: Scene, rig: Rig) -> None:
    # Given a run and a map that have ended while a host was stopped
    let_the_other_commit(scene, rig)
    check_that_the_other_counts(scene, rig)

    # When it wakes up, and is the only one
    wake(scene)
    scene.other.kill()

    # Then what it had counts for nothing, and what is new is done there
    assert len(read_commits(rig.store, scene.run.run_id)["put_stamp"]) == 1
    assert len(read_item_commits(rig.store, scene.map.run_id)[FROZEN]) == 1
    new = Ledger(f"{scene.of_run.path}.new")
    again = rig.runner().submit(STAMPED, {"ledger": new})
    assert again.result(timeout=10)["seen"] == 1
    check_run(new, rig.store, again.run_id)
    assert new.begun("look")[0].pid in scene.zombie.children


def test_a_child_that_is_stopped_is_killed_and_its_task_runs_again(
    rig: Rig, ledger: Ledger
) -> None:
    rig.start_host()
    ledger.hold("put_stamp")
    handle = rig.runner().submit(STAMPED, {"ledger": ledger})
    first = ledger.wait_for("put_stamp")

    os.kill(first.pid, signal.SIGSTOP)

    assert handle.result(timeout=10)["seen"] == 2
    assert not is_alive(first.pid)
    check_run(ledger, rig.store, handle.run_id, again={"put_stamp": 1})
