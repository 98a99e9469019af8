"""Stories of runs with nested graphs, as whoever holds the journal tells them."""

from __future__ import annotations

from typing import Any

from hypergraph import END, Graph, ifelse, node, route
from hypergraph.plan import Broken, Phase, RunTree, TaskEnded, compile_plan
from hypergraph.plan.inputs import feed


@node(output_name="clean")
def strip(text: str) -> str:
    return text.strip()


@node(output_name="words")
def cut(clean: str) -> list[str]:
    return clean.split()


@node(output_name="count")
def count(words: list[str], least: int = 1) -> int:
    return len(words)


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> object:
    return "bump" if n < 2 else END


@ifelse(when_true="cut", when_false=END)
def worth_it(clean: str) -> bool:
    return bool(clean)


def tree_of(graph: Graph, **options: Any) -> RunTree:
    return RunTree(compile_plan(graph), **options)


INNER = Graph([strip, cut], name="inner")


def tell(tree: RunTree, **inputs: str) -> Any:
    """Return a function that ends a task and says which ones fell due by it."""
    told = [due.task for due in tree.start(inputs)]

    def end(task: str = "", **ended: Any) -> list[str]:
        if not task:
            return told
        return [due.task for due in tree.apply(TaskEnded(task, **ended))]

    return end


def test_a_nested_run_passes_its_tasks_on_under_its_own_path() -> None:
    tree = tree_of(Graph([INNER.as_node().with_inputs(text="page"), count]))

    (strip_due,) = tree.start({"page": "ref-page"})
    assert strip_due.task == "inner/strip"
    assert strip_due.path == ("inner", "strip")
    assert strip_due.inputs == {"text": "ref-page"}

    (cut_due,) = tree.apply(TaskEnded("inner/strip", {"clean": "ref-clean"}))
    assert (cut_due.task, cut_due.inputs) == ("inner/cut", {"clean": "ref-clean"})

    (count_due,) = tree.apply(TaskEnded("inner/cut", {"words": "ref-words"}))
    assert (count_due.task, count_due.inputs) == ("count", {"words": "ref-words"})

    assert tree.apply(TaskEnded("count", {"count": "ref-count"})) == []
    assert tree.phase is Phase.COMPLETED
    assert tree.root.results() == {
        "page": "ref-page",
        "clean": "ref-clean",
        "words": "ref-words",
        "count": "ref-count",
    }


def test_an_end_told_twice_or_of_an_unknown_task_changes_nothing() -> None:
    end = tell(tree_of(Graph([INNER.as_node(), count])), text="ref")

    assert end("cut") == []
    assert end("inner/strip", outputs={"clean": "c"}) == ["inner/cut"]
    assert end("inner/strip", outputs={"clean": "other"}) == []
    assert end("inner/cut", outputs={"words": "w"}) == ["count"]


def test_a_node_that_falls_due_again_gets_a_number() -> None:
    loop = Graph([bump, again], name="loop")
    end = tell(tree_of(Graph([loop.as_node()])), n="0")

    assert end() == ["loop/again"]
    assert end("loop/again", decision=("bump",)) == ["loop/bump"]
    assert end("loop/bump", outputs={"n": "1"}) == ["loop/again.2"]
    assert end("loop/again.2", decision=("bump",)) == ["loop/bump.2"]
    assert end("loop/bump.2", outputs={"n": "2"}) == ["loop/again.3"]


def test_an_output_left_out_by_a_nested_graph_opens_nobody() -> None:
    gated = Graph([strip, worth_it, cut], name="gated")
    tree = tree_of(Graph([gated.as_node(), count]))
    end = tell(tree, text="ref")

    end("gated/strip", outputs={"clean": "c"})
    assert end("gated/worth_it", decision=None) == []

    assert tree.phase is Phase.COMPLETED
    assert "words" not in tree.root.results()


def test_the_error_of_an_inner_node_is_the_run_s() -> None:
    tree = tree_of(Graph([Graph([INNER.as_node()], name="middle").as_node(), count]))
    end = tell(tree, text="ref")

    assert end() == ["middle/inner/strip"]
    assert end("middle/inner/strip", error="boom") == []

    assert tree.phase is Phase.FAILED
    assert tree.root.error == "boom"


def test_of_several_errors_the_first_in_the_earliest_superstep_counts() -> None:
    @node(output_name="late")
    def late(words: list[str]) -> int:
        return 1

    @node(output_name="slow")
    def slow(text: str) -> int:
        return 1

    tree = tree_of(Graph([late, cut, strip, slow]))
    end = tell(tree, text="ref")
    assert end() == ["strip", "slow"]
    assert end("strip", outputs={"clean": "c"}) == ["cut"]
    assert end("cut", outputs={"words": "w"}) == ["late"]
    assert end("late", error="later superstep") == []
    assert tree.phase is Phase.RUNNING

    assert end("slow", error="first superstep") == []

    assert tree.root.error == "first superstep"
    # What ran past the failing superstep is no result: nothing of it would have started.
    assert tree.root.results() == {"text": "ref", "clean": "c"}


def test_a_nested_run_without_anything_to_do_ends_at_once() -> None:
    nothing = Graph([], name="nothing")
    tree = tree_of(Graph([nothing.as_node(), strip]))

    assert [due.task for due in tree.start({"text": "ref"})] == ["strip"]
    assert tree.apply(TaskEnded("strip", {"clean": "c"})) == []
    assert tree.phase is Phase.COMPLETED

    tree = tree_of(Graph([nothing.as_node()]))
    assert tree.start({}) == []
    assert tree.phase is Phase.COMPLETED


def test_a_mapped_graph_and_one_with_its_own_runner_are_one_task_each() -> None:
    mapped = INNER.as_node(name="mapped").map_over("text")
    elsewhere = INNER.as_node(name="else where", runner=object())
    elsewhere = elsewhere.with_outputs(clean="c2", words="w2")
    tree = tree_of(Graph([mapped, elsewhere]))

    due = tree.start({"text": "refs"})

    assert [(d.task, d.node.kind) for d in due] == [("mapped", "graph"), ("else%20where", "graph")]
    assert due[0].inputs == {"text": "refs"}


def test_bindings_reach_the_nodes_of_the_graph_that_has_them() -> None:
    inner = Graph([strip, cut, count], name="inner").bind(least=3)
    tree = tree_of(Graph([inner.as_node()]), bound={"inner": {"least": "ref-3"}})
    end = tell(tree, text="ref")

    end("inner/strip", outputs={"clean": "c"})
    (due,) = tree.apply(TaskEnded("inner/cut", {"words": "w"}))

    assert due.inputs == {"words": "w", "least": "ref-3"}


def test_dotted_names_reach_nested_runs_through_a_fed_plan() -> None:
    inner = Graph([strip, cut, count], name="inner")
    graph = Graph([Graph([inner.as_node()], name="outer").as_node()])
    names = ["outer.text", "outer.inner.least"]
    tree = RunTree(feed(compile_plan(graph), names))

    (due,) = tree.start(dict(zip(names, ["ref-text", "ref-least"], strict=True)))
    assert due.inputs == {"text": "ref-text"}

    tree.apply(TaskEnded("outer/inner/strip", {"clean": "c"}))
    (due,) = tree.apply(TaskEnded("outer/inner/cut", {"words": "w"}))
    assert due.inputs == {"words": "w", "least": "ref-least"}


def test_an_endless_nested_run_breaks_a_rule_and_says_where() -> None:
    tree = tree_of(Graph([Graph([bump, again], name="loop").as_node()]))
    due = tree.start({"n": "0"})
    while due:
        task = due[0].task
        is_gate = due[0].node.kind == "gate"
        ended = TaskEnded(task, decision=("bump",)) if is_gate else TaskEnded(task, {"n": task})
        due = tree.apply(ended)

    assert tree.phase is Phase.FAILED
    assert tree.root.error == Broken("loop", max_iterations=1000)


def test_frames_are_told_outer_before_inner() -> None:
    tree = tree_of(Graph([Graph([INNER.as_node()], name="middle").as_node()]))
    tree.start({"text": "ref"})

    assert [frame.path for frame in tree.frames()] == [(), ("middle",), ("middle", "inner")]
    assert tree.open_tasks == {"middle/inner/strip"}


def test_an_open_task_knows_its_node() -> None:
    tree = tree_of(Graph([INNER.as_node(), count]))
    tree.start({"text": "a b"})

    assert tree.path_of("inner/strip") == ("inner", "strip")
    assert tree.path_of("count") is None
