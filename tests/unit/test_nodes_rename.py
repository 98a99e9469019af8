"""Renaming makes copies, swaps and composes, and remembers what became of a name."""

from __future__ import annotations

import pytest

from hypergraph import Graph
from hypergraph.errors import RenameError
from hypergraph.nodes import (
    END,
    FunctionNode,
    HyperNode,
    InterruptNode,
    RenameEntry,
    ifelse,
    node,
    route,
)


@node(output_name=("total", "rest"))
def add(a: int, b: int = 2, c: str = "c") -> tuple[int, str]:
    return a + b, c


@route(targets=["add", END])
def choose(a: int, b: int = 2) -> str:
    return "add"


@ifelse(when_true="add", when_false=END)
def check(a: int) -> bool:
    return a > 0


def every_kind() -> list[HyperNode]:
    return [
        add,
        choose,
        check,
        Graph([add], name="inner").as_node().map_over("a"),
        InterruptNode("ask", input_param="a", output_param="total"),
    ]


@pytest.mark.parametrize("one", every_kind(), ids=lambda n: type(n).__name__)
def test_every_copy_is_new_and_of_the_same_class(one: HyperNode) -> None:
    copies = [one.with_inputs(), one.with_outputs(), one.with_name("other")]

    assert all(copy is not one and type(copy) is type(one) for copy in copies)
    assert copies[0].inputs == one.inputs
    assert copies[2].name == "other"
    assert one.name != "other"


@pytest.mark.parametrize("one", every_kind(), ids=lambda n: type(n).__name__)
def test_renaming_leaves_the_receiver_as_it_was(one: HyperNode) -> None:
    before = (one.inputs, one.outputs, one.definition_hash)
    copy = one.with_inputs(a="x")

    assert copy.inputs == ("x", *one.inputs[1:])
    assert (one.inputs, one.outputs, one.definition_hash) == before
    if not isinstance(one, InterruptNode):
        assert copy.definition_hash == one.definition_hash


def test_renames_of_one_call_are_parallel() -> None:
    swapped = add.with_inputs(a="b", b="a")

    assert swapped.inputs == ("b", "a", "c")
    assert swapped.param_of == {"b": "a", "a": "b", "c": "c"}
    assert swapped.get_default_for("a") == 2
    assert not swapped.has_default_for("b")


def test_renames_of_successive_calls_compose() -> None:
    moved = add.with_inputs(a="x").with_inputs(x="y").with_inputs(y="z")

    assert moved.map_inputs_to_params({"z": 1, "b": 2, "odd": 3}) == {"a": 1, "b": 2, "odd": 3}
    assert moved.parameter_annotations == {"z": int, "b": int, "c": str}


def test_an_input_called_mapping_can_be_renamed_by_keyword() -> None:
    def apply(mapping: dict[str, int]) -> None: ...

    assert FunctionNode(apply).with_inputs(mapping="table").inputs == ("table",)
    assert FunctionNode(apply).with_inputs({"mapping": "a"}, mapping="b").inputs == ("b",)


def test_defaults_and_types_follow_the_new_name() -> None:
    moved = add.with_inputs(b="v").with_outputs(total="sum")

    assert moved.defaults == {"v": 2, "c": "c"}
    assert moved.has_default_for("v") is True
    assert moved.has_default_for("b") is False
    assert moved.get_input_type("b") is None
    assert moved.output_annotation == {"sum": int, "rest": str}
    assert moved.get_output_type("total") is None
    with pytest.raises(KeyError, match="No default for 'b'"):
        moved.get_default_for("b")


@pytest.mark.parametrize(
    ("rename", "phrases"),
    [
        pytest.param(
            lambda: add.with_inputs(z="q"),
            ["'z' not found", "Current inputs: ('a', 'b', 'c')"],
            id="an unknown input",
        ),
        pytest.param(
            lambda: add.with_outputs(totl="q"),
            ["'totl' not found", "Did you mean 'total'?", "Current outputs: ('total', 'rest')"],
            id="an unknown output",
        ),
        pytest.param(
            lambda: add.with_inputs(a="b1").with_inputs(b1="c1").with_inputs(a="q"),
            ["'a' was renamed: a→b1→c1", "Current inputs: ('c1', 'b', 'c')"],
            id="an old input",
        ),
        pytest.param(
            lambda: add.with_outputs(rest="r").with_outputs(rest="q"),
            ["'rest' was renamed: rest→r", "Current outputs: ('total', 'r')"],
            id="an old output",
        ),
        pytest.param(lambda: add.with_inputs(a="b"), ["duplicate", "'b'"], id="a clash of inputs"),
        pytest.param(lambda: add.with_outputs(rest="total"), ["duplicate"], id="of outputs"),
        pytest.param(
            lambda: FunctionNode(add, rename_inputs={"z": "q", "y": "p"}),
            ["Cannot rename unknown inputs: 'z', 'y'", "'a', 'b', 'c'"],
            id="an unknown parameter",
        ),
        pytest.param(
            lambda: FunctionNode(add, rename_inputs={"a": "b"}),
            ["duplicate"],
            id="in a constructor",
        ),
        pytest.param(
            lambda: FunctionNode(add, "n", "out", rename_inputs={"a": "x"}).with_inputs(a="y"),
            ["'a' was renamed: a→x"],
            id="an old parameter",
        ),
    ],
)
def test_a_rename_that_cannot_be_says_what_can(rename: object, phrases: list[str]) -> None:
    assert callable(rename)
    with pytest.raises(RenameError) as caught:
        rename()

    for phrase in phrases:
        assert phrase in str(caught.value)


def test_a_swap_is_not_followed_back() -> None:
    swapped = add.with_inputs(a="b", b="a").with_inputs(b="q")

    with pytest.raises(RenameError, match="'b' was renamed: b→a"):
        swapped.with_inputs(b="x")


def test_a_new_name_must_be_a_string() -> None:
    with pytest.raises(TypeError, match="not a string"):
        add.with_inputs({"a": 3})  # type: ignore[dict-item]


def test_a_rename_entry_is_a_value() -> None:
    entry = RenameEntry("inputs", "a", "b")

    assert entry == RenameEntry("inputs", "a", "b", None)
    assert hash(entry) == hash(RenameEntry("inputs", "a", "b"))
    with pytest.raises(AttributeError):
        entry.old = "c"  # type: ignore[misc]
