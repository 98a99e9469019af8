"""One map, as far as a slot needs it to run items of it: what they share, and how many to claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypergraph.coordinator.payload import Payloads
from hypergraph.errors import StateLost
from hypergraph.graph import Graph
from hypergraph.store.contract import RangeClaim
from hypergraph.store.records import MapSpec
from hypergraph.values.results import Decode, unpack_page
from hypergraph.worker.item_run import ItemRun, make_run

#: A range is committed when its items have taken this long, wherever in the range that is.
TARGET_S = 0.1


class MapWork:
    """One map, as far as a process needs it to run items of it."""

    def __init__(
        self,
        run_id: str,
        map_: str,
        spec: MapSpec,
        graph: Graph,
        shared: dict[str, Any],
        decode: Decode,
    ) -> None:
        self.run_id = run_id
        self.map = map_
        self.spec = spec
        self.shared = shared
        self._graph = graph
        self.run = self._make_run()
        self._decode = decode
        self.page = ""  #: first item of the page at hand
        self._columns: list[list[Any]] = []
        self._item_s = 0.0  #: mean time of an item, the recent past weighing more
        self._most = 1

    def _make_run(self, at: Callable[[str], None] | None = None) -> ItemRun:
        return make_run(self._graph, self.spec, [*self.spec.mapped, *self.shared], at)

    def followed(self, at: Callable[[str], None]) -> ItemRun:
        """Return what `run` is, but tells `at` the path of each node."""
        return self._make_run(at)

    def columns(self, payloads: Payloads, claim: RangeClaim) -> list[list[Any]]:
        """Return the page of inputs that holds a claimed range, one list per mapped name.

        Raises:
            StateLost: It has gone, or a large value it refers to.
            UntrustedPayload: Nobody with the secret has written it there.
        """
        if claim.data is None:
            raise StateLost(self.run_id)
        if claim.data:
            try:
                data = payloads.open("page", claim.data, self.run_id, self.map, int(claim.page))
            except KeyError:
                raise StateLost(self.run_id) from None
            self._columns = unpack_page(data, self._decode)
            self.page = claim.page
        return self._columns

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
