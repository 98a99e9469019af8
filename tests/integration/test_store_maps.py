"""What a map promises: every item once, in ranges, whoever dies or leaves in between."""

from __future__ import annotations

import pytest

from hypergraph.store.contract import RangeClaim, RangeCommit
from tests.stores import BOARD, NOTE, Rig, done, done_upto, names, page, snapshot

A, B = "w1/c0/0", "w2/c0/0"


def spans(rig: Rig, slot: str, want: int, times: int) -> str:
    """Claim and commit so often; return the claims in words, as in ``0-2 2-4``."""
    found = []
    commits: list[RangeCommit] = []
    for _ in range(times):
        claim = rig.range(slot, *commits, want=want).claim
        if claim is None:
            break
        found.append(claim.range)
        commits = [done_upto(claim)]
    return " ".join(found)


# -- claims ---------------------------------------------------------------------------------------


def test_ranges_are_cut_one_after_the_other_and_never_cross_a_page(rig: Rig) -> None:
    rig.create_map([5, 3])

    assert spans(rig, A, 3, 9) == "0-3 3-5 5-8"
    assert rig.status == "completed"


def test_a_page_comes_along_unless_the_slot_has_it(rig: Rig) -> None:
    rig.create_map([2, 2])
    first = rig.range(A, want=1).claim
    second = rig.range(A, done_upto(first), want=1, page="0").claim if first else None
    third = rig.range(A, done_upto(second), want=1, page="0").claim if second else None

    assert first == RangeClaim(0, 1, "1", "0", page(0))
    assert second == RangeClaim(1, 2, "1", "0", b"")
    assert third == RangeClaim(2, 3, "1", "2", page(2))


def test_two_slots_never_hold_the_same_item(rig: Rig) -> None:
    rig.create_map([10])
    held = [rig.claim_range(slot, 4).range for slot in (A, B, "w3/c0/0")]

    assert held == ["0-4", "4-8", "8-10"]
    assert rig.range("w4/c0/0", want=4).claim is None


def test_the_answer_says_what_is_left_and_how_many_slots_are_at_it(rig: Rig) -> None:
    rig.create_map([10])
    rig.claim_range(A, 4)
    answer = rig.range(B, want=4)

    assert (answer.left, answer.slots) == (2, 2)


def test_a_map_of_more_items_than_32_bits_can_count_gets_on(rig: Rig) -> None:
    """And its numbers never turn into ``5e+09``."""
    far = 5_000_000_000_000
    rig.create_map([], total=-1)
    key = rig.store.keys.run("r1", f"m:{BOARD}:state")
    rig.store.link.client.hset(key, mapping={"avail": far, "cursor": far, "done": far})
    rig.feed(6, start=far, total=far + 6)

    claim = rig.claim_range(A, 4)
    assert (claim.range, claim.page, claim.data) == (f"{far}-{far + 4}", str(far), page(far))
    rig.range(A, done_upto(claim, far + 1))
    assert spans(rig, B, 9, 9) == f"{far + 1}-{far + 4} {far + 4}-{far + 6}"
    assert [start for start, _ in rig.results()] == [far, far + 1, far + 4]
    assert rig.status == "completed"


# -- commits --------------------------------------------------------------------------------------


def test_a_range_may_be_committed_in_part_and_its_tail_goes_back_uncounted(rig: Rig) -> None:
    rig.create_map([10])
    claim = rig.claim_range(A, 8)
    answer = rig.range(A, done_upto(claim, 3))

    assert answer.accepted == 1
    again = rig.claim_range(B, 99)
    assert (again.range, again.attempt) == ("3-8", "1")
    assert rig.results() == [(0, b"0..3")]


@pytest.mark.parametrize("upto", [2, 1, 6], ids=["nothing", "less than nothing", "too much"])
def test_a_commit_of_no_items_or_of_others_items_does_not_stand(rig: Rig, upto: int) -> None:
    rig.create_map([2, 8])
    rig.range(A, done_upto(rig.claim_range(A, 2)))
    claim = rig.claim_range(A, 3)
    assert claim.range == "2-5"

    assert rig.range(A, done_upto(claim, upto)).accepted == 0
    assert rig.claim_range(B, 3).range == "2-5"
    assert rig.results() == [(0, b"0..2")]


def test_what_is_held_and_not_committed_goes_back_uncounted(rig: Rig) -> None:
    rig.create_map([10])
    rig.claim_range(A, 4)
    rig.range(A)
    again = rig.claim_range(B, 99)

    assert (again.range, again.attempt) == ("0-4", "1")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_zombie_with_a_range_is_refused(rig: Rig, when: str) -> None:
    rig.create_map([4])
    zombie = rig.claim_range(A, 4)
    rig.reap("w1/")
    again = rig.claim_range(B, 4)
    if when == "after":
        rig.range(B, done_upto(again, 2))

    assert rig.range(A, done_upto(zombie)).accepted == 0
    if when == "before":
        rig.range(B, done_upto(again, 2))
    assert rig.results() == [(0, b"0..2")]


def test_a_range_is_committed_to_the_values_of_its_run(rig: Rig) -> None:
    rig.create_map([4])
    claim = rig.claim_range(A, 4)
    rig.range(A, done_upto(claim)._replace(values={"d1": b"one"}))

    assert rig.store.get_values("r1", ["d1"]) == [b"one"]


def test_a_claim_of_an_earlier_epoch_goes_back(rig: Rig) -> None:
    rig.create_map([4])
    claim = rig.claim_range(A, 2)
    rig.store.link.client.hincrby(rig.store.keys.run("r1"), "epoch", 1)

    assert rig.range(A, done_upto(claim), epoch="1").status == "stop"
    assert rig.results() == []
    assert rig.claim_range(B, 4).range == "0-2"


# -- repeats --------------------------------------------------------------------------------------


def test_a_call_on_a_map_whose_reply_was_lost_gives_the_same_claim(rig: Rig) -> None:
    rig.create_map([10])
    claim = rig.claim_range(A, 3)
    first = rig.range(A, done_upto(claim, 2), want=3)
    before = snapshot(rig.store)

    again = rig.range(A, done_upto(claim, 2), want=3, call=rig.call_of(A))

    assert (first.claim, first.left) == (again.claim, again.left)
    assert snapshot(rig.store) == before


def test_a_call_that_closed_the_map_and_whose_reply_was_lost_learns_that_it_is_over(
    rig: Rig,
) -> None:
    rig.create_map([2])
    claim = rig.claim_range(A, 2)
    first = rig.range(A, done_upto(claim), want=3)
    before = snapshot(rig.store)

    again = rig.range(A, done_upto(claim), want=3, call=rig.call_of(A))

    assert (first.status, again.status) == ("over", "stop")
    assert snapshot(rig.store) == before


def test_a_call_on_a_map_that_arrives_behind_a_later_one_changes_nothing(rig: Rig) -> None:
    rig.create_map([10])
    rig.range(A, want=2)
    later = rig.claim_range(A, 2)
    before = snapshot(rig.store)

    rig.range(A, want=2, call=1)

    assert snapshot(rig.store) == before
    assert rig.range(A, done_upto(later)).accepted == 1


# -- failures -------------------------------------------------------------------------------------


def test_after_a_failure_nothing_higher_is_claimed_and_every_lower_item_is_finished(
    rig: Rig,
) -> None:
    # Given three slots at work, and a failure in the middle
    rig.create_map([20])
    low, middle, high = (rig.claim_range(slot, 4) for slot in (A, B, "w3/c0/0"))
    assert rig.range(B, done_upto(middle, 6, 5), want=4).claim is None

    # When the lower range is given back, and the higher one in part
    rig.range(A, done_upto(low, 1))
    rig.range("w3/c0/0", done_upto(high, 9))
    assert rig.status == "running"

    # Then only the lower items are claimed again, and the map is over with the last of them
    assert rig.claim_range("w4/c0/0", 99).range == "1-4"
    assert rig.range("w3/c0/0", want=9).claim is None
    answer = rig.range("w4/c0/0", done_upto(RangeClaim(1, 4, "1", "0", b"")))
    assert (answer.status, rig.status) == ("over", "failed")
    assert rig.results() == [(4, b"4..6"), (0, b"0..1"), (8, b"8..9"), (1, b"1..4")]


def test_a_map_that_stops_waits_for_lower_items_that_are_still_held(rig: Rig) -> None:
    rig.create_map([9])
    low = rig.claim_range(A, 2)
    rig.range(B, done_upto(rig.claim_range(B, 2), 4, 3))
    assert rig.status == "running"
    rig.range(A, done_upto(low))

    assert rig.status == "failed"


def test_the_lowest_failure_decides(rig: Rig) -> None:
    rig.create_map([9])
    low = rig.claim_range(A, 4)
    rig.range(B, done_upto(rig.claim_range(B, 4), 6, 5))
    rig.range(A, done_upto(low, 2, 1))

    assert rig.status == "failed"
    assert rig.map_state()["fail_at"] == "1"


def test_a_map_that_stops_may_fail_before_all_inputs_are_there(rig: Rig) -> None:
    rig.create_map([4], total=-1)
    rig.range(A, done_upto(rig.claim_range(A, 4), 1, 0))

    assert rig.status == "failed"
    assert rig.feed(4, start=4, total=8) == "failed"


def test_a_map_that_goes_on_finishes_every_item(rig: Rig) -> None:
    rig.create_map([4], stops=False)
    rig.range(A, done_upto(rig.claim_range(A, 2), 2, 0))
    assert rig.status == "running"
    rig.range(A, done_upto(rig.claim_range(A, 2)))

    assert rig.status == "partial"


def test_a_map_of_which_nothing_succeeds_has_failed(rig: Rig) -> None:
    rig.create_map([2], stops=False)
    rig.range(A, done_upto(rig.claim_range(A, 2), 2, 0, 1))

    assert rig.status == "failed"


# -- feeding --------------------------------------------------------------------------------------


def test_the_same_page_twice_counts_once(rig: Rig) -> None:
    rig.create_map([], total=-1)
    rig.feed(3)
    before = snapshot(rig.store)
    rig.feed(3)

    assert snapshot(rig.store) == before
    assert rig.store.feed("r1", BOARD, 0, 0, b"").avail == 3


def test_a_page_that_does_not_continue_what_is_there_is_refused(rig: Rig) -> None:
    rig.create_map([3], total=-1)

    assert rig.store.feed("r1", BOARD, 5, 2, page(5)).avail == 3
    assert rig.store.feed("r1", BOARD, 2, 2, page(2)).avail == 3


def test_no_page_goes_beyond_the_number_of_items(rig: Rig) -> None:
    rig.create_map([3])

    assert rig.store.feed("r1", BOARD, 3, 2, page(3)).avail == 3


def test_a_map_without_items_is_over_when_it_is_sealed(rig: Rig) -> None:
    rig.create_map([], total=0)

    assert rig.status == "completed"


def test_sealing_with_an_empty_last_page_ends_a_map_whose_items_are_all_done(rig: Rig) -> None:
    rig.create_map([2], total=-1)
    rig.range(A, done_upto(rig.claim_range(A, 2)))
    assert rig.status == "running"

    assert [rig.feed(start=2, total=2) for _ in range(2)] == ["completed", "completed"]


def test_a_map_that_is_not_sealed_waits_for_more(rig: Rig) -> None:
    rig.create_map([2], total=-1)
    rig.range(A, done_upto(rig.claim_range(A, 2)))
    assert rig.range(A, want=2).claim is None
    rig.feed(2, start=2, total=4)

    assert spans(rig, A, 2, 9) == "2-4"
    assert rig.status == "completed"


def test_feeding_a_map_that_is_not_there_stores_nothing(rig: Rig) -> None:
    assert rig.store.feed("r1", BOARD, 0, 1, b"page", 1).status == "gone"
    rig.create("a")
    before = snapshot(rig.store)
    assert rig.store.feed("r1", BOARD, 0, 1, b"page", 1).status == "gone"
    assert snapshot(rig.store) == before


def test_pages_leave_when_their_items_are_done(rig: Rig) -> None:
    rig.create_map([2, 2])
    rig.range(A, done_upto(rig.claim_range(A, 1)))
    pages = rig.store.keys.run("r1", f"m:{BOARD}:pages")
    assert rig.store.link.client.hkeys(pages) == [b"0", b"2"]
    rig.range(A, done_upto(rig.claim_range(A, 1)))

    assert rig.store.link.client.hkeys(pages) == [b"2"]


# -- reading --------------------------------------------------------------------------------------


def test_results_come_in_order_of_completion(rig: Rig) -> None:
    rig.create_map([4])
    first, second = rig.claim_range(A, 2), rig.claim_range(B, 2)
    rig.range(B, done_upto(second))
    rig.range(A, done_upto(first))

    found = rig.store.collect("r1", BOARD, count=9)
    assert found.ranges == [(2, b"2..4"), (0, b"0..2")]
    assert (found.status, found.done, found.failed, found.busy_us, found.avail, found.total) == (
        "completed", 4, 0, 20, 4, 4,
    )  # fmt: skip
    assert rig.store.collect("r1", BOARD, start=1, count=9).ranges == [(0, b"0..2")]


def test_what_a_reader_has_had_is_dropped_once_however_often_it_says_so(rig: Rig) -> None:
    """The reply that carried the next results may be lost: they must be there again."""
    rig.create_map([6])
    spans(rig, A, 2, 9)
    assert len(rig.store.collect("r1", BOARD, count=1).ranges) == 1

    told = [rig.store.collect("r1", BOARD, start=1, count=1, forget=1, read=2) for _ in range(3)]

    assert [found.ranges for found in told] == [[(2, b"2..4")]] * 3
    assert rig.map_state()["read"] == "2"
    assert rig.store.collect("r1", BOARD, start=2, forget=2, read=4).ranges == [(4, b"4..6")]
    assert rig.store.collect("r1", BOARD, start=3, forget=3, read=6).ranges == []
    assert rig.map_state()["unread"] == "0"


def test_claims_stop_at_the_window_until_the_reader_has_moved_on(rig: Rig) -> None:
    rig.create_map([6], window=2)
    assert spans(rig, A, 1, 9) == "0-1 1-2"
    assert rig.store.inspect("r1").maps[0].open == 0

    rig.store.collect("r1", BOARD, start=1, forget=1, read=1)
    assert rig.store.inspect("r1").maps[0].open == 1
    assert spans(rig, A, 1, 9) == "2-3"


def test_what_goes_back_is_claimed_again_even_if_the_window_is_full(rig: Rig) -> None:
    rig.create_map([6], window=2)
    rig.claim_range(A, 2)
    rig.range(A)

    assert rig.claim_range(B, 2).range == "0-2"


def test_claims_stop_while_too_many_bytes_are_unread(rig: Rig) -> None:
    rig.create_map([9], window=9)
    claim = rig.claim_range(A, 1)
    rig.range(A, done_upto(claim))
    state = rig.store.keys.run("r1", f"m:{BOARD}:state")
    rig.store.link.client.hset(state, "unread", 64 << 20)

    assert rig.range(A, want=1).claim is None
    assert rig.store.inspect("r1").maps[0].open == 0
    rig.store.collect("r1", BOARD, start=1, forget=1, read=1)
    assert rig.range(A, want=1).claim is not None


# -- maps inside a run ----------------------------------------------------------------------------


def test_a_task_becomes_a_map_and_falls_due_again_to_gather(rig: Rig) -> None:
    rig.create("a b")
    claim, other = rig.claim(A, want=2)
    assert rig.open_map(A, claim, [2, 1])

    answer = rig.cycle(A, done(other), want=9)
    assert (answer.accepted, answer.claims, answer.maps) == (1, [], ["a"])
    assert rig.store.map_spec("r1", "a") == b"the spec"
    commits: list[RangeCommit] = []
    for _ in range(2):
        ranged = rig.range(B, *commits, want=9, map_="a").claim
        assert ranged is not None
        commits = [done_upto(ranged)]
    assert rig.range(B, *commits, map_="a").status == "over"

    answer = rig.cycle(A, want=9)
    assert (names(answer.claims), answer.claims[0].sealed, answer.maps) == ("a:1", b"gather a", [])
    assert rig.results("a") == [(0, b"0..2"), (2, b"2..3")]
    rig.cycle(A, done(answer.claims[0]))
    assert rig.journal() == ["start", "done b", "done a"]
    assert not [key for key in rig.ttls() if key.startswith("m:")]


def test_a_map_without_items_is_gathered_even_if_its_slot_dies_at_once(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)
    rig.open_map(A, claim, [])
    rig.reap("w1/")

    assert rig.claim(B)[0].sealed == b"gather a"


def test_opening_a_map_again_changes_nothing(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)
    rig.open_map(A, claim, [2])
    before = snapshot(rig.store)

    assert rig.open_map(A, claim, [2])
    assert snapshot(rig.store) == before


def test_a_zombie_cannot_open_a_map(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)
    rig.reap("w1/")

    assert not rig.open_map(A, claim, [2])
    assert names(rig.claim(B)) == "a:1"


def test_a_map_is_not_opened_in_a_run_that_has_ended(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)
    rig.store.end("r1", "cancelled", NOTE)

    assert not rig.open_map(A, claim, [2])
    assert rig.lasting() == set()


def test_a_map_counts_towards_the_bodies_in_flight(rig: Rig) -> None:
    rig.create_map([6], meta={"most": 2})
    rig.claim_range(A)
    rig.claim_range(B)

    assert rig.range("w3/c0/0", want=1).claim is None
    assert rig.range(A, want=1).claim is not None
