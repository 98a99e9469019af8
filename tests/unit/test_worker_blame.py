"""A death counts against the body that ran, and against nothing else that is known of."""

from __future__ import annotations

import pytest

from hypergraph.worker.mark import UNKNOWN, Marked
from hypergraph.worker.process import Death
from hypergraph.worker.supervisor import Pause
from hypergraph.worker.upkeep import Blame, find_blame

KILLED = Death(-9, intended=False)
SLOTS = "host/c1/"


def body(slot: int, run_id: str, unit: str, item: int = -1) -> Marked:
    return Marked(slot, run_id, unit, unit, item, True, 1)


TASK = body(0, "r1", "fetch")
ITEM = body(0, "r1", "embed", 7)

NOBODY = Blame(SLOTS, "")


@pytest.mark.parametrize(
    ("running", "death", "blamed"),
    [
        pytest.param([TASK], KILLED, [Blame(SLOTS, "fetch", -1, "fetch")], id="the task that ran"),
        pytest.param([ITEM], KILLED, [Blame(SLOTS, "embed", 7, "embed")], id="the item that ran"),
        pytest.param([], KILLED, [Blame(SLOTS, "?")], id="no body ran: the script decides"),
        pytest.param([TASK], Death(-9, intended=True), [NOBODY], id="we killed it"),
        pytest.param([], Death(0, intended=True), [NOBODY], id="it was asked to leave"),
        pytest.param([body(0, "r2", "x")], KILLED, [NOBODY], id="it was in another run"),
        pytest.param(
            [body(0, UNKNOWN, "x")],
            KILLED,
            [Blame(SLOTS, "x", -1, "x")],
            id="a run whose id was too long to note may be this one",
        ),
        pytest.param(
            [TASK, body(1, "r2", "x"), body(10, "r1", "embed", 3)],
            KILLED,
            [
                Blame("host/c1/10", "embed", 3, "embed"),
                Blame("host/c1/0", "fetch", -1, "fetch"),
                NOBODY,
            ],
            id="of several threads each that ran, and the rest goes back",
        ),
    ],
)
def test_whom_a_death_counts_against(
    running: list[Marked], death: Death, blamed: list[Blame]
) -> None:
    assert list(find_blame("r1", SLOTS, running, death)) == blamed


@pytest.mark.parametrize(
    ("returncode", "words"),
    [(-9, "SIGKILL"), (-11, "SIGSEGV"), (-63, "signal 63"), (0, "exit code 0"), (3, "exit code 3")],
)
def test_a_death_has_a_name(returncode: int, words: str) -> None:
    assert str(Death(returncode, intended=False)) == words


def test_only_children_that_never_get_to_work_are_given_time() -> None:
    pause = Pause(first_s=0.1, most_s=5.0)
    waits = [pause.after(worked=False, lived_s=0.3) for _ in range(8)]

    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pause.after(worked=True, lived_s=0.3) == 0.0
    assert pause.after(worked=False, lived_s=0.3) == 0.1
    assert pause.after(worked=False, lived_s=60.0) == 0.0
