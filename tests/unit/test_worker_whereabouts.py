"""A line that a body prints says which node it comes from, found when it is printed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hypergraph import Graph, SyncRunner, node
from hypergraph.nodes import FunctionNode
from hypergraph.worker.whereabouts import find_node

FOUND: list[str] = []
GRAPH: list[Graph] = []


def look() -> None:
    FOUND.append(find_node(GRAPH[-1]))


def found_in(graph: Graph, **values: Any) -> list[str]:
    """Run a graph whose bodies look where they are."""
    FOUND.clear()
    GRAPH.append(graph)
    SyncRunner().run(graph, values)
    return list(FOUND)


@node(output_name="a")
def plain(x: int) -> int:
    look()
    return x


@node(output_name="b")
def helped(a: int) -> int:
    def helper() -> None:
        look()

    helper()
    return a


@node(output_name="c")
def generator(b: int) -> Iterator[int]:
    look()
    yield b


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Thing:
    def __call__(self, x: int) -> int:
        look()
        return x

    def method(self, x: int) -> int:
        look()
        return x


def test_nodes_are_found_by_their_bodies() -> None:
    assert found_in(Graph([plain, helped, generator]), x=1) == ["plain", "helped", "generator"]


def test_nodes_of_nested_graphs_have_paths() -> None:
    inner = Graph([Graph([plain], name="deep").as_node()], name="inner")

    assert found_in(Graph([inner.as_node(), helped]), x=1) == ["inner/deep/plain", "helped"]


@pytest.mark.parametrize(
    "body",
    [Thing(), Thing().method, functools.partial(plain.func), decorated(decorated(plain.func))],
    ids=["an object", "a method", "a partial", "a decorated function"],
)
def test_bodies_of_all_kinds_are_found(body: Callable[..., Any]) -> None:
    graph = Graph([FunctionNode(body, name="odd", output_name="y")])

    assert found_in(graph, x=1) == ["odd"]


def test_decorators_of_one_kind_do_not_hide_what_they_decorate() -> None:
    def first(x: int) -> int:
        look()
        return x

    def second(x: int) -> int:
        look()
        return x

    nodes = [FunctionNode(decorated(f), output_name=f.__name__ + "_") for f in (first, second)]

    assert found_in(Graph(nodes), x=1) == ["first", "second"]


def test_nodes_that_share_a_body_are_named_together() -> None:
    again = plain.with_name("again").with_outputs(a="b")

    assert found_in(Graph([plain, again]), x=1) == ["plain|again", "plain|again"]


def test_outside_any_body_there_is_nothing_to_name() -> None:
    assert find_node(Graph([plain])) == ""
