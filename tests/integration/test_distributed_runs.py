"""A run on workers gives what SyncRunner gives: scenario by scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from hypergraph import DistributedRunner, Graph, MapResult, RunResult, SyncRunner, node
from hypergraph.nodes import FunctionNode
from tests.agreement import assert_agree, see
from tests.ledger import Ledger


@dataclass
class Case:
    """A graph and how it is called."""

    graph: Graph
    values: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


CASES: dict[str, Callable[[Ledger], Case]] = {}


def case(make: Callable[[Ledger], Case]) -> Callable[[Ledger], Case]:
    """Add a scenario; its name is its story."""
    CASES[make.__name__.replace("_", " ")] = make
    return make


def counted(ledger: Ledger, name: str, function: Callable[..., Any], *outputs: str) -> FunctionNode:
    """Return a node that writes its name down when it starts."""
    from functools import wraps

    @wraps(function)
    def body(*args: Any, **kwargs: Any) -> Any:
        ledger.note(name)
        return function(*args, **kwargs)

    output_name: Any = outputs if len(outputs) != 1 else outputs[0]
    made = FunctionNode(body, name=name, output_name=output_name or None)
    return made


def add_one(x: Any) -> Any:
    return x + 1


def double(a: Any) -> Any:
    return a * 2


# -- shapes -----------------------------------------------------------------------------------


@case
def a_single_node(ledger: Ledger) -> Case:
    return Case(Graph([counted(ledger, "f", add_one, "a")]), {"x": 1})


@case
def a_chain(ledger: Ledger) -> Case:
    nodes = [
        counted(ledger, f"n{i}", add_one, "a").with_inputs(x=f"v{i}").with_outputs(a=f"v{i + 1}")
        for i in range(30)
    ]
    return Case(Graph(nodes), {"v0": 0})


@case
def a_chain_listed_backwards(ledger: Ledger) -> Case:
    nodes = [
        counted(ledger, f"n{i}", add_one, "a").with_inputs(x=f"v{i}").with_outputs(a=f"v{i + 1}")
        for i in reversed(range(8))
    ]
    return Case(Graph(nodes), {"v0": 0})


@case
def a_diamond(ledger: Ledger) -> Case:
    return Case(
        Graph(
            [
                counted(ledger, "top", add_one, "a"),
                counted(ledger, "left", lambda a: a + 1, "l"),
                counted(ledger, "right", lambda a: a * 10, "r"),
                counted(ledger, "bottom", lambda l, r: (l, r), "b"),  # noqa: E741
            ]
        ),
        {"x": 1},
    )


@case
def fifty_wide(ledger: Ledger) -> Case:
    wide = [
        counted(ledger, f"w{i}", lambda a, i=i: a + i, f"o{i}").with_inputs(i=f"i{i}")
        for i in range(50)
    ]
    names = ", ".join(f"o{i}" for i in range(50))
    total = eval(f"lambda {names}: [{names}]")
    return Case(
        Graph([counted(ledger, "top", add_one, "a"), *wide, counted(ledger, "end", total, "all")]),
        {"x": 1},
    )


@case
def two_islands(ledger: Ledger) -> Case:
    return Case(
        Graph([counted(ledger, "f", add_one, "a"), counted(ledger, "g", lambda y: -y, "b")]),
        {"x": 1, "y": 2},
    )


@case
def several_outputs(ledger: Ledger) -> Case:
    return Case(
        Graph(
            [
                counted(ledger, "split", lambda x: (x, [x], None), "one", "two", "three"),
                counted(ledger, "join", lambda two, three: (two, three), "both"),
            ]
        ),
        {"x": 1},
    )


@case
def no_outputs(ledger: Ledger) -> Case:
    return Case(
        Graph([counted(ledger, "f", add_one, "a"), counted(ledger, "effect", lambda a: a)]),
        {"x": 1},
    )


@case
def nothing_but_effects(ledger: Ledger) -> Case:
    return Case(Graph([counted(ledger, "effect", lambda x: x)]), {"x": 1})


@case
def no_inputs(ledger: Ledger) -> Case:
    return Case(Graph([counted(ledger, "f", lambda: 7, "a")]))


@case
def an_empty_graph(ledger: Ledger) -> Case:
    return Case(Graph([]))


@case
def generators(ledger: Ledger) -> Case:
    @node(output_name="words")
    def split(text: str) -> Any:
        ledger.note("split")
        yield from text.split()

    @node(output_name="none")
    def empty(text: str) -> Any:
        yield from ()

    @node(output_name=("first", "second"))
    def pair(words: list[str]) -> Any:
        yield words[0]
        yield None

    return Case(Graph([split, empty, pair]), {"text": "to be"})


@case
def stars_and_keywords(ledger: Ledger) -> Case:
    def f(a: int, *args: int, key: int = 3, **kwargs: int) -> Any:
        ledger.note("f")
        return a, args, key, kwargs

    return Case(
        Graph([FunctionNode(f, output_name="out")]),
        {"a": 1, "args": (2, 3), "kwargs": {"z": 9}},
    )


# -- inputs -----------------------------------------------------------------------------------


@case
def defaults(ledger: Ledger) -> Case:
    def f(x: int, k: int = 3, none: Any = None) -> Any:
        return x, k, none

    return Case(Graph([FunctionNode(f, output_name="out")]), {"x": 1})


@case
def a_default_that_is_overridden(ledger: Ledger) -> Case:
    def f(x: int, k: int = 3) -> Any:
        return x, k

    return Case(Graph([FunctionNode(f, output_name="out")]), {"x": 1, "k": None})


@case
def a_mutable_default_is_copied_for_every_use(ledger: Ledger) -> Case:
    def push(x: int, seen: list[Any] = []) -> Any:  # noqa: B006
        seen.append(x)
        return list(seen)

    nodes = [
        FunctionNode(push, name=f"push{i}", output_name=f"o{i}").with_inputs(seen=f"seen{i}")
        for i in range(4)
    ]
    return Case(Graph(nodes), {"x": 1})


@case
def a_mutable_default_shared_by_name_is_copied_too(ledger: Ledger) -> Case:
    def push(x: int, seen: list[Any] = []) -> Any:  # noqa: B006
        seen.append(x)
        return list(seen)

    nodes = [FunctionNode(push, name=f"push{i}", output_name=f"o{i}") for i in range(4)]
    return Case(Graph(nodes), {"x": 1})


@case
def a_bound_value(ledger: Ledger) -> Case:
    return Case(Graph([counted(ledger, "f", lambda x, y: (x, y), "a")]).bind(y=2), {"x": 1})


@case
def a_bound_None(ledger: Ledger) -> Case:
    return Case(Graph([counted(ledger, "f", lambda x, y: (x, y), "a")]).bind(y=None), {"x": 1})


@case
def a_bound_value_over_a_default_and_a_value_over_both(ledger: Ledger) -> Case:
    def f(x: int = 1, y: int = 2, z: int = 3) -> Any:
        return x, y, z

    return Case(Graph([FunctionNode(f, output_name="a")]).bind(y=20, z=30), {"z": 300})


@case
def a_bound_array(ledger: Ledger) -> Case:
    big = np.arange(1_000_000, dtype=np.float64)
    graph = Graph(
        [
            counted(ledger, "f", lambda x, big: float(big.sum()) + x, "a"),
            counted(ledger, "g", lambda big: big[:10], "b"),
        ]
    )
    return Case(graph.bind(big=big), {"x": 1})


@case
def bindings_in_nested_graphs(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", lambda x, y, z: (x, y, z), "a")], name="inner")
    bound = inner.bind(y=[1], z=None)
    return Case(Graph([bound.as_node(), counted(ledger, "g", double, "b")]), {"x": 1})


@case
def a_nested_binding_that_is_overridden(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", lambda x, y: (x, y), "a")], name="inner").bind(y=1)
    return Case(Graph([inner.as_node()]).bind(y=2), {"x": 1})


@case
def inputs_by_path(ledger: Ledger) -> Case:
    deep = Graph([counted(ledger, "f", lambda x, k: (x, k), "a")], name="deep")
    middle = Graph([deep.as_node(), counted(ledger, "g", lambda x: x, "same")], name="middle")
    return Case(Graph([middle.as_node()]), {"x": 1, "middle.deep.k": 5})


@case
def inputs_by_path_beside_the_plain_name(ledger: Ledger) -> Case:
    one = Graph([counted(ledger, "f", lambda x, k=1: (x, k), "a")], name="one")
    two = one.as_node(name="two").with_outputs(a="b")
    return Case(Graph([one.as_node(), two]), {"x": 1, "k": 2, "two.k": 3})


@case
def inputs_by_path_into_a_mapped_graph(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", lambda x, k: (x, k), "a")], name="inner")
    return Case(Graph([inner.as_node().map_over("x")]), {"x": [1, 2], "inner.k": 5})


@case
def a_mapped_list_by_path(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", lambda x, k: (x, k), "a")], name="inner")
    return Case(Graph([inner.as_node().map_over("x")]), {"inner.x": [1, 2], "k": 5})


@case
def an_intermediate_value_instead_of_its_node(ledger: Ledger) -> Case:
    return Case(
        Graph([counted(ledger, "f", add_one, "a"), counted(ledger, "g", double, "b")]), {"a": 5}
    )


@case
def an_intermediate_value_beside_its_node(ledger: Ledger) -> Case:
    return Case(
        Graph([counted(ledger, "f", add_one, "a"), counted(ledger, "g", double, "b")]),
        {"x": 1, "a": 5},
    )


@case
def an_intermediate_value_that_equals_what_its_node_returns(ledger: Ledger) -> Case:
    return Case(
        Graph(
            [
                counted(ledger, "f", lambda x: [x, 1.0], "a"),
                counted(ledger, "g", double, "b"),
            ]
        ),
        {"x": 1, "a": [True, 1]},
    )


@case
def an_intermediate_value_that_never_equals_anything(ledger: Ledger) -> Case:
    return Case(
        Graph(
            [
                counted(ledger, "f", lambda x: float("nan"), "a"),
                counted(ledger, "g", lambda a: repr(a), "b"),
            ]
        ),
        {"x": 1, "a": float("nan")},
    )


@case
def an_intermediate_value_of_a_nested_graph(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", add_one, "a")], name="inner")
    return Case(Graph([inner.as_node(), counted(ledger, "g", double, "b")]), {"a": 5})


@case
def an_intermediate_value_beside_its_nested_graph(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", add_one, "a")], name="inner")
    return Case(Graph([inner.as_node(), counted(ledger, "g", double, "b")]), {"x": 1, "a": 5})


@case
def an_intermediate_value_that_equals_what_its_nested_graph_returns(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", add_one, "a")], name="inner")
    return Case(Graph([inner.as_node(), counted(ledger, "g", double, "b")]), {"x": 1, "a": 2})


@case
def an_intermediate_value_that_equals_what_its_mapped_graph_returns(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", add_one, "a")], name="inner")
    many = inner.as_node().map_over("x")
    return Case(Graph([many, counted(ledger, "g", double, "b")]), {"x": [1], "a": [2]})


@case
def values_that_no_node_knows(ledger: Ledger) -> Case:
    return Case(Graph([counted(ledger, "f", add_one, "a")]), {"x": 1, "typo": 2})


@case
def one_input_for_many_nodes(ledger: Ledger) -> Case:
    nodes = [counted(ledger, f"n{i}", add_one, f"o{i}") for i in range(5)]
    return Case(Graph(nodes), {"x": 3})


# -- names ------------------------------------------------------------------------------------


@case
def swapped_inputs(ledger: Ledger) -> Case:
    swapped = counted(ledger, "f", lambda x, y: (x, y), "a").with_inputs(x="y", y="x")
    return Case(Graph([swapped]), {"x": 1, "y": 2})


@case
def swapped_outputs(ledger: Ledger) -> Case:
    swapped = counted(ledger, "f", lambda x: (x, -x), "a", "b").with_outputs(a="b", b="a")
    return Case(Graph([swapped]), {"x": 1})


@case
def renamed_again_and_again(ledger: Ledger) -> Case:
    f = counted(ledger, "f", add_one, "a").with_inputs(x="y").with_inputs(y="z")
    g = f.with_name("other").with_outputs(a="b").with_outputs(b="c").with_inputs(z="a")
    return Case(Graph([f, g]), {"z": 1})


@case
def a_nested_graph_with_swapped_names(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", lambda x, y: (x, y), "a", "b")], name="inner")
    swapped = inner.as_node().with_inputs(x="y", y="x").with_outputs(a="b", b="a")
    return Case(Graph([swapped]), {"x": 1, "y": 2})


# -- selections -------------------------------------------------------------------------------


def chain_of_three(ledger: Ledger) -> Graph:
    return Graph(
        [
            counted(ledger, "f", add_one, "a"),
            counted(ledger, "g", double, "b"),
            counted(ledger, "h", lambda b: -b, "c"),
        ],
        name="three",
    )


@case
def a_selection_on_the_graph(ledger: Ledger) -> Case:
    return Case(chain_of_three(ledger).select("c", "a"), {"x": 1})


@case
def a_selection_of_the_run(ledger: Ledger) -> Case:
    return Case(chain_of_three(ledger).select("c"), {"x": 1}, {"select": ["b", "a"]})


@case
def a_selection_of_one_name(ledger: Ledger) -> Case:
    return Case(chain_of_three(ledger), {"x": 1}, {"select": "b"})


@case
def a_selection_of_nothing(ledger: Ledger) -> Case:
    return Case(chain_of_three(ledger), {"x": 1}, {"select": []})


@case
def a_selection_of_an_input(ledger: Ledger) -> Case:
    return Case(chain_of_three(ledger), {"x": 1}, {"select": ["x", "c"]})


@case
def a_selection_of_what_is_not_there(ledger: Ledger) -> Case:
    return Case(chain_of_three(ledger), {"x": 1}, {"select": ["c", "zzz"]})


@case
def a_selection_of_what_never_ran(ledger: Ledger) -> Case:
    return Case(chain_of_three(ledger), {"b": 1}, {"select": ["c", "a"]})


@case
def a_selection_of_a_name_twice(ledger: Ledger) -> Case:
    return Case(chain_of_three(ledger), {"x": 1}, {"select": ["c", "c"]})


@case
def a_selection_on_a_nested_graph(ledger: Ledger) -> Case:
    inner = chain_of_three(ledger).select("c")
    return Case(Graph([inner.as_node(), counted(ledger, "i", lambda c: c, "d")]), {"x": 1})


# -- nested graphs ----------------------------------------------------------------------------


@case
def three_levels(ledger: Ledger) -> Case:
    graph = chain_of_three(ledger)
    for depth in range(3):
        after = counted(ledger, f"after{depth}", lambda c: c + 1, f"d{depth}")
        graph = Graph([graph.as_node(), after], name=f"level{depth}")
    return Case(graph, {"x": 1})


@case
def the_same_nested_graph_twice(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", add_one, "a")], name="inner")
    again = inner.as_node(name="again").with_inputs(x="a").with_outputs(a="b")
    return Case(Graph([inner.as_node(), again]), {"x": 1})


@case
def nested_graphs_side_by_side(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", add_one, "a"), counted(ledger, "g", double, "b")], name="i")
    nodes = [
        inner.as_node(name=f"i{n}").with_outputs(a=f"a{n}", b=f"b{n}").with_inputs(x=f"x{n}")
        for n in range(4)
    ]
    return Case(Graph(nodes), {f"x{n}": n for n in range(4)})


@case
def an_empty_nested_graph(ledger: Ledger) -> Case:
    return Case(
        Graph([Graph([], name="empty").as_node(), counted(ledger, "f", add_one, "a")]), {"x": 1}
    )


@case
def a_nested_graph_without_outputs(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "effect", lambda x: None)], name="inner")
    return Case(Graph([inner.as_node(), counted(ledger, "f", add_one, "a")]), {"x": 1})


@case
def a_nested_graph_on_a_runner_of_its_own(ledger: Ledger) -> Case:
    inner = chain_of_three(ledger).as_node(runner=SyncRunner())
    return Case(Graph([inner, counted(ledger, "i", lambda c: c, "d")]), {"x": 1})


@case
def a_nested_graph_on_a_runner_of_its_own_with_bindings(ledger: Ledger) -> Case:
    inner = Graph([counted(ledger, "f", lambda x, y: (x, y), "a")], name="inner").bind(y=2)
    return Case(Graph([inner.as_node().with_runner(SyncRunner()).with_inputs(x="z")]), {"z": 1})


@case
def a_mapped_graph_on_a_runner_of_its_own(ledger: Ledger) -> Case:
    inner = chain_of_three(ledger).as_node(runner=SyncRunner()).map_over("x")
    return Case(Graph([inner]), {"x": [1, 2, 3]})


@case
def a_runner_of_its_own_deep_inside(ledger: Ledger) -> Case:
    inner = chain_of_three(ledger).as_node(runner=SyncRunner())
    middle = Graph([inner], name="middle")
    return Case(Graph([middle.as_node()]), {"x": 1})


# -- mapped nested graphs ---------------------------------------------------------------------


def one(ledger: Ledger) -> Graph:
    return Graph(
        [counted(ledger, "f", add_one, "a"), counted(ledger, "g", lambda a, k=10: a * k, "b")],
        name="one",
    )


@case
def a_map_over_a_list(ledger: Ledger) -> Case:
    many = one(ledger).as_node().map_over("x")
    total = counted(ledger, "total", lambda b: sum(b), "sum")
    return Case(Graph([many, total]), {"x": list(range(20)), "k": 2})


@case
def a_map_over_a_list_that_a_node_makes(ledger: Ledger) -> Case:
    make = counted(ledger, "make", lambda n: list(range(n)), "x")
    return Case(Graph([make, one(ledger).as_node().map_over("x")]), {"n": 7})


@case
def a_map_that_zips(ledger: Ledger) -> Case:
    many = one(ledger).as_node().map_over("x", "k")
    return Case(Graph([many]), {"x": [1, 2, 3], "k": [4, 5, 6]})


@case
def a_map_of_products(ledger: Ledger) -> Case:
    many = one(ledger).as_node().map_over("x", "k", mode="product")
    return Case(Graph([many]), {"x": [1, 2, 3], "k": [4, 5]})


@case
def a_map_with_unequal_lists(ledger: Ledger) -> Case:
    many = one(ledger).as_node().map_over("x", "k")
    return Case(Graph([many]), {"x": [1, 2, 3], "k": [4]})


@case
def a_map_over_what_is_no_list(ledger: Ledger) -> Case:
    return Case(Graph([one(ledger).as_node().map_over("x")]), {"x": 5})


@case
def a_map_over_nothing(ledger: Ledger) -> Case:
    many = one(ledger).as_node().map_over("x")
    total = counted(ledger, "total", lambda a, b: (a, b), "sum")
    return Case(Graph([many, total]), {"x": []})


@case
def a_map_over_one_item(ledger: Ledger) -> Case:
    return Case(Graph([one(ledger).as_node().map_over("x")]), {"x": [5]})


@case
def a_map_over_a_tuple_and_a_string(ledger: Ledger) -> Case:
    f = counted(ledger, "f", lambda x, y: (x, y), "a")
    many = Graph([f], name="one").as_node().map_over("x", "y")
    return Case(Graph([many]), {"x": (1, 2), "y": "ab"})


@case
def a_map_over_an_array(ledger: Ledger) -> Case:
    f = counted(ledger, "f", lambda x: float(x.sum()), "a")
    many = Graph([f], name="one").as_node().map_over("x")
    return Case(Graph([many]), {"x": np.arange(12.0).reshape(4, 3)})


@case
def a_map_with_renamed_and_swapped_names(ledger: Ledger) -> Case:
    f = counted(ledger, "f", lambda x, y: (x, y), "a", "b")
    many = (
        Graph([f], name="one")
        .as_node()
        .map_over("x")
        .with_inputs(x="y", y="x")
        .with_outputs(a="b", b="a")
    )
    return Case(Graph([many]), {"x": 1, "y": [2, 3]})


@case
def a_map_with_a_selection(ledger: Ledger) -> Case:
    return Case(Graph([one(ledger).select("b").as_node().map_over("x")]), {"x": [1, 2]})


@case
def a_map_over_a_bound_list(ledger: Ledger) -> Case:
    return Case(Graph([one(ledger).bind(x=[1, 2, 3]).as_node().map_over("x")]))


@case
def a_map_over_a_default(ledger: Ledger) -> Case:
    return Case(Graph([one(ledger).as_node().map_over("k")]).bind(k=[1, 2]), {"x": 1})


@case
def a_map_with_a_mutable_default(ledger: Ledger) -> Case:
    def push(x: int, seen: list[int] = []) -> list[int]:  # noqa: B006
        seen.append(x)
        return list(seen)

    inner = Graph([FunctionNode(push, output_name="a")], name="one")
    return Case(Graph([inner.as_node().map_over("x")]), {"x": [1, 2, 3]})


@case
def a_map_within_a_nested_graph(ledger: Ledger) -> Case:
    middle = Graph([one(ledger).as_node().map_over("x")], name="middle")
    return Case(Graph([middle.as_node()]), {"x": [1, 2, 3]})


@case
def a_map_within_a_map(ledger: Ledger) -> Case:
    middle = Graph([one(ledger).as_node().map_over("x")], name="middle")
    many = middle.as_node().map_over("x")
    return Case(Graph([many]), {"x": [[1, 2], [], [3]]})


@case
def a_nested_graph_within_a_map(ledger: Ledger) -> Case:
    middle = Graph([one(ledger).as_node(), counted(ledger, "h", lambda b: b, "c")], name="middle")
    return Case(Graph([middle.as_node().map_over("x")]), {"x": [1, 2]})


@case
def several_maps_beside_each_other(ledger: Ledger) -> Case:
    many = one(ledger).as_node().map_over("x")
    nodes = [
        many.with_name(f"m{i}").with_inputs(x=f"x{i}").with_outputs(a=f"a{i}", b=f"b{i}")
        for i in range(3)
    ]
    return Case(Graph(nodes), {f"x{i}": list(range(i + 1)) for i in range(3)})


@case
def maps_in_a_row(ledger: Ledger) -> Case:
    first = one(ledger).as_node().map_over("x")
    second = first.with_name("second").with_inputs(x="b").with_outputs(a="c", b="d")
    return Case(Graph([first, second]), {"x": [1, 2, 3]})


@case
def a_generator_in_a_map(ledger: Ledger) -> Case:
    @node(output_name="parts")
    def parts(x: int) -> Any:
        yield from range(x)

    return Case(Graph([Graph([parts], name="one").as_node().map_over("x")]), {"x": [0, 1, 2]})


# -- values -----------------------------------------------------------------------------------


@dataclass
class Point:
    x: int
    y: Any = None


class Sized:
    """A class of the user's with equality of its own."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sized) and other.size == self.size

    def __hash__(self) -> int:
        return hash(self.size)


VALUES: dict[str, Any] = {
    "None": None,
    "NaN": float("nan"),
    "infinity": float("-inf"),
    "an empty tuple": (),
    "a tuple of tuples": ((1,), (2, (3,))),
    "a set": {1, 2, 3},
    "a frozen set": frozenset("abc"),
    "a dict with odd keys": {1: "a", (1, 2): "b", None: "c", Point: "d"},
    "bytes": b"\x00\xff",
    "five megabytes": bytes(range(256)) * 20_000,
    "a large integer": 1 << 5000,
    "a complex number": 1 + 2j,
    "text of all kinds": "schön \U0001f600 \x00 \n",
    "a dataclass": Point(1, Point(2)),
    "an object of one's own": Sized(3),
    "a class": Point,
    "an exception": ValueError("as a value"),
    "a large array": np.arange(1_250_000, dtype=np.int64),
    "an array of objects": np.array([1, "a", None], dtype=object),
    "a slice of an array": np.arange(100_000)[::7],
    "a numpy scalar": np.float32(1.5),
    "a range": range(3, 9),
    "an ellipsis": ...,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_arrive_as_they_were(runner: DistributedRunner, value: Any) -> None:
    @node(output_name="there")
    def pass_on(value: Any) -> Any:
        return value

    @node(output_name=("back", "kind"))
    def return_it(there: Any) -> Any:
        return there, type(there).__qualname__

    graph = Graph([pass_on, return_it])

    assert_agree(
        see(lambda: SyncRunner().run(graph, {"value": value})),
        see(lambda: runner.run(graph, {"value": value})),
    )


# -- the table --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_a_run_gives_what_the_sync_runner_gives(
    runner: DistributedRunner, ledger: Ledger, make: Callable[[Ledger], Case]
) -> None:
    made = make(ledger)

    expected = see(lambda: SyncRunner().run(made.graph, made.values, **made.options))
    starts = ledger.counts
    ledger.clear()
    found = see(lambda: runner.run(made.graph, made.values, **made.options))

    assert_agree(expected, found)
    if expected.error is None:
        assert ledger.counts == starts


def test_nested_results_are_read_by_path(runner: DistributedRunner, ledger: Ledger) -> None:
    rag = chain_of_three(ledger).as_node(name="rag").with_outputs(c="answer")
    many = one(ledger).as_node().map_over("x").with_outputs(a="as_", b="bs").with_inputs(x="xs")
    graph = Graph([rag, many])

    result = runner.run(graph, x=1, xs=[1, 2])

    assert result["rag.c"] == result["answer"] == -4
    assert isinstance(result["rag"], RunResult)
    assert result["rag"]["a"] == 2
    assert result["one.b"] == [20, 30]
    many_results = result.nested["one"]
    assert isinstance(many_results, MapResult)
    assert many_results[1]["a"] == 3
