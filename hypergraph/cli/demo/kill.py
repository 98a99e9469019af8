"""Kill a worker process in the middle of the demonstration, and tell what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import dataclass

from hypergraph.coordinator.account import Loss
from hypergraph.coordinator.listing import list_runs
from hypergraph.coordinator.story import tell
from hypergraph.runners.session import Session
from hypergraph.worker.registry import RunningBody, live_workers

#: It happens when this part of the items is done.
_WHEN = 1 / 3

_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Killed:
    """What was killed, and when."""

    run_id: str
    pid: int
    done: int  #: items that were done at that moment
    total: int


class Killer:
    """Kills a process (-9) that executes items of a map, once a third of them is done.

    It looks for its victim where everybody can: in what the worker host says of itself. Use it as
    a context manager around the map.

    Args:
        session: The runner's way to its Redis.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="killer", daemon=True)
        self.killed: Killed | None = None

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def losses(self) -> tuple[Loss, ...]:
        """Return the executions that were lost by it, as the run's record has them."""
        if self.killed is None:
            return ()
        session = self._session
        story = tell(session.store, session.sealer, session.specs, self.killed.run_id)
        return story.losses

    def _watch(self) -> None:
        while self.killed is None and not self._over.wait(_LOOK_EVERY_S):
            for run in list_runs(self._session.store, limit=1, statuses=("running",)):
                ended, total = run.done + run.failed, run.total or 0
                if run.kind == "map" and 0 < total * _WHEN <= ended:
                    self._kill(run.run_id, ended, total)

    def _kill(self, run_id: str, done: int, total: int) -> None:
        victim = self._find_victim(run_id)
        if victim is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
                self.killed = Killed(run_id, victim.pid, done, total)

    def _find_victim(self, run_id: str) -> RunningBody | None:
        bodies = (b for w in live_workers(self._session.store) for b in w.running)
        return next((body for body in bodies if body.run_id == run_id), None)
