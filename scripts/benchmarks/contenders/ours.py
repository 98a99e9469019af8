"""This project: the embedded distributed runner, and the in-process runner for comparison.

Nothing is tuned. No chunk size is given, and the embedded Redis is the one a newcomer gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from scripts.benchmarks.contenders.base import Contender, Unavailable, Way
from scripts.benchmarks.functions import decrease, double, increment

#: The row that everybody else is compared with.
OURS = "hypergraph"


def _load(name: str) -> Any:
    """Return a name of `hypergraph`.

    Raises:
        Unavailable: The package, or that part of it, cannot be imported.
    """
    try:
        return getattr(import_module("hypergraph"), name)
    except (ImportError, AttributeError) as error:
        raise Unavailable(f"hypergraph.{name} cannot be imported ({error})") from None


def _step(function: Any, source: str, target: str) -> Any:
    """Return a node that reads `source` and writes `target`."""
    made = _load("FunctionNode")(function, name=f"make_{target}", output_name=target)
    return made.with_inputs(value=source)


class _Runner(Contender):
    """The three workloads on a runner. Graphs are built before the clock starts."""

    row: str
    _runner: Any

    def one(self) -> Sequence[Way[int, int]]:
        """Run a graph of one node."""
        graph = _load("Graph")([_step(increment, "value", "result")])

        def call(value: int) -> int:
            result: int = self._runner.run(graph, {"value": value})["result"]
            return result

        return (Way(self.row, call),)

    def chain(self, hops: int) -> Sequence[Way[int, int]]:
        """Run a graph of `hops` nodes in a line, and ask for the last value."""
        nodes = [_step(increment, f"v{number}", f"v{number + 1}") for number in range(hops)]
        graph = _load("Graph")(nodes)
        last = f"v{hops}"

        def call(value: int) -> int:
            result: int = self._runner.run(graph, {"v0": value}, select=[last])[last]
            return result

        return (Way(self.row, call),)

    def map(self) -> Sequence[Way[Sequence[int], list[int]]]:
        """Map a graph of three nodes over the items, and read one column of the results."""
        functions = (increment, double, decrease)
        nodes = [_step(function, f"v{n}", f"v{n + 1}") for n, function in enumerate(functions)]
        graph = _load("Graph")(nodes)

        def call(items: Sequence[int]) -> list[int]:
            results = self._runner.map(graph, {"v0": list(items)}, map_over="v0")
            column: list[int] = results.values_of("v3")
            return column

        return (Way(self.row, call),)


class Distributed(_Runner):
    """`DistributedRunner()` on its embedded default with two workers."""

    row = OURS

    def __enter__(self) -> Self:
        """Start Redis and workers."""
        runner = _load("DistributedRunner")(workers=2, progress=False)
        self._runner = runner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop them."""
        self._runner.__exit__(kind, error, traceback)


class InProcess(_Runner):
    """`SyncRunner()`: the same graphs without workers."""

    row = "hypergraph in-process"

    def __enter__(self) -> Self:
        """Make the runner."""
        self._runner = _load("SyncRunner")()
        return self
