"""``hypergraph runs``: what people see of runs, from any shell."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypergraph import DistributedRunner, Graph, RunStatus, node
from tests.commands import Command
from tests.conftest import SECRET
from tests.ledger import Ledger
from tests.processes import wait_until


@node(output_name="length")
def measure(word: str) -> int:
    if word == "bad":
        raise ValueError("no length")
    return len(word)


GRAPH = Graph([measure], name="measures")


@pytest.fixture
def shared(redis_url: str, runner: DistributedRunner) -> Command:
    """The command line on the namespace of the shared workers."""
    return Command(redis_url, "shared", SECRET)


@pytest.fixture
def lonely(redis_url: str, namespace: str) -> Iterator[DistributedRunner]:
    """A runner without workers."""
    with DistributedRunner(redis_url, secret=SECRET, namespace=namespace) as runner:
        yield runner


@pytest.fixture
def command(redis_url: str, namespace: str) -> Command:
    """The command line on the namespace of `lonely`."""
    return Command(redis_url, namespace, SECRET)


def submit(runner: DistributedRunner, word: str = "x") -> str:
    with pytest.warns(UserWarning, match="for now nobody can do it"):
        return runner.submit(GRAPH, word=word).run_id


# -- the list -------------------------------------------------------------------------------------


def test_runs_are_listed_from_the_newest(shared: Command, runner: DistributedRunner) -> None:
    first = runner.run(GRAPH, word="x", progress=False)
    runner.map(GRAPH, {"word": ["bad", "good"]}, map_over="word", error_handling="continue")
    head, *lines = shared("runs", "--limit", "2").out.splitlines()

    assert head.split() == ["run", "status", "kind", "graph", "done", "failed", "age", "took"]
    assert lines[0].split()[1:6] == ["partial", "map", "measures", "1/2", "1"]
    assert lines[1].split()[:5] == [first.run_id, "completed", "run", "measures", "1/1"]


def test_json_lists_the_same(shared: Command, runner: DistributedRunner) -> None:
    result = runner.run(GRAPH, word="x", progress=False)
    (line,) = shared("runs", "-n", "1", "--json").json

    assert (line["run_id"], line["status"], line["done"]) == (result.run_id, "completed", 1)


def test_the_list_can_be_of_one_status(command: Command, lonely: DistributedRunner) -> None:
    ids = [submit(lonely) for _ in range(3)]
    lonely.attach(ids[1]).cancel()
    found = command("runs", "--status", "cancelled", "--json").json

    assert [run["run_id"] for run in found] == [ids[1]]


def test_an_empty_namespace_says_so(command: Command) -> None:
    told = command("runs")

    assert told.code == 0
    assert "No runs in namespace" in told.out
    assert command("runs", "--json").json == []


# -- one run --------------------------------------------------------------------------------------


def test_show_explains_a_failed_run(shared: Command, runner: DistributedRunner) -> None:
    handle = runner.submit(GRAPH, word="bad", error_handling="continue")
    handle.result(20)
    told = shared("runs", "show", handle.run_id)

    assert told.code == 0
    assert told.out.startswith(f"{handle.run_id}  failed  run of measures\n")
    assert "ValueError: no length" in told.out
    assert "in measure" in told.words
    assert f'.attach("{handle.run_id}")' in told.words.replace(" ", "")


def test_show_says_who_is_at_it(
    shared: Command, runner: DistributedRunner, ledger: Ledger, tmp_path: Path
) -> None:
    go = str(tmp_path / "go")

    @node(output_name="waited")
    def wait(word: str) -> str:
        ledger.note(os.getpid())
        while not os.path.exists(go):
            time.sleep(0.01)
        return word

    handle = runner.submit(Graph([wait]), word="x")
    assert wait_until(lambda: len(ledger), 10)

    def at_it() -> bool:
        (now,) = shared("runs", "show", handle.run_id).out.split("Running now\n")[1].splitlines()
        return now.split()[1] == "wait" and now.endswith("s")  # for how long, once the host says so

    assert wait_until(at_it, 10)
    assert handle.run_id in shared("workers").out
    Path(go).touch()
    handle.result(20)


def test_show_says_that_nobody_serves_a_run_and_how_to_help(
    command: Command, lonely: DistributedRunner
) -> None:
    told = command("runs", "show", submit(lonely))

    assert "queued" in told.out
    assert "1 task in queue default" in told.out
    assert "Nobody serves it" in told.out


def test_show_as_json_is_the_whole_story(shared: Command, runner: DistributedRunner) -> None:
    result = runner.run(GRAPH, word="x", progress=False)
    story = shared("runs", "show", result.run_id, "--json").json

    assert story["status"] == "completed"
    assert [node["path"] for node in story["nodes"]] == ["measure"]


def test_show_needs_no_code_of_the_run(shared: Command, runner: DistributedRunner) -> None:
    class Local:
        pass

    @node(output_name="made")
    def make(x: int) -> Local:
        return Local()

    handle = runner.submit(Graph([make]), x=1)
    handle.result(20)

    assert "make" in shared("runs", "show", handle.run_id).out


def test_with_another_secret_only_what_is_not_signed_is_shown(
    redis_url: str, runner: DistributedRunner
) -> None:
    result = runner.run(GRAPH, word="x", progress=False)
    told = Command(redis_url, "shared", b"another")("runs", "show", result.run_id)

    assert told.code == 0
    assert "sealed with another secret" in told.words
    assert "completed" in told.out


def test_options_may_stand_before_and_behind_the_subcommand(
    redis_url: str, runner: DistributedRunner
) -> None:
    result = runner.run(GRAPH, word="x", progress=False)
    elsewhere = Command("redis://127.0.0.1:1", secret=SECRET)
    here = ("--url", redis_url, "--namespace", "shared")

    assert elsewhere("runs", *here, "show", result.run_id).code == 0
    assert elsewhere("runs", "show", result.run_id, *here).code == 0


# -- the end of a run -----------------------------------------------------------------------------


def test_cancel_ends_a_run_and_says_so_once(command: Command, lonely: DistributedRunner) -> None:
    run_id = submit(lonely)
    first, second = command("runs", "cancel", run_id), command("runs", "cancel", run_id)

    assert (first.code, second.code) == (0, 0)
    assert f"Cancelled run {run_id}" in first.out
    assert "had ended before (cancelled)" in second.out
    assert lonely.attach(run_id).status is RunStatus.CANCELLED
    assert "with `hypergraph runs cancel`" in command("runs", "show", run_id).words


def test_what_has_ended_is_not_cancelled(shared: Command, runner: DistributedRunner) -> None:
    result = runner.run(GRAPH, word="x", progress=False)
    told = shared("runs", "cancel", result.run_id, "--json").json

    assert told == {"run_id": result.run_id, "before": "completed", "status": "completed"}


@pytest.mark.parametrize("what", ["show", "cancel"])
def test_an_unknown_run_is_a_failure_that_names_it(what: str, command: Command) -> None:
    told = command("runs", what, "run-nobody")

    assert told.code == 1
    assert "There is no run 'run-nobody'" in told.err
    assert told.out == ""
