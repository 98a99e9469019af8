"""What a distributed runner does out of sight: find its Redis, and store what it is given there."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from hypergraph.coordinator.fold import RunFold, make_end
from hypergraph.graph import Graph
from hypergraph.graph.placement import home_of, place
from hypergraph.nodes.queue import check_queue_name
from hypergraph.plan import compile_plan
from hypergraph.plan.inputs import feed
from hypergraph.plan.items import Items
from hypergraph.runners import base
from hypergraph.runners.handle import RunHandle
from hypergraph.runners.map_call import MapCall
from hypergraph.runners.mapping import BOARD, PAGES_AHEAD, Feeder
from hypergraph.runners.options import Options
from hypergraph.runners.packing import Parcel, pack_inputs, pack_spec, pack_whole
from hypergraph.runners.result import new_run_id
from hypergraph.runners.session import Session
from hypergraph.store.contract import MapStart
from hypergraph.store.records import MapSpec, Start
from hypergraph.transport.tags import TAG, tagged
from hypergraph.values.codec import encode_parts
from hypergraph.values.ship import Ship


class Client(base.BaseRunner):
    """A runner that has its runs carried out by workers. What users call is left to subclasses.

    Args:
        url: As in `DistributedRunner`, like the other arguments.
        workers: See there.
        secret: See there.
        namespace: See there.
        ship: See there.
        keep_s: See there.
        blobs: See there.
        queues: See there.
    """

    #: A worker or client that is silent for this long is dead. Tests scale it down.
    lease_s = 5.0

    def __init__(
        self,
        url: str | None,
        *,
        workers: int | None,
        secret: str | bytes | None,
        namespace: str,
        ship: Ship,
        keep_s: float,
        blobs: str | None,
        queues: Mapping[str, str] | None,
    ) -> None:
        self.url = url or os.environ.get("HYPERGRAPH_REDIS_URL") or None
        if workers is not None and self.url is not None:
            raise ValueError(
                f"workers={workers} starts local workers, but with a URL workers are started by "
                "`hypergraph worker --url ...`; leave one of the two out"
            )
        if workers is not None and workers < 1:
            raise ValueError(f"workers={workers}: at least one worker is needed")
        self._workers = workers
        self._secret = secret
        self._namespace = namespace
        self._ship = ship
        self._keep_s = keep_s
        self._queues = {node: check_queue_name(queue) for node, queue in (queues or {}).items()}
        self._blobs = blobs or os.environ.get("HYPERGRAPH_BLOBS") or None
        self._session: Session | None = None
        self._cluster: Any = None
        self._lock = threading.RLock()
        self._pid = os.getpid()

    # -- storing --------------------------------------------------------------------------------

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
        total = len(items) if items.is_sized else -1
        return MapCall(session, run_id, queue, feeder, raises=options.raises, total=total)

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
