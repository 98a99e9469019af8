"""A run that has ended stays ended, and leaves nothing that does not go by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from hypergraph.store.contract import Advance, Commit, RangeCommit
from hypergraph.store.link import Link
from hypergraph.store.redis import RedisStore
from tests.redis_server import RedisServer
from tests.stores import (
    BOARD,
    KEEP_MS,
    NOTE,
    Rig,
    done,
    done_upto,
    open_store,
    records,
)

A, B = "w1/c0/0", "w2/c0/0"

#: What stays of a run whose values were forgotten: what happened, and nobody's data.
RECORD = {"meta", "journal", "seen", "end", "queues", "maps", "m:map:state", "m:map:journal"}


# -- cancelling -----------------------------------------------------------------------------------


def test_cancelling_says_what_the_run_was_and_changes_it_once(rig: Rig) -> None:
    rig.create("a")

    assert [rig.store.end("r1", "cancelled", NOTE) for _ in range(2)] == ["running", "cancelled"]
    assert rig.store.end("r2", "cancelled", NOTE) == "gone"
    assert rig.store.wait_end("r1", 0) == ("cancelled", NOTE)
    assert rig.journal() == ["start", "end cancelled"]
    assert rig.meta["epoch"] == "2"


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_terminal_states_never_change(rig: Rig, status: str) -> None:
    rig.create("a", end=(status, NOTE))
    rig.store.end("r1", "cancelled", b"another note")
    rig.store.advance("r1", Advance(1, 2, (), ("completed", b"another note")))

    assert rig.store.wait_end("r1", 0) == (status, NOTE)
    assert rig.status == status


def test_after_cancelling_nothing_is_claimed_or_committed(rig: Rig) -> None:
    rig.create("a b")
    (claim,) = rig.claim(A)
    rig.store.end("r1", "cancelled", NOTE)

    for slot, commits in ((A, [done(claim, d1=b"late")]), (B, [])):
        answer = rig.cycle(slot, *commits, want=9, epoch="1" if commits else "")
        assert answer.status == "stop" and not answer.claims
    assert not rig.store.advance("r1", Advance(1, 1, records("c")))
    assert rig.journal() == ["start", "end cancelled"]
    assert rig.store.get_values("r1", ["d1"]) == [None]


def test_after_cancelling_a_map_nothing_is_claimed_committed_or_fed(rig: Rig) -> None:
    rig.create_map([4], total=-1)
    claim = rig.claim_range(A, 2)
    rig.store.end("r1", "cancelled", NOTE)

    assert rig.range(A, done_upto(claim), want=2, epoch="1").status == "stop"
    assert rig.feed(4, start=4, total=8) == "cancelled"
    assert rig.results() == []


# -- what is left ---------------------------------------------------------------------------------


def _run_completes(rig: Rig) -> None:
    rig.create("a", values={"d1": b"one"})
    (claim,) = rig.claim(A)
    rig.cycle(A, done(claim, d2=b"two"), advance=Advance(1, 2, (), ("completed", NOTE)))


def _run_fails_with_tasks_open(rig: Rig) -> None:
    rig.create("a b c")
    first, _ = rig.claim(A, want=2)
    rig.cycle(A, Commit(first.task, first.attempt, "fail", b"it failed", {"d1": b"why"}))
    rig.claim(B)
    rig.reap("w2/", "?")
    rig.store.refuse(
        "r1", slot=B, epoch="1", worker="w2", task="b", attempt="1", module="m", live=["w2", "w3"]
    )
    rig.store.advance("r1", Advance(1, 2, records("d"), ("failed", NOTE)))


def _map_completes(rig: Rig) -> None:
    rig.create_map([2, 2], window=9)
    for _ in range(2):
        rig.range(A, done_upto(rig.claim_range(A, 2)))


def _map_fails(rig: Rig) -> None:
    rig.create_map([9], total=-1)
    rig.claim_range(B, 2)
    rig.reap("w2/", "?")
    for n in range(2):
        rig.range(f"w3/c0/{n}", done_upto(rig.claim_range(f"w3/c0/{n}")))
    rig.range(A, done_upto(rig.claim_range(A, 2), 3, 2))


def _map_is_cancelled(rig: Rig) -> None:
    rig.create_map([9], total=-1)
    rig.range(B, done_upto(rig.claim_range(B, 2), 1))
    rig.claim_range(A, 2)
    rig.reap("w1/", BOARD, 0)
    rig.claim_range(A, 2)
    rig.store.end("r1", "cancelled", NOTE)
    rig.range(A, epoch="1")


def _open_inner_map(rig: Rig) -> None:
    """Leave an inner map with something in every one of its keys."""
    rig.create("a b")
    first, _ = rig.claim(A, want=2)
    rig.open_map(A, first, [4, 4])
    rig.range(B, done_upto(rig.claim_range(B, 2, map_="a")), map_="a")
    rig.claim_range("w3/c0/0", 2, map_="a")
    rig.reap("w3/", "a", 3)
    rig.claim_range("w4/c0/0", 2, map_="a")
    rig.reap("w4/", "?")
    rig.claim_range("w5/c0/0", 2, map_="a")
    assert {key.rpartition(":")[2] for key in rig.ttls() if key.startswith("m:a:")} == {
        *("state", "pages", "starts", "left", "out", "fresh", "journal"),
        *("ready", "slots", "calls", "deaths", "attempts", "alone"),
    }


def _run_fails_while_an_inner_map_is_open(rig: Rig) -> None:
    _open_inner_map(rig)
    seq = int(rig.meta["seq"])
    assert rig.store.advance("r1", Advance(1, seq, (), ("failed", NOTE)))


def _run_is_cancelled_while_an_inner_map_is_open(rig: Rig) -> None:
    _open_inner_map(rig)
    rig.store.end("r1", "cancelled", NOTE)
    rig.range("w5/c0/0", epoch="1", map_="a")


def _run_is_cancelled_while_an_inner_map_is_gathered(rig: Rig) -> None:
    rig.create("a")
    rig.open_map(A, rig.claim(A)[0], [2])
    rig.range(A, done_upto(rig.claim_range(A, 2, map_="a")), map_="a")
    (gather,) = rig.claim(B)
    rig.store.end("r1", "cancelled", NOTE)
    rig.cycle(B, done(gather), epoch="1")


def _worker_dies_before_an_inner_map_is_gathered(rig: Rig) -> None:
    rig.create("a")
    rig.open_map(A, rig.claim(A)[0], [2])
    rig.claim_range(A, 2, map_="a")
    rig.reap("w1/", "a", 1)
    rig.store.end("r1", "cancelled", NOTE)


def _run_completes_after_an_inner_map(rig: Rig) -> None:
    rig.create("a")
    rig.open_map(A, rig.claim(A)[0], [2])
    rig.range(A, done_upto(rig.claim_range(A, 2, map_="a")), map_="a")
    (gather,) = rig.claim(B)
    rig.cycle(B, done(gather), advance=Advance(1, 2, (), ("completed", NOTE)))
    rig.range(A, map_="a")  # late
    rig.store.collect("r1", "a", forget=1, read=1)


def _gathering_kills_its_workers(rig: Rig) -> None:
    rig.create("a")
    rig.open_map(A, rig.claim(A)[0], [])
    for _ in range(3):
        rig.claim(B)
        rig.reap("w2/", "?")
    rig.store.advance("r1", Advance(1, int(rig.meta["seq"]), (), ("failed", NOTE)))


def _run_is_paused_answered_and_completes(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)
    rig.cycle(A, done(claim), advance=Advance(1, 2, (), ("paused", b"a question")))
    assert rig.store.answer("r1", "1", b"an answer", "d9", b"yes") == "paused"
    rig.store.advance("r1", Advance(2, int(rig.meta["seq"]), (), ("completed", NOTE)))


def _run_is_cancelled_while_it_is_paused(rig: Rig) -> None:
    rig.create("a")
    (claim,) = rig.claim(A)
    rig.cycle(A, done(claim), advance=Advance(1, 2, (), ("paused", b"a question")))
    rig.store.end("r1", "cancelled", NOTE)


def _watched_map_is_cancelled_with_items_on_their_way(rig: Rig) -> None:
    rig.create_map([6], stops=False, meta={"watched": 1})
    claim = rig.claim_range(A, 4)
    on = RangeCommit(claim.range, claim.attempt, 3, b"luggage", to="gpu.py311w1", size=7)
    rig.range(A, done_upto(claim, 1), on)
    assert rig.range(B, want=1, queue="gpu.py311w1").claim is not None
    assert {"seen", "m:map:ready:gpu.py311w1"} <= set(rig.ttls())
    rig.store.end("r1", "cancelled", NOTE)


def _watched_run_with_large_values_completes(rig: Rig) -> None:
    rig.create("a", meta={"watched": 1})
    (claim,) = rig.claim(A)
    rig.store.blobs.add("r1", "d1", [b"large"])
    rig.cycle(A, done(claim), advance=Advance(1, 2, (), ("completed", NOTE)))


ENDS: list[Callable[[Rig], None]] = [
    _run_completes,
    _run_fails_with_tasks_open,
    _map_completes,
    _map_fails,
    _map_is_cancelled,
    _run_fails_while_an_inner_map_is_open,
    _run_is_cancelled_while_an_inner_map_is_open,
    _run_is_cancelled_while_an_inner_map_is_gathered,
    _worker_dies_before_an_inner_map_is_gathered,
    _run_completes_after_an_inner_map,
    _gathering_kills_its_workers,
    _run_is_paused_answered_and_completes,
    _run_is_cancelled_while_it_is_paused,
    _watched_map_is_cancelled_with_items_on_their_way,
    _watched_run_with_large_values_completes,
]
every_end = pytest.mark.parametrize(
    "end", ENDS, ids=[end.__name__.strip("_").replace("_", " ") for end in ENDS]
)


@every_end
def test_every_key_that_is_left_has_a_time_to_live(rig: Rig, end: Callable[[Rig], None]) -> None:
    end(rig)

    assert rig.status in ("completed", "failed", "cancelled")
    assert {key: ttl for key, ttl in rig.ttls().items() if not 0 < ttl <= KEEP_MS} == {}
    work = {"tasks", "slots", "calls", "attempts", "deaths", "alone", "refused"}
    left = {key.rpartition(":")[2] for key in rig.ttls()}
    assert not left & (work | {"pages", "starts", "left"})
    assert not [key for key in rig.ttls() if "ready" in key]


@every_end
def test_forgetting_leaves_the_record(rig: Rig, end: Callable[[Rig], None]) -> None:
    end(rig)
    for _ in range(2):
        rig.store.forget("r1")
    left = {key.replace("m:a:", "m:map:") for key in rig.ttls()}

    assert left <= RECORD
    assert {"meta", "journal", "end"} <= left
    assert rig.lasting() == set()


@every_end
def test_nothing_that_comes_late_brings_a_key_back(rig: Rig, end: Callable[[Rig], None]) -> None:
    """Slots, feeders, readers and reapers that have not heard of the end."""
    end(rig)
    rig.store.forget("r1")
    _come_late(rig)
    before = set(rig.ttls())
    assert rig.lasting() == set()

    rig.store.link.client.delete(*(rig.store.keys.run("r1", part) for part in before))
    _come_late(rig)
    assert rig.ttls() == {}


def _come_late(rig: Rig) -> None:
    store = rig.store
    rig.cycle(A, Commit("a", "1", "done", b"late", {"d1": b"late"}), want=1, epoch="1")
    rig.cycle(B, want=1)
    store.advance("r1", Advance(1, 1, records("z")))
    store.advance("r1", Advance(1, 1, (), ("completed", NOTE)))
    for map_ in ("a", BOARD):
        rig.range(A, want=1, map_=map_)
        store.feed("r1", map_, 0, 1, b"late", 1)
        store.collect("r1", map_, forget=9, read=9)
    rig.reap("w1/", "?")
    store.refuse(
        "r1", slot=A, epoch="1", worker="w1", task="a", attempt="1", module="m", live=["w2"]
    )
    store.answer("r1", "1", b"late", "d1", b"late")
    store.end("r1", "cancelled", b"late")
    store.blobs.add("r1", "d1", [b"late"])
    store.set_free("r1", 1)
    store.forget("r1")
    store.inspect("r1")


def test_a_run_in_progress_never_expires_and_cannot_be_forgotten(rig: Rig) -> None:
    rig.create("a", values={"d1": b"one"})
    rig.claim(A)
    rig.store.forget("r1")

    assert set(rig.ttls()) == rig.lasting()
    assert rig.store.get_values("r1", ["d1"]) == [b"one"]


# -- one slot of a cluster, and nobody else's keys ------------------------------------------------


@pytest.fixture
def fenced(redis_server: RedisServer, namespace: str) -> Iterator[RedisStore]:
    """A store whose user may touch the keys of run r1 only, and the lists of runs."""
    store = open_store(redis_server.url, namespace)
    user = f"fenced-{namespace}"
    store.link.client.acl_setuser(
        user,
        enabled=True,
        passwords=["+secret"],
        keys=[f"hg:{namespace}:{part}" for part in ("{r1}:*", "runs", "active")],
        commands=["+@all"],
    )
    path = redis_server.address.path
    link = Link(f"unix://{user}:secret@{path}", patience_s=1.0)
    yield RedisStore(link, namespace)
    link.close()
    store.link.client.acl_deluser(user)
    store.link.close()


@every_end
def test_scripts_touch_keys_of_their_run_only(
    fenced: RedisStore, end: Callable[[Rig], None]
) -> None:
    rig = Rig(fenced)
    with pytest.raises(redis.exceptions.NoPermissionError):
        fenced.link.client.get("hg:other")
    end(rig)
    _come_late(rig)

    assert rig.status in ("completed", "failed", "cancelled")
