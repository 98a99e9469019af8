"""A store to write promises about: runs whose payloads are plain words, and slots that count calls.

The store never looks into what it carries, so here a task's record is ``b"do a"`` and a result is
``b"a is done"``. Who seals and folds them is the business of other tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypergraph.store.contract import (
    Advance,
    Claim,
    Commit,
    Cycled,
    MapStart,
    RangeClaim,
    RangeCommit,
    Ranged,
    TaskRecord,
)
from hypergraph.store.link import Link
from hypergraph.store.redis import RedisStore

QUEUE = "default.py311w1"
KEEP_MS = 60_000
BOARD = "map"
NOTE = b"how it ended"


def open_store(url: str, namespace: str) -> RedisStore:
    return RedisStore(Link(url, patience_s=5.0), namespace)


def record(task: str, *, score: int = 1000, queue: str = QUEUE, needs: str = "") -> TaskRecord:
    """Return a record that says ``do <task>``; `needs` are digests, separated by blanks."""
    return TaskRecord(task, score, queue, needs.split(), f"do {task}".encode())


def records(tasks: str) -> list[TaskRecord]:
    """Return a record for each word, in that order of priority."""
    return [record(task, score=1000 + place) for place, task in enumerate(tasks.split())]


def done(claim: Claim, **values: bytes) -> Commit:
    return Commit(claim.task, claim.attempt, "done", f"{claim.task} is done".encode(), values)


def done_upto(claim: RangeClaim, upto: int | None = None, *failed: int) -> RangeCommit:
    """Commit a claimed range as far as item `upto` (not included); `failed` items among it."""
    upto = claim.stop if upto is None else upto
    payload = f"{claim.start}..{upto}".encode()
    first = min(failed, default=-1)
    return RangeCommit(claim.range, claim.attempt, upto, payload, len(failed), first, 10)


def names(claims: Sequence[Claim]) -> str:
    """Return claims in words, as in ``a:1 b:2``: task and attempt."""
    return " ".join(f"{claim.task}:{claim.attempt}" for claim in claims)


class Rig:
    """One run of a store, and the slots that work on it.

    A slot is a name. Every call of it gets the next number, unless the test says which.
    """

    def __init__(self, store: RedisStore, run_id: str = "r1") -> None:
        self.store = store
        self.run_id = run_id
        self._calls: Counter[str] = Counter()

    # -- runs -------------------------------------------------------------------------------

    def create(self, tasks: str = "", *, token: str = "mine", **options: Any) -> bool:
        """Create the run with a task for each word of `tasks`."""
        meta = {"keep_ms": KEEP_MS, **options.pop("meta", {})}
        return self.store.create(
            self.run_id,
            token=token,
            meta=meta,
            start=b"the start",
            values=options.pop("values", {}),
            tasks=records(tasks),
            **options,
        )

    def call_of(self, slot: str) -> int:
        """Return the number of a slot's last call."""
        return self._calls[slot]

    def _number(self, slot: str, call: int | None) -> int:
        if call is None:
            self._calls[slot] += 1
            return self._calls[slot]
        return call

    def cycle(
        self,
        slot: str,
        *commits: Commit,
        want: int = 0,
        epoch: str = "",
        call: int | None = None,
        queue: str = QUEUE,
        after: int = 0,
        advance: Advance | None = None,
    ) -> Cycled:
        return self.store.cycle(
            self.run_id,
            slot=slot,
            epoch=epoch,
            call=self._number(slot, call),
            want=want,
            queue=queue,
            after=after,
            commits=commits,
            advance=advance,
        )

    def claim(self, slot: str, want: int = 1) -> Sequence[Claim]:
        return self.cycle(slot, want=want).claims

    def reap(self, prefix: str, guilty: str = "", item: int = -1) -> tuple[int, int]:
        return self.store.reap(self.run_id, prefix, guilty, item, 3, b"killed its worker")

    @property
    def meta(self) -> dict[str, str]:
        return {k: v.decode() for k, v in self.store.get_meta(self.run_id).items()}

    @property
    def status(self) -> str:
        return self.meta["status"]

    def journal(self) -> list[str]:
        """Return the run's journal in words, as in ``done a``; its numbers have no gaps."""
        entries = self.store.read_journal(self.run_id, 0)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        return [
            " ".join(
                [
                    entry.kind,
                    *(entry.fields[k].decode() for k in ("task", "status") if k in entry.fields),
                ]
            )
            for entry in entries
        ]

    # -- maps -------------------------------------------------------------------------------

    def create_map(
        self, pages: Sequence[int] = (), *, total: int | None = None, **options: Any
    ) -> None:
        """Create a run that is a map, fed with pages of so many items; `total` None: in all."""
        start = MapStart(
            BOARD,
            QUEUE,
            -1,
            options.pop("window", 0),
            options.pop("stops", True),
            b"the spec",
        )
        assert self.create(map_=start, **options)
        self.feed(*pages, total=sum(pages) if total is None else total)

    def feed(self, *pages: int, start: int = 0, total: int = -1) -> str:
        """Feed pages behind item `start`; `total` seals the map. Returns the run's status."""
        status = "running"
        for items in pages:
            status = self.store.feed(self.run_id, BOARD, start, items, page(start)).status
            start += items
        if total >= 0:
            status = self.store.feed(self.run_id, BOARD, start, 0, b"", total).status
        return status

    def range(
        self,
        slot: str,
        *commits: RangeCommit,
        want: int = 0,
        epoch: str = "",
        call: int | None = None,
        page: str = "",
        map_: str = BOARD,
        queue: str = "",
    ) -> Ranged:
        return self.store.range(
            self.run_id,
            map_,
            slot=slot,
            epoch=epoch,
            call=self._number(slot, call),
            want=want,
            page=page,
            queue=queue,
            commits=commits,
        )

    def claim_range(self, slot: str, want: int = 1, map_: str = BOARD) -> RangeClaim:
        claim = self.range(slot, want=want, map_=map_).claim
        assert claim is not None, "there was nothing to claim"
        return claim

    def open_map(
        self, slot: str, claim: Claim, pages: Sequence[int], *, stops: bool = True
    ) -> bool:
        """Turn a claimed task into a map of so many items per page."""
        return self.store.open_map(
            self.run_id,
            claim.task,
            slot=slot,
            epoch="1",
            attempt=claim.attempt,
            gather=TaskRecord(claim.task, 0, QUEUE, (), b"gather " + claim.task.encode()),
            total=sum(pages),
            stops=stops,
            spec=b"the spec",
            pages=[(items, b"a page") for items in pages],
        )

    def map_state(self, map_: str = BOARD) -> dict[str, str]:
        """Return the state of a map as it lies in Redis."""
        key = self.store.keys.run(self.run_id, f"m:{map_}:state")
        found: dict[bytes, bytes] = self.store.link.client.hgetall(key)  # type: ignore[assignment]
        return {name.decode(): value.decode() for name, value in found.items()}

    def results(self, map_: str = BOARD) -> list[tuple[int, bytes]]:
        return list(self.store.collect(self.run_id, map_, count=1000).ranges)

    # -- what lies in Redis -----------------------------------------------------------------

    def ttls(self) -> dict[str, int]:
        """Return every key of the run, without its prefix -> time to live in ms (-1: for ever)."""
        prefix = self.store.keys.run(self.run_id, "")
        pattern = prefix.replace("[", r"\[") + "*"
        client = self.store.link.client
        return {
            key.decode().removeprefix(prefix): client.pttl(key)
            for key in client.scan_iter(pattern, count=1000)
        }

    def lasting(self) -> set[str]:
        """Return the keys of the run that never expire."""
        return {key for key, ttl_ms in self.ttls().items() if ttl_ms < 0}


def page(start: int) -> bytes:
    return f"page {start}".encode()


def snapshot(store: RedisStore) -> Mapping[bytes, Any]:
    """Return all that lies in the store's namespace, to see that a call has changed nothing."""
    client: Any = store.link.client
    return {key: client.dump(key) for key in _scan(store)}


def _scan(store: RedisStore) -> Iterator[bytes]:
    yield from store.link.client.scan_iter(f"hg:{store.keys.namespace}:*", count=1000)
