"""Run ranges of a map's items, and say what became of them: done, failed, or gone on elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from hypergraph.coordinator.payload import Payloads
from hypergraph.errors import MissingModule, StateLost
from hypergraph.graph import Graph
from hypergraph.nodes.absent import is_absent
from hypergraph.runners.outcome import Outcome
from hypergraph.store.contract import RangeClaim, RangeCommit
from hypergraph.store.records import MapSpec, Ref
from hypergraph.store.redis import RedisStore
from hypergraph.transport.tags import tagged
from hypergraph.values.failure import pack_failure
from hypergraph.values.luggage import pack_luggage
from hypergraph.values.results import pack_rows
from hypergraph.values.ship import Loader
from hypergraph.worker.map_work import TARGET_S, Handover, MapWork
from hypergraph.worker.pieces import NotHere, describe, exited, pack_outcomes, told
from hypergraph.worker.sightings import Sightings
from hypergraph.worker.value_cache import Values

#: What became of items of a range.
Done = list[Outcome | Handover]


class Ranges:
    """Runs ranges for one thread.

    Args:
        store: Where maps are.
        payloads: Seals what is committed and opens what is claimed.
        loader: Loads graphs by digest, for the whole process.
        values: Loads values by reference.
        worker: The slot's name, for people.
        served: Queues, without tag, that this worker serves.
        enter: Told run, map, path, item, attempt and graph before a range.
        step: Told the index of each item before its body.
        at: Told the path of each node of an item that has killed a process before.
        leave: Called when the bodies are done.
    """

    def __init__(
        self,
        store: RedisStore,
        payloads: Payloads,
        loader: Loader,
        values: Values,
        worker: str,
        *,
        served: Collection[str],
        enter: Callable[[str, str, str, int, int, Graph], None],
        step: Callable[[int], None],
        at: Callable[[str], None],
        leave: Callable[[], None],
    ) -> None:
        self._store = store
        self._payloads = payloads
        self._loader = loader
        self._values = values
        self._worker = worker
        self._served = frozenset(served)
        self._enter = enter
        self._step = step
        self._at = at
        self._leave = leave

    def open(self, run_id: str, map_: str, queue: str) -> MapWork:
        """Load what the items of a map share: the graph, prepared, and the broadcast values.

        Args:
            run_id: The run.
            map_: The map.
            queue: Where the items wait, without tag. If they go from queue to queue, and this
                worker does not serve all of these, only the nodes placed there are loaded.

        Raises:
            NotHere: The graph needs a module that this worker lacks.
            StateLost: The map has vanished.
            Exception: Whatever else keeps the graph from being loaded, on this worker or any.
        """
        sealed = self._store.map_spec(run_id, map_)
        if sealed is None:
            raise StateLost(run_id)
        spec: MapSpec = self._payloads.sealer.open(MapSpec, sealed, run_id, map_)
        is_whole = self._served.issuperset(spec.parts)
        try:
            graph = self._loader.load_graph(spec.graph if is_whole else spec.parts[queue])
            broadcast = spec.broadcast if is_whole else _read_here(spec.broadcast, graph)
            shared = self._values.load(run_id, broadcast)
        except MissingModule as error:
            raise NotHere(error) from error
        shared = dict.fromkeys(spec.broadcast) | shared  # what nobody reads here is None
        where = None if is_whole else queue
        return MapWork(run_id, map_, spec, graph, shared, self._loader.decode, where)

    def carry_out(self, work: MapWork, claim: RangeClaim) -> list[RangeCommit]:
        """Run the items of a range until it ends, `TARGET_S` have passed, or one fails that stops.

        Returns:
            What to commit: the head of the range, piece by piece.

        Raises:
            MissingModule: An input needs a module that this worker lacks.
            Exception: Whatever else keeps the inputs from being read.
        """
        sightings = Sightings() if claim.watched else None
        at = None if claim.attempt == "1" else self._at
        begin = work.beginning(self._payloads, claim, at, sightings)
        done: Done = []
        stops, step, clock = work.spec.stops, self._step, time.perf_counter
        attempt = int(claim.attempt)
        self._enter(work.run_id, work.map, work.spec.path, claim.start, attempt, work.graph)
        began = clock()
        deadline = began + TARGET_S  # also of a chunk: nobody hears of a cancel in between
        outcome: Outcome | Handover
        try:
            for index in range(claim.start, claim.stop):
                step(index)
                try:
                    outcome = begin(index)
                except (SystemExit, KeyboardInterrupt) as exit_:
                    outcome = Outcome({}, {}, exited(exit_, work.spec.path, index))
                except BaseException as error:
                    outcome = Outcome({}, {}, error)
                done.append(outcome)
                if sightings is not None:
                    sightings.turn_over()
                if (stops and outcome.error is not None) or clock() > deadline:
                    break
        finally:
            self._leave()
        busy_s = clock() - began
        work.learn(len(done), busy_s)
        first, *rest = self._commits(work, claim, done, sightings)
        return [first._replace(busy_us=int(busy_s * 1e6)), *rest]

    def _commits(
        self, work: MapWork, claim: RangeClaim, done: Done, sightings: Sightings | None
    ) -> list[RangeCommit]:
        """Return a commit for each row of items that have ended, or go on on the same queue."""
        commits = []
        for start, queue, items in _rows(claim.start, done):
            if not queue:
                commits.append(self._commit(work, claim, start, items, sightings))
                continue
            parts, bad = pack_luggage([item.luggage for item in items])
            if bad:
                for place, error in bad.items():
                    path = (error.node,) if error.node else ()
                    done[start - claim.start + place] = Outcome({}, {}, error, path)
                return self._commits(work, claim, done, sightings)
            size = sum(memoryview(part).nbytes for part in parts)
            sealed = self._payloads.seal("luggage", parts, work.run_id, work.map, start)
            upto = start + len(items)
            commits.append(
                RangeCommit(claim.range, claim.attempt, upto, sealed, to=tagged(queue), size=size)
            )
        return commits

    def _commit(
        self,
        work: MapWork,
        claim: RangeClaim,
        start: int,
        outcomes: Sequence[Outcome],
        sightings: Sightings | None,
    ) -> RangeCommit:
        """Return the commit of items of a range that have ended, the first of which is `start`."""
        failed = [place for place, outcome in enumerate(outcomes) if outcome.error is not None]
        part = claim._replace(start=start)
        data, bad, errors = pack_outcomes(outcomes, work.spec.path, part, self._worker)
        first = min([*failed, *bad], default=None)
        sealed = self._payloads.seal("results", [data], work.run_id, work.map, start)
        return RangeCommit(
            claim.range,
            claim.attempt,
            start + len(outcomes),
            sealed,
            len(failed) + len(bad),
            -1 if first is None else start + first,
            errors=errors,
            events=b""
            if sightings is None
            else sightings.pack(start - claim.start, len(outcomes), bad),
        )

    def fail(self, run_id: str, map_: str, claim: RangeClaim, error: Exception) -> RangeCommit:
        """Return the commit that fails a range of items without having run them."""
        count = claim.stop - claim.start
        packed = pack_failure(error, node=map_, item=None, worker=self._worker, attempt=1)
        outcomes = [Outcome({}, {}, error)] * count
        data, _ = pack_rows(outcomes, lambda *_: (packed, describe(error)))
        sealed = self._payloads.seal("results", [data], run_id, map_, claim.start)
        return RangeCommit(
            claim.range,
            claim.attempt,
            claim.stop,
            sealed,
            count,
            claim.start,
            errors=told(claim.start, map_, error),
        )


def _read_here(broadcast: Mapping[str, Ref], graph: Graph) -> dict[str, Ref]:
    """Return the broadcast values that somebody may read who is not on other queues only."""
    nodes = (node for node in graph._nodes if not is_absent(node))
    read = {*graph.outputs, *(name for node in nodes for name in node.inputs)}
    return {name: ref for name, ref in broadcast.items() if name in read or "." in name}


def _rows(start: int, done: Done) -> Iterator[tuple[int, str, list[Any]]]:
    """Yield items in rows that share their fate: the first one's index, and their queue or ""."""
    for queue, row in groupby(done, lambda item: item.queue if type(item) is Handover else ""):
        items = list(row)
        yield start, queue, items
        start += len(items)
