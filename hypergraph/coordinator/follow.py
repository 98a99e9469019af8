"""Follow a run: its events in their order, from wherever a reader was.

A *cursor* names the last event that a reader had, as ``entry-sight-event``. The events of a run
are the same for everybody, so a reader that comes back is told from the beginning, and keeps to
itself what it has had.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from hypergraph.coordinator.narrate import Narrator
from hypergraph.coordinator.reconcile import Coordinator
from hypergraph.errors import ResultExpired, StoreError
from hypergraph.events.types import Event
from hypergraph.store.depot import read_values
from hypergraph.store.records import Ref
from hypergraph.store.sights import MOST, Sight, read_sights, wait_for_more
from hypergraph.values.codec import decode

#: Where an event stands: entry of the journal, number of the sight (0: the entry itself), place.
Position = tuple[int, int, int]


def read_cursor(cursor: str) -> Position:
    """Return the position that a cursor names; "" is before all.

    >>> read_cursor("4-0-1")
    (4, 0, 1)

    Raises:
        ValueError: It is no cursor.
    """
    if not cursor:
        return 0, 0, 0
    parts = cursor.split("-")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"{cursor!r} is no cursor: give what `.cursor` was, or nothing")
    return int(parts[0]), int(parts[1]), int(parts[2])


def write_cursor(position: Position) -> str:
    """Return what `read_cursor` reads."""
    return "-".join(map(str, position))


class Follower:
    """Reads the events of a run, without gaps and without repeats.

    Args:
        coordinator: Knows the store, the secret and the graphs.
        run_id: The run.
        after: The cursor of the last event that the reader had.
        unpickles: Whether to read what an interrupt shows. Without, its event has no value.

    Raises:
        ValueError: `after` is no cursor.
        ResultExpired: There is no such run, or no more.
    """

    def __init__(
        self, coordinator: Coordinator, run_id: str, after: str = "", *, unpickles: bool = True
    ) -> None:
        self._store = coordinator.store
        self._run_id = run_id
        meta = self._store.get_meta(run_id)
        if not meta:
            raise ResultExpired(run_id)
        self._narrator = Narrator(
            run_id,
            coordinator.sealer,
            coordinator.specs.load,
            meta,
            self._read_value if unpickles else lambda _: None,
        )
        self._had = read_cursor(after)
        self._held: deque[Sight] = deque()
        self._seen = (0, 0)  # place of the last sight that was read
        self._may_be_more = True

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, and all was told."""
        return self._narrator.is_over

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for an answer, as far as was told."""
        return self._narrator.is_paused

    def wait(self, timeout_s: float) -> None:
        """Wait until there is more to read."""
        wait_for_more(self._store, self._run_id, self._narrator.seq, *self._seen, timeout_s)

    def read(self) -> Iterator[tuple[Position, Event]]:
        """Yield what there is and was not read yet."""
        while entries := self._store.read_journal(self._run_id, self._narrator.seq):
            self._may_be_more = True
            for entry in entries:
                yield from self._see(entry.seq - 1)
                yield from self._told(entry.seq, 0, self._narrator.tell(entry))
        self._may_be_more = True
        yield from self._see(self._narrator.seq)

    def _see(self, upto: int) -> Iterator[tuple[Position, Event]]:
        """Yield what sights up to behind entry `upto` tell.

        They are all there if the entry after that one is; those behind it wait for their turn.
        """
        while True:
            if not self._held and self._may_be_more:
                found = read_sights(self._store, self._run_id, *self._seen)
                self._may_be_more = len(found) == MOST
                self._held.extend(found)
                if found:
                    self._seen = found[-1][:2]
            if not self._held or self._held[0].seq > upto:
                return
            sight = self._held.popleft()
            yield from self._told(sight.seq, sight.number, self._narrator.see(sight))

    def _told(
        self, seq: int, number: int, events: Iterator[Event]
    ) -> Iterator[tuple[Position, Event]]:
        for place, event in enumerate(events, 1):
            position = seq, number, place
            if position > self._had:
                self._had = position
                yield position, event

    def _read_value(self, ref: Ref) -> Any:
        try:
            return decode(read_values(self._store, self._run_id, [ref])[ref[0]])
        except StoreError:
            raise
        except Exception:
            return None  # it has left Redis, or its class is not here; the events go on
