"""What a caller may ask of a run or map, checked and in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypergraph.graph import Graph
from hypergraph.runners import base
from hypergraph.runners.inline import selection
from hypergraph.runners.result import RunResult


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one call. They have the same names on all runners."""

    select: tuple[str, ...] | None = None  #: outputs to give back
    max_iterations: int | None = None
    max_concurrency: int | None = None  #: bodies in flight over all workers
    raises: bool = True  #: error_handling="raise"
    chunk: int = 0  #: items per claim; 0: as many as suit their cost

    @classmethod
    def check(
        cls,
        select: str | Sequence[str] | None,
        max_iterations: int | None,
        max_concurrency: int | None,
        error_handling: str,
        chunk: int | None = None,
    ) -> Options:
        """Return the options of a call.

        Raises:
            ValueError: One of them makes no sense.
        """
        base.check_error_handling(error_handling)
        for name, value in (("max_concurrency", max_concurrency), ("chunk", chunk)):
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: at least 1 is needed, or None for no limit")
        chosen = (select,) if isinstance(select, str) else select
        return cls(
            None if chosen is None else tuple(chosen),
            max_iterations,
            max_concurrency,
            error_handling == "raise",
            chunk or 0,
        )

    def outputs_of(self, graph: Graph) -> tuple[str, ...]:
        """Return the names that results may have."""
        return tuple(selection(graph, self.select))

    def warn_of_lacking(self, graph: Graph, results: Sequence[RunResult]) -> None:
        """Warn if outputs were selected that some completed run does not have."""
        if self.select is not None or graph.selected is not None:
            base.warn_of_lacking(self.outputs_of(graph), results)
