"""What stands beside the runs of a namespace: shared code, workers, clients, lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypergraph.store.blobs import SHARED_TTL_S, open_blobs
from hypergraph.store.contract import Ticked
from hypergraph.store.keys import Keys
from hypergraph.store.link import Link, load_script


def text_of(value: Any) -> str:
    """Return a reply as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def pairs_of(reply: Sequence[Any]) -> dict[str, bytes]:
    """Return a reply of names and values in turn as a dict."""
    return {text_of(reply[i]): reply[i + 1] for i in range(0, len(reply), 2)}


def flat(pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
    """Return pairs as arguments, one after the other."""
    return [part for pair in pairs for part in pair]


class NamespaceStore:
    """Holds what the runs of a namespace share. See `RedisStore`."""

    def __init__(self, link: Link, namespace: str = "default", blobs: str | None = None) -> None:
        """Open a namespace.

        Args:
            link: The way to its Redis.
            namespace: Its name.
            blobs: Where large values lie; see `open_blobs`.
        """
        self.link = link
        self.keys = Keys(namespace)
        self.blobs = open_blobs(blobs, link, self.keys)

    def get_meta(self, run_id: str) -> dict[str, bytes]:
        """Return a run's `meta`; {} when there is no such run."""
        raw = self.link.pipeline([("HGETALL", self.keys.run(run_id))])[0]
        return {text_of(k): v for k, v in raw.items()} if isinstance(raw, dict) else pairs_of(raw)

    # -- what is shared by content ------------------------------------------------------------

    def put_code(self, blobs: Mapping[str, bytes]) -> None:
        """Store blobs by digest for a day."""
        self.link.pipeline(
            [("SET", self.keys.code(d), data, "EX", SHARED_TTL_S) for d, data in blobs.items()]
        )

    def touch_code(self, digests: Sequence[str]) -> list[str]:
        """Keep blobs for another day. Returns those that are not there."""
        replies = self.link.pipeline(
            [("EXPIRE", self.keys.code(digest), SHARED_TTL_S) for digest in digests]
        )
        return [digest for digest, known in zip(digests, replies, strict=True) if not int(known)]

    def get_code(self, digest: str) -> bytes | None:
        """Return a blob, or None."""
        found: bytes | None = self.link.pipeline([("GET", self.keys.code(digest))])[0]
        return found

    # -- workers, clients, ticks --------------------------------------------------------------

    def beat(self, worker: str, lease_s: float, info: Mapping[str, str | int]) -> None:
        """Say that a worker host is alive, and what it is."""
        text, sha = load_script("heartbeat")
        keys = (self.keys.workers, self.keys.worker(worker))
        args = (worker, int(lease_s * 1000), *flat(info.items()))
        del sha
        self.link.insist(lambda: self.link.client.eval(text, 2, *keys, *args))

    def beat_client(self, client: str, lease_s: float) -> None:
        """Say that a client is alive."""
        self.link.pipeline([("SET", self.keys.client(client), "1", "PX", int(lease_s * 1000))])

    def is_client_alive(self, client: str) -> bool:
        """Whether a client has said so within its lease."""
        return bool(self.link.pipeline([("EXISTS", self.keys.client(client))])[0])

    def tick(self, lease_s: float, every_s: float) -> Ticked:
        """Return what a reconciler has to see to now."""
        text, _ = load_script("tick")
        keys = (self.keys.tick, self.keys.workers, self.keys.active)
        answer: Any = self.link.insist(
            lambda: self.link.client.eval(
                text, 3, *keys, str(int(lease_s * 1000)), str(int(every_s * 1000))
            )
        )
        _, live, dead, runs, quiet = answer
        live, dead, runs = ([text_of(x) for x in names] for names in (live, dead, runs))
        return Ticked(live, dead, runs, bool(quiet))

    def find_unlisted(self, workers: Sequence[str]) -> list[str]:
        """Return those of `workers` that are on no list: buried, or never heard of."""
        scores = self.link.pipeline([("ZSCORE", self.keys.workers, worker) for worker in workers])
        return [worker for worker, score in zip(workers, scores, strict=True) if score is None]

    def workers(self, lease_s: float = 5.0) -> dict[str, dict[str, str]]:
        """Return live worker hosts: id -> what they said of themselves."""
        now_s, now_us = self.link.pipeline([("TIME",)])[0]
        oldest = int(now_s) * 1000 + int(now_us) // 1000 - int(lease_s * 1000)
        ids = self.link.pipeline(
            [("ZRANGEBYSCORE", self.keys.workers, oldest, "+inf", "LIMIT", 0, 1000)]
        )[0]
        raw = self.link.pipeline([("HGETALL", self.keys.worker(text_of(i))) for i in ids])
        found = {}
        for worker, info in zip(ids, raw, strict=True):
            pairs = info if isinstance(info, dict) else pairs_of(info)
            if pairs:
                found[text_of(worker)] = {text_of(k): text_of(v) for k, v in pairs.items()}
        return found

    def hold(self, worker: str, slot: str, run_id: str) -> None:
        """Note that a slot of a worker may hold a lease in a run, before it does."""
        self.link.pipeline(self.holding(worker, slot, run_id, None))

    def unhold(self, worker: str, slot: str, run_id: str) -> None:
        """Take back `hold`: the slot holds nothing in the run."""
        self.link.pipeline([("SREM", self.keys.held(worker), f"{slot} {run_id}")])

    def holding(
        self, worker: str, slot: str, run_id: str, left: str | None
    ) -> list[tuple[Any, ...]]:
        """Return the commands of `hold`, for who sends something else along with them.

        What is noted too long does no harm.

        Args:
            left: The run that the slot was in before; it holds nothing there any more.
        """
        key = self.keys.held(worker)
        commands: list[tuple[Any, ...]] = [("SADD", key, f"{slot} {run_id}")]
        if left is not None and left != run_id:
            commands.append(("SREM", key, f"{slot} {left}"))
        return commands

    def held(self, worker: str) -> list[tuple[str, str]]:
        """Return (slot, run) for every slot of a worker that may hold a lease in a run."""
        found = []
        for member in self.link.pipeline([("SMEMBERS", self.keys.held(worker))])[0]:
            slot, _, run_id = text_of(member).partition(" ")
            found.append((slot, run_id))
        return found

    def bury(self, worker: str) -> None:
        """Remove a worker that has been reaped from every list."""
        self.link.pipeline(
            [
                ("ZREM", self.keys.workers, worker),
                ("DEL", self.keys.held(worker)),
                ("DEL", self.keys.worker(worker)),
            ]
        )

    def list_active(self, limit: int = 1000) -> list[str]:
        """Return runs that may be under way."""
        listed = self.link.pipeline([("ZRANGE", self.keys.active, 0, limit - 1)])[0]
        return [text_of(run_id) for run_id in listed]

    def retire(self, run_ids: Sequence[str]) -> None:
        """Take ended runs off the list that reconcilers look at."""
        if run_ids:
            self.link.pipeline([("ZREM", self.keys.active, *run_ids)])

    def prune_runs(self, count: int = 20) -> None:
        """Take runs off the list of runs whose record has aged, of so many drawn at random."""
        ids = self.link.pipeline([("ZRANDMEMBER", self.keys.runs, count)])[0]
        there = self.link.pipeline([("EXISTS", self.keys.run(text_of(name))) for name in ids])
        gone = [name for name, known in zip(ids, there, strict=True) if not int(known)]
        if gone:
            self.link.pipeline([("ZREM", self.keys.runs, *gone)])

    def list_runs(self, limit: int = 50, offset: int = 0) -> list[tuple[str, dict[str, bytes]]]:
        """Return runs and their `meta`, newest first. Those whose record has aged are dropped."""
        ids = self.link.pipeline([("ZREVRANGE", self.keys.runs, offset, offset + limit - 1)])[0]
        found, gone = [], []
        for run_id in map(text_of, ids):
            meta = self.get_meta(run_id)
            if meta:
                found.append((run_id, meta))
            else:
                gone.append(run_id)
        if gone:
            self.link.pipeline([("ZREM", self.keys.runs, *gone)])
        return found
