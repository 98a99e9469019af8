"""A Redis and workers of one's own, for a runner that was given no URL."""

from __future__ import annotations

import atexit
import os
import secrets
import sys

from hypergraph.embedded.redis import EmbeddedRedis
from hypergraph.worker.local import LocalWorkers, local_config


class LocalCluster:
    """Starts both, says so in one line, and ends both with this process, however it ends.

    Args:
        workers: Worker processes; by default one per core.
        namespace: The runner's.
    """

    def __init__(self, workers: int | None, namespace: str) -> None:
        self.secret = secrets.token_bytes(32)
        self._count = workers or _cores()
        self._namespace = namespace
        self._redis = EmbeddedRedis()
        self._workers: LocalWorkers | None = None

    @property
    def url(self) -> str:
        """The Redis."""
        return self._redis.url

    @property
    def blobs(self) -> str:
        """The directory of large values: files of this machine, which go with its Redis."""
        return str(self._redis.directory / "blobs")

    @property
    def worker_id(self) -> str:
        """The id of the worker host, as `hypergraph workers` lists it."""
        assert self._workers is not None
        return self._workers.config.worker_id

    def start(self) -> None:
        """Start Redis, then the workers. Returns as soon as Redis answers.

        Raises:
            StoreUnavailable: There is no Redis server on this machine that could be started.
        """
        self._redis.start()
        config = local_config(
            self._redis.url,
            secret=self.secret,
            namespace=self._namespace,
            processes=self._count,
            blobs=self.blobs,
        )
        self._workers = LocalWorkers(config)
        self._workers.start()
        atexit.register(self.stop)
        print(self.notice(), file=sys.stderr)

    def notice(self) -> str:
        """Return the line that says what is used and what it does not keep."""
        workers = f"{self._count} local worker" + ("s" if self._count > 1 else "")
        return (
            f"hypergraph: {workers}, {self._redis.kind} {self._redis.version} of its own; "
            "nothing outlives this process (give a URL for that)"
        )

    def stop(self) -> None:
        """End the workers and the Redis."""
        atexit.unregister(self.stop)
        if self._workers is not None:
            self._workers.stop()
        self._redis.stop()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
