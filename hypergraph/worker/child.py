"""The process that runs user code. A supervisor starts it and looks after it.

It embeds Dramatiq's worker for the tickets, with one slot per thread. What it needs to know comes
as one line on its standard input, which stays open: when it closes, the supervisor has gone, and
the child goes at once, also in the middle of a body.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

import dramatiq

from hypergraph.coordinator.reconcile import Coordinator, SpecCache
from hypergraph.errors import CorruptPayload
from hypergraph.graph import Graph
from hypergraph.store.link import Link, make_client
from hypergraph.store.records import Sealer
from hypergraph.store.redis import RedisStore
from hypergraph.transport.actors import declare
from hypergraph.transport.broker import TicketBroker
from hypergraph.transport.tags import TAG
from hypergraph.transport.tickets import Tickets
from hypergraph.values.codec import send_no_code
from hypergraph.values.ship import Loader
from hypergraph.values.sign import Signer
from hypergraph.worker import lifeline, output
from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.drain import Slot
from hypergraph.worker.execute import Executor
from hypergraph.worker.mark import ITEM, Mark

logger = logging.getLogger("hypergraph.worker")


class Child:
    """Everything a child process holds."""

    def __init__(self, config: WorkerConfig, mark: Mark | None = None) -> None:
        self.config = config
        self.stopping = threading.Event()
        self.mark = mark
        self.name = f"{config.worker_id}/{config.child}"
        link = Link(config.url, stopped=self.stopping.is_set)
        self.store = RedisStore(link, config.namespace, config.blobs)
        self.sealer = Sealer(Signer(config.secret, config.previous), config.namespace)
        self.tickets = Tickets(link, self.store.keys, self.sealer)
        self.specs = SpecCache(self.store)
        self.loader = Loader(self._fetch, allow_modules=config.allow_modules)
        if config.allow_modules is not None:
            send_no_code()  # others of its kind would not take it
        self._slots = threading.local()
        self._slot_count = 0
        self._lock = threading.Lock()

    def _fetch(self, digest: str) -> bytes:
        # Who submitted the run stores its code before it; after a FLUSHALL, a moment later.
        for _ in range(20):
            if (data := self.store.get_code(digest)) is not None:
                return data
            time.sleep(0.05)
        raise CorruptPayload(self.store.keys.code(digest), digest, "nothing")

    def drain(self, run_id: str, queue: str) -> None:
        """Do what a ticket asks for, as this thread's slot."""
        slot = getattr(self._slots, "slot", None)
        if slot is None:
            slot = self._slots.slot = self._new_slot()
        slot.drain(run_id, queue)

    def _new_slot(self) -> Slot:
        with self._lock:
            number = self._slot_count
            self._slot_count += 1
        name = f"{self.name}/{number}"
        marked = self.mark.slot(number) if self.mark is not None else None

        def enter(
            run_id: str, unit: str, path: str, item: int, attempt: int, graph: Graph | None = None
        ) -> None:
            output.set_context(run_id, path, item, attempt, graph)
            if marked is not None:
                marked.enter(run_id, unit, path)
                marked.cells[ITEM] = item

        def step(item: int) -> None:
            output.set_item(item)
            if marked is not None:
                marked.cells[ITEM] = item

        def at(path: str) -> None:
            if marked is not None:
                marked.move_to(path)

        def leave() -> None:
            output.clear_context()
            if marked is not None:
                marked.leave()

        executor = Executor(
            self.store,
            self.sealer,
            self.loader,
            name,
            enter=enter,
            step=step,
            at=at,
            leave=leave,
            served=self.config.queues,
        )
        return Slot(
            name,
            self.config.worker_id,
            Coordinator(self.store, self.sealer, self.tickets, self.specs),
            executor,
            slice_s=self.config.slice_s,
            stopping=self.stopping,
            live_workers=self._live_workers,
        )

    def _live_workers(self, queue: str) -> list[str]:
        known = self.store.workers(self.config.lease_s)
        return [name for name, info in known.items() if queue in info["queues"].split(",")]

    def serve(self) -> None:
        """Take tickets until `stopping` is set and the bodies at hand have ended."""
        config = self.config
        broker = TicketBroker(
            make_client(config.url, 10.0), self.store.keys.dramatiq, threads=config.threads
        )
        queues = [f"{queue}.{TAG}" for queue in config.queues]
        declare(broker, self.tickets, queues, self.drain)
        worker = dramatiq.Worker(broker, worker_threads=config.threads, worker_timeout=200)
        worker.start()
        # Not without a limit: a signal that another thread receives would wait for it to end.
        while not self.stopping.wait(0.2):
            pass
        broker.closed.set()
        worker.stop(timeout=int(config.drain_s * 1000) + 60_000)


def main() -> None:
    """Run a child: read the configuration from standard input, serve, and leave."""
    line = sys.stdin.buffer.readline().decode()
    if not line:
        return  # whoever started us has gone before it told us anything
    config = WorkerConfig.from_line(line)
    lifeline.watch(sys.stdin.buffer, lambda: os._exit(1))
    if config.cwd:
        os.chdir(config.cwd)
    sys.path[:0] = [path for path in config.sys_path if path not in sys.path]
    output.install(config.log_level, config.log_format)
    logging.getLogger("dramatiq").setLevel(logging.WARNING)
    mark = Mark.attach(config.mark_path, config.threads) if config.mark_path else None
    child = Child(config, mark)
    signal.signal(signal.SIGTERM, lambda *_: child.stopping.set())
    # Ctrl-C at a terminal reaches the whole group; what it means is for the supervisor to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child.serve()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
