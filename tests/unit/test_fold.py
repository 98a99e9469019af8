"""A run is the fold of its journal: in any portions, by anybody, and by nobody's forged entries."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypergraph import Graph, node
from hypergraph.coordinator.fold import JournalGap, RunFold, make_end, to_ended
from hypergraph.errors import CorruptPayload, UntrustedPayload
from hypergraph.plan import Phase, compile_plan
from hypergraph.plan.inputs import feed
from hypergraph.store.contract import Entry
from hypergraph.store.records import (
    Answer,
    Crash,
    End,
    GraphSpec,
    Order,
    Report,
    Sealer,
    Start,
)
from hypergraph.values.sign import Signer

RUN = "run-1"
SEALER = Sealer(Signer(b"our secret"), "n")


@node(output_name="double")
def twice(x: int) -> int:
    return 2 * x


@node(output_name="triple")
def thrice(x: int) -> int:
    return 3 * x


@node(output_name="total")
def add(double: int, triple: int) -> int:
    return double + triple


DIAMOND = Graph([twice, thrice, add])


def ref(value: str) -> list[Any]:
    return [f"digest-of-{value}", 10]


def spec_of(graph: Graph) -> GraphSpec:
    plan = feed(compile_plan(graph), {"x": 1})
    return GraphSpec(plan, {node.name: f"code-of-{node.name}" for node in plan.nodes}, {})


def new_fold(sealer: Sealer = SEALER, graph: Graph = DIAMOND) -> RunFold:
    return RunFold(RUN, sealer, lambda _: spec_of(graph))


class Scribe:
    """Writes entries as the scripts do."""

    def __init__(self, sealer: Sealer = SEALER, run_id: str = RUN) -> None:
        self.sealer = sealer
        self.run_id = run_id

    def start(self) -> dict[str, bytes]:
        start = Start("the graph", {"x": ref("x")}, tag="py311w1")
        return {"k": b"start", "p": self.sealer.seal(start, self.run_id)}

    def done(self, task: str, output: str, *, epoch: str = "1") -> dict[str, bytes]:
        return self._commit("done", task, Report({output: ref(output)}), epoch)

    def fail(self, task: str) -> dict[str, bytes]:
        return self._commit("fail", task, Report(error=ref("why"), text="it failed"), "1")

    def crash(self, task: str, *, unit: str = "", item: int = -1) -> dict[str, bytes]:
        crash = Crash(unit or task, item, b"a packed failure")
        return {"k": b"crash", "task": task.encode(), "p": self.sealer.seal(crash, self.run_id)}

    def answer(self, *, epoch: str = "1") -> dict[str, bytes]:
        sealed = self.sealer.seal(Answer("x", ref("x")), self.run_id, epoch)
        return {"k": b"answer", "ep": epoch.encode(), "p": sealed}

    def _commit(self, kind: str, task: str, report: Report, epoch: str) -> dict[str, bytes]:
        sealed = self.sealer.seal(report, self.run_id, task, epoch)
        return {
            "k": kind.encode(),
            "task": task.encode(),
            "ep": epoch.encode(),
            "p": sealed,
            "a": b"1",
            "w": b"w1/c0/0",
        }


OURS = Scribe()
START = OURS.start()
TWICE = OURS.done("twice", "double")
THRICE = OURS.done("thrice", "triple")
ADD = OURS.done("add", "total")
LOST = {"k": b"lost", "task": b"add", "p": b""}


def entries(*fields: dict[str, bytes], first: int = 1) -> list[Entry]:
    return [Entry(seq, each) for seq, each in enumerate(fields, first)]


WHOLE = entries(START, TWICE, LOST, THRICE, ADD, {"k": b"end", "status": b"completed"})


def tell(fold: RunFold) -> str:
    """Return where a run stands, in words."""
    values = fold.tree.root.results()
    open_tasks = " ".join(sorted(fold.tree.open_tasks))
    named = " ".join(
        f"{name}={values[name][0].removeprefix('digest-of-')}" for name in sorted(values)
    )
    return f"{fold.seq} {fold.tree.phase.value} [{open_tasks}] {named}"


def fold_of(*fields: dict[str, bytes]) -> RunFold:
    fold = new_fold()
    fold.read(entries(*fields))
    return fold


# -- reading --------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=8))
def test_a_journal_read_in_any_portions_however_often_tells_the_same(
    portions: list[tuple[int, int]],
) -> None:
    fold = new_fold()
    for first, stop in portions:
        if first <= fold.seq:
            fold.read(WHOLE[first:stop])
    fold.read(WHOLE[fold.seq :])

    assert tell(fold) == "6 completed [] double=double total=total triple=triple x=x"
    assert (fold.ended, fold.failures) == (3, 0)


@pytest.mark.parametrize("order", [(TWICE, THRICE), (THRICE, TWICE)], ids=["ab", "ba"])
def test_the_order_in_which_siblings_end_changes_nothing(order: Sequence[Any]) -> None:
    fold = fold_of(START, *order)

    assert tell(fold) == "3 running [add] double=double triple=triple x=x"


def test_a_gap_is_noticed_and_what_came_before_it_counts() -> None:
    fold = new_fold()
    with pytest.raises(JournalGap) as gap:
        fold.read([WHOLE[0], WHOLE[1], WHOLE[3]])

    assert gap.value.found == 4
    assert tell(fold) == "2 running [thrice] double=double x=x"
    fold.read(WHOLE)
    assert fold.tree.phase is Phase.COMPLETED


def test_a_copy_of_an_entry_further_down_changes_nothing() -> None:
    fold = fold_of(START, TWICE, TWICE, THRICE, TWICE)

    assert tell(fold) == "5 running [add] double=double triple=triple x=x"
    assert fold.ended == 2


def test_a_run_that_is_a_map_has_nothing_to_follow() -> None:
    fold = fold_of({"k": b"start", "p": b""})

    assert fold.is_map and not fold.is_over and not fold.has_news(0)


# -- what is refused ------------------------------------------------------------------------------


def changed(entry: dict[str, bytes], **fields: bytes) -> dict[str, bytes]:
    return {**entry, **fields}


STRANGER = Scribe(Sealer(Signer(b"another secret"), "n"))
FORGED = [
    pytest.param(Scribe(run_id="run-2").done("twice", "double"), id="of another run"),
    pytest.param(
        Scribe(Sealer(Signer(b"our secret"), "m")).done("twice", "double"),
        id="of another namespace",
    ),
    pytest.param(changed(THRICE, task=b"twice"), id="of another task"),
    pytest.param(changed(TWICE, ep=b"2"), id="of another epoch"),
    pytest.param(changed(TWICE, p=TWICE["p"][:-1] + b"?"), id="of changed bytes"),
    pytest.param(changed(TWICE, p=START["p"]), id="of another kind"),
    pytest.param(OURS.crash("twice", unit="thrice"), id="another task's crash"),
    pytest.param(OURS.crash("twice", unit="twice", item=3), id="the crash of an item"),
    pytest.param(changed(TWICE, k=b"crash"), id="a result as a crash"),
    pytest.param(changed(OURS.answer(), ep=b"2"), id="an answer of another epoch"),
    pytest.param(START, id="a second start"),
    pytest.param({"k": b"start", "p": b""}, id="a second start, of a map"),
]


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_or_moved_entry_is_refused_each_time_it_is_read(forged: dict[str, bytes]) -> None:
    fold = fold_of(START)

    for _ in range(2):
        with pytest.raises(UntrustedPayload) as refused:
            fold.read(entries(forged, first=2))
        assert not refused.value.foreign
    assert tell(fold) == "1 running [thrice twice] x=x"
    fold.read(entries(TWICE, first=2))
    assert fold.ended == 1


def test_what_another_secret_has_sealed_is_refused_but_not_judged() -> None:
    fold = fold_of(START)
    with pytest.raises(UntrustedPayload) as refused:
        fold.read(entries(STRANGER.done("twice", "double"), first=2))

    assert refused.value.foreign


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param({name: TWICE[name] for name in TWICE if name != "p"}, id="no payload"),
        pytest.param({name: TWICE[name] for name in TWICE if name != "task"}, id="no task"),
        pytest.param({"p": b""}, id="no kind"),
        pytest.param(changed(TWICE, p=b"short"), id="a payload too short to be sealed"),
        pytest.param(changed(TWICE, task=b"\xff"), id="a task that is no text"),
    ],
)
def test_a_damaged_entry_is_refused(damaged: dict[str, bytes]) -> None:
    fold = fold_of(START)
    with pytest.raises(CorruptPayload):
        fold.read(entries(damaged, first=2))

    assert fold.seq == 1


def test_a_run_begins_with_its_start() -> None:
    with pytest.raises(UntrustedPayload):
        new_fold().read(entries(TWICE))


def test_an_entry_of_before_the_latest_answer_is_refused() -> None:
    fold = fold_of(START, OURS.answer(epoch="1"))

    for old in (TWICE, OURS.answer(epoch="1")):
        with pytest.raises(UntrustedPayload, match="epoch 1, and that is over"):
            fold.read(entries(old, first=3))
    fold.read(entries(OURS.done("twice", "double", epoch="2"), first=3))
    assert fold.ended == 1


def test_a_kind_that_says_otherwise_does_not_turn_a_failure_into_a_success() -> None:
    told = [fold_of(START, changed(OURS.fail("twice"), k=kind)) for kind in (b"fail", b"done")]

    assert [fold.failures for fold in told] == [1, 1]


# -- what follows ---------------------------------------------------------------------------------


def end_of(fold: RunFold) -> tuple[str, bytes]:
    return make_end(fold, SEALER)


def due(fold: RunFold, applied: int) -> str:
    """Return what follows in words: the span decided on, the tasks, and the status of an end."""
    advance = fold.advance(applied, end_of)
    tasks = " ".join(task.task for task in advance.tasks)
    status = advance.end[0] if advance.end else ""
    return f"{advance.start}-{advance.to} [{tasks}] {status}".strip()


@pytest.mark.parametrize(
    ("history", "applied", "follows"),
    [
        pytest.param([START], 0, "0-1 [twice thrice]", id="the start opens both sides"),
        pytest.param([START, TWICE], 1, "1-2 []", id="a join waits for its last input"),
        pytest.param([START, TWICE, THRICE], 1, "1-3 [add]", id="the last input opens the join"),
        pytest.param([START, TWICE, THRICE], 3, "3-3 []", id="what was decided on is not again"),
        pytest.param([START, TWICE, THRICE, ADD], 3, "3-4 [] completed", id="the last task"),
        pytest.param(
            [START, OURS.fail("twice"), THRICE], 1, "1-3 [] failed", id="a failure, siblings done"
        ),
        pytest.param([START, OURS.fail("twice")], 1, "1-2 []", id="a failure waits for siblings"),
        pytest.param(
            [START, OURS.crash("twice"), THRICE], 1, "1-3 [] failed", id="a crash is a failure"
        ),
        pytest.param(
            [START, OURS.crash("twice", unit="?"), THRICE],
            1,
            "1-3 [] failed",
            id="a crash that nobody saw",
        ),
    ],
)
def test_what_follows_from_a_journal(
    history: list[dict[str, bytes]], applied: int, follows: str
) -> None:
    fold = fold_of(*history)

    assert fold.has_news(applied) == (not follows.endswith("[]"))
    assert due(fold, applied) == follows


def test_whoever_decides_on_the_same_journal_decides_the_same() -> None:
    at_once = fold_of(START, TWICE, THRICE)
    bit_by_bit = new_fold()
    for entry in entries(START, TWICE, THRICE):
        bit_by_bit.read([entry])

    assert at_once.advance(1, end_of) == bit_by_bit.advance(1, end_of)


def test_a_task_says_what_to_do_and_what_it_needs() -> None:
    (task,) = fold_of(START, TWICE, THRICE).advance(1, end_of).tasks
    order: Order = SEALER.open(Order, task.sealed, RUN, "add")

    assert (task.task, task.queue) == ("add", "default.py311w1")
    assert list(task.needs) == ["digest-of-double", "digest-of-triple"]
    assert (order.path, order.kind, order.code) == ("add", "function", "code-of-add")
    assert order.inputs == {"double": ref("double"), "triple": ref("triple")}


def test_later_tasks_stand_behind_earlier_ones() -> None:
    fold = fold_of(START, TWICE, THRICE)
    scores = [task.score for task in fold.advance(0, end_of).tasks]

    assert scores == sorted(set(scores))


def test_what_is_foreseen_is_what_is_read_later() -> None:
    foreseen = fold_of(START, TWICE)
    report = SEALER.open(Report, THRICE["p"], RUN, "thrice", "1")
    foreseen.foresee(to_ended("thrice", report))
    read = fold_of(START, TWICE, THRICE)

    assert tell(foreseen) == tell(read)
    assert foreseen.advance(2, end_of) == read.advance(2, end_of)


# -- how it ends ----------------------------------------------------------------------------------


def ended(*fields: dict[str, bytes]) -> tuple[str, dict[str, Any]]:
    status, note = end_of(fold_of(*fields))
    return status, dataclasses.asdict(SEALER.open(End, note, RUN))


def test_a_run_that_completes_names_its_results() -> None:
    status, end = ended(START, TWICE, THRICE, ADD)

    assert status == "completed"
    assert end["results"] == {name: ref(name) for name in ("double", "triple", "total")}


def test_a_run_that_fails_names_the_error_and_what_there_was() -> None:
    status, end = ended(START, OURS.fail("thrice"), TWICE)

    assert (status, end["error"], end["text"]) == ("failed", ref("why"), "it failed")
    assert end["results"] == {"double": ref("double")}


def test_a_run_that_fails_by_a_crash_hands_on_what_the_reaper_sealed() -> None:
    crash = OURS.crash("twice")
    status, end = ended(START, crash, THRICE)

    told = {"crash": "twice", "path": "twice", "p": crash["p"]}
    assert (status, end["broken"]) == ("failed", told)
    assert SEALER.open_crash(crash["p"], RUN, "twice") == b"a packed failure"
