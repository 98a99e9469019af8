"""A strict graph checks both ends of every data edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hypergraph import END, Graph, GraphConfigError, HyperNode, InterruptNode, node, route


@node(output_name="text")
def write(n: int) -> str:
    return "x" * n


@node(output_name="n")
def count(text: str) -> int:
    return len(text)


@node(output_name="size")
def measure(text: list[str]) -> int:
    return len(text)


@node(output_name="text")
def silent(n):  # type: ignore[no-untyped-def]
    return n


@node(output_name="size")
def deaf(text) -> int:  # type: ignore[no-untyped-def]
    return 1


@node(output_name="xs")
def numbers(n: int) -> Iterator[int]:
    yield from range(n)


@node(output_name="total")
def add(xs: list[int]) -> int:
    return sum(xs)


@route(targets=["count", END])
def long_enough(text: bytes) -> str:
    return "count"


def strict(*nodes: HyperNode) -> Graph:
    return Graph(list(nodes), strict_types=True)


def inner(*nodes: HyperNode) -> Any:
    return Graph(list(nodes), name="inner").as_node()


@pytest.mark.parametrize(
    ("nodes", "phrases"),
    [
        pytest.param(
            [silent, count.with_outputs(n="m")],
            ["Missing type annotation", "'silent'", "'text'", "How to fix"],
            id="a silent producer",
        ),
        pytest.param(
            [write, deaf],
            ["Missing type annotation", "'deaf'", "'text'", "How to fix"],
            id="a deaf reader",
        ),
        pytest.param([silent, deaf], ["'silent' does not say"], id="the producer first"),
        pytest.param(
            [write, measure],
            ["Type mismatch", "'write'", "'measure'", "'text'", "str", "list[str]", "How to fix"],
            id="types that do not fit",
        ),
        pytest.param(
            [write, long_enough, count.with_outputs(n="m")],
            ["Type mismatch", "'long_enough'"],
            id="a gate reads",
        ),
        pytest.param([inner(write), measure], ["Type mismatch", "'inner'"], id="a nested producer"),
        pytest.param([write, inner(measure)], ["Type mismatch", "'inner'"], id="a nested reader"),
        pytest.param(
            [write, inner(count).map_over("text").with_outputs(n="m")],
            ["Type mismatch", "list[str]"],
            id="one value for a mapped input",
        ),
    ],
)
def test_ends_that_do_not_fit_are_refused(nodes: list[HyperNode], phrases: list[str]) -> None:
    Graph(nodes)
    with pytest.raises(GraphConfigError) as caught:
        strict(*nodes)

    for phrase in phrases:
        assert phrase in str(caught.value)


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([write, count.with_outputs(n="m")], id="equal types"),
        pytest.param([silent], id="outputs nobody reads and graph inputs"),
        pytest.param([numbers, add], id="a generator delivers a list"),
        pytest.param([inner(write), count.with_outputs(n="m")], id="through a nested graph"),
        pytest.param(
            [
                inner(write).map_over("n"),
                inner(count).with_name("other").map_over("text").with_outputs(n="m"),
            ],
            id="a mapped output feeds a mapped input",
        ),
        pytest.param([write, count], id="a cycle"),
    ],
)
def test_ends_that_fit_make_a_graph(nodes: list[HyperNode]) -> None:
    assert strict(*nodes).strict_types is True


def test_an_interrupt_is_checked_by_its_response_type() -> None:
    ask = InterruptNode("ask", input_param="draft", output_param="text", response_type=bytes)

    with pytest.raises(GraphConfigError, match="Type mismatch"):
        strict(ask, count)
