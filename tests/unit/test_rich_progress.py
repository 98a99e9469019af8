"""What RichProgressProcessor draws, seen by a stand-in for rich's Progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import rich.progress

from hypergraph import END, Graph, RichProgressProcessor, SyncRunner, node, route
from hypergraph.events import NodeStartEvent, RunEndEvent, RunStartEvent


@dataclass
class Task:
    description: str
    total: int
    completed: int = 0


@dataclass
class Canvas:
    """Takes the calls that the processor may make, and no others."""

    tasks: dict[int, Task] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def add_task(self, description: str, *, total: int) -> int:
        self.tasks[len(self.tasks)] = Task(description, total)
        return len(self.tasks) - 1

    def advance(self, task: int, by: int) -> None:
        self.tasks[task].completed += by

    def update(self, task: int, **changes: Any) -> None:
        assert changes.keys() <= {"description", "total"}
        for name, value in changes.items():
            setattr(self.tasks[task], name, value)

    @property
    def console(self) -> Canvas:
        return self

    def print(self, text: str) -> None:
        self.printed.append(text)

    @property
    def bars(self) -> list[tuple[str, int, int]]:
        return [(task.description, task.completed, task.total) for task in self.tasks.values()]


@pytest.fixture
def canvas(monkeypatch: pytest.MonkeyPatch) -> Iterator[Canvas]:
    made = Canvas()

    def make(*columns: Any, **options: Any) -> Canvas:
        made.calls.append(f"transient={options['transient']}")
        return made

    monkeypatch.setattr(rich.progress, "Progress", make)
    yield made


@node(output_name="a")
def first(x: int) -> int:
    return x + 1


@node(output_name="b")
def second(a: int) -> int:
    if a < 0:
        raise ValueError(f"[negative] {a}")
    return a * 2


chain = Graph([first, second], name="chain")


def run(graph: Graph, values: dict[str, Any], **options: Any) -> None:
    with suppress(ValueError):
        SyncRunner().run(graph, values, event_processors=[RichProgressProcessor()], **options)


def test_a_run_has_a_bar_per_node_and_a_line_at_the_end(canvas: Canvas) -> None:
    run(chain, {"x": 1})

    assert canvas.bars == [("📦 first", 1, 1), ("📦 second", 1, 1)]
    assert canvas.printed == ["chain completed"]
    assert canvas.calls == ["transient=True", "start", "stop"]


def test_nothing_is_drawn_before_something_happens(canvas: Canvas) -> None:
    processor = RichProgressProcessor(transient=False)
    processor.shutdown()

    assert canvas.calls == ["transient=False"]
    processor.on_node_start(NodeStartEvent("r", node_name="n", graph_name="g"))
    processor.on_node_start(NodeStartEvent("r", node_name="n", graph_name="g"))
    processor.shutdown()
    processor.shutdown()
    assert canvas.calls == ["transient=False", "start", "stop"]
    processor.on_run_start(RunStartEvent("r"))
    assert canvas.calls[-1] == "start"


def test_nodes_of_nested_graphs_are_indented(canvas: Canvas) -> None:
    run(Graph([Graph([chain.as_node()], name="mid").as_node()], name="top"), {"x": 1})

    assert [description for description, _, _ in canvas.bars] == [
        "📦 mid",
        "  🌳 chain",
        "    🌳 first",
        "    🌳 second",
    ]
    assert canvas.printed == ["top completed"]


def test_a_map_has_a_bar_and_its_nodes_share_theirs(canvas: Canvas) -> None:
    processor = RichProgressProcessor()
    SyncRunner().map(chain, {"x": [1, 2, 3]}, map_over="x", event_processors=[processor])

    assert canvas.bars == [
        ("🗺️ chain Progress", 3, 3),
        ("📦 first", 3, 3),
        ("📦 second", 3, 3),
    ]
    assert canvas.printed == ["chain completed"]


def test_failed_items_are_counted_in_red(canvas: Canvas) -> None:
    SyncRunner().map(
        Graph([first, second]),
        {"x": [1, -5, -6]},
        map_over="x",
        error_handling="continue",
        event_processors=[RichProgressProcessor()],
    )

    map_bar, first_bar, second_bar = canvas.bars
    assert map_bar == ("🗺️ Map Progress [red](2 failed)[/red]", 3, 3)
    assert first_bar == ("📦 first", 3, 3)
    assert second_bar[0].startswith("📦 second [red]")
    assert second_bar[0].count("FAILED") == 1
    assert second_bar[1:] == (1, 3)


def test_a_mapped_node_has_a_map_bar_at_the_depth_of_its_items(canvas: Canvas) -> None:
    run(Graph([chain.as_node().map_over("x")], name="top"), {"x": [1, 2]})

    assert canvas.bars == [
        ("📦 chain", 1, 1),
        ("  🗺️ chain Progress", 2, 2),
        ("  🌳 first", 2, 2),
        ("  🌳 second", 2, 2),
    ]


def test_maps_in_maps_make_room_as_they_go(canvas: Canvas) -> None:
    row = Graph([chain.as_node().map_over("x")], name="row").as_node().with_inputs(x="rows")
    run(Graph([row.map_over("rows")], name="top"), {"rows": [[1, 2], [3]]})

    bars = {description.strip(): (done, total) for description, done, total in canvas.bars}
    assert bars["🌳 first"] == (3, 3)
    assert bars["🗺️ row Progress"] == (2, 2)


def test_a_loop_makes_room_for_every_turn(canvas: Canvas) -> None:
    @node(output_name="n")
    def bump(n: int) -> int:
        return n + 1

    @route(targets=["bump", END])
    def again(n: int) -> Any:
        return "bump" if n < 3 else END

    run(Graph([bump, again], name="loop"), {"n": 0})

    assert canvas.bars == [("📦 again", 4, 4), ("📦 bump", 3, 3)]


def test_a_failed_run_says_why(canvas: Canvas) -> None:
    run(chain, {"x": -5})

    assert len(canvas.printed) == 1
    assert "chain" in canvas.printed[0]
    assert "failed" in canvas.printed[0]
    assert r"\[negative] -4" in canvas.printed[0]
    assert canvas.bars[1][0].startswith("📦 second [red]")
    assert canvas.calls[-1] == "stop"


def test_a_paused_run_says_so(canvas: Canvas) -> None:
    processor = RichProgressProcessor()
    start = RunStartEvent("r", graph_name="g")
    processor.on_event(start)
    processor.on_event(RunEndEvent("r", start.span_id, graph_name="g", status="paused"))

    assert canvas.printed == ["g paused"]


def test_the_real_thing_draws(capsys: pytest.CaptureFixture[str]) -> None:
    run(Graph([chain.as_node().map_over("x")], name="top"), {"x": [1, -5]})

    assert "top failed: [negative] -4" in capsys.readouterr().out


def test_without_rich_there_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.progress", None)

    with pytest.raises(ImportError, match="rich"):
        RichProgressProcessor()
