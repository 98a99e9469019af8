"""Where a run stands, as far as deciding goes. It holds names and numbers, never values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from hypergraph.plan.events import Event


class Phase(Enum):
    """How a run goes on."""

    RUNNING = "running"  #: something is due, or carried out at this moment
    COMPLETED = "completed"  #: nothing is due any more
    FAILED = "failed"  #: a node raised, and what had to finish beside it has finished
    EXHAUSTED = "exhausted"  #: `max_iterations` supersteps, and something is still due
    CONFLICT = "conflict"  #: two nodes of one superstep write one name; see RunState.conflict
    PAUSED = "paused"  #: a node waits for an answer


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two nodes that would have written `output` in the same superstep."""

    output: str
    nodes: tuple[int, ...]


@dataclass(slots=True)
class RunState:
    """One run of one graph between two events.

    Only :func:`hypergraph.plan.decide` writes to it.
    """

    phase: Phase = Phase.RUNNING
    versions: dict[str, int] = field(default_factory=dict)  #: value name -> times it changed
    consumed: dict[int, tuple[int, ...]] = field(default_factory=dict)
    #: node -> version of each watched input when the node last fell due; absent: never did
    starts: dict[int, int] = field(default_factory=dict)  #: node -> times it fell due
    decisions: dict[int, tuple[str, ...] | None] = field(default_factory=dict)  #: gate -> choice
    running: set[int] = field(default_factory=set)  #: nodes that are due or carried out
    settled: dict[int, Event] = field(default_factory=dict)
    #: nodes of the current superstep that have ended, until the superstep ends
    touched: set[int] = field(default_factory=set)  #: nodes to look at for the next superstep
    superstep: int = 0  #: supersteps begun
    max_iterations: int = 1000
    levels: tuple[int, ...] | None = None  #: superstep of each node, where it is known beforehand
    missing: list[int] = field(default_factory=list)  #: with `levels`: inputs a node waits for
    horizon: int | None = None  #: with `levels`: no node beyond this superstep starts any more
    paused: list[int] = field(default_factory=list)  #: nodes that wait, in a run that is paused
    failed: list[int] = field(default_factory=list)  #: nodes that raised
    conflict: Conflict | None = None

    @property
    def culprit(self) -> int | None:
        """The node whose error is the run's: first in the earliest superstep, by graph order."""
        if not self.failed:
            return None
        if self.levels is None:
            return min(self.failed)
        levels = self.levels
        return min(self.failed, key=lambda node: (levels[node], node))

    def counts(self, node: int) -> bool:
        """Whether what `node` wrote belongs to the result.

        After a failure, nodes of later supersteps may already have run where nothing made them
        wait. A run superstep by superstep would never have started them.
        """
        return self.levels is None or self.horizon is None or self.levels[node] <= self.horizon
