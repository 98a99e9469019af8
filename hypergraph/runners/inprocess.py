"""What the runners that work in the caller's process share: all but the waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from hypergraph.runners.waiting import Going, Soon, Way, start, then
from hypergraph.runners.watch import Around

if TYPE_CHECKING:
    from hypergraph.events import EventProcessor


@dataclass(slots=True)
class Request:
    """What was asked of `run` or `map`, as the user gave it."""

    graph: Graph
    values: Mapping[str, Any] | None
    inputs: Mapping[str, Any]  #: further inputs, by name
    select: str | Sequence[str] | None
    max_iterations: int | None
    error_handling: str
    event_processors: Iterable[EventProcessor] | None

    def __post_init__(self) -> None:
        if self.event_processors is not None:
            self.event_processors = tuple(self.event_processors)

    @property
    def raises(self) -> bool:
        """Whether the caller wants errors raised."""
        return self.error_handling == "raise"

    @property
    def selected(self) -> Sequence[str] | None:
        """The outputs that this call asks for, None for the usual ones."""
        return [self.select] if isinstance(self.select, str) else self.select

    @property
    def has_selection(self) -> bool:
        """Whether anybody has asked for outputs by name."""
        return self.select is not None or self.graph.selected is not None


class InProcessRunner(base.BaseRunner):
    """A runner that calls the nodes itself."""

    _way: ClassVar[Way]

    def _run(self, asked: Request) -> Soon[RunResult]:
        """Run a graph once, and return its result whether or not it failed."""
        given = base.gather(asked.values, asked.inputs, base.RUN_OPTIONS)
        base.check_error_handling(asked.error_handling)
        prepared = self._prepare(asked, given)
        if asked.event_processors:
            outcome = start(self._observe(asked, partial(prepared.start, given)))
        else:
            outcome = prepared.start(given)
        try:
            return then(outcome, lambda outcome: _as_result(asked, outcome, prepared))
        finally:
            del outcome

    def _map(
        self,
        asked: Request,
        map_over: str | Sequence[str],
        map_mode: str,
        width: int | None = None,
    ) -> Soon[MapResult]:
        """Run a graph for every item, and return what came of those that were begun."""
        given = base.gather(asked.values, asked.inputs, base.MAP_OPTIONS)
        base.check_error_handling(asked.error_handling)
        base.check_map(self, asked.graph)
        items = split(given, map_over, map_mode)
        if items.is_sized and not len(items):
            return MapResult(outputs=selection(asked.graph, asked.selected))
        prepared = self._prepare(asked, given)

        def begin(around: Around | None = None) -> Soon[list[Outcome]]:
            return start(running_each(self._way, prepared, items, asked.raises, width, around))

        outcomes = start(self._observe(asked, begin)) if asked.event_processors else begin()
        try:
            return then(outcomes, lambda outcomes: _as_results(asked, outcomes, prepared))
        finally:
            del outcomes

    def _prepare(self, asked: Request, given: Mapping[str, Any]) -> Prepared:
        """Check what was asked for, and return the graph ready to run.

        What was found to be fine is not looked at again.
        """
        graph, selected = asked.graph, asked.selected
        chosen = None if selected is None else tuple(selected)
        is_observed = bool(asked.event_processors)
        names = frozenset(given)
        limit = asked.max_iterations
        key: Any = ("call", type(self), names, chosen, limit, is_observed)
        known: Prepared | None = graph._cache.get(key)
        if known is not None:
            return known
        base.check_graph(self, graph)
        unknown = base.check_inputs(graph, given)
        if unknown:
            base.warn_of_unknown(unknown)
        prepared = prepare(
            graph,
            names,
            select=chosen,
            max_iterations=limit,
            way=self._way,
            is_observed=is_observed,
        )
        if not unknown:
            graph._cache[key] = prepared
        return prepared

    def _observe(self, asked: Request, begin: Callable[[Around], Any]) -> Going[Any]:
        """Begin what was asked for, and tell its observers of it.

        Args:
            asked: What was asked for.
            begin: Begins it, given what it lies in.
        """
        from hypergraph.events import EventDispatcher  # only who observes loads it

        dispatcher = EventDispatcher(asked.event_processors)
        waits = self._way.waits and dispatcher.is_awaited
        try:
            got = begin(Around(dispatcher.emit_async if waits else dispatcher.emit))
            if type(got) is CoroutineType:
                got = yield got
        finally:
            if waits:
                yield dispatcher.shutdown_async()
            else:
                dispatcher.shutdown()
        try:
            return got
        finally:
            del got


def _as_result(asked: Request, outcome: Outcome, prepared: Prepared) -> RunResult:
    result = outcome.as_result()
    if result.error is not None:
        annotate(result.error, run_id=result.run_id, path=outcome.path)
    elif asked.has_selection and result.pause is None:
        base.warn_of_lacking(prepared.selected, [result])
    return result


def _as_results(asked: Request, outcomes: list[Outcome], prepared: Prepared) -> MapResult:
    results = MapResult(outputs=prepared.selected)
    for index, outcome in enumerate(outcomes):
        result = outcome.as_result(index)
        results.append(result)
        if result.error is not None:
            annotate(result.error, run_id=result.run_id, path=outcome.path, item=index)
    outcomes.clear()  # rule 3 of `hypergraph.runners.waiting`
    if asked.has_selection:
        base.warn_of_lacking(prepared.selected, results)
    return results


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
