"""A run exists whole or not at all, and belongs to whoever created it."""

from __future__ import annotations

import pytest

from hypergraph.store.keys import Keys
from tests.stores import NOTE, QUEUE, Rig, names, record, snapshot


def test_a_run_exists_with_all_that_it_starts_with(rig: Rig) -> None:
    assert rig.create("a b", values={"d1": b"one"}, meta={"graph": "g"})

    assert rig.meta | {"created_ms": "", "token": ""} == {
        "status": "running",
        "epoch": "1",
        "seq": "1",
        "applied": "1",
        "graph": "g",
        "keep_ms": "60000",
        "created_ms": "",
        "token": "",
    }
    assert rig.journal() == ["start"]
    assert rig.store.get_values("r1", ["d1", "d2"]) == [b"one", None]
    assert names(rig.claim("w/c/0", want=9)) == "a:1 b:1"


def test_creating_again_with_the_same_token_repeats_the_answer(rig: Rig) -> None:
    rig.create("a")
    rig.claim("w/c/0")
    before = snapshot(rig.store)

    assert rig.create("a")
    assert snapshot(rig.store) == before


def test_creating_again_still_succeeds_when_the_run_has_ended(rig: Rig) -> None:
    rig.create("a")
    rig.store.end("r1", "cancelled", NOTE)

    assert rig.create("a")
    assert rig.status == "cancelled"


def test_anothers_run_of_that_id_is_refused_and_nothing_is_stored(rig: Rig) -> None:
    rig.create("a", values={"d1": b"one"})
    before = snapshot(rig.store)

    assert not rig.create("b c", token="another's", values={"d2": b"two"})
    assert snapshot(rig.store) == before


def test_a_run_may_be_over_at_once(rig: Rig) -> None:
    rig.create(end=("completed", NOTE))

    assert rig.store.wait_end("r1", 0) == ("completed", NOTE)
    assert rig.journal() == ["start", "end completed"]
    assert rig.lasting() == set()


def test_tasks_are_claimed_in_the_order_of_their_scores(rig: Rig) -> None:
    tasks = [record("late", score=3_000_000_000_000), record("early", score=2_999_999_999_999)]
    rig.store.create("r1", token="t", meta={"keep_ms": 1000}, start=b"s", values={}, tasks=tasks)

    assert names(rig.claim("w/c/0", want=2)) == "early:1 late:1"


def test_times_are_whole_milliseconds(rig: Rig) -> None:
    rig.create("a")
    rig.store.end("r1", "cancelled", NOTE)

    assert all(
        rig.meta[name].isdigit() and len(rig.meta[name]) == 13
        for name in ("created_ms", "ended_ms")
    )


def test_bytes_come_back_as_they_were(rig: Rig) -> None:
    odd = bytes(range(256)) + b"\r\n%s %%s \0"
    task = record("a", needs="d1")._replace(sealed=odd)
    rig.store.create(
        "r1", token="t", meta={"keep_ms": 1000}, start=odd, values={"d1": odd}, tasks=[task]
    )
    (claim,) = rig.claim("w/c/0")

    assert (claim.sealed, claim.values) == (odd, [odd])
    assert rig.store.read_journal("r1", 0)[0].fields["p"] == odd


def test_what_a_task_needs_comes_along_in_its_order(rig: Rig) -> None:
    task = record("a", needs="d2 gone d1")
    rig.store.create(
        "r1",
        token="t",
        meta={"keep_ms": 1000},
        start=b"s",
        values={"d1": b"one", "d2": b"two"},
        tasks=[task],
    )

    assert rig.claim("w/c/0")[0].values == [b"two", None, b"one"]


def test_a_task_waits_in_its_own_queue(rig: Rig) -> None:
    rig.store.create(
        "r1",
        token="t",
        meta={"keep_ms": 1000},
        start=b"s",
        values={},
        tasks=[record("a"), record("b", queue="gpu.py311w1")],
    )

    assert rig.store.inspect("r1").ready == {QUEUE: 1, "gpu.py311w1": 1}
    assert names(rig.cycle("w/c/0", want=9, queue="gpu.py311w1").claims) == "b:1"


@pytest.mark.parametrize("namespace", ["", "a:b", "{a}", "a b", "*"])
def test_a_namespace_that_would_blur_keys_is_refused(namespace: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        Keys(namespace)


@pytest.mark.parametrize("run_id", ["", "{r}", "r}"])
def test_a_run_id_that_would_leave_its_slot_is_refused(run_id: str) -> None:
    with pytest.raises(ValueError, match="run id"):
        Keys("n").run(run_id)
