"""What items of a map bring along to another queue, as bytes: one pickle for many items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypergraph.errors import UnserializableInput, UnserializableResult
from hypergraph.values.codec import encode, encode_parts
from hypergraph.values.digest import Buffer
from hypergraph.values.results import Decode

#: An item's own inputs, and what nodes have answered: name of the node, answer, packed failure.
Luggage = tuple[Mapping[str, Any], Sequence[tuple[str, Any, bytes | None]]]


#: What stands for the name of a node where answers are those of a mapped graph's elements.
ELEMENTS = "[]"


def pack_luggage(
    items: Sequence[Luggage],
) -> tuple[list[Buffer], dict[int, UnserializableResult]]:
    """Return the bytes of what items bring along, in parts.

    Returns:
        The parts, and by position why items cannot travel. If some cannot, there are no parts: the
        others have to be packed without them.
    """
    try:
        return encode_parts(list(items)), {}
    except UnserializableInput:
        bad = {}
        for position, item in enumerate(items):
            try:
                encode(item)
            except UnserializableInput as error:
                bad[position] = _blame(item, error)
        return [], bad


def _blame(item: Luggage, error: UnserializableInput) -> UnserializableResult:
    """Say which node's answer cannot travel; of no node's if it is an input that was changed."""
    for node, answer in _answers_in(item[1]):
        try:
            encode(answer)
        except UnserializableInput as found:
            return UnserializableResult(
                found.path, kind=found.kind, reason=found.reason, node=node or None
            )
    return UnserializableResult(error.path, kind=error.kind, reason=error.reason)


def _answers_in(answers: Sequence[tuple[str, Any, bytes | None]]) -> Iterator[tuple[str, Any]]:
    for node, answer, _ in answers:
        if node == ELEMENTS:
            for element in answer:
                yield from _answers_in(element)
        else:
            yield node, answer


def unpack_luggage(data: Buffer, decode: Decode) -> list[Luggage]:
    """Return what `pack_luggage` packed, once its signature has been verified."""
    items: list[Luggage] = decode(data)
    return items
