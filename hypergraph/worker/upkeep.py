"""What a supervisor does in Redis for its host: say that it lives, reap its dead, reconcile.

None of it needs user code, and nothing that nodes have pickled is opened here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import hypergraph
from hypergraph.coordinator.reconcile import MOST_DEATHS, Coordinator, Reconciler, SpecCache
from hypergraph.errors import NodeExited, StoreError, WorkerCrashed, WorkerError
from hypergraph.store.link import Link
from hypergraph.store.records import Sealer
from hypergraph.store.redis import RedisStore
from hypergraph.transport.tickets import Tickets
from hypergraph.values.failure import pack_failure
from hypergraph.values.sign import Signer
from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.mark import UNKNOWN, Marked
from hypergraph.worker.process import ChildProcess, Death
from hypergraph.worker.registry import RunningBody, describe_host, describe_now

logger = logging.getLogger("hypergraph.worker")

#: "?" tells the reap script that nobody knows which of the things it held the process was in.
_NOBODY_KNOWS = "?"


class Blame(NamedTuple):
    """What slots of a dead child are reaped, and what its death counts against."""

    slots: str  #: what their names begin with
    guilty: str  #: task or map; "" for none
    item: int = -1  #: of the map; -1 for none
    path: str = ""  #: of the node, if it is known


class Upkeep:
    """See the module's docstring.

    Args:
        config: The host's.
        stopped: Asked while Redis is away; True ends the waiting for it with StoreUnavailable.
    """

    def __init__(self, config: WorkerConfig, stopped: Callable[[], bool]) -> None:
        self.config = config
        self.modules: Sequence[str] | None = None  #: what can be imported here, once that is known
        link = Link(config.url, stopped=stopped)
        self.store = RedisStore(link, config.namespace, config.blobs)
        sealer = Sealer(Signer(config.secret, config.previous), config.namespace)
        tickets = Tickets(link, self.store.keys, sealer)
        self._coordinator = Coordinator(self.store, sealer, tickets, SpecCache(self.store))
        self._reconciler = Reconciler(
            self._coordinator, lease_s=config.lease_s, every_s=config.beat_s
        )
        self._started_at = time.time()
        self._beaten_at: float | None = None

    def beat(self, children: Sequence[ChildProcess], *, draining: bool) -> None:
        """Say that the host lives, and what it does."""
        pids = {child.name: child.pid for child in children}
        said = describe_now(self.config, pids, _bodies(children), draining=draining)
        if not self._is_known():
            said |= describe_host(self.config, hypergraph.__version__, self._started_at)
            said |= {} if self.modules is None else {"modules": ",".join(self.modules)}
        self.store.beat(self.config.worker_id, self.config.lease_s, said)
        now = time.monotonic()
        if self._beaten_at is not None and now - self._beaten_at > self.config.lease_s:
            self._hold_again(children)
        self._beaten_at = now

    def tick(self) -> None:
        """Look after runs and other hosts, once.

        Not when this host itself is behind with its heartbeats: it would be among the dead.
        """
        beaten_at = self._beaten_at
        if beaten_at is not None and time.monotonic() - beaten_at < self.config.lease_s / 2:
            self._reconciler.tick()

    def reap(self, child: ChildProcess, death: Death) -> bool:
        """Give back what a dead child held, and count its death. Returns whether all is done."""
        store, worker = self.store, self.config.worker_id
        held = [place for place in store.held(worker) if place[0].startswith(child.slots)]
        # The list is a hint: it goes when somebody takes this host for dead.
        marked = {m.run_id for m in child.mark.read_all() if m.run_id != UNKNOWN}
        done = True
        for run_id in {run_id for _, run_id in held} | marked:
            try:
                self._reap_in(run_id, child, death)
            except StoreError:
                raise
            except Exception:
                # One run that cannot be read keeps nobody from reaping the others.
                about = {"run": run_id}
                logger.exception(
                    "Run %s: what %s held could not be reaped.", run_id, child.name, extra=about
                )
                done = False
            else:
                self._note("SREM", [place for place in held if place[1] == run_id])
        return done

    def bury(self) -> None:
        """Take the host off every list. It holds nothing any more."""
        self.store.bury(self.config.worker_id)

    def close(self) -> None:
        """Close the connections."""
        self.store.link.close()

    def _reap_in(self, run_id: str, child: ChildProcess, death: Death) -> None:
        running = child.running()
        for blame in find_blame(run_id, child.slots, running, death):
            payload = self._pack_death(child, death, blame, alone=len(running) == 1)
            self._coordinator.reap(run_id, blame.slots, blame.guilty, blame.item, payload)

    def _pack_death(self, child: ChildProcess, death: Death, blame: Blame, *, alone: bool) -> bytes:
        """Return the failure of what `child` died of, should it have died of it too often."""
        worker = child.slots.rstrip("/")
        node = blame.path or None
        item = blame.item if blame.item >= 0 else None
        error: WorkerError
        if alone and death.exit_code is not None:
            error = NodeExited(death.exit_code, node=node, item=item, worker=worker)
        else:
            error = WorkerCrashed(
                death.signal,
                death.exit_code,
                node=node,
                item=item,
                worker=worker,
                attempts=MOST_DEATHS,
            )
        return pack_failure(error, node=blame.path, item=item, worker=worker, attempt=MOST_DEATHS)

    def _is_known(self) -> bool:
        """Whether the store remembers all that was said once. It forgets what falls silent."""
        key = self.store.keys.worker(self.config.worker_id)
        last = "tag" if self.modules is None else "modules"
        return bool(self.store.link.pipeline([("HEXISTS", key, last)])[0])

    def _hold_again(self, children: Sequence[ChildProcess]) -> None:
        """Note again where our slots may hold something.

        For longer than a lease nobody has heard of us, because the host was stopped or cut off.
        Whoever buried us has dropped the list, and our children go on claiming.
        """
        logger.warning(
            "This host was out of touch for longer than its lease. What it held has gone to "
            "others, and it goes on with new work."
        )
        self._note(
            "SADD",
            [
                (f"{child.slots}{marked.slot}", marked.run_id)
                for child in children
                for marked in child.mark.read_all()
            ],
        )

    def _note(self, command: str, places: Sequence[tuple[str, str]]) -> None:
        """Add places to the list of where our slots may hold something, or drop them from it."""
        if places:
            key = self.store.keys.held(self.config.worker_id)
            members = [f"{slot} {run_id}" for slot, run_id in places]
            self.store.link.pipeline([(command, key, *members)])


def find_blame(run_id: str, slots: str, running: Sequence[Marked], death: Death) -> Iterator[Blame]:
    """Return how to reap what a dead child held in a run.

    A death counts against the body that ran. Of several, on as many threads, nobody knows which
    one it was; so it counts against each of them. If none ran, the process died of what it did on
    the way, such as loading a module or a value, and the script decides by what was held.

    Args:
        run_id: The run.
        slots: What the names of the child's slots begin with.
        running: The bodies that ran in the child, of whatever run.
        death: How it ended. Intended: nothing counts.
    """
    here = [marked for marked in running if marked.run_id in (run_id, UNKNOWN)]
    if death.intended or (running and not here):
        yield Blame(slots, "")
    elif not running:
        yield Blame(slots, _NOBODY_KNOWS)
    elif len(here) == 1:
        yield _blame_on(here[0], slots)
    else:
        # From the back: slot 1 is also the beginning of slot 10.
        for marked in reversed(here):
            yield _blame_on(marked, f"{slots}{marked.slot}")
        yield Blame(slots, "")


def _blame_on(marked: Marked, slots: str) -> Blame:
    return Blame(slots, marked.unit, marked.item, marked.path)


def _bodies(children: Sequence[ChildProcess]) -> Iterator[RunningBody]:
    now_ns = time.monotonic_ns()
    for child in children:
        for marked in child.running():
            item = marked.item if marked.item >= 0 else None
            seconds = (now_ns - marked.started_ns) / 1e9
            yield RunningBody(
                child.name, child.pid, marked.run_id, marked.unit, marked.path, item, seconds
            )
