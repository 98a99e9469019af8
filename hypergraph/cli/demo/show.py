"""What the demonstration prints. Everything fits into 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hypergraph import MapResult
from hypergraph.cli.demo.sources import Sources
from hypergraph.cli.demo.survey import Measures

_FAILED_SHOWN = 5
_CYCLES_SHOWN = 3


def sources(console: Console, found: Sources) -> None:
    """Say which files are surveyed."""
    part = 100 * len(found.paths) // max(1, found.found)
    console.print(
        f"Surveying {len(found.paths):,} of {found.found:,} Python files "
        f"({part} %, {found.size_bytes / 1e6:.1f} MB) of"
    )
    for root in found.roots:
        console.print(f"  {root}", soft_wrap=True, highlight=False)


def failures(console: Console, files: MapResult) -> None:
    """Say how many files could not be measured, and why."""
    failed = files.failed
    if not failed:
        console.print(f"All {len(files):,} files parse.")
        return
    console.print(f"{len(failed):,} of {len(files):,} files do not parse:")
    for result in failed[:_FAILED_SHOWN]:
        line = f"  {type(result.error).__name__}: {result.error}"
        console.print(line, markup=False, no_wrap=True, overflow="ellipsis")
    if len(failed) > _FAILED_SHOWN:
        console.print(f"  and {len(failed) - _FAILED_SHOWN:,} more")


def ranking(console: Console, ranked: Sequence[tuple[Measures, int]]) -> None:
    """Print the most imported modules."""
    table = _table("The most imported modules")
    table.add_column("module", no_wrap=True, overflow="ellipsis")
    columns = ("used by", "lines", "functions", "classes", "branches", "docs")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for file, importers in ranked:
        numbers = (file["lines"], file["functions"], file["classes"], file["branches"])
        coverage = f"{100 * file['documented'] // file['definitions']} %"
        table.add_row(file["module"], f"{importers:,}", *(f"{n:,}" for n in numbers), coverage)
    console.print(table)


def totals(console: Console, sums: Mapping[str, int], cycles: Sequence[Sequence[str]]) -> None:
    """Print the sums over all files, and the largest import cycles."""
    coverage = 100 * sums["documented"] // max(1, sums["definitions"])
    console.print(
        f"In all: {sums['lines']:,} lines, {sums['functions']:,} functions, "
        f"{sums['classes']:,} classes, {sums['branches']:,} branches; {coverage} % documented; "
        f"{sums['imports']:,} imports among them, {len(cycles):,} import cycles."
    )
    for cycle in cycles[:_CYCLES_SHOWN]:
        console.print(f"  {len(cycle)} modules around {cycle[0]}", highlight=False)


def times(console: Console, alone_s: float, startup_s: float, together_s: float) -> None:
    """Print how long one process took, how long workers took, and how long they took to start."""
    table = _table("Times")
    table.add_column("")
    table.add_column("seconds", justify="right")
    table.add_row("survey on one process", f"{alone_s:.2f}")
    table.add_row("survey on workers", f"{together_s:.2f}")
    table.add_row("starting Redis and workers", f"{startup_s:.2f}")
    console.print(table)
    console.print(f"The workers were {alone_s / together_s:.2f} times as fast.")


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
