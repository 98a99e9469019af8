"""An interrupt is one value in and one answer out."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from hypergraph.nodes import InterruptNode

ask = InterruptNode("ask", input_param="draft", output_param="verdict", response_type=str | None)


def approve(draft: str) -> str:
    return "yes"


def test_what_an_interrupt_is() -> None:
    assert ask.inputs == ("draft",)
    assert ask.outputs == ("verdict",)
    assert (ask.cache, ask.is_async, ask.is_generator) == (False, False, False)
    assert ask.handler is None
    assert ask.get_output_type("verdict") == str | None
    assert ask.get_output_type("draft") is None
    assert ask.get_input_type("draft") is None


def test_its_parameters_follow_renames() -> None:
    moved = ask.with_inputs(draft="text").with_outputs(verdict="answer")

    assert (moved.input_param, moved.output_param) == ("text", "answer")
    assert moved.response_type == ask.response_type


def test_a_handler_comes_with_a_copy() -> None:
    handled = ask.with_handler(approve)

    assert handled.handler is approve
    assert ask.handler is None
    assert handled.definition_hash == ask.definition_hash
    assert handled.with_handler(None).handler is None


def test_the_hash_depends_on_names_and_response_type() -> None:
    plain = InterruptNode("ask", input_param="draft", output_param="verdict")

    assert plain.definition_hash != ask.definition_hash
    assert ask.with_name("other").definition_hash != ask.definition_hash
    assert ask.with_inputs(draft="text").definition_hash != ask.definition_hash


@pytest.mark.parametrize("name", ["", "two words", "1st", "class", 3])
@pytest.mark.parametrize("argument", ["input_param", "output_param"])
def test_a_name_that_cannot_be_a_value_is_refused(argument: str, name: Any) -> None:
    params: dict[str, Any] = {"input_param": "draft", "output_param": "verdict", argument: name}

    with pytest.raises(ValueError, match=argument):
        InterruptNode("ask", **params)


def test_an_interrupt_survives_the_wire() -> None:
    other = pickle.loads(pickle.dumps(ask.with_handler(approve)))

    assert other.handler is approve
    assert other.definition_hash == ask.definition_hash
