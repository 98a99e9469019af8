"""`runner.map`: contract 15.2 and D3.

MAP-01 MAP-02 MAP-03 MAP-04 MAP-05 MAP-06
"""

from __future__ import annotations

from typing import Any

import pytest

from hypergraph import (
    END,
    Graph,
    IncompatibleRunnerError,
    InterruptNode,
    MapResult,
    MissingInputError,
    RunResult,
    RunStatus,
    node,
    route,
)
from tests.contract.members import Member


@node(output_name="y")
def half(x: int) -> int:
    if x % 2:
        raise ValueError(f"odd: {x}")
    return x // 2


@node(output_name="z")
def add(y: int, k: int = 1) -> int:
    return y + k


graph = Graph([half, add], name="halves")


def test_map_returns_a_result_per_item_in_order(runner: Member) -> None:
    """MAP-01 MAP-02 MAP-06 RUN-04 D3"""
    results = runner.map(graph, {"x": [2, 4, 6]}, map_over="x")

    assert isinstance(results, list)
    assert isinstance(results, MapResult)
    assert all(isinstance(item, RunResult) for item in results)
    assert [item["z"] for item in results] == [2, 3, 4]
    assert results["z"] == results.values_of("z") == [2, 3, 4]
    assert (results.status, results.failed) == (RunStatus.COMPLETED, [])
    assert len({item.run_id for item in results}) == 3
    assert "3" in results.summary()
    with pytest.raises(KeyError):
        results["nothing"]


def test_zip_pairs_lists(runner: Member) -> None:
    """MAP-03"""
    assert runner.map(graph, {"x": [2, 4], "k": [10, 20]}, map_over=["x", "k"])["z"] == [11, 22]
    with pytest.raises(ValueError, match="equal lengths"):
        runner.map(graph, {"x": [2, 4], "k": [1]}, map_over=["x", "k"])


def test_product_combines_lists_the_last_name_fastest(runner: Member) -> None:
    """MAP-04"""
    results = runner.map(
        graph, {"x": [2, 4], "k": [10, 20]}, map_over=["x", "k"], map_mode="product"
    )

    assert results["z"] == [11, 21, 12, 22]


def test_an_unknown_mode_is_refused(runner: Member) -> None:
    with pytest.raises(ValueError, match="map_mode"):
        runner.map(graph, {"x": [2]}, map_over="x", map_mode="shuffle")


def test_other_inputs_are_given_to_all_items(local_runner: Member) -> None:
    """MAP-05"""
    thing = object()

    @node(output_name="same")
    def look(x: int, thing: Any) -> bool:
        return thing is thing_given

    thing_given = thing
    results = local_runner.map(Graph([look]), {"x": [1, 2], "thing": thing}, map_over="x")

    assert results["same"] == [True, True]


def test_inputs_may_be_keywords(runner: Member) -> None:
    """D2"""
    assert runner.map(graph, {"x": [2]}, map_over="x", k=5)["z"] == [6]


def test_a_name_without_a_list_is_a_key_error(runner: Member) -> None:
    with pytest.raises(KeyError, match="x"):
        runner.map(graph, {"k": 1}, map_over="x")


def test_a_map_of_nothing_is_an_empty_list(runner: Member) -> None:
    """Checklist 22"""
    results = runner.map(graph, {"x": []}, map_over="x")
    product = runner.map(
        graph, {"x": [2], "k": []}, map_over=["x", "k"], map_mode="product", select=["z"]
    )

    assert (list(results), list(product)) == ([], [])
    assert results["z"] == []


def test_raise_raises_the_first_failure_in_input_order(runner: Member) -> None:
    """D1, checklist 14"""
    with pytest.raises(ValueError, match="odd: 1") as caught:
        runner.map(graph, {"x": [2, 1, 3]}, map_over="x")

    assert any("item 1" in line for line in caught.value.__notes__)


def test_continue_gives_every_item_a_result(runner: Member) -> None:
    """D1 D3, checklist 14"""
    results = runner.map(graph, {"x": [2, 1, 4]}, map_over="x", error_handling="continue")

    assert [item.status.value for item in results] == ["completed", "failed", "completed"]
    assert results.status is RunStatus.PARTIAL
    assert results["z"] == [2, None, 3]
    assert [str(item.error) for item in results.failed] == ["odd: 1"]
    assert "1 failed" in results.summary()


def test_failed_items_keep_what_they_had(runner: Member) -> None:
    @node(output_name="w")
    def burst(z: int) -> int:
        raise RuntimeError

    (item,) = runner.map(
        Graph([half, add, burst]), {"x": [2]}, map_over="x", error_handling="continue"
    )

    assert item.values == {"y": 1, "z": 2}


def test_missing_inputs_are_raised_even_with_continue(runner: Member) -> None:
    with pytest.raises(MissingInputError):
        runner.map(graph, {"k": [1]}, map_over="k", error_handling="continue")


def test_loops_can_be_mapped(runner: Member) -> None:
    @node(output_name="n")
    def bump(n: int) -> int:
        return n + 1

    @route(targets=["bump", END])
    def again(n: int) -> Any:
        return "bump" if n < 3 else END

    assert runner.map(Graph([bump, again]), {"n": [0, 5]}, map_over="n")["n"] == [3, 5]


def test_a_selection_holds_for_all_items(runner: Member) -> None:
    results = runner.map(graph, {"x": [2]}, map_over="x", select=["y"])

    assert results[0].values == {"y": 1}


def test_graphs_with_interrupts_are_not_mapped(runner: Member) -> None:
    """Contract 12.3"""
    ask = InterruptNode("ask", input_param="y", output_param="answer")
    nested = Graph([Graph([half, ask], name="in").as_node()])

    for asking in (Graph([half, ask]), nested):
        with pytest.raises(IncompatibleRunnerError, match="InterruptNode") as caught:
            runner.map(asking, {"x": [2]}, map_over="x")
        assert caught.value.capability == "supports_interrupts"
