"""A client's dealings with one Redis: what it has sent, who is there, and what it waits for."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import secrets
import socket
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from hypergraph.coordinator.fold import RunFold
from hypergraph.coordinator.payload import Payloads
from hypergraph.coordinator.reconcile import Coordinator, Reconciler, SpecCache
from hypergraph.errors import (
    IncompatibleWorker,
    MissingModule,
    NoWorker,
    StateLost,
    StoreError,
)
from hypergraph.runners.background import check_awaited
from hypergraph.runners.packing import Parcel
from hypergraph.store.blobs import SHARED
from hypergraph.store.contract import MapStart, TaskRecord
from hypergraph.store.link import Link, redact
from hypergraph.store.records import End, Sealer
from hypergraph.store.redis import RedisStore
from hypergraph.transport.tags import TAG, describe_tag, untagged
from hypergraph.transport.tickets import Tickets
from hypergraph.values.secret import load_secret
from hypergraph.values.sign import Signer

logger = logging.getLogger("hypergraph.runners")

#: First contact fails within this time, or not at all.
CONTACT_S = 5.0

#: What all but the waiting may take of it.
_SPARE_S = 1.0


class Session:
    """See the module's docstring.

    Args:
        url: The Redis.
        namespace: Which runs, workers and queues of it.
        secret: As `load_secret` takes it.
        keep_s: How long records are kept after a run has ended.
        blobs: Where large values lie; see `open_blobs`.
        local: Workers belong to this client: wait for them instead of missing them.
        lease_s: Time without a heartbeat after which a worker or client is dead.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str,
        secret: str | bytes | None,
        keep_s: float,
        blobs: str | None = None,
        local: bool = False,
        lease_s: float = 5.0,
    ) -> None:
        key, previous = load_secret(secret, url)
        self.url = url
        self.id = f"client-{secrets.token_hex(6)}"
        self.keep_s = keep_s
        self.lease_s = lease_s
        self.local = local
        # Two patiences: what is submitted fails while the caller looks; what is waited for, waits.
        patience_s = CONTACT_S - _SPARE_S
        self.link = Link(url, patience_s=patience_s, timeout_s=patience_s)
        self.waiting = Link(url)
        self.store = RedisStore(self.waiting, namespace, blobs)
        self.entry = RedisStore(self.link, namespace, blobs)
        self.sealer = Sealer(Signer(key, previous), namespace)
        self.payloads = Payloads(self.store, self.sealer)
        self.tickets = Tickets(self.waiting, self.store.keys, self.sealer)
        self.specs = SpecCache(self.store)
        self.coordinator = Coordinator(self.store, self.sealer, self.tickets, self.specs)
        self.reconciler = Reconciler(self.coordinator, lease_s=lease_s, every_s=lease_s / 5)
        self._origin = _describe_process()
        self._sent: set[str] = set()
        self._workers: tuple[float, dict[str, dict[str, str]]] = (0.0, {})
        self._ticked_at = time.monotonic()
        self._owned: set[str] = set()
        self._beating: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._has_left = False
        atexit.register(_leave, weakref.ref(self))

    def own(self, run_id: str) -> None:
        """Say from now on, until `disown`, that this client lives: a run needs it to go on."""
        with self._lock:
            self._owned.add(run_id)
            self._beat()
            if self._beating is None:
                self._beating = threading.Thread(target=self._keep_beating, daemon=True)
                self._beating.start()

    def disown(self, run_id: str) -> bool:
        """Take back `own`. Returns whether it held: not any more, and never in a fork."""
        # First the set: while the interpreter ends, what is collected still asks, without `os`.
        if run_id not in self._owned or self._pid != os.getpid():
            return False
        with self._lock:
            held = run_id in self._owned
            self._owned.discard(run_id)
            return held

    def _beat(self) -> None:
        # Long: a consumer that holds the GIL for a while is not dead, and nobody waits for this.
        self.store.beat_client(self.id, 6 * self.lease_s)

    def _keep_beating(self) -> None:
        while True:
            time.sleep(self.lease_s / 5)
            with self._lock:
                if not self._owned:
                    self._beating = None
                    return
            self._beat()

    def leave(self) -> None:
        """Cancel the runs that cannot go on without this client. Done at exit, too."""
        if self._pid != os.getpid() or self._has_left:
            return
        self._has_left = True
        with self._lock:
            owned, self._owned = self._owned, set()
        # Redis may be away; then whoever looks after these runs notices that the client is.
        with contextlib.suppress(StoreError):
            for run_id in owned:
                self._end(run_id)
            if self.local and (ended := [r for r in self.entry.list_active() if self._end(r)]):
                print(
                    f"hypergraph: cancelled with this process: {', '.join(ended)}", file=sys.stderr
                )

    def _end(self, run_id: str) -> bool:
        """Cancel a run. Returns whether it was under way."""
        note = self.sealer.seal(End(by=self.id), run_id)
        return self.entry.end(run_id, "cancelled", note) == "running"

    def close(self) -> None:
        """Leave, and close the connections."""
        self.leave()
        self.link.close()
        self.waiting.close()

    # -- who is there ---------------------------------------------------------------------------

    def require_workers(self, needs: Mapping[str, Iterable[str]]) -> None:
        """See that somebody can serve a run, before anything of it is stored.

        Args:
            needs: Queue, without tag -> modules that its workers must have.

        Raises:
            StoreUnavailable: Redis does not answer.
            NoWorker: Nobody serves one of the queues.
            IncompatibleWorker: Only workers of another Python minor or wire version do.
            MissingModule: No live worker has one of the modules.
        """
        if self.local:
            return
        deadline = time.monotonic() + CONTACT_S - _SPARE_S
        while True:
            try:
                self._check_workers(needs)
            except (NoWorker, IncompatibleWorker, MissingModule):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)  # they may be starting
                self._workers = (0.0, {})
            else:
                return

    def find_missing(self, needs: Mapping[str, Iterable[str]]) -> Exception | None:
        """Return what `require_workers` would raise by now, without waiting."""
        if not self.local:
            try:
                self._check_workers(needs)
            except (NoWorker, IncompatibleWorker, MissingModule) as error:
                return error
        return None

    def _check_workers(self, needs: Mapping[str, Iterable[str]]) -> None:
        asked_at, workers = self._workers
        if time.monotonic() - asked_at > 1.0:
            workers = self.entry.workers(self.lease_s)
            self._workers = (time.monotonic(), workers)
        for queue, modules in needs.items():
            serving = {
                name: worker
                for name, worker in workers.items()
                if queue in map(untagged, _listed(worker, "queues"))
            }
            fitting = {name: w for name, w in serving.items() if w.get("tag") == TAG}
            if not serving:
                raise NoWorker(queue, redact(self.url))
            if not fitting:
                tags = {name: describe_tag(info.get("tag", "")) for name, info in serving.items()}
                raise IncompatibleWorker(describe_tag(TAG), tags)
            for module in modules:
                if not any(_has_module(worker, module) for worker in fitting.values()):
                    raise MissingModule(module, sorted(fitting))

    # -- sending --------------------------------------------------------------------------------

    def send_shared(self, parcel: Parcel) -> None:
        """Store what is shared by content and not there yet."""
        known = [digest for digest in parcel.shared if digest in self._sent]
        fresh = {digest: data for digest, data in parcel.shared.items() if digest not in self._sent}
        missing = self.entry.touch_code(known) if known else []
        fresh.update((digest, parcel.shared[digest]) for digest in missing)
        if fresh:
            self.entry.put_code(fresh)
            self._sent.update(fresh)

    def send_large(self, parcel: Parcel, run_id: str) -> list[str]:
        """Store large values where large values lie. Returns the digests of the run's own."""
        blobs = self.entry.blobs
        for key, (shared, parts) in parcel.large.items():
            if not (shared and blobs.has(SHARED, key)):
                blobs.put(SHARED if shared else run_id, key, parts)
        return [key for key, (shared, _) in parcel.large.items() if not shared]

    def create(
        self,
        run_id: str,
        meta: dict[str, str | int | bytes],
        *,
        start: bytes = b"",
        parcel: Parcel,
        tasks: Sequence[TaskRecord] = (),
        map_: MapStart | None = None,
        end: tuple[str, bytes] | None = None,
    ) -> None:
        """Store a run and send tickets for what it begins with.

        Raises:
            ValueError: There is a run of that id.
        """
        self.send_shared(parcel)
        large = self.send_large(parcel, run_id)
        meta = {**meta, "keep_ms": int(self.keep_s * 1000), "client": self.id, "tag": TAG}
        meta["origin"] = self._origin
        created = self.entry.create(
            run_id,
            token=secrets.token_hex(8),
            meta=meta,
            start=start,
            values=parcel.values,
            blobs=large,
            tasks=tasks,
            map_=map_,
            end=end,
            now_ms=_now_ms(),
            tickets=[
                command
                for queue, count in Counter(task.queue for task in tasks).items()
                for command in self.tickets.commands(run_id, queue, count)
            ],
        )
        if not created:
            raise ValueError(f"there is a run {run_id!r} already; choose another id")

    def cancel(self, run_id: str) -> None:
        """End a run or map that has not ended. Afterwards no body starts and no result counts."""
        self.coordinator.cancel(run_id, self.id)
        # A body ends when it ends, but nobody begins another one without asking: after a batch of
        # 5 ms, or a range of 100 ms. So a moment settles what was under way.
        time.sleep(0.15)

    # -- waiting --------------------------------------------------------------------------------

    def look_after(self, run_id: str) -> None:
        """Do what a client does while it waits: reconcile, as often as its lease asks.

        Args:
            run_id: What it waits for. If that cannot be read, nobody else will say so.

        Raises:
            StateLost: The run has vanished.
            UntrustedPayload: Part of its record was not written by somebody with the secret.
            CorruptPayload: Part of its record is damaged or missing.
        """
        check_awaited()
        now = time.monotonic()
        if now - self._ticked_at < self.reconciler.every_s:
            return
        self._ticked_at = now
        self.reconciler.tick()
        if self.coordinator.look_at(run_id).status == "gone":
            raise StateLost(run_id)

    def fold_of(self, run_id: str) -> RunFold:
        """Return the whole story of a run."""
        fold = self.coordinator.new_fold(run_id)
        self.coordinator.catch_up(fold)
        return fold


def _listed(worker: Mapping[str, str], field: str) -> list[str]:
    return worker.get(field, "").split(",")


def _leave(session: weakref.ref[Session]) -> None:
    if (found := session()) is not None:
        found.leave()


def _has_module(worker: Mapping[str, str], module: str) -> bool:
    return not worker.get("modules") or module in _listed(worker, "modules")


def _describe_process() -> str:
    """Return who submits, for people: program, host and pid."""
    path = sys.argv[0] if sys.argv else ""
    # `python -m package` runs package/__main__.py.
    path = os.path.dirname(path) if os.path.basename(path) == "__main__.py" else path
    program = os.path.basename(path) or "python"
    return f"{program[:60]} on {socket.gethostname()[:60]}, pid {os.getpid()}"


def _now_ms() -> int:
    return int(time.time() * 1000)
