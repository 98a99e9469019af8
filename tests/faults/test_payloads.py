"""Whoever can only write to Redis runs no code: what is not signed for its place is refused."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hypergraph import Graph, MapHandle, RunHandle, node
from hypergraph.errors import CorruptPayload, UntrustedPayload
from hypergraph.store.records import Order, Sealer
from hypergraph.values.sign import Signer
from tests.faults.ledger import Ledger, check_run
from tests.faults.rig import Rig

REFUSED = (UntrustedPayload, CorruptPayload)


class Tripwire:
    """Whoever unpickles it touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


@pytest.fixture
def tripwire(tmp_path: Path) -> Iterator[bytes]:
    """A pickle that nobody loads."""
    touched = tmp_path / "touched"
    data = pickle.dumps(Tripwire(touched))
    yield data
    assert not touched.exists(), "something unsigned was unpickled"
    pickle.loads(data)
    assert touched.exists(), "the wire was in order"


@node(output_name="b")
def first(a: int, ledger: Ledger) -> int:
    with ledger.call("first"):
        return a + 1


@node(output_name="c")
def second(b: int, ledger: Ledger) -> int:
    with ledger.call("second"):
        return 2 * b


@node(output_name="d")
def third(c: int, ledger: Ledger) -> int:
    with ledger.call("third"):
        return c + 100


LINE = Graph([first, second, third], name="line")


@node(output_name="square")
def square(item: int, model: str, ledger: Ledger) -> int:
    with ledger.call("square", item):
        return item * item


SQUARES = Graph([square], name="squares")


def flip(sealed: bytes, other: bytes, tripwire: bytes) -> bytes:
    """Change one bit in the middle."""
    middle = len(sealed) // 2
    return sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1 :]


def cut(sealed: bytes, other: bytes, tripwire: bytes) -> bytes:
    """Leave only the beginning."""
    return sealed[: min(20, len(sealed) // 2)]


def swap(sealed: bytes, other: bytes, tripwire: bytes) -> bytes:
    """Put what was signed for the same place of another run there."""
    return other


def slip_in(sealed: bytes, other: bytes, tripwire: bytes) -> bytes:
    """Put a pickle behind the signature."""
    return sealed[:37] + tripwire


#: Ways to change sealed bytes, given those of the same place in another run, and a pickle.
TAMPERS = (flip, cut, swap, slip_in)

Handle = RunHandle | MapHandle


class Quarry:
    """Runs and maps that nobody has begun: one for each way to tamper, and one that is spared."""

    def __init__(self, rig: Rig, ledger: Ledger, tripwire: bytes) -> None:
        self.rig = rig
        self.tripwire = tripwire
        self.redis: Any = rig.store.link.client
        self.runner = rig.runner()
        self.places = range(len(TAMPERS) + 1)
        self.of_runs = [Ledger(f"{ledger.path}.run{n}") for n in self.places]
        self.of_maps = [Ledger(f"{ledger.path}.map{n}") for n in self.places]
        self.runs: list[RunHandle] = []
        self.maps: list[MapHandle] = []

    def submit_runs(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there is no worker yet, and so we want it
            self.runs = [self.runner.submit(LINE, a=n, ledger=self.of_runs[n]) for n in self.places]

    def submit_maps(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.maps = [
                self.runner.submit_map(
                    SQUARES,
                    item=range(10 * n, 10 * n + 5),
                    model=f"model {n}" * 5000,
                    ledger=self.of_maps[n],
                    map_over="item",
                    error_handling="continue",
                )
                for n in self.places
            ]

    def key(self, handle: Handle, part: str) -> str:
        return self.rig.store.keys.run(handle.run_id, part)

    def tamper(self, handles: list[Any], part: str, field: str, head: bytes = b"") -> None:
        """Change a field of a hash in all runs or maps but the last.

        Args:
            handles: The runs or maps.
            part: The hash.
            field: The field.
            head: What ends what stays as it is.
        """
        data = [self.redis.hget(self.key(handle, part), field) for handle in handles]
        for n, change in enumerate(TAMPERS):
            kept, mark, sealed = data[n].partition(head) if head else (b"", b"", data[n])
            other = data[-1].partition(head)[2] if head else data[-1]
            wrong = kept + mark + change(sealed, other, self.tripwire)
            self.redis.hset(self.key(handles[n], part), field, wrong)

    def tamper_with_stream(self, part: str, number: int) -> None:
        """Write a stream of all runs but the last anew, with another payload in one entry."""
        keys = [self.key(run, part) for run in self.runs]
        streams = [self.redis.xrange(key) for key in keys]
        other = streams[-1][number][1][b"p"]
        for n, change in enumerate(TAMPERS):
            self.redis.delete(keys[n])
            for at, (entry_id, fields) in enumerate(streams[n]):
                wrong = change(fields[b"p"], other, self.tripwire) if at == number else fields[b"p"]
                self.redis.xadd(keys[n], {**fields, b"p": wrong}, id=entry_id)

    def check_spared(self) -> None:
        """Whatever was done to others, the last ones are unharmed."""
        n = self.places[-1]
        if self.runs:
            assert self.runs[n].result(timeout=20)["d"] == 2 * (n + 1) + 100
        if self.maps:
            assert self.maps[n].result(timeout=20)["square"] == squares(n)

    def check_refused(self) -> None:
        """All runs and maps that were tampered with fail and say why, and ran nothing."""
        for n, change in enumerate(TAMPERS):
            if self.runs:
                check_refusal(partial(self.runs[n].result, timeout=20), change.__name__)
                assert self.of_runs[n].read() == [], change.__name__
            if self.maps:
                results = self.maps[n].result(timeout=20)
                assert len(results) == 5
                for result in results:
                    assert isinstance(result.error, REFUSED), (change.__name__, result.error)
                assert self.of_maps[n].read() == [], change.__name__


@pytest.fixture
def quarry(rig: Rig, ledger: Ledger, tripwire: bytes) -> Quarry:
    return Quarry(rig, ledger, tripwire)


def squares(n: int) -> list[int]:
    return [item * item for item in range(10 * n, 10 * n + 5)]


def check_refusal(read: Callable[[], object], case: str) -> None:
    with pytest.raises(REFUSED) as caught:
        read()
    assert "not unpickled" in str(caught.value), case


# -- runs -----------------------------------------------------------------------------------------


def test_tasks_that_were_tampered_with_fail_their_runs(rig: Rig, quarry: Quarry) -> None:
    quarry.submit_runs()
    quarry.tamper(quarry.runs, "tasks", "first", b"\n")

    rig.start_host(processes=2)

    quarry.check_refused()
    quarry.check_spared()


def test_values_that_were_tampered_with_fail_their_runs(rig: Rig, quarry: Quarry) -> None:
    quarry.submit_runs()
    for n, change in enumerate(TAMPERS):
        key = quarry.key(quarry.runs[n], "values")
        for digest, data in quarry.redis.hgetall(key).items():
            quarry.redis.hset(key, digest, change(data, quarry.tripwire, quarry.tripwire))

    rig.start_host(processes=2)

    quarry.check_refused()
    quarry.check_spared()


def test_results_that_were_tampered_with_are_not_read(rig: Rig, quarry: Quarry) -> None:
    quarry.submit_runs()
    rig.start_host(processes=2)
    quarry.check_spared()
    for n, change in enumerate(TAMPERS):
        quarry.runs[n].result(timeout=20)
        key = quarry.key(quarry.runs[n], "values")
        for digest, data in quarry.redis.hgetall(key).items():
            quarry.redis.hset(key, digest, change(data, quarry.tripwire, quarry.tripwire))

    for n, change in enumerate(TAMPERS):
        reader = quarry.runner.attach(quarry.runs[n].run_id)
        check_refusal(partial(reader.result, timeout=20), change.__name__)


def test_a_start_that_was_tampered_with_runs_nothing(rig: Rig, quarry: Quarry) -> None:
    quarry.submit_runs()
    quarry.tamper_with_stream("journal", 0)

    rig.start_host(processes=2)

    quarry.check_refused()
    quarry.check_spared()


def test_a_journal_that_was_tampered_with_is_not_followed(rig: Rig, quarry: Quarry) -> None:
    # Given runs in the middle, whose journals are written anew
    for ledger in quarry.of_runs:
        ledger.hold("second")
    quarry.submit_runs()
    host = rig.start_host(processes=len(quarry.places))
    for ledger in quarry.of_runs:
        ledger.wait_for("second")
    quarry.tamper_with_stream("journal", 1)

    # When nobody is left who has read them before
    host.kill()
    for ledger in quarry.of_runs:
        ledger.release("second")
    rig.start_host(processes=2)

    # Then nobody believes them, and whoever waits is told
    for n, change in enumerate(TAMPERS):
        check_refusal(partial(quarry.runs[n].result, timeout=20), change.__name__)
        assert quarry.of_runs[n].begun("third") == []
    quarry.check_spared()


def test_an_end_that_was_tampered_with_is_not_believed(rig: Rig, quarry: Quarry) -> None:
    quarry.submit_runs()
    rig.start_host(processes=2)
    for run in quarry.runs:
        run.result(timeout=20)
    quarry.tamper_with_stream("end", 0)

    for n, change in enumerate(TAMPERS):
        reader = quarry.runner.attach(quarry.runs[n].run_id)
        check_refusal(partial(reader.result, timeout=20), change.__name__)


# -- code -----------------------------------------------------------------------------------------


def test_code_that_was_tampered_with_fails_what_needs_it(rig: Rig, quarry: Quarry) -> None:
    # All runs are of the same code, and so are all maps.
    quarry.submit_runs()
    quarry.submit_maps()
    for key in quarry.redis.scan_iter(f"hg:{rig.namespace}:code:*"):
        quarry.redis.set(key, quarry.tripwire)

    rig.start_host(processes=2)

    quarry.check_refused()


# -- maps -----------------------------------------------------------------------------------------


def test_inputs_of_maps_that_were_tampered_with_fail_their_items(rig: Rig, quarry: Quarry) -> None:
    quarry.submit_maps()
    quarry.tamper(quarry.maps, "m:map:pages", "0")

    rig.start_host(processes=2)

    quarry.check_refused()
    quarry.check_spared()


def test_descriptions_of_maps_that_were_tampered_with_fail_their_items(
    rig: Rig, quarry: Quarry
) -> None:
    quarry.submit_maps()
    quarry.tamper(quarry.maps, "m:map:state", "spec")

    rig.start_host(processes=2)

    quarry.check_refused()
    quarry.check_spared()


def test_results_of_maps_that_were_tampered_with_are_not_read(rig: Rig, quarry: Quarry) -> None:
    quarry.submit_maps()
    rig.start_host(processes=2)
    for map_ in quarry.maps:
        assert len(map_.result(timeout=20)) == 5
    quarry.tamper(quarry.maps, "m:map:out", "0")

    for n, change in enumerate(TAMPERS):
        reader = quarry.runner.attach(quarry.maps[n].run_id)
        check_refusal(partial(reader.result, timeout=20), change.__name__)
    quarry.check_spared()


# -- others ---------------------------------------------------------------------------------------


def test_runs_that_nobody_can_read_keep_nobody_from_the_others(rig: Rig, quarry: Quarry) -> None:
    # Given many runs with journals that nobody can read, which ask to be looked at
    redis = quarry.redis
    for number in range(25):
        name = f"a{number:02}"
        meta = {"status": "running", "seq": 1, "applied": 0, "epoch": 1, "keep_ms": 1000}
        journal = {"k": "start", "p": quarry.tripwire}
        redis.hset(rig.store.keys.run(name), mapping=meta)
        redis.xadd(rig.store.keys.run(name, "journal"), journal, id="1-0")
        redis.zadd(rig.store.keys.active, {name: 0})
    # ... and one on a host that has to do with one of them, too
    victim = rig.start_host()
    ledger = quarry.of_runs[0]
    ledger.hold("first")
    handle = quarry.runner.submit(LINE, a=5, ledger=ledger)
    ledger.wait_for("first")
    redis.sadd(rig.store.keys.held(victim.id), f"{victim.id}/c1/0 a07")
    rig.start_host()

    # When the host vanishes, and all tickets are lost
    victim.kill()
    redis.delete(*redis.keys(f"{rig.store.keys.dramatiq}:*"), "nothing")

    # Then the run goes on all the same
    assert handle.result(timeout=20)["d"] == 112
    check_run(ledger, rig.store, handle.run_id, again={"first": 1})


def test_what_another_secret_has_signed_waits_and_says_so(rig: Rig, quarry: Quarry) -> None:
    quarry.submit_runs()
    run = quarry.runs[0]
    strange = Sealer(Signer(b"not our secret"), rig.namespace)
    key = quarry.key(run, "tasks")
    head = quarry.redis.hget(key, "first").partition(b"\n")[0]
    order = Order("first", "function", "0" * 64, {})
    quarry.redis.hset(key, "first", head + b"\n" + strange.seal(order, run.run_id, "first"))

    host = rig.start_host()

    # It may be that workers with that secret are still to come.
    with pytest.raises(TimeoutError):
        run.result(timeout=2)
    assert "another secret" in host.log.read_text()
    quarry.check_spared()
