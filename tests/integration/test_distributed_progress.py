"""What people see of a run or map while it is under way, and what they do not."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypergraph import DistributedRunner, Graph, node
from hypergraph.runners import progress
from hypergraph.runners.progress import Progress
from hypergraph.worker.local import LocalWorkers
from tests.conftest import SECRET

ROOT = Path(__file__).parents[2]

HEAD = """
import os, sys, time
from hypergraph import DistributedRunner, Graph, node
runner = DistributedRunner(os.environ["URL"], secret=os.environ["KEY"], namespace="shared")

@node(output_name="y")
def slow(x):
    time.sleep(0.02)
    if x % 10 == 7:
        raise ValueError(x)
    return x

@node(output_name="y")
def tick(x):
    time.sleep(0.07)
    return x + 1

graph = Graph([slow], name="measure")
chain = Graph([tick.with_name(f"n{i}").with_inputs(x=f"v{i}").with_outputs(y=f"v{i + 1}")
               for i in range(20)], name="chain")
"""

#: 50 items of 20 ms on two workers, each fifth of which fails.
MAP = "runner.map(graph, {'x': range(50)}, map_over='x', error_handling='continue', chunk=1)\n"


def seen(workers: LocalWorkers, tmp_path: Path, text: str, *, terminal: bool) -> tuple[str, str]:
    """Run a script, and return what it writes to standard output and to standard error."""
    path = tmp_path / "script.py"
    path.write_text(HEAD + textwrap.dedent(text))
    env = {
        **os.environ,
        "URL": workers.config.url,
        "KEY": SECRET.decode(),
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    command = [sys.executable, str(path)]
    if not terminal:
        found = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
        assert found.returncode == 0, found.stderr
        return found.stdout, found.stderr
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=theirs, stdin=theirs, text=True
    )
    os.close(theirs)
    drawn = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # the other end was closed
                return
            if not data:
                return
            drawn.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=30)
    reader.join(5)
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn.decode())
    assert process.returncode == 0, text
    return out, text


def test_a_map_draws_a_bar_with_items_rate_and_failures(
    workers: LocalWorkers, tmp_path: Path
) -> None:
    out, drawn = seen(workers, tmp_path, "print(len(" + MAP.strip() + "))", terminal=True)

    assert out == "50\n"
    states = re.findall(r"measure\s.*?(\d+)/(\d+) (\d+)/s", drawn)
    assert states[-1][:2] == ("50", "50")
    assert {total for _, total, _ in states} == {"50"}  # known from the beginning
    assert 1 <= int(states[-1][2]) <= 200
    assert "5 failed" in drawn
    counts = [int(done) for done, _, _ in states]
    assert counts == sorted(counts)
    assert len(set(counts)) > 1


def test_lines_that_nodes_print_stand_above_the_bar(tmp_path: Path) -> None:
    text = """
    import time
    from hypergraph import DistributedRunner, Graph, node
    @node(output_name="y")
    def speak(x):
        time.sleep(0.02)
        if x == 30:
            print("in the middle")
        return x
    with DistributedRunner(workers=2) as local:
        local.map(Graph([speak], name="talk"), {"x": range(60)}, map_over="x", chunk=1)
    """
    workers: Any = type("W", (), {"config": type("C", (), {"url": ""})})
    text = text.replace("DistributedRunner(workers=2)", "DistributedRunner(None, workers=2)")
    _, drawn = seen(workers, tmp_path, text, terminal=True)

    assert re.search(r"(^|[\r\n])\[run-\w+ speak\[30\]\] in the middle\r?\n", drawn)
    assert re.search(r"talk\s.*60/60", drawn)


def test_a_run_shows_a_bar_after_a_second_only(workers: LocalWorkers, tmp_path: Path) -> None:
    _, drawn = seen(workers, tmp_path, "runner.run(chain, v0=0)", terminal=True)
    assert re.search(r"chain\s.*\d+/20", drawn)

    _, drawn = seen(workers, tmp_path, "runner.run(Graph([tick]), x=0)", terminal=True)
    assert drawn == ""


def test_a_run_counts_the_items_of_its_mapped_nodes(workers: LocalWorkers, tmp_path: Path) -> None:
    text = """
    many = Graph([Graph([tick], name="one").as_node().map_over("x")], name="many")
    runner.run(many, x=list(range(40)))
    """
    _, drawn = seen(workers, tmp_path, text, terminal=True)

    states = [tuple(map(int, found)) for found in re.findall(r"many\s.*?(\d+)/(\d+)", drawn)]
    assert states
    assert {total for _, total in states} == {41}  # the items and the node around them
    assert 0 < states[0][0] < 40


def test_without_a_terminal_there_are_plain_lines(workers: LocalWorkers, tmp_path: Path) -> None:
    text = "import hypergraph.runners.progress as p\np.LINE_EVERY_S = 0.3\n" + MAP
    _, err = seen(workers, tmp_path, text, terminal=False)

    lines = err.splitlines()
    assert len(lines) >= 2
    for line in lines[:-1]:
        assert re.fullmatch(r"measure: \d+/50 done, \d+/s, \d+ s left(, \d+ failed)?", line), line
    assert re.fullmatch(r"measure: 50/50 done, \d+/s, 5 failed", lines[-1])


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_can_be_turned_off(workers: LocalWorkers, tmp_path: Path, terminal: bool) -> None:
    quiet = MAP.replace("chunk=1", "chunk=1, progress=False")
    text = f"""
    import hypergraph.runners.progress as p
    p.LINE_EVERY_S = 0.1
    {quiet}
    runner._progress = False
    runner.run(chain, v0=0)
    """
    _, drawn = seen(workers, tmp_path, text, terminal=terminal)

    assert drawn == ""


def test_a_short_map_without_a_terminal_says_nothing(workers: LocalWorkers, tmp_path: Path) -> None:
    _, err = seen(workers, tmp_path, MAP, terminal=False)

    assert err == ""


class Broken:
    """A standard error that cannot be written to."""

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        raise OSError(5, "gone")

    def flush(self) -> None:
        raise OSError(5, "gone")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_display_that_fails_does_not_fail_the_map(
    runner: DistributedRunner, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    @node(output_name="y")
    def slow(x: int) -> int:
        time.sleep(0.01)
        return x

    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.2)
    monkeypatch.setattr(sys, "stderr", Broken(terminal=terminal))

    results = runner.map(Graph([slow]), {"x": range(80)}, map_over="x", chunk=2)

    assert results["y"] == list(range(80))
    assert not progress._screen.locked()


def test_two_maps_at_once_draw_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_has_screen", lambda: True)
    with Progress(None, "first", delay_s=0) as first, Progress(None, "second", delay_s=0) as second:
        first.update(1, 0, 2)
        second.update(1, 0, 2)
        assert first._bar is not None
        assert second._bar is None
    assert not progress._screen.locked()


@pytest.mark.parametrize(
    ("numbers", "line"),
    [
        pytest.param((10, 0, 30), "m: 10/30 done, 5/s, 4 s left\n", id="in the middle"),
        pytest.param((0, 0, 30), "m: 0/30 done, 0/s\n", id="at the beginning"),
        pytest.param((10, 3, -1), "m: 10 done, 5/s, 3 failed\n", id="of nobody knows how many"),
        pytest.param((2000, 0, 2000), "m: 2,000/2,000 done, 1,000/s\n", id="at the end"),
    ],
)
def test_lines_say_what_there_is_to_say(
    numbers: tuple[int, int, int],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock: Callable[[], float] = iter([100.0, *[102.0] * 9]).__next__
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(progress, "LINE_EVERY_S", 1.0)

    Progress(None, "m", delay_s=1.0).update(*numbers)

    assert capsys.readouterr().err == line
