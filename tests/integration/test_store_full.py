"""A Redis without memory takes what frees memory or ends work, and refuses the rest whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hypergraph.errors import StoreFull
from hypergraph.store.contract import Advance
from hypergraph.store.link import Link
from hypergraph.store.redis import RedisStore
from tests.redis_server import RedisServer
from tests.stores import BOARD, NOTE, Rig, done, done_upto, names, records, snapshot

A, B = "w1/c0/0", "w2/c0/0"


@pytest.fixture
def own_store(make_redis: Callable[..., RedisServer]) -> Iterator[RedisStore]:
    """A store in a Redis of its own."""
    store = RedisStore(Link(make_redis().url, patience_s=0.1), "n")
    yield store
    store.link.close()


def fill(store: RedisStore, *, memory: int = 1) -> None:
    store.link.client.config_set("maxmemory", memory)


def test_a_full_redis_refuses_new_runs_whole(own_store: RedisStore) -> None:
    fill(own_store)

    with pytest.raises(StoreFull):
        Rig(own_store).create("a", values={"d1": b"one"})
    assert snapshot(own_store) == {}

    fill(own_store, memory=0)
    assert Rig(own_store).create("a")


def test_a_full_redis_refuses_more_inputs_whole(own_store: RedisStore) -> None:
    rig = Rig(own_store)
    rig.create_map([4], total=-1)
    fill(own_store)
    before = snapshot(own_store)

    with pytest.raises(StoreFull):
        rig.feed(4, start=4)
    assert snapshot(own_store) == before


def test_a_full_redis_takes_results_and_what_follows_from_them(own_store: RedisStore) -> None:
    rig = Rig(own_store)
    rig.create("a b")
    (claim,) = rig.claim(A)
    fill(own_store)

    assert rig.cycle(A, done(claim, d1=b"one")).accepted == 1
    assert own_store.advance("r1", Advance(1, 2, records("c")))
    assert names(rig.claim(A, want=9)) == "c:1 b:1"
    assert own_store.advance("r1", Advance(2, 2, (), ("completed", NOTE)))
    assert own_store.wait_end("r1", 0) == ("completed", NOTE)


def test_a_full_redis_takes_ranges_and_gives_their_results(own_store: RedisStore) -> None:
    rig = Rig(own_store)
    rig.create_map([4], window=2)
    claim = rig.claim_range(A, 2)
    fill(own_store)

    assert rig.range(A, done_upto(claim), want=2).accepted == 1
    assert own_store.collect("r1", BOARD, read=2).ranges == [(0, b"0..2")]
    assert own_store.collect("r1", BOARD, start=1, forget=1, read=2).ranges == []
    rig.range(A, done_upto(rig.claim_range(A, 2)))
    assert rig.status == "completed"


def test_a_full_redis_lets_runs_be_cancelled_and_forgotten(own_store: RedisStore) -> None:
    rig = Rig(own_store)
    rig.create("a", values={"d1": b"one"})
    fill(own_store)

    assert own_store.end("r1", "cancelled", NOTE) == "running"
    own_store.forget("r1")
    assert own_store.get_values("r1", ["d1"]) == [None]


def test_a_full_redis_knows_who_is_alive_and_reaps_the_dead(own_store: RedisStore) -> None:
    rig = Rig(own_store)
    rig.create("a")
    rig.claim(A)
    fill(own_store)

    own_store.beat("w2", 5.0, {"queues": "q"})
    assert own_store.tick(5.0, 1.0)[0] == ["w2"]
    assert rig.reap("w1/", "a") == (1, 0)
    assert names(rig.claim(B)) == "a:2"
