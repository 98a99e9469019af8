"""The runner whose nodes run on worker processes, on this machine or on others."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from hypergraph.coordinator.fold import RunFold, make_end
from hypergraph.errors import ResultExpired
from hypergraph.events import EventProcessor
from hypergraph.events.rich_progress import RichProgressProcessor
from hypergraph.graph import Graph
from hypergraph.graph.placement import home_of, place
from hypergraph.nodes import FunctionNode, GraphNode, IfElseNode, InterruptNode, RouteNode
from hypergraph.nodes.queue import check_queue_name
from hypergraph.plan import compile_plan
from hypergraph.plan.inputs import feed
from hypergraph.plan.items import Items, split
from hypergraph.runners import base
from hypergraph.runners.answer import answer_run
from hypergraph.runners.handle import RunHandle
from hypergraph.runners.map_call import MapCall, MapHandle, MapIterator, no_results
from hypergraph.runners.mapping import BOARD, PAGES_AHEAD, Feeder
from hypergraph.runners.observe import Observation, RunEvents, Watching
from hypergraph.runners.options import Options
from hypergraph.runners.packing import Parcel, pack_inputs, pack_spec, pack_whole
from hypergraph.runners.progress import Progress
from hypergraph.runners.result import MapResult, RunResult, new_run_id
from hypergraph.runners.session import Session
from hypergraph.store.contract import MapStart
from hypergraph.store.records import MapSpec, Start
from hypergraph.transport.tags import TAG, tagged
from hypergraph.values.codec import encode_parts
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
        queues: Path or name of a node -> queue whose workers run it, as in ``{"embed": "gpu"}``;
            of a nested graph: of all in it. It wins over ``@node(queue=...)``. Local workers
            serve all queues.
        blobs: A directory for values above a megabyte, as in ``file:///shared``, that workers see
            too; by default the environment's ``HYPERGRAPH_BLOBS``, else Redis holds them in chunks.

    >>> runner = DistributedRunner(workers=2)            # doctest: +SKIP
    >>> runner.map(graph, {"doc": docs}, map_over="doc")  # doctest: +SKIP
    """

    #: A worker or client that is silent for this long is dead. Tests scale it down.
    lease_s = 5.0

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
        blobs: str | None = None,
        queues: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url or os.environ.get("HYPERGRAPH_REDIS_URL") or None
        if workers is not None and self.url is not None:
            raise ValueError(
                f"workers={workers} starts local workers, but with a URL workers are started by "
                "`hypergraph worker --url ...`; leave one of the two out"
            )
        if workers is not None and workers < 1:
            raise ValueError(f"workers={workers}: at least one worker is needed")
        self.supported_node_types = {
            FunctionNode,
            GraphNode,
            IfElseNode,
            InterruptNode,
            RouteNode,
        }
        self._workers = workers
        self._secret = secret
        self._namespace = namespace
        self._ship = ship
        self._keep_s = keep_s
        self._progress = progress
        self._queues = {node: check_queue_name(queue) for node, queue in (queues or {}).items()}
        self._blobs = blobs or os.environ.get("HYPERGRAPH_BLOBS") or None
        self._session: Session | None = None
        self._cluster: Any = None
        self._lock = threading.RLock()
        self._pid = os.getpid()

    @property
    def capabilities(self) -> base.RunnerCapabilities:
        """Everything but streaming."""
        return base.RunnerCapabilities(supports_async_nodes=True, supports_interrupts=True)

    # -- one run --------------------------------------------------------------------------------

    def run(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        max_concurrency: int | None = None,
        error_handling: str = "raise",
        event_processors: Iterable[EventProcessor] | None = None,
        progress: bool | None = None,
        **inputs: Any,
    ) -> RunResult:
        """Run a graph on the workers and wait for its result. Ctrl-C cancels the run.

        Args:
            graph: The graph.
            values: Input name -> value.
            select: Names of the outputs to give back; by default the graph's selection, or all.
            max_iterations: Supersteps after which a run has failed; by default 1000.
            max_concurrency: Bodies in flight at most, over all workers.
            error_handling: ``raise`` raises what a node raised, with notes on where.
                ``continue`` returns it, with the outputs there were by then.
            event_processors: Who is told what happens, in a thread beside the caller's.
            progress: Whether to show a bar; by default after a second.
            inputs: Further inputs, by name.

        Raises:
            IncompatibleRunnerError: The graph has nodes of a kind that is not run on workers yet.
            MissingInputError: An input without a value.
            UnserializableInput: An input or a function cannot cross to another process.
            StoreUnavailable: Redis does not answer.
            NoWorker: Nobody serves the queue of a node.
        """
        options = Options.check(select, max_iterations, max_concurrency, error_handling)
        given = base.gather(values, inputs, base.RUN_OPTIONS)
        seers = tuple(event_processors or ())
        handle = self._submit(graph, given, options, once=True, watched=bool(seers))
        with (
            Observation(self._open(), handle.run_id, seers),
            Progress(self._shows(progress, seers), graph.name or "run", delay_s=1.0) as bar,
        ):
            try:
                result = handle.wait(seen=self._watch_run(handle, bar))
            except BaseException:  # Ctrl-C above all; whatever it is, nobody waits any more
                handle.cancel()
                raise
        if result.error is not None and options.raises:
            raise result.error
        if result.error is None:
            options.warn_of_lacking(graph, [result])
        return result

    def _watch_run(self, handle: RunHandle, bar: Progress) -> Callable[[], None]:
        """Return what shows where a run stands, from its journal."""
        coordinator = self._open().coordinator
        fold = coordinator.new_fold(handle.run_id)

        def look() -> None:
            if bar.is_wanted:
                coordinator.catch_up(fold)
                bar.update(fold.ended, fold.failures, fold.ended + len(fold.tree.open_tasks))

        return look

    def submit(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        max_concurrency: int | None = None,
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
            max_concurrency: As in :meth:`run`.
            error_handling: Whether the handle's `result` raises.
            require_worker: Refuse to queue for workers that are not there yet.
            inputs: Further inputs, by name.
        """
        options = Options.check(select, max_iterations, max_concurrency, error_handling)
        given = base.gather(values, inputs, base.RUN_OPTIONS)
        return self._submit(graph, given, options, queue_up=not require_worker)

    def attach(self, run_id: str) -> RunHandle | MapHandle:
        """Return a handle on a run or map that was submitted by any process.

        Raises:
            ResultExpired: There is no such run, or no more.
        """
        session = self._open()
        meta = session.store.get_meta(run_id)
        if not meta:
            raise ResultExpired(run_id)
        if meta["kind"] == b"map":
            return MapHandle(session, run_id)
        return RunHandle(session, run_id, raises=meta.get("raises") != b"0")

    def resume(self, run_id: str, answers: Mapping[str, Any]) -> RunHandle:
        """Answer a paused run, from any process, and let it go on.

        Args:
            run_id: The run.
            answers: The pause's `response_key` -> the answer, as in ``{"decision": True}``.

        Raises:
            AlreadyAnswered: The run is not paused, or not any more: the first answer stands.
            ResultExpired: There is no such run.
            UnserializableInput: The answer cannot cross to another process.
            ValueError: The run waits for another answer than this.
        """
        answer_run(self._open().coordinator, run_id, answers, self._ship)
        handle = self.attach(run_id)
        assert isinstance(handle, RunHandle)
        return handle

    def _submit(
        self,
        graph: Graph,
        given: Mapping[str, Any],
        options: Options,
        *,
        once: bool = False,
        queue_up: bool = False,
        watched: bool = False,
    ) -> RunHandle:
        """Store a run, checked and packed before anything of it is stored."""
        base.check_graph(self, graph)
        self._check_inputs(graph, given)
        graph = self._place(graph)
        parcel = Parcel()
        refs = pack_inputs(parcel, given, self._ship)
        plan = feed(compile_plan(graph), given)
        key, spec = pack_spec(parcel, graph, plan, self._ship)
        session = self._open()
        self._require(session, parcel, queue_up=queue_up)
        run_id = new_run_id()
        start = Start(key, refs, options.max_iterations or 1000, TAG, options.select)
        session.specs.add(key, spec)
        fold = RunFold(run_id, session.sealer, session.specs.load)
        fold.start(spec, start)
        first = fold.advance(0, lambda f: make_end(f, session.sealer))
        session.create(
            run_id,
            {
                "kind": "run",
                "graph": graph.name or "",
                "nodes": len(spec.nodes),
                "most": options.max_concurrency or 0,
                "raises": int(options.raises),
                **({"watched": 1} if watched else {}),
            },
            start=session.sealer.seal(start, run_id),
            parcel=parcel,
            tasks=first.tasks,
            end=first.end,
        )
        return RunHandle(session, run_id, raises=options.raises, once=once)

    def _check_inputs(self, graph: Graph, given: Mapping[str, Any]) -> None:
        unknown = base.check_inputs(graph, given)
        if unknown:
            base.warn_of_unknown(unknown)

    def _place(self, graph: Graph) -> Graph:
        return place(graph, None if self.url is None else self._queues)

    def _require(self, session: Session, parcel: Parcel, *, queue_up: bool) -> None:
        if not queue_up:
            session.require_workers(parcel.needs)
        elif (missing := session.find_missing(parcel.needs)) is not None:
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
        max_concurrency: int | None = None,
        error_handling: str = "raise",
        event_processors: Iterable[EventProcessor] | None = None,
        chunk: int | None = None,
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
            max_concurrency: Bodies in flight at most, over all workers.
            error_handling: ``raise``: after a failure no later item begins, and the error of the
                lowest failing item is raised. ``continue`` gives every item a result.
            event_processors: Who is told what happens, in a thread beside the caller's. What
                there is to tell is kept in Redis as long as the record of the map.
            chunk: Items that a worker takes at a time; by default as many as suit their cost.
                After 0.1 s it hands over what is done, and the rest is taken again.
            progress: Whether to show a bar.
            inputs: Further inputs, by name.

        Returns:
            One result per item, in the order of the inputs.

        Raises:
            KeyError: A name in `map_over` has no value.
            ValueError: Lists of unequal lengths, an unknown mode, or an input given twice.
            Exception: As in :meth:`run`.
        """
        options = Options.check(select, max_iterations, max_concurrency, error_handling, chunk)
        given = base.gather(values, inputs, base.MAP_OPTIONS)
        outputs = options.outputs_of(graph)
        seers = tuple(event_processors or ())
        items = split(given, map_over, map_mode)
        call = self._open_map(graph, items, options, watched=bool(seers))
        if call is None:
            return MapResult(outputs=outputs)
        with (
            Observation(self._open(), call.run_id, seers),
            Progress(self._shows(progress, seers), graph.name or "map") as bar,
        ):
            results = MapResult(call.read_all(bar.see_map), outputs)
        options.warn_of_lacking(graph, results)
        return results

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
        max_concurrency: int | None = None,
        error_handling: str = "raise",
        chunk: int | None = None,
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
            max_concurrency: See there.
            error_handling: See there. With ``raise``, the error is raised when the results of all
                lower items have been given.
            chunk: See there.
            progress: See there.
            inputs: See there.
        """
        if order not in ("completion", "input"):
            raise ValueError(f"order must be 'completion' or 'input', not {order!r}")
        options = Options.check(select, max_iterations, max_concurrency, error_handling, chunk)
        given = base.gather(values, inputs, base.MAP_OPTIONS)
        call = self._open_map(graph, split(given, map_over, map_mode), options)
        if call is None:
            return MapIterator(None, no_results())
        results = call.iterate(order, self._shows(progress), graph.name or "map")
        return MapIterator(call, results)

    def submit_map(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        map_over: str | Sequence[str],
        map_mode: str = "zip",
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        max_concurrency: int | None = None,
        error_handling: str = "raise",
        chunk: int | None = None,
        require_worker: bool = False,
        **inputs: Any,
    ) -> MapHandle:
        """Store a map with all its inputs and return. It outlives this process, given a URL.

        Args:
            graph: As in :meth:`map`, like the other arguments. The inputs must be finite: they are
                uploaded before this returns.
            values: See there.
            map_over: See there.
            map_mode: See there.
            select: See there.
            max_iterations: See there.
            max_concurrency: See there.
            error_handling: See there. Whether the handle's `result` raises.
            chunk: See there.
            require_worker: Refuse to queue for workers that are not there yet.
            inputs: See there.
        """
        options = Options.check(select, max_iterations, max_concurrency, error_handling, chunk)
        given = base.gather(values, inputs, base.MAP_OPTIONS)
        items = split(given, map_over, map_mode)
        opened = self._store_map(graph, items, options, window=False, queue_up=not require_worker)
        assert opened is not None
        session, run_id, queue, feeder = opened
        try:
            feeder.feed_all(run_id, lambda: session.tickets.send(run_id, queue, 4))
            session.store.set_free(run_id, feeder.uploaded)
        except BaseException:
            session.coordinator.cancel(run_id, "its inputs could not be uploaded")
            raise
        finally:
            session.disown(run_id)
        return MapHandle(session, run_id)

    def _open_map(
        self, graph: Graph, items: Items, options: Options, *, watched: bool = False
    ) -> MapCall | None:
        """Store a map that this client feeds. None if it has no items."""
        opened = self._store_map(
            graph, items, options, window=True, queue_up=False, watched=watched
        )
        if opened is None:
            return None
        session, run_id, queue, feeder = opened
        return MapCall(session, run_id, queue, feeder, raises=options.raises)

    def _store_map(
        self,
        graph: Graph,
        items: Items,
        options: Options,
        *,
        window: bool,
        queue_up: bool,
        watched: bool = False,
    ) -> tuple[Session, str, str, Feeder] | None:
        """Store a map without its items. Everything is checked and packed before.

        Args:
            graph: What to map.
            items: The inputs.
            options: How.
            window: Whether it goes no further than its reader lets it, who is the caller. A map
                without items is then none at all, and None is returned.
            queue_up: Whether it may wait for workers.
        """
        base.check_map(self, graph)
        if window and items.is_sized and not len(items):
            return None
        self._check_inputs(graph, dict.fromkeys(items.names))
        graph = self._place(graph)
        parcel = Parcel()
        broadcast = {
            name: parcel.add_broadcast(encode_parts(value, where=f"$.{name}", ship=self._ship))
            for name, value in items.shared.items()
        }
        whole, parts = pack_whole(parcel, graph, self._ship)
        session = self._open()
        feeder = Feeder(session, items.rows(), items.over, self._ship)
        page_items = feeder.prepare()
        if window and not page_items:
            return None
        self._require(session, parcel, queue_up=queue_up)
        run_id, queue = new_run_id(), tagged(home_of(graph))
        spec = MapSpec(
            whole,
            items.over,
            broadcast,
            options.select,
            options.max_iterations,
            options.raises,
            chunk=options.chunk,
            parts=parts,
        )
        meta: dict[str, str | int | bytes] = {
            "kind": "map",
            "graph": graph.name or "",
            "total": len(items) if items.is_sized else -1,
            "most": options.max_concurrency or 0,
            "raises": int(options.raises),
            "outputs": json.dumps(options.outputs_of(graph)),
            "owner": session.id,
            **({"watched": 1} if watched else {}),
        }
        ahead = PAGES_AHEAD * page_items if window else 0
        sealed = session.sealer.seal(spec, run_id, BOARD)
        board = MapStart(BOARD, queue, -1, ahead, options.raises, sealed)
        session.own(run_id)
        try:
            session.create(run_id, meta, parcel=parcel, map_=board)
        except BaseException:
            session.disown(run_id)
            raise
        return session, run_id, queue, feeder

    # -- observing ------------------------------------------------------------------------------

    def watch(self, run_id: str, after: str = "") -> Watching:
        """Return the events of a run or map, from any process, as they happen.

        They are the same for everybody and begin with the first, however late it is asked for.
        The iterator's `cursor` names the last event it gave; another one, in any process, goes on
        `after` it without gaps or repeats.

            events = runner.watch(run_id)
            for event in events:
                print(event)
                remember(events.cursor)

        What happens inside the items of a map is told of those that began after somebody watched.

        Args:
            run_id: The run or map. It may have ended.
            after: Where another iterator was.

        Raises:
            ResultExpired: There is no such run, or no more.
            ValueError: `after` is no cursor.
        """
        return Watching(self._open(), run_id, after)

    def iter(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        select: str | Sequence[str] | None = None,
        max_iterations: int | None = None,
        max_concurrency: int | None = None,
        error_handling: str = "raise",
        **inputs: Any,
    ) -> RunEvents:
        """Run a graph on the workers, and give its events as they happen.

            async with runner.iter(graph, {"x": 5}) as events:
                async for event in events:
                    print(event)
            events.result["y"]

        It ends with the run, or with its pause. Leaving it early cancels the run.

        Args:
            graph: As in :meth:`run`.
            values: As in :meth:`run`.
            select: As in :meth:`run`.
            max_iterations: As in :meth:`run`.
            max_concurrency: As in :meth:`run`.
            error_handling: Whether what the run failed with is raised behind the last event.
            inputs: Further inputs, by name.
        """
        options = Options.check(select, max_iterations, max_concurrency, error_handling)
        given = base.gather(values, inputs, base.RUN_OPTIONS)
        return RunEvents(
            self._open,
            lambda: self._submit(graph, given, options, once=True, watched=True),
            raises=options.raises,
        )

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
                url, secret = self.url, self._secret
                if url is None:
                    from hypergraph.embedded.cluster import LocalCluster

                    self._cluster = LocalCluster(self._workers, self._namespace)
                    self._cluster.start()
                    self._blobs = self._cluster.blobs
                    url, secret = self._cluster.url, self._cluster.secret
                self._session = Session(
                    url,
                    namespace=self._namespace,
                    secret=secret,
                    keep_s=self._keep_s,
                    blobs=self._blobs,
                    local=self._cluster is not None,
                    lease_s=self.lease_s,
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

    def _shows(self, progress: bool | None, seers: Sequence[EventProcessor] = ()) -> bool | None:
        if any(isinstance(seer, RichProgressProcessor) for seer in seers):
            return False  # it draws already
        return self._progress if progress is None else progress
