"""The results as text for a terminal of 80 columns, and as Markdown for a README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import fill

from scripts.benchmarks.contenders.ours import OURS
from scripts.benchmarks.figures import Verdict, verdicts
from scripts.benchmarks.imports import IMPORT
from scripts.benchmarks.results import Results, Row
from scripts.benchmarks.summary import number, ratio
from scripts.benchmarks.workloads import WORKLOADS

#: What one has to know to read the numbers.
CAVEATS = (
    "The nodes do nothing, so this is overhead and nothing else. The more a node does, the "
    "less the differences matter.",
    "Client, workers, scheduler and Redis share the cores of one machine; no network is involved.",
    "Each contender runs alone, in a process of its own that is started anew in each round. "
    "Starting it, building graphs and warming up are not timed.",
    "A round speaks with its median; given are the median of the rounds and the lowest and "
    "highest round. Ratios are taken within a round. Of variants the best stands.",
    "Only hypergraph keeps run state and results in Redis and survives the death of a worker "
    "or the client; Dask recomputes what a lost worker held; a pool breaks when a process dies.",
    "Dask's client collects messages for 10 ms, which is most of its hot one-node run; calls "
    "further apart do not wait, see the table with 15 ms between calls.",
    "Dask futures hold tasks back on the scheduler by default; 'not queued' is the same with "
    "distributed.scheduler.worker-saturation = inf.",
    "hypergraph runs with progress=False, and its chain returns the last value only.",
)

_WIDTH = 80


def to_text(results: Results) -> str:
    """Return the tables, the promised figures, machine and caveats."""
    parts = [_table(results, key) for key in WORKLOADS]
    parts += [_import_table(results), _figures(results)]
    parts += [_list("Not measured", (f"{k}: {why}" for k, why in results.unavailable.items()))]
    parts += [_list("WRONG ANSWERS", results.wrong), _list("Failures", results.failed)]
    parts += [_list("Machine", (f"{label}: {text}" for label, text in results.machine.items()))]
    parts += [_list("Caveats", CAVEATS)]
    return "\n\n".join(part for part in parts if part)


def to_markdown(results: Results) -> str:
    """Return one table of all workloads, one of the promised figures, machine and caveats."""
    machine = "; ".join(results.machine.values())
    caveats = "\n".join(f"- {caveat}" for caveat in CAVEATS)
    parts = [_markdown_rows(results), _markdown_figures(results), f"Measured on: {machine}."]
    return "\n\n".join(part for part in [*parts, caveats] if part) + "\n"


def _table(results: Results, workload: str) -> str:
    about = WORKLOADS[workload]
    direction = "more" if about.higher_is_better else "less"
    heading = f"{about.title}, {about.unit} ({direction} is better)"
    return _rows(heading, list(results.rows(workload)), results.row(workload, OURS))


def _import_table(results: Results) -> str:
    ours = results.row(IMPORT, "import hypergraph")
    heading = "Python from start to exit, ms (less is better)"
    return _rows(heading, list(results.rows(IMPORT)), ours)


def _rows(heading: str, rows: Sequence[Row], ours: Row | None) -> str:
    """Return a table of one workload; its last column divides `ours` by each row."""
    if not rows:
        return ""
    lines = [heading, f"  {'':<31}{'median':>11}{'lowest .. highest':>25}{'ours/this':>11}"]
    for row in rows:
        summary = row.summary
        spread = f"{number(summary.low)} .. {number(summary.high)}"
        lines.append(
            f"  {_name(row):<31}{number(summary.median):>11}{spread:>25}{_ratio(ours, row):>11}"
        )
    return "\n".join(lines)


def _name(row: Row) -> str:
    return f"{row.name} ({row.variant})" if row.variant else row.name


def _ratio(ours: Row | None, row: Row) -> str:
    if ours is None or ours.name == row.name:
        return ""
    divided = ratio(ours.rounds, row.rounds)
    return number(divided.median) if divided else ""


def _figures(results: Results) -> str:
    lines = [
        f"  {verdict.title:<25}{verdict.required:<21}{verdict.measured:<24}{_word(verdict):>8}"
        for verdict in verdicts(results)
    ]
    return "\n".join(["Promised figures, ours / theirs", *lines]) if lines else ""


def _word(verdict: Verdict) -> str:
    return {True: "reached", False: "MISSED", None: ""}[verdict.reached]


def _list(heading: str, entries: Iterable[str]) -> str:
    lines = [
        fill(entry, _WIDTH, initial_indent="  - ", subsequent_indent="    ") for entry in entries
    ]
    return "\n".join([heading, *lines]) if lines else ""


def _markdown_rows(results: Results) -> str:
    """Return one table: a line per row name, a column per workload that was measured."""
    tables = {key: {row.name: row for row in results.rows(key)} for key in WORKLOADS}
    tables = {key: table for key, table in tables.items() if table}
    if not tables:
        return ""
    names = dict.fromkeys(name for table in tables.values() for name in table)
    head = ["", *(WORKLOADS[key].column for key in tables)]
    lines = [_cells(head), _cells(["---", *("---:" for _ in tables)])]
    for name in names:
        rows = [table.get(name) for table in tables.values()]
        lines.append(_cells([name, *(_cell(row) for row in rows)]))
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    summary = row.summary
    spread = f"{number(summary.median)} ({number(summary.low)} .. {number(summary.high)})"
    return f"{spread}, {row.variant}" if row.variant else spread


def _markdown_figures(results: Results) -> str:
    lines = [
        _cells([verdict.title, verdict.required, verdict.measured, _word(verdict)])
        for verdict in verdicts(results)
    ]
    head = [_cells(["figure", "promised", "measured, ours / theirs", ""]), _cells(["---"] * 4)]
    return "\n".join([*head, *lines]) if lines else ""


def _cells(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"
