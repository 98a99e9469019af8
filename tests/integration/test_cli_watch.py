"""``hypergraph runs watch`` and ``runs answer``: a run from any shell."""

from __future__ import annotations

import json

import pytest

from hypergraph import DistributedRunner, Graph, InterruptNode, node
from tests.commands import Command
from tests.conftest import SECRET


@node(output_name="draft")
def write(topic: str) -> str:
    return f"about {topic}"


@node(output_name="paper")
def publish(draft: str, decision: object) -> str:
    return f"{draft}: {decision!r}"


ask = InterruptNode("ask", input_param="draft", output_param="decision")
review = Graph([write, ask, publish], name="review")
plain = Graph([write], name="plain")


@pytest.fixture
def command(redis_url: str, runner: DistributedRunner) -> Command:
    """The command line on the namespace of the shared workers."""
    return Command(redis_url, "shared", SECRET)


def test_watch_prints_a_line_per_event(command: Command, runner: DistributedRunner) -> None:
    run_id = runner.run(plain, topic="x").run_id
    lines = command("runs", "watch", run_id).out.splitlines()

    assert [line.split()[1:3] for line in lines] == [
        ["run", "of"],
        ["write", "begins"],
        ["write", "done"],
        ["completed", "of"],
    ]


def test_watch_goes_on_behind_a_cursor(command: Command, runner: DistributedRunner) -> None:
    run_id = runner.run(plain, topic="x").run_id
    events = [
        json.loads(line) for line in command("runs", "watch", run_id, "--json").out.splitlines()
    ]
    rest = command(
        "runs", "watch", run_id, "--json", "--after", events[1]["cursor"]
    ).out.splitlines()

    assert [event["event"] for event in events] == [
        "RunStartEvent",
        "NodeStartEvent",
        "NodeEndEvent",
        "RunEndEvent",
    ]
    assert [json.loads(line) for line in rest] == events[2:]


@pytest.mark.parametrize(
    ("text", "meant"), [("true", "True"), ('"yes"', "'yes'"), ("so be it", "'so be it'")]
)
def test_an_answer_is_json_or_else_text(
    text: str, meant: str, command: Command, runner: DistributedRunner
) -> None:
    handle = runner.submit(review, topic="x")
    assert handle.result(timeout=20).paused
    told = command("runs", "answer", handle.run_id, f"decision={text}")

    assert told.code == 0
    assert handle.result(timeout=20)["paper"] == f"about x: {meant}"
    again = command("runs", "answer", handle.run_id, "decision=false")
    assert again.code == 1
    assert "already has an answer" in again.err


def test_what_is_no_answer_is_refused(command: Command, runner: DistributedRunner) -> None:
    handle = runner.submit(review, topic="x")
    assert handle.result(timeout=20).paused

    assert command("runs", "answer", handle.run_id, "true").code == 2
    wrong = command("runs", "answer", handle.run_id, "verdict=1")
    assert wrong.code == 1
    assert "'decision'" in wrong.err
    handle.cancel()


def test_unknown_runs_and_cursors_are_named(command: Command, runner: DistributedRunner) -> None:
    assert "run-nowhere" in command("runs", "watch", "run-nowhere").err
    assert "run-nowhere" in command("runs", "answer", "run-nowhere", "a=1").err
    run_id = runner.run(plain, topic="x").run_id
    assert command("runs", "watch", run_id, "--after", "yesterday").code == 2
