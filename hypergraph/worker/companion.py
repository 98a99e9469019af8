"""The process beside those that Dramatiq's command starts: what a supervisor is to its children.

Dramatiq's master starts processes and tells nobody about them. So one more process, which runs no
user code, registers the host, beats for all of them however long a node holds the interpreter lock,
gives back what a dead one held, and reconciles. It is less than a supervisor in three ways:

1. It replaces nobody. When a process dies, Dramatiq's master stops the others and itself. Whatever
   started the command must start it again.
2. It does not hear how a process has ended. A node that kills its worker fails as `WorkerCrashed`
   without signal and exit code.
3. It does not say when to stop, and how long to wait then: Dramatiq does.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO

from hypergraph.values.secret import load_secret
from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.environment import read_url
from hypergraph.worker.logs import JsonFormatter
from hypergraph.worker.meeting import Meeting
from hypergraph.worker.process import ChildProcess, Death
from hypergraph.worker.signals import NUDGE
from hypergraph.worker.supervisor import Supervisor
from hypergraph.worker.upkeep import Upkeep

logger = logging.getLogger("hypergraph.worker")

#: Between two looks whether Dramatiq's master is still there.
_LOOK_S = 0.2


def keep() -> int:
    """Look after the processes of this Dramatiq command until they have ended: what it forks."""
    meeting = Meeting.of_this_command()
    children = meeting.children()
    if not children:
        return 0  # none has got as far; Dramatiq says why
    url = read_url()
    secret, previous = load_secret(None, url)
    said = meeting.read_config(children[0])
    config = replace(
        said, url=url, secret=secret, previous=previous, processes=len(children), child=""
    )
    if config.log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
    return Companion(config, meeting).run()


class UnseenDeath(Death):
    """The end of a process that somebody else has started, and is told about."""

    def __init__(self, *, intended: bool) -> None:
        self.signal = None
        self.exit_code = None
        self.intended = intended

    def __str__(self) -> str:
        return "Dramatiq's log says how"


class Sibling(ChildProcess):
    """A process that Dramatiq has started."""

    def __init__(self, config: WorkerConfig, name: str, meeting: Meeting) -> None:
        # There is nothing to start, so nothing of what the base class begins with.
        self.name = name
        self.slots = f"{config.worker_id}/{name}/"
        self.pid = int(name.removeprefix("p"))
        self.mark = meeting.attach_mark(name)
        self.started_at = self._looked_at = time.monotonic()
        self._stopped_s = None
        self._intended = False
        self._meeting = meeting

    def wait(self) -> Death:
        """Wait until the process has ended."""
        self._meeting.wait_for_end(self.name)
        return UnseenDeath(intended=self._intended or self._meeting.has_left(self.name))

    def _signal(self, number: int) -> None:
        if self._meeting.lives(self.name):
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Companion(Supervisor):
    """See the module's docstring. It ends when the last of the processes has ended.

    Args:
        config: The host's.
        meeting: Where the processes are found.
    """

    def __init__(self, config: WorkerConfig, meeting: Meeting) -> None:
        super().__init__(config)
        self._meeting = meeting

    def run(self, client: BinaryIO | None = None) -> int:
        """Look after the processes. Call it in the main thread. Returns the exit code."""
        del client
        self._signals.catch([signal.SIGTERM, signal.SIGHUP])
        siblings = [Sibling(self.config, name, self._meeting) for name in self._meeting.children()]
        self._children.extend(siblings)
        self._upkeep = Upkeep(self.config, lambda: time.monotonic() > self._hopeless_at)
        beats = self._in_thread(self._beat_on)
        self._in_thread(self._open)
        watchers = [threading.Thread(target=self._see_out, args=(s,)) for s in siblings]
        for watcher in watchers:
            watcher.daemon = True
            watcher.start()
        while any(watcher.is_alive() for watcher in watchers):
            told = self._signals.wait(_LOOK_S) not in (None, NUDGE)
            # When the master has gone, the processes go by themselves.
            if told or not self._meeting.has_master():
                self._draining.set()
        self._give_up_soon()
        self._leave(beats)
        self._meeting.close()
        return 0

    def _open(self) -> None:
        """Let the processes take work, once the host is registered: if they die, somebody knows."""
        self._registered.wait()
        self._meeting.open()

    def _see_out(self, sibling: Sibling) -> None:
        """Wait until a process has ended, and give back what it held."""
        death = sibling.wait()
        self._tell(sibling, death)
        self._see_off(sibling)
        # Before the host is registered, nobody has taken work.
        if self._registered.is_set() and not self._try(
            lambda: self._reap(sibling, death), "reaping a process"
        ):
            self._all_given_back = False
        self._signals.nudge()

    def _tell(self, sibling: Sibling, death: Death) -> None:
        if death.intended:
            return
        for marked in sibling.running():
            logger.warning(
                "Process %d was in run %s, %s%s. That runs again, unless it is the third time.",
                sibling.pid,
                marked.run_id,
                marked.path or "a map",
                f"[{marked.item}]" if marked.item >= 0 else "",
                extra=marked.fields(),
            )
        logger.error(
            "Process %d has died: %s. Dramatiq stops the others as well. Start it again.",
            sibling.pid,
            death,
        )
