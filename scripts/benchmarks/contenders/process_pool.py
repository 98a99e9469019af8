"""`concurrent.futures.ProcessPoolExecutor`: processes and a pipe, no graph, no recovery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Self

from scripts.benchmarks.contenders.base import Contender, Way
from scripts.benchmarks.functions import increment, three_nodes

#: Items per message. 1 is what people write; the others are what they write after measuring.
CHUNKS = (1, 100, 1000, 2500)


class ProcessPool(Contender):
    """A pool of two processes."""

    def __enter__(self) -> Self:
        """Start the pool; it forks its processes with the first calls."""
        self._pool = ProcessPoolExecutor(2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the processes."""
        self._pool.shutdown()

    def one(self) -> Sequence[Way[int, int]]:
        """Submit it and wait."""
        return (Way("process pool", self._submit),)

    def chain(self, hops: int) -> Sequence[Way[int, int]]:
        """Submit and wait, `hops` times: a pool knows no dependencies."""

        def call(value: int) -> int:
            for _ in range(hops):
                value = self._submit(value)
            return value

        return (Way("process pool", call),)

    def map(self) -> Sequence[Way[Sequence[int], list[int]]]:
        """Map the composed function, one item per message and chunked."""
        return tuple(
            Way("process pool, chunked", self._map(chunk), f"{chunk:,}")
            if chunk > 1
            else Way("process pool, one task per item", self._map(chunk))
            for chunk in CHUNKS
        )

    def _submit(self, value: int) -> int:
        return self._pool.submit(increment, value).result()

    def _map(self, chunk: int) -> Callable[[Sequence[int]], list[int]]:
        return lambda items: list(self._pool.map(three_nodes, items, chunksize=chunk))
