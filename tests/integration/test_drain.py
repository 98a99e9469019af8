"""A slot that meets what it cannot read or did not expect: nothing is held for ever, or hangs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from hypergraph import DistributedRunner, Graph, MapHandle, RunHandle, node
from hypergraph.errors import HypergraphError, StateLost, UntrustedPayload
from hypergraph.store.records import Sealer
from hypergraph.transport.tags import TAG
from hypergraph.values.sign import Signer
from hypergraph.worker.child import Child
from hypergraph.worker.config import WorkerConfig
from tests.stores import BOARD, open_store

SECRET = b"our secret, which is long enough"
PAGE_FILLER = 700_000  # so that a page of inputs holds one item


@node(output_name="double")
def twice(x: int) -> int:
    return 2 * x


@node(output_name="total")
def add(double: int, y: int = 1) -> int:
    return double + y


@node(output_name="length")
def measure(text: str) -> int:
    return len(text)


class Stubborn:
    """A value that can be packed and never unpacked."""

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}

    def __setstate__(self, state: object) -> None:
        raise RuntimeError("not like this")


@node(output_name="seen")
def look(thing: Any) -> str:
    return "seen"


class Stand:
    """A client and a child of a worker, in this process."""

    def __init__(self, url: str, namespace: str) -> None:
        self.runner = DistributedRunner(url, secret=SECRET, namespace=namespace, progress=False)
        self.store = open_store(url, namespace)
        config = WorkerConfig(
            url=url, namespace=namespace, secret=SECRET, worker_id="w1", child="c0"
        )
        self.child = Child(config)
        self.sealer = Sealer(Signer(SECRET), namespace)

    def submit(self, **inputs: Any) -> RunHandle:
        with pytest.warns(UserWarning, match="queued"):
            return self.runner.submit(Graph([twice, add]), inputs)

    def submit_map(self, graph: Graph, name: str, values: list[Any], **options: Any) -> MapHandle:
        with pytest.warns(UserWarning, match="queued"):
            return self.runner.submit_map(graph, {name: values}, map_over=name, **options)

    def drain(self, handle: RunHandle | MapHandle) -> None:
        self.child.drain(handle.run_id, f"default.{TAG}")

    def key(self, handle: RunHandle | MapHandle, part: str) -> str:
        return self.store.keys.run(handle.run_id, part)

    def change(self, handle: RunHandle | MapHandle, part: str, field: str, value: bytes) -> None:
        assert self.store.link.client.hset(self.key(handle, part), field, value) == 0

    def read(self, handle: RunHandle | MapHandle, part: str, field: str) -> bytes:
        found: Any = self.store.link.client.hget(self.key(handle, part), field)
        assert isinstance(found, bytes)
        return found

    def is_held(self, handle: RunHandle | MapHandle) -> bool:
        return bool(self.store.inspect(handle.run_id).slots)


@pytest.fixture
def stand(redis_url: str, namespace: str) -> Iterator[Stand]:
    stand = Stand(redis_url, namespace)
    yield stand
    stand.runner.close()
    stand.store.link.close()
    stand.child.store.link.close()


def test_a_slot_takes_a_run_from_its_start_to_its_end(stand: Stand) -> None:
    handle = stand.submit(x=3)
    stand.drain(handle)

    assert handle.result(1)["total"] == 7


# -- what was written by nobody with the secret ---------------------------------------------------


def _forge_task(stand: Stand, handle: RunHandle, sealed: bytes) -> None:
    record = stand.read(handle, "tasks", "twice")
    head, _, _ = record.partition(b"\n")
    stand.change(handle, "tasks", "twice", head + b"\n" + sealed)


@pytest.mark.parametrize("forged", ["another run's", "changed", "no seal at all"])
def test_a_forged_task_fails_the_run_and_says_so(
    stand: Stand, forged: str, caplog: pytest.LogCaptureFixture
) -> None:
    handle, other = stand.submit(x=3), stand.submit(x=4)
    sealed = stand.read(other, "tasks", "twice").partition(b"\n")[2]
    if forged == "changed":
        own = stand.read(handle, "tasks", "twice").partition(b"\n")[2]
        sealed = own[:-1] + bytes([own[-1] ^ 1])
    elif forged == "no seal at all":
        sealed = b"cos\nsystem\n"
    _forge_task(stand, handle, sealed)
    stand.drain(handle)

    with pytest.raises(HypergraphError, match=r"not signed|damaged"):
        handle.result(1)
    assert any(
        record.levelno == logging.ERROR and handle.run_id in record.getMessage()
        for record in caplog.records
    )
    stand.drain(other)
    assert other.result(1)["total"] == 9


def test_a_task_sealed_with_another_secret_goes_back_uncounted(stand: Stand) -> None:
    """While secrets change, another worker may know it."""
    handle = stand.submit(x=3)
    own = stand.read(handle, "tasks", "twice").partition(b"\n")[2]
    stranger = Sealer(Signer(b"another secret"), stand.store.keys.namespace)
    _forge_task(stand, handle, stranger.seal_bytes("task", b"", handle.run_id, "twice"))
    with pytest.raises(UntrustedPayload):
        stand.drain(handle)

    assert not stand.is_held(handle)
    _forge_task(stand, handle, own)
    stand.drain(handle)
    assert handle.result(1)["total"] == 7


def test_a_forged_page_fails_its_items_and_no_others(stand: Stand) -> None:
    texts = [letter * PAGE_FILLER for letter in "abc"]
    handle = stand.submit_map(Graph([measure]), "text", texts, error_handling="continue")
    pages = f"m:{BOARD}:pages"
    stand.change(handle, pages, "1", stand.read(handle, pages, "0"))
    stand.drain(handle)
    results = handle.result(1)

    assert [result.error is None for result in results] == [True, False, True]
    assert isinstance(results[1].error, UntrustedPayload)


def test_a_forged_description_of_a_map_fails_it(stand: Stand) -> None:
    handle, other = (stand.submit_map(Graph([measure]), "text", ["a", "b"]) for _ in range(2))
    state = f"m:{BOARD}:state"
    stand.change(handle, state, "spec", stand.read(other, state, "spec"))
    stand.drain(handle)

    with pytest.raises(UntrustedPayload):
        handle.result(1)
    assert not stand.is_held(handle)


def test_a_forged_journal_fails_the_run(stand: Stand) -> None:
    handle = stand.submit(x=3)
    fields: Any = {"k": "done", "task": "twice", "ep": "1", "p": b"\x01" + bytes(80)}
    stolen = stand.sealer.seal_bytes("commit", b"", "another run", "twice", "1")
    stand.store.link.client.xadd(stand.key(handle, "journal"), {**fields, "p": stolen}, id="2-0")
    stand.store.link.client.hset(stand.key(handle, "meta"), "seq", 2)
    stand.drain(handle)

    with pytest.raises(UntrustedPayload):
        handle.result(1)


# -- what has gone, or cannot be unpacked ---------------------------------------------------------


def test_items_whose_page_has_gone_fail(stand: Stand) -> None:
    texts = [letter * PAGE_FILLER for letter in "ab"]
    handle = stand.submit_map(Graph([measure]), "text", texts, error_handling="continue")
    stand.store.link.client.hdel(stand.key(handle, f"m:{BOARD}:pages"), "0")
    stand.drain(handle)
    results = handle.result(1)

    assert isinstance(results[0].error, StateLost)
    assert results[1]["length"] == PAGE_FILLER


def test_items_that_cannot_be_unpacked_fail(stand: Stand) -> None:
    handle = stand.submit_map(Graph([look]), "thing", [Stubborn(), Stubborn()])
    stand.drain(handle)

    with pytest.raises(RuntimeError, match="not like this"):
        handle.result(1)


def test_an_input_of_all_items_that_cannot_be_unpacked_fails_the_map(stand: Stand) -> None:
    with pytest.warns(UserWarning, match="queued"):
        handle = stand.runner.submit_map(
            Graph([twice, look]), {"x": [1, 2], "thing": Stubborn()}, map_over="x"
        )
    stand.drain(handle)

    with pytest.raises(RuntimeError, match="not like this"):
        handle.result(1)


# -- what nobody expected -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["run", "map"])
def test_what_a_slot_held_goes_back_uncounted_when_the_slot_fails(
    stand: Stand, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle: RunHandle | MapHandle
    if kind == "run":
        handle = stand.submit(x=3)
    else:
        handle = stand.submit_map(Graph([measure]), "text", ["a", "b"])

    def fail(*_: object) -> None:
        raise MemoryError("on the way")

    with monkeypatch.context() as patch:
        patch.setattr("hypergraph.worker.execute.Executor.carry_out", fail)
        patch.setattr("hypergraph.worker.ranges.Ranges.fail", fail)
        patch.setattr("hypergraph.worker.ranges.Ranges.carry_out", fail)
        with pytest.raises(MemoryError):
            stand.drain(handle)

    assert not stand.is_held(handle)
    stand.drain(handle)
    result: Any = handle.result(1)
    assert result["total" if kind == "run" else "length"] == (7 if kind == "run" else [1, 1])
