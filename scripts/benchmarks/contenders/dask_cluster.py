"""Dask on a `LocalCluster` of two worker processes with one thread each.

Three things were tried for its sake (2026.8.0):

* A chain is submitted ahead of its results, or as one graph: about half the time of waiting
  for each hop. Fusing the chain into one task would be faster still, and no chain.
* Futures map the composed function, one task per item instead of three.
* `distributed.scheduler.worker-saturation`, 1.1 by default, holds back tasks that depend on
  nothing. Without it the futures' map of tiny tasks is about three times as fast, at the
  price of memory in real work. It gets a row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from scripts.benchmarks.contenders.base import Contender, Unavailable, Way
from scripts.benchmarks.functions import increment, three_nodes

#: Numbers of partitions a bag is tried with.
PARTITIONS = (4, 8, 16, 100)


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise Unavailable(f"Dask is not installed ({error})") from None


class _Cluster(Contender):
    """Starts and stops cluster and client."""

    #: Dask settings that differ from its defaults.
    settings: dict[str, Any] = {}  # noqa: RUF012  # replaced as a whole, never changed

    def __enter__(self) -> Self:
        """Start the cluster and connect to it."""
        distributed = _import("dask.distributed")
        _import("dask").config.set(self.settings)
        self._cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        )
        self._client = distributed.Client(self._cluster)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop client and cluster."""
        self._client.close()
        self._cluster.close()

    def _map_futures(self, items: Sequence[int]) -> list[int]:
        # pure=False: without it Dask hashes the arguments and remembers results between rounds
        futures = self._client.map(three_nodes, items, pure=False)
        results: list[int] = self._client.gather(futures)
        return results


class Dask(_Cluster):
    """The cluster as it comes."""

    def one(self) -> Sequence[Way[int, int]]:
        """Submit it and wait."""
        return (Way("Dask", lambda value: self._submit(value).result()),)

    def chain(self, hops: int) -> Sequence[Way[int, int]]:
        """Hand over the whole chain, then wait: future by future, and as one graph."""
        delayed = _import("dask.delayed").delayed(increment, pure=False)

        def futures(value: int) -> int:
            last: Any = value
            for _ in range(hops):
                last = self._submit(last)
            result: int = last.result()
            return result

        def graph(value: int) -> int:
            last: Any = value
            for _ in range(hops):
                last = delayed(last)
            result: int = last.compute()
            return result

        return (
            Way("Dask", futures, "futures, submitted ahead"),
            Way("Dask", graph, "one graph of delayed calls"),
        )

    def map(self) -> Sequence[Way[Sequence[int], list[int]]]:
        """Map the composed function with futures, and as a bag of few partitions and many."""
        bags = (Way("Dask bag", self._bag(count), f"{count} partitions") for count in PARTITIONS)
        return (Way("Dask futures", self._map_futures), *bags)

    def _submit(self, value: Any) -> Any:
        return self._client.submit(increment, value, pure=False)

    def _bag(self, count: int) -> Callable[[Sequence[int]], list[int]]:
        bag = _import("dask.bag")

        def call(items: Sequence[int]) -> list[int]:
            results: list[int] = (
                bag.from_sequence(items, npartitions=count).map(three_nodes).compute()
            )
            return results

        return call


class EagerDask(_Cluster):
    """The cluster with its brake off: every task is sent to a worker at once."""

    settings = {"distributed.scheduler.worker-saturation": float("inf")}  # noqa: RUF012

    def map(self) -> Sequence[Way[Sequence[int], list[int]]]:
        """Map the composed function with futures, the one workload the brake is on."""
        return (Way("Dask futures, not queued", self._map_futures),)
