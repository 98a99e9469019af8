"""One graph, run for every item of a map."""

from __future__ import annotations

from typing import Any

from hypergraph.plan.items import Items
from hypergraph.runners.outcome import Outcome, Prepared
from hypergraph.runners.waiting import Going, Way
from hypergraph.runners.watch import Around, Watch


def running_each(
    way: Way,
    prepared: Prepared,
    items: Items,
    stops: bool,
    width: int | None,
    around: Around | None,
) -> Going[list[Outcome]]:
    """Run a graph for every item, observed as one map with a run per item.

    Args:
        way: How the items share the time.
        prepared: The graph.
        items: The inputs of its runs.
        stops: Whether the first failure is that of the map.
        width: As for `Way.each`.
        around: What the map lies in, if it is observed. Nobody is told of a map of nothing.

    Returns:
        The outcomes of the items that were begun, in their order.
    """
    size = len(items) if items.is_sized else None
    if around is None or size == 0:
        return (yield from way.each(prepared.start, items, stops, width))
    watch = Watch(around, prepared.name)
    inside = watch.inside(watch.span_id)

    def begin(item: dict[str, Any]) -> Any:
        return prepared.start(item, inside)

    yield from watch.begin(is_map=True, map_size=size)
    try:
        outcomes = yield from way.each(begin, items, stops, width)
    except BaseException as error:  # an item's KeyboardInterrupt, or a stream that raises
        yield from watch.end(error=error)
        raise
    failed = (outcome.error for outcome in outcomes if outcome.error is not None)
    yield from watch.end(error=next(failed, None) if stops else None)
    return outcomes
