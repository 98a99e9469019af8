"""Overhead of the runners that work in the caller's process, beside libraries of the same kind.

    python -m scripts.benchmarks.in_process [--rounds N]

Bodies do next to nothing, so what is measured is the library. All contenders are measured in the
same process, in turns, and the best of their rounds counts: a disturbance only ever adds time. Of a
contender with several ways to be called, the fastest one is taken. Who is not installed is left
out: `pip install pipefunc hypernodes langgraph sf-hamilton`.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from scripts.benchmarks import in_process_contenders as contenders
from scripts.benchmarks.in_process_contenders import CHAINS, Subject
from scripts.benchmarks.machine import describe

#: Wall time of one round of one subject, at least, in seconds.
_ROUND_S = 0.1


@dataclass(frozen=True, slots=True)
class Figure:
    """A promise: our number divided by a contender's, both of the same run."""

    title: str
    ours: str
    against: str
    most: float


FIGURES = (
    Figure("DAG of 10 nodes, no observers", "sync 10", "pipefunc 10", 1.0),
    Figure("DAG of 10 nodes, one observer", "sync observed 10", "pipefunc 10", 2.0),
    *(Figure(f"chain of {n}", f"sync {n}", f"hypernodes {n}", 1.0) for n in CHAINS),
    Figure("loop, per iteration", "sync loop", "langgraph loop", 0.1),
    Figure("AsyncRunner, chain of 10", "async 10", "sync 10", 2.0),
    Figure("AsyncRunner, chain of 160", "async 160", "sync 160", 2.0),
    Figure("AsyncRunner, loop", "async loop", "sync loop", 2.0),
    Figure("map of 3 nodes, per item", "sync map", "hypernodes map", 1.0),
)

#: What a promise without a contender allows, in microseconds.
LIMITS = {"Graph of 1,000": 50.0, "30 nodes, all pairs in cycles": 100e3}


def main() -> None:
    """Measure, and print what every subject took and what became of the promises."""
    parser = argparse.ArgumentParser(description="Measure the runners that work in this process.")
    parser.add_argument("--rounds", type=int, default=7, help="how often (default: 7)")
    rounds = parser.parse_args().rounds
    subjects = list(_subjects())
    best = dict.fromkeys((subject.name for subject in subjects), float("inf"))
    for _ in range(rounds):
        for subject in subjects:
            best[subject.name] = min(best[subject.name], _measure(subject) / subject.parts)
    for label, text in describe().items():
        print(f"{label}: {text}")
    print(f"\n{'subject':32} {'µs each':>12}")
    for subject in subjects:
        print(f"{subject.name:32} {best[subject.name] * 1e6:12.3f}")
    print()
    for line in _verdicts(best):
        print(line)


def _subjects() -> Iterator[Subject]:
    yield from contenders.ours()
    for module, others in contenders.OTHERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{module} is not installed and takes no part")
        else:
            yield from others()


def _measure(subject: Subject) -> float:
    """Return the seconds that one call takes, the mean over a round."""
    call = subject.call
    if subject.is_async:
        return asyncio.run(_measure_async(call))
    call()
    calls, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < _ROUND_S or not calls:
        call()
        calls += 1
    return taken / calls


async def _measure_async(call: Callable[[], object]) -> float:
    await call()  # type: ignore[misc]
    calls, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < _ROUND_S or not calls:
        await call()  # type: ignore[misc]
        calls += 1
    return taken / calls


def _verdicts(best: dict[str, float]) -> Iterator[str]:
    for figure in FIGURES:
        if figure.against in best:
            reached = best[figure.ours] / best[figure.against]
            word = "reached" if reached <= figure.most else "MISSED"
            yield (
                f"{figure.title:36} {reached:7.3f} x {figure.against:16} "
                f"(at most {figure.most:g}): {word}"
            )
    for name, most_us in LIMITS.items():
        word = "reached" if best[name] * 1e6 <= most_us else "MISSED"
        yield f"{name:36} {best[name] * 1e6:,.1f} µs (at most {most_us:,.0f}): {word}"
    yield _flatness(best)


def _flatness(best: dict[str, float]) -> str:
    """Say what a node more costs in chains of several lengths: what a run costs falls out."""
    costs = [
        (best[f"sync {long}"] * long - best[f"sync {short}"] * short) / (long - short) * 1e6
        for short, long in pairwise(CHAINS)
    ]
    said = ", ".join(f"{cost:.3f}" for cost in costs)
    spread = max(costs) / min(costs) - 1
    word = "reached" if spread <= 0.2 else "MISSED"
    return f"µs for a node more, {CHAINS}: {said}; within {spread:.0%} (at most 20 %): {word}"


if __name__ == "__main__":
    main()
