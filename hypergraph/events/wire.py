"""Events of whole runs, packed for a journey: what a worker saw inside an item or a nested graph.

Ids are numbered in order of appearance, and become ids again where they are unpacked. So whoever
unpacks the same bytes in the same place tells of the same spans.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import msgpack

from hypergraph.events.types import (
    BaseEvent,
    Event,
    InterruptEvent,
    NodeEndEvent,
    NodeErrorEvent,
    NodeStartEvent,
    RouteDecisionEvent,
    RunEndEvent,
    RunStartEvent,
)
from hypergraph.nodes import END

#: Their places are on the wire: add new ones at the end.
_TYPES: tuple[type[BaseEvent], ...] = (
    RunStartEvent,
    RunEndEvent,
    NodeStartEvent,
    NodeEndEvent,
    NodeErrorEvent,
    RouteDecisionEvent,
    InterruptEvent,
)
_CODES = {cls: code for code, cls in enumerate(_TYPES)}
#: What ends in a worker and an attempt.
_OF_NODES = frozenset({NodeStartEvent, NodeEndEvent, NodeErrorEvent})
_FIELDS = {
    cls: tuple(f.name for f in fields(cls))[4 : -2 if cls in _OF_NODES else None] for cls in _TYPES
}
_END = msgpack.ExtType(1, b"END")

#: From this size on it pays to compress.
_COMPRESS_BYTES = 256


def pack_events(runs: Sequence[Sequence[Event]]) -> bytes:
    """Return the events of several runs as bytes, those of each run in one list."""
    data: bytes = msgpack.packb([_Numbering().rows(events) for events in runs], default=_plain)
    return b"z" + zlib.compress(data, 1) if len(data) > _COMPRESS_BYTES else b"-" + data


def unpack_events(data: bytes) -> list[list[Any]]:
    """Return what `pack_events` packed, a list of rows per run, for `restore`."""
    plain = zlib.decompress(data[1:]) if data[:1] == b"z" else data[1:]
    rows: list[list[Any]] = msgpack.unpackb(plain, ext_hook=lambda code, _: END)
    return rows


def restore(
    rows: Iterable[Sequence[Any]],
    run_id: Callable[[int], str],
    span_id: Callable[[int], str],
    parent: str,
    worker: str,
    attempt: int,
) -> Iterator[Event]:
    """Yield the events of a run.

    Args:
        rows: Of the run, from `unpack_events`.
        run_id: Makes the id of the n-th run, from 0.
        span_id: Makes the id of the n-th span, from 0.
        parent: The span that the run lies in.
        worker: The slot that ran it.
        attempt: The attempt it was.
    """
    runs, spans = cache(run_id), cache(span_id)
    by = worker, attempt
    for code, run, span, above, at, *rest in rows:
        cls: Any = _TYPES[code]
        around = parent if above < 0 else spans(above)
        yield cls(runs(run), spans(span), around, at, *rest, *(by if cls in _OF_NODES else ()))


class _Numbering:
    """Numbers the ids of one run."""

    def __init__(self) -> None:
        self._runs: dict[str, int] = {}
        self._spans: dict[str, int] = {}

    def rows(self, events: Iterable[Event]) -> list[list[Any]]:
        return [self._row(event) for event in events if type(event) in _CODES]

    def _row(self, event: Event) -> list[Any]:
        cls = type(event)
        run = self._runs.setdefault(event.run_id, len(self._runs))
        span = self._spans.setdefault(event.span_id, len(self._spans))
        above = self._spans.get(event.parent_span_id or "", -1)
        rest = [getattr(event, name) for name in _FIELDS[cls]]
        return [_CODES[cls], run, span, above, event.timestamp, *rest]


def _plain(value: Any) -> Any:
    """Return something that travels for what does not. Only people look at it."""
    return _END if value is END else repr(value)[:500]
