"""Graphs as nodes, mapped or not: contract 7, 15.1, 15.3 and D7, D8.

NODE-05 NODE-06 NODE-07 NEST-01 NEST-02 NEST-04 NEST-05 GRAPH-06
"""

from __future__ import annotations

from typing import Any

import pytest

from hypergraph import (
    END,
    Graph,
    MapResult,
    MissingInputError,
    RunResult,
    RunStatus,
    node,
    route,
)
from tests.contract.members import Member


@node(output_name="sq")
def square(v: int) -> int:
    if v < 0:
        raise ValueError(f"negative: {v}")
    return v * v


@node(output_name="scaled")
def scale(sq: int, factor: int = 10) -> int:
    return sq * factor


@node(output_name="total")
def total(scaled: int) -> int:
    return scaled + 1


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> Any:
    return "bump" if n < 3 else END


inner = Graph([square, scale], name="inner")
outer = Graph([inner.as_node(), total], name="outer")
counting = Graph([bump, again], name="counting")


def test_a_graph_runs_where_its_node_stands(runner: Member) -> None:
    """NODE-05 GRAPH-06 NEST-01"""
    assert runner.run(outer, {"v": 2}).values == {"sq": 4, "scaled": 40, "total": 41}


def test_three_levels_are_no_different_from_one(runner: Member) -> None:
    """NEST-01"""
    top = Graph([outer.as_node()], name="top")

    assert runner.run(top, {"v": 2})["total"] == 41


def test_names_may_change_at_the_border(runner: Member) -> None:
    """NODE-06"""
    renamed = inner.as_node(name="r").with_inputs(v="x", factor="by").with_outputs(scaled="out")

    assert runner.run(Graph([renamed]), {"x": 3, "by": 2}).values == {"sq": 9, "out": 18}


def test_names_may_be_swapped_at_the_border(runner: Member) -> None:
    @node(output_name=("p", "q"))
    def minus(a: int, b: int) -> tuple[int, int]:
        return a - b, b

    swapped = (
        Graph([minus], name="m").as_node().with_inputs(a="b", b="a").with_outputs(p="q", q="p")
    )

    assert runner.run(Graph([swapped]), {"a": 1, "b": 10}).values == {"q": 9, "p": 1}


def test_only_the_selected_outputs_leave_a_nested_graph(runner: Member) -> None:
    node_ = inner.select("scaled").as_node()

    assert node_.outputs == ("scaled",)
    assert runner.run(Graph([node_]), {"v": 2}).values == {"scaled": 40}


def test_the_nested_result_is_reachable_from_the_outer_one(runner: Member) -> None:
    """NEST-04 D8"""
    result = runner.run(outer, {"v": 2})

    assert isinstance(result.nested["inner"], RunResult)
    assert result["inner"] is result.nested["inner"]
    assert result["inner.scaled"] == 40
    assert "inner.sq" in result
    assert set(result.values) == {"sq", "scaled", "total"}
    assert runner.run(Graph([outer.as_node()]), {"v": 2})["outer.inner.sq"] == 4


def test_dotted_names_reach_nested_inputs(runner: Member) -> None:
    """NEST-05 D8"""
    assert runner.run(outer, {"v": 2, "inner.factor": 5})["scaled"] == 20
    assert runner.run(outer, {"inner.v": 3})["sq"] == 9
    assert runner.run(Graph([outer.as_node()]), {"v": 2, "outer.inner.factor": 3})["scaled"] == 12


@pytest.mark.parametrize("name", ["inner.sq", "inner.nothing", "nowhere.v"])
def test_dotted_names_reach_nothing_else(runner: Member, name: str) -> None:
    """D8"""
    with pytest.raises(ValueError, match=r"inner\.factor"):
        runner.run(outer, {"v": 2, name: 5})


def test_inner_bindings_and_defaults_need_no_value(local_runner: Member) -> None:
    given: list[int] = []

    @node(output_name="same")
    def look(thing: list[int]) -> list[int]:
        return thing

    nested = Graph([look], name="nested").bind(thing=given).as_node()

    assert local_runner.run(Graph([nested]))["same"] is given
    assert local_runner.run(outer, {"v": 1})["scaled"] == 10


def test_a_loop_inside_is_one_execution_outside(runner: Member) -> None:
    """Contract 15.1: it reads and writes `n`, and the sole-producer rule lets it run once."""
    graph = Graph([counting.as_node()])
    observed = runner.observe(graph, {"n": 0})

    assert graph.inputs.seeds == ("n",)
    assert observed.result["n"] == 3
    assert observed.starts.split().count("counting") == 1


def test_limits_and_selections_stay_outside(runner: Member) -> None:
    """Contract 15.1"""
    graph = Graph([counting.as_node(), total.with_inputs(scaled="n")])

    assert runner.run(graph, {"n": 0}, max_iterations=2, select=["total"]).values == {"total": 4}


def test_an_inner_failure_is_the_outer_ones(runner: Member) -> None:
    result = runner.fail(Graph([outer.as_node()]), {"v": -1})

    assert result.status is RunStatus.FAILED
    assert isinstance(result.error, ValueError)
    assert str(result.error) == "negative: -1"
    assert any("outer/inner/square" in line for line in result.error.__notes__)
    assert result["outer.inner"].status is RunStatus.FAILED


def test_missing_inputs_of_nested_graphs_are_missed(runner: Member) -> None:
    with pytest.raises(MissingInputError) as caught:
        runner.run(outer)

    assert caught.value.missing == ["v"]


def test_in_a_loop_the_last_nested_result_stays(runner: Member) -> None:
    """D8"""
    step = Graph([bump], name="step").as_node()

    @route(targets=["step", END])
    def on(n: int) -> Any:
        return "step" if n < 3 else END

    result = runner.run(Graph([step, on]), {"n": 0})

    assert result["n"] == 3
    assert result["step.n"] == 3


# -- mapped -------------------------------------------------------------------------------------

many = Graph([square], name="one").as_node().with_inputs(v="vs").with_outputs(sq="sqs")


def test_a_mapped_node_makes_lists(runner: Member) -> None:
    """NODE-07"""
    assert runner.run(Graph([many.map_over("vs")]), {"vs": [1, 2, 3]})["sqs"] == [1, 4, 9]


def test_other_inputs_are_the_same_for_all_items(runner: Member) -> None:
    mapped = inner.as_node().map_over("v")

    assert runner.run(Graph([mapped]), {"v": [1, 2], "factor": 3})["scaled"] == [3, 12]


def test_products_run_the_last_name_fastest(runner: Member) -> None:
    mapped = inner.as_node().map_over("v", "factor", mode="product")

    result = runner.run(Graph([mapped]), {"v": [1, 2], "factor": [10, 100]})

    assert result["scaled"] == [10, 100, 40, 400]


def test_lists_of_unequal_lengths_fail_the_node(runner: Member) -> None:
    mapped = inner.as_node().map_over("v", "factor")

    with pytest.raises(ValueError, match="equal lengths"):
        runner.run(Graph([mapped]), {"v": [1, 2], "factor": [10]})


def test_an_empty_list_makes_empty_lists_and_runs_nothing(runner: Member) -> None:
    observed = runner.observe(Graph([many.map_over("vs")]), {"vs": []})

    assert observed.result["sqs"] == []
    assert observed.starts == "one"


def test_a_failed_item_fails_the_node(runner: Member) -> None:
    result = runner.fail(Graph([many.map_over("vs")]), {"vs": [1, -2, -3]})

    assert str(result.error) == "negative: -2"
    assert any("one[1]" in line for line in result.error.__notes__)  # type: ignore[union-attr]


def test_failed_items_leave_none_when_the_node_continues(runner: Member) -> None:
    """Checklist 23"""
    mapped = Graph([square, scale], name="two").as_node().map_over("v", error_handling="continue")

    result = runner.run(Graph([mapped]), {"v": [1, -2, 3]})

    assert result.status is RunStatus.COMPLETED
    assert result.values == {"sq": [1, None, 9], "scaled": [10, None, 90]}
    nested = result.nested["two"]
    assert isinstance(nested, MapResult)
    assert [item.status for item in nested] == [
        RunStatus.COMPLETED,
        RunStatus.FAILED,
        RunStatus.COMPLETED,
    ]
    error = nested[1].error
    assert error is not None
    assert "square" in error.__notes__[0]


def test_skipped_branches_keep_lists_aligned(runner: Member) -> None:
    """Checklist 23"""

    @route(targets=["square", END])
    def if_odd(v: int) -> Any:
        return "square" if v % 2 else END

    mapped = Graph([square, if_odd], name="odd").as_node().map_over("v")

    assert runner.run(Graph([mapped]), {"v": [1, 2, 3]})["sq"] == [1, None, 9]


def test_the_results_of_items_are_reachable(runner: Member) -> None:
    """D8 NEST-04"""
    result = runner.run(Graph([many.map_over("vs")]), {"vs": [1, 2]})

    assert isinstance(result.nested["one"], MapResult)
    assert result["one"]["sq"] == [1, 4]


def test_maps_lie_in_maps(runner: Member) -> None:
    row = Graph([many.map_over("vs")], name="row").as_node().with_inputs(vs="rows").map_over("rows")

    assert runner.run(Graph([row]), {"rows": [[1, 2], [], [3]]})["sqs"] == [[1, 4], [], [9]]


def test_mapped_loops_turn_each_on_their_own(runner: Member) -> None:
    mapped = counting.as_node().with_inputs(n="ns").with_outputs(n="ends").map_over("ns")

    assert runner.run(Graph([mapped]), {"ns": [0, 2, 7]})["ends"] == [3, 3, 7]


def test_mapped_nodes_do_not_mix(runner: Member) -> None:
    left = many.map_over("vs")
    right = inner.as_node().with_inputs(v="ws").with_outputs(sq="wsq").map_over("ws")

    result = runner.run(Graph([left, right]), {"vs": [1, 2], "ws": [3]})

    assert (result["sqs"], result["wsq"], result["scaled"]) == ([1, 4], [9], [90])


def test_what_is_mapped_over_may_come_from_a_node(runner: Member) -> None:
    @node(output_name="vs")
    def listing(up_to: int) -> list[int]:
        return list(range(up_to))

    assert runner.run(Graph([listing, many.map_over("vs")]), {"up_to": 4})["sqs"] == [0, 1, 4, 9]
