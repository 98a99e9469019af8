"""A list of nodes that is no graph is refused, with the rule that it breaks."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

from hypergraph import (
    END,
    Graph,
    GraphConfigError,
    HyperNode,
    IfElseNode,
    InterruptNode,
    RouteNode,
    node,
)
from hypergraph.nodes import FunctionNode


def made(name: str, reads: str = "", writes: str | tuple[str, ...] | None = None) -> HyperNode:
    """Make a node by names alone: `made("f", "a, b=1", "c")`."""
    scope: dict[str, Any] = {}
    exec(f"def body({reads}): ...", scope)
    return FunctionNode(scope["body"], name, writes)


def decide(asked: int) -> bool:
    return asked > 0


def choose(asked: int) -> str:
    return "a"


def either(one: Any, other: Any, name: str = "gate") -> HyperNode:
    return IfElseNode(decide, one, other, name=name)


def nested(*nodes: HyperNode, name: str = "inner") -> Any:
    return Graph(list(nodes), name=name).as_node()


LONG = "n" * 1000
ASK = InterruptNode("ask", input_param="draft", output_param="verdict")


@pytest.mark.parametrize(
    ("nodes", "phrases"),
    [
        pytest.param([made("a"), made("a")], ["Duplicate node name: 'a'"], id="1"),
        pytest.param(
            [made("a", writes="x"), made("b", writes="x")],
            ["Multiple nodes produce 'x'", "'a', 'b'", "with_outputs"],
            id="2",
        ),
        pytest.param([made("END")], ["Invalid node name", "reserved"], id="4"),
        pytest.param([nested(made("a")).with_name("END")], ["reserved"], id="4, nested"),
        pytest.param(
            [made("my-node")], ["Invalid node name 'my-node'", "valid Python identifiers"], id="5"
        ),
        pytest.param(
            [made("")], ["Invalid node name ''", "valid Python identifiers"], id="5, empty"
        ),
        pytest.param(
            [FunctionNode(lambda x: x, output_name="y")],
            ["Invalid node name '<lambda>'"],
            id="5, a lambda",
        ),
        pytest.param([made("1st")], ["Invalid node name"], id="5, a digit"),
        pytest.param([made("a\xa0b")], ["Invalid node name"], id="5, a space that does not break"),
        pytest.param([made("class")], ["Invalid node name", "keyword"], id="6"),
        pytest.param(
            [made("a", writes="my out")],
            ["Invalid output name 'my out'", "valid Python identifiers"],
            id="7",
        ),
        pytest.param([made("a", writes="for")], ["Invalid output name", "keyword"], id="8"),
        pytest.param(
            [nested(made("a", writes="x")), made("b", writes="inner")],
            ["'inner' collides with output", "'b'"],
            id="9",
        ),
        pytest.param(
            [
                nested(made("a", writes="x"), name="one"),
                nested(made("b", writes="one"), name="two"),
            ],
            ["'one' collides with output", "'two'"],
            id="9, with a nested output",
        ),
        pytest.param(
            [made("a", "p=1"), made("b", "p"), made("c", "p=1")],
            ["Inconsistent defaults for 'p'", "'a', 'c'", "'b' without default"],
            id="10",
        ),
        pytest.param(
            [made("a", writes="p"), made("b", "p"), made("c", "p=1")],
            ["Inconsistent defaults for 'p'"],
            id="10, although it is produced",
        ),
        pytest.param(
            [made("a", "p=1"), made("b", "p='other'")],
            ["Inconsistent defaults for 'p'", "'a' has 1", "'b' has 'other'"],
            id="11",
        ),
        pytest.param(
            [Graph([made("a", "p")], name="inner").bind(p=1).as_node(), made("b", "p=2")],
            ["Inconsistent defaults for 'p'", "'inner' has 1", "'b' has 2"],
            id="11, a value bound inside counts",
        ),
        pytest.param(
            [made("apple"), either("aple", END)],
            ["'gate'", "'aple'", "unknown node", "Did you mean 'apple'?"],
            id="12",
        ),
        pytest.param([made("a"), either("gate", "a")], ["cannot target itself"], id="13"),
        pytest.param(
            [
                made("a", writes="x"),
                made("b", writes="x"),
                either("a", "b"),
                RouteNode(choose, ["a", "b"], multi_target=True, name="both"),
            ],
            ["'both'", "sharing output 'x'", "'a' and 'b'"],
            id="14",
        ),
        pytest.param(
            [nested(ASK).map_over("draft")],
            ["map_over", "InterruptNode", "inner/ask"],
            id="15",
        ),
        pytest.param(
            [nested(nested(ASK), name="outer").map_over("draft")],
            ["map_over", "InterruptNode", "outer/inner/ask"],
            id="15, at any depth",
        ),
    ],
)
def test_a_broken_rule_is_named(nodes: list[HyperNode], phrases: list[str]) -> None:
    with pytest.raises(GraphConfigError) as caught:
        Graph(nodes)

    for phrase in phrases:
        assert phrase in str(caught.value)


@pytest.mark.parametrize("char", [".", "/"])
def test_a_graph_name_is_no_path(char: str) -> None:
    with pytest.raises(GraphConfigError) as caught:
        Graph([], name=f"a{char}b")

    assert f"Invalid graph name 'a{char}b'" in str(caught.value)
    assert f"cannot contain '{char}'" in str(caught.value)
    with pytest.raises(GraphConfigError, match="Invalid node name"):
        Graph([nested(made("a")).with_name(f"a{char}b")])


@pytest.mark.parametrize(
    ("nodes", "phrase"),
    [
        pytest.param([made("1"), made("1")], "Duplicate", id="duplicates before identifiers"),
        pytest.param(
            [made("1", writes="x"), made("2", writes="x")],
            "Multiple nodes",
            id="producers before identifiers",
        ),
        pytest.param([made("class"), made("1")], "identifiers", id="identifiers before keywords"),
        pytest.param(
            [made("a", "p=1", "for"), made("b", "p")], "keyword", id="keywords before defaults"
        ),
        pytest.param(
            [made("a", "p=1"), made("b", "p"), either("nobody", END)],
            "Inconsistent",
            id="defaults before targets",
        ),
    ],
)
def test_the_first_rule_that_is_broken_speaks(nodes: list[HyperNode], phrase: str) -> None:
    with pytest.raises(GraphConfigError, match=phrase):
        Graph(nodes)


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([made("_private"), made("__dunder__"), made("größe"), made("λ")], id="names"),
        pytest.param([made(LONG, writes=LONG)], id="long names"),
        pytest.param([nested(made("a", writes="x"), name="my-graph")], id="hyphens when nested"),
        pytest.param([nested(made("a", writes="x"), name="x")], id="a graph named like its output"),
        pytest.param([made("a", "p=1"), made("b", "p=1")], id="equal defaults"),
        pytest.param([made("a", "p=None"), made("b", "p=None")], id="defaults of None"),
        pytest.param([made("a", "p=[1]"), made("b", "p=[1]")], id="equal lists"),
        pytest.param([made("a", "x=1"), either("a", END).with_inputs(asked="y")], id="a gate"),
        pytest.param([made("x", writes="x")], id="a node named like its output"),
        pytest.param([nested(ASK)], id="a nested interrupt that is not mapped"),
    ],
)
def test_what_breaks_no_rule_is_a_graph(nodes: list[HyperNode]) -> None:
    Graph(nodes)


def with_default(name: str, value: Any) -> HyperNode:
    def body(p: Any = value) -> None: ...

    return FunctionNode(body, name)


class Grumpy:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (numpy.arange(3), numpy.arange(3), True),
        (numpy.arange(3), numpy.array([0, 1, 9]), False),
        (numpy.arange(3), numpy.arange(4), False),
        (float("nan"), float("nan"), False),
        (1, 1.0, True),
        (Grumpy(), Grumpy(), False),
    ],
)
def test_defaults_are_compared_with_care(one: Any, other: Any, same: bool) -> None:
    Graph([with_default("a", one), with_default("b", one)])
    if same:
        Graph([with_default("a", one), with_default("b", other)])
    else:
        with pytest.raises(GraphConfigError, match="Inconsistent defaults"):
            Graph([with_default("a", one), with_default("b", other)])


def test_bindings_do_not_make_defaults_agree_or_differ() -> None:
    graph = Graph([made("a", "p=1"), made("b", "p=1")]).bind(p=2)

    assert graph.inputs.bound == {"p": 2}


def test_messages_about_long_names_stay_readable() -> None:
    for nodes in ([made(LONG), made(LONG)], [made(LONG + "-")], [made("a", writes=LONG + "-")]):
        with pytest.raises(GraphConfigError) as caught:
            Graph(nodes)
        assert len(str(caught.value)) < 2000


def test_a_name_is_checked_when_the_graph_is_built_and_not_before() -> None:
    @node
    def fine() -> None: ...

    fine.name = "not fine"
    with pytest.raises(GraphConfigError, match="Invalid node name 'not fine'"):
        Graph([fine])


A, B = made("a", "p", "x"), made("b", "p", "x")
SHARED_BRANCHES: list[tuple[list[HyperNode], bool, str]] = [
    ([either("a", "b"), A, B], True, "two targets share an output"),
    ([RouteNode(choose, ["a", "b", END], name="gate"), A, B], True, "of a route as well"),
    ([either("a", END), A, B], False, "one target excludes nobody"),
    ([A, B], False, "without a gate"),
    (
        [RouteNode(choose, ["a", "b"], name="gate", multi_target=True), A, B],
        False,
        "several targets may run together",
    ),
    (
        [
            either("left", "right"),
            made("left", "p", "l"),
            made("right", "p", "r"),
            made("a", "l", "x"),
            made("b", "r", "x"),
        ],
        True,
        "nodes behind different targets",
    ),
    (
        [
            either("left", "right"),
            made("left", "p", "l"),
            made("right", "p", "r"),
            made("a", "l", "x"),
            made("b", "l", "x"),
        ],
        False,
        "two nodes behind one target",
    ),
    (
        [
            either("left", "a"),
            made("left", "p", "l"),
            made("a", "p", ("x", "r")),
            made("b", "l, r", "x"),
        ],
        False,
        "a merge point and a branch",
    ),
    (
        [either("a", "b"), A.with_inputs(p="back"), B, made("c", "x", "x2"), made("d", "x2", "q")],
        True,
        "readers of the shared output",
    ),
    (
        [
            RouteNode(choose, ["a", "b", "c"], name="gate"),
            A,
            B,
            made("c", "p", "x"),
        ],
        True,
        "three branches",
    ),
    (
        [
            either("a", "b", "one"),
            either("b", "c", "two"),
            A,
            B,
            made("c", "p", "x"),
        ],
        False,
        "no single gate separates all three",
    ),
    (
        [
            either("inner_gate", "b"),
            either("a", "c", "inner_gate"),
            A,
            B,
            made("c", "p", "y"),
        ],
        True,
        "a gate behind a gate",
    ),
    (
        [
            RouteNode(choose, ["a", "b"], name="gate").with_inputs(asked="n"),
            made("a", "p", "n"),
            made("b", "p", "n"),
            made("again", "n", "p"),
        ],
        False,
        "branches that lead back to the gate",
    ),
]


@pytest.mark.parametrize(
    ("nodes", "legal"),
    [pytest.param(nodes, legal, id=story) for nodes, legal, story in SHARED_BRANCHES],
)
def test_only_exclusive_branches_share_an_output(nodes: list[HyperNode], legal: bool) -> None:
    if legal:
        graph = Graph(nodes)
        assert graph.outputs.count("x") == 1
        assert "x" not in graph.sole_producers
    else:
        with pytest.raises(GraphConfigError, match="Multiple nodes produce"):
            Graph(nodes)


def test_edges_start_from_the_first_of_several_producers() -> None:
    graph = Graph([either("a", "b"), A, B, made("after", "x", "z")])

    assert graph.nx_graph.has_edge("a", "after")
    assert not graph.nx_graph.has_edge("b", "after")
    assert graph.leaf_outputs == ("x", "z")
