"""The work of the dead runs again, and what kills its workers does so three times at most."""

from __future__ import annotations

import pytest

from hypergraph.store.contract import RangeCommit
from tests.stores import BOARD, NOTE, Rig, done, done_upto, names, snapshot

A, B = "w1/c0/0", "w2/c0/0"


def claims(rig: Rig, slot: str, times: int) -> str:
    """Return what a slot claims, one after the other, as in ``0-2:1``: range and attempt."""
    found = []
    for n in range(times):
        claim = rig.range(f"{slot}{n}", want=99).claim
        if claim is not None:
            found.append(f"{claim.range}:{claim.attempt}")
    return " ".join(found)


# -- tasks ----------------------------------------------------------------------------------------


def test_the_guilty_task_counts_and_what_lay_beside_it_does_not(rig: Rig) -> None:
    rig.create("a b c")
    rig.claim(A, want=3)

    assert rig.reap("w1/", "b") == (3, 0)
    assert names(rig.claim(B, want=9)) == "a:1 b:2 c:1"
    assert rig.journal() == ["start", "lost b"]
    assert rig.meta["lost"] == "1"


def test_a_task_that_kills_three_workers_fails_and_the_others_go_on(rig: Rig) -> None:
    rig.create("a b")
    for attempt in "123":
        assert names(rig.claim(A, want=2)) == f"a:1 b:{attempt}"
        reaped = rig.reap("w1/", "b")

    assert reaped == (2, 1)
    assert rig.journal() == ["start", "lost b", "lost b", "crash b"]
    last = rig.store.read_journal("r1", 3)[0].fields
    assert (last["p"], last["a"], last["w"]) == (b"killed its worker", b"3", A.encode())
    assert names(rig.claim(B, want=9)) == "a:1"


def test_a_task_that_is_committed_takes_its_deaths_with_it(rig: Rig) -> None:
    rig.create("a")
    rig.claim(A)
    rig.reap("w1/", "a")
    rig.cycle(B, *map(done, rig.claim(B)))

    assert not {"deaths", "attempts", "tasks", "slots"} & set(rig.ttls())


def test_reaping_twice_counts_once(rig: Rig) -> None:
    rig.create("a")
    rig.claim(A)
    rig.reap("w1/", "a")
    before = snapshot(rig.store)

    assert rig.reap("w1/", "a") == (0, 0)
    assert snapshot(rig.store) == before


def test_reaping_a_child_leaves_its_neighbours_alone(rig: Rig) -> None:
    rig.create("a b c d")
    for slot in ("w1/c1/0", "w1/c10/0", "w10/c1/0", "w1/c1/10"):
        rig.claim(slot)
    rig.reap("w1/c1/")

    assert sorted(rig.store.inspect("r1").slots) == ["w1/c10/0", "w10/c1/0"]


def test_reaping_one_slot_leaves_slots_alone_whose_names_begin_like_it(rig: Rig) -> None:
    rig.create("a b")
    rig.claim("w1/c1/1")
    rig.claim("w1/c1/10")
    rig.reap("w1/c1/1")

    assert rig.store.inspect("r1").slots == ["w1/c1/10"]


def test_reaping_in_a_run_that_has_ended_changes_nothing(rig: Rig) -> None:
    rig.create("a")
    rig.claim(A)
    rig.store.end("r1", "cancelled", NOTE)
    before = set(snapshot(rig.store))

    assert rig.reap("w1/", "a") == (0, 0)
    assert rig.store.reap("gone", "w1/", "a", -1, 3, b"") == (0, 0)
    assert set(snapshot(rig.store)) == before


def test_of_a_death_that_nobody_saw_a_task_that_was_held_alone_is_guilty(rig: Rig) -> None:
    rig.create("a")
    for attempt in "123":
        assert names(rig.claim(A)) == f"a:{attempt}"
        reaped = rig.reap("w1/", "?")

    assert reaped == (1, 1)
    assert rig.journal()[-1] == "crash a"


def test_what_was_held_together_is_claimed_one_at_a_time_after_a_death_that_nobody_saw(
    rig: Rig,
) -> None:
    rig.create("a b c")
    rig.claim(A, want=2)
    rig.reap("w1/", "?")

    held = [names(rig.claim(f"w2/c0/{n}", want=9)) for n in range(3)]

    assert held == ["a:1", "b:1", "c:1"]  # nobody's death is counted yet
    rig.reap("w2/c0/1", "?")
    assert names(rig.claim("w3/c0/0", want=9)) == "b:2"


def test_one_that_goes_alone_never_joins_others_that_were_claimed_before_it(rig: Rig) -> None:
    rig.create("a b")
    rig.claim("w0/c0/0")
    rig.claim(A)
    rig.reap("w1/", "?")  # b
    rig.cycle("w0/c0/0")  # a

    assert names(rig.claim(B, want=9)) == "a:1"
    assert names(rig.claim("w3/c0/0", want=9)) == "b:2"


def test_a_task_that_opened_a_map_begins_again_with_no_deaths_to_its_name(rig: Rig) -> None:
    rig.create("a")
    for _ in range(2):
        rig.claim(A)
        rig.reap("w1/", "a")
    (claim,) = rig.claim(A)
    rig.open_map(A, claim, [])
    rig.claim(B)

    assert rig.reap("w2/", "a") == (1, 0)


def test_a_map_whose_gathering_kills_its_workers_leaves_nothing(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)
    rig.open_map(A, claim, [])
    for _ in range(3):
        rig.claim(B)
        rig.reap("w2/", "a")

    assert rig.journal()[-1] == "crash a"
    assert not [key for key in rig.ttls() if key.startswith("m:") or key == "maps"]


# -- items of maps --------------------------------------------------------------------------------


def test_the_guilty_item_counts_alone_and_its_range_is_cut_around_it(rig: Rig) -> None:
    rig.create_map([10])
    rig.claim_range(A, 8)
    rig.reap("w1/", BOARD, 3)

    assert claims(rig, "w2/c0/", 9) == "0-3:1 3-4:2 4-8:1 8-10:1"


@pytest.mark.parametrize(("item", "parts"), [(0, "0-1:2 1-4:1"), (3, "0-3:1 3-4:2")])
def test_the_guilty_item_may_be_at_the_border(rig: Rig, item: int, parts: str) -> None:
    rig.create_map([4])
    rig.claim_range(A, 4)
    rig.reap("w1/", BOARD, item)

    assert claims(rig, "w2/c0/", 9) == parts


def test_an_item_that_kills_three_workers_fails_and_the_rest_is_unharmed(rig: Rig) -> None:
    rig.create_map([4], stops=False)
    rig.claim_range(A, 4)
    rig.reap("w1/", BOARD, 2)
    commits: list[RangeCommit] = []
    while (claim := rig.range(B, *commits, want=9).claim) is not None:
        commits = [done_upto(claim)]
        if claim.range == "2-3":
            rig.reap("w2/", BOARD, 2)

    assert rig.status == "partial"
    assert sorted(rig.results()) == [
        (0, b"0..2"),
        (2, b"crash:killed its worker"),
        (3, b"3..4"),
    ]


def test_reaping_a_map_twice_counts_once(rig: Rig) -> None:
    rig.create_map([4])
    rig.claim_range(A, 4)
    rig.reap("w1/", BOARD, 2)
    before = snapshot(rig.store)

    assert rig.reap("w1/", BOARD, 2) == (0, 0)
    assert snapshot(rig.store) == before


def test_another_maps_item_is_not_guilty(rig: Rig) -> None:
    rig.create_map([4])
    rig.claim_range(A, 4)
    rig.reap("w1/", "other", 2)

    assert claims(rig, "w2/c0/", 9) == "0-4:1"


def test_items_held_together_are_claimed_one_at_a_time_after_a_death_that_nobody_saw(
    rig: Rig,
) -> None:
    rig.create_map([4])
    rig.claim_range(A, 3)
    rig.reap("w1/", "?")

    assert claims(rig, "w2/c0/", 9) == "0-1:1 1-2:1 2-3:1 3-4:1"
    rig.reap("w2/c0/1", "?")
    assert claims(rig, "w3/c0/", 9) == "1-2:2"


def test_a_death_below_the_failed_item_leaves_the_map_open(rig: Rig) -> None:
    rig.create_map([9])
    rig.claim_range(A, 2)
    rig.range(B, done_upto(rig.claim_range(B, 2), 3, 2))
    rig.reap("w1/", BOARD, 1)

    assert rig.status == "running"
    assert claims(rig, "w3/c0/", 9) == "0-1:1 1-2:2"


def test_an_item_that_fails_by_its_third_death_ends_a_map_that_stops(rig: Rig) -> None:
    rig.create_map([9])
    for _ in range(3):
        rig.claim_range(A, 1)
        rig.reap("w1/", BOARD, 0)

    assert rig.status == "failed"
    assert rig.results() == [(0, b"crash:killed its worker")]
    assert rig.lasting() == set()


def test_a_map_inside_a_run_is_gathered_when_its_last_item_has_died_thrice(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)
    rig.open_map(A, claim, [1])
    for _ in range(3):
        rig.claim_range(A, 1, map_="a")
        rig.reap("w1/", "a", 0)

    assert rig.claim(B)[0].sealed == b"gather a"
    assert rig.journal() == ["start", "lost a", "lost a", "lost a"]


def test_a_slot_is_reaped_in_the_run_and_in_its_maps(rig: Rig) -> None:
    rig.create("a b")
    first, _ = rig.claim(A, want=2)
    rig.open_map(A, first, [4])
    rig.claim_range("w1/c1/0", 4, map_="a")

    assert rig.reap("w1/") == (2, 0)
    assert rig.store.inspect("r1").slots == []
