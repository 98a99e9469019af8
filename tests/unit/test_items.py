"""The items of a map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hypergraph.plan.items import split


def test_zip_pairs_the_values_and_shares_the_rest() -> None:
    model = object()

    items = split({"doc": ["a", "b"], "page": (1, 2), "model": model}, ["doc", "page"])

    assert len(items) == 2
    assert list(items) == [
        {"model": model, "doc": "a", "page": 1},
        {"model": model, "doc": "b", "page": 2},
    ]
    assert list(items.rows()) == [("a", 1), ("b", 2)]


def test_product_makes_every_combination_the_last_name_running_fastest() -> None:
    items = split({"x": [1, 2], "y": "abc"}, ["y", "x"], "product")

    assert len(items) == 6
    assert list(items.rows()) == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1), ("c", 2)]
    assert next(iter(items)) == {"y": "a", "x": 1}


def test_every_item_knows_the_same_names() -> None:
    items = split({"x": [1], "k": 2}, "x")

    assert items.names == ("k", "x")
    assert [set(item) for item in items] == [set(items.names)]


def test_items_can_be_gone_through_again() -> None:
    items = split({"x": [1, 2]}, ["x"])

    assert list(items) == list(items)


@pytest.mark.parametrize("mode", ["zip", "product"])
def test_an_empty_list_makes_no_items(mode: str) -> None:
    items = split({"x": [], "k": 1}, ["x"], mode)

    assert len(items) == 0
    assert list(items) == []


def test_a_product_with_an_empty_list_makes_no_items() -> None:
    assert list(split({"x": [1, 2], "y": []}, ["x", "y"], "product")) == []


def test_a_stream_is_read_item_by_item() -> None:
    read: list[int] = []

    def stream() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    items = split({"x": stream(), "k": 7}, ["x"])
    assert not items.is_sized
    assert next(iter(items)) == {"k": 7, "x": 0}
    assert read == [0]


def test_streams_that_end_apart_are_refused_when_it_shows() -> None:
    items = split({"x": iter([1, 2]), "y": iter([1])}, ["x", "y"])
    going = iter(items)
    assert next(going) == {"x": 1, "y": 1}

    with pytest.raises(ValueError, match="equal lengths"):
        next(going)


def test_what_a_stream_raises_itself_passes_through() -> None:
    def stream() -> Iterator[int]:
        yield 1
        raise ValueError("line 2 is damaged")

    items = split({"x": stream(), "y": iter([1, 2])}, ["x", "y"])

    with pytest.raises(ValueError, match="line 2 is damaged"):
        list(items)


def test_a_product_keeps_its_streams() -> None:
    items = split({"x": iter([1, 2]), "y": iter("ab")}, ["x", "y"], "product")

    assert len(items) == 4
    assert len(list(items)) == 4


@pytest.mark.parametrize(
    ("values", "over", "mode", "error", "words"),
    [
        pytest.param(
            {"x": [1, 2], "y": [1]},
            ["x", "y"],
            "zip",
            ValueError,
            r"equal lengths \(x: 2, y: 1\)",
            id="unequal lengths",
        ),
        pytest.param({"x": [1]}, ["x"], "zap", ValueError, "not 'zap'", id="unknown mode"),
        pytest.param({"x": [1]}, [], "zip", ValueError, "at least one", id="no name"),
        pytest.param({"x": [1]}, ["x", "x"], "zip", ValueError, "twice", id="a name twice"),
        pytest.param({"x": [1]}, ["y"], "zip", KeyError, "'y'.*'x'", id="a name without a value"),
        pytest.param({"x": 5}, ["x"], "zip", TypeError, "'x'.*int", id="no list"),
    ],
)
def test_what_cannot_be_mapped_is_refused(
    values: dict[str, Any], over: list[str], mode: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        split(values, over, mode)
