"""Worker hosts that see other modules than the test does: as on another machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hypergraph.worker.local import LocalWorkers, local_config
from tests.processes import wait_until
from tests.stores import open_store

SECRET = b"a secret of the tests"


@contextmanager
def host(
    url: str,
    namespace: str,
    directory: Path,
    *,
    queues: Sequence[str] = ("default",),
    allow_modules: Sequence[str] | None = None,
) -> Iterator[LocalWorkers]:
    """Run a worker host with one process, whose own modules lie in `directory`."""
    config = replace(
        local_config(url, secret=SECRET, namespace=namespace, queues=queues),
        sys_path=(str(directory),),
        cwd=str(directory),
        allow_modules=None if allow_modules is None else tuple(allow_modules),
    )
    workers = LocalWorkers(config)
    workers.start()
    store = open_store(url, namespace)
    try:
        registered = wait_until(lambda: config.worker_id in store.workers(60.0), 30.0)
        assert registered, "the host has not registered itself"
        yield workers
    finally:
        store.link.close()
        workers.stop(0.5)
