"""What nodes print and log on local workers is read where the client prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hypergraph import DistributedRunner, Graph, node
from tests.processes import wait_until

ROOT = Path(__file__).parents[2]

SCRIPT = """
import logging, sys, warnings
from hypergraph import DistributedRunner, Graph, node

logging.basicConfig(level=logging.INFO)

@node(output_name="y")
def speak(x):
    print("hello", x)
    return x

@node(output_name="z")
def mutter(y):
    print("to stderr", y, file=sys.stderr)
    logging.getLogger("mine").info("logged %s", y)
    return y

inner = Graph([speak], name="inner")
with DistributedRunner(workers=2) as runner:
    runner.run(Graph([speak, mutter]), x=1)
    runner.map(Graph([speak, mutter]), {"x": [10, 11]}, map_over="x", progress=False)
    runner.run(Graph([inner.as_node()]), x=2)
    runner.run(Graph([inner.as_node().map_over("x")]), x=[20, 21])
    runner.map(Graph([inner.as_node()]), {"x": [30]}, map_over="x", progress=False)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """What the script's standard output and standard error hold, run ids left out."""
    path = tmp_path_factory.mktemp("output") / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    found = subprocess.run(
        [sys.executable, path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    out, err = (
        re.sub(r"run-[0-9a-f]{12}", "run-…", text).splitlines()
        for text in (found.stdout, found.stderr)
    )
    return out, err


def test_lines_say_run_node_and_item(said: tuple[list[str], list[str]]) -> None:
    assert sorted(said[0]) == sorted(
        [
            "[run-… speak] hello 1",
            "[run-… speak[0]] hello 10",
            "[run-… speak[1]] hello 11",
            "[run-… inner/speak] hello 2",
            "[run-… inner[0]/speak] hello 20",
            "[run-… inner[1]/speak] hello 21",
            "[run-… inner/speak[0]] hello 30",
        ]
    )


def test_standard_error_and_logs_go_to_standard_error(said: tuple[list[str], list[str]]) -> None:
    lines = [line for line in said[1] if line.startswith("[run-…")]

    assert sorted(lines) == sorted(
        [
            "[run-… mutter] to stderr 1",
            "[run-… mutter] INFO mine: logged 1",
            "[run-… mutter[0]] to stderr 10",
            "[run-… mutter[0]] INFO mine: logged 10",
            "[run-… mutter[1]] to stderr 11",
            "[run-… mutter[1]] INFO mine: logged 11",
        ]
    )


def test_nothing_else_is_said_but_what_is_used(said: tuple[list[str], list[str]]) -> None:
    others = [line for line in said[1] if not line.startswith("[run-…")]

    (line,) = others
    assert re.match(r"hypergraph: 2 local workers, \S+ [\d.]+ of its own; nothing outlives", line)


def test_lines_appear_where_the_client_prints_at_that_moment(
    runner: DistributedRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    @node(output_name="y")
    def speak(x: int) -> int:
        print("now", x)
        return x

    runner.run(Graph([speak]), x=1)
    text = ""

    def arrived() -> bool:
        nonlocal text
        text += capsys.readouterr().out
        return "speak] now 1\n" in text

    assert wait_until(arrived, 5), text
