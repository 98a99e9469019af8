"""What a test of faults is made of: hosts, runners and a view of Redis, all of one namespace."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hypergraph import DistributedRunner
from hypergraph.store.link import Link
from hypergraph.store.redis import RedisStore
from hypergraph.worker.config import WorkerConfig, new_worker_id
from tests.faults.hosts import ROOT, SUPERVISOR, Host

SECRET = b"a secret for tests of faults"

#: Five times as fast as by default.
LEASE_S = 1.0
BEAT_S = 0.2


class QuickRunner(DistributedRunner):
    """A client that is as quick to take workers for dead as the rig's hosts."""

    lease_s = LEASE_S


class Rig:
    """See the module's docstring.

    Args:
        url: Of the Redis.
        namespace: Of all that is made here.
        directory: For logs.
    """

    def __init__(self, url: str, namespace: str, directory: Path) -> None:
        self.url = url
        self.directory = directory
        self.namespace = namespace
        self._ends = ExitStack()
        self._numbers = count(1)
        self.hosts: list[Host] = []  #: all that were started
        link = Link(url)
        self._ends.callback(link.close)
        self.store = RedisStore(link, namespace)
        self.config = WorkerConfig(
            url=url,
            namespace=namespace,
            secret=SECRET,
            worker_id="",
            lease_s=LEASE_S,
            beat_s=BEAT_S,
            drain_s=10.0,
            sys_path=(str(ROOT),),
        )

    def start_host(
        self,
        config: WorkerConfig | None = None,
        *,
        command: Sequence[str] = SUPERVISOR,
        ready: bool = True,
        **options: Any,
    ) -> Host:
        """Start a worker host.

        Args:
            config: Its configuration; by default the rig's. It gets an id of its own.
            command: What to execute.
            ready: Return when it is registered, and no earlier.
            options: Fields of the configuration that differ.
        """
        name = f"host{next(self._numbers)}"
        config = replace(config or self.config, worker_id=new_worker_id(name), **options)
        host = Host(config, self.store, self.directory / f"{name}.log", command)
        self.hosts.append(host)
        self._ends.callback(host.stop)
        if ready:
            host.wait_until_ready()
        return host

    def runner(self, cls: type[DistributedRunner] = QuickRunner, **options: Any) -> Any:
        """Return a client."""
        runner = cls(self.url, secret=SECRET, namespace=self.namespace, progress=False, **options)
        return self._ends.enter_context(runner)

    def list_keys(self) -> set[str]:
        """Return all keys of the namespace, without their common beginning."""
        start = f"hg:{self.namespace}:"
        found = self.store.link.client.scan_iter(f"{start}*", count=1000)
        return {key.decode().removeprefix(start) for key in found}

    def close(self) -> None:
        """End all hosts and close all clients."""
        self._ends.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        for host in self.hosts:  # shown if the test has failed
            print(f"-- {host.log.name} --\n{host.log.read_text()}")
