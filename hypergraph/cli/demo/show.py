"""What the demonstration prints. Everything fits into 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from rich.console import Console
from rich.text import Text

from hypergraph import MapResult
from hypergraph.cli import figures, screen
from hypergraph.cli.demo.kill import Killed
from hypergraph.cli.demo.sources import Sources
from hypergraph.cli.demo.survey import Measures
from hypergraph.coordinator.account import Loss

_FAILED_SHOWN = 5
_CYCLES_SHOWN = 3


def say(console: Console, text: str) -> None:
    """Print a paragraph."""
    screen.put(console, Text(text))


def sources(console: Console, found: Sources) -> None:
    """Say which files are surveyed."""
    part = 100 * len(found.paths) // max(1, found.found)
    console.print(
        f"Surveying {len(found.paths):,} of {found.found:,} Python files "
        f"({part} %, {found.size_bytes / 1e6:.1f} MB) of"
    )
    for root in found.roots:
        console.print(Text(f"  {root}"), soft_wrap=True)


def failures(console: Console, files: MapResult, of: Sources) -> None:
    """Say how many files could not be measured, and why."""
    failed = files.failed
    if not failed:
        console.print(f"All {len(files):,} files parse.")
        return
    do_not = "does not" if len(failed) == 1 else "do not"
    console.print(f"{len(failed):,} of {len(files):,} files {do_not} parse:")
    for result in failed[:_FAILED_SHOWN]:
        line = f"{_relative(of.paths[result.index or 0], of)}: {_reason(result.error)}"
        screen.put(
            console, Text(figures.one_line(line), no_wrap=True, overflow="ellipsis"), indent=2
        )
    if len(failed) > _FAILED_SHOWN:
        console.print(f"  and {len(failed) - _FAILED_SHOWN:,} more")


def _relative(path: str, of: Sources) -> str:
    root = next(root for root in of.roots if PurePath(path).is_relative_to(root))
    return str(PurePath(path).relative_to(root))


def _reason(error: BaseException | None) -> str:
    """Return what is wrong with a file, without its name."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}, {error.msg}" if error.lineno else str(error.msg)
    return f"{type(error).__name__}: {error}"


def ranking(console: Console, ranked: Sequence[tuple[Measures, int]]) -> None:
    """Print the most imported modules."""
    console.print("\nThe most imported modules:\n")
    table = screen.make_table()
    table.add_column("module", no_wrap=True, overflow="ellipsis")
    screen.add_columns(table, ">used by", ">lines", ">functions", ">classes", ">branches", ">docs")
    for file, importers in ranked:
        numbers = (file["lines"], file["functions"], file["classes"], file["branches"])
        coverage = f"{100 * file['documented'] // file['definitions']} %"
        table.add_row(
            Text(file["module"]), f"{importers:,}", *(f"{n:,}" for n in numbers), coverage
        )
    screen.put(console, table, indent=2)
    console.print()


def totals(console: Console, sums: Mapping[str, int], cycles: Sequence[Sequence[str]]) -> None:
    """Print the sums over all files, and the largest import cycles."""
    coverage = 100 * sums["documented"] // max(1, sums["definitions"])
    say(
        console,
        f"In all: {sums['lines']:,} lines, {sums['functions']:,} functions, "
        f"{sums['classes']:,} classes, {sums['branches']:,} branches; {coverage} % documented; "
        f"{sums['imports']:,} imports among them, {len(cycles):,} import cycles.",
    )
    for cycle in cycles[:_CYCLES_SHOWN]:
        console.print(Text(f"  {len(cycle)} modules around {cycle[0]}"))


def times(
    console: Console, alone_s: float, startup_s: float, together_s: float, workers: int
) -> None:
    """Print how long one process took, how long workers took, and how long they took to start."""
    table = screen.make_table()
    screen.add_columns(table, "survey", ">seconds", "")
    ratio = alone_s / together_s
    table.add_row("on one process", f"{alone_s:.2f}", "")
    table.add_row(
        f"on {figures.plural(workers, 'worker process', 'worker processes')}",
        f"{together_s:.2f}",
        Text(f"{ratio:.2f} times as fast", "green" if ratio > 1 else "yellow"),
    )
    table.add_row("to start Redis and workers", f"{startup_s:.2f}", "once, before that")
    console.print()
    screen.put(console, table, indent=2)
    console.print()


def kill(console: Console, victim: Victim, of: Sources) -> None:
    """Say what was killed, and what became of what it was doing."""
    killed = victim.killed
    if killed is None:
        console.print("Nothing was killed: it was over too soon. Try without --limit.")
        return
    say(
        console,
        f"Process {killed.pid} was killed (-9) when {killed.done:,} of {killed.total:,} files were "
        "done; another one took its place.",
    )
    for loss in victim.losses:
        path = _relative(of.paths[loss.item or 0], of)
        say(console, f"{path} was being surveyed, and was surveyed again.")


@dataclass(frozen=True, slots=True)
class Victim:
    """What ``--kill`` has done."""

    killed: Killed | None  #: None: it did not come to it
    losses: tuple[Loss, ...]
