"""What is asked of every contender, and how it is timed.

A workload is warmed before the clock starts, in the same process and in the same way. Making
graphs and functions is not timed; everything from the call to the last result in the caller's
hands is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from scripts.benchmarks.contenders.base import Contender, Way
from scripts.benchmarks.functions import three_nodes

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

#: Pause before each call of the workload `idle`, in seconds. Consumers that poll are asleep.
IDLE_S = 1.5

#: Pause before each call of the workload `spaced`, in seconds: longer than any contender's
#: window for collecting messages (10 ms in Dask's client), shorter than anybody's idleness.
SPACED_S = 0.015

#: Pause between two maps, in seconds: what the one before left behind is cleared up by then.
_SETTLE_S = 0.5

#: A map is repeated while all its repetitions together took less than this, in seconds.
_ENOUGH_S = 2.0


class WrongAnswer(Exception):
    """Raised when a contender's answer is not the expected one.

    Attributes:
        row: Line of the table.
        variant: What was tuned.
        answer: The beginning of what it answered, as text.
    """

    def __init__(self, row: str, variant: str, answer: str) -> None:
        self.row = row
        self.variant = variant
        self.answer = answer
        super().__init__(row, variant, answer)

    def __str__(self) -> str:
        name = f"{self.row} ({self.variant})" if self.variant else self.row
        return f"{name} gave a wrong answer: {self.answer}"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked in one round."""

    warm_calls: int = 20  #: calls before the clock starts
    calls: int = 100  #: one-node runs, hot and spaced
    idle_calls: int = 5  #: one-node runs after idleness
    hops: int = 200  #: nodes in the chain
    chains: int = 3  #: chains
    items: int = 10_000  #: items of the map
    maps: int = 3  #: maps, at most


#: Enough to see that everything works; too little for a number one could quote.
QUICK = Size(warm_calls=5, calls=20, idle_calls=1, hops=200, chains=1, items=2_000, maps=1)


@dataclass(frozen=True, slots=True)
class Samples:
    """What one way took in one round."""

    workload: str  #: key of :data:`WORKLOADS`
    row: str  #: line of the table
    variant: str  #: what was tuned; empty where there is nothing to tune
    values: list[float] = field(default_factory=list)  #: in the workload's unit, one per try


@dataclass(frozen=True, slots=True)
class Workload:
    """One question to every contender."""

    title: str  #: heading of its table
    column: str  #: heading where workloads are columns
    unit: str  #: of the samples
    higher_is_better: bool
    #: Measures each way of a contender; yields the way's row, variant and samples.
    measure: Callable[[Contender, Size], Iterator[tuple[str, str, list[float]]]]


def measure(key: str, contender: Contender, size: Size) -> Iterator[Samples]:
    """Yield the samples of every way in which a contender does a workload.

    Raises:
        WrongAnswer: An answer was not the expected one.
    """
    for row, variant, values in WORKLOADS[key].measure(contender, size):
        yield Samples(key, row, variant, values)


def _timed(way: Way[Asked, Answer], asked: Asked, expected: Answer) -> float:
    """Return the seconds that one call took, once its answer was found right."""
    begin = time.perf_counter()
    answer = way.call(asked)
    seconds = time.perf_counter() - begin
    if answer != expected:
        raise WrongAnswer(way.row, way.variant, repr(answer)[:200])
    return seconds


def _one_node(
    contender: Contender, size: Size, *, pause_s: float = 0.0
) -> Iterator[tuple[str, str, list[float]]]:
    """Time runs of one node, in milliseconds, each after a pause."""
    calls = size.idle_calls if pause_s >= IDLE_S else size.calls
    for way in contender.one():
        for number in range(size.warm_calls):
            _timed(way, number, number + 1)
        taken = []
        for number in range(calls):
            time.sleep(pause_s)
            taken.append(_timed(way, number, number + 1) * 1e3)
        yield way.row, way.variant, taken


def _chain(contender: Contender, size: Size) -> Iterator[tuple[str, str, list[float]]]:
    """Time runs of a chain, in milliseconds per hop."""
    for way in contender.chain(size.hops):
        _timed(way, 0, size.hops)
        per_hop = [
            _timed(way, number, number + size.hops) * 1e3 / size.hops
            for number in range(size.chains)
        ]
        yield way.row, way.variant, per_hop


def _map(contender: Contender, size: Size) -> Iterator[tuple[str, str, list[float]]]:
    """Time maps, in items per second."""
    few = range(size.items // 20)
    items = range(size.items)
    expected = _answers(items)
    for way in contender.map():
        _timed(way, few, _answers(few))
        seconds: list[float] = []
        while len(seconds) < size.maps and sum(seconds) < _ENOUGH_S:
            time.sleep(_SETTLE_S)
            seconds.append(_timed(way, items, expected))
        yield way.row, way.variant, [len(items) / taken for taken in seconds]


def _answers(items: Sequence[int]) -> list[int]:
    return [three_nodes(item) for item in items]


#: Name for `--only` -> workload.
WORKLOADS: Mapping[str, Workload] = {
    "hot": Workload("one-node run, hot", "hot, ms", "ms", False, _one_node),
    "spaced": Workload(
        f"one-node run, each {SPACED_S * 1e3:.0f} ms after the last",
        f"every {SPACED_S * 1e3:.0f} ms, ms",
        "ms",
        False,
        partial(_one_node, pause_s=SPACED_S),
    ),
    "idle": Workload(
        f"one-node run after {IDLE_S} s idle",
        "after idle, ms",
        "ms",
        False,
        partial(_one_node, pause_s=IDLE_S),
    ),
    "chain": Workload("chain of 200 nodes, per hop", "chain, ms per hop", "ms", False, _chain),
    "map": Workload(
        "no-op map, 3-node graph over 10,000 items", "map, items/s", "items/s", True, _map
    ),
}
