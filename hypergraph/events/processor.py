"""What users subclass to observe runs."""

from __future__ import annotations

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
    StopRequestedEvent,
)


class EventProcessor:
    """Sees every event of the runs it is given to.

    Whatever it raises is logged and changes nothing for the run or for other processors.
    """

    def on_event(self, event: Event) -> None:
        """Take note of an event. Does nothing unless overridden."""

    def shutdown(self) -> None:
        """Finish. Called once, after the last event of a run or map that the user started."""


class AsyncEventProcessor(EventProcessor):
    """A processor that an async runner awaits. A sync runner uses the methods above."""

    async def on_event_async(self, event: Event) -> None:
        """Take note of an event. The run goes on when this returns."""

    async def shutdown_async(self) -> None:
        """Finish, as `shutdown`."""


class TypedEventProcessor(EventProcessor):
    """A processor with a method per type of event. None of them does anything by itself."""

    def on_event(self, event: Event) -> None:
        """Hand the event to the method for its type."""
        method = _METHODS.get(type(event))
        if method is not None:
            getattr(self, method)(event)

    def on_run_start(self, event: RunStartEvent) -> None:
        """Take note that a run or map begins."""

    def on_run_end(self, event: RunEndEvent) -> None:
        """Take note that a run or map has ended."""

    def on_node_start(self, event: NodeStartEvent) -> None:
        """Take note that a node is about to be called."""

    def on_node_end(self, event: NodeEndEvent) -> None:
        """Take note that a node has returned."""

    def on_node_error(self, event: NodeErrorEvent) -> None:
        """Take note that a node has raised."""

    def on_route_decision(self, event: RouteDecisionEvent) -> None:
        """Take note of what a gate chose."""

    def on_interrupt(self, event: InterruptEvent) -> None:
        """Take note that a run waits for an answer."""

    def on_stop_requested(self, event: StopRequestedEvent) -> None:
        """Take note that somebody asked a run to stop."""


_METHODS: dict[type[BaseEvent], str] = {
    RunStartEvent: "on_run_start",
    RunEndEvent: "on_run_end",
    NodeStartEvent: "on_node_start",
    NodeEndEvent: "on_node_end",
    NodeErrorEvent: "on_node_error",
    RouteDecisionEvent: "on_route_decision",
    InterruptEvent: "on_interrupt",
    StopRequestedEvent: "on_stop_requested",
}
