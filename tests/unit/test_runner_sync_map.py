"""SyncRunner.map: one run per item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hypergraph import (
    END,
    Graph,
    IncompatibleRunnerError,
    InterruptNode,
    MapResult,
    MissingInputError,
    node,
    route,
)
from hypergraph.runners import RunStatus, SyncRunner

RUNNER = SyncRunner()


@node(output_name="quotient")
def divide(x: float, by: float = 2) -> float:
    return x / by


@node(output_name="text")
def write(quotient: float) -> str:
    return str(quotient)


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> object:
    return "bump" if n < 2 else END


GRAPH = Graph([divide, write])


def test_results_come_in_the_order_of_the_inputs() -> None:
    results = RUNNER.map(GRAPH, {"x": [4, 2, 6]}, map_over="x")

    assert isinstance(results, MapResult)
    assert [r["quotient"] for r in results] == [2, 1, 3]
    assert results["text"] == ["2.0", "1.0", "3.0"]
    assert [r.index for r in results] == [0, 1, 2]
    assert len({r.run_id for r in results}) == 3
    assert results.status is RunStatus.COMPLETED


def test_zip_and_product() -> None:
    values = {"x": [12, 24], "by": [2, 3]}

    assert RUNNER.map(GRAPH, values, map_over=["x", "by"])["quotient"] == [6, 8]
    assert RUNNER.map(GRAPH, values, map_over=["x", "by"], map_mode="product")["quotient"] == [
        6,
        4,
        12,
        8,
    ]


def test_what_is_not_mapped_is_the_same_object_for_all_items() -> None:
    @node(output_name="model")
    def hand_on(x: int, used: object) -> object:
        return used

    model = object()

    results = RUNNER.map(Graph([hand_on]), {"x": [1, 2]}, map_over="x", used=model)

    assert all(seen is model for seen in results["model"])


def test_nothing_to_map_over_gives_an_empty_result() -> None:
    results = RUNNER.map(GRAPH, {"x": []}, map_over="x")

    assert results == []
    assert results["text"] == []
    assert RUNNER.map(GRAPH, {"x": [1], "by": []}, map_over=["x", "by"], map_mode="product") == []


def test_a_stream_may_be_mapped_over() -> None:
    def stream() -> Iterator[int]:
        yield from (2, 4)

    assert RUNNER.map(GRAPH, {"x": stream()}, map_over="x")["quotient"] == [1, 2]


def test_the_first_failed_item_is_raised_with_its_index() -> None:
    starts: list[Any] = []

    @node(output_name="out")
    def parse(x: str) -> int:
        starts.append(x)
        return int(x)

    with pytest.raises(ValueError, match="'two'") as raised:
        RUNNER.map(Graph([parse]), {"x": ["1", "two", "drei"]}, map_over="x")

    assert starts == ["1", "two"]
    (note,) = raised.value.__notes__
    assert "'parse'" in note
    assert "item 1" in note


def test_every_item_gets_a_result_on_demand() -> None:
    results = RUNNER.map(
        GRAPH, {"x": [1, 1, 1], "by": [1, 0, 2]}, map_over=["x", "by"], error_handling="continue"
    )

    assert [r.status.name for r in results] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert results["quotient"] == [1, None, 0.5]
    assert isinstance(results[1].error, ZeroDivisionError)
    assert "item 1" in results[1].error.__notes__[0]
    assert results.status is RunStatus.PARTIAL
    assert results.failed == [results[1]]


def test_a_failed_item_keeps_what_it_had() -> None:
    @node(output_name="end")
    def fail(quotient: float) -> float:
        raise ValueError

    (result,) = RUNNER.map(
        Graph([divide, fail]), {"x": [2]}, map_over="x", error_handling="continue"
    )

    assert result.values == {"quotient": 1}


def test_cycles_may_be_mapped() -> None:
    assert RUNNER.map(Graph([bump, again]), {"n": [0, 1, 7]}, map_over="n")["n"] == [2, 2, 7]


def test_select_holds_for_every_item() -> None:
    assert RUNNER.map(GRAPH, {"x": [2]}, map_over="x", select=["text"])[0].values == {"text": "1.0"}
    selected = GRAPH.select("quotient")
    assert RUNNER.map(selected, {"x": [2]}, map_over="x")[0].values == {"quotient": 1}


def test_a_selected_output_that_an_item_lacks_is_warned_of_once() -> None:
    @route(targets=["write", END])
    def gate(quotient: float) -> object:
        return "write" if quotient > 1 else END

    graph = Graph([divide, gate, write])

    with pytest.warns(UserWarning, match="Requested outputs not found: 'text'") as caught:
        results = RUNNER.map(graph, {"x": [1, 8, 1]}, map_over="x", select=["text"])

    assert len(caught) == 1
    assert results["text"] == [None, "4.0", None]


def test_dotted_names_may_be_mapped_over() -> None:
    graph = Graph([Graph([divide], name="inner").as_node()])

    results = RUNNER.map(graph, {"inner.x": [2, 4]}, map_over="inner.x")

    assert results["quotient"] == [1, 2]
    assert results["inner.quotient"] == [1, 2]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"values": {"x": [1, 2], "by": [1]}, "map_over": ["x", "by"]}, ValueError, "equal len"),
        ({"values": {"x": [1]}, "map_over": "x", "map_mode": "zap"}, ValueError, "'zap'"),
        ({"values": {"by": [1]}, "map_over": "x"}, KeyError, "x"),
        ({"values": {"x": [1]}, "map_over": "x", "error_handling": "no"}, ValueError, "'no'"),
        ({"values": {"x": [1]}, "map_over": "x", "chunk": 5}, TypeError, "'chunk'"),
    ],
)
def test_what_cannot_be_mapped_is_refused(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        RUNNER.map(GRAPH, **options)


def test_a_missing_input_is_raised_even_when_errors_are_returned() -> None:
    with pytest.raises(MissingInputError):
        RUNNER.map(GRAPH, {"by": [1, 2]}, map_over="by", error_handling="continue")


def test_an_unknown_name_is_warned_of_once() -> None:
    with pytest.warns(UserWarning, match="'zzz'") as caught:
        RUNNER.map(GRAPH, {"x": [1, 2, 3], "zzz": 0}, map_over="x")

    assert [w.filename for w in caught] == [__file__]


def test_interrupts_and_async_nodes_are_refused_before_anything_else() -> None:
    ask = InterruptNode("ask", input_param="x", output_param="answer")

    @node(output_name="page")
    async def fetch(x: str) -> str:
        return x

    with pytest.raises(IncompatibleRunnerError, match="InterruptNode"):
        RUNNER.map(Graph([ask]), {"x": []}, map_over="x")
    with pytest.raises(IncompatibleRunnerError, match="async"):
        RUNNER.map(Graph([fetch]), {"x": []}, map_over="x")
