"""The story of a run: what `hypergraph runs show` and a dashboard are told."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from hypergraph import END, DistributedRunner, Graph, InterruptNode, node, route
from hypergraph.coordinator.account import Story
from hypergraph.coordinator.listing import list_runs
from hypergraph.coordinator.story import cause_of, tell
from hypergraph.errors import NodeExited, ResultExpired, WorkerCrashed
from hypergraph.runners.session import Session
from hypergraph.store.records import Sealer
from hypergraph.transport.tags import tagged
from hypergraph.values.failure import pack_failure
from hypergraph.values.sign import Signer
from tests.conftest import SECRET
from tests.ledger import Ledger
from tests.processes import wait_until


@node(output_name="words")
def cut(text: str) -> list[str]:
    return text.split()


@node(output_name="length")
def measure(word: str) -> int:
    if word == "bad":
        raise ValueError(f"{word!r} has no length")
    return len(word)


@node(output_name="total")
def add(lengths: list[int]) -> int:
    return sum(length or 0 for length in lengths)


@node(output_name="never")
def after(total: int) -> int:
    return total


MEASURES = Graph([measure], name="measures")


def mapped(error_handling: Literal["raise", "continue"] = "raise") -> Any:
    inner = MEASURES.as_node().with_inputs(word="words").with_outputs(length="lengths")
    return inner.map_over("words", error_handling=error_handling)


def batch(error_handling: Literal["raise", "continue"] = "raise") -> Graph:
    inner = Graph([mapped(error_handling)], name="inner").as_node()
    return Graph([cut, inner, add, after], name="batch")


def read(runner: DistributedRunner, run_id: str) -> Story:
    session = runner._open()
    return tell(session.store, session.sealer, session.specs, run_id)


def latest(runner: DistributedRunner) -> str:
    return list_runs(runner._open().store, limit=1)[0].run_id


# -- runs that have ended -------------------------------------------------------------------------


def test_every_node_is_told_with_its_executions_their_time_and_their_worker(
    runner: DistributedRunner,
) -> None:
    result = runner.run(batch(), text="one three", progress=False)
    story = read(runner, result.run_id)
    nodes = {node.path: node for node in story.nodes}

    assert (story.status, story.kind, story.graph) == ("completed", "run", "batch")
    assert list(nodes) == ["cut", "inner/measures", "add", "after"]
    assert [n.done for n in story.nodes] == [1, 1, 1, 1]
    assert all(n.attempts == n.done and n.failed == n.lost == n.open == 0 for n in story.nodes)
    assert all(n.workers and n.total_s > 0 for n in story.nodes)
    assert nodes["inner/measures"].kind == "map"
    assert story.ended_at is not None
    assert story.expires_at == pytest.approx(story.ended_at + 86_400, abs=5)
    assert f"pid {os.getpid()}" in story.origin


def test_items_of_a_mapped_node_are_told_after_they_were_gathered(
    runner: DistributedRunner,
) -> None:
    result = runner.run(batch("continue"), text="one bad four", progress=False)
    story = read(runner, result.run_id)
    items = story.nodes[1].items

    assert items is not None
    assert (items.done, items.failed, items.total) == (2, 1, 3)
    assert [(p.node, p.item, p.text) for p in story.problems] == [
        ("inner/measures", 1, "ValueError: 'bad' has no length")
    ]


def test_a_failure_is_told_with_its_traceback_as_long_as_values_are_kept(
    runner: DistributedRunner,
) -> None:
    handle = runner.submit(batch(), text="one bad", error_handling="continue")
    handle.result(20)
    (culprit,) = read(runner, handle.run_id).problems

    assert culprit.text == "ValueError: 'bad' has no length"
    assert culprit.node == "inner/measures[1]/measure"
    assert "in measure" in culprit.traceback
    assert culprit.worker


def test_a_failure_is_told_in_words_after_values_have_gone(runner: DistributedRunner) -> None:
    with pytest.raises(ValueError, match="no length"):
        runner.run(batch(), text="one bad", progress=False)
    story = read(runner, latest(runner))

    assert (story.status, story.results) == ("failed", False)
    assert story.problems[0].text == "ValueError: 'bad' has no length"
    assert [n.done + n.failed for n in story.nodes] == [1, 1, 0, 0]


def test_a_map_tells_its_items_and_first_failures(runner: DistributedRunner) -> None:
    words = {"word": ["bad" if i % 10 == 3 else "good" for i in range(40)]}
    runner.map(MEASURES, words, map_over="word", error_handling="continue", progress=False)
    story = read(runner, latest(runner))

    assert (story.kind, story.status, story.nodes) == ("map", "partial", ())
    assert story.items is not None
    assert (story.items.done, story.items.failed, story.items.total) == (36, 4, 40)
    assert {p.item for p in story.problems} <= {3, 13, 23, 33}
    assert {(p.node, p.text) for p in story.problems} == {
        ("measure", "ValueError: 'bad' has no length")
    }


def test_the_list_tells_the_same_in_a_line(runner: DistributedRunner) -> None:
    runner.run(batch("continue"), text="one bad", progress=False)
    runner.map(MEASURES, {"word": ["bad", "good"]}, map_over="word", error_handling="continue")
    mapped_, whole = list_runs(runner._open().store, limit=2)

    assert (whole.kind, whole.graph, whole.status) == ("run", "batch", "completed")
    assert (whole.done, whole.failed, whole.total) == (4, 0, 4)
    assert (mapped_.kind, mapped_.graph, mapped_.status) == ("map", "measures", "partial")
    assert (mapped_.done, mapped_.failed, mapped_.total) == (1, 1, 2)
    assert mapped_.age_s < 30


def test_the_list_can_be_of_one_status(runner: DistributedRunner) -> None:
    runner.run(batch(), text="one", progress=False)
    runner.run(batch(), text="bad", progress=False, error_handling="continue")
    found = list_runs(runner._open().store, limit=3, statuses=("completed",))

    assert {run.status for run in found} == {"completed"}


# -- runs in progress -----------------------------------------------------------------------------


def test_what_runs_now_is_told_with_who_holds_it(
    runner: DistributedRunner, ledger: Ledger, tmp_path: Path
) -> None:
    go = str(tmp_path / "go")

    @node(output_name="waited")
    def wait(word: str) -> str:
        ledger.note(word)
        while not os.path.exists(go):
            time.sleep(0.01)
        return word

    handle = runner.submit(Graph([wait]), word="x")
    assert wait_until(lambda: len(ledger), 10)
    story = read(runner, handle.run_id)
    Path(go).touch()
    handle.result(20)

    assert story.status == "running"
    assert [(h.node, h.attempt) for h in story.running] == [("wait", 1)]
    assert story.running[0].slot.startswith(story.running[0].worker + "/c")
    assert [(n.path, n.open, n.running) for n in story.nodes] == [("wait", 1, 1)]
    assert read(runner, handle.run_id).running == ()


def test_a_paused_run_tells_what_it_waits_for_until_it_is_answered(
    runner: DistributedRunner,
) -> None:
    ask = InterruptNode("ask", input_param="total", output_param="approved")
    inner = Graph([add, ask], name="inner").as_node()
    handle = runner.submit(Graph([inner]), lengths=[1, 2])
    paused = handle.result(20).paused
    story = read(runner, handle.run_id)
    (line,) = list_runs(runner._open().store, limit=1)
    answered = runner.resume(handle.run_id, {"inner.approved": True})
    answered.result(20)
    after_it = read(runner, handle.run_id)
    (line_after_it,) = list_runs(runner._open().store, limit=1)

    assert paused
    assert story.status == "paused"
    assert story.pause is not None
    assert (story.pause.node, story.pause.key) == ("inner/ask", "inner.approved")
    assert abs((story.pause.since or 0) - story.created_at) < 60
    assert (line.status, line.done) == ("paused", 1)
    assert (after_it.status, after_it.pause) == ("completed", None)
    assert [(n.path, n.done) for n in after_it.nodes] == [("inner/add", 1), ("inner/ask", 1)]
    assert (line_after_it.status, line_after_it.done) == ("completed", 1)


def test_a_loop_tells_how_often_each_node_ran(runner: DistributedRunner) -> None:
    @node(output_name="n")
    def bump(n: int) -> int:
        return n + 1

    @route(targets=["bump", END])
    def again(n: int) -> object:
        return "bump" if n < 3 else END

    result = runner.run(Graph([bump, again]), n=0, progress=False)
    story = read(runner, result.run_id)

    assert [(n.path, n.kind, n.done) for n in story.nodes] == [
        ("bump", "function", 3),
        ("again", "gate", 4),
    ]


def test_what_nobody_serves_waits(lonely: DistributedRunner) -> None:
    story = read(lonely, submitted(lonely, batch(), text="one"))

    assert story.status == "queued"
    assert story.waiting == {tagged("default"): 1}
    assert [n.path for n in story.nodes if n.open] == ["cut"]


def test_a_cancelled_run_tells_by_whom(lonely: DistributedRunner) -> None:
    run_id = submitted(lonely, batch(), text="one")
    lonely._open().coordinator.cancel(run_id, "the test")
    story = read(lonely, run_id)

    assert (story.status, story.cancelled_by) == ("cancelled", "the test")
    assert not story.waiting


# -- deaths ---------------------------------------------------------------------------------------


@pytest.fixture
def lonely(redis_url: str, namespace: str) -> Any:
    """A runner without workers: the test acts for them."""
    with DistributedRunner(redis_url, secret=SECRET, namespace=namespace) as runner:
        yield runner


def submitted(runner: DistributedRunner, graph: Graph, **inputs: Any) -> str:
    with pytest.warns(UserWarning, match="for now nobody can do it"):
        return runner.submit(graph, **inputs).run_id


def die(session: Session, run_id: str, child: str, task: str, error: Exception) -> None:
    """Claim what there is as a slot of a child, and die of it."""
    answer = session.store.cycle(
        run_id,
        slot=f"w1/{child}/0",
        epoch="",
        call=1,
        want=1,
        queue=tagged("default"),
        after=0,
    )
    assert [claim.task for claim in answer.claims] == [task]
    payload = pack_failure(error, node=task, item=None, worker=f"w1/{child}", attempt=3)
    session.coordinator.reap(run_id, f"w1/{child}/", task, -1, payload)


def test_deaths_are_told_with_their_cause_and_the_last_one_as_a_failure(
    lonely: DistributedRunner,
) -> None:
    run_id = submitted(lonely, batch(), text="one")
    session = lonely._open()
    die(session, run_id, "c1", "cut", WorkerCrashed(9, None, node="cut", worker="w1/c1"))
    once = read(lonely, run_id)
    die(session, run_id, "c2", "cut", NodeExited(7, node="cut", worker="w1/c2"))
    die(session, run_id, "c3", "cut", WorkerCrashed(11, None, node="cut", attempts=3))
    story = read(lonely, run_id)

    assert (once.status, once.nodes[0].lost, once.nodes[0].failed) == ("running", 1, 0)
    assert [(x.node, x.attempt, x.worker, x.cause) for x in story.losses] == [
        ("cut", 1, "w1/c1/0", "killed by SIGKILL (9)"),
        ("cut", 2, "w1/c2/0", "exit code 7"),
        ("cut", 3, "w1/c3/0", "killed by SIGSEGV (11)"),
    ]
    assert all(x.at is not None and abs(x.at - story.created_at) < 60 for x in story.losses)
    assert (story.status, story.nodes[0].failed, story.nodes[0].crashed) == ("failed", 1, 1)
    assert story.problems[0].text.startswith("WorkerCrashed: ")
    assert story.nodes[0].mean_s is None


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (WorkerCrashed(9, None), "killed by SIGKILL (9)"),
        (WorkerCrashed(64, None), "killed by SIGRTMAX (64)"),
        (WorkerCrashed(50, None), "killed by signal 50 (50)"),
        (WorkerCrashed(None, 3), "exit code 3"),
        (NodeExited(3), "exit code 3"),
        (NodeExited("no way"), "exit code 'no way'"),
        (WorkerCrashed(None, None), "its host vanished"),
    ],
)
def test_the_cause_of_a_death_is_found_in_our_own_errors(error: Exception, cause: str) -> None:
    assert cause_of(str(error)) == cause


# -- what cannot be read --------------------------------------------------------------------------


def test_nothing_is_unpickled(runner: DistributedRunner, ledger: Ledger) -> None:
    class Touchy(ValueError):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            ledger.note(os.getpid())

        def __reduce__(self) -> Any:
            return Touchy, self.args

    @node(output_name="touched")
    def touch(x: int) -> int:
        raise Touchy("hands off")

    handle = runner.submit(Graph([touch]), x=1)
    assert wait_until(lambda: handle.status.value == "failed", 10)
    story = read(runner, handle.run_id)

    assert "Touchy: hands off" in story.problems[0].text
    assert ledger.words
    assert str(os.getpid()) not in ledger.words


def test_another_secret_tells_what_is_not_signed(runner: DistributedRunner) -> None:
    result = runner.run(batch(), text="one", progress=False)
    session = runner._open()
    stranger = Sealer(Signer(b"another"), "shared")
    story = tell(session.store, stranger, session.specs, result.run_id)

    assert "another secret" in story.unread
    assert (story.status, story.graph, story.nodes) == ("completed", "batch", ())


def test_without_the_graph_nodes_are_named_after_their_tasks(runner: DistributedRunner) -> None:
    result = runner.run(batch(), text="one", progress=False)
    session = runner._open()

    class Gone:
        def load(self, digest: str) -> Any:
            from hypergraph.store.depot import check_digest

            check_digest(digest, None)

    story = tell(session.store, session.sealer, Gone(), result.run_id)

    assert "no longer stored" in story.unread
    assert {n.path for n in story.nodes} == {"cut", "inner/measures", "add", "after"}
    assert all(n.done == 1 for n in story.nodes)


def test_a_run_that_never_was_is_expired(runner: DistributedRunner) -> None:
    with pytest.raises(ResultExpired):
        read(runner, "run-nobody")
