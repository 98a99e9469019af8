"""Progress bars for runs and maps, drawn with rich."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypergraph.events.processor import TypedEventProcessor
from hypergraph.events.types import (
    NodeEndEvent,
    NodeErrorEvent,
    NodeStartEvent,
    RunEndEvent,
    RunStartEvent,
)

#: What one bar of nodes stands for: graph name, node name, depth.
_Row = tuple[str | None, str, int]


@dataclass(slots=True)
class _Span:
    """A run, a map or a node that has begun."""

    depth: int  #: nested graphs around it
    size: int  #: items of the nearest map around it, or 1
    is_node: bool = False
    bar: Any = None  #: id of a map's bar
    failed: int = 0  #: items of a map that have failed


@dataclass(slots=True)
class _Bar:
    """A bar that counts the executions of one node."""

    id: Any
    total: int
    started: int = 0


class RichProgressProcessor(TypedEventProcessor):
    """Draws a bar per map and per node while a run is under way, and says how it ended.

    Args:
        transient: Whether the bars vanish at the end.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self, *, transient: bool = True) -> None:
        try:
            import rich.progress as bars
        except ImportError as error:
            raise ImportError(
                "RichProgressProcessor draws with rich, which is not installed: pip install rich"
            ) from error
        self._progress = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TimeElapsedColumn(),
            transient=transient,
        )
        self._is_started = False
        self._spans: dict[str, _Span] = {}  #: span id -> what has begun
        self._bars: dict[_Row, _Bar] = {}

    def on_run_start(self, event: RunStartEvent) -> None:
        """Take note of the run, and draw a bar if it is a map."""
        self._start()
        parent = self._spans.get(event.parent_span_id or "")
        span = _Span(0, 1) if parent is None else _Span(parent.depth + parent.is_node, parent.size)
        if event.is_map and event.map_size is not None:
            span.size = event.map_size
            label = f"{event.graph_name or 'Map'} Progress"
            span.bar = self._progress.add_task(
                _described("🗺️", label, span.depth), total=event.map_size
            )
        self._spans[event.span_id] = span

    def on_run_end(self, event: RunEndEvent) -> None:
        """Count an item of a map. At the end of all, say how it went."""
        self._spans.pop(event.span_id, None)
        if event.parent_span_id is None:
            self._progress.console.print(_ending(event))
            return
        parent = self._spans.get(event.parent_span_id)
        if parent is None or parent.bar is None:
            return
        self._progress.advance(parent.bar, 1)
        if event.status == "failed":
            parent.failed += 1
            said = str(self._progress.tasks[parent.bar].description).partition(" [red](")[0]
            self._progress.update(
                parent.bar, description=f"{said} [red]({parent.failed} failed)[/red]"
            )

    def on_node_start(self, event: NodeStartEvent) -> None:
        """Draw the node's bar, or make room on the one it has."""
        self._start()
        run = self._spans.get(event.parent_span_id or "") or _Span(0, 1)
        self._spans[event.span_id] = _Span(run.depth, run.size, is_node=True)
        row = (event.graph_name, event.node_name, run.depth)
        bar = self._bars.get(row)
        if bar is None:
            icon = "🌳" if run.depth else "📦"
            description = _described(icon, event.node_name, run.depth)
            made = self._progress.add_task(description, total=run.size)
            bar = self._bars[row] = _Bar(made, run.size)
        bar.started += 1
        needed = max(run.size, bar.started)
        if needed > bar.total:
            bar.total = needed
            self._progress.update(bar.id, total=needed)

    def on_node_end(self, event: NodeEndEvent) -> None:
        """Count an execution of the node."""
        bar = self._bar_of(event)
        if bar is not None:
            self._progress.advance(bar.id, 1)

    def on_node_error(self, event: NodeErrorEvent) -> None:
        """Mark the node's bar."""
        bar = self._bar_of(event)
        if bar is None:
            return
        said = str(self._progress.tasks[bar.id].description)
        if "FAILED" not in said:
            self._progress.update(bar.id, description=f"{said} [red]FAILED[/red]")

    def shutdown(self) -> None:
        """Stop drawing. What comes later starts it again."""
        if self._is_started:
            self._is_started = False
            self._spans.clear()
            self._progress.stop()

    def _start(self) -> None:
        if not self._is_started:
            self._is_started = True
            self._progress.start()

    def _bar_of(self, event: NodeEndEvent | NodeErrorEvent) -> _Bar | None:
        span = self._spans.pop(event.span_id, None)
        depth = 0 if span is None else span.depth
        return self._bars.get((event.graph_name, event.node_name, depth))


def _described(icon: str, label: str, depth: int) -> str:
    return f"{'  ' * depth}{icon} {label}"


def _ending(event: RunEndEvent) -> str:
    name = event.graph_name or "Graph"
    if event.status == "failed":
        # What stands in brackets in an error's text is not markup.
        text = (event.error or "").replace("[", r"\[")
        return f"[red]{name} failed: {text}[/red]"
    return f"{name} {event.status}"
