"""How events reach their processors."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from hypergraph.events.processor import AsyncEventProcessor, EventProcessor
from hypergraph.events.types import Event

logger = logging.getLogger(__name__)


class EventDispatcher:
    """Hands every event to every processor, in the order of the list.

    A processor that raises is logged, and neither the others nor the run hear of it.

    Args:
        processors: Who wants to know. None and an empty list are the same.
    """

    def __init__(self, processors: Iterable[EventProcessor] | None = None) -> None:
        self._processors = tuple(processors or ())

    @property
    def active(self) -> bool:
        """Whether anybody wants to know."""
        return bool(self._processors)

    @property
    def is_awaited(self) -> bool:
        """Whether a processor wants to be awaited where that is possible."""
        return any(isinstance(p, AsyncEventProcessor) for p in self._processors)

    def emit(self, event: Event) -> None:
        """Deliver an event by the sync methods."""
        for processor in self._processors:
            try:
                processor.on_event(event)
            except Exception:
                _forgive(processor)

    async def emit_async(self, event: Event) -> None:
        """Deliver an event, awaiting the processors that can be awaited."""
        for processor in self._processors:
            try:
                if isinstance(processor, AsyncEventProcessor):
                    await processor.on_event_async(event)
                else:
                    processor.on_event(event)
            except Exception:
                _forgive(processor)

    def shutdown(self) -> None:
        """Tell all processors that no event will follow."""
        for processor in self._processors:
            try:
                processor.shutdown()
            except Exception:
                _forgive(processor)

    async def shutdown_async(self) -> None:
        """Tell all processors that no event will follow, awaiting those that can be awaited."""
        for processor in self._processors:
            try:
                if isinstance(processor, AsyncEventProcessor):
                    await processor.shutdown_async()
                else:
                    processor.shutdown()
            except Exception:
                _forgive(processor)


def _forgive(processor: EventProcessor) -> None:
    logger.warning(
        "Event processor %s raised; the run goes on without its help.",
        type(processor).__name__,
        exc_info=True,
    )
