"""What a worker sees inside items and nested graphs that somebody observes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypergraph.events.types import Event, RunEndEvent
from hypergraph.events.wire import pack_events


class Sightings:
    """Collects the events of runs that are carried out one after the other."""

    def __init__(self) -> None:
        self._runs: list[list[Event]] = []
        self._page: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Take note of an event of the run at hand."""
        self._page.append(event)

    def turn_over(self) -> None:
        """Begin with the next run."""
        self._runs.append(self._page)
        self._page = []

    def pack(self, first: int = 0, count: int = 1, lost: Sequence[int] = ()) -> bytes:
        """Return the events of some runs as bytes; b"" if there are none.

        Args:
            first: The first of the runs, from 0.
            count: How many.
            lost: Which of them, from 0, failed afterwards: their results do not travel.
        """
        if self._page:
            self.turn_over()
        runs = self._runs[first : first + count]
        for position in lost:
            runs[position] = [_failed(event) for event in runs[position]]
        return pack_events(runs) if runs else b""


def _failed(event: Event) -> Event:
    if isinstance(event, RunEndEvent) and event.parent_span_id is None:
        return replace(event, status="failed", error="its results do not travel")
    return event
