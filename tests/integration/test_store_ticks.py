"""Who is alive, who is dead, and whose turn it is: what reconcilers go by."""

from __future__ import annotations

import time

import pytest

from hypergraph.store.redis import RedisStore
from tests.stores import NOTE, Rig

LEASE_S, EVERY_S = 5.0, 1.0


def now_ms(store: RedisStore) -> int:
    seconds, micros = store.link.client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def set_last_tick(store: RedisStore, *, ago_s: float, quiet_s: float = -1.0) -> None:
    """Pretend that somebody ticked so long ago, and that it is quiet for so long from now."""
    now = now_ms(store)
    store.link.client.hset(store.keys.tick, "last", now - int(ago_s * 1000))
    store.link.client.hset(store.keys.tick, "quiet", now + int(quiet_s * 1000))


def set_last_beat(store: RedisStore, worker: str, *, ago_s: float) -> None:
    store.link.client.zadd(store.keys.workers, {worker: now_ms(store) - int(ago_s * 1000)})


# -- workers --------------------------------------------------------------------------------------


def test_a_worker_that_beats_is_alive(store: RedisStore) -> None:
    store.beat("w1", LEASE_S, {"queues": "q", "pid": 7})

    assert store.tick(LEASE_S, EVERY_S).live == ["w1"]
    assert store.workers()["w1"].items() >= {"queues": "q", "pid": "7"}.items()


def test_a_worker_is_dead_when_its_lease_has_run_out(store: RedisStore) -> None:
    set_last_tick(store, ago_s=1)
    set_last_beat(store, "w1", ago_s=4.8)
    set_last_beat(store, "w2", ago_s=5.2)
    due = store.tick(LEASE_S, EVERY_S)

    assert (due.live, due.dead, due.quiet) == (["w1"], ["w2"], False)
    assert "w2" not in store.workers()


def test_a_dead_worker_is_named_until_it_is_buried(store: RedisStore) -> None:
    set_last_tick(store, ago_s=1)
    set_last_beat(store, "w1", ago_s=9)
    store.hold("w1", "w1/c0/0", "r1")

    assert [store.tick(LEASE_S, EVERY_S).dead for _ in range(2)] == [["w1"], ["w1"]]
    store.bury("w1")
    assert store.tick(LEASE_S, EVERY_S).dead == []
    assert store.held("w1") == []
    assert store.find_unlisted(["w1"]) == ["w1"]


@pytest.mark.parametrize("ago_s", [3.1, 1_000_000], ids=["Redis was away", "nobody ever ticked"])
def test_after_a_gap_nobody_is_dead_for_one_lease(store: RedisStore, ago_s: float) -> None:
    """Heartbeats are missing because Redis was away; they say nothing about the workers."""
    set_last_tick(store, ago_s=ago_s)
    set_last_beat(store, "w1", ago_s=60)
    due = store.tick(LEASE_S, EVERY_S)

    assert (due.dead, due.quiet) == ([], True)
    assert store.tick(LEASE_S, EVERY_S).quiet  # a second tick does not end it
    set_last_tick(store, ago_s=1, quiet_s=0.05)
    assert store.tick(LEASE_S, EVERY_S).dead == []
    time.sleep(0.06)
    assert store.tick(LEASE_S, EVERY_S).dead == ["w1"]


def test_the_first_tick_of_all_is_quiet(store: RedisStore) -> None:
    set_last_beat(store, "w1", ago_s=60)

    assert store.tick(LEASE_S, EVERY_S).dead == []


def test_what_a_worker_said_goes_with_its_lease(store: RedisStore) -> None:
    store.beat("w1", LEASE_S, {"queues": "q"})

    assert 0 < store.link.client.pttl(store.keys.worker("w1")) <= LEASE_S * 1000


def test_a_client_is_alive_for_as_long_as_it_said(store: RedisStore) -> None:
    store.beat_client("c1", 0.05)
    assert store.is_client_alive("c1")
    time.sleep(0.06)

    assert not store.is_client_alive("c1")


# -- what slots hold ------------------------------------------------------------------------------


def test_it_is_noted_where_a_workers_slots_may_hold_something(store: RedisStore) -> None:
    store.hold("w1", "w1/c0/0", "r1")
    store.hold("w1", "w1/c0/1", "r1")
    store.link.pipeline(store.holding("w1", "w1/c0/0", "r2", "r1"))

    assert sorted(store.held("w1")) == [("w1/c0/0", "r2"), ("w1/c0/1", "r1")]
    store.unhold("w1", "w1/c0/1", "r1")
    assert store.held("w1") == [("w1/c0/0", "r2")]


# -- runs -----------------------------------------------------------------------------------------


def list_runs(store: RedisStore, *due_in_s: float) -> None:
    now = now_ms(store)
    runs = {f"r{n}": now + int(s * 1000) for n, s in enumerate(due_in_s)}
    store.link.client.zadd(store.keys.active, runs)


def test_a_run_is_looked_at_once_per_period_by_whoever_ticks_first(store: RedisStore) -> None:
    list_runs(store, -1, -2, 5)

    assert store.tick(LEASE_S, EVERY_S).runs == ["r1", "r0"]
    assert store.tick(LEASE_S, EVERY_S).runs == []


def test_runs_take_turns_when_there_are_many(store: RedisStore) -> None:
    list_runs(store, *[-60] * 50)
    looks = [store.tick(LEASE_S, EVERY_S).runs for _ in range(4)]

    assert [len(runs) for runs in looks] == [20, 20, 10, 0]
    assert len({run for runs in looks for run in runs}) == 50


def test_a_run_listed_by_a_clock_that_is_far_ahead_is_looked_at(store: RedisStore) -> None:
    list_runs(store, 3600)

    assert store.tick(LEASE_S, EVERY_S).runs == ["r0"]
    assert store.tick(LEASE_S, EVERY_S).runs == []


def test_a_run_is_listed_when_it_is_created_and_leaves_the_list_when_it_is_retired(
    store: RedisStore,
) -> None:
    rig = Rig(store)
    rig.create("a", now_ms=now_ms(store) - 1000)
    assert store.tick(LEASE_S, EVERY_S).runs == ["r1"]
    store.retire(["r1"])

    assert store.link.client.zrange(store.keys.active, 0, -1) == []
    assert [run for run, _ in store.list_runs()] == ["r1"]


def test_an_answered_run_is_looked_at_again_even_if_its_client_dies_at_once(
    store: RedisStore,
) -> None:
    rig = Rig(store)
    rig.create(end=("paused", b"a question"), now_ms=now_ms(store) - 1000)
    store.retire(["r1"])

    assert store.answer("r1", "1", b"an answer", "d1", b"yes") == "paused"
    set_last_tick(store, ago_s=0)
    assert store.tick(LEASE_S, EVERY_S).runs == ["r1"]


def test_runs_whose_record_has_aged_leave_the_list_of_runs(store: RedisStore) -> None:
    Rig(store).create("a")
    for n in range(2, 30):
        Rig(store, f"r{n}").create(end=("completed", NOTE))
        store.link.client.delete(store.keys.run(f"r{n}"))
    for _ in range(9):
        store.prune_runs()

    assert store.link.client.zrange(store.keys.runs, 0, -1) == [b"r1"]
