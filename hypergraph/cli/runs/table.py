"""The list of runs: a line for each, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from hypergraph.cli import figures, screen
from hypergraph.coordinator.account import RunSummary


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """Return the runs as a table. ``done`` is of the items of a map, the nodes of a run."""
    table = screen.make_table()
    screen.add_columns(table, "run", "status", "kind")
    table.add_column("graph", no_wrap=True, overflow="ellipsis", min_width=8)
    screen.add_columns(table, ">done", ">failed", ">age", ">took")
    for run in runs:
        table.add_row(
            run.run_id,
            screen.status_text(run.status),
            run.kind,
            Text(figures.one_line(run.graph) or "-"),
            progress(run.done, run.total),
            Text(f"{run.failed:,}" if run.failed else "", "red"),
            figures.age(run.age_s),
            figures.duration(run.took_s),
        )
    return table


def progress(done: int, total: int | None) -> str:
    """Return how far something has come.

    >>> progress(3, 4), progress(12_345, 1_000_000), progress(7, None)
    ('3/4', '12,345/1M', '7')
    """
    return short(done) if total is None else f"{short(done)}/{short(total)}"


def short(number: int) -> str:
    """Return a number in at most six characters. It is never rounded up to what it is not yet.

    >>> [short(n) for n in (0, 99_999, 123_999, 1_000_000, 12_349_999)]
    ['0', '99,999', '123k', '1M', '12.3M']
    """
    if number < 100_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{number // 1000}k"
    millions = number // 100_000 / 10
    return f"{millions:.0f}M" if millions == int(millions) or millions >= 100 else f"{millions}M"
