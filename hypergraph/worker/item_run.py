"""How a slot runs one item of a map: as fast as it can, or so that it can be followed.

An item that has killed a process runs on its own from then on, so what it costs to follow it node
by node does not matter. Should it kill once more, its supervisor can say in which node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from hypergraph.events.types import Event, NodeEndEvent, NodeErrorEvent, NodeStartEvent
from hypergraph.graph import Graph
from hypergraph.runners.inline import Outcome, prepare
from hypergraph.runners.placed import Placed
from hypergraph.runners.together import TOGETHER
from hypergraph.runners.waiting import IN_TURN
from hypergraph.runners.watch import Around
from hypergraph.store.records import MapSpec
from hypergraph.worker.node_loop import NODE_LOOP

#: Runs one item, given its inputs.
ItemRun = Callable[[Mapping[str, Any]], Outcome]


def make_run(
    graph: Graph,
    spec: MapSpec,
    names: Iterable[str],
    emit: Callable[[Event], None] | None = None,
    way: Placed | None = None,
) -> ItemRun:
    """Return what runs an item of a map.

    Args:
        graph: What is mapped.
        spec: The map.
        names: Of the inputs of each item.
        emit: If given, it is told the events of each item.
        way: If given, only what belongs on its queue is run; see `runners.placed`.
    """
    waits = way is None and graph.has_async_nodes
    ready = prepare(
        graph,
        names,
        select=spec.select,
        max_iterations=spec.max_iterations,
        way=TOGETHER if waits else way or IN_TURN,
        is_observed=emit is not None,
    )

    def start(values: Mapping[str, Any]) -> Any:
        around = None if emit is None else Around(emit)
        return ready.start(values, around)

    def run(values: Mapping[str, Any]) -> Outcome:
        return cast(Outcome, NODE_LOOP.run(lambda: start(values)))

    if waits:
        return run
    return ready.run if emit is None else start


class Follower:
    """Tells where a run is, from its events.

    Of nodes that are awaited side by side it tells the one that began last.
    """

    def __init__(self, path: str, at: Callable[[str], None]) -> None:
        self._names = [path] if path else []
        self._at = at

    def __call__(self, event: Event) -> None:
        """Take notice of an event."""
        if isinstance(event, NodeStartEvent):
            self._names.append(event.node_name)
        elif isinstance(event, NodeEndEvent | NodeErrorEvent) and event.node_name in self._names:
            self._names.reverse()
            self._names.remove(event.node_name)
            self._names.reverse()
        else:
            return
        self._at("/".join(self._names))
