"""Events of a run, a line each: for people, or as JSON."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import Any

from hypergraph.cli import figures
from hypergraph.events.types import (
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

#: Columns of a line.
_WIDTH = 80


def json_line(cursor: str, event: Event) -> str:
    """Return an event as one line of JSON, with the cursor to go on behind it."""
    told = {"event": type(event).__name__, "cursor": cursor, **dataclasses.asdict(event)}
    return json.dumps(told, ensure_ascii=False, default=str)


class Lines:
    """Puts events into words, those inside a span further to the right."""

    def __init__(self) -> None:
        self._depths: dict[str, int] = {}

    def line(self, event: Event) -> str:
        """Return an event in at most 80 columns."""
        depth = self._depth_of(event)
        clock = datetime.fromtimestamp(event.timestamp).strftime("%H:%M:%S.%f")[:-3]
        text = figures.one_line(f"{clock}  {'  ' * min(depth, 12)}{self._words(event)}")
        return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"

    def _depth_of(self, event: Event) -> int:
        """Return how many spans lie around an event, and keep count of what is open."""
        above = self._depths.get(event.parent_span_id or "", -1) + 1
        if isinstance(event, RunStartEvent | NodeStartEvent):
            self._depths[event.span_id] = above
        elif isinstance(event, RunEndEvent | NodeEndEvent | NodeErrorEvent):
            self._depths.pop(event.span_id, None)
        return above

    def _words(self, event: Event) -> str:
        if isinstance(event, RunStartEvent):
            what = "run" if not event.is_map else "map"
            size = "" if event.map_size is None else f", {figures.plural(event.map_size, 'item')}"
            return f"{what}{_of(event.graph_name)} begins{size}  {event.run_id}"
        if isinstance(event, RunEndEvent):
            why = f": {event.error}" if event.error else ""
            return f"{event.status}{_of(event.graph_name)} after {_ms(event.duration_ms)}{why}"
        if isinstance(event, NodeStartEvent):
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            where = f" on {event.worker}" if event.worker else ""
            return f"{event.node_name} begins{where}{again}"
        if isinstance(event, NodeEndEvent):
            return f"{event.node_name} done after {_ms(event.duration_ms)}"
        if isinstance(event, NodeErrorEvent):
            kind = event.error_type.rpartition(".")[2]
            return f"{event.node_name} failed: {kind}: {event.error}"
        if isinstance(event, RouteDecisionEvent):
            return f"{event.node_name} chose {_chosen(event.decision)}"
        if isinstance(event, InterruptEvent):
            return f"{event.node_name} waits for an answer, as {event.response_param!r}"
        return type(event).__name__


def _of(graph: str | None) -> str:
    return f" of {graph}" if graph else ""


def _ms(duration_ms: float) -> str:
    return figures.duration(duration_ms / 1000)


def _chosen(decision: Any) -> str:
    if isinstance(decision, list):
        return ", ".join(map(_chosen, decision)) or "nothing"
    return "END" if decision == END else str(decision or "nothing")
