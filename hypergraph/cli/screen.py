"""What all commands print with: a console, tables without lines, and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

#: status of a run -> how it stands out
STYLES: Mapping[str, str] = {
    "queued": "cyan",
    "running": "cyan",
    "paused": "magenta",
    "completed": "green",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "yellow",
}


def make_console() -> Console:
    """Return what to print with: as wide as the terminal, 80 columns where there is none."""
    return Console(highlight=False)


def make_table() -> Table:
    """Return a table without lines: easy to read, and to copy from."""
    return Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))


def add_columns(table: Table, *names: str) -> None:
    """Add columns whose cells are never cut; a name that begins with ">" stands at the right."""
    for name in names:
        right = name.startswith(">")
        table.add_column(name.lstrip(">"), justify="right" if right else "left", no_wrap=True)


def put(console: Console, thing: RenderableType, *, indent: int = 0) -> None:
    """Print a table or text without the spaces that fill up its lines."""
    width = max(20, console.width - indent)
    lines = console.render_lines(thing, console.options.update(width=width), pad=False)
    for line in lines:
        while line and not line[-1].text.strip():
            line.pop()
        if line:
            line[-1] = Segment(line[-1].text.rstrip(), line[-1].style)
            line.insert(0, Segment(" " * indent))
        console.print(Segments([*line, Segment.line()]))


def say(text: str) -> None:
    """Print a sentence or two."""
    put(make_console(), Text(text))


def status_text(status: str) -> Text:
    """Return a run's status in its colour."""
    return Text(status, STYLES.get(status, ""))


def print_json(data: Any) -> None:
    """Print dataclasses, and what is made of them, as one JSON document."""
    click.echo(json.dumps(_plain(data), indent=2, ensure_ascii=False))


def _plain(data: Any) -> Any:
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        named = {f.name: getattr(data, f.name) for f in dataclasses.fields(data)}
        properties = (k for k, v in vars(type(data)).items() if isinstance(v, property))
        return _plain(named | {name: getattr(data, name) for name in properties})
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, set | frozenset):
        return sorted(map(_plain, data))
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return data
