"""Workers under Dramatiq's own command, for who wants ``dramatiq my_workers`` to start them.

An application is a module of two lines, such as ``workers/gpu.py`` of the checkout::

    from hypergraph.worker.application import make_broker

    broker = make_broker(queues=("gpu",), labels=("kind=gpu",))

Dramatiq's command starts processes and threads; each thread is a slot. A companion process, which
the command starts as well, registers them as one worker host. Recovery is slower than under
``hypergraph worker``; `hypergraph.worker.companion` says why. Processes end with their companion
and with Dramatiq's master: without them nobody would notice their own end.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware

from hypergraph.store.link import make_client
from hypergraph.transport.actors import declare
from hypergraph.transport.broker import TicketBroker
from hypergraph.transport.tags import tagged
from hypergraph.values.secret import load_secret
from hypergraph.worker import environment, logs, output
from hypergraph.worker.child import Child
from hypergraph.worker.companion import keep
from hypergraph.worker.config import WorkerConfig, new_worker_id
from hypergraph.worker.meeting import Meeting

logger = logging.getLogger("hypergraph.worker")

#: Between two looks whether the companion has come.
_LOOK_S = 0.02

#: Without a companion after this time, something is said.
_LATE_S = 30.0


def make_broker(
    *,
    namespace: str | None = None,
    queues: Sequence[str] | None = None,
    name: str | None = None,
    labels: Sequence[str] | None = None,
    allow_modules: Sequence[str] | None = None,
    lease_s: float = 5.0,
    beat_s: float = 1.0,
) -> dramatiq.Broker:
    """Return a broker that takes tickets and executes them, and make it Dramatiq's global one.

    What is not given comes from the environment: see `hypergraph.worker.environment`. The URL of
    Redis and the secret always do.

    Args:
        namespace: Which runs and queues of the Redis.
        queues: Names of the queues to serve.
        name: Shown to people; by default the host's name.
        labels: Shown to people.
        allow_modules: Run only functions of these modules, and no code by value.
        lease_s: A host that is not heard of for this long is dead.
        beat_s: Between heartbeats.

    Raises:
        ValueError: There is no URL, or no secret where one is needed, or an option makes no sense.
    """
    read_names = environment.read_names
    url = environment.read_url()
    secret, previous = load_secret(None, url)
    name = name or environment.read(environment.NAME)
    meeting = Meeting.of_this_command()
    config = WorkerConfig(
        url=url,
        namespace=namespace or environment.read(environment.NAMESPACE, "default"),
        secret=secret,
        previous=previous,
        worker_id=_worker_id(name, meeting.identity),
        queues=tuple(queues or read_names(environment.QUEUES, ["default"])),
        name=name,
        labels=tuple(read_names(environment.LABELS) if labels is None else labels),
        allow_modules=tuple(allow_modules or read_names(environment.ALLOW_MODULES)) or None,
        blobs=environment.read(environment.BLOBS),
        log_format=environment.read(environment.LOG_FORMAT, "text"),
        lease_s=lease_s,
        beat_s=beat_s,
        child=f"p{os.getpid()}",
    )
    child = Child(config)
    broker = TicketBroker(make_client(url, 10.0), child.store.keys.dramatiq)
    broker.closed.set()  # until there is a companion
    broker.add_middleware(Hosting(child, meeting))
    declare(broker, child.tickets, config.full_queues, child.drain)
    dramatiq.set_broker(broker)
    return broker


class Hosting(Middleware):
    """Makes a process of Dramatiq's a child of a worker host.

    Nothing that a run depends on happens in these hooks: they open and close the process.
    """

    def __init__(self, child: Child, meeting: Meeting) -> None:
        self._child = child
        self._meeting = meeting

    @property
    def forks(self) -> list[Callable[[], int]]:
        """What Dramatiq's master starts besides: one companion for all processes."""
        return [keep]

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Enter the meeting. Nothing is taken from the queues before the companion is there."""
        assert isinstance(broker, TicketBroker)
        child = self._child
        child.config = replace(
            child.config,
            threads=worker.worker_threads,
            queues=_served(child.config.queues, worker.consumer_whitelist),
        )
        broker.threads = worker.worker_threads
        try:
            child.mark = self._meeting.enter(child.config)
        except OSError as error:
            # Not raised to Dramatiq, which would go on without what a hook has failed to do.
            sys.exit(f"This process cannot meet its companion: {error}")
        _arrange_output(child.config.log_format)
        _also_on_signal(lambda: self._stop(broker))
        threading.Thread(target=self._stay, args=(broker,), name="companion", daemon=True).start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Claim nothing more, and take no more tickets."""
        assert isinstance(broker, TicketBroker)
        self._stop(broker)

    def _stop(self, broker: TicketBroker) -> None:
        self._meeting.leave(self._child.config.child)
        self._child.stopping.set()
        broker.closed.set()

    def _stay(self, broker: TicketBroker) -> None:
        """Serve as long as there is a companion."""
        began = time.monotonic()
        while not self._meeting.has_companion():
            time.sleep(_LOOK_S)
            if time.monotonic() - began > _LATE_S:
                began = float("inf")
                logger.warning(
                    "Nothing is taken from the queues yet: the companion process is not there. It "
                    "waits for Redis, or this is not Dramatiq's own command, which starts it."
                )
        if not self._child.stopping.is_set():
            broker.closed.clear()
        while self._meeting.has_companion():
            if not self._meeting.has_master():
                self._go("Dramatiq's master has ended")
            time.sleep(self._child.config.beat_s)
        self._go("The companion process has ended")

    def _go(self, why: str) -> None:
        """End this process, at once."""
        logger.error("%s, and with it this process. What it ran runs elsewhere.", why)
        self._meeting.leave(self._child.config.child)
        os._exit(1)


def _also_on_signal(action: Callable[[], None]) -> None:
    """Do something when Dramatiq is told to stop: it looks for that only once a second."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        before = signal.getsignal(number)

        def handle(number: int, frame: FrameType | None, before: Any = before) -> None:
            action()
            if callable(before):
                before(number, frame)

        signal.signal(number, handle)


def _worker_id(name: str, identity: str) -> str:
    """Return the id that all processes of a command have in common, and nobody else ever."""
    readable = new_worker_id(name).rsplit("-", 2)[0]
    master = multiprocessing.parent_process()
    pid = os.getpid() if master is None else master.pid
    return f"{readable}-{pid}-{identity[:8]}"


def _served(queues: Sequence[str], whitelist: set[str] | None) -> tuple[str, ...]:
    """Return the queues that are left by Dramatiq's option ``--queues``."""
    served = tuple(queue for queue in queues if not whitelist or tagged(queue) in whitelist)
    if not served:
        sys.exit(
            f"dramatiq --queues names none of {', '.join(map(tagged, queues))}. Leave it out, and "
            f"set {environment.QUEUES}."
        )
    return served


def _arrange_output(log_format: str) -> None:
    """Let every line say where it comes from. Dramatiq has made handlers for log records."""
    output.replace_streams(log_format)
    for handler in logging.getLogger().handlers:
        handler.addFilter(output.stamp)
        if log_format == "json":
            handler.setFormatter(logs.JsonFormatter())
    # Not to `sys.stderr`: that is a pipe of messages to Dramatiq's master.
    faulthandler.enable(2, all_threads=False)
