"""Every input name is required, optional, a seed or internal, as the wiring says."""

from __future__ import annotations

from typing import Any

import pytest

from hypergraph import END, Graph, HyperNode, InputSpec, node, route
from hypergraph.nodes import FunctionNode


def reads(*names: str, writes: str | tuple[str, ...] | None = None, name: str = "n") -> HyperNode:
    """Make a node by its names alone; a name that ends in ``?`` has the default 0."""
    args = ", ".join(n.replace("?", "=0") for n in sorted(names, key=lambda n: n.endswith("?")))
    scope: dict[str, Any] = {}
    exec(f"def body({args}): ...", scope)
    return FunctionNode(scope["body"], name, writes)


@pytest.mark.parametrize(
    ("nodes", "required", "optional", "seeds", "internal"),
    [
        pytest.param([reads("a", "b?")], ("a",), ("b",), (), (), id="a default is optional"),
        pytest.param(
            [reads("a", writes="m", name="p"), reads("m", "b", name="q")],
            ("a", "b"),
            (),
            (),
            ("m",),
            id="what travels on an edge is internal",
        ),
        pytest.param(
            [reads("a", writes="m", name="p"), reads("m?", name="q")],
            ("a",),
            (),
            (),
            ("m",),
            id="a produced name cancels a default",
        ),
        pytest.param([reads("n", writes="n")], (), (), ("n",), (), id="a self-loop is a seed"),
        pytest.param(
            [reads("n?", writes="n")], (), (), ("n",), (), id="a seed in spite of its default"
        ),
        pytest.param(
            [
                reads("log", writes="reply", name="speak"),
                reads("log", "reply", writes="log", name="note"),
            ],
            (),
            (),
            ("log", "reply"),
            (),
            id="both values of a two-node cycle",
        ),
        pytest.param(
            [
                reads("n", writes="n", name="loop"),
                reads("n", writes="out", name="after"),
                reads("out", "x", name="last"),
            ],
            ("x",),
            (),
            ("n",),
            ("out",),
            id="a reader behind a cycle adds no seed",
        ),
        pytest.param(
            [
                reads("start", writes="m", name="before"),
                reads("m", "n", writes="n", name="loop"),
            ],
            ("start",),
            (),
            ("n",),
            ("m",),
            id="a value that leads into a cycle is internal",
        ),
        pytest.param(
            [reads("a", name="p"), reads("a", "b", name="q")],
            ("a", "b"),
            (),
            (),
            (),
            id="each name once",
        ),
    ],
)
def test_classification(
    nodes: list[HyperNode],
    required: tuple[str, ...],
    optional: tuple[str, ...],
    seeds: tuple[str, ...],
    internal: tuple[str, ...],
) -> None:
    spec = Graph(nodes).inputs

    assert (spec.required, spec.optional, spec.seeds) == (required, optional, seeds)
    assert spec.internal == internal
    assert spec.all == required + optional + seeds


def test_a_gate_that_loops_back_makes_no_seed() -> None:
    @node(output_name="page")
    def fetch(url: str) -> str:
        return url

    @route(targets=["fetch", END])
    def retry(page: str) -> str:
        return "fetch"

    spec = Graph([fetch, retry]).inputs

    assert (spec.required, spec.seeds, spec.internal) == (("url",), (), ("page",))


def test_a_nested_loop_makes_its_value_a_seed_outside() -> None:
    inner = Graph([reads("count", writes="count", name="loop")], name="inner")

    assert Graph([inner.as_node()]).inputs.seeds == ("count",)


def test_a_value_bound_inside_a_nested_graph_is_optional_and_not_ours() -> None:
    inner = Graph([reads("a", "b")], name="inner").bind(b=1)
    outer = Graph([inner.as_node()])

    assert outer.inputs.optional == ("b",)
    assert outer.inputs.bound == {}
    assert outer.bind(b=2).inputs.bound == {"b": 2}


def test_an_input_spec_is_frozen_and_made_by_keyword() -> None:
    spec = InputSpec(required=("a",), optional=("b",), seeds=("c",), bound={})

    assert spec.all == ("a", "b", "c")
    assert spec.internal == ()
    with pytest.raises(AttributeError):
        spec.required = ()  # type: ignore[misc]


def test_inputs_are_worked_out_once() -> None:
    graph = Graph([reads("a")])

    assert graph.inputs is graph.inputs
