"""The supersteps of a run whose data cannot change them, written down once."""

from __future__ import annotations

from collections.abc import Iterable

from hypergraph.plan.plan import Plan


def static_schedule(plan: Plan, provided: Iterable[str]) -> tuple[tuple[int, ...], ...] | None:
    """Return the nodes of each superstep, in graph order, or None where data decides.

    A shell that carries out the supersteps of this table one after the other does what
    :func:`hypergraph.plan.decide` would have told it, without asking.
    """
    levels = plan.levels(provided)
    if levels is None:
        return None
    steps: list[list[int]] = [[] for _ in range(max(levels, default=-1) + 1)]
    for index, level in enumerate(levels):
        if level >= 0:
            steps[level].append(index)
    return tuple(tuple(step) for step in steps)
