"""A function becomes a node, whatever kind of callable it is."""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
import pickle
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Optional

import pytest

from hypergraph.nodes import FunctionNode, HyperNode, node


@node(output_name="total")
def add(a: int, b: int = 2) -> int:
    return a + b


def plain(a: int, b: int = 2) -> int:
    return a + b


def pair(a: int) -> tuple[int, str]:
    return a, str(a)


def test_a_hypernode_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="HyperNode is abstract"):
        HyperNode()


def test_a_node_of_ones_own_gets_the_defaults_of_the_base_class() -> None:
    class Own(HyperNode):
        def __init__(self) -> None:
            self.name = "own"
            self.inputs = ("a",)
            self.outputs = ("b",)

    own = Own()

    assert (own.is_async, own.is_generator, own.cache) == (False, False, False)
    assert own.has_default_for("a") is False
    assert own.get_input_type("a") is None
    assert own.get_output_type("b") is None
    assert own.map_inputs_to_params({"a": 1}) == {"a": 1}
    assert len(own.definition_hash) == 64
    assert own.with_inputs(a="x").with_outputs(b="y").outputs == ("y",)
    assert "own" in repr(own)
    with pytest.raises(KeyError, match="No default for 'a'"):
        own.get_default_for("a")


@pytest.mark.parametrize(
    ("made", "name", "outputs"),
    [
        (node(plain, output_name="x"), "plain", ("x",)),
        (node(output_name=("x", "y"))(pair), "pair", ("x", "y")),
        (FunctionNode(plain, "other", "x"), "other", ("x",)),
        (FunctionNode(add, output_name="x"), "add", ("x",)),
        (FunctionNode(add.with_name("q").with_inputs(a="z"), output_name="x"), "add", ("x",)),
    ],
)
def test_names_and_outputs(made: FunctionNode, name: str, outputs: tuple[str, ...]) -> None:
    assert made.name == name
    assert made.outputs == outputs
    assert made.inputs[0] == "a"
    assert made.cache is False


def test_the_bare_decorator_makes_a_node_without_outputs() -> None:
    @node
    def effect(a: int) -> None: ...

    @node()
    def other(a) -> None:  # type: ignore[no-untyped-def]
        ...

    assert effect.outputs == other.outputs == ()
    assert effect.output_annotation == {}


def test_every_parameter_is_an_input_in_signature_order() -> None:
    def many(a: int, /, b: int, *args: int, c: int = 3, **kwargs: int) -> None: ...

    made = FunctionNode(many)

    assert made.inputs == ("a", "b", "args", "c", "kwargs")
    assert made.defaults == {"c": 3}
    assert made.positional_only == ("a",)
    assert made.var_positional == "args"
    assert made.var_keyword == "kwargs"
    assert list(made.param_of) == list(made.inputs)


def test_a_default_of_none_is_a_default() -> None:
    def maybe(a: int | None = None) -> None: ...

    assert FunctionNode(maybe).has_default_for("a") is True
    assert FunctionNode(maybe).get_default_for("a") is None


async def coroutine() -> None: ...


async def async_generator() -> AsyncIterator[int]:
    yield 1


def generator() -> Iterator[int]:
    yield 1


def returns_a_generator() -> Iterator[int]:
    return iter(())


class AsyncCall:
    async def __call__(self, a: int) -> int:
        return a


@pytest.mark.parametrize(
    ("source", "is_async", "is_generator"),
    [
        (plain, False, False),
        (coroutine, True, False),
        (generator, False, True),
        (async_generator, True, True),
        (returns_a_generator, False, False),
        (AsyncCall(), True, False),
        (AsyncCall().__call__, True, False),
        (functools.partial(coroutine), True, False),
        (staticmethod(coroutine), True, False),
    ],
)
def test_async_and_generator_functions_are_told_apart(
    source: Callable[..., Any], is_async: bool, is_generator: bool
) -> None:
    made = FunctionNode(source, "n", "out")

    assert made.is_async is is_async
    assert made.is_generator is is_generator


def test_a_generator_delivers_a_list() -> None:
    made = FunctionNode(generator, output_name="xs")

    assert made.output_annotation == {"xs": Iterator[int]}
    assert made.get_output_type("xs") == list[int]
    assert (
        FunctionNode(returns_a_generator, output_name="xs").get_output_type("xs") == Iterator[int]
    )


def untyped(a, b=1):  # type: ignore[no-untyped-def]
    return a


def optional(a: Optional[str]) -> None: ...  # noqa: UP045


def unresolvable(a: "Nowhere", b: int) -> "Nowhere":  # type: ignore[name-defined] # noqa: F821, UP037
    return a


@pytest.mark.parametrize(
    ("source", "outputs", "inputs_are", "outputs_are"),
    [
        pytest.param(plain, "x", {"a": int, "b": int}, {"x": int}, id="one output"),
        pytest.param(pair, ("x", "y"), {"a": int}, {"x": int, "y": str}, id="a tuple, unpacked"),
        pytest.param(pair, "x", {"a": int}, {"x": tuple[int, str]}, id="a tuple, whole"),
        pytest.param(pair, ("x", "y", "z"), {"a": int}, {}, id="another number of outputs"),
        pytest.param(plain, ("x", "y"), {"a": int, "b": int}, {}, id="no tuple"),
        pytest.param(untyped, "x", {}, {}, id="no annotations"),
        pytest.param(optional, "x", {"a": Optional[str]}, {"x": type(None)}, id="None"),  # noqa: UP045
        pytest.param(unresolvable, "x", {}, {}, id="a name that is nowhere"),
        pytest.param(functools.partial(plain, 1), "x", {"b": int}, {"x": int}, id="partial"),
    ],
)
def test_annotations(
    source: Callable[..., Any],
    outputs: str | tuple[str, ...],
    inputs_are: dict[str, Any],
    outputs_are: dict[str, Any],
) -> None:
    made = FunctionNode(source, "n", outputs)

    # A positional argument that a partial has filled is no parameter any more.
    assert made.parameter_annotations == inputs_are
    assert made.output_annotation == outputs_are


class Point:
    def __init__(self, x: int, y: int = 0) -> None:
        self.x, self.y = x, y


def test_a_class_is_a_callable_like_any_other() -> None:
    made = FunctionNode(Point, output_name="point")

    assert (made.name, made.inputs) == ("Point", ("x", "y"))
    assert made.parameter_annotations == {"x": int, "y": int}
    assert made.output_annotation == {"point": Point}


def test_a_static_method_is_unwrapped_and_a_node_is_no_descriptor() -> None:
    class Holder:
        @node(output_name="y")
        @staticmethod
        def double(x: int) -> int:
            return 2 * x

    assert Holder().double is Holder.double
    assert Holder.double.func(3) == 6
    assert Holder.double(3) == 6
    assert Holder.double.name == "double"


def test_a_node_is_called_like_its_function() -> None:
    assert add.with_inputs(a="x")(1, b=5) == 6
    assert add.func(1) == 3


def test_the_hash_is_that_of_the_source() -> None:
    expected = hashlib.sha256(inspect.getsource(plain).encode()).hexdigest()

    assert FunctionNode(plain, output_name="x").definition_hash == expected
    assert FunctionNode(plain, "y", "x").definition_hash == expected
    first = add.definition_hash
    assert add.definition_hash is first


def made_by_exec(body: str) -> Callable[..., Any]:
    scope: dict[str, Any] = {}
    exec(f"def made(a):\n    return {body}", scope)
    made: Callable[..., Any] = scope["made"]
    return made


@pytest.mark.parametrize(
    "source",
    [
        made_by_exec("a"),
        lambda a: a,
        len,
        functools.partial(plain, b=3),
        AsyncCall(),
        str.upper,
        functools.lru_cache(plain),
    ],
)
def test_a_callable_without_source_is_a_legal_node(source: Callable[..., Any]) -> None:
    made = FunctionNode(source, "n", "out")

    assert len(made.definition_hash) == 64
    assert made.definition_hash == FunctionNode(source, "m", "out").definition_hash


def test_without_source_the_code_decides() -> None:
    def hash_of(source: Callable[..., Any]) -> str:
        return FunctionNode(source, "n", "out").definition_hash

    assert hash_of(made_by_exec("a + 1")) == hash_of(made_by_exec("a + 1"))
    assert hash_of(made_by_exec("a + 1")) != hash_of(made_by_exec("a + 2"))
    assert hash_of(made_by_exec("a in {'x', 'y'}")) == hash_of(made_by_exec("a in {'x', 'y'}"))
    assert hash_of(len) != hash_of(abs)
    assert hash_of(functools.partial(plain, b=1)) != hash_of(functools.partial(plain, b=2))
    assert hash_of(lambda a: a + 1) != hash_of(lambda a: a + 2)


@pytest.mark.parametrize(
    ("make", "error", "phrase"),
    [
        (lambda: FunctionNode(functools.partial(plain, 1), output_name="x"), ValueError, "name="),
        (lambda: FunctionNode(AsyncCall(), output_name="x"), ValueError, "name="),
        (lambda: FunctionNode(3), TypeError, "cannot be called"),  # type: ignore[arg-type]
        (lambda: FunctionNode(plain, output_name=3), TypeError, "output_name"),  # type: ignore[arg-type]
        (lambda: FunctionNode(plain, output_name=("x", 3)), TypeError, "output_name"),  # type: ignore[arg-type]
        (lambda: FunctionNode(plain, output_name=("x", "x")), ValueError, "twice"),
        (lambda: FunctionNode(max, "n", "x"), ValueError, "parameters"),
    ],
)
def test_what_cannot_be_a_node_says_why(
    make: Callable[[], object], error: type[Exception], phrase: str
) -> None:
    with pytest.raises(error, match=phrase):
        make()


def test_a_result_that_goes_nowhere_is_warned_about_at_the_users_line() -> None:
    with pytest.warns(UserWarning, match="has return type.*output_name") as caught:
        FunctionNode(plain)
        node(plain)
        node()(plain)

    assert len(caught) == 3
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize(
    "make",
    [
        lambda: FunctionNode(untyped),
        lambda: FunctionNode(optional),
        lambda: FunctionNode(unresolvable),
        lambda: FunctionNode(plain, output_name="x"),
    ],
)
def test_nothing_else_is_warned_about(make: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make()


def test_repr_shows_function_and_name() -> None:
    assert repr(add) == "FunctionNode(add, outputs=('total',))"
    assert repr(add.with_name("sum")) == "FunctionNode(add as 'sum', outputs=('total',))"


undecorated = FunctionNode(plain, "undecorated", "out", rename_inputs={"a": "x"}, cache=True)


@pytest.mark.parametrize(
    "again", [lambda n: pickle.loads(pickle.dumps(n)), copy.copy, copy.deepcopy]
)
def test_a_node_survives_the_wire(again: Callable[[FunctionNode], FunctionNode]) -> None:
    before = undecorated.definition_hash
    other = again(undecorated)

    assert other.func is plain
    assert (other.name, other.inputs, other.outputs) == ("undecorated", ("x", "b"), ("out",))
    assert other.param_of == {"x": "a", "b": "b"}
    assert other.cache is True
    assert other.definition_hash == before
    assert other.parameter_annotations == {"x": int, "b": int}
    assert other.with_inputs(x="y").inputs == ("y", "b")
