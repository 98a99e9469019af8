"""What one cycle of a slot promises: commit, give back, add what follows, claim."""

from __future__ import annotations

import pytest

from hypergraph.store.contract import Advance, Commit, Cycled
from tests.stores import NOTE, QUEUE, Rig, done, names, record, records, snapshot

A, B = "w1/c0/0", "w2/c0/0"


# -- which commits stand ------------------------------------------------------------------------


def test_a_commit_of_what_the_slot_holds_stands(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)

    answer = rig.cycle(A, done(claim, d1=b"one"))

    assert (answer.accepted, answer.seq, answer.applied) == (1, 2, 1)
    entry = rig.store.read_journal("r1", 1)[0]
    assert {name: value.decode() for name, value in entry.fields.items()} == {
        "k": "done",
        "task": "a",
        "a": "1",
        "w": A,
        "ep": "1",
        "p": "a is done",
    }
    assert rig.store.get_values("r1", ["d1"]) == [b"one"]


def test_a_commit_stands_once(rig: Rig) -> None:
    rig.create("a b")
    (claim,) = rig.claim(A)

    accepted = [rig.cycle(A, done(claim), done(claim)).accepted, rig.cycle(A, done(claim)).accepted]

    assert accepted == [1, 0]
    assert rig.journal() == ["start", "done a"]


@pytest.mark.parametrize(
    "commit",
    [
        pytest.param(Commit("a", "2", "done", b""), id="another attempt"),
        pytest.param(Commit("a", "", "done", b""), id="no attempt"),
        pytest.param(Commit("b", "1", "done", b""), id="a task that another slot holds"),
        pytest.param(Commit("c", "1", "done", b""), id="a task that nobody holds"),
        pytest.param(Commit("x", "1", "done", b""), id="a task that never was"),
    ],
)
def test_what_the_slot_does_not_hold_is_refused(rig: Rig, commit: Commit) -> None:
    rig.create("a b c")
    rig.claim(A)
    rig.claim(B)

    assert rig.cycle(A, commit._replace(values={"d1": b"one"})).accepted == 0
    assert rig.journal() == ["start"]
    assert rig.store.get_values("r1", ["d1"]) == [None]
    assert names(rig.claim("w3/c0/0", want=9)) == "a:1 c:1"  # what A held has gone back


def test_a_commit_of_an_earlier_epoch_is_refused_and_what_was_held_goes_back(rig: Rig) -> None:
    rig.create("a b")
    (claim,) = rig.claim(A)
    rig.store.link.client.hincrby(rig.store.keys.run("r1"), "epoch", 1)  # a resume, one day

    answer = rig.cycle(A, done(claim), epoch="1", want=1)

    assert answer.status == "stop"
    assert rig.journal() == ["start"]
    assert names(rig.claim(B, want=9)) == "a:1 b:1"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_zombie_is_refused(rig: Rig, when: str) -> None:
    # Given a slot that is reaped while it works, and its task claimed by another one
    rig.create("a b")
    (zombie,) = rig.claim(A)
    rig.reap("w1/")
    (again,) = rig.claim(B)

    # When it wakes up, before or after the other one commits
    if when == "after":
        assert rig.cycle(B, done(again)).accepted == 1
    late = rig.cycle(A, done(zombie, d1=b"late"), epoch="1")

    # Then its result is not in, and the other one's is
    assert late.accepted == 0
    if when == "before":
        assert rig.cycle(B, done(again)).accepted == 1
    assert rig.journal() == ["start", "done a"]
    assert rig.store.get_values("r1", ["d1"]) == [None]


def test_a_zombie_is_refused_before_anybody_has_claimed_again(rig: Rig) -> None:
    rig.create("a")
    (zombie,) = rig.claim(A)
    rig.reap("w1/", "a")

    assert rig.cycle(A, done(zombie)).accepted == 0
    assert names(rig.claim(B)) == "a:2"


def test_a_lease_does_not_run_out_by_itself(rig: Rig) -> None:
    """A result that was kept through an outage of Redis still commits."""
    rig.create("a")
    (claim,) = rig.claim(A)

    assert "slots" in rig.lasting()
    assert rig.cycle(A, done(claim)).accepted == 1


# -- what goes back -------------------------------------------------------------------------------


def test_what_was_held_and_not_committed_goes_back_uncounted(rig: Rig) -> None:
    rig.create("a b c")
    first = rig.claim(A, want=3)
    rig.cycle(A, done(first[1]))

    assert names(rig.claim(B, want=9)) == "a:1 c:1"


def test_what_went_back_keeps_its_place(rig: Rig) -> None:
    rig.create("a b c")
    rig.claim(A, want=1)
    rig.cycle(A)

    assert names(rig.claim(B, want=9)) == "a:1 b:1 c:1"


def test_a_counted_attempt_stays_counted_when_the_next_one_goes_back(rig: Rig) -> None:
    rig.create("a")
    rig.claim(A)
    rig.reap("w1/", "a")
    assert names(rig.claim(B)) == "a:2"
    rig.cycle(B)

    assert names(rig.claim(B)) == "a:2"


def test_a_slot_that_wants_nothing_holds_nothing(rig: Rig) -> None:
    rig.create("a")
    rig.claim(A)

    answer = rig.cycle(A)

    assert (answer.ready, answer.claims, answer.others) == (1, [], 0)
    assert rig.store.inspect("r1").slots == []


# -- repeats --------------------------------------------------------------------------------------


def same(first: Cycled, again: Cycled) -> bool:
    """Whether two answers leave the caller with the same work, and one says that it is a repeat."""
    return again.replayed and (first.claims, first.seq, first.applied, first.entries) == (
        again.claims,
        again.seq,
        again.applied,
        again.entries,
    )


def test_a_call_whose_reply_was_lost_gives_the_same_claims(rig: Rig) -> None:
    rig.create("a b c")
    first = rig.cycle(A, want=2)
    before = snapshot(rig.store)

    again = rig.cycle(A, want=2, call=rig.call_of(A))

    assert names(again.claims) == "a:1 b:1"
    assert same(first, again)
    assert snapshot(rig.store) == before


def test_a_commit_whose_reply_was_lost_is_not_made_twice(rig: Rig) -> None:
    rig.create("a b c")
    (claim,) = rig.claim(A)
    first = rig.cycle(A, done(claim), want=1)
    before = snapshot(rig.store)

    again = rig.cycle(A, done(claim), want=1, call=rig.call_of(A))

    assert same(first, again)
    assert snapshot(rig.store) == before
    assert rig.journal() == ["start", "done a"]


def test_an_advance_whose_reply_was_lost_is_not_made_twice(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)
    ahead = Advance(1, 2, records("b c"))
    first = rig.cycle(A, done(claim), want=1, advance=ahead)
    before = snapshot(rig.store)

    again = rig.cycle(A, done(claim), want=1, advance=ahead, call=rig.call_of(A))

    assert first.advanced and not again.advanced  # the caller throws its fold away and reads again
    assert same(first, again)
    assert snapshot(rig.store) == before


def test_a_call_that_ended_the_run_and_whose_reply_was_lost_learns_that_the_run_is_over(
    rig: Rig,
) -> None:
    """Which is all it has to know: it goes away, and the result is the client's affair."""
    rig.create("a")
    (claim,) = rig.claim(A)
    ahead = Advance(1, 2, (), ("completed", NOTE))
    first = rig.cycle(A, done(claim), want=1, advance=ahead)
    before = snapshot(rig.store)

    again = rig.cycle(A, done(claim), want=1, advance=ahead, call=rig.call_of(A))

    assert (first.status, again.status) == ("ended", "stop")
    assert snapshot(rig.store) == before
    assert rig.journal() == ["start", "done a", "end completed"]


def test_a_repeat_after_the_slot_was_reaped_gives_nothing(rig: Rig) -> None:
    rig.create("a")
    rig.cycle(A, want=1)
    rig.reap("w1/")

    again = rig.cycle(A, want=1, call=rig.call_of(A))

    assert (again.replayed, again.claims) == (True, [])
    assert names(rig.claim(B)) == "a:1"


def test_a_call_that_arrives_behind_a_later_one_changes_nothing(rig: Rig) -> None:
    """A re-sent call may be answered on a new connection before the first copy gets through."""
    rig.create("a b c")
    (claim,) = rig.claim(A)
    rig.cycle(A, done(claim), want=1)
    later = rig.cycle(A, want=1)
    before = snapshot(rig.store)

    rig.cycle(A, done(claim), want=1, call=2)

    assert snapshot(rig.store) == before
    assert rig.cycle(A, *map(done, later.claims)).accepted == 1


def test_calls_are_numbered_per_slot(rig: Rig) -> None:
    rig.create("a b")

    assert names(rig.cycle(A, want=1, call=7).claims) == "a:1"
    assert names(rig.cycle(B, want=1, call=7).claims) == "b:1"


# -- what is claimed ------------------------------------------------------------------------------


def test_no_two_slots_hold_the_same_task(rig: Rig) -> None:
    rig.create("a b c d e")
    held = [names(rig.claim(slot, want=2)) for slot in (A, B, "w3/c0/0", "w4/c0/0")]

    assert held == ["a:1 b:1", "c:1 d:1", "e:1", ""]


def test_the_answer_says_what_is_left_and_who_else_is_at_work(rig: Rig) -> None:
    rig.create("a b c")

    assert (rig.cycle(A, want=1).others, rig.cycle(B, want=1).others) == (0, 1)
    answer = rig.cycle(A, want=1)
    assert (answer.ready, answer.others, answer.epoch) == (1, 1, "1")


def test_a_run_with_most_bodies_in_flight_gives_no_more(rig: Rig) -> None:
    rig.create("a b c", meta={"most": 1})
    (claim,) = rig.claim(A)

    assert rig.claim(B) == []
    assert names(rig.cycle(A, done(claim), want=1).claims) == "b:1"


def test_a_slot_that_asks_for_a_run_that_is_not_there_is_told(rig: Rig) -> None:
    assert rig.cycle(A, want=1).status == "gone"
    assert rig.ttls() == {}


def test_the_journal_comes_along_from_where_the_caller_had_read(rig: Rig) -> None:
    rig.create("a b")
    first, second = rig.claim(A, want=2)
    rig.cycle(A, done(first), done(second))

    assert [entry.seq for entry in rig.cycle(B, after=1).entries] == [2, 3]
    assert rig.cycle(B, after=3).entries == []


# -- deciding ahead -------------------------------------------------------------------------------


def test_what_was_decided_ahead_counts_if_exactly_these_commits_follow(rig: Rig) -> None:
    rig.create("a b")
    first, second = rig.claim(A, want=2)

    answer = rig.cycle(A, done(first), done(second), want=1, advance=Advance(1, 3, records("c")))

    assert (answer.advanced, answer.applied, answer.seq) == (True, 3, 3)
    assert names(answer.claims) == "c:1"


@pytest.mark.parametrize("disturbance", ["another commits", "another advances", "one is refused"])
def test_what_was_decided_ahead_is_void_if_anything_else_happened(
    rig: Rig, disturbance: str
) -> None:
    rig.create("a b")
    (first,) = rig.claim(A)
    (other,) = rig.claim(B)
    commits = [done(first)]
    ahead = Advance(1, 2, records("c"))
    if disturbance == "another commits":
        rig.cycle(B, done(other))
    elif disturbance == "another advances":
        rig.cycle(B, done(other))
        rig.store.advance("r1", Advance(1, 2))
    else:
        commits.append(done(other))
        ahead = Advance(1, 3, records("c"))

    answer = rig.cycle(A, *commits, want=9, advance=ahead)

    assert (answer.accepted, answer.advanced) == (1, False)
    assert "c" not in names(answer.claims)
    assert answer.applied < answer.seq  # so somebody decides, now that the order is known


def test_a_run_ends_with_the_commit_that_completes_it(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)

    answer = rig.cycle(A, done(claim), advance=Advance(1, 2, (), ("completed", NOTE)))

    assert (answer.status, rig.status) == ("ended", "completed")
    assert rig.store.wait_end("r1", 0) == ("completed", NOTE)
    assert rig.journal() == ["start", "done a", "end completed"]


# -- advancing ------------------------------------------------------------------------------------


def test_of_two_coordinators_that_decide_the_same_one_is_heard(rig: Rig) -> None:
    rig.create("a")
    rig.cycle(A, *map(done, rig.claim(A)))
    decided = Advance(1, 2, records("b"))

    assert [rig.store.advance("r1", decided) for _ in range(2)] == [True, False]
    assert rig.store.inspect("r1").ready == {QUEUE: 1}


@pytest.mark.parametrize(
    "decided",
    [
        pytest.param(Advance(0, 2, records("c")), id="from before what others decided"),
        pytest.param(Advance(2, 2, records("c")), id="from beyond it"),
        pytest.param(Advance(1, 9, records("c")), id="to beyond the journal"),
    ],
)
def test_a_coordinator_that_has_read_another_journal_is_not_heard(
    rig: Rig, decided: Advance
) -> None:
    rig.create("a")
    rig.cycle(A, *map(done, rig.claim(A)))
    before = snapshot(rig.store)

    assert not rig.store.advance("r1", decided)
    assert snapshot(rig.store) == before


def test_a_coordinator_may_end_the_run(rig: Rig) -> None:
    rig.create("a")
    rig.cycle(A, *map(done, rig.claim(A)))

    assert rig.store.advance("r1", Advance(1, 2, (), ("failed", NOTE)))
    assert not rig.store.advance("r1", Advance(2, 2, records("b")))
    assert rig.store.wait_end("r1", 0) == ("failed", NOTE)


def test_what_falls_due_may_go_to_another_queue(rig: Rig) -> None:
    rig.create("a")
    rig.cycle(A, *map(done, rig.claim(A)))
    rig.store.advance("r1", Advance(1, 2, [record("b", queue="gpu")]))

    assert rig.store.inspect("r1").ready == {QUEUE: 0, "gpu": 1}
