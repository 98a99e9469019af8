"""What worker hosts say of themselves: how it is written, and how it is read.

A host repeats what changes with every heartbeat, and tells the rest once, for as long as the store
remembers it. All of it is text: names, numbers, names joined by commas, and JSON.
"""

from __future__ import annotations

import json
import logging
import os
import pkgutil
import platform
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from hypergraph.errors import IncompatibleWorker, MissingModule, NoWorker
from hypergraph.store.redis import RedisStore
from hypergraph.transport.tags import TAG, describe_tag
from hypergraph.worker.config import WorkerConfig

logger = logging.getLogger("hypergraph.worker")


@dataclass(frozen=True, slots=True)
class RunningBody:
    """A body that a host executes."""

    child: str  #: name of the child process
    pid: int
    run_id: str
    unit: str  #: id of the task or of the map
    path: str  #: of the node; "" for the items of a map that is a run of its own
    item: int | None  #: index of the map's item, from 0
    seconds: float  #: since the task, or the range of items it belongs to, began


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A live worker host, by its latest heartbeat."""

    id: str
    host: str
    pid: int  #: of the supervisor
    name: str
    labels: tuple[str, ...]
    queues: tuple[str, ...]  #: full names, with their tag; none while it drains
    tag: str  #: what its queues' names end in: Python minor and wire version
    python: str  #: such as "3.11.4"
    version: str  #: of hypergraph
    processes: int
    threads: int
    draining: bool  #: told to stop, and finishing what it runs
    started_at: float  #: by the host's clock
    beat_at: float  #: latest heartbeat, by the clock of Redis
    children: Mapping[str, int]  #: name -> pid
    running: tuple[RunningBody, ...]
    modules: frozenset[str] | None  #: top-level modules it can import; None: it does not say yet
    allow_modules: tuple[str, ...] | None = None  #: it runs only code of these, by reference

    def serves(self, queue: str) -> bool:
        """Whether it takes work from a queue, named without tag: of clients that match it."""
        return f"{queue}.{self.tag}" in self.queues

    def has_module(self, module: str) -> bool:
        """Whether it can import `module`; True as long as it has not said."""
        return self.modules is None or module.partition(".")[0] in self.modules


def live_workers(store: RedisStore, lease_s: float = 5.0) -> list[WorkerInfo]:
    """Return the hosts that were heard of within `lease_s`, by id."""
    found = store.workers(lease_s)
    return [read_info(worker, found[worker]) for worker in sorted(found)]


def check_queue(workers: Sequence[WorkerInfo], queue: str, *, url: str = "") -> None:
    """See that one of `workers` takes work of this process from `queue`.

    Args:
        workers: The live ones.
        queue: Its name without tag.
        url: Where they were looked for, without its password.

    Raises:
        NoWorker: None serves the queue.
        IncompatibleWorker: Those that do have another Python minor or wire version.
    """
    serving = [worker for worker in workers if worker.serves(queue)]
    if not serving:
        raise NoWorker(queue, url)
    if not any(worker.tag == TAG for worker in serving):
        others = {worker.id: describe_tag(worker.tag) for worker in serving}
        raise IncompatibleWorker(describe_tag(TAG), others)


def check_modules(workers: Sequence[WorkerInfo], queue: str, modules: Iterable[str]) -> None:
    """See that for each of `modules` some worker serves `queue` and can import it.

    Raises:
        MissingModule: None can.
    """
    serving = [worker for worker in workers if worker.serves(queue) and worker.tag == TAG]
    for module in modules:
        if not any(worker.has_module(module) for worker in serving):
            raise MissingModule(module, tuple(worker.id for worker in serving))


def describe_host(config: WorkerConfig, version: str, started_at: float) -> dict[str, str | int]:
    """Return what a host says of itself once."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "name": config.name,
        "labels": ",".join(config.labels),
        "tag": TAG,
        "python": platform.python_version(),
        "version": version,
        "processes": config.processes,
        "threads": config.threads,
        **({} if config.allow_modules is None else {"allow": ",".join(config.allow_modules)}),
        "started_at": f"{started_at:.3f}",
    }


def describe_now(
    config: WorkerConfig,
    children: Mapping[str, int],
    running: Iterable[RunningBody],
    *,
    draining: bool,
) -> dict[str, str | int]:
    """Return what a host says of itself with every heartbeat."""
    bodies = [
        [b.child, b.pid, b.run_id, b.unit, b.path, b.item, round(b.seconds, 3)] for b in running
    ]
    return {
        "queues": "" if draining else ",".join(config.full_queues),
        "draining": int(draining),
        "children": json.dumps(dict(children), separators=(",", ":")),
        "running": json.dumps(bodies, separators=(",", ":")),
    }


def read_info(worker: str, said: Mapping[str, str]) -> WorkerInfo:
    """Return what a host said of itself. What is missing is empty."""

    def names(field: str) -> tuple[str, ...]:
        return tuple(filter(None, said.get(field, "").split(",")))

    return WorkerInfo(
        id=worker,
        host=said.get("host", ""),
        pid=int(said.get("pid", 0)),
        name=said.get("name", ""),
        labels=names("labels"),
        queues=names("queues"),
        tag=said.get("tag", ""),
        python=said.get("python", ""),
        version=said.get("version", ""),
        processes=int(said.get("processes", 0)),
        threads=int(said.get("threads", 0)),
        draining=said.get("draining") == "1",
        started_at=float(said.get("started_at", 0)),
        beat_at=int(said.get("beat_ms", 0)) / 1000,
        children=json.loads(said.get("children", "{}")),
        running=tuple(RunningBody(*body) for body in json.loads(said.get("running", "[]"))),
        modules=frozenset(names("modules")) or None,
        allow_modules=names("allow") if "allow" in said else None,
    )


def find_modules(path: Sequence[str]) -> list[str]:
    """Return the top-level modules that a process with this `sys.path` can import, sorted.

    Reads directories and package records (0.1 to 1 s), and imports nothing.
    """
    began = time.perf_counter()
    found = set(sys.builtin_module_names)
    found.update(module.name for module in pkgutil.iter_modules(list(path)))
    try:
        # Editable installs and namespace packages are in no directory of the path.
        found.update(metadata.packages_distributions())
    except Exception as error:  # whatever is wrong with somebody's package record
        logger.debug("Package records cannot be read: %r", error)
    logger.debug("%d modules, found in %.2f s", len(found), time.perf_counter() - began)
    return sorted(name for name in found if name.isidentifier())
