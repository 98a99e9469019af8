"""Is this machine's worker alive? For the health checks of containers::

    python -m hypergraph.worker.liveness [--ready] [--if-main] [--namespace NAME]

A worker that does not beat any more is to be restarted; one whose Redis is away is not. So this
fails only if Redis answers and has not heard of this machine's worker within its lease. It takes
0.3 s of a core, so every 30 s is often enough.

``--ready`` fails also while Redis is away: a worker that can be given work. ``--if-main`` does not
look at all where the main process of the container is no worker, such as in that of a client.
Redis is that of ``HYPERGRAPH_REDIS_URL``, the namespace that of ``HYPERGRAPH_NAMESPACE``.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path, PurePath

from hypergraph.errors import StoreError
from hypergraph.worker import environment

#: How long Redis may take to answer.
PATIENCE_S = 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Say whether all is well. Returns the exit code."""
    options = parser().parse_args(arguments)
    if options.if_main and not is_worker(_main_command()):
        print("The main process is no worker.")
        return 0
    logging.getLogger("hypergraph.store").setLevel(logging.ERROR)
    try:
        worker = find_worker(environment.read_url(), options.namespace)
    except StoreError as error:
        print(error)
        return int(options.ready)
    except ValueError as error:
        print(error)
        return 1
    print(f"{worker} is alive." if worker else "Redis has not heard of a worker of this machine.")
    return int(not worker)


def find_worker(url: str, namespace: str) -> str:
    """Return the id of a live worker on this machine; "" if there is none.

    Raises:
        StoreError: Redis does not answer.
    """
    from hypergraph.store.link import Link
    from hypergraph.store.redis import RedisStore
    from hypergraph.worker.registry import live_workers

    link = Link(url, patience_s=PATIENCE_S, timeout_s=PATIENCE_S)
    try:
        workers = live_workers(RedisStore(link, namespace))
    finally:
        link.close()
    here = socket.gethostname()
    return next((w.id for w in workers if w.host == here and _exists(w.pid)), "")


def is_worker(command: Sequence[str]) -> bool:
    """Whether a command starts a worker.

    >>> is_worker(["tini", "--", "hypergraph", "worker", "--wait"])
    True
    >>> is_worker(["python", "/usr/bin/dramatiq", "workers.main"])
    True
    >>> is_worker(["tini", "--", "python", "my_script.py"])
    False
    """
    names = [PurePath(word).name for word in command]
    ours = any(pair == ("hypergraph", "worker") for pair in pairwise(names))
    return ours or "dramatiq" in names


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    found = argparse.ArgumentParser(
        prog="python -m hypergraph.worker.liveness", description=(__doc__ or "").partition("\n")[0]
    )
    found.add_argument("--ready", action="store_true", help="fail while Redis is away")
    found.add_argument("--if-main", action="store_true", help="look only if process 1 is a worker")
    found.add_argument("--namespace", default=environment.read(environment.NAMESPACE, "default"))
    return found


def _main_command() -> list[str]:
    """Return the command of process 1, as far as it may be read."""
    try:
        return Path("/proc/1/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main())
