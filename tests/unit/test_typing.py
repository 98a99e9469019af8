"""Which types may travel where: the rules, case by case."""

from __future__ import annotations

import collections.abc as abc
import warnings
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    ParamSpec,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
    Union,
)

import pytest

from hypergraph.graph.typing import (
    NoAnnotation,
    TypeCheckMemo,
    Unresolvable,
    is_type_compatible,
    safe_get_type_hints,
)

T = TypeVar("T")
Constrained = TypeVar("Constrained", int, str)
Bounded = TypeVar("Bounded", bound=int)
Forward = TypeVar("Forward", bound="int")
P = ParamSpec("P")
UserId = NewType("UserId", int)


class Movie(TypedDict):
    title: str


class Pair(NamedTuple):
    x: int
    y: int


class Twin(NamedTuple):
    x: int
    y: int


class Closes(Protocol):
    def close(self) -> None: ...


class Animal: ...


class Dog(Animal): ...


NoneType = type(None)

#: (incoming, required, compatible)
CASES: list[tuple[Any, Any, bool]] = [
    # classes
    (bool, int, True),
    (int, float, False),
    (str, int, False),
    (Dog, Animal, True),
    (Animal, Dog, False),
    (UserId, int, True),
    (int, UserId, False),
    # any and none
    (int, Any, True),
    (Any, int, False),
    (Any, Any, True),
    (Any, object, True),
    (list[int], object, True),
    (abc.Callable[[int], str], object, True),
    (Optional[int], object, True),  # noqa: UP045
    (int, NoAnnotation, True),
    (NoAnnotation, int, True),
    (None, NoneType, True),
    (NoneType, Optional[int], True),  # noqa: UP045
    (Optional[int], int, False),  # noqa: UP045
    # generics
    (list[int], list, True),
    (list, list[int], True),
    (list[int], list[int], True),
    (list[int], list[str], False),
    (list[bool], list[int], True),
    (list[int], abc.Sequence[int], True),
    (abc.Sequence[int], list[int], False),
    (dict[str, int], dict[int, int], False),
    (dict[str, int], abc.Mapping[str, int], True),
    (list[list[int]], list[list[str]], False),
    (type[bool], type[int], True),
    (type[int], type[str], False),
    # tuples
    (tuple[int, str], tuple[str, int], False),
    (tuple[int, str], tuple[int, str], True),
    (tuple[int, ...], tuple[int, ...], True),
    (tuple[int, bool], tuple[int, ...], True),
    (tuple[int, str], tuple[int, ...], False),
    (tuple[int, int], abc.Sequence[int], True),
    (tuple[int, ...], abc.Sequence[int], True),
    (tuple[int, ...], abc.Sequence[str], False),
    # unions
    (int, int | str, True),
    (int | str, int, False),
    (int | str, str | int | float, True),
    (int | str, Union[str, int], True),  # noqa: UP007
    (Optional[int], int | None, True),  # noqa: UP045
    (list[int], list[int] | None, True),
    (list[int | str], list[int], False),
    # literals
    (Literal["a", "b"], Literal["a", "b"], True),
    (Literal["a", "b", "c"], Literal["a", "b"], False),
    (Literal["a"], Literal["b"], False),
    (Literal["a"], Literal["a", "b"], True),
    (Literal["a"], str, True),
    (Literal["a", 1], str | int, True),
    (Literal["a", 1], str, False),
    (str, Literal["a"], False),
    (Literal[True], Literal[1], False),
    (Literal["a"], Literal["a"] | None, True),
    (Literal["a"], Annotated[str, "name"], True),
    # annotated
    (Annotated[int, "m"], int, True),
    (int, Annotated[int, "m"], True),
    (Annotated[int, "m"], Annotated[int, "s"], True),
    (Annotated[int, "m"], str, False),
    (list[Annotated[int, "m"]], list[int], True),
    # structured types
    (Movie, dict, True),
    (dict, Movie, False),
    (Movie, Movie, True),
    (Pair, tuple, True),
    (Pair, tuple[int, int], True),
    (tuple[int, int], Pair, False),
    (Pair, Twin, False),
    (Closes, Closes, True),
    (Self, Self, True),
    # callables
    (abc.Callable[[int], str], abc.Callable[[int], str], True),
    (abc.Callable[[int], str], abc.Callable[[int], int], False),
    (abc.Callable[[int], str], abc.Callable[..., str], True),
    (abc.Callable[..., str], abc.Callable[[int], str], True),
    (abc.Callable[[int], str], abc.Callable, True),
    (abc.Callable[[int], str], abc.Callable[[int, int], str], False),
    # type variables
    (T, int, True),
    (int, T, True),
    (int, Constrained, True),
    (float, Constrained, False),
    (bool, Bounded, True),
    (str, Bounded, False),
    (str, Forward, False),
    (list[int], list[T], True),  # type: ignore[valid-type]
    # text
    ("int", int, True),
    ("int", "str", False),
    (ForwardRef("int"), int, True),
    (list["int"], list[int], True),
    (Optional["int"], Optional[int], True),  # noqa: UP045
    (Literal["int"], Literal["int"], True),
    (Annotated["int", "str"], int, True),
    (abc.Callable[["int"], "str"], abc.Callable[[int], str], True),
    ("list[Dog]", "abc.Sequence[Animal]", True),
]


@pytest.mark.parametrize(("incoming", "required", "compatible"), CASES)
def test_compatibility(incoming: Any, required: Any, compatible: bool) -> None:
    memo = TypeCheckMemo(globals(), None)

    assert is_type_compatible(incoming, required, memo) is compatible


@pytest.mark.parametrize(
    ("incoming", "required"),
    [
        (Dog, Closes),
        (abc.Callable[P, int], abc.Callable[[int], int]),
        (abc.Callable[[int], int], abc.Callable[P, int]),
        (P, int),
        (int, P),
        (Self, int),
        (Closes, Dog),
        (1, 2),
    ],
)
def test_odd_questions_have_some_answer(incoming: Any, required: Any) -> None:
    assert is_type_compatible(incoming, required) in (True, False)


@pytest.mark.parametrize(
    ("incoming", "required"),
    [
        (Unresolvable("Nowhere"), int),
        (int, Unresolvable("Nowhere")),
        ("Nowhere", int),
        (list["Nowhere"], list[int]),  # type: ignore[name-defined] # noqa: F821
    ],
)
def test_what_cannot_be_evaluated_passes_with_one_warning(incoming: Any, required: Any) -> None:
    with pytest.warns(UserWarning, match=r"Unresolvable type hint 'Nowhere'") as caught:
        assert is_type_compatible(incoming, required) is True

    assert len(caught) == 1


def test_an_answer_that_is_certain_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert is_type_compatible(int, Any) is True


def test_names_are_looked_up_where_the_memo_says() -> None:
    memo = TypeCheckMemo({"Cat": Animal}, {"Puppy": Dog})

    assert is_type_compatible("Puppy", "Cat", memo) is True
    assert is_type_compatible("Cat", "Puppy", memo) is False


def test_a_marker_is_known_by_its_text() -> None:
    assert repr(Unresolvable("X")) == "Unresolvable['X']"
    assert Unresolvable("X") == Unresolvable("X") != Unresolvable("Y")
    assert len({Unresolvable("X"), Unresolvable("X")}) == 1
    assert Unresolvable("X").type_str == "X"


def hinted(a: int, b: Nowhere, c: list[Dog], d: Annotated[int, "m"]) -> None:  # type: ignore[name-defined] # noqa: F821
    ...


def plain(a: int, b: Annotated[int, "m"]) -> None: ...


def test_one_bad_hint_leaves_the_others_alone() -> None:
    assert safe_get_type_hints(hinted) == {
        "a": int,
        "b": Unresolvable("Nowhere"),
        "c": list[Dog],
        "d": int,
        "return": NoneType,
    }
    assert safe_get_type_hints(hinted, include_extras=True)["d"] == Annotated[int, "m"]


def test_good_hints_are_those_of_typing() -> None:
    assert safe_get_type_hints(plain) == {"a": int, "b": int, "return": NoneType}
    assert safe_get_type_hints(plain, include_extras=True)["b"] == Annotated[int, "m"]
    assert safe_get_type_hints(len) == {}
