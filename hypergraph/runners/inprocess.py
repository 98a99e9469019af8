"""What the runners that work in the caller's process share: all but the waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar

from hypergraph.graph import Graph
from hypergraph.plan.items import split
from hypergraph.runners import base
from hypergraph.runners.batch import running_each
from hypergraph.runners.inline import prepare, selection
from hypergraph.runners.notes import annotate
from hypergraph.runners.outcome import Outcome, Prepared
from hypergraph.runners.result import MapResult, RunResult
from hypergraph.runners.waiting import Going, Way
from hypergraph.runners.watch import Around

if TYPE_CHECKING:
    from hypergraph.events import EventDispatcher, EventProcessor


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked of `run` or `map`, as the user gave it."""

    graph: Graph
    values: Mapping[str, Any] | None
    inputs: Mapping[str, Any]  #: further inputs, by name
    select: str | Sequence[str] | None
    max_iterations: int | None
    error_handling: str
    event_processors: Iterable[EventProcessor] | None

    @property
    def raises(self) -> bool:
        """Whether the caller wants errors raised."""
        return self.error_handling == "raise"

    @property
    def selected(self) -> Sequence[str] | None:
        """The outputs asked for in this call."""
        return [self.select] if isinstance(self.select, str) else self.select

    @property
    def has_selection(self) -> bool:
        """Whether anybody has asked for outputs by name."""
        return self.select is not None or self.graph.selected is not None


class InProcessRunner(base.BaseRunner):
    """A runner that calls the nodes itself."""

    _way: ClassVar[Way]

    def _go(self, call: Call) -> Going[RunResult]:
        """Run a graph once, and return its result whether or not it failed."""
        given = base.gather(call.values, call.inputs, base.RUN_OPTIONS)
        base.check_error_handling(call.error_handling)
        base.check_graph(self, call.graph)
        observers = _Observers(call, self._way)
        prepared = self._prepare(call, given, observers)
        try:
            got: Any = prepared.start(given, observers.around)
            if type(got) is CoroutineType:
                got = yield got
        finally:
            yield from observers.dismiss()
        try:
            return _as_result(call, got, prepared)
        finally:
            del got

    def _go_each(
        self,
        call: Call,
        map_over: str | Sequence[str],
        map_mode: str,
        width: int | None = None,
    ) -> Going[MapResult]:
        """Run a graph for every item, and return what came of those that were begun."""
        given = base.gather(call.values, call.inputs, base.MAP_OPTIONS)
        base.check_error_handling(call.error_handling)
        base.check_map(self, call.graph)
        items = split(given, map_over, map_mode)
        if items.is_sized and not len(items):
            return MapResult(outputs=selection(call.graph, call.selected))
        observers = _Observers(call, self._way)
        prepared = self._prepare(call, given, observers)
        try:
            outcomes = yield from running_each(
                self._way, prepared, items, call.raises, width, observers.around
            )
        finally:
            yield from observers.dismiss()
        try:
            return _as_results(call, outcomes, prepared)
        finally:
            outcomes.clear()

    def _prepare(self, call: Call, given: Mapping[str, Any], observers: _Observers) -> Prepared:
        unknown = base.check_inputs(call.graph, given)
        if unknown:
            base.warn_of_unknown(unknown)
        return prepare(
            call.graph,
            given,
            select=call.selected,
            max_iterations=call.max_iterations,
            way=self._way,
            is_observed=observers.around is not None,
        )


def _as_result(call: Call, outcome: Outcome, prepared: Prepared) -> RunResult:
    result = outcome.as_result()
    if result.error is not None:
        annotate(result.error, run_id=result.run_id, path=outcome.path)
    elif call.has_selection and result.pause is None:
        base.warn_of_lacking(prepared.selected, [result])
    return result


def _as_results(call: Call, outcomes: Sequence[Outcome], prepared: Prepared) -> MapResult:
    results = MapResult(outputs=prepared.selected)
    for index, outcome in enumerate(outcomes):
        result = outcome.as_result(index)
        results.append(result)
        if result.error is not None:
            annotate(result.error, run_id=result.run_id, path=outcome.path, item=index)
    if call.has_selection:
        base.warn_of_lacking(prepared.selected, results)
    return results


class _Observers:
    """Those who observe one call, if anybody does."""

    def __init__(self, call: Call, way: Way) -> None:
        self.around: Around | None = None
        self._dispatcher: EventDispatcher | None = None
        if not call.event_processors:
            return
        from hypergraph.events import EventDispatcher  # only who observes loads it

        dispatcher = EventDispatcher(call.event_processors)
        if dispatcher.active:
            self._dispatcher = dispatcher
            self._is_awaited = way.waits and dispatcher.is_awaited
            self.around = Around(dispatcher.emit_async if self._is_awaited else dispatcher.emit)

    def dismiss(self) -> Going[None]:
        """Tell them that no event will follow."""
        if self._dispatcher is None:
            return
        if self._is_awaited:
            yield self._dispatcher.shutdown_async()
        else:
            self._dispatcher.shutdown()


def delivered(result: RunResult, raises: bool) -> RunResult:
    """Return the result of a run, or raise what it failed with."""
    if raises and result.error is not None:
        try:
            raise result.error
        finally:
            # The traceback of the error will hold this frame. What the frame holds of the error
            # would keep the values of the run alive until the next garbage collection.
            del result
    return result


def all_delivered(results: MapResult, raises: bool) -> MapResult:
    """Return the results of a map, or raise what the first item failed with that failed."""
    if raises:
        for result in results:
            if result.error is not None:
                try:
                    raise result.error
                finally:
                    del result, results  # as above
    return results
