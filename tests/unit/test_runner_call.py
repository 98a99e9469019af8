"""How one node is called."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial, wraps
from threading import Lock
from typing import Any

import pytest

from hypergraph import END, FunctionNode, GateNode, ifelse, node, route
from hypergraph.plan import END_NAME
from hypergraph.runners.call import call_node, choose


def returning(
    output: str | tuple[str, ...] = "out", **options: Any
) -> Callable[[Callable[..., Any]], FunctionNode]:
    return lambda func: FunctionNode(func, output_name=output, **options)


def test_inputs_go_in_by_current_name_and_outputs_come_out() -> None:
    @returning("twice", rename_inputs={"x": "number"})
    def double(x: int) -> int:
        return 2 * x

    assert call_node(double, {"number": 4}) == {"twice": 8}
    assert call_node(double.with_outputs(twice="n"), {"number": 4, "other": 1}) == {"n": 8}


def test_names_may_be_swapped() -> None:
    @returning()
    def minus(a: int, b: int) -> int:
        return a - b

    assert call_node(minus.with_inputs(a="b", b="a"), {"a": 1, "b": 10}) == {"out": 9}


def test_every_kind_of_parameter_gets_its_value() -> None:
    @returning()
    def f(a: int, /, b: int, *args: int, c: int = 3, **kwargs: int) -> tuple[Any, ...]:
        return a, b, args, c, kwargs

    inputs = {"a": 1, "b": 2, "args": [7, 8], "kwargs": {"z": 9}}

    assert call_node(f, inputs) == {"out": (1, 2, (7, 8), 3, {"z": 9})}


def test_keywords_may_arrive_without_a_mapping() -> None:
    @returning()
    def f(**kwargs: int) -> dict[str, int]:
        return kwargs

    assert call_node(f, {"kwargs": 5}) == {"out": {"kwargs": 5}}
    assert call_node(f, {"kwargs": {"a": 5}}) == {"out": {"a": 5}}


@pytest.mark.parametrize("count", range(5))
def test_any_number_of_inputs(count: int) -> None:
    scope: dict[str, Any] = {}
    params = [f"p{number}" for number in range(count)]
    exec(f"def f({', '.join(params)}): return [{', '.join(params)}]", scope)

    values = {name: object() for name in params}

    assert call_node(returning()(scope["f"]), values) == {"out": list(values.values())}


def test_what_is_not_a_plain_function_is_called_by_name() -> None:
    def plain(a: int, b: int = 2, *, c: int = 3) -> tuple[int, int, int]:
        return a, b, c

    @wraps(plain)
    def by_name_only(**given: int) -> Any:
        return plain(**given)

    class Shop:
        __name__ = "callable_object"

        def __call__(self, a: int, b: int = 2) -> tuple[int, int]:
            return a, b

        def method(self, a: int, b: int = 2) -> tuple[int, int]:
            return a, b

    assert call_node(returning()(by_name_only), {"a": 1}) == {"out": (1, 2, 3)}
    assert call_node(returning()(Shop()), {"a": 1}) == {"out": (1, 2)}
    assert call_node(returning()(Shop().method), {"a": 1, "b": 5}) == {"out": (1, 5)}
    bound = FunctionNode(partial(plain, c=9), name="bound", output_name="out")
    assert call_node(bound, {"a": 1}) == {"out": (1, 2, 9)}
    assert call_node(returning()(len), {"obj": "abc"}) == {"out": 3}


def test_a_generator_is_drained() -> None:
    @returning()
    def count(n: int) -> Iterator[int | None]:
        yield from range(n)
        yield None

    @returning(("first", "second"))
    def pair() -> Iterator[int]:
        yield 1
        yield 2

    assert call_node(count, {"n": 2}) == {"out": [0, 1, None]}
    assert call_node(pair, {}) == {"first": 1, "second": 2}


def test_an_empty_generator_gives_an_empty_list() -> None:
    @returning()
    def nothing() -> Iterator[int]:
        yield from ()

    assert call_node(nothing, {}) == {"out": []}


def test_a_single_output_takes_the_result_as_it_is() -> None:
    @returning()
    def pair() -> tuple[int, int]:
        return 1, 2

    assert call_node(pair, {}) == {"out": (1, 2)}


def test_without_outputs_the_result_is_dropped() -> None:
    seen = []

    @node
    def effect(x: int):  # type: ignore[no-untyped-def]
        seen.append(x)
        return "dropped"

    assert call_node(effect, {"x": 1}) == {}
    assert seen == [1]


@pytest.mark.parametrize(
    ("result", "count"), [((1, 2, 3), 3), ((1,), 1), ([], 0), (5, 1), (None, 1)], ids=repr
)
def test_several_outputs_want_as_many_values(result: object, count: int) -> None:
    @returning(("a", "b"))
    def f() -> object:
        return result

    with pytest.raises(ValueError, match=f"has 2 outputs.*returned {count} values"):
        call_node(f, {})


def test_several_outputs_take_anything_that_can_be_counted() -> None:
    @returning(("a", "b"))
    def f() -> list[int]:
        return [1, 2]

    assert call_node(f, {}) == {"a": 1, "b": 2}


def test_a_default_is_copied_for_every_use() -> None:
    @returning()
    def collect(x: int, seen: list[int] = []) -> list[int]:  # noqa: B006
        seen.append(x)
        return seen

    assert call_node(collect, {"x": 1}) == {"out": [1]}
    assert call_node(collect, {"x": 2}) == {"out": [2]}


def test_a_given_value_is_not_copied() -> None:
    @returning()
    def same(x: list[int]) -> list[int]:
        return x

    given = [1]

    assert call_node(same, {"x": given})["out"] is given


def test_a_default_that_cannot_be_copied_is_shared_with_a_warning() -> None:
    lock = Lock()

    @returning()
    def f(held: Any = (lock,)) -> Any:
        return held

    with pytest.warns(UserWarning, match="Cannot deep-copy.*'held'.*'f'"):
        assert call_node(f, {})["out"][0] is lock


def test_plain_defaults_are_used_as_they_are() -> None:
    @returning()
    def f(a: int = 1, b: str = "x", c: tuple[int, ...] = (1, 2), d: None = None) -> Any:
        return a, b, c, d

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call_node(f, {}) == {"out": (1, "x", (1, 2), None)}


def test_what_a_function_raises_passes_through() -> None:
    error = ValueError("boom")

    @returning()
    def f() -> None:
        raise error

    with pytest.raises(ValueError, match="boom") as raised:
        call_node(f, {})
    assert raised.value is error


@route(targets=["a", "b", END])
def one_of(choice: Any = "a") -> Any:
    return choice


@route(targets=["a", "b", END], multi_target=True)
def some_of(choice: Any) -> Any:
    return choice


@route(targets=["a"], fallback="b")
def with_fallback(choice: Any) -> Any:
    return choice


@ifelse(when_true="a", when_false=END)
def yes_or_no(choice: Any) -> Any:
    return choice


@pytest.mark.parametrize(
    ("gate", "returned", "chosen"),
    [
        (one_of, "b", ("b",)),
        (one_of, END, (END_NAME,)),
        (one_of, None, None),
        (some_of, ["b", "a"], ("b", "a")),
        (some_of, [], ()),
        (some_of, ["a", END], ("a", END_NAME)),
        (some_of, None, None),
        (with_fallback, None, ("b",)),
        (yes_or_no, True, ("a",)),
        (yes_or_no, False, (END_NAME,)),
    ],
)
def test_a_gate_chooses(gate: GateNode, returned: Any, chosen: tuple[str, ...] | None) -> None:
    assert choose(gate, {"choice": returned}) == chosen


@pytest.mark.parametrize(
    ("gate", "returned", "error", "words"),
    [
        (one_of, "c", ValueError, "invalid target"),
        (one_of, ["a"], TypeError, "multi_target=False but returned a list"),
        (some_of, ("a",), TypeError, "multi_target=True but returned tuple"),
        (with_fallback, END, ValueError, "invalid target"),
        (yes_or_no, 1, TypeError, "must return bool.*int"),
    ],
)
def test_a_gate_may_not_choose_just_anything(
    gate: GateNode, returned: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        choose(gate, {"choice": returned})


def test_a_gate_has_defaults_too() -> None:
    assert choose(one_of, {}) == ("a",)
    assert choose(one_of.with_inputs(choice="word"), {"word": "b"}) == ("b",)
