"""What can be told of a run: plain records, for a terminal, a file or a dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Items:
    """How far a map has come. Numbers are of items."""

    total: int | None  #: None: more inputs may come
    uploaded: int
    done: int  #: that succeeded
    failed: int
    claimed: int  #: once at least
    busy_s: float  #: time that items took, together

    @property
    def ended(self) -> int:
        """How many have ended, one way or the other."""
        return self.done + self.failed


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the graph, over all the times it was due in the run."""

    path: str  #: names of nested graphs and its own, joined by "/"
    kind: str  #: function, gate, interrupt, graph or map
    open: int  #: tasks that are due and have not ended
    running: int  #: how many of those some slot holds
    done: int  #: tasks that succeeded
    failed: int  #: tasks that failed
    crashed: int  #: how many of those have killed their process once too often
    attempts: int  #: executions that count, of tasks that have ended
    lost: int  #: executions whose process died
    total_s: float  #: time that executions took whose result stands
    began_at: float | None  #: the first of those, by its worker's clock
    workers: tuple[str, ...]  #: who executed it, the latest first
    items: Items | None = None  #: of a mapped node

    @property
    def mean_s(self) -> float | None:
        """Mean time of an execution; of a mapped node, of an item."""
        count = self.items.ended if self.items else self.done + self.failed - self.crashed
        return self.total_s / count if count else None


@dataclass(frozen=True, slots=True)
class Loss:
    """An execution whose process died."""

    at: float | None  #: when it was noticed
    node: str  #: path; "" for an item of a map that is a run of its own
    item: int | None
    attempt: int
    worker: str
    cause: str  #: such as "killed by SIGKILL (9)"


@dataclass(frozen=True, slots=True)
class Problem:
    """A failure, in words."""

    node: str
    item: int | None
    text: str  #: type and message
    worker: str
    attempt: int
    at: float | None = None
    traceback: str = ""  #: of what the run failed with, as long as its values are there


@dataclass(frozen=True, slots=True)
class Holding:
    """What a slot holds at this moment."""

    slot: str
    worker: str  #: the host's id
    unit: str  #: the task, or the map
    node: str  #: path
    attempt: int
    first: int | None = None  #: item of the map
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A worker that cannot load what it should execute."""

    node: str
    worker: str
    module: str


@dataclass(frozen=True, slots=True)
class Pause:
    """What a paused run waits for."""

    node: str  #: the interrupt's path
    key: str  #: under which the answer is given
    since: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """One run. Times are in seconds since 1970 by the clock of Redis, unless it says otherwise."""

    run_id: str
    kind: str  #: run or map
    graph: str  #: its name, or ""
    status: str  #: queued running paused completed partial failed cancelled
    now: float
    created_at: float
    ended_at: float | None
    expires_at: float | None  #: when the record goes; None while the run is in progress
    origin: str  #: program, host and pid that submitted it
    tag: str  #: Python and wire version that its workers need
    max_concurrency: int | None
    client_lives: bool | None  #: of a run that its client feeds; None for others
    results: bool  #: whether values can still be fetched
    cancelled_by: str
    items: Items | None  #: of a map
    nodes: tuple[Node, ...]  #: in the order of the graph, nested ones behind their graph's place
    problems: tuple[Problem, ...]
    losses: tuple[Loss, ...]
    running: tuple[Holding, ...]
    waiting: Mapping[str, int]  #: queue -> tasks or ranges that nobody holds
    refusals: tuple[Refusal, ...]
    pause: Pause | None = None
    unread: str = ""  #: why a part of the record cannot be read

    @property
    def took_s(self) -> float:
        """How long it has taken, so far if it has not ended."""
        return max(0.0, (self.ended_at or self.now) - self.created_at)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in a list."""

    run_id: str
    kind: str  #: run or map
    graph: str
    status: str
    done: int  #: tasks of a run, items of a map, that succeeded
    failed: int
    total: int | None  #: None: nobody knows
    lost: int  #: executions whose process died
    created_at: float
    ended_at: float | None
    took_s: float  #: so far, if it has not ended
    age_s: float  #: since it was created
    origin: str


def status_of(meta: Mapping[str, bytes], *, taken: bool) -> str:
    """Return a run's status as people know it: ``queued`` until somebody has begun with it.

    Args:
        meta: Of the run.
        taken: Whether some slot holds something of it, or has held an item of it.
    """
    status = meta["status"].decode()
    if status == "running" and meta["seq"] == b"1" and not taken:
        return "queued"
    return status


def items_of(counts: Mapping[str, int]) -> Items:
    """Return how far a map has come, by what its scripts have counted."""
    total = counts["total"]
    return Items(
        None if total < 0 else total,
        counts["avail"],
        counts["done"] - counts["failed"],
        counts["failed"],
        counts["cursor"],
        counts["busy_us"] / 1e6,
    )
