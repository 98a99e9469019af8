"""Carry out one task of a run that a slot has claimed. Ranges of a map are in :mod:`ranges`.

An exception of the user's code is a result like any other and is reported. An exception of the
store passes through: the lease is then given back or reaped, and somebody carries it out again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from hypergraph.coordinator.payload import Payloads
from hypergraph.coordinator.results import open_rows
from hypergraph.errors import (
    MissingModule,
    PayloadError,
    StoreUnavailable,
    UnserializableResult,
)
from hypergraph.graph import Graph
from hypergraph.nodes import FunctionNode, GateNode, HyperNode, InterruptNode
from hypergraph.nodes.queue import DEFAULT_QUEUE
from hypergraph.plan.items import split
from hypergraph.runners.call import call_node, choose, spare_for
from hypergraph.runners.inline import Outcome, prepare
from hypergraph.runners.nested import flatten
from hypergraph.runners.state import differs
from hypergraph.runners.together import TOGETHER
from hypergraph.runners.watch import Around
from hypergraph.store.contract import Claim, Commit, TaskRecord
from hypergraph.store.records import (
    Border,
    ItemCount,
    MapSpec,
    Order,
    Report,
    Sealer,
)
from hypergraph.store.redis import RedisStore
from hypergraph.values.codec import encode_parts
from hypergraph.values.digest import digest
from hypergraph.values.failure import describe_failure, pack_failure
from hypergraph.values.nested import encode_plain
from hypergraph.values.results import Row, length_of_page, pack_page
from hypergraph.values.ship import Loader
from hypergraph.worker.node_loop import NODE_LOOP, settle
from hypergraph.worker.pieces import (
    MOST_TOLD,
    FailedPiece,
    NotHere,
    describe,
    exited,
    gather,
)
from hypergraph.worker.ranges import Ranges
from hypergraph.worker.sightings import Sightings
from hypergraph.worker.value_cache import Outgoing, Values


@dataclass(frozen=True, slots=True)
class MapOrder:
    """A mapped node, split into items: what `RedisStore.open_map` wants to know."""

    gather: TaskRecord
    spec: bytes
    total: int
    stops: bool
    pages: Sequence[tuple[int, bytes]]


class Executor:
    """Carries out tasks for one thread, and has what carries out ranges.

    Args:
        store: Where values and code are fetched from.
        sealer: Opens what was ordered and seals what is reported.
        loader: Loads nodes and graphs by digest, for the whole process.
        worker: The slot's name, for people.
        enter: Told run, unit, path, item (-1: a task) and attempt before a body or a range, and
            the graph that runs as one piece.
        step: Told the index of each item of a range before its body.
        at: Told the path of each node of an item that has killed a process before.
        leave: Called when the bodies are done.
        served: Queues, without tag, that the worker serves.
    """

    def __init__(
        self,
        store: RedisStore,
        sealer: Sealer,
        loader: Loader,
        worker: str,
        *,
        enter: Callable[..., None] = lambda *_: None,
        step: Callable[[int], None] = lambda _: None,
        at: Callable[[str], None] = lambda _: None,
        leave: Callable[[], None] = lambda: None,
        served: Collection[str] = (DEFAULT_QUEUE,),
    ) -> None:
        self.store = store
        self.sealer = sealer
        self.loader = loader
        self.worker = worker
        self.values = Values(store, loader.decode)
        self.payloads = Payloads(store, sealer)
        self._enter = enter
        self._leave = leave
        self._served = served
        self.ranges = Ranges(
            store,
            self.payloads,
            loader,
            self.values,
            worker,
            served=served,
            enter=enter,
            step=step,
            at=at,
            leave=leave,
        )
        self._single: tuple[str, Graph] | None = None  # the node that was awaited last

    # -- tasks --------------------------------------------------------------------------------

    def carry_out(self, run_id: str, epoch: str, claim: Claim) -> Commit | MapOrder:
        """Carry out one task.

        Returns:
            What to commit; or, for a mapped node, the map to open in its place.

        Raises:
            NotHere: The task's code needs a module that this worker lacks.
        """
        order: Order = self.sealer.open(Order, claim.sealed, run_id, claim.task)
        for data in claim.values:
            if data is not None:
                self.values.keep(digest(data), data)
        started_ms = int(time.time() * 1000)
        clock = time.perf_counter()
        outgoing = Outgoing(self.store, self.values, run_id)
        items: Sequence[Any] = ()
        sightings = Sightings() if claim.watched else None
        try:
            # The code first: values may be of classes that come with it.
            node = self._load(order)
            inputs = self.values.load(run_id, order.inputs)
            outputs: dict[str, Any] = {}
            decision = inside = None
            if order.kind == "map":
                return self._split(run_id, claim.task, order, inputs)
            if order.kind == "gather":
                rows, items = self._collect(run_id, claim.task)
                outputs, inside = gather(Border(*order.border), rows)
            elif order.kind == "graph":
                outputs, inside = self._run_inside(run_id, claim, order, node, inputs, sightings)
            elif order.kind != "compare":
                outputs, decision = self._call(run_id, claim, order, node, inputs)
            changed = self._find_changed(run_id, order, inputs, outputs)
            refs = {}
            for name, value in outputs.items():
                where, error = f"$.{name}", self._unserializable(order.path)
                refs[name] = outgoing.put(encode_parts(value, where=where, error=error))
            report = Report(
                refs,
                changed,
                decision,
                worker=self.worker,
                started_ms=started_ms,
                took_us=int((time.perf_counter() - clock) * 1e6),
                items=items,
                inside=self._put_inside(outgoing, order.kind, inside),
                events=b"" if sightings is None else sightings.pack(),
            )
            kind = "done"
        except FailedPiece as failed:
            report = self._failure(outgoing, failed.packed, failed.text, started_ms, clock, items)
            report = replace(
                report,
                inside=self._put_inside(outgoing, order.kind, failed.inside),
                events=b"" if sightings is None else sightings.pack(),
            )
            kind = "fail"
        except MissingModule as error:
            raise NotHere(error) from error
        except StoreUnavailable:
            raise
        except Exception as error:
            attempt = int(claim.attempt)
            packed = pack_failure(
                error, node=order.path, item=None, worker=self.worker, attempt=attempt
            )
            report = self._failure(outgoing, packed, describe(error), started_ms, clock)
            kind = "fail"
        payload = self.sealer.seal(report, run_id, claim.task, epoch)
        return Commit(claim.task, claim.attempt, kind, payload, outgoing.values)

    def fail(self, run_id: str, epoch: str, claim: Claim, error: Exception) -> Commit:
        """Return the commit that fails a task without having carried it out."""
        try:
            path = self.sealer.open(Order, claim.sealed, run_id, claim.task).path
        except PayloadError:
            path = claim.task
        packed = pack_failure(
            error, node=path, item=None, worker=self.worker, attempt=int(claim.attempt)
        )
        outgoing = Outgoing(self.store, self.values, run_id)
        report = self._failure(
            outgoing, packed, describe(error), int(time.time() * 1000), time.perf_counter()
        )
        payload = self.sealer.seal(report, run_id, claim.task, epoch)
        return Commit(claim.task, claim.attempt, "fail", payload, outgoing.values)

    def _find_changed(
        self, run_id: str, order: Order, inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> list[str] | None:
        """Return the outputs that differ from the values that stand; None where nobody asks.

        An object that a node was given and returns is the same object, as in one process. Any other
        is compared with a copy of the value that stands.
        """
        if order.kind == "compare":
            outputs = self.values.load(run_id, order.outputs)
        elif not order.previous:
            return None
        given = {tuple(ref): inputs[name] for name, ref in order.inputs.items()}
        changed = []
        for name, value in outputs.items():
            ref = order.previous.get(name)
            if ref is None:
                changed.append(name)
                continue
            key = tuple(ref)
            old = given[key] if key in given else self.values.load(run_id, {name: ref})[name]
            if differs(old, value):
                changed.append(name)
        return changed

    def _failure(
        self,
        outgoing: Outgoing,
        packed: bytes,
        text: str,
        started_ms: int,
        clock: float,
        items: Sequence[Any] = (),
    ) -> Report:
        outgoing.values.clear()
        told = describe_failure(packed)
        return Report(
            error=outgoing.put([packed]),
            text=text,
            worker=self.worker,
            started_ms=started_ms,
            took_us=int((time.perf_counter() - clock) * 1e6),
            items=items,
            kind=str(told["type"]),
            message=str(told["message"]),
        )

    def _put_inside(
        self, outgoing: Outgoing, kind: str, inside: bytes | None
    ) -> Sequence[Any] | None:
        if kind not in ("graph", "gather"):
            return None
        return [] if inside is None else outgoing.put([inside])

    def _unserializable(self, node: str) -> Callable[..., PayloadError]:
        def refuse(*, path: str, kind: str, reason: str) -> PayloadError:
            return UnserializableResult(path, kind=kind, reason=reason, node=node)

        return refuse

    def _call(
        self, run_id: str, claim: Claim, order: Order, node: Any, inputs: dict[str, Any]
    ) -> tuple[dict[str, Any], tuple[str, ...] | None]:
        """Call the node's function, and nothing else, between `enter` and `leave`."""
        self._enter(run_id, claim.task, order.path, -1, int(claim.attempt))
        try:
            if isinstance(node, GateNode):
                return {}, choose(node, inputs)
            if node.is_async or isinstance(node, InterruptNode):
                return self._call_waiting(order.code, node, inputs), None
            assert isinstance(node, FunctionNode)
            return call_node(node, inputs, settle), None
        except Exception:
            raise
        except BaseException as error:
            raise self._failed_piece(claim, order, error, ()) from error
        finally:
            self._leave()

    def _call_waiting(self, code: str, node: HyperNode, inputs: dict[str, Any]) -> dict[str, Any]:
        """Call an async node or an interrupt's handler: as a graph of its own, in the loop."""
        if self._single is None or self._single[0] != code:
            self._single = (code, Graph([node]))
        prepared = prepare(self._single[1], inputs, way=TOGETHER)
        outcome: Outcome = NODE_LOOP.run(lambda: prepared.start(inputs))
        if outcome.error is not None:
            raise outcome.error
        return outcome.values

    def _load(self, order: Order) -> Any:
        """Load the node or graph that a task calls; None where it calls none."""
        if order.kind in ("map", "gather", "compare"):
            return None
        if order.kind == "graph":
            return self.loader.load_graph(order.code)
        return self.loader.load_node(order.code)

    def _run_inside(
        self,
        run_id: str,
        claim: Claim,
        order: Order,
        graph: Graph,
        inputs: dict[str, Any],
        sightings: Sightings | None,
    ) -> tuple[dict[str, Any], bytes | None]:
        """Run a nested graph as one piece: it has a runner of its own.

        Returns:
            The node's outputs, and what they do not tell of the nested result.
        """
        border = Border(*order.border)
        values = {border.inputs[name]: value for name, value in inputs.items()}
        self._enter(run_id, claim.task, order.path, -1, int(claim.attempt), graph)
        try:
            around = None if sightings is None else Around(sightings)
            ready = prepare(graph, values, is_observed=around is not None)
            outcome = cast(Outcome, ready.start(values, around))
        except BaseException as error:
            outcome = Outcome({}, {}, error)
        finally:
            self._leave()

        failed = None
        if outcome.error is not None:
            failed = self._failed_piece(claim, order, outcome.error, outcome.path)

        def pack(error: BaseException, path: Sequence[str]) -> bytes:
            if failed is not None and error is outcome.error:
                return failed.packed
            return self._failed_piece(claim, order, error, path).packed

        if failed is not None:
            plain = (outcome.values, failed.packed, flatten(outcome.nested, pack))
            failed.inside = encode_plain(plain)
            raise failed
        outputs = border.outputs
        found = {outputs[k]: v for k, v in outcome.values.items() if k in outputs}
        if found and not outcome.nested:
            return found, None
        return found, encode_plain((outcome.values, None, flatten(outcome.nested, pack)))

    def _failed_piece(
        self, claim: Claim, order: Order, error: BaseException, path: Sequence[str]
    ) -> FailedPiece:
        """Return what says that a task failed with `error`, raised at `path` inside its node."""
        if isinstance(error, SystemExit | KeyboardInterrupt):
            error = exited(error, order.path, None)
        packed = pack_failure(
            error,
            node="/".join([order.path, *path]),
            item=None,
            worker=self.worker,
            attempt=int(claim.attempt),
        )
        return FailedPiece(packed, describe(error))

    # -- mapped nodes ---------------------------------------------------------------------------

    def _split(self, run_id: str, task: str, order: Order, inputs: dict[str, Any]) -> MapOrder:
        """Turn the inputs of a mapped node into pages of items."""
        border = Border(*order.border)
        inner = {border.inputs[name]: value for name, value in inputs.items()}
        refs = {border.inputs[name]: ref for name, ref in order.inputs.items()}
        mapped = [border.inputs[name] for name in border.mapped]
        if missing := [name for name in mapped if name not in inner]:
            # What is mapped over was bound inside, or is a default there.
            here = [order.parts[queue] for queue in self._served if queue in order.parts]
            code = here[0] if here else order.code
            whole = self.loader.load_graph(code).as_node(name="mapped")
            inner.update((name, spare_for(whole, name).take()) for name in missing)
        rows = list(split(inner, mapped, border.mode).rows())
        gathering = Order(order.path, "gather", order.code, {}, order.border, order.previous)
        sealed = self.sealer.seal(gathering, run_id, task)
        stops = border.error_handling == "raise"
        broadcast = {name: ref for name, ref in refs.items() if name not in mapped}
        spec = MapSpec(
            order.code, mapped, broadcast, stops=stops, path=order.path, parts=order.parts
        )
        pages = []
        start = 0
        while start < len(rows):
            chunk = rows[start : start + length_of_page(rows[start])]
            data = pack_page(list(zip(*chunk, strict=True)), mapped, start)
            pages.append((len(chunk), self.payloads.seal("page", [data], run_id, task, start)))
            start += len(chunk)
        return MapOrder(
            TaskRecord(task, 0, "", (), sealed),
            self.sealer.seal(spec, run_id, task),
            len(rows),
            stops,
            pages,
        )

    def _collect(self, run_id: str, map_: str) -> tuple[list[Row], ItemCount]:
        """Return the results of a mapped node's items, in order of items, and their number."""
        rows: list[tuple[int, Row]] = []
        position = 0
        while True:
            found = self.store.collect(run_id, map_, start=position, count=100)
            for start, sealed in found.ranges:
                opened = open_rows(self.payloads, run_id, map_, start, sealed, self.loader.decode)
                rows.extend(enumerate(opened, start))
            position += len(found.ranges)
            if len(found.ranges) < 100:
                break
        rows.sort(key=lambda numbered: numbered[0])
        failed = [(item, row.text) for item, row in rows if row.failure is not None]
        count = ItemCount(found.done, found.failed, found.busy_us, failed[:MOST_TOLD])
        return [row for _, row in rows], count
