"""One map, as far as a slot needs it to run items of it: what they share, and how many to claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hypergraph.coordinator.payload import Payloads
from hypergraph.errors import StateLost
from hypergraph.events.types import Event
from hypergraph.graph import Graph
from hypergraph.runners.outcome import Outcome
from hypergraph.runners.placed import Answer, Hop, Journey, placed_on
from hypergraph.store.contract import RangeClaim
from hypergraph.store.records import MapSpec
from hypergraph.values.luggage import Luggage, unpack_luggage
from hypergraph.values.results import Decode, unpack_page
from hypergraph.worker.item_run import Follower, ItemRun, make_run
from hypergraph.worker.node_loop import settle

#: A range is committed when its items have taken this long, wherever in the range that is.
TARGET_S = 0.1


class Handover(NamedTuple):
    """An item that goes on on another queue, in the place of its outcome."""

    queue: str  #: without tag
    luggage: Luggage
    error: None = None


class MapWork:
    """One map, as far as a process needs it to run items of it.

    Args:
        run_id: The run.
        map_: The map.
        spec: What was ordered.
        graph: What is mapped.
        shared: Inputs that all items share.
        decode: The process's way to decode.
        queue: Of a map whose items go from queue to queue: what is done here, without tag.
    """

    def __init__(
        self,
        run_id: str,
        map_: str,
        spec: MapSpec,
        graph: Graph,
        shared: dict[str, Any],
        decode: Decode,
        queue: str | None = None,
    ) -> None:
        self.run_id = run_id
        self.map = map_
        self.spec = spec
        self.shared = shared
        self.graph = graph
        self._way = None if queue is None else placed_on(queue, settle)
        self.run = self._make_run()
        self._decode = decode
        self.page = ""  #: id of the page at hand
        self._columns: list[list[Any]] = []
        self._luggage: list[Luggage] = []
        self._item_s = 0.0  #: mean time of an item, the recent past weighing more
        self._most = 1

    def _make_run(self, emit: Callable[[Event], None] | None = None) -> ItemRun:
        return make_run(self.graph, self.spec, [*self.spec.mapped, *self.shared], emit, self._way)

    def _observed(
        self, at: Callable[[str], None] | None, see: Callable[[Event], None] | None
    ) -> ItemRun:
        """Return what runs an item, and tells of it as much as somebody wants to know."""
        seers: list[Callable[[Event], None]] = []
        seers += [] if at is None else [Follower(self.spec.path, at)]
        seers += [] if see is None else [see]

        def emit(event: Event) -> None:
            for seer in seers:
                seer(event)

        return self._make_run(emit) if seers else self.run

    def beginning(
        self,
        payloads: Payloads,
        claim: RangeClaim,
        at: Callable[[str], None] | None = None,
        see: Callable[[Event], None] | None = None,
    ) -> Callable[[int], Outcome | Handover]:
        """Return what runs an item of a claimed range, given its index.

        Args:
            payloads: Opens the page that holds the range.
            claim: The range.
            at: If given, it is told the path of each node that is carried out.
            see: If given, it is told every event of an item.

        Raises:
            StateLost: The page has gone, or a large value it refers to.
            UntrustedPayload: Nobody with the secret has written it there.
        """
        if claim.data is None:
            raise StateLost(self.run_id)
        if claim.data:
            self._open_page(payloads, claim, claim.data)
        offset, shared = claim.offset, self.shared
        run = self._observed(at, see)
        if claim.has_begun:
            return lambda index: self._go(run, *self._luggage[index - offset])
        names, columns = self.spec.mapped, self._columns

        def inputs(index: int) -> dict[str, Any]:
            place = index - offset
            return {name: column[place] for name, column in zip(names, columns, strict=True)}

        if self._way is not None:
            return lambda index: self._go(run, inputs(index), ())
        if len(names) == 1:
            name, column = names[0], columns[0]
            return lambda index: run({**shared, name: column[index - offset]})
        return lambda index: run({**shared, **inputs(index)})

    def _open_page(self, payloads: Payloads, claim: RangeClaim, sealed: bytes) -> None:
        kind = "luggage" if claim.has_begun else "page"
        try:
            data = payloads.open(kind, sealed, self.run_id, self.map, claim.offset)
        except KeyError:
            raise StateLost(self.run_id) from None
        if claim.has_begun:
            self._luggage = unpack_luggage(data, self._decode)
        else:
            self._columns = unpack_page(data, self._decode)
        self.page = claim.page

    def _go(
        self, run: ItemRun, inputs: Mapping[str, Any], answers: Sequence[Answer]
    ) -> Outcome | Handover:
        """Run an item as far as it belongs here."""
        assert self._way is not None
        journey = Journey(answers, self._decode)
        try:
            return self._way.go(run, {**self.shared, **inputs}, journey)
        except Hop as hop:
            return Handover(hop.queue, (inputs, journey.answers))

    def learn(self, items: int, busy_s: float) -> None:
        """Take the measure of a range that was run."""
        mean_s = busy_s / max(items, 1)
        self._item_s = mean_s if not self._item_s else 0.5 * self._item_s + 0.5 * mean_s
        self._most = min(self._most * 8, 1 << 16)

    def want(self, left: int, slots: int) -> int:
        """Return how many items to claim: about `TARGET_S` of them, fewer towards the end.

        The first claim is of one item, and each is at most eight times as large as the one before:
        nobody knows yet what an item costs.
        """
        if self.spec.chunk:
            return self.spec.chunk
        size = min(self._most, int(TARGET_S / self._item_s) if self._item_s else 1)
        if left > 0:
            size = min(size, max(1, left // (2 * max(slots, 2))))
        return max(1, size)
