"""Results of nested graphs, as plain data.

A result is ``(values, failure, nested)``, where the failure is packed or None; the results of a map
are ``[outputs, result, ...]``. What is nested in a result is a dict of both by node name. Status,
index and error follow from these.
"""

from __future__ import annotations

from typing import Any

from hypergraph.errors import UnserializableInput
from hypergraph.values.codec import encode


def encode_plain(plain: Any) -> bytes:
    """Return the bytes of plain results. What does not pickle is left out."""
    try:
        return encode(plain)
    except UnserializableInput:
        return encode(only_what_travels(plain))


def only_what_travels(plain: Any) -> Any:
    """Return plain results without the values that do not pickle.

    They are no outputs, or their graph would have failed: nobody but a reader of nested results
    misses them.
    """
    if isinstance(plain, dict):
        return {name: only_what_travels(found) for name, found in plain.items()}
    if isinstance(plain, list):
        return [plain[0], *map(only_what_travels, plain[1:])]
    values, failure, nested = plain
    kept = {name: value for name, value in values.items() if _travels(value)}
    return kept, failure, only_what_travels(nested)


def _travels(value: Any) -> bool:
    try:
        encode(value)
    except UnserializableInput:
        return False
    return True
