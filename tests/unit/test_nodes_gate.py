"""Gates know their targets and accept only decisions among them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from hypergraph.errors import RenameError
from hypergraph.nodes import END, GateNode, HyperNode, IfElseNode, RouteNode, ifelse, route


def pick(x: int, least: int = 2) -> str:
    return "a"


def is_big(x: int) -> bool:
    return x > 2


def gate(targets: Any = ("a", "b", END), **options: Any) -> RouteNode:
    return RouteNode(pick, list(targets), **options)


async def async_pick(x: int) -> str:
    return "a"


def yielding_pick(x: int) -> Iterator[str]:
    yield "a"


async def async_yielding_pick(x: int) -> AsyncIterator[str]:
    yield "a"


class TestEnd:
    def test_it_is_a_class_used_as_a_value(self) -> None:
        assert isinstance(END, type)
        assert repr(END) == str(END) == "END"
        assert END != "END"  # type: ignore[comparison-overlap]
        assert {END: 1}[END] == 1
        assert END in ["a", END]

    def test_it_cannot_be_made(self) -> None:
        with pytest.raises(TypeError, match="cannot be instantiated"):
            END()

    def test_it_stays_itself_on_the_wire(self) -> None:
        assert pickle.loads(pickle.dumps(END)) is END
        assert copy.deepcopy([END])[0] is END


class TestRoute:
    def test_what_a_gate_is(self) -> None:
        made = gate()

        assert isinstance(made, GateNode)
        assert isinstance(made, HyperNode)
        assert made.outputs == ()
        assert (made.is_async, made.is_generator, made.cache) == (False, False, False)
        assert made.inputs == ("x", "least")
        assert made.get_default_for("least") == 2
        assert made.get_input_type("x") is int
        assert made.with_inputs(x="y").get_input_type("x") is None
        assert made.with_inputs(x="y").map_inputs_to_params({"y": 1}) == {"x": 1}
        assert made(5) == "a"
        assert made.func is pick
        assert made.default_open is False

    def test_targets_keep_their_order_and_lose_their_doubles(self) -> None:
        assert gate(["a", "a", "b", END, "a"]).targets == ["a", "b", END]

    def test_a_mapping_describes_its_targets(self) -> None:
        made = RouteNode(pick, {"a": "the first", END: "enough"})

        assert made.targets == ["a", END]
        assert made.descriptions == {"a": "the first", END: "enough"}
        assert gate().descriptions == {}

    def test_a_new_fallback_becomes_a_target(self) -> None:
        assert gate(["a"], fallback="b").targets == ["a", "b"]
        assert gate(["a", "b"], fallback="a").targets == ["a", "b"]
        assert gate(["a"], fallback=END).fallback is END

    def test_the_decorator_takes_all_options(self) -> None:
        made = route(
            ["a", "b"],
            multi_target=True,
            default_open=True,
            cache=True,
            name="chooser",
            rename_inputs={"x": "y"},
        )(pick)

        assert (made.name, made.inputs) == ("chooser", ("y", "least"))
        assert (made.multi_target, made.default_open, made.cache) == (True, True, True)

    def test_repr_shows_function_name_and_targets(self) -> None:
        assert repr(gate(["a", END])) == "RouteNode(pick, targets=['a', 'END'])"
        assert repr(gate(["a"]).with_name("n")) == "RouteNode(pick as 'n', targets=['a'])"

    @pytest.mark.parametrize(
        ("make", "error", "phrase"),
        [
            (lambda: RouteNode(async_pick, ["a"]), TypeError, "cannot be async"),
            (lambda: RouteNode(yielding_pick, ["a"]), TypeError, "cannot be a generator"),
            (lambda: RouteNode(async_yielding_pick, ["a"]), TypeError, "cannot be a generator"),
            (lambda: gate([]), ValueError, "at least one target"),
            (lambda: gate(["a", "END"]), ValueError, "'END' as a string target"),
            (lambda: gate(["a"], fallback="END"), ValueError, "'END' as a string target"),
            (
                lambda: gate(["a"], fallback="a", multi_target=True),
                ValueError,
                "cannot have both fallback and multi_target",
            ),
            (lambda: gate(["a", 3]), TypeError, "the name of a node"),
            (lambda: RouteNode(pick, "a"), TypeError, "must be a list"),
            (lambda: gate(rename_inputs={"z": "q"}), RenameError, "Cannot rename unknown inputs"),
        ],
    )
    def test_what_cannot_be_a_gate_says_why(
        self, make: Callable[[], object], error: type[Exception], phrase: str
    ) -> None:
        with pytest.raises(error, match=phrase):
            make()


class TestDecisions:
    @pytest.mark.parametrize(
        ("made", "returned", "decision"),
        [
            pytest.param(gate(), "a", "a", id="a target"),
            pytest.param(gate(), END, END, id="END"),
            pytest.param(gate(), None, None, id="None chooses nothing"),
            pytest.param(gate(fallback="b"), None, "b", id="unless there is a fallback"),
            pytest.param(gate(multi_target=True), ["a", END], ["a", END], id="a list"),
            pytest.param(gate(multi_target=True), [], [], id="an empty list"),
            pytest.param(gate(multi_target=True), None, None, id="no list"),
            pytest.param(IfElseNode(is_big, "a", END), True, "a", id="True"),
            pytest.param(IfElseNode(is_big, "a", END), False, END, id="False"),
        ],
    )
    def test_what_is_recorded(self, made: GateNode, returned: Any, decision: Any) -> None:
        assert made.decision_of(returned) == decision

    @pytest.mark.parametrize(
        ("made", "returned", "error", "phrase"),
        [
            (gate(), ["a"], TypeError, "multi_target=False but returned a list"),
            (gate(multi_target=True), ("a",), TypeError, "multi_target=True but returned tuple"),
            (gate(multi_target=True), "a", TypeError, "multi_target=True but returned str"),
            (gate(), "c", ValueError, "invalid target 'c'"),
            (gate(["a"]), END, ValueError, "invalid target END"),
            (gate(multi_target=True), ["a", "c"], ValueError, "invalid target 'c'"),
            (gate(), 3, ValueError, "invalid target 3"),
            (gate(["a"]), "END", ValueError, "invalid target 'END'"),
            (IfElseNode(is_big, "a", "b"), 1, TypeError, "must return bool.*int"),
            (IfElseNode(is_big, "a", "b"), None, TypeError, "must return bool.*NoneType"),
        ],
    )
    def test_what_is_refused(
        self, made: GateNode, returned: Any, error: type[Exception], phrase: str
    ) -> None:
        with pytest.raises(error, match=phrase):
            made.decision_of(returned)

    def test_the_string_end_is_pointed_out(self) -> None:
        with (
            pytest.warns(UserWarning, match="string 'END'.*sentinel"),
            pytest.raises(ValueError, match="invalid target"),
        ):
            gate().decision_of("END")


class TestIfElse:
    def test_what_it_is(self) -> None:
        made = ifelse("a", END, name="big", rename_inputs={"x": "y"})(is_big)

        assert isinstance(made, GateNode)
        assert made.targets == ["a", END]
        assert (made.when_true, made.when_false) == ("a", END)
        assert made.descriptions == {True: "True", False: "False"}
        assert made.inputs == ("y",)
        assert repr(made) == "IfElseNode(is_big as 'big', true=a, false=END)"
        assert repr(made.with_name("is_big")) == "IfElseNode(is_big, true=a, false=END)"

    @pytest.mark.parametrize(
        ("make", "error", "phrase"),
        [
            (lambda: IfElseNode(async_pick, "a", "b"), TypeError, "cannot be async"),
            (lambda: IfElseNode(yielding_pick, "a", "b"), TypeError, "cannot be a generator"),
            (lambda: IfElseNode(is_big, "END", "b"), ValueError, "'END' as a string target"),
            (lambda: IfElseNode(is_big, "a", "a"), ValueError, "same target for both branches"),
            (lambda: IfElseNode(is_big, END, END), ValueError, "same target for both branches"),
        ],
    )
    def test_what_cannot_be_one_says_why(
        self, make: Callable[[], object], error: type[Exception], phrase: str
    ) -> None:
        with pytest.raises(error, match=phrase):
            make()


@pytest.mark.parametrize("made", [gate(fallback="a"), IfElseNode(is_big, "a", END)])
def test_a_gate_survives_the_wire(made: GateNode) -> None:
    other = pickle.loads(pickle.dumps(made))

    assert other.targets == made.targets
    assert other.targets[-1] is END
    assert other.definition_hash == made.definition_hash
    assert other.func is made.func
