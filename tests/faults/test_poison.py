"""A body that kills its process is executed three times, and then it fails. Nothing else does."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

import pytest

from hypergraph import Graph, MapResult, RunStatus, WorkerCrashed, node
from hypergraph.errors import NodeExited, WorkerError
from tests.faults.ledger import Ledger, check_map, check_run, read_commits, read_item_commits
from tests.faults.rig import Rig

#: What a body does to its process -> what its failure says.
DEADLY = {
    "segfault": (WorkerCrashed, "signal", signal.SIGSEGV),
    "kill": (WorkerCrashed, "signal", signal.SIGKILL),
    "exit": (NodeExited, "exit_code", 0),
}

ITEMS = 60

#: Item -> what it does.
POISON = {7: "segfault", 23: "kill", 24: "exit"}


def die(how: str) -> None:
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(0)


@node(output_name="taken")
def take(how: str, ledger: Ledger) -> str:
    with ledger.call("take"):
        return how


@node(output_name="died")
def drink(taken: str, ledger: Ledger) -> str:
    with ledger.call("drink"):
        die(taken)
        return taken


@node(output_name="beside")
def stand_by(taken: str, ledger: Ledger) -> str:
    with ledger.call("stand_by"):
        return f"{taken}, and alive"


RUN = Graph([take, drink, stand_by], name="poisoned")


@node(output_name="bottle")
def pick(item: int) -> str:
    return POISON.get(item, "water")


@node(output_name="drunk")
def drink_item(item: int, bottle: str, ledger: Ledger) -> int:
    with ledger.call("drink_item", item):
        die(bottle)
        return item


PARTY = Graph([pick, drink_item], name="party")


def check_failure(error: BaseException | None, how: str, node_: str, item: int | None) -> None:
    kind, name, value = DEADLY[how]
    assert type(error) is kind, error
    assert isinstance(error, WorkerError)
    assert getattr(error, name) == value
    assert (error.node, error.item) == (node_, item)
    assert error.worker is not None
    assert error.worker.startswith("host1-")
    if isinstance(error, WorkerCrashed):
        assert error.attempts == 3
        assert signal.Signals(value).name in str(error)
    for said in (node_, error.worker):
        assert said in str(error)


def test_tasks_that_kill_three_processes_fail_their_run_and_no_other(
    rig: Rig, ledger: Ledger
) -> None:
    # Given a run for each way to die, all at once
    rig.start_host(processes=4)
    runner = rig.runner()
    ledgers = {how: Ledger(f"{ledger.path}.{how}") for how in (*DEADLY, "water")}
    handles = {
        how: runner.submit(RUN, {"how": how, "ledger": of}, error_handling="continue")
        for how, of in ledgers.items()
    }

    # Then each fails with its cause after three executions, and keeps what was done before
    for how in DEADLY:
        result = handles[how].result(timeout=30)
        assert result.status is RunStatus.FAILED
        check_failure(result.error, how, "drink", None)
        assert result["taken"] == how
        assert ledgers[how].executions()[("drink", -1)] == 3
        assert read_commits(rig.store, result.run_id)["drink"][0].kind == "crash"
        check_run(ledgers[how], rig.store, result.run_id, again={"drink": 2})
    # ... and the run that does not is unharmed
    assert handles["water"].result(timeout=30)["died"] == "water"
    check_run(ledgers["water"], rig.store, handles["water"].run_id)


def test_what_a_poisoned_run_failed_with_is_raised(rig: Rig, ledger: Ledger) -> None:
    rig.start_host(processes=2)

    with pytest.raises(WorkerCrashed) as caught:
        rig.runner().run(RUN, {"how": "kill", "ledger": ledger})

    check_failure(caught.value, "kill", "drink", None)


def submit_party(rig: Rig, ledger: Ledger, **options: Any) -> tuple[str, MapResult]:
    handle = rig.runner().submit_map(
        PARTY, {"item": range(ITEMS), "ledger": ledger}, map_over="item", **options
    )
    return handle.run_id, handle.result(timeout=60)


def test_items_that_kill_three_processes_fail_and_the_others_are_unharmed(
    rig: Rig, ledger: Ledger
) -> None:
    rig.start_host(processes=3)

    run_id, result = submit_party(rig, ledger, error_handling="continue")

    for item, how in POISON.items():
        check_failure(result[item].error, how, "drink_item", item)
        assert ledger.executions()[("drink_item", item)] == 3
    expected = [None if item in POISON else item for item in range(ITEMS)]
    assert result.values_of("drunk") == expected
    assert result.status is RunStatus.PARTIAL
    # Whatever a dying process had not committed yet ran again, and nothing else.
    died = {call.pid for item in POISON for call in ledger.begun("drink_item", item)}
    commits = read_item_commits(rig.store, run_id)
    again = {
        item: sum(call.pid in died for call in ledger.begun("drink_item", item))
        for item in range(ITEMS)
    }
    check_map(ledger, rig.store, run_id, ITEMS, again=again)
    wasted = sum(ledger.executions().values()) - ITEMS - 2 * len(POISON)
    print(f"measured: {wasted} of {ITEMS} items ran again beside {len(POISON)} poisoned ones")
    assert wasted <= ITEMS / 2
    assert all(commits[item][0].attempt == 3 for item in POISON)


def test_the_lowest_poisoned_item_is_what_a_map_raises(rig: Rig, ledger: Ledger) -> None:
    rig.start_host(processes=3)

    with pytest.raises(WorkerCrashed) as caught:
        submit_party(rig, ledger)

    check_failure(caught.value, "segfault", "drink_item", 7)
    done = {call.item for call in ledger.read() if call.word == "end"}
    assert done >= set(range(7)), "every lower item is finished"


def test_a_mapped_node_with_a_poisoned_item_fails_with_its_cause(rig: Rig, ledger: Ledger) -> None:
    rig.start_host(processes=3)
    guests = PARTY.as_node(name="guests").map_over("item", error_handling="continue")
    host = Graph([guests, node(output_name="count")(count_guests)], name="evening")

    result = rig.runner().run(host, {"item": list(range(10)), "ledger": ledger})
    with pytest.raises(WorkerCrashed) as caught:
        strict = Graph([PARTY.as_node(name="guests").map_over("item")], name="strict")
        rig.runner().run(strict, {"item": list(range(10)), "ledger": ledger})

    assert result["count"] == 9
    assert (caught.value.node, caught.value.item) == ("guests/drink_item", 7)
    assert caught.value.signal == signal.SIGSEGV


def count_guests(drunk: list[int | None]) -> int:
    return sum(item is not None for item in drunk)


# -- bodies that mean to end their process, and do not ---------------------------------------------


class Weird(BaseException):
    """Not an Exception, so that `except Exception` lets it pass."""


def leave(item: int) -> int:
    match item:
        case 1:
            sys.exit(3)
        case 2:
            sys.exit("enough")
        case 3:
            raise KeyboardInterrupt
        case 4:
            raise Weird("really")
    return item


LEAVING = Graph([node(output_name="stayed")(leave)], name="leaving")


def test_a_body_that_wants_to_exit_fails_and_its_process_stays(rig: Rig) -> None:
    host = rig.start_host()
    children = host.children
    runner = rig.runner()

    items = runner.map(LEAVING, {"item": range(6)}, map_over="item", error_handling="continue")
    runs = [
        runner.submit(LEAVING, {"item": item}, error_handling="continue").result(timeout=10)
        for item in range(6)
    ]

    for results in (items, runs):
        errors = [result.error for result in results]
        assert [type(e) for e in errors[1:4]] == [NodeExited] * 3
        assert [e.exit_code for e in errors[1:4] if isinstance(e, NodeExited)] == [
            3,
            "enough",
            None,
        ]
        assert [type(e).__name__ for e in errors] == [
            "NoneType",
            "NodeExited",
            "NodeExited",
            "NodeExited",
            "Weird",
            "NoneType",
        ]
    assert [e.item for e in (r.error for r in items) if isinstance(e, NodeExited)] == [1, 2, 3]
    assert host.children == children
