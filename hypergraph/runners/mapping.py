"""A map in progress, as its client sees it: pages go in, ranges of results come out.

The client feeds a window of pages and reads results as they are completed, in one thread and one
loop. What it has read is dropped from Redis, and the room lets workers go on. So a million items
cost client and Redis a window of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from hypergraph.coordinator.results import open_rows
from hypergraph.runners.session import Session
from hypergraph.values.results import Row, length_of_page, pack_page
from hypergraph.values.ship import Ship

#: Pages uploaded ahead of the items that are done.
PAGES_AHEAD = 6

#: The board of a run that consists of a map.
BOARD = "map"


class Feeder:
    """Uploads the inputs of a map, page by page.

    Args:
        rows: The mapped values of each item, in order.
        names: The mapped names.
    """

    def __init__(
        self, session: Session, rows: Iterator[tuple[Any, ...]], names: Sequence[str], ship: Ship
    ) -> None:
        self._session = session
        self._rows = rows
        self._names = names
        self._ship = ship
        self._page_items = 1
        self._next: tuple[int, bytes] | None = None
        self.uploaded = 0
        self.sealed = False  #: all inputs are uploaded, and their number is known

    def prepare(self) -> int:
        """Encode the first page. Returns how many items a page has, 0 if there are none.

        Raises:
            UnserializableInput: An input does not travel. Nothing has been stored yet.
        """
        first = next(self._rows, None)
        if first is None:
            return 0
        self._page_items = length_of_page(first, self._ship)
        chunk = [first, *islice(self._rows, self._page_items - 1)]
        self._next = (len(chunk), self._pack(chunk))
        return self._page_items

    def _pack(self, chunk: Sequence[tuple[Any, ...]]) -> bytes:
        columns = list(zip(*chunk, strict=True))
        return pack_page(columns, self._names, self.uploaded, ship=self._ship)

    def feed(self, run_id: str, done: int, wake: Callable[[], None]) -> None:
        """Upload pages while there is room, and wake workers that have had all there was."""
        while not self.sealed and self.uploaded - done < PAGES_AHEAD * self._page_items:
            count, data = self._next or (0, b"")
            start = self.uploaded
            if count:
                data = self._session.payloads.seal("page", [data], run_id, BOARD, start)
            self.uploaded += count
            chunk = list(islice(self._rows, self._page_items)) if count else []
            self._next = (len(chunk), self._pack(chunk)) if chunk else None
            self.sealed = self._next is None
            total = self.uploaded if self.sealed else None
            answer = self._session.store.feed(run_id, BOARD, start, count, data, total)
            if answer.status != "running":
                self.sealed = True
            elif answer.cursor >= start:
                wake()

    def feed_all(self, run_id: str, wake: Callable[[], None]) -> None:
        """Upload all inputs, whether or not anybody keeps up with them."""
        while not self.sealed:
            self.feed(run_id, self.uploaded, wake)


class MapReader:
    """Yields the results of a map in order of completion, feeding it meanwhile.

    Args:
        queue: Where tickets for its items go.
        feeder: None for a map whose inputs are all there.
        keep: Leave results in Redis, for other readers.
        seen: Told (done, failed, total or -1) after each look.
        deadline: By the monotonic clock: TimeoutError when the map has not ended by then.
    """

    def __init__(
        self,
        session: Session,
        run_id: str,
        queue: str,
        feeder: Feeder | None,
        *,
        keep: bool = False,
        seen: Callable[[int, int, int], None] = lambda *_: None,
        deadline: float | None = None,
    ) -> None:
        self._session = session
        self._run_id = run_id
        self._queue = queue
        self._feeder = feeder
        self._keep = keep
        self._seen = seen
        self._deadline = deadline
        self.status = "running"  #: how the run ended, once the rows are exhausted
        self.consumed = 0  #: items that the consumer is through with; the window follows it

    def _wake(self, count: int = 4) -> None:
        self._session.tickets.send(self._run_id, self._queue, count)

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield (index, result) of each item that is done."""
        session, run_id = self._session, self._run_id
        after = "0"
        position = 0
        while True:
            if self._feeder is not None and not self._feeder.sealed:
                self._feeder.feed(run_id, self.consumed, self._wake)
            found = session.store.collect(
                run_id,
                BOARD,
                start=position,
                count=64,
                forget=0 if self._keep else position,
                read=self.consumed,
            )
            self._seen(found.done, found.failed, found.total)
            for start, sealed in found.ranges:
                for offset, row in enumerate(
                    open_rows(session.payloads, run_id, BOARD, start, sealed)
                ):
                    yield start + offset, row
            position += len(found.ranges)
            if found.ranges:
                if not self._keep and found.done < found.avail:
                    self._wake(1)  # reading has made room in the window
                continue
            if found.status != "running":
                self.status = found.status
                return
            left = session.reconciler.every_s
            if self._deadline is not None:
                left = min(left, self._deadline - time.monotonic())
                if left <= 0:
                    raise TimeoutError(f"map {run_id} has not ended in time; it goes on")
            session.look_after(run_id)
            after = session.store.wait_map(run_id, BOARD, after, left)
            if after == "end":
                after = "0"
