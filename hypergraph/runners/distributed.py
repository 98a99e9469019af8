"""The runner whose nodes run on worker processes, on this machine or on others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from hypergraph.errors import ResultExpired
from hypergraph.events import EventProcessor
from hypergraph.events.rich_progress import RichProgressProcessor
from hypergraph.graph import Graph
from hypergraph.nodes import FunctionNode, GraphNode, IfElseNode, InterruptNode, RouteNode
from hypergraph.plan.items import split
from hypergraph.runners import base
from hypergraph.runners.answer import answer_run
from hypergraph.runners.background import beside, hold
from hypergraph.runners.client import Client
from hypergraph.runners.handle import RunHandle
from hypergraph.runners.map_call import MapHandle, MapIterator, no_results
from hypergraph.runners.observe import Observation, RunEvents, Watching
from hypergraph.runners.options import Options
from hypergraph.runners.progress import Progress, RunWatch
from hypergraph.runners.result import MapResult, RunResult
from hypergraph.values.ship import Ship


class DistributedRunner(Client):
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
        super().__init__(
            url,
            workers=workers,
            secret=secret,
            namespace=namespace,
            ship=ship,
            keep_s=keep_s,
            blobs=blobs,
            queues=queues,
        )
        self._progress = progress
        self.supported_node_types = {
            FunctionNode,
            GraphNode,
            IfElseNode,
            InterruptNode,
            RouteNode,
        }

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
        hold(handle.end)
        with (
            Observation(self._open(), handle.run_id, seers),
            Progress(self._shows(progress, seers), graph.name or "run", delay_s=1.0) as bar,
        ):
            try:
                result = handle.wait(seen=RunWatch(self._open().coordinator, handle.run_id, bar))
            except BaseException:  # Ctrl-C above all; whatever it is, nobody waits any more
                handle.cancel()
                raise
        if result.error is not None and options.raises:
            raise result.error
        if result.error is None:
            options.warn_of_lacking(graph, [result])
        return result

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
        hold(call.abandon)
        with (
            Observation(self._open(), call.run_id, seers),
            Progress(self._shows(progress, seers), graph.name or "map") as bar,
        ):
            results = MapResult(call.read_all(bar.update), outputs)
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
        """Do what :meth:`run` does, without blocking the event loop.

        When the task is cancelled, so is the run.
        """
        return await beside(lambda: self.run(graph, values, **options))

    async def map_async(
        self, graph: Graph, values: Mapping[str, Any] | None = None, **options: Any
    ) -> MapResult:
        """Do what :meth:`map` does, without blocking the event loop.

        When the task is cancelled, so is the map.
        """
        return await beside(lambda: self.map(graph, values, **options))

    def _shows(self, progress: bool | None, seers: Sequence[EventProcessor] = ()) -> bool | None:
        if any(isinstance(seer, RichProgressProcessor) for seer in seers):
            return False  # it draws already
        return self._progress if progress is None else progress
