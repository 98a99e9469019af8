"""SyncRunner and graphs within graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hypergraph import (
    END,
    Graph,
    IncompatibleRunnerError,
    InfiniteLoopError,
    MissingInputError,
    ifelse,
    node,
    route,
)
from hypergraph.runners import MapResult, RunResult, RunStatus, SyncRunner

RUNNER = SyncRunner()


@node(output_name="hits")
def search(query: str, top_k: int = 2) -> list[str]:
    return [f"{query}{n}" for n in range(top_k)]


@node(output_name="answer")
def reply(hits: list[str]) -> str:
    return "+".join(hits)


@node(output_name="final")
def polish(answer: str) -> str:
    return answer.upper()


@node(output_name="sq")
def square(v: int) -> int:
    return v * v


@node(output_name="inverse")
def invert(v: float) -> float:
    return 1 / v


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> object:
    return "bump" if n < 2 else END


@ifelse(when_true="square", when_false=END)
def is_even(v: int) -> bool:
    return v % 2 == 0


RAG = Graph([search, reply], name="rag")
OUTER = Graph([RAG.as_node(), polish], name="outer")
ONE = Graph([square], name="one")
SQUARES = ONE.as_node().with_inputs(v="vs").with_outputs(sq="sqs")


def test_an_inner_graph_runs_in_the_place_of_its_node() -> None:
    result = RUNNER.run(OUTER, query="q")

    assert result.values == {"hits": ["q0", "q1"], "answer": "q0+q1", "final": "Q0+Q1"}


def test_the_result_of_an_inner_run_is_reachable() -> None:
    result = RUNNER.run(Graph([OUTER.as_node()]), query="q")

    outer = result.nested["outer"]
    assert isinstance(outer, RunResult)
    assert outer.status is RunStatus.COMPLETED
    assert outer["final"] == "Q0+Q1"
    assert result["outer"] is outer
    assert result["outer.rag.answer"] == "q0+q1"
    assert len({result.run_id, outer.run_id, outer["rag"].run_id}) == 3


def test_names_cross_the_border_as_renamed_on_both_sides() -> None:
    swapped = (
        RAG.as_node()
        .with_inputs(query="top_k", top_k="query")
        .with_outputs(hits="answer", answer="hits")
    )

    result = RUNNER.run(Graph([swapped]), query=1, top_k="q")

    assert result.values == {"answer": ["q0"], "hits": "q0"}


def test_inner_bindings_and_defaults_hold_unless_the_caller_says_otherwise() -> None:
    bound = Graph([RAG.bind(top_k=1).as_node()])

    assert RUNNER.run(bound, query="q")["answer"] == "q0"
    assert RUNNER.run(bound, query="q", top_k=3)["answer"] == "q0+q1+q2"
    assert RUNNER.run(OUTER.bind(top_k=1), query="q")["answer"] == "q0"


def test_inner_bindings_are_handed_on_by_reference() -> None:
    @node(output_name="same")
    def use(model: object) -> object:
        return model

    model = [object()]
    inner = Graph([use], name="inner").bind(model=model)

    assert RUNNER.run(Graph([inner.as_node()]))["same"] is model


def test_an_inner_selection_hides_the_other_outputs() -> None:
    graph = Graph([RAG.select("answer").as_node(), polish])

    result = RUNNER.run(graph, query="q")

    assert result.values == {"answer": "q0+q1", "final": "Q0+Q1"}
    assert result.nested["rag"]["answer"] == "q0+q1"


def test_an_outer_selection_does_not_reach_inside() -> None:
    result = RUNNER.run(OUTER, query="q", select=["final"])

    assert result.values == {"final": "Q0+Q1"}
    assert result["rag.hits"] == ["q0", "q1"]


def test_a_wrapped_loop_runs_once() -> None:
    loop = Graph([bump, again], name="loop")
    graph = Graph([loop.as_node()])

    assert graph.inputs.seeds == ("n",)
    assert RUNNER.run(graph, n=0).values == {"n": 2}


def test_a_wrapped_loop_may_begin_with_its_default() -> None:
    @node(output_name="count")
    def up(count: int = 5) -> int:
        return count + 1

    @route(targets=["up", END])
    def enough(count: int = 5) -> object:
        return "up" if count < 5 else END

    loop = Graph([up, enough], name="loop").as_node().with_outputs(count="total")

    # The seed is a value of the inner run, so it comes out where no turn was taken.
    assert RUNNER.run(Graph([loop])).values == {"total": 5}
    assert RUNNER.run(Graph([loop]), count=4).values == {"total": 5}


def test_a_graph_inside_a_loop_shows_its_last_run() -> None:
    inner = Graph([bump], name="bump")
    graph = Graph([inner.as_node(), again])

    result = RUNNER.run(graph, n=0)

    assert result["n"] == 2
    assert result.nested["bump"]["n"] == 2


def test_an_output_left_out_inside_stops_what_reads_it() -> None:
    @node(output_name="end")
    def after(sq: int) -> int:
        return sq

    @node(output_name="beyond")
    def further(end: int) -> int:
        return end

    gated = Graph([is_even, square], name="gated")
    graph = Graph([further, after, gated.as_node()])

    assert RUNNER.run(graph, v=2).values == {"beyond": 4, "end": 4, "sq": 4}
    assert RUNNER.run(graph, v=3).values == {}
    assert RUNNER.run(Graph([graph.as_node(name="deep")]), v=3).values == {}


# --- errors


def test_the_error_of_an_inner_node_is_the_outer_run_s_with_the_whole_path() -> None:
    error = ValueError("boom")

    @node(output_name="out")
    def fail(x: int) -> int:
        raise error

    deep = Graph([Graph([fail], name="inner").as_node()], name="mid").as_node()

    result = RUNNER.run(Graph([deep]), x=1, error_handling="continue")

    assert result.error is error
    assert result.nested["mid"].error is error  # type: ignore[union-attr]
    (note,) = error.__notes__
    assert note == f"Raised by node 'mid/inner/fail' in run {result.run_id}"
    with pytest.raises(ValueError, match="boom"):
        RUNNER.run(Graph([deep]), x=1)


def test_an_inner_loop_has_the_usual_limit_whatever_the_outer_one_is() -> None:
    @route(targets=["bump", END])
    def long(n: int) -> object:
        return "bump" if n < 30 else END

    @route(targets=["bump"])
    def forever(n: int) -> object:
        return "bump"

    graph = Graph([Graph([bump, long], name="loop").as_node()])
    assert RUNNER.run(graph, n=0, max_iterations=1)["n"] == 30

    graph = Graph([Graph([bump, forever], name="loop").as_node()])
    with pytest.raises(InfiniteLoopError) as raised:
        RUNNER.run(graph, n=0)
    assert raised.value.max_iterations == 1000
    assert "'loop'" in raised.value.__notes__[0]


# --- dotted names


def test_dotted_names_reach_inner_inputs() -> None:
    assert RUNNER.run(OUTER, {"query": "q", "rag.top_k": 1})["final"] == "Q0"
    assert RUNNER.run(OUTER, {"rag.query": "q"})["final"] == "Q0+Q1"
    deeper = Graph([OUTER.as_node()])
    assert (
        RUNNER.run(deeper, {"outer.rag.query": "q", "outer.rag.top_k": 3})["answer"] == "q0+q1+q2"
    )


def test_a_dotted_name_speaks_to_one_of_several_readers() -> None:
    other = RAG.as_node(name="other").with_outputs(hits="hits2", answer="answer2")
    graph = Graph([RAG.as_node(), other])

    result = RUNNER.run(graph, {"query": "q", "top_k": 1, "other.top_k": 2})

    assert (result["answer"], result["answer2"]) == ("q0", "q0+q1")


def test_a_dotted_name_wins_over_what_the_outer_graph_makes() -> None:
    @node(output_name="query")
    def ask() -> str:
        return "asked"

    graph = Graph([ask, RAG.as_node()])

    assert RUNNER.run(graph)["answer"] == "asked0+asked1"
    assert RUNNER.run(graph, {"rag.query": "given"})["answer"] == "given0+given1"


def test_a_dotted_name_seeds_an_inner_loop() -> None:
    graph = Graph([Graph([bump, again], name="loop").as_node()])

    assert RUNNER.run(graph, {"loop.n": 1})["n"] == 2


def test_wrong_dots_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rag\.top_k"):
        RUNNER.run(OUTER, {"query": "q", "rag.top": 1})
    with pytest.raises(ValueError, match=r"rag\.hits"):
        RUNNER.run(OUTER, {"query": "q", "rag.hits": 1})
    with pytest.raises(MissingInputError):
        RUNNER.run(OUTER, {"rag.top_k": 1})


# --- maps inside


def test_a_mapped_graph_makes_lists() -> None:
    result = RUNNER.run(Graph([SQUARES.map_over("vs")]), vs=[1, 2, 3])

    assert result["sqs"] == [1, 4, 9]
    items = result.nested["one"]
    assert isinstance(items, MapResult)
    assert result["one.sq"] == [1, 4, 9]
    assert [item.index for item in items] == [0, 1, 2]


def test_an_empty_list_makes_empty_lists_and_runs_nothing() -> None:
    def never(v: int) -> int:
        raise AssertionError

    inner = Graph([node(output_name="out")(never)], name="inner").as_node().map_over("v")

    assert RUNNER.run(Graph([inner]), v=[]).values == {"out": []}


def test_a_mapped_graph_makes_every_combination_on_demand() -> None:
    @node(output_name="pair")
    def pair(a: int, b: str) -> str:
        return f"{a}{b}"

    inner = Graph([pair], name="inner").as_node().map_over("a", "b", mode="product")

    assert RUNNER.run(Graph([inner]), a=[1, 2], b="xy")["pair"] == ["1x", "1y", "2x", "2y"]


def test_unequal_lists_fail_the_node() -> None:
    @node(output_name="pair")
    def pair(a: int, b: int) -> int:
        return a + b

    inner = Graph([pair], name="inner").as_node().map_over("a", "b")

    with pytest.raises(ValueError, match="equal lengths") as raised:
        RUNNER.run(Graph([inner]), a=[1, 2], b=[1])
    assert "'inner'" in raised.value.__notes__[0]


def test_the_first_failed_item_fails_the_node_and_its_index_is_in_the_path() -> None:
    inner = Graph([invert], name="inner").as_node().map_over("v")

    result = RUNNER.run(Graph([inner]), v=[1, 0, 2], error_handling="continue")

    assert isinstance(result.error, ZeroDivisionError)
    assert "'inner[1]/invert'" in result.error.__notes__[0]
    assert result.values == {}
    assert isinstance(result.nested["inner"], MapResult)
    assert len(result.nested["inner"]) == 2


def test_failed_items_leave_none_in_every_list_on_demand() -> None:
    both = Graph([square, invert], name="both").as_node().map_over("v", error_handling="continue")

    result = RUNNER.run(Graph([both]), v=[1, 0, 2])

    assert result.status is RunStatus.COMPLETED
    assert result.values == {"sq": [1, None, 4], "inverse": [1, None, 0.5]}


def test_a_skipped_branch_leaves_none_so_that_lists_stay_aligned() -> None:
    gated = Graph([is_even, square], name="gated").as_node().map_over("v")

    assert RUNNER.run(Graph([gated]), v=[1, 2, 3, 4])["sq"] == [None, 4, None, 16]


def test_maps_within_maps() -> None:
    rows = Graph([SQUARES.map_over("vs")], name="rows").as_node()
    table = Graph([rows.with_inputs(vs="table").map_over("table")])

    result = RUNNER.run(table, table=[[1, 2], [3]])

    assert result["sqs"] == [[1, 4], [9]]
    assert result["rows.one.sq"] == [[1, 4], [9]]


def test_dotted_names_reach_into_maps() -> None:
    each = RAG.as_node(name="each").with_inputs(query="queries").map_over("queries")
    graph = Graph([each])

    assert RUNNER.run(graph, {"queries": ["a", "b"], "each.top_k": 1})["answer"] == ["a0", "b0"]
    assert RUNNER.run(graph, {"each.query": ["a", "b"]})["answer"] == ["a0+a1", "b0+b1"]
    deep = Graph([OUTER.as_node().map_over("query")])
    assert RUNNER.run(deep, {"query": ["a"], "outer.rag.top_k": 1})["final"] == ["A0"]


def test_a_list_bound_inside_may_be_mapped_over() -> None:
    values = [[1], [2]]

    @node(output_name="same")
    def same(v: object) -> object:
        return v

    inner = Graph([same], name="inner").bind(v=values).as_node().map_over("v")

    (first, _) = RUNNER.run(Graph([inner]))["same"]
    assert first is values[0]


def test_loops_may_be_mapped_inside() -> None:
    loop = Graph([bump, again], name="loop").as_node().map_over("n")

    assert RUNNER.run(Graph([loop]), n=[0, 1, 9])["n"] == [2, 2, 9]


# --- runners of their own


class Noting(SyncRunner):
    """Runs like any other, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def run(self, graph: Graph, values: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        self.asked.append(("run", dict(values or {})))
        return super().run(graph, values, **kwargs)

    def map(self, graph: Graph, values: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        self.asked.append(("map", dict(values or {})))
        return super().map(graph, values, **kwargs)


def test_a_graph_with_a_runner_of_its_own_runs_there() -> None:
    runner = Noting()

    result = RUNNER.run(Graph([RAG.as_node(runner=runner), polish]), query="q")

    assert runner.asked == [("run", {"query": "q"})]
    assert result["final"] == "Q0+Q1"
    assert result["rag.answer"] == "q0+q1"


def test_a_mapped_graph_with_a_runner_of_its_own_is_mapped_there() -> None:
    runner = Noting()
    squares = SQUARES.map_over("vs").with_runner(runner)

    result = RUNNER.run(Graph([squares]), vs=[1, 2])

    assert runner.asked == [("map", {"v": [1, 2]})]
    assert result["sqs"] == [1, 4]


def test_errors_come_back_from_a_runner_of_its_own() -> None:
    inner = Graph([invert], name="inner").as_node(runner=Noting())

    with pytest.raises(ZeroDivisionError) as raised:
        RUNNER.run(Graph([inner]), v=0)
    assert ["'invert'" in note for note in raised.value.__notes__] == [True, False]

    with pytest.raises(ZeroDivisionError):
        RUNNER.run(Graph([inner.map_over("v")]), v=[1, 0])


def test_a_runner_of_its_own_is_asked_before_anything_runs() -> None:
    @node(output_name="page")
    async def fetch(query: str) -> str:
        return query

    def never(x: int) -> int:
        raise AssertionError

    inner = Graph([fetch], name="inner").as_node(runner=Noting())
    graph = Graph([node(output_name="out")(never), inner])

    with pytest.raises(IncompatibleRunnerError, match="'fetch'"):
        RUNNER.run(graph, x=1, query="q")
