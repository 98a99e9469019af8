"""The figures this project promises, as a table, and whether they were reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from scripts.benchmarks.contenders.ours import OURS
from scripts.benchmarks.imports import IMPORT
from scripts.benchmarks.results import Results
from scripts.benchmarks.summary import Summary, number, ratio, summarise


@dataclass(frozen=True, slots=True)
class Figure:
    """A promise: our number divided by a contender's, in the same round."""

    title: str
    workload: str  #: key of the workload
    against: str  #: row of the contender
    most: float | None = None  #: the ratio may be at most this, where less is better
    least: float | None = None  #: the ratio must be at least this, where more is better


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a promise."""

    title: str
    required: str
    measured: str
    reached: bool | None  #: None: one of the sides was not measured


FIGURES = (
    Figure("one-node run, hot", "hot", "Dask", most=0.3),
    Figure("one-node run, 1.5 s idle", "idle", "Dask", most=0.7),
    Figure("chain of 200, per hop", "chain", "Dask", most=0.25),
    Figure("map, no chunk size given", "map", "Dask futures", least=50),
    Figure("map, no chunk size given", "map", "Dask bag", least=1.5),
)

#: `import hypergraph` may take this much longer than bare Python, in milliseconds ...
IMPORT_MS = 120.0

#: ... or this many times what `import asyncio` takes over bare Python, whichever is more.
IMPORT_RATIO = 2.5


def verdicts(results: Results) -> Iterator[Verdict]:
    """Yield what became of each promise whose workload was measured at all."""
    for figure in FIGURES:
        if any(True for _ in results.rows(figure.workload)):
            yield _verdict(figure, results)
    if any(True for _ in results.rows(IMPORT)):
        yield _import_verdict(results)


def _verdict(figure: Figure, results: Results) -> Verdict:
    if figure.most is not None:
        required = f"<= {figure.most:g} x {figure.against}"
    else:
        required = f">= {figure.least:g} x {figure.against}"
    ours = results.row(figure.workload, OURS)
    theirs = results.row(figure.workload, figure.against)
    measured = ratio(ours.rounds, theirs.rounds) if ours and theirs else None
    if measured is None:
        return Verdict(figure.title, required, "not measured", None)
    return Verdict(figure.title, required, _text(measured), is_reached(figure, measured.median))


def is_reached(figure: Figure, measured: float) -> bool:
    """Return whether a ratio keeps the promise.

    >>> is_reached(Figure("hot", "hot", "Dask", most=0.3), 0.3)
    True
    >>> is_reached(Figure("map", "map", "Dask bag", least=1.5), 1.4)
    False
    """
    if figure.most is not None and measured > figure.most:
        return False
    return figure.least is None or measured >= figure.least


def _import_verdict(results: Results) -> Verdict:
    bare, asyncio, ours = (
        results.row(IMPORT, name) for name in ("bare Python", "import asyncio", "import hypergraph")
    )
    title = "import, over bare Python"
    if bare is None or asyncio is None or ours is None:
        return Verdict(title, f"<= {IMPORT_MS:g} ms", "not measured", None)
    limit = max(IMPORT_MS, IMPORT_RATIO * (asyncio.summary.median - bare.summary.median))
    over = summarise([[median(ours.rounds[n]) - median(bare.rounds[n])] for n in ours.rounds])
    measured = f"{over.median:.0f} ms ({over.low:.0f} .. {over.high:.0f})"
    return Verdict(title, f"<= {limit:.0f} ms", measured, over.median <= limit)


def _text(measured: Summary) -> str:
    middle, low, high = (
        number(value, places=3) for value in (measured.median, measured.low, measured.high)
    )
    return f"{middle} ({low} .. {high})"
