"""A graph as a node: what it forwards, renames and maps over."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from hypergraph import Graph
from hypergraph.errors import RenameError
from hypergraph.nodes import FunctionNode, GraphNode, InterruptNode, node


@node(output_name="docs")
def search(query: str, limit: int = 5) -> list[str]:
    return [query] * limit


@node(output_name="answer")
def reply(docs: list[str], style: Any, tone="calm"):  # type: ignore[no-untyped-def]
    return "".join(docs)


@node(output_name="waited")
async def wait(query: str) -> str:
    return query


rag = Graph([search, reply], name="rag")
SHARED = object()


def test_a_graph_node_forwards_names_hash_and_graph() -> None:
    made = rag.as_node()

    assert isinstance(made, GraphNode)
    assert made.name == "rag"
    assert made.graph is rag
    assert made.inputs == rag.inputs.all == ("query", "style", "limit", "tone")
    assert made.outputs == ("docs", "answer")
    assert made.definition_hash == rag.definition_hash
    assert (
        made.with_inputs(query="q").with_outputs(answer="a").definition_hash == rag.definition_hash
    )
    assert made.map_config is None
    assert made.runner is None
    assert made.is_async is False
    assert Graph([wait], name="w").as_node().is_async is True


def test_a_selection_limits_the_outputs() -> None:
    assert rag.select("answer").as_node().outputs == ("answer",)


def test_bound_inputs_are_optional_inputs() -> None:
    made = rag.bind(style=SHARED, limit=7).as_node()

    assert made.inputs == ("query", "limit", "style", "tone")
    assert made.has_default_for("style") is True
    assert made.get_default_for("style") is SHARED
    assert made.get_default_for("limit") == 7
    assert made.get_default_for("tone") == "calm"
    assert made.has_default_for("query") is False
    assert made.has_default_for("docs") is False
    with pytest.raises(KeyError, match="query"):
        made.get_default_for("query")


@pytest.mark.parametrize(
    ("graph", "name", "phrase"),
    [
        (Graph([search]), None, "GraphNode requires a name"),
        (rag, "a.b", "'\\.'.*reserved"),
        (rag, "a/b", "'/'.*reserved"),
    ],
)
def test_a_name_that_cannot_be_is_refused(graph: Graph, name: str | None, phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        graph.as_node(name=name)


def test_hyphens_are_fine_and_with_name_never_raises() -> None:
    assert rag.as_node(name="my-rag").name == "my-rag"
    assert rag.as_node().with_name("a.b").name == "a.b"


def test_types_are_forwarded_under_current_names() -> None:
    made = rag.as_node().with_inputs(query="q").with_outputs(docs="papers")

    assert made.output_annotation == {"papers": list[str], "answer": None}
    assert made.get_output_type("papers") == list[str]
    assert made.get_output_type("docs") is None
    assert made.get_input_type("q") is str
    assert made.get_input_type("query") is None
    assert made.get_input_type("tone") is None


def test_mapping_makes_lists_of_outputs_and_mapped_inputs() -> None:
    made = rag.as_node().map_over("query", "tone")

    assert made.output_annotation == {"docs": list[list[str]], "answer": list}
    assert made.get_input_type("query") == list[str]
    assert made.get_input_type("limit") is int
    assert made.get_input_type("tone") is None


def test_map_over_makes_a_copy_with_a_configuration() -> None:
    made = rag.as_node()
    mapped = made.map_over("query", "limit", mode="product", error_handling="continue")

    assert made.map_config is None
    assert mapped.map_config == (["query", "limit"], "product", "continue")
    assert made.map_over("query").map_config == (["query"], "zip", "raise")


def test_renaming_a_mapped_input_renames_it_in_the_configuration() -> None:
    mapped = rag.as_node().map_over("query", "limit").with_inputs(query="limit", limit="query")

    assert mapped.map_config == (["limit", "query"], "zip", "raise")
    assert mapped.map_inputs_to_params({"limit": 1, "query": 2}) == {"query": 1, "limit": 2}
    assert mapped.with_outputs(answer="a").map_config == mapped.map_config


@pytest.mark.parametrize(
    ("params", "options", "phrase"),
    [
        ((), {}, "at least one parameter"),
        (("qeury",), {}, "not an input.*Did you mean 'query'"),
        (("docs",), {}, "not an input"),
        (("query", "query"), {}, "twice"),
        (("query",), {"mode": "zap"}, "'zip' or 'product'"),
        (("query",), {"error_handling": "skip"}, "'raise' or 'continue'"),
    ],
)
def test_a_map_that_cannot_be_is_refused(
    params: tuple[str, ...], options: dict[str, Any], phrase: str
) -> None:
    with pytest.raises(ValueError, match=phrase):
        rag.as_node().map_over(*params, **options)


def test_names_are_translated_both_ways() -> None:
    made = rag.as_node().with_inputs(query="q", limit="query").with_outputs(docs="d")

    assert made.param_of == {"q": "query", "style": "style", "query": "limit", "tone": "tone"}
    assert made.output_of == {"docs": "d", "answer": "answer"}
    with pytest.raises(RenameError, match="'docs' was renamed: docs→d"):
        made.with_outputs(docs="x")


def test_nested_graphs_forward_through_any_depth() -> None:
    middle = Graph([rag.bind(limit=3).as_node().with_inputs(query="q")], name="middle")
    outer = middle.as_node().with_inputs(q="question").with_outputs(docs="found")

    assert outer.inputs == ("question", "style", "limit", "tone")
    assert outer.get_default_for("limit") == 3
    assert outer.get_input_type("question") is str
    assert outer.get_output_type("found") == list[str]


def runner(*, supports_async: bool) -> Any:
    return SimpleNamespace(capabilities=SimpleNamespace(supports_async_nodes=supports_async))


def test_a_runner_of_its_own_comes_with_a_copy() -> None:
    own = runner(supports_async=True)
    inner = Graph([wait], name="inner")

    assert inner.as_node(runner=own).runner is own
    assert inner.as_node().with_runner(own).runner is own
    assert inner.as_node(runner=own).with_runner(None).runner is None


def test_an_async_runner_of_its_own_takes_the_async_nodes_off_the_outer_graph() -> None:
    inner = Graph([wait], name="inner")

    assert Graph([inner.as_node()]).has_async_nodes is True
    assert Graph([inner.as_node(runner=runner(supports_async=True))]).has_async_nodes is False
    assert Graph([inner.as_node(runner=runner(supports_async=False))]).has_async_nodes is True


def test_interrupts_are_seen_at_any_depth() -> None:
    ask = InterruptNode("ask", input_param="draft", output_param="verdict")
    inner = Graph([ask], name="inner")
    outer = Graph([Graph([inner.as_node()], name="middle").as_node()])

    assert inner.has_interrupts is True
    assert outer.has_interrupts is True
    assert inner.interrupt_nodes == [ask]
    assert outer.interrupt_nodes == []


def double(x: int) -> int:
    return 2 * x


def test_a_mapped_graph_node_survives_the_wire() -> None:
    inner = Graph([FunctionNode(double, output_name="y")], name="inner").bind(x=3)
    made = inner.as_node().with_inputs(x="xs").with_outputs(y="ys").map_over("xs")
    other = pickle.loads(pickle.dumps(made))

    assert other.map_config == (["xs"], "zip", "raise")
    assert other.param_of == {"xs": "x"}
    assert other.output_of == {"y": "ys"}
    assert other.get_default_for("xs") == 3
    assert other.get_output_type("ys") == list[int]
    assert other.definition_hash == made.definition_hash
