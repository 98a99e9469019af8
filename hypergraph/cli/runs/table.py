"""The list of runs: a line for each, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from hypergraph.cli import figures, screen
from hypergraph.coordinator.account import RunSummary


def runs_table(runs: Sequence[RunSummary], width: int) -> Table:
    """Return the runs as a table. ``done`` is of the items of a map, the nodes of a run.

    Args:
        runs: In the order to show them in.
        width: In columns. Names of graphs are cut where there is no room, and nothing else is.
    """
    rows = [_cells(run) for run in runs]
    others = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    room = width - sum(others) + others[_GRAPH] - 2 * (len(_HEAD) - 1)
    table = screen.make_table()
    for name in _HEAD:
        screen.add_columns(table, f">{name}" if name in _NUMBERS else name)
    table.columns[_GRAPH].max_width = max(_LEAST, room)
    table.columns[_GRAPH].overflow = "ellipsis"
    for run, row in zip(runs, rows, strict=True):
        cells = [Text(cell) for cell in row]
        cells[1].stylize(screen.STYLES.get(run.status, ""))
        cells[5].stylize("red")
        table.add_row(*cells)
    return table


_HEAD = ("run", "status", "kind", "graph", "done", "failed", "age", "took")
_NUMBERS = frozenset(_HEAD[4:])
_GRAPH = 3  # the column that gives way
_LEAST = 6  # characters of a graph's name


def _cells(run: RunSummary) -> tuple[str, ...]:
    return (
        run.run_id,
        run.status,
        run.kind,
        figures.one_line(run.graph) or "-",
        progress(run.done, run.total),
        short(run.failed) if run.failed else "",
        figures.age(run.age_s),
        figures.duration(run.took_s),
    )


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
