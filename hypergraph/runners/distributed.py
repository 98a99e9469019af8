"""The runner whose nodes run on worker processes, on this machine or on others."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from hypergraph.coordinator.fold import RunFold, make_end
from hypergraph.errors import ResultExpired, RunCancelled
from hypergraph.graph import Graph
from hypergraph.nodes import FunctionNode, GraphNode
from hypergraph.plan import compile_plan
from hypergraph.plan.inputs import feed
from hypergraph.plan.items import Items, split
from hypergraph.runners import base
from hypergraph.runners.handle import RunHandle
from hypergraph.runners.inline import selection
from hypergraph.runners.mapping import BOARD, PAGES_AHEAD, Feeder, MapReader
from hypergraph.runners.notes import annotate
from hypergraph.runners.packing import Parcel, pack_inputs, pack_spec, pack_whole
from hypergraph.runners.progress import Progress
from hypergraph.runners.result import MapResult, RunResult, RunStatus, new_run_id
from hypergraph.runners.session import Session
from hypergraph.store.contract import MapStart
from hypergraph.store.records import MapSpec, Start
from hypergraph.transport.tags import TAG
from hypergraph.values.codec import encode
from hypergraph.values.failure import unpack_failure
from hypergraph.values.results import Row
from hypergraph.values.ship import Ship


class DistributedRunner(base.BaseRunner):
    """Runs graphs on worker processes, with the results that `SyncRunner` gives.

    Without a URL it starts a Redis and workers of its own on first use; both end with this process.
    With one, workers are started by ``hypergraph worker --url ...``, anywhere.

    Args:
        url: The Redis, as in ``redis://queue-host:6379``. By default the environment's
            ``HYPERGRAPH_REDIS_URL``, else one of its own.
        workers: Number of local worker processes; by default one per core. Only without a URL.
        secret: What payloads are signed with; see the README on secrets.
        namespace: Which runs, workers and queues of that Redis.
        ship: How functions travel; ``auto``: those of your own modules by value.
        keep_s: How long the record of a run is kept after its end.
        progress: Whether to show a progress bar; by default for maps, and for runs of more than a
            second, if there is somebody to see it.

    >>> runner = DistributedRunner(workers=2)            # doctest: +SKIP
    >>> runner.map(graph, {"doc": docs}, map_over="doc")  # doctest: +SKIP
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        workers: int | None = None,
        secret: str | bytes | None = None,
        namespace: str = "default",
        ship: Ship = "auto",
        keep_s: float = 86_400,
        progress: bool | None = None,
    ) -> None:
        self.url = url or os.environ.get("HYPERGRAPH_REDIS_URL") or None
        if workers is not None and self.url is not None:
            raise ValueError(
                f"workers={workers} starts local workers, but with a URL workers are started by "
                "`hypergraph worker --url ...`; leave one of the two out"
            )
        if workers is not None and workers < 1:
            raise ValueError(f"workers={workers}: at least one worker is needed")
        self.supported_node_types = {FunctionNode, GraphNode}
        self._workers = workers
        self._secret = secret
        self._namespace = namespace
        self._ship = ship
        self._keep_s = keep_s
        self._progress = progress
        self._session: Session | None = None
        self._cluster: Any = None
        self._lock = threading.RLock()
        self._pid = os.getpid()

    @property
    def capabilities(self) -> base.RunnerCapabilities:
        """Function nodes and nested graphs."""
        return base.RunnerCapabilities(supports_cycles=False)

    # -- one run --------------------------------------------------------------------------------

    def run(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        error_handling: str = "raise",
        progress: bool | None = None,
        **inputs: Any,
    ) -> RunResult:
        """Run a graph on the workers and wait for its result. Ctrl-C cancels the run.

        Args:
            graph: The graph.
            values: Input name -> value.
            select: Names of the outputs to give back; by default the graph's selection, or all.
            max_iterations: Supersteps after which a run has failed; by default 1000.
            error_handling: ``raise`` raises what a node raised, with notes on where.
                ``continue`` returns it, with the outputs there were by then.
            progress: Whether to show a bar; by default after a second.
            inputs: Further inputs, by name.

        Raises:
            IncompatibleRunnerError: The graph has nodes of a kind that is not run on workers yet.
            MissingInputError: An input without a value.
            UnserializableInput: An input or a function cannot cross to another process.
            StoreUnavailable: Redis does not answer.
            NoWorker: Nobody serves the queue of a node.
        """
        handle = self._submit(
            graph, values, inputs, select, max_iterations, error_handling, once=True
        )
        with Progress(self._shows(progress), graph.name or "run", delay_s=1.0) as bar:
            try:
                result = handle._wait(None, lambda: self._show_run(handle, bar))
            except KeyboardInterrupt:
                handle.cancel()
                raise
        handle._result = result
        if result.error is not None and error_handling == "raise":
            raise result.error
        if result.error is None and (select is not None or graph.selected is not None):
            base.warn_of_lacking(selection(graph, _listed(select)), [result])
        return result

    def _show_run(self, handle: RunHandle, bar: Progress) -> None:
        if bar.is_wanted:
            fold = self._open().fold_of(handle.run_id)
            if not fold.is_map:
                bar.update(fold.ended, fold.failures, fold.ended + len(fold.tree.open_tasks))

    def submit(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        error_handling: str = "raise",
        require_worker: bool = False,
        **inputs: Any,
    ) -> RunHandle:
        """Store a run and return at once. It outlives this process, if it was given a URL.

        Args:
            graph: As in :meth:`run`.
            values: As in :meth:`run`.
            select: As in :meth:`run`.
            max_iterations: As in :meth:`run`.
            error_handling: Whether the handle's `result` raises.
            require_worker: Refuse to queue for workers that are not there yet.
            inputs: Further inputs, by name.
        """
        return self._submit(
            graph,
            values,
            inputs,
            select,
            max_iterations,
            error_handling,
            queue_up=not require_worker,
        )

    def attach(self, run_id: str) -> RunHandle:
        """Return a handle on a run that was submitted by any process.

        Raises:
            ResultExpired: There is no such run, or no more.
        """
        handle = RunHandle(self._open(), run_id)
        _ = handle.status
        return handle

    def _submit(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None,
        inputs: Mapping[str, Any],
        select: str | Sequence[str] | None,
        max_iterations: int | None,
        error_handling: str,
        *,
        once: bool = False,
        queue_up: bool = False,
    ) -> RunHandle:
        given = base.gather(values, inputs, base.RUN_OPTIONS)
        base.check_error_handling(error_handling)
        base.check_graph(self, graph)
        unknown = base.check_inputs(graph, given)
        if unknown:
            base.warn_of_unknown(unknown)
        parcel = Parcel()
        refs = pack_inputs(parcel, given, self._ship)
        plan = feed(compile_plan(graph), given)
        key, spec = pack_spec(parcel, graph, plan, self._ship)
        session = self._open()
        self._require(session, graph, parcel, queue_up=queue_up)
        run_id = new_run_id()
        start = Start(key, refs, max_iterations or 1000, TAG, _listed(select))
        fold = RunFold(run_id, session.sealer, session.specs.load)
        session.specs.add(key, spec)
        fold.start(spec, start)
        first = fold.advance(0, lambda f: make_end(f, session.sealer))
        meta: dict[str, str | int | bytes] = {
            "kind": "run",
            "graph": graph.name or "",
            "nodes": len(spec.nodes),
        }
        session.create(
            run_id,
            meta,
            start=session.sealer.seal(start, run_id),
            parcel=parcel,
            tasks=first.tasks,
            end=first.end,
        )
        return RunHandle(session, run_id, error_handling, once=once)

    def _require(self, session: Session, graph: Graph, parcel: Parcel, *, queue_up: bool) -> None:
        queues = [f"default.{TAG}"]
        if not queue_up:
            session.require_workers(queues, list(parcel.modules))
            return
        missing = session.find_missing(queues, list(parcel.modules))
        if missing is not None:
            base.warn(f"The run is queued, but for now nobody can do it: {missing}")

    # -- maps -----------------------------------------------------------------------------------

    def map(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        map_over: str | Sequence[str],
        map_mode: str = "zip",
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        error_handling: str = "raise",
        progress: bool | None = None,
        **inputs: Any,
    ) -> MapResult:
        """Run a graph once per item on the workers, each item as a whole on one of them.

        Args:
            graph: The graph.
            values: Input name -> value. A name in `map_over` holds an iterable of its values, one
                per item; any other value is given to all items.
            map_over: Name or names to map over.
            map_mode: ``zip`` or ``product``.
            select: As in :meth:`run`.
            max_iterations: As in :meth:`run`, for each item.
            error_handling: ``raise``: after a failure no later item begins, and the error of the
                lowest failing item is raised. ``continue`` gives every item a result.
            progress: Whether to show a bar.
            inputs: Further inputs, by name.

        Returns:
            One result per item, in the order of the inputs.

        Raises:
            KeyError: A name in `map_over` has no value.
            ValueError: Lists of unequal lengths, an unknown mode, or an input given twice.
            Exception: As in :meth:`run`.
        """
        call = self._open_map(
            graph, values, inputs, map_over, map_mode, select, max_iterations, error_handling
        )
        if call is None:
            return MapResult(outputs=selection(graph, _listed(select)))
        with Progress(self._shows(progress), graph.name or "map") as bar:
            results = list(call.results(bar.see_map))
        results.sort(key=lambda result: result.index or 0)
        call.finish(results)
        mapped = MapResult(results, call.outputs)
        if select is not None or graph.selected is not None:
            base.warn_of_lacking(call.outputs, mapped)
        return mapped

    def map_iter(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        map_over: str | Sequence[str],
        map_mode: str = "zip",
        order: Literal["completion", "input"] = "completion",
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        error_handling: str = "raise",
        progress: bool | None = None,
        **inputs: Any,
    ) -> MapIterator:
        """Run a graph once per item, and give each result as soon as it is there.

        The inputs may be any iterables, also endless ones. A window of them is in flight, so
        memory does not grow with their number, and a slow consumer slows the producer. The map
        needs this client: it ends when the loop over it is left.

        Args:
            order: ``completion``: as they are done; ``input``: in the order of the inputs.
            graph: As in :meth:`map`, like the other arguments.
            values: See there.
            map_over: See there.
            map_mode: See there.
            select: See there.
            max_iterations: See there.
            error_handling: See there. With ``raise``, the error is raised when the results of all
                lower items have been given.
            progress: See there.
            inputs: See there.
        """
        if order not in ("completion", "input"):
            raise ValueError(f"order must be 'completion' or 'input', not {order!r}")
        call = self._open_map(
            graph, values, inputs, map_over, map_mode, select, max_iterations, error_handling
        )
        shows = self._shows(progress)
        return MapIterator(_iterate(call, order, shows, graph.name or "map"))

    def _open_map(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None,
        inputs: Mapping[str, Any],
        map_over: str | Sequence[str],
        map_mode: str,
        select: str | Sequence[str] | None,
        max_iterations: int | None,
        error_handling: str,
    ) -> _MapCall | None:
        """Store a map and its first inputs. None if there are no items."""
        given = base.gather(values, inputs, base.MAP_OPTIONS)
        base.check_error_handling(error_handling)
        base.check_map(self, graph)
        items = split(given, map_over, map_mode)
        if items.is_sized and not len(items):
            return None
        unknown = base.check_inputs(graph, given)
        if unknown:
            base.warn_of_unknown(unknown)
        parcel = Parcel()
        broadcast = {
            name: parcel.add_broadcast(encode(value, where=f"$.{name}", ship=self._ship))
            for name, value in items.shared.items()
        }
        whole = pack_whole(parcel, graph, self._ship)
        session = self._open()
        feeder = Feeder(session, items.rows(), items.over, self._ship)
        page_items = feeder.prepare()
        if not page_items:
            return None
        self._require(session, graph, parcel, queue_up=False)
        run_id = new_run_id()
        stops = error_handling == "raise"
        spec = MapSpec(whole, items.over, broadcast, _listed(select), max_iterations, stops)
        total = len(items) if items.is_sized else -1
        queue = f"default.{TAG}"
        session.create(
            run_id,
            {"kind": "map", "graph": graph.name or "", "owner": session.id, "total": total},
            parcel=parcel,
            map_=MapStart(
                BOARD,
                queue,
                -1,
                PAGES_AHEAD * page_items,
                stops,
                session.sealer.seal(spec, run_id, BOARD),
            ),
        )
        outputs = selection(graph, _listed(select))
        return _MapCall(session, run_id, queue, feeder, tuple(outputs), items, error_handling)

    # -- asynchronous forms ---------------------------------------------------------------------

    async def run_async(
        self, graph: Graph, values: Mapping[str, Any] | None = None, **options: Any
    ) -> RunResult:
        """Do what :meth:`run` does, without blocking the event loop."""
        return await asyncio.to_thread(self.run, graph, values, **options)

    async def map_async(
        self, graph: Graph, values: Mapping[str, Any] | None = None, **options: Any
    ) -> MapResult:
        """Do what :meth:`map` does, without blocking the event loop."""
        return await asyncio.to_thread(self.map, graph, values, **options)

    # -- beginning and end ----------------------------------------------------------------------

    def _open(self) -> Session:
        """Return the session, begun at first use."""
        with self._lock:
            if self._pid != os.getpid():
                # After a fork, Redis and workers belong to the parent; its connections too.
                self._pid, self._session, self._cluster = os.getpid(), None, None
            if self._session is None:
                url, secret, lease_s = self.url, self._secret, 5.0
                if url is None:
                    from hypergraph.embedded.cluster import LocalCluster

                    self._cluster = LocalCluster(self._workers, self._namespace)
                    self._cluster.start()
                    url, secret = self._cluster.url, self._cluster.secret
                self._session = Session(
                    url,
                    namespace=self._namespace,
                    secret=secret,
                    keep_s=self._keep_s,
                    local=self._cluster is not None,
                    lease_s=lease_s,
                )
            return self._session

    def close(self) -> None:
        """Close the connections; end what was started for this runner."""
        with self._lock:
            if self._session is not None and self._pid == os.getpid():
                self._session.close()
            if self._cluster is not None and self._pid == os.getpid():
                self._cluster.stop()
            self._session = self._cluster = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _shows(self, progress: bool | None) -> bool | None:
        return self._progress if progress is None else progress


class MapIterator:
    """The results of a map as they come. A plain or an asynchronous iterator."""

    def __init__(self, results: Iterator[RunResult]) -> None:
        self._results = results

    def __iter__(self) -> Iterator[RunResult]:
        return self._results

    def __next__(self) -> RunResult:
        return next(self._results)

    def close(self) -> None:
        """End the map; what is under way counts no more."""
        self._results.close()  # type: ignore[attr-defined]  # it is a generator

    def __aiter__(self) -> AsyncIterator[RunResult]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[RunResult]:
        try:
            while (result := await asyncio.to_thread(next, self._results, None)) is not None:
                yield result
        finally:
            await asyncio.to_thread(self.close)


class _MapCall:
    """One map that this client feeds and reads."""

    def __init__(
        self,
        session: Session,
        run_id: str,
        queue: str,
        feeder: Feeder,
        outputs: tuple[str, ...],
        items: Items,
        error_handling: str,
    ) -> None:
        self.session = session
        self.run_id = run_id
        self.outputs = outputs
        self._items = items
        self._raises = error_handling == "raise"
        self._queue = queue
        self._feeder = feeder
        self._first_failed: RunResult | None = None

    def results(self, seen: Any, *, marks: bool = True) -> Iterator[RunResult]:
        """Yield the result of each item as it is done. Leaving early cancels the map."""
        self.reader = MapReader(self.session, self.run_id, self._queue, self._feeder, seen=seen)
        done = False
        completed = RunStatus.COMPLETED
        try:
            for index, row in self.reader.rows():
                if marks:
                    self.reader.consumed += 1
                if row.failure is None:
                    yield RunResult(row.values, completed, index=index)
                else:
                    yield self._failed(index, row)
            done = True
        finally:
            if not done:
                self.session.coordinator.cancel(self.run_id, self.session.id)
        if self.reader.status == "cancelled":
            raise RunCancelled(self.run_id)
        if self.reader.status == "gone":
            raise ResultExpired(self.run_id)

    def _failed(self, index: int, row: Row) -> RunResult:
        assert row.failure is not None
        error = unpack_failure(row.failure)
        annotate(error, run_id=self.run_id, item=index)
        return RunResult(row.values, RunStatus.FAILED, error=error, index=index)

    def finish(self, results: Sequence[RunResult]) -> None:
        """Let the values leave Redis; raise the error of the lowest item that failed.

        Args:
            results: What was read, in the order of the inputs.
        """
        self.session.store.forget(self.run_id)
        if self._raises:
            for result in results:
                if result.error is not None:
                    raise result.error


def _iterate(
    call: _MapCall | None, order: str, shows: bool | None, name: str
) -> Iterator[RunResult]:
    if call is None:
        return
    waiting: dict[int, RunResult] = {}
    failed: RunResult | None = None
    following = 0
    with Progress(shows, name) as bar:
        results = call.results(bar.see_map, marks=False)
        try:
            for result in results:
                if result.error is not None and call._raises:
                    if failed is None or (result.index or 0) < (failed.index or 0):
                        failed = result
                    call.reader.consumed += 1
                    continue
                if order == "completion":
                    yield result
                    call.reader.consumed += 1
                    continue
                waiting[result.index or 0] = result
                while following in waiting:
                    yield waiting.pop(following)
                    call.reader.consumed += 1
                    following += 1
        finally:
            results.close()  # type: ignore[attr-defined]  # it is a generator
    call.finish([] if failed is None else [failed])


def _listed(select: str | Sequence[str] | None) -> list[str] | None:
    if select is None:
        return None
    return [select] if isinstance(select, str) else list(select)
