"""Pages of map inputs and ranges of map results, as bytes: one pickle for many items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from hypergraph.errors import UnserializableInput, UnserializableResult
from hypergraph.values.codec import decode, encode
from hypergraph.values.digest import Buffer
from hypergraph.values.nested import only_what_travels
from hypergraph.values.policy import Ship


class Finished(Protocol):
    """What became of an item, as the inline runner says it."""

    values: dict[str, Any]
    nested: dict[str, Any]
    error: BaseException | None
    path: tuple[str, ...]


class Row(NamedTuple):
    """What became of an item, as its reader sees it."""

    values: dict[str, Any]
    failure: bytes | None = None  #: a packed failure; see `values.failure`
    text: str = ""  #: the failure in one line
    nested: Mapping[str, Any] = {}  #: what became of nested graphs; see `runners.nested`


#: Turns verified bytes into a value.
Decode = Callable[[Buffer], Any]

#: Makes the packed failure and its line, given position in the range, error and path.
PackError = Callable[[int, BaseException, Sequence[str]], tuple[bytes, str]]


#: Inputs of a map are stored in pages of at most this many items and about this many bytes.
PAGE_ITEMS = 2000
PAGE_BYTES = 1 << 20


def length_of_page(row: Sequence[Any], ship: Ship = "auto") -> int:
    """Return how many items like `row` make a page."""
    return max(1, min(PAGE_ITEMS, PAGE_BYTES // len(encode(list(row), ship=ship))))


def pack_page(
    columns: Sequence[Sequence[Any]], names: Sequence[str], start: int, *, ship: Ship = "auto"
) -> bytes:
    """Return the bytes of a page of inputs.

    Args:
        columns: One list of values per mapped name, all of one length.
        names: The mapped names.
        start: Index of the page's first item, for errors.
        ship: How code inside the values travels.

    Raises:
        UnserializableInput: A value does not travel; the path begins ``$.name[item]``.
    """
    try:
        return encode([list(column) for column in columns], ship=ship)
    except UnserializableInput:
        for name, column in zip(names, columns, strict=True):
            for index, value in enumerate(column, start):
                encode(value, where=f"$.{name}[{index}]", ship=ship)
        raise


def unpack_page(data: Buffer, decode: Decode = decode) -> list[list[Any]]:
    """Return the columns of a page whose signature has been verified.

    Args:
        data: What `pack_page` returned.
        decode: The reader's way to decode; a process that executes has its own rules.
    """
    columns: list[list[Any]] = decode(data)
    return columns


def pack_rows(
    outcomes: Sequence[Finished],
    pack_error: PackError,
    flatten: Callable[[int], Any] = lambda _: {},
    *,
    where: str = "$",
) -> tuple[bytes, list[int]]:
    """Return the bytes of a range's results.

    Args:
        outcomes: What became of the items.
        pack_error: See there. It is called for an item before `flatten`.
        flatten: Returns what is nested in the outcome at a position, as plain data.
        where: Root of the path in errors.

    Returns:
        The bytes, and the positions of items that succeeded but whose values do not travel. They
        are written down as failed.
    """
    names = next((tuple(o.values) for o in outcomes if o.error is None), ())
    rows: list[Any] = []
    failures: dict[int, tuple[bytes, str]] = {}
    nested: dict[int, Any] = {}
    for position, outcome in enumerate(outcomes):
        values = outcome.values
        if outcome.error is not None:
            failures[position] = pack_error(position, outcome.error, outcome.path)
            rows.append(_only_what_travels(values))
        elif tuple(values) == names:
            rows.append(tuple(values.values()))
        else:
            rows.append(values)
        if outcome.nested:
            nested[position] = flatten(position)
    bad: list[int] = []
    try:
        return encode((names, rows, failures, nested)), bad
    except UnserializableInput:
        nested = only_what_travels(nested)
        for position, row in enumerate(rows):
            named = row if isinstance(row, dict) else dict(zip(names, row, strict=True))
            try:
                for name, value in named.items():
                    encode(value, where=f"{where}.{name}", error=UnserializableResult)
            except UnserializableResult as error:
                bad.append(position)
                rows[position] = _only_what_travels(named)
                failures[position] = pack_error(position, error, ())
        return encode((names, rows, failures, nested)), bad


def _only_what_travels(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in values.items():
        try:
            encode(value)
        except UnserializableInput:
            continue
        kept[name] = value
    return kept


def unpack_rows(data: Buffer, decode: Decode = decode) -> Iterator[Row]:
    """Yield the results of a range whose signature has been verified, in order of items.

    Args:
        data: What `pack_rows` returned.
        decode: As in `unpack_page`.
    """
    names, rows, failures, nested = decode(data)
    for position, row in enumerate(rows):
        values = row if type(row) is dict else dict(zip(names, row, strict=True))
        failure, text = failures.get(position, (None, ""))
        yield Row(values, failure, text, nested.get(position, {}))
