"""How a run is observed: spans around runs and nodes, laid there when the graph is prepared.

A graph that is prepared without observers has nothing of this in its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import perf_counter, time
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple

from hypergraph.errors import PauseExecution
from hypergraph.events.types import (
    Event,
    NodeEndEvent,
    NodeErrorEvent,
    NodeStartEvent,
    RunEndEvent,
    RunStartEvent,
    new_span_id,
)
from hypergraph.runners.result import new_run_id
from hypergraph.runners.run import RUN, NodeFailure, Values
from hypergraph.runners.waiting import Going, start

if TYPE_CHECKING:
    from hypergraph.runners.outcome import Outcome

#: Delivers an event, at once or by a coroutine.
Emit = Callable[[Event], Coroutine[Any, Any, None] | None]


class Around(NamedTuple):
    """What a run lies in."""

    emit: Emit
    span_id: str | None = None  #: of the map or graph node; None for what the user started


class Watch:
    """One run or map, as its observers see it."""

    __slots__ = ("_began", "_parent", "emit", "graph_name", "run_id", "span_id")

    def __init__(self, around: Around, graph_name: str | None) -> None:
        self.emit, self._parent = around
        self._began = perf_counter()
        self.graph_name = graph_name
        self.run_id = new_run_id()
        self.span_id = new_span_id()

    def inside(self, span_id: str) -> Around:
        """Return what a run lies in that lies in the span of one of this run's nodes."""
        return Around(self.emit, span_id)

    def say(self, event: Event) -> Going[None]:
        """Deliver an event."""
        pending = self.emit(event)
        if pending is not None:
            yield pending

    def begin(self, *, is_map: bool = False, map_size: int | None = None) -> Going[None]:
        """Say that it begins."""
        yield from self.say(
            RunStartEvent(
                self.run_id,
                self.span_id,
                self._parent,
                graph_name=self.graph_name,
                is_map=is_map,
                map_size=map_size,
            )
        )

    def end(self, status: str = "completed", error: BaseException | None = None) -> Going[None]:
        """Say that it has ended; with an error, that it failed."""
        yield from self.say(
            RunEndEvent(
                self.run_id,
                self.span_id,
                self._parent,
                graph_name=self.graph_name,
                status=status if error is None else "failed",
                error=None if error is None else text_of(error),
                duration_ms=since(self._began),
            )
        )


def observing(
    around: Around, graph_name: str | None, begin: Callable[[Watch], Any]
) -> Going[Outcome]:
    """Run a graph in a span of its own.

    Args:
        around: What the run lies in.
        graph_name: Name of the graph.
        begin: Begins the run, and returns its outcome, soon.
    """
    watch = Watch(around, graph_name)
    yield from watch.begin()
    try:
        outcome: Any = begin(watch)
        if type(outcome) is CoroutineType:
            outcome = yield outcome
    except BaseException as error:  # a KeyboardInterrupt ends the run all the same
        yield from watch.end(error=error)
        raise
    outcome.run_id = watch.run_id
    yield from watch.end(outcome.status.value, outcome.error)
    try:
        return outcome  # type: ignore[no-any-return]
    finally:
        del outcome


def watched(name: str, step: Callable[[Values, str], Any]) -> Callable[[Values], Any]:
    """Return a step that carries out `step` in a span of its own.

    Args:
        name: Name of the node.
        step: Carries out the node, given the values of the run and the id of the span.
    """

    def go(values: Values) -> Going[Any]:
        watch: Watch = values[RUN].watch
        graph_name, span_id, began = watch.graph_name, new_span_id(), perf_counter()
        ids = (watch.run_id, span_id, watch.span_id)
        # What `say` does, without a generator for each of the two events that every node has.
        pending = watch.emit(NodeStartEvent(*ids, time(), name, graph_name))
        if pending is not None:
            yield pending
        try:
            got = step(values, span_id)
            if type(got) is CoroutineType:
                got = yield got
        except PauseExecution:
            raise
        except BaseException as error:
            # A StopIteration must not cross a generator; see `hypergraph.runners.waiting`.
            failure = error if isinstance(error, NodeFailure) else NodeFailure(error, (name,))
            cause = failure.error
            yield from watch.say(
                NodeErrorEvent(
                    *ids,
                    node_name=name,
                    graph_name=graph_name,
                    error=text_of(cause),
                    error_type=f"{type(cause).__module__}.{type(cause).__qualname__}",
                )
            )
            try:
                if not isinstance(cause, Exception):
                    raise  # as it came: it is for whoever called the runner
                raise failure from None
            finally:
                del cause, failure
        pending = watch.emit(NodeEndEvent(*ids, time(), name, graph_name, since(began)))
        if pending is not None:
            yield pending
        return got

    return lambda values: start(go(values))


def since(began: float) -> float:
    """Return the milliseconds that have passed since `perf_counter` was `began`."""
    return (perf_counter() - began) * 1000


def text_of(error: BaseException) -> str:
    """Return the text of an error, which its class may be unable to give."""
    try:
        return str(error)
    except Exception:
        return f"<{type(error).__name__} without text>"
