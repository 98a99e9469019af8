"""A graph is its nodes, wired by name; copies share what does not change."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import pytest

from hypergraph import END, Graph, GraphNode, HyperNode, InterruptNode, node, route
from hypergraph.nodes import FunctionNode


@node(output_name="words")
def tokenise(line: str) -> list[str]:
    return line.split()


@route(targets=["shout", END])
def long_enough(words: list[str], least: int = 2) -> str:
    return "shout"


@node(output_name="loud")
def shout(words: list[str]) -> str:
    return " ".join(words).upper()


@node(output_name=("head", "tail"))
def cut(loud: str, words: list[str], line: str) -> tuple[str, str]:
    return loud[:1], loud[1:]


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> str:
    return "bump"


demo = Graph([tokenise, long_enough, shout], name="demo")


def test_the_tour() -> None:
    assert demo.name == "demo"
    assert demo.strict_types is False
    assert demo.inputs.required == ("line",)
    assert demo.inputs.optional == ("least",)
    assert demo.outputs == ("words", "loud")
    assert demo.selected is None
    assert demo.has_cycles is False
    assert demo.has_async_nodes is False
    assert demo.has_interrupts is False
    assert demo.controlled_by == {"shout": ["long_enough"]}
    assert demo.sole_producers == {"words": "tokenise", "loud": "shout"}


def test_an_empty_graph_is_legal() -> None:
    empty = Graph(nodes=[])

    assert (empty.outputs, empty.inputs.all, empty.nodes, empty.has_cycles) == ((), (), {}, False)


def test_nodes_is_a_fresh_dict_of_the_very_objects() -> None:
    demo.nodes.clear()

    assert list(demo.nodes) == ["tokenise", "long_enough", "shout"]
    assert demo.nodes["shout"] is shout
    assert demo._nodes == (tokenise, long_enough, shout)


@pytest.mark.parametrize(
    ("nodes", "phrase"),
    [
        ([len], "Decorate it with @node"),
        ([demo], "pass graph.as_node"),
        (["tokenise"], "a str"),
    ],
)
def test_what_is_no_node_is_refused(nodes: list[Any], phrase: str) -> None:
    with pytest.raises(TypeError, match=phrase):
        Graph(nodes)


def test_leaf_outputs_come_from_nodes_without_an_edge() -> None:
    assert demo.leaf_outputs == ("loud",)
    assert Graph([tokenise, long_enough.with_name("gate"), shout]).leaf_outputs == ("loud",)
    assert Graph([bump]).leaf_outputs == ()
    assert Graph([tokenise, shout, cut]).leaf_outputs == ("head", "tail")


def test_edges_as_networkx_sees_them() -> None:
    edges = Graph([tokenise, long_enough, shout, cut]).nx_graph

    assert list(edges.nodes) == ["tokenise", "long_enough", "shout", "cut"]
    assert edges.nodes["cut"]["hypernode"] is cut
    assert edges.edges["tokenise", "cut"] == {"edge_type": "data", "value_names": ["words"]}
    assert edges.edges["long_enough", "shout"] == {"edge_type": "control"}
    assert Graph([bump]).nx_graph.has_edge("bump", "bump")


def test_one_edge_per_pair_carries_all_values_in_the_readers_order() -> None:
    @node(output_name=("a", "b"))
    def two() -> tuple[int, int]:
        return 1, 2

    @node(output_name="c")
    def both(b: int, a: int) -> int:
        return a + b

    assert Graph([two, both]).nx_graph.edges["two", "both"]["value_names"] == ["b", "a"]


def test_without_networkx_the_error_names_the_extra() -> None:
    code = """
import sys
sys.modules["networkx"] = None
from hypergraph import Graph
try:
    Graph([]).nx_graph
except ImportError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "hypergraph-distributed[networkx]" in said.stdout


@pytest.mark.parametrize(
    ("nodes", "cyclic"),
    [
        pytest.param([tokenise, shout], False, id="a chain"),
        pytest.param([shout, tokenise], False, id="a chain listed backwards"),
        pytest.param([bump], True, id="a self-loop"),
        pytest.param([bump, again], True, id="a loop through a gate"),
    ],
)
def test_cycles_run_over_data_and_control_edges(nodes: list[HyperNode], cyclic: bool) -> None:
    assert Graph(nodes).has_cycles is cyclic


def test_a_gate_alone_can_close_a_cycle() -> None:
    @route(targets=["tokenise", END])
    def back(words: list[str]) -> str:
        return "tokenise"

    closed = Graph([tokenise, back])

    assert closed.has_cycles is True
    assert closed.inputs.seeds == ()


class TestBind:
    def test_a_bound_input_is_optional(self) -> None:
        bound = demo.bind(line="hello")

        assert bound.inputs.required == ()
        assert bound.inputs.optional == ("line", "least")
        assert bound.inputs.bound == {"line": "hello"}
        assert demo.inputs.bound == {}
        assert bound.nodes["shout"] is shout

    def test_none_is_a_value(self) -> None:
        assert demo.bind(line=None).inputs.bound == {"line": None}

    def test_later_bindings_win_and_an_empty_one_copies(self) -> None:
        bound = demo.bind(line="a", least=1).bind(line="b")

        assert bound.inputs.bound == {"line": "b", "least": 1}
        assert bound.bind() is not bound
        assert bound.bind().inputs == bound.inputs

    def test_unbind_brings_the_input_back(self) -> None:
        bound = demo.bind(line="a", least=1)

        assert bound.unbind("line", "nobody").inputs.required == ("line",)
        assert bound.unbind("least").inputs.optional == ("line", "least")
        assert bound.unbind("least").inputs.bound == {"line": "a"}

    @pytest.mark.parametrize(
        ("graph", "key", "phrase"),
        [
            (demo, "words", "Cannot bind 'words': output of node 'tokenise'"),
            (Graph([bump]), "n", "Cannot bind 'n': output of node 'bump'"),
            (Graph([bump, again]), "n", "Cannot bind 'n': output of node 'bump'"),
            (demo, "loud", "Cannot bind 'loud': not a graph input"),
            (demo, "lime", "Cannot bind 'lime': not a graph input. Did you mean 'line'"),
        ],
    )
    def test_what_cannot_be_bound_says_why(self, graph: Graph, key: str, phrase: str) -> None:
        with pytest.raises(ValueError, match=phrase):
            graph.bind(**{key: 1})

    def test_an_input_called_self_can_be_bound(self) -> None:
        def method(self: int) -> None: ...

        assert Graph([FunctionNode(method)]).bind(self=3).inputs.bound == {"self": 3}


class TestSelect:
    def test_a_selection_is_remembered_and_replaced(self) -> None:
        assert demo.select("loud").selected == ("loud",)
        assert demo.select("loud").select("words").selected == ("words",)
        assert demo.select("loud").outputs == ("words", "loud")
        assert demo.select("loud").inputs == demo.inputs
        assert demo.selected is None

    @pytest.mark.parametrize(
        ("names", "phrase"),
        [
            (("line",), "not graph outputs"),
            (("lowd",), "Did you mean 'loud'"),
            (("loud", "loud"), "unique output names"),
        ],
    )
    def test_what_cannot_be_selected_says_why(self, names: tuple[str, ...], phrase: str) -> None:
        with pytest.raises(ValueError, match=phrase):
            demo.select(*names)


class TestCopies:
    def test_copies_share_the_structure_and_nothing_derived(self) -> None:
        demo._cache["plan"] = object()
        copies = [demo.bind(line="a"), demo.unbind(), demo.select("loud")]

        assert all(one._structure is demo._structure for one in copies)
        assert all(one._cache == {} for one in copies)
        assert all(one.name == "demo" for one in copies)
        del demo._cache["plan"]

    def test_copies_keep_strictness(self) -> None:
        assert Graph([bump], strict_types=True).bind().strict_types is True

    def test_graphs_are_equal_by_identity(self) -> None:
        assert demo != demo.bind()
        assert len({demo, demo.bind()}) == 2


class TestDefinitionHash:
    def test_order_bindings_selection_and_name_do_not_matter(self) -> None:
        other = Graph([shout, tokenise, long_enough], name="other").bind(line="a").select("loud")

        assert other.definition_hash == demo.definition_hash
        assert len(demo.definition_hash) == 64
        first = demo.definition_hash
        assert demo.definition_hash is first

    def test_nodes_names_and_edges_matter(self) -> None:
        hashes = {
            demo.definition_hash,
            Graph([tokenise, shout]).definition_hash,
            Graph([tokenise.with_name("split"), shout]).definition_hash,
            Graph([tokenise, shout.with_inputs(words="others")]).definition_hash,
        }

        assert len(hashes) == 4


def test_repr_shows_what_goes_in_and_out() -> None:
    assert repr(demo.bind(least=3).select("loud")) == (
        "Graph('demo', nodes=[tokenise, long_enough, shout], inputs=(line, least (bound)), "
        "outputs=(words, loud), selected=(loud))"
    )
    assert "n (seed)" in repr(Graph([bump]))


def test_repr_of_a_large_graph_stays_short() -> None:
    many = [
        bump.with_name(f"n{i}").with_inputs(n=f"x{i}").with_outputs(n=f"y{i}") for i in range(99)
    ]

    assert "… 87 more" in repr(Graph(many))
    assert len(repr(Graph(many))) < 400


def test_async_nodes_are_seen() -> None:
    @node(output_name="page")
    async def fetch(url: str) -> str:
        return url

    assert Graph([fetch]).has_async_nodes is True
    assert Graph([Graph([fetch], name="inner").as_node()]).has_async_nodes is True


def double(x: int) -> int:
    return 2 * x


def add(y: int, z: int) -> int:
    return y + z


def portable() -> Graph:
    nodes = [FunctionNode(double, output_name="y"), FunctionNode(add, output_name="total")]
    inner = Graph(nodes, name="inner").bind(z=1).select("total")
    return Graph(
        [
            inner.as_node().map_over("x"),
            InterruptNode("ask", input_param="total", output_param="verdict"),
        ],
        name="outer",
    )


@pytest.mark.parametrize(
    "again", [lambda g: pickle.loads(pickle.dumps(g)), copy.copy, copy.deepcopy]
)
def test_a_graph_survives_the_wire(again: Any) -> None:
    graph = portable()
    graph._cache["lock"] = lambda: None  # what others keep there stays behind
    other = again(graph)

    assert other._cache == {}
    assert other.name == "outer"
    assert other.inputs == graph.inputs
    assert other.outputs == graph.outputs
    assert other.definition_hash == graph.definition_hash
    inner = other.nodes["inner"]
    assert isinstance(inner, GraphNode)
    assert inner.graph.selected == ("total",)
    assert inner.graph.inputs.bound == {"z": 1}


def test_producers_and_readers_can_be_asked_for() -> None:
    assert demo.producers_of("words") == (tokenise,)
    assert demo.consumers_of("words") == (long_enough, shout)
    assert demo.producers_of("nothing") == demo.consumers_of("nothing") == ()
