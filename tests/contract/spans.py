"""Checks of streams of events."""

from __future__ import annotations

from hypergraph import (
    Event,
    NodeEndEvent,
    NodeErrorEvent,
    NodeStartEvent,
    RouteDecisionEvent,
    RunEndEvent,
    RunStartEvent,
)


def told(events: list[Event]) -> list[str]:
    """Return the events in short: kind, and the name of the node or graph."""
    kinds = {
        RunStartEvent: "run",
        RunEndEvent: "end of run",
        NodeStartEvent: "node",
        NodeEndEvent: "end of node",
        NodeErrorEvent: "error of node",
        RouteDecisionEvent: "decision of node",
    }
    return [
        f"{kinds[type(e)]} {getattr(e, 'node_name', None) or getattr(e, 'graph_name', None)}"
        for e in events
    ]


def check_spans(events: list[Event]) -> None:
    """Check what holds of every stream: starts before ends, parents around children."""
    opened: dict[str, Event] = {}
    closed: set[str] = set()
    for event in events:
        parent = event.parent_span_id
        assert parent is None or (parent in opened and parent not in closed), event
        if isinstance(event, RunStartEvent | NodeStartEvent):
            assert event.span_id not in opened
            opened[event.span_id] = event
        elif isinstance(event, RunEndEvent | NodeEndEvent | NodeErrorEvent):
            start = opened[event.span_id]
            assert event.span_id not in closed
            assert (start.run_id, start.parent_span_id) == (event.run_id, parent)
            closed.add(event.span_id)
        else:
            assert event.span_id not in opened
    assert closed == set(opened)
    assert isinstance(events[-1], RunEndEvent)
    assert events[-1].span_id == events[0].span_id
