"""The items of a map: which inputs each of its runs gets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Items:
    """The inputs of a map, not yet spread out. Iterating gives the inputs of each item.

    Nothing is held per item, so a million of them cost what their lists cost.

    >>> list(split({"doc": ["a", "b"], "model": "m"}, ["doc"]))
    [{'model': 'm', 'doc': 'a'}, {'model': 'm', 'doc': 'b'}]
    """

    shared: Mapping[str, Any]  #: input name -> value that every item gets, the same object
    over: tuple[str, ...]  #: names mapped over, at least one
    columns: tuple[Iterable[Any], ...]  #: the values of each of these names
    mode: str  #: ``zip`` or ``product``

    @property
    def is_sized(self) -> bool:
        """Whether the number of items is known. It is not when a column is a stream."""
        return all(isinstance(column, Sized) for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Input names of every item, the shared ones first."""
        return (*self.shared, *self.over)

    def __len__(self) -> int:
        sizes = [len(cast(Sized, column)) for column in self.columns]
        return sizes[0] if self.mode == "zip" else prod(sizes)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the mapped values of each item, in the order of `over`.

        Raises:
            ValueError: One of several streams ends before the others.
        """
        if self.mode == "product":
            yield from product(*self.columns)
            return
        try:
            yield from zip(*self.columns, strict=True)
        except ValueError as error:
            # A column may raise on its own account; zip's words name the argument that was short.
            if not str(error).startswith("zip() argument"):
                raise
            raise ValueError(
                f"map_over needs lists of equal lengths, but of the streams "
                f"{', '.join(self.over)} one ended before the others"
            ) from None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        shared, over = self.shared, self.over
        if len(over) == 1:
            name = over[0]
            return ({**shared, name: value} for value in self.columns[0])
        return ({**shared, **dict(zip(over, row, strict=True))} for row in self.rows())


def split(values: Mapping[str, Any], over: str | Sequence[str], mode: str = "zip") -> Items:
    """Return the items of a map.

    Args:
        values: Input name -> value. A name in `over` holds an iterable; any other
            value is given to every item as it is.
        over: Name or names to map over, at least one.
        mode: ``zip``: n values of each name make n items. ``product``: n, m, ...
            values make n * m * ... items, the last name running fastest.

    Raises:
        KeyError: A name in `over` has no value.
        TypeError: Its value cannot be iterated over.
        ValueError: Lists of unequal lengths under ``zip``, no name, a name twice, or
            an unknown mode.

    >>> items = split({"x": [1, 2], "y": "ab"}, ["x", "y"], "product")
    >>> len(items), list(items.rows())
    (4, [(1, 'a'), (1, 'b'), (2, 'a'), (2, 'b')])
    """
    over = (over,) if isinstance(over, str) else tuple(over)
    _check(values, over, mode)
    columns = tuple(_column(name, values[name]) for name in over)
    if mode == "zip":
        _check_lengths(over, columns)
    else:
        # Every combination needs every value again, so a stream has to be kept.
        columns = tuple(c if isinstance(c, Sized) else tuple(c) for c in columns)
    shared = {name: value for name, value in values.items() if name not in over}
    return Items(shared, over, columns, mode)


def _check(values: Mapping[str, Any], over: tuple[str, ...], mode: str) -> None:
    if mode not in ("zip", "product"):
        raise ValueError(f"map_mode must be 'zip' or 'product', not {mode!r}")
    if not over:
        raise ValueError("map_over needs the name of at least one input")
    if len(set(over)) < len(over):
        raise ValueError(f"map_over names an input twice: {', '.join(over)}")
    for name in over:
        if name not in values:
            given = ", ".join(map(repr, values)) or "nothing"
            raise KeyError(f"map_over names {name!r}, which has no value; given: {given}")


def _column(name: str, value: Any) -> Iterable[Any]:
    try:
        iter(value)
    except TypeError:
        raise TypeError(
            f"cannot map over {name!r}: a {type(value).__name__} is not a list of values"
        ) from None
    return cast(Iterable[Any], value)


def _check_lengths(over: tuple[str, ...], columns: tuple[Iterable[Any], ...]) -> None:
    lengths = {n: len(c) for n, c in zip(over, columns, strict=True) if isinstance(c, Sized)}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ValueError(f"map_over needs lists of equal lengths ({found})")
