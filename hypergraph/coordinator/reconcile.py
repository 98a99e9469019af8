"""Notice what is missing, and see that it happens.

A reconciler runs in every supervisor and in every client that waits. Once a second it looks at
who is alive and at the runs whose turn it is. What it finds missing it does itself: leases of dead
workers are reaped, journals that nobody decided on are decided on, tickets are sent for what is
ready and held by nobody. Everything it does is guarded by the same compare-and-set as everybody
else's work, so any number of reconcilers may run, and a repeat changes nothing.

What cannot be trusted
======================

A journal that holds what nobody with the secret can have written there, or from which something is
missing, cannot be followed any further. Waiting would not help, so whoever notices ends the run as
failed, with an error that says so, and logs it. The same holds for a graph that is no longer what
its digest says. But a payload that was sealed with *another* secret proves nothing: it may be this
process that has the wrong one. Then the run is left alone, and the log says why.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from hypergraph.coordinator.fold import JournalGap, RunFold, make_end
from hypergraph.errors import (
    CorruptPayload,
    PayloadError,
    StoreError,
    UntrustedPayload,
    WorkerCrashed,
)
from hypergraph.store.blobs import DirectoryBlobs
from hypergraph.store.contract import RunView, Ticked
from hypergraph.store.depot import check_digest
from hypergraph.store.records import Crash, End, GraphSpec, Sealer
from hypergraph.store.redis import RedisStore
from hypergraph.transport.tickets import Tickets
from hypergraph.values.digest import digest
from hypergraph.values.failure import pack_failure

logger = logging.getLogger("hypergraph.coordinator")

#: Between two looks for large values that nobody needs any more.
SWEEP_EVERY_S = 60.0

#: Between two looks for names of runs whose record has aged.
PRUNE_EVERY_S = 10.0

#: Folds of runs that a reconciler has looked at, kept for its next look.
MOST_FOLDS = 32

#: A task or item that killed this many workers fails.
MOST_DEATHS = 3


class SpecCache:
    """Loads graph specs by digest, and keeps the latest ones."""

    def __init__(self, store: RedisStore, size: int = 128) -> None:
        self._store = store
        self._size = size
        self._specs: dict[str, GraphSpec] = {}

    def load(self, digest: str) -> GraphSpec:
        """Return the spec with this digest.

        Raises:
            CorruptPayload: The bytes in Redis are missing or not what the digest says.
        """
        spec = self._specs.get(digest)
        if spec is None:
            data = check_digest(digest, self._store.get_code(digest))
            spec = GraphSpec.from_bytes(bytes(data))
            self.add(digest, spec)
        return spec

    def add(self, digest: str, spec: GraphSpec) -> None:
        """Keep a spec that is at hand."""
        if len(self._specs) >= self._size:
            self._specs.pop(next(iter(self._specs)))
        self._specs[digest] = spec


class Coordinator:
    """Decides for runs of one namespace. Needs no user code."""

    def __init__(
        self, store: RedisStore, sealer: Sealer, tickets: Tickets, specs: SpecCache
    ) -> None:
        self.store = store
        self.sealer = sealer
        self.tickets = tickets
        self.specs = specs
        self._folds: OrderedDict[str, RunFold] = OrderedDict()

    def new_fold(self, run_id: str) -> RunFold:
        """Return the fold of a run of which nothing was read."""
        return RunFold(run_id, self.sealer, self.specs.load)

    def catch_up(self, fold: RunFold) -> None:
        """Read the journal to its end.

        Raises:
            UntrustedPayload: It holds what nobody with the secret has written there.
            CorruptPayload: Something is missing from it.
        """
        while entries := self.store.read_journal(fold.run_id, fold.seq):
            try:
                fold.read(entries)
            except JournalGap as gap:
                about = f"journal/{fold.run_id}"
                raise CorruptPayload(about, str(fold.seq + 1), str(gap.found)) from gap

    def advance(self, fold: RunFold, applied: int) -> None:
        """Add what follows from the journal. Whoever was faster may have read less of it."""
        while applied < fold.seq and fold.has_news(applied):
            if self._advance(fold, applied):
                return
            before, applied = applied, self.store.get_applied(fold.run_id)
            if applied <= before:
                return  # it has ended, or this fold is ahead of a journal that Redis has lost

    def _advance(self, fold: RunFold, applied: int) -> bool:
        advance = fold.advance(applied, lambda f: make_end(f, self.sealer))
        heard = self.store.advance(fold.run_id, advance)
        if heard and advance.tasks:
            counts = Counter(task.queue for task in advance.tasks)
            self.tickets.send_all((fold.run_id, queue, n) for queue, n in counts.items())
        return heard

    def look_at(self, run_id: str) -> RunView:
        """See that whatever a run lacks to go on happens. Returns the run as it was.

        Raises:
            UntrustedPayload: Its journal was sealed with a secret that this process does not know.
        """
        view = self.store.inspect(run_id)
        if view.status != "running":
            self.store.retire([run_id])
            self._folds.pop(run_id, None)
            return view
        if view.applied < view.seq:
            with self.judging(run_id):
                self._decide(run_id, view.applied)
        self.tickets.top_up(
            [
                *((run_id, queue, ready) for queue, ready in view.ready.items() if ready),
                *((run_id, map_.queue, 1) for map_ in view.maps if map_.open),
            ]
        )
        return view

    def _decide(self, run_id: str, applied: int) -> None:
        """Decide on what nobody has decided on. Folds are kept: the next look reads on."""
        fold = self._folds.pop(run_id, None) or self.new_fold(run_id)
        self.catch_up(fold)
        self._folds[run_id] = fold
        if len(self._folds) > MOST_FOLDS:
            self._folds.popitem(last=False)
        if fold.has_news(applied):
            self.advance(fold, applied)
        else:
            self._advance(fold, applied)  # nothing follows; say so, and nobody else has to look

    @contextmanager
    def judging(self, run_id: str) -> Iterator[None]:
        """End the run if what is read of it cannot be trusted; see the module's docstring.

        Raises:
            UntrustedPayload: What is read was sealed with a secret this process does not know.
        """
        try:
            yield
        except PayloadError as error:
            if isinstance(error, UntrustedPayload) and error.foreign:
                raise
            self.give_up(run_id, error)

    def give_up(self, run_id: str, error: Exception) -> None:
        """End a run as failed that can never go on."""
        logger.error("Run %s ends as failed, because it cannot go on: %s", run_id, error)
        failure = pack_failure(error, node="", item=None, worker="", attempt=1)
        key = digest(failure)
        text = f"{type(error).__name__}: {error}"
        note = self.sealer.seal(End(error=[key, len(failure)], text=text), run_id)
        self.store.end(run_id, "failed", note, {key: failure})

    def reap(self, run_id: str, prefix: str, guilty: str, item: int, payload: bytes) -> None:
        """Take away what slots of a dead process hold in a run, and let others go on with it."""
        sealed = self.sealer.seal(Crash(guilty, item, payload), run_id)
        self.store.reap(run_id, prefix, guilty, item, MOST_DEATHS, sealed)
        self.look_at(run_id)

    def cancel(self, run_id: str, by: str) -> str:
        """End a run that has not ended. Returns the status it had."""
        return self.store.end(run_id, "cancelled", self.sealer.seal(End(by=by), run_id))


def pack_lost_host(worker: str) -> bytes:
    """Return the failure of what was on a host each time it vanished, once too often.

    Where that was, whoever reads it knows.
    """
    error = WorkerCrashed(worker=worker, attempts=MOST_DEATHS)
    return pack_failure(error, node="", item=None, worker=worker, attempt=MOST_DEATHS)


class Reconciler:
    """Ticks. See the module's docstring.

    Args:
        coordinator: Decides what is missing.
        crash: Makes the packed failure of a task whose whole host, by this name, vanished. By
            default `pack_lost_host`.
        lease_s: A worker that has not been heard of for this long is dead.
        every_s: Time between ticks.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        crash: Callable[[str], bytes] | None = None,
        *,
        lease_s: float = 5.0,
        every_s: float = 1.0,
    ) -> None:
        self._swept_at = 0.0
        self._pruned_at = 0.0
        self.coordinator = coordinator
        self.lease_s = lease_s
        self.every_s = every_s
        self._crash = crash or pack_lost_host
        self._unlisted: dict[str, float] = {}  # worker -> since when we know

    def tick(self) -> Sequence[str]:
        """Do what is due. Returns the live workers."""
        due = self.coordinator.store.tick(self.lease_s, self.every_s)
        for worker in due.dead:
            self.bury(worker)
        for run_id in due.runs:
            self._in_run(run_id, partial(self._look_after, run_id, due))
        self._sweep()
        return due.live

    def _sweep(self) -> None:
        """Remove what nobody will ask for again, now and then: names of runs, large values."""
        if time.monotonic() - self._pruned_at > PRUNE_EVERY_S:
            self._pruned_at = time.monotonic()
            self.coordinator.store.prune_runs()
        blobs = self.coordinator.store.blobs
        if isinstance(blobs, DirectoryBlobs) and time.monotonic() - self._swept_at > SWEEP_EVERY_S:
            self._swept_at = time.monotonic()
            try:
                blobs.sweep(self.coordinator.store.get_meta, now=time.time())
            except OSError as error:
                logger.warning("Large values could not be swept (%s); trying again later.", error)

    def bury(self, worker: str) -> None:
        """Reap everything that a vanished worker host holds."""
        store = self.coordinator.store
        logger.warning("Worker %s has vanished; what it held runs again elsewhere.", worker)
        for run_id in {run_id for _, run_id in store.held(worker)}:
            self._in_run(run_id, partial(self._reap, run_id, worker))
        store.bury(worker)

    def _in_run(self, run_id: str, action: Callable[[], object]) -> None:
        """Do something in a run. One that cannot be read is no reason to neglect the others."""
        try:
            action()
        except StoreError:
            raise
        except Exception as error:
            logger.error("Run %s cannot be looked after: %s", run_id, error, extra={"run": run_id})

    def _look_after(self, run_id: str, due: Ticked) -> None:
        view = self.coordinator.look_at(run_id)
        if view.status != "running" or due.quiet:
            return
        if view.owner and not self.coordinator.store.is_client_alive(view.owner):
            self._end_orphan(run_id, view.owner)
        for worker in self._find_strays(view, due.live):
            self._reap(run_id, worker)

    def _find_strays(self, view: RunView, live: Sequence[str]) -> Sequence[str]:
        """Return workers that hold something in a run and have been on no list for a lease.

        They were buried, and one of their children claimed in the same moment.
        """
        silent = {slot.partition("/")[0] for slot in view.slots}.difference(live)
        if not silent:
            return ()
        now = time.monotonic()
        strays = set(self.coordinator.store.find_unlisted(sorted(silent)))
        for worker in silent - strays:
            self._unlisted.pop(worker, None)
        return [w for w in strays if now - self._unlisted.setdefault(w, now) >= self.lease_s]

    def _reap(self, run_id: str, worker: str) -> None:
        self.coordinator.reap(run_id, f"{worker}/", "?", -1, self._crash(worker))

    def _end_orphan(self, run_id: str, owner: str) -> None:
        """A map that is fed and read by a client that has died can never be finished."""
        about = {"run": run_id}
        logger.warning("Run %s: its client has died, so it ends here.", run_id, extra=about)
        self.coordinator.cancel(run_id, f"client {owner} died while it fed the map")
        self.coordinator.store.forget(run_id)
