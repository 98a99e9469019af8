"""The process that a worker host consists of: it keeps children running, and runs no user code.

Theory of operation
===================

For each place there is a thread, its keeper. It starts a child, waits until the child has ended,
gives back what it held, and starts the next one. A death is therefore seen at once, and what it
cost is known to others before a new child asks for work. A name is given to one child only: slots
are fenced by it.

Starting takes 0.3 s of a core, seconds on a busy machine. So a host that has been up for a moment
keeps one more child, which has imported everything and waits to be told who it is. It takes the
place of the next that dies.

Heartbeats and the reconciler have a thread each, so that neither a slow Redis nor a body that
holds the interpreter lock of its own process makes the host look dead.

The main thread waits for signals. The first one drains: children stop claiming, finish what runs,
give back the rest. The second one, or the end of `drain_s`, kills them; what they held goes back
uncounted, since it was we who ended them.

What takes long to import is imported after the first children have been started. They import the
same things at the same time, and are told who they are once the host has registered itself.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from hypergraph.errors import StoreError
from hypergraph.worker import lifeline
from hypergraph.worker.config import WorkerConfig, new_worker_id
from hypergraph.worker.logs import configure
from hypergraph.worker.process import ChildProcess, Death, module_command
from hypergraph.worker.signals import NUDGE, Signals

if TYPE_CHECKING:
    from hypergraph.worker.upkeep import Upkeep

logger = logging.getLogger("hypergraph.worker")

#: Once nothing runs any more, Redis gets this long to take back what was held, in seconds.
LEAVE_S = 1.0

#: A child that dies within this time and without having executed anything is replaced ever later.
EARLY_S = 10.0

#: A spare child is started when nothing else has been for this long.
SPARE_AFTER_S = 1.0


class Pause:
    """How long to wait before a child is replaced.

    A body may kill as many processes as it likes: each is replaced at once, and the body fails at
    its third. Only a child that does not get as far as a body is given time.
    """

    def __init__(self, first_s: float = 0.1, most_s: float = 5.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def after(self, *, worked: bool, lived_s: float) -> float:
        """Return the pause after a child that lived so long and has, or has not, executed."""
        if worked or lived_s > EARLY_S:
            self._next_s = self._first_s
            return 0.0
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._most_s)
        return pause_s


class Supervisor:
    """See the module's docstring.

    Args:
        config: The host's.
        command: What to execute as a child; it gets its configuration on standard input.
    """

    def __init__(self, config: WorkerConfig, *, command: Sequence[str] | None = None) -> None:
        self.config = config
        self._command = tuple(command or module_command("hypergraph.worker.child"))
        self._signals = Signals()
        self._children: list[ChildProcess] = []
        self._spare: ChildProcess | None = None  # not told yet, and not among `_children`
        self._lock = threading.Lock()  # for both, and against a start during a drain
        self._names = (f"c{number}" for number in itertools.count(1))
        self._upkeep: Upkeep | None = None
        self._registered = threading.Event()
        self._started = threading.Event()  # a child was, of late
        self._draining = threading.Event()  # no child is started any more
        self._ended = threading.Event()  # no child runs any more
        self._all_given_back = True
        self._hopeless_at = math.inf  # from then on nobody waits for a Redis that is away

    def run(self, client: BinaryIO | None = None) -> int:
        """Serve until a signal says otherwise. Call it in the main thread.

        Args:
            client: A pipe from the client this host belongs to. When it closes, the host is gone.

        Returns:
            The exit code for the process.
        """
        self._signals.catch(_stop_signals())
        if client is not None:
            lifeline.watch(client, self.vanish)
        keepers = [self._in_thread(self._keep) for _ in range(self.config.processes)]
        try:
            from hypergraph.worker.upkeep import Upkeep

            self._upkeep = Upkeep(self.config, lambda: time.monotonic() > self._hopeless_at)
        except BaseException:
            self._kill(self._children)
            raise
        beats = self._in_thread(self._beat_on)
        self._in_thread(self._keep_spare)
        number = self._signals.wait()
        self._drain(keepers, at_once=number == signal.SIGQUIT)
        self._leave(beats)
        # While the host serves, a keeper ends only by a bug of ours.
        return 1 if number == NUDGE else 0

    def vanish(self) -> None:
        """End the children and this process, at once and for good."""
        children = [*self._children, *filter(None, [self._spare])]
        self._kill(children)
        for child in children:
            lifeline.end_group(child.pid)
        os._exit(0)

    # -- children -----------------------------------------------------------------------------

    def _keep(self) -> None:
        """Keep one child running until the host drains."""
        pause = Pause()
        wait_s = 0.0
        try:
            while not self._draining.wait(wait_s):
                child = self._start_child()
                if child is None:
                    wait_s = pause.after(worked=False, lived_s=0.0)
                    continue
                self._registered.wait()
                told = not self._draining.is_set()
                if told:
                    child.tell()
                death = child.wait()
                lived_s = time.monotonic() - child.started_at
                wait_s = pause.after(worked=child.has_worked(), lived_s=lived_s)
                self._report(child, death, wait_s)
                self._see_off(child)
                if told and not self._try(partial(self._reap, child, death), "reaping a child"):
                    self._all_given_back = False
        finally:
            self._signals.nudge()

    def _start_child(self) -> ChildProcess | None:
        with self._lock:
            if self._draining.is_set():
                return None
            child, self._spare = self._spare or self._new_process(), None
            if child is not None:
                self._children.append(child)
            self._started.set()
            return child

    def _new_process(self) -> ChildProcess | None:
        try:
            return ChildProcess(self.config, next(self._names), self._command)
        except OSError as error:
            logger.error("No child process can be started: %s. Trying again.", error)
            return None

    def _keep_spare(self) -> None:
        """Have a child at hand for the next that dies, unless children are being started anyway."""
        self._registered.wait()
        while not self._draining.is_set():
            self._started.clear()
            if self._started.wait(SPARE_AFTER_S):
                continue
            with self._lock:
                if not self._draining.is_set() and self._spare is None:
                    self._spare = self._new_process()
            self._started.wait()

    def _drop_spare(self) -> None:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.kill()
            spare.wait()

    def _report(self, child: ChildProcess, death: Death, wait_s: float) -> None:
        running = child.running()
        if death.intended or (self._draining.is_set() and not running):
            return
        if running:
            for marked in running:
                logger.warning(
                    "Child %s (pid %d) has died: %s. It was in run %s, %s%s. That runs again, "
                    "unless it is the third time.",
                    child.name,
                    child.pid,
                    death,
                    marked.run_id,
                    marked.path or "a map",
                    f"[{marked.item}]" if marked.item >= 0 else "",
                    extra=marked.fields(),
                )
        elif wait_s:
            logger.error(
                "Child %s (pid %d) has ended before it executed anything: %s. Trying again in "
                "%.1f s. If nothing above says why, see whether `%s < /dev/null` starts here.",
                child.name,
                child.pid,
                death,
                wait_s,
                " ".join(self._command),
            )
        else:
            logger.warning(
                "Child %s (pid %d) has ended between two nodes: %s. Another one takes its place.",
                child.name,
                child.pid,
                death,
            )

    def _see_off(self, child: ChildProcess) -> None:
        with self._lock:
            self._children.remove(child)
            if self._draining.is_set() and not self._children:
                self._give_up_soon()

    def _reap(self, child: ChildProcess, death: Death) -> bool:
        """Let others have what a dead child held."""
        assert self._upkeep is not None
        return self._upkeep.reap(child, death)

    def _kill(self, children: Iterable[ChildProcess]) -> None:
        for child in list(children):
            child.kill()

    # -- upkeep -------------------------------------------------------------------------------

    def _beat_on(self) -> None:
        """Register the host, and say that it lives until it does not."""
        upkeep = self._upkeep
        assert upkeep is not None
        while not self._try(lambda: upkeep.beat((), draining=False), "registering"):
            if self._ended.wait(self.config.beat_s):
                return
        self._registered.set()
        logger.info(
            "Worker %s serves %s with %d process(es). Ctrl-C stops it, once what runs is done.",
            self.config.worker_id,
            ", ".join(self.config.full_queues),
            self.config.processes,
        )
        self._in_thread(self._find_modules)
        self._in_thread(self._tick_on)
        while not self._ended.wait(self.config.beat_s):
            self._kill_stopped()
            self._try(self._beat, "a heartbeat")

    def _beat(self) -> None:
        with self._lock:
            children = list(self._children)
        assert self._upkeep is not None
        self._upkeep.beat(children, draining=self._draining.is_set())

    def _kill_stopped(self) -> None:
        """Kill children that somebody has stopped (SIGSTOP) for longer than a lease."""
        with self._lock:
            children = list(self._children)
        for child in children:
            if child.stopped_s(2 * self.config.beat_s) > self.config.lease_s:
                logger.warning(
                    "Child %s (pid %d) is stopped for longer than a lease; killing it.",
                    child.name,
                    child.pid,
                )
                child.kill(intended=False)

    def _tick_on(self) -> None:
        """Look after runs and other hosts, not all hosts at the same moment."""
        upkeep = self._upkeep
        assert upkeep is not None
        while not self._ended.wait(self.config.beat_s * random.uniform(0.8, 1.2)):
            self._try(upkeep.tick, "looking after runs")

    def _find_modules(self) -> None:
        from hypergraph.worker.registry import find_modules

        assert self._upkeep is not None
        self._upkeep.modules = find_modules([*self.config.sys_path, *sys.path])

    def _try(self, action: Callable[[], object], what: str) -> bool:
        """Do something in Redis. Returns False if it failed, or says so itself."""
        try:
            return action() is not False
        except StoreError as error:
            logger.debug("Gave up %s: %s", what, error)
        except Exception:
            # Whatever it is, a host without heartbeats would be worse.
            logger.exception("Worker %s: %s has failed; going on.", self.config.worker_id, what)
        return False

    # -- the end ------------------------------------------------------------------------------

    def _drain(self, keepers: Sequence[threading.Thread], *, at_once: bool) -> None:
        """End the children: gently, and when that takes too long, at once."""
        with self._lock:
            self._draining.set()
            children = list(self._children)
            if not children:
                self._give_up_soon()
        self._registered.set()
        self._drop_spare()
        running = _count_running(children)
        # A local host belongs to a client that goes: what waits for the next task may go as well.
        if not at_once and (running or not self.config.local):
            logger.info(
                "Draining %d node(s), for at most %g s; a second signal stops at once.",
                running,
                self.config.drain_s,
            )
            for child in children:
                child.terminate()
            self._wait_for(keepers, time.monotonic() + self.config.drain_s)
        if running := _count_running(children):
            logger.warning("Stopping %d node(s) at once; they go back and run elsewhere.", running)
        self._give_up_soon()
        self._kill(children)
        for keeper in keepers:
            keeper.join(max(0.0, self._hopeless_at + LEAVE_S - time.monotonic()))
            self._all_given_back = self._all_given_back and not keeper.is_alive()

    def _give_up_soon(self) -> None:
        """Do not wait for Redis much longer: nothing runs here any more."""
        self._hopeless_at = min(self._hopeless_at, time.monotonic() + LEAVE_S)

    def _wait_for(self, keepers: Sequence[threading.Thread], until: float) -> None:
        """Wait until all children have ended, a signal comes, or it is `until`."""
        while any(keeper.is_alive() for keeper in keepers):
            # A keeper nudges just before its end, hence not for long at a time.
            left_s = until - time.monotonic()
            if left_s <= 0 or self._signals.wait(min(left_s, 0.1)) not in (NUDGE, None):
                return

    def _leave(self, beats: threading.Thread) -> None:
        """Take the host off the lists, if nothing of it is left there."""
        self._ended.set()
        beats.join(LEAVE_S)
        assert self._upkeep is not None
        upkeep = self._upkeep
        if beats.is_alive() or not self._all_given_back:
            logger.info("What could not be given back runs elsewhere after a lease.")
        elif self._try(upkeep.bury, "signing off"):
            logger.info("Worker %s has stopped.", self.config.worker_id)

    # -- threads ------------------------------------------------------------------------------

    def _in_thread(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True)
        thread.start()
        return thread


def run_worker(
    url: str,
    *,
    namespace: str = "default",
    processes: int | None = None,
    threads: int = 1,
    queues: Sequence[str] = ("default",),
    name: str | None = None,
    labels: Sequence[str] = (),
    secret: str | bytes | None = None,
    drain_s: float = 25.0,
    allow_modules: Sequence[str] | None = None,
    blobs: str | None = None,
    log_format: str = "text",
    lease_s: float = 5.0,
    beat_s: float = 1.0,
) -> int:
    """Serve as a worker host until a signal says otherwise. Call it in the main thread.

    Args:
        url: Of the Redis.
        namespace: Which runs and queues of it.
        processes: Children; by default one for each core this process may use.
        threads: Bodies at a time in each child. More than one only helps bodies that wait.
        queues: Names of the queues to serve.
        name: Shown to people; by default the host's name.
        labels: Shown to people.
        secret: As `load_secret` takes it.
        drain_s: For what runs to finish once the host is told to stop.
        allow_modules: Run only functions of these modules, and no code by value.
        blobs: Directory of large values, the same as the clients'; by default the environment's
            ``HYPERGRAPH_BLOBS``, else Redis holds them.
        log_format: ``text`` for people, or ``json``: an object per line, for programs.
        lease_s: A host that is not heard of for this long is dead.
        beat_s: Between heartbeats.

    Returns:
        The exit code for the process.

    Raises:
        ValueError: There is no secret where one is needed, or an option makes no sense.
    """
    from hypergraph.values.secret import load_secret

    key, previous = load_secret(secret, url)
    here = os.getcwd()
    config = WorkerConfig(
        url=url,
        namespace=namespace,
        secret=key,
        previous=previous,
        worker_id=new_worker_id(name or ""),
        queues=tuple(queues),
        threads=threads,
        processes=count_cores() if processes is None else processes,
        lease_s=lease_s,
        beat_s=beat_s,
        drain_s=drain_s,
        name=name or "",
        labels=tuple(labels),
        allow_modules=None if allow_modules is None else tuple(allow_modules),
        blobs=blobs or os.environ.get("HYPERGRAPH_BLOBS", ""),
        log_format=log_format,
        sys_path=(here, *(path for path in sys.path if os.path.isabs(path))),
        cwd=here,
    )
    configure(config.log_format)
    return Supervisor(config).run()


def _stop_signals() -> list[int]:
    """Return the signals that stop a host. Not a hang-up that `nohup` has switched off."""
    numbers: list[int] = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def _count_running(children: Iterable[ChildProcess]) -> int:
    return sum(len(child.running()) for child in children)


def count_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def main() -> int:
    """Run the host that standard input describes. If it is a local one, it ends with that pipe."""
    try:
        config = WorkerConfig.from_line(sys.stdin.buffer.readline().decode())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    logging.basicConfig(
        level=logging.WARNING if config.local else logging.INFO, format="hypergraph: %(message)s"
    )
    return Supervisor(config).run(sys.stdin.buffer if config.local else None)


if __name__ == "__main__":
    sys.exit(main())
