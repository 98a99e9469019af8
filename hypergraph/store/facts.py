"""What the store knows of runs, for people: plain facts, read in passing.

Nothing here decides, opens a seal or changes a run. The commands of one function are not one step,
so two facts may be some milliseconds apart. What is read is bounded: `MOST` entries of each kind.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hypergraph.store.redis import RedisStore

#: Leases, maps and refusals of a run that are read, each.
MOST = 500

#: Entries of a map's journal that are looked through for what went wrong, the latest ones.
MOST_ENTRIES = 20_000

#: The board of a run that consists of a map.
_BOARD = "map"

#: A run is listed just before it is created. After this long, a name without a run is an old one.
_BORN_S = 60.0


class Lease(NamedTuple):
    """What a slot holds."""

    slot: str
    id: str  #: of the task; of a map: "start-end", the end not included
    attempt: int  #: from 1


class MapEvent(NamedTuple):
    """A range of a map with failures in it, or an item whose process died."""

    at_ms: int
    kind: str  #: "range" or "lost"
    fields: Mapping[str, bytes]


class MapFacts(NamedTuple):
    """A map whose results have not been gathered, or which is a run of its own."""

    map: str
    counts: Mapping[str, int]  #: cursor, avail, total (-1: not known yet), done, failed, busy_us
    leases: Sequence[Lease]
    waiting: int  #: ranges that were given back
    events: Sequence[MapEvent] = ()
    handed_over: Mapping[str, int] = {}  #: queue -> ranges that were at work on another one


class RunFacts(NamedTuple):
    """One run."""

    now_ms: int  #: by the clock of Redis
    meta: Mapping[str, bytes]
    expires_ms: int | None  #: when the record goes, as a time; None while the run is in progress
    leases: Sequence[Lease]
    ready: Mapping[str, int]  #: queue -> tasks that nobody holds
    refused: Sequence[tuple[str, str, str]]  #: task, worker, and the module it lacks
    maps: Sequence[MapFacts]
    owner_lives: bool | None  #: whether the client that the run needs is alive; None: it needs none


class RunLine(NamedTuple):
    """One run in a list of runs."""

    run_id: str
    meta: Mapping[str, bytes]
    counts: Mapping[str, int]  #: of the map that the run consists of; {} for others
    taken: bool  #: whether some slot holds a task of it, or has held an item
    now_ms: int  #: by the clock of Redis


def read_run(store: RedisStore, run_id: str) -> RunFacts | None:
    """Return what the store has on a run, or None if it has nothing."""
    keys = store.keys

    def key(part: str) -> str:
        return keys.run(run_id, part)

    meta, ttl, now, slots, queues, refused, maps = store.link.pipeline(
        [
            ("HGETALL", key("meta")),
            ("PTTL", key("meta")),
            ("TIME",),
            ("HSCAN", key("slots"), 0, "COUNT", MOST),
            ("SSCAN", key("queues"), 0, "COUNT", MOST),
            ("HSCAN", key("refused"), 0, "COUNT", MOST),
            ("SSCAN", key("maps"), 0, "COUNT", MOST),
        ]
    )
    known = _mapping(meta)
    if not known:
        return None
    now_ms = _ms(now)
    names = [_text(queue) for queue in queues[1]][:MOST]
    owner = known.get("owner", b"").decode()
    *ready, lives = store.link.pipeline(
        [
            *(("ZCARD", key(f"ready:{name}")) for name in names),
            ("EXISTS", keys.client(owner)),
        ]
    )
    return RunFacts(
        now_ms,
        known,
        now_ms + int(ttl) if int(ttl) >= 0 else None,
        _leases(slots[1]),
        {name: int(count) for name, count in zip(names, ready, strict=True) if int(count)},
        _refusals(refused[1]),
        [_read_map(store, run_id, _text(name), names) for name in list(maps[1])[:MOST]],
        bool(int(lives)) if owner else None,
    )


class Page(NamedTuple):
    """A part of the list of runs."""

    lines: Sequence[RunLine]
    looked_at: int  #: names on the list; fewer than asked for at its end
    dropped: int  #: how many of them were taken off it, because the record has aged


def read_newest(store: RedisStore, limit: int, offset: int = 0) -> Page:
    """Return runs, the newest first. Those whose record has aged leave the list."""
    listed, now = store.link.pipeline(
        [
            ("ZREVRANGE", store.keys.runs, offset, offset + limit - 1, "WITHSCORES"),
            ("TIME",),
        ]
    )
    now_ms = _ms(now)
    names = {_text(name): float(score) for name, score in _scored(listed)}
    asked: list[tuple[Any, ...]] = []
    for run_id in names:
        asked.append(("HGETALL", store.keys.run(run_id)))
        asked.append(("HMGET", store.keys.run(run_id, f"m:{_BOARD}:state"), *_COUNTS))
        asked.append(("EXISTS", store.keys.run(run_id, "slots")))
    answers = iter(store.link.pipeline(asked) if asked else ())
    found, aged = [], []
    for run_id, meta, raw, held in zip(names, answers, answers, answers, strict=True):
        if known := _mapping(meta):
            counts = _counts(raw)
            taken = bool(int(held)) or counts.get("cursor", 0) > 0
            found.append(RunLine(run_id, known, counts, taken, now_ms))
        elif names[run_id] < (time.time() - _BORN_S) * 1000:
            aged.append(run_id)
    if aged:
        store.link.pipeline([("ZREM", store.keys.runs, *aged)])
    return Page(found, len(names), len(aged))


_COUNTS = ("cursor", "avail", "total", "done", "failed", "busy_us")


def _read_map(store: RedisStore, run_id: str, map_: str, queues: Sequence[str]) -> MapFacts:
    def key(part: str) -> str:
        return store.keys.run(run_id, f"m:{map_}:{part}")

    counts, slots, waiting, *handed_over = store.link.pipeline(
        [
            ("HMGET", key("state"), *_COUNTS),
            ("HSCAN", key("slots"), 0, "COUNT", MOST),
            ("ZCARD", key("ready")),
            *(("ZCARD", key(f"ready:{queue}")) for queue in queues),
        ]
    )
    elsewhere = zip(queues, map(int, handed_over), strict=True)
    return MapFacts(
        map_,
        _counts(counts),
        _leases(slots[1]),
        int(waiting),
        _read_events(store, key("journal")),
        {queue: count for queue, count in elsewhere if count},
    )


def _read_events(store: RedisStore, journal: str, page: int = 1000) -> list[MapEvent]:
    """Return what went wrong in a map, the oldest first."""
    events: list[MapEvent] = []
    before = "+"
    for _ in range(MOST_ENTRIES // page):
        entries = store.link.pipeline([("XREVRANGE", journal, before, "-", "COUNT", page)])[0]
        for entry_id, raw in entries:
            fields = _mapping(raw)
            kind = fields.get("k", b"").decode()
            if kind == "lost" or fields.get("f", b"0") != b"0":
                events.append(MapEvent(int(_text(entry_id).partition("-")[0]), kind, fields))
        if len(entries) < page:
            break
        before = f"({_text(entries[-1][0])}"
    return events[::-1]


def _counts(values: Sequence[bytes | None]) -> dict[str, int]:
    if all(value is None for value in values):
        return {}
    return {name: int(value or 0) for name, value in zip(_COUNTS, values, strict=True)}


def _leases(slots: Any) -> list[Lease]:
    """Read leases as the scripts write them: "id:attempt,id:attempt"."""
    found = []
    for slot, text in sorted(_mapping(slots).items())[:MOST]:
        for held in text.decode().split(","):
            name, _, attempt = held.rpartition(":")
            found.append(Lease(slot, name.partition("@")[0], int(attempt)))
    return found


def _refusals(refused: Any) -> list[tuple[str, str, str]]:
    found = []
    for place, module in sorted(_mapping(refused).items())[:MOST]:
        task, _, worker = place.rpartition("|")
        found.append((task, worker, module.decode()))
    return found


def _mapping(raw: Any) -> dict[str, bytes]:
    """Read a hash as the driver gives it, already paired, or flat as a pipeline may."""
    if isinstance(raw, dict):
        return {_text(name): value for name, value in raw.items()}
    flat = list(raw or ())
    return {_text(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)}


def _scored(raw: Any) -> Iterable[tuple[Any, Any]]:
    """Read scored members as the driver gives them, paired or flat."""
    rows = list(raw or ())
    if rows and not isinstance(rows[0], tuple | list):
        return [(rows[i], rows[i + 1]) for i in range(0, len(rows), 2)]
    return [(row[0], row[1]) for row in rows]


def _ms(time_: Sequence[Any]) -> int:
    return int(time_[0]) * 1000 + int(time_[1]) // 1000


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
