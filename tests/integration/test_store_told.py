"""What the scripts write down for people, beside what a run needs."""

from __future__ import annotations

import pytest

from hypergraph.store.contract import Commit, RangeCommit
from hypergraph.store.facts import read_newest, read_run
from hypergraph.store.redis import RedisStore
from tests.stores import BOARD, Rig, done, done_upto

A, B, C = "w1/c1/0", "w2/c1/0", "w3/c1/0"


def test_failed_tasks_are_counted(rig: Rig) -> None:
    rig.create("a b")
    a, b = rig.claim(A, 2)
    rig.cycle(A, done(a), Commit(b.task, b.attempt, "fail", b"no"))

    assert rig.meta["failed"] == "1"


def test_a_death_is_counted_and_has_a_time(rig: Rig) -> None:
    rig.create("a")
    rig.claim(A)
    rig.reap("w1/", guilty="a")
    entry = rig.store.read_journal("r1", 1)[0]

    assert rig.meta["lost"] == "1"
    assert entry.kind == "lost"
    assert abs(int(entry.fields["at"]) - int(rig.meta["created_ms"])) < 60_000


def test_the_last_death_of_a_task_is_a_failure(rig: Rig) -> None:
    rig.create("a")
    for _ in range(3):
        rig.claim(A)
        rig.reap("w1/", guilty="a")

    assert (rig.meta["lost"], rig.meta["failed"]) == ("2", "1")
    assert rig.journal() == ["start", "lost a", "lost a", "crash a"]


def test_every_death_in_a_mapped_node_is_in_the_journal_of_the_run(rig: Rig) -> None:
    rig.create("m")
    (task,) = rig.claim(A)
    rig.open_map(A, task, [4], stops=False)
    assert rig.claim_range(B, 1, map_="m").range == "0-1"  # and B is not the one that dies
    for _ in range(3):
        assert rig.claim_range(C, 4, map_="m").start == 1
        rig.reap("w3/", guilty="m", item=1)

    assert rig.journal() == ["start", "lost m", "lost m", "lost m"]
    assert [e.fields["item"] for e in rig.store.read_journal("r1", 1)] == [b"1"] * 3
    assert rig.meta["lost"] == "3"
    assert rig.map_state("m")["failed"] == "1"


def test_the_journal_of_a_map_has_its_deaths_and_its_first_failures_in_words(rig: Rig) -> None:
    rig.create_map([4], stops=False)
    first = rig.claim_range(A)
    rig.range(A, done_upto(first)._replace(failures=1, first_failed=0, errors="0\tf\tno"), want=1)
    rig.reap("w1/", guilty=BOARD, item=1)
    facts = read_run(rig.store, "r1")

    assert facts is not None
    failed, lost = facts.maps[0].events
    assert (failed.kind, failed.fields["e"]) == ("range", b"0\tf\tno")
    assert (lost.kind, lost.fields["s"]) == ("lost", b"1")
    assert rig.journal() == ["start"]


def test_a_long_journal_of_a_map_is_looked_through_for_what_went_wrong(rig: Rig) -> None:
    rig.create_map([4])
    journal = rig.store.keys.run("r1", f"m:{BOARD}:journal")
    with rig.store.link.client.pipeline(transaction=False) as pipe:
        for number in range(2500):
            failed = int(number in (0, 999, 1000, 2499))
            pipe.xadd(journal, {"k": "range", "s": number, "f": failed, "a": 1, "w": A, "e": ""})
        pipe.execute()
    facts = read_run(rig.store, "r1")

    assert facts is not None
    assert [e.fields["s"] for e in facts.maps[0].events] == [b"0", b"999", b"1000", b"2499"]


def test_what_slots_hold_and_nobody_holds(rig: Rig) -> None:
    rig.create("a b c d")
    rig.claim(A, 2)
    rig.claim(B, 1)
    facts = read_run(rig.store, "r1")

    assert facts is not None
    assert [(x.slot, x.id, x.attempt) for x in facts.leases] == [
        (A, "a", 1),
        (A, "b", 1),
        (B, "c", 1),
    ]
    assert list(facts.ready.values()) == [1]
    assert facts.expires_ms is None


def test_an_unknown_run_has_no_facts(store: RedisStore) -> None:
    assert read_run(store, "nobody") is None


# -- the list of runs -----------------------------------------------------------------------------


def list_run(store: RedisStore, run_id: str, created_ms: int) -> None:
    Rig(store, run_id).create("a")
    store.link.client.zadd(store.keys.runs, {run_id: created_ms})


def test_runs_are_listed_from_the_newest(store: RedisStore) -> None:
    for number in range(5):
        list_run(store, f"r{number}", 1000 + number)

    assert [line.run_id for line in read_newest(store, 2).lines] == ["r4", "r3"]
    assert [line.run_id for line in read_newest(store, 2, 4).lines] == ["r0"]


def test_names_without_a_run_leave_the_list_unless_they_are_new(store: RedisStore) -> None:
    list_run(store, "there", 1000)
    store.link.client.zadd(store.keys.runs, {"aged": 2000, "coming": 1 << 50})
    page = read_newest(store, 10)

    assert [line.run_id for line in page.lines] == ["there"]
    assert (page.looked_at, page.dropped) == (3, 1)
    assert read_newest(store, 10).looked_at == 2


@pytest.mark.parametrize("taken", [False, True])
def test_a_line_says_whether_somebody_has_begun(store: RedisStore, taken: bool) -> None:
    list_run(store, "r1", 1000)
    if taken:
        Rig(store).claim(A)

    assert read_newest(store, 1).lines[0].taken is taken


def test_a_range_without_failures_says_nothing() -> None:
    assert RangeCommit("0-1", "1", 1, b"").errors == ""
