"""Run a graph in this process, over and over.

Theory of operation
===================

:func:`prepare` does once per graph what does not depend on values; the :class:`Prepared` it
returns is run once per run, map item or visit of a nested graph. There are two kinds.

A `Line` is a graph whose supersteps data cannot change. It is laid out beforehand as rows of
*steps*, functions that read their arguments from the dict of values of the run and write their
outputs into it. Bindings and fixed defaults lie in that dict from the start, under keys that are
nobody's name. Nothing is decided while it runs.

A `Loop` is any other graph. It carries out what :func:`hypergraph.plan.decide` says.

How the steps of a superstep share the time is up to a `Way`, see :mod:`hypergraph.runners.waiting`.
Observers are laid around the steps of a graph that is prepared to be observed, and cost nothing
where it is not. Nothing here keeps anything of a run, so one object serves all threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypergraph.graph import Graph
from hypergraph.plan import compile_plan, static_schedule
from hypergraph.plan.inputs import feed
from hypergraph.runners.line import Line
from hypergraph.runners.loop import Loop
from hypergraph.runners.outcome import Draft, Outcome, Prepared
from hypergraph.runners.waiting import IN_TURN, Way

__all__ = ["MAX_ITERATIONS", "Outcome", "Prepared", "prepare", "selection"]

MAX_ITERATIONS = 1000  #: supersteps after which a run is taken for endless


def prepare(
    graph: Graph,
    provided: Iterable[str],
    *,
    select: Iterable[str] | None = None,
    max_iterations: int | None = None,
    way: Way = IN_TURN,
    is_observed: bool = False,
) -> Prepared:
    """Return `graph` ready to run. The same arguments give the same object.

    Args:
        graph: The graph. Whether it can start with these names is not checked.
        provided: Names of the values that each run will be given. Dotted names lead into
            nested graphs.
        select: What to give back; by default the graph's selection, or all its outputs.
        max_iterations: Supersteps after which a run has failed; by default `MAX_ITERATIONS`.
        way: How nodes that fall due together share the time.
        is_observed: Whether the runs will be observed.

    Raises:
        ValueError: A dotted name leads nowhere.
    """
    names = frozenset(provided)
    chosen = None if select is None else tuple(select)
    key: Any = ("inline", names, chosen, max_iterations, way, is_observed)
    prepared: Prepared | None = graph._cache.get(key)
    if prepared is None:
        plan = feed(compile_plan(graph), names)
        outputs = selection(graph, chosen)
        draft = Draft(graph, plan, names, outputs, way, is_observed, prepare)
        prepared = graph._cache[key] = _prepare(draft, max_iterations or MAX_ITERATIONS)
    return prepared


def selection(graph: Graph, select: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of what a run gives back where it has a value."""
    if select is not None:
        return tuple(dict.fromkeys(select))
    return graph.outputs if graph.selected is None else graph.selected


def _prepare(draft: Draft, limit: int) -> Prepared:
    schedule = static_schedule(draft.plan, draft.provided)
    if schedule is None or len(schedule) > limit:
        return Loop(draft, limit)
    return Line(draft, schedule)
