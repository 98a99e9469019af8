"""What a run in the calling thread is made from, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hypergraph.graph import Graph
from hypergraph.plan import Plan
from hypergraph.runners.result import MapResult, RunResult, RunStatus, new_run_id

#: What became of nested graphs: node name -> result.
Nested = dict[str, RunResult | MapResult]
#: The values of a run: by name, and what else its nodes need, by keys that are no strings.
Values = dict[Any, Any]


class Outcome:
    """What became of one run.

    Attributes:
        values: Output name -> value, of the selected outputs that have one.
        nested: Node name -> what became of the nested graph.
        error: What the run failed with, or None.
        path: Names from the root to the node that raised; see `annotate`.
    """

    __slots__ = ("error", "nested", "path", "values")

    def __init__(
        self,
        values: dict[str, Any],
        nested: Nested,
        error: BaseException | None = None,
        path: tuple[str, ...] = (),
    ) -> None:
        self.values = values
        self.nested = nested
        self.error = error
        self.path = path

    def as_result(self, index: int | None = None) -> RunResult:
        """Return it as users see it, under a new run id."""
        status = RunStatus.COMPLETED if self.error is None else RunStatus.FAILED
        return RunResult(
            self.values, status, new_run_id(), None, self.error, None, self.nested, index
        )


class Prepared(Protocol):
    """A graph that is ready to run, given values for certain names."""

    selected: tuple[str, ...]  #: what comes back, where it has a value
    certain: frozenset[str]  #: what comes back whenever the run completes

    def run(self, values: Mapping[str, Any]) -> Outcome:
        """Run the graph.

        An exception that a node raises comes back in the outcome. What is no `Exception`, as
        `KeyboardInterrupt`, passes through.

        Args:
            values: A value for each of the names it was prepared for, and no others.
        """
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """What a :class:`Prepared` is made from."""

    graph: Graph
    plan: Plan  #: of `graph`, fed with the dotted names among `provided`
    provided: frozenset[str]  #: names of the values each run is given
    selected: tuple[str, ...]
    prepare: Callable[[Graph, Iterable[str]], Prepared]  #: does the same for nested graphs

    @property
    def bound(self) -> Mapping[str, Any]:
        """The graph's bindings."""
        return self.graph.inputs.bound


class NodeFailure(Exception):
    """A nested run failed. Never leaves `Prepared.run`.

    Attributes:
        error: What it failed with.
        path: Names from the graph node to the node that raised.
    """

    def __init__(self, error: BaseException, path: tuple[str, ...]) -> None:
        super().__init__(error, path)
        self.error = error
        self.path = path


def pick(names: Iterable[str], values: Values) -> dict[str, Any]:
    """Return those of `names` that have a value."""
    return {name: values[name] for name in names if name in values}
