"""What a run in the calling thread is made from, and what becomes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from hypergraph.graph import Graph
from hypergraph.plan import Plan
from hypergraph.runners.result import PauseInfo, RunResult, RunStatus, new_run_id
from hypergraph.runners.run import RUN, Run, Values
from hypergraph.runners.run import Nested as Nested
from hypergraph.runners.waiting import Soon, Way, start
from hypergraph.runners.watch import Around, Watch, observing


class Outcome:
    """What became of one run.

    Attributes:
        values: Output name -> value, of the selected outputs that have one.
        nested: Node name -> what became of the nested graph.
        error: What the run failed with, or None.
        path: Names from the root to the node that raised; see `annotate`.
        pause: What the run waits for, or None.
        run_id: The id under which it was observed, or None.
    """

    __slots__ = ("error", "nested", "path", "pause", "run_id", "values")

    def __init__(
        self,
        values: dict[str, Any],
        nested: Nested,
        error: BaseException | None = None,
        path: tuple[str, ...] = (),
        pause: PauseInfo | None = None,
    ) -> None:
        self.values = values
        self.nested = nested
        self.error = error
        self.path = path
        self.pause = pause
        self.run_id: str | None = None

    @property
    def status(self) -> RunStatus:
        """COMPLETED, FAILED or PAUSED."""
        if self.error is not None:
            return RunStatus.FAILED
        return RunStatus.COMPLETED if self.pause is None else RunStatus.PAUSED

    def as_result(self, index: int | None = None) -> RunResult:
        """Return it as users see it, under a new run id if it has none."""
        return RunResult(
            self.values,
            self.status,
            self.run_id or new_run_id(),
            None,
            self.error,
            self.pause,
            self.nested,
            index,
        )


def conclude(
    selected: Iterable[str],
    state: Values,
    error: BaseException | None = None,
    path: tuple[str, ...] = (),
    pause: PauseInfo | None = None,
) -> Outcome:
    """Return what became of a run that has ended.

    Args:
        selected: Names of what to give back, where it has a value.
        state: The values of the run. After a failure they are let go, whoever still holds them.
        error: What the run failed with.
        path: Names from this run's node to the node that raised.
        pause: What the run waits for.
    """
    run: Run | None = state.get(RUN)
    values = {name: state[name] for name in selected if name in state}
    outcome = Outcome(values, {} if run is None else run.nested, error, path, pause)
    if error is not None:
        # Rule 3 of `hypergraph.runners.waiting`: the results of nested runs hold the error, too.
        state.clear()
        if run is not None:
            run.nested = {}
    return outcome


class Prepared(ABC):
    """A graph that is ready to run, given values for certain names."""

    name: str | None  #: of the graph
    selected: tuple[str, ...]  #: what comes back, where it has a value
    certain: frozenset[str]  #: what comes back whenever the run completes

    def run(self, values: Mapping[str, Any]) -> Outcome:
        """Run the graph, unobserved, on a way that does not wait.

        An exception that a node raises comes back in the outcome. What is no `Exception`, as
        `KeyboardInterrupt`, passes through.

        Args:
            values: A value for each of the names it was prepared for, and no others.
        """
        return cast(Outcome, self.start(values))

    def start(self, values: Mapping[str, Any], around: Around | None = None) -> Soon[Outcome]:
        """Run the graph as far as it goes without waiting.

        Args:
            values: As for :meth:`run`.
            around: The span it lies in. Given if and only if it was prepared to be observed.
        """
        if around is None:
            return self._start(values, None)
        return start(observing(around, self.name, lambda watch: self._start(values, watch)))

    @abstractmethod
    def _start(self, values: Mapping[str, Any], watch: Watch | None) -> Soon[Outcome]: ...


@dataclass(frozen=True, slots=True)
class Draft:
    """What a :class:`Prepared` is made from."""

    graph: Graph
    plan: Plan  #: of `graph`, fed with the dotted names among `provided`
    provided: frozenset[str]  #: names of the values each run is given
    selected: tuple[str, ...]
    way: Way
    is_observed: bool
    #: makes nested graphs ready: `hypergraph.runners.inline.prepare`
    prepare: Callable[..., Prepared]

    @property
    def bound(self) -> Mapping[str, Any]:
        """The graph's bindings."""
        return self.graph.inputs.bound

    def prepare_nested(self, graph: Graph, names: Iterable[str], way: Way) -> Prepared:
        """Return a nested graph, ready to run on its own way."""
        return self.prepare(graph, names, way=way, is_observed=self.is_observed)
