"""Items of a map go from queue to queue with what they have, and every item ends once."""

from __future__ import annotations

import pytest

from hypergraph.store.contract import RangeClaim, RangeCommit
from hypergraph.store.facts import read_run
from tests.stores import BOARD, NOTE, QUEUE, Rig, done_upto, page, snapshot

A, B, C = "w1/c0/0", "w2/c0/0", "w3/c0/0"
GPU = "gpu.py311w1"


def handed_over(claim: RangeClaim, upto: int | None = None, to: str = GPU) -> RangeCommit:
    """Hand items of a claimed range over to another queue, as far as item `upto`."""
    upto = claim.stop if upto is None else upto
    return RangeCommit(claim.range, claim.attempt, upto, bag(upto), to=to, size=len(bag(upto)))


def bag(upto: int) -> bytes:
    return f"what items before {upto} bring along".encode()


def take(rig: Rig, slot: str, queue: str = GPU, want: int = 9) -> RangeClaim:
    claim = rig.range(slot, want=want, queue=queue).claim
    assert claim is not None, "there was nothing to claim"
    return claim


@pytest.fixture
def waiting(rig: Rig) -> Rig:
    """A map of 4 items, which wait for the queue `gpu`."""
    rig.create_map([4])
    rig.range(A, handed_over(rig.claim_range(A, 4)))
    return rig


def test_items_that_are_handed_over_wait_for_that_queue_alone(waiting: Rig) -> None:
    assert waiting.range(B, want=4).claim is None
    assert waiting.range(B, want=4, queue="cpu.py311w1").claim is None

    claim = take(waiting, B)

    assert (claim.start, claim.stop, claim.attempt) == (0, 4, "1")
    assert (claim.has_begun, claim.offset, claim.data) == (True, 0, bag(4))


def test_workers_of_another_queue_get_no_fresh_items(rig: Rig) -> None:
    rig.create_map([4])

    assert rig.range(B, want=4, queue=GPU).claim is None
    assert rig.cycle(B, queue=GPU).maps == []
    assert rig.cycle(A).maps == [BOARD]


def test_a_run_says_that_a_map_has_work_for_a_queue(waiting: Rig) -> None:
    assert waiting.cycle(B, queue=GPU).maps == [BOARD]
    views = [(view.open, view.queue) for view in waiting.store.inspect("r1").maps]

    assert views == [(0, QUEUE), (1, GPU)]


def test_what_items_bring_along_does_not_travel_twice(waiting: Rig) -> None:
    first = take(waiting, B, want=1)
    again = waiting.range(B, done_upto(first), want=9, page=first.page, queue=GPU).claim

    assert again is not None
    assert (again.start, again.stop, again.offset, again.data) == (1, 4, 0, b"")


def test_items_may_end_on_any_queue(waiting: Rig) -> None:
    answer = waiting.range(B, done_upto(take(waiting, B)), queue=GPU)

    assert (answer.status, answer.home) == ("over", QUEUE)
    assert waiting.status == "completed"
    assert waiting.results() == [(0, b"0..4")]


def test_items_hop_back(waiting: Rig) -> None:
    waiting.range(B, handed_over(take(waiting, B), to=QUEUE), queue=GPU)
    claim = waiting.claim_range(A, 4)
    waiting.range(A, done_upto(claim))

    assert claim.has_begun
    assert waiting.status == "completed"


def test_what_has_begun_goes_before_what_has_not(rig: Rig) -> None:
    rig.create_map([4])
    rig.range(A, handed_over(rig.claim_range(A, 1)))
    rig.range(B, handed_over(take(rig, B), to=QUEUE), queue=GPU)

    assert rig.claim_range(A, 4).has_begun
    assert rig.claim_range(B, 4).range == "1-4"


def test_a_range_may_be_committed_piece_by_piece(rig: Rig) -> None:
    rig.create_map([10])
    claim = rig.claim_range(A, 8)
    pieces = [done_upto(claim, 2), handed_over(claim, 5), done_upto(claim, 6)]

    assert rig.range(A, *pieces).accepted == 3
    assert rig.results() == [(0, b"0..2"), (5, b"0..6")]
    assert (take(rig, B).start, take(rig, C, QUEUE).range) == (2, "6-8")
    assert rig.map_state()["done"] == "3"


def test_pieces_that_overlap_or_leave_the_range_do_not_stand(rig: Rig) -> None:
    rig.create_map([10])
    claim = rig.claim_range(A, 4)

    assert (
        rig.range(A, done_upto(claim, 3), handed_over(claim, 2), done_upto(claim, 5)).accepted == 1
    )
    assert rig.claim_range(B, 4).range == "3-4"


def test_handing_over_twice_hands_over_once(rig: Rig) -> None:
    rig.create_map([4])
    claim = rig.claim_range(A, 4)
    rig.range(A, handed_over(claim), want=1)
    before = snapshot(rig.store)
    rig.range(A, handed_over(claim), want=1, call=rig.call_of(A))

    assert snapshot(rig.store) == before


def test_a_zombie_hands_nothing_over(rig: Rig) -> None:
    rig.create_map([4])
    claim = rig.claim_range(A, 4)
    rig.reap("w1/")
    rig.claim_range(B, 4)

    assert rig.range(A, handed_over(claim)).accepted == 0
    assert rig.range(C, want=4, queue=GPU).claim is None


def test_what_a_dead_worker_held_comes_back_with_what_it_brings_along(waiting: Rig) -> None:
    take(waiting, B, want=2)
    waiting.reap("w2/", BOARD, 1)
    found = [take(waiting, slot) for slot in (A, B, C)]

    assert [(claim.range.partition("@")[0], claim.attempt) for claim in found] == [
        ("0-1", "1"),
        ("1-2", "2"),
        ("2-4", "1"),
    ]
    assert {claim.data for claim in found} == {bag(4)}


def test_an_item_that_kills_three_workers_fails_on_whatever_queue(waiting: Rig) -> None:
    for n in range(3):
        slot = f"w{7 + n}/c0/0"
        take(waiting, slot, want=1)
        waiting.reap(f"w{7 + n}/", BOARD, 0)
    state = waiting.map_state()

    assert (state["done"], state["failed"], state["fail_at"]) == ("1", "1", "0")


def test_a_stage_that_is_through_is_no_death_of_the_next(waiting: Rig) -> None:
    for n in range(2):
        take(waiting, f"w{7 + n}/c0/0", want=1)
        waiting.reap(f"w{7 + n}/", BOARD, 0)
    waiting.range(B, handed_over(take(waiting, B, want=1), to=QUEUE), queue=GPU)
    waiting.claim_range(A, 1)
    waiting.reap("w1/", BOARD, 0)

    assert waiting.map_state()["failed"] == "0"


def test_nothing_of_it_is_left_when_all_items_have_moved_on(waiting: Rig) -> None:
    client = waiting.store.link.client
    pages, left = (waiting.store.keys.run("r1", f"m:{BOARD}:{part}") for part in ("pages", "left"))
    first = take(waiting, B, want=3)
    waiting.range(B, done_upto(first), queue=GPU)

    assert client.hvals(pages) == [bag(4)]
    assert waiting.map_state()["hop_bytes"] == str(len(bag(4)))

    waiting.range(B, handed_over(take(waiting, B), to=QUEUE), queue=GPU)
    last = take(waiting, A, QUEUE)

    assert client.hvals(pages) == [bag(4)]
    assert len(client.hkeys(left)) == 2

    waiting.store.feed("r1", BOARD, 4, 0, b"", 5)
    waiting.range(A, done_upto(last))

    assert (client.hvals(pages), client.hkeys(left)) == ([], [])
    assert waiting.map_state()["hop_bytes"] == "0"


def test_inputs_leave_with_the_hop(waiting: Rig) -> None:
    pages = waiting.store.keys.run("r1", f"m:{BOARD}:pages")

    assert page(0) not in waiting.store.link.client.hvals(pages)


def test_after_a_failure_lower_items_are_finished_wherever_they_wait(rig: Rig) -> None:
    rig.create_map([4])
    rig.range(A, handed_over(rig.claim_range(A, 2)))
    rig.range(A, done_upto(rig.claim_range(A, 2), 4, 3))

    assert rig.status == "running"

    last = take(rig, B)
    rig.range(B, done_upto(last), queue=GPU)

    assert rig.status == "failed"


def test_after_a_failure_higher_items_that_wait_elsewhere_do_not_begin(rig: Rig) -> None:
    rig.create_map([4])
    first = rig.claim_range(A, 1)
    rig.range(B, handed_over(rig.claim_range(B, 3)))
    rig.range(A, done_upto(first, 1, 0))

    assert rig.status == "failed"
    assert rig.range(C, want=4, queue=GPU).status == "stop"


def test_fresh_items_wait_while_too_much_waits_elsewhere(rig: Rig) -> None:
    rig.create_map([4], window=100)
    much = handed_over(rig.claim_range(A, 1))._replace(size=64 << 20)
    rig.range(A, much)

    assert rig.range(A, want=1).claim is None
    assert rig.store.inspect("r1").maps[0].open == 0

    rig.range(B, done_upto(take(rig, B)), queue=GPU)

    assert rig.claim_range(A, 1).range == "1-2"


def test_a_mapped_node_that_ends_elsewhere_is_gathered_at_home(rig: Rig) -> None:
    rig.create("a")
    (task,) = rig.claim(A)
    rig.open_map(A, task, [2])
    rig.range(A, handed_over(rig.claim_range(A, 2, "a")), map_="a")
    claim = rig.range(B, want=2, map_="a", queue=GPU).claim
    assert claim is not None
    answer = rig.range(B, done_upto(claim), map_="a", queue=GPU)

    assert (answer.status, answer.home) == ("over", QUEUE)
    assert [claim.sealed for claim in rig.claim(A)] == [b"gather a"]


def test_a_map_that_is_cancelled_leaves_nothing_that_lasts(waiting: Rig) -> None:
    waiting.store.end("r1", "cancelled", NOTE)

    assert waiting.lasting() == set()
    assert not [key for key in waiting.ttls() if "ready" in key or "pages" in key]


def test_items_handed_over_to_ones_own_queue_may_be_claimed_in_the_same_call(rig: Rig) -> None:
    rig.create_map([2])
    claim = rig.claim_range(A, 2)

    again = rig.range(A, handed_over(claim, to=QUEUE), want=9, queue=QUEUE).claim
    assert again is not None and (again.start, again.stop, again.has_begun) == (0, 2, True)


def test_people_are_told_what_waits_for_which_queue(waiting: Rig) -> None:
    facts = read_run(waiting.store, "r1")
    assert facts is not None

    assert [map_.handed_over for map_ in facts.maps] == [{GPU: 1}]

    take(waiting, B)
    facts = read_run(waiting.store, "r1")
    assert facts is not None

    assert [map_.handed_over for map_ in facts.maps] == [{}]
    assert facts.maps[0].leases[0].id == "0-4"
