"""What can be seen of a run.

Events form spans. A run, a map and each execution of a node is one span: its start and its end
carry one `span_id`, and `parent_span_id` is the span around it. A nested run lies in the span of
its graph node, an item of a map in the span of the map.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

_ids: list[str] = []


def new_span_id() -> str:
    """Return 16 hex digits that the operating system drew: the size OpenTelemetry uses."""
    try:
        return _ids.pop()
    except IndexError:
        # One call for many: a system call per event would cost more than the event.
        drawn = os.urandom(8 * 256).hex()
        _ids.extend(drawn[at : at + 16] for at in range(16, len(drawn), 16))
        return drawn[:16]


if hasattr(os, "register_at_fork"):
    # Parent and child would hand out the same ids.
    os.register_at_fork(after_in_child=_ids.clear)


@dataclass(frozen=True)
class BaseEvent:
    """What all events have in common."""

    run_id: str  #: the run it belongs to; a nested run and a map item have ids of their own
    span_id: str = field(default_factory=new_span_id)
    parent_span_id: str | None = None  #: None for what the user started
    timestamp: float = field(default_factory=time.time)  #: seconds since the epoch


@dataclass(frozen=True)
class RunStartEvent(BaseEvent):
    """A run, or a map with all its items, begins."""

    graph_name: str | None = ""  #: `Graph.name`, so None for a graph without one
    workflow_id: str | None = None
    is_map: bool = False
    map_size: int | None = None  #: items of a map; None where nobody knows, and for runs


@dataclass(frozen=True)
class RunEndEvent(BaseEvent):
    """A run or map has ended."""

    graph_name: str | None = ""
    status: str = "completed"  #: or ``failed``, or ``paused``; distributed, also ``cancelled``
    error: str | None = None  #: text of what it failed with
    duration_ms: float = 0.0


@dataclass(frozen=True)
class NodeStartEvent(BaseEvent):
    """A node is about to be called."""

    node_name: str = ""
    graph_name: str | None = ""
    worker: str = ""  #: slot that carried it out, of a distributed run
    attempt: int = 1  #: which execution of it this was, from 1


@dataclass(frozen=True)
class NodeEndEvent(BaseEvent):
    """A node has returned."""

    node_name: str = ""
    graph_name: str | None = ""
    duration_ms: float = 0.0
    worker: str = ""  #: slot that carried it out, of a distributed run
    attempt: int = 1  #: which execution of it this was, from 1


@dataclass(frozen=True)
class NodeErrorEvent(BaseEvent):
    """A node has raised. It stands in the place of the node's end."""

    node_name: str = ""
    graph_name: str | None = ""
    error: str = ""  #: text of the exception
    error_type: str = ""  #: its class, with the module
    worker: str = ""  #: slot that carried it out, of a distributed run
    attempt: int = 1  #: which execution of it this was, from 1


@dataclass(frozen=True)
class RouteDecisionEvent(BaseEvent):
    """A gate has decided. Comes between its start and its end, with a span of its own."""

    node_name: str = ""
    graph_name: str | None = ""
    decision: Any = ""  #: a target, a list of targets, END, or None for nothing


@dataclass(frozen=True)
class InterruptEvent(BaseEvent):
    """A run waits for an answer. The end of the run follows, with the status ``paused``."""

    node_name: str = ""
    graph_name: str | None = ""
    workflow_id: str | None = None
    value: Any = None  #: what to show to whoever answers
    response_param: str = ""  #: output of the interrupt, where the answer enters


@dataclass(frozen=True)
class StopRequestedEvent(BaseEvent):
    """Somebody asked a run to stop."""

    workflow_id: str | None = None


Event = (
    RunStartEvent
    | RunEndEvent
    | NodeStartEvent
    | NodeEndEvent
    | NodeErrorEvent
    | RouteDecisionEvent
    | InterruptEvent
    | StopRequestedEvent
)
