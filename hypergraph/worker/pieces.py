"""What a worker makes of graphs that run as one piece, and of failures, for those who ask later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypergraph.errors import CodeDiffers, MissingModule, NodeExited
from hypergraph.runners.nested import flatten
from hypergraph.runners.outcome import Outcome
from hypergraph.store.contract import RangeClaim
from hypergraph.store.records import Border
from hypergraph.values.failure import pack_failure
from hypergraph.values.nested import encode_plain
from hypergraph.values.results import Row, pack_rows

#: Of each range and each mapped node, people are told this many failures in words.
MOST_TOLD = 3


class NotHere(Exception):
    """This worker lacks a module that a task needs. Some other worker may have it."""

    def __init__(self, error: MissingModule) -> None:
        super().__init__(error)
        self.error = error

    @property
    def what(self) -> str:
        """What is missing, for people."""
        of_another = " as the client has it" if isinstance(self.error, CodeDiffers) else ""
        return f"{self.error.module}{of_another}"


class FailedPiece(Exception):
    """A task failed, and this is what is told of it. Never leaves the executor."""

    def __init__(self, packed: bytes, text: str, inside: bytes | None = None) -> None:
        super().__init__(text)
        self.packed = packed  #: the failure
        self.text = text
        self.inside = inside  #: of a nested graph: what there was of it; see `runners.nested`


def gather(border: Border, rows: Sequence[Row]) -> tuple[dict[str, Any], bytes | None]:
    """Return the output lists of a mapped node, and what they do not tell of its items.

    Args:
        border: Of the mapped node.
        rows: What became of its items, in order of items.

    Returns:
        Output name -> list, and the encoded results of the items; None where these are nothing
        but the elements of the lists.

    Raises:
        FailedPiece: An item failed, and the node fails with its first failing item.
    """
    if border.error_handling == "raise":
        for index, row in enumerate(rows):
            if row.failure is not None:
                raise FailedPiece(row.failure, row.text, _encode_rows(border, rows[: index + 1]))
    names = border.outputs
    outputs = {
        outer: [row.values.get(inner) if row.failure is None else None for row in rows]
        for inner, outer in names.items()
    }
    count = len(names)
    if count and all(r.failure is None and not r.nested and len(r.values) == count for r in rows):
        return outputs, None
    return outputs, _encode_rows(border, rows)


def _encode_rows(border: Border, rows: Sequence[Row]) -> bytes:
    return encode_plain(
        [tuple(border.outputs), *((row.values, row.failure, row.nested) for row in rows)]
    )


def pack_outcomes(
    outcomes: Sequence[Outcome], path: str, claim: RangeClaim, worker: str
) -> tuple[bytes, list[int], str]:
    """Return the bytes of a range's results, the positions of those that do not travel, and errors.

    Args:
        outcomes: Of its items, in order.
        path: Of the mapped node, "" for a map of its own.
        claim: The range.
        worker: Who ran it.
    """
    errors: list[str] = []
    packed_of: dict[int, bytes] = {}  # by id: the same error may be that of a nested graph too

    def pack(index: int, error: BaseException, inner: Sequence[str]) -> bytes:
        item = claim.start + index
        return pack_failure(
            error,
            node="/".join([f"{path}[{item}]", *inner] if path else inner),
            item=None if path else item,  # in a run, it is part of the path
            worker=worker,
            attempt=int(claim.attempt),
        )

    def pack_error(index: int, error: BaseException, inner: Sequence[str]) -> tuple[bytes, str]:
        if len(errors) < MOST_TOLD:
            node = "/".join([path, *inner] if path else inner)
            errors.append(told(claim.start + index, node, error))
        packed = packed_of[id(error)] = pack(index, error, inner)
        return packed, describe(error)

    def nested(index: int) -> dict[str, Any]:
        return flatten(
            outcomes[index].nested,
            lambda error, inner: packed_of.get(id(error)) or pack(index, error, inner),
        )

    data, bad = pack_rows(outcomes, pack_error, nested)
    return data, bad, "\n".join(errors)


def describe(error: BaseException) -> str:
    """Return an error in one line of at most 500 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def told(item: int, node: str, error: BaseException) -> str:
    """Return the line that `RangeCommit.errors` has for a failed item."""
    return f"{item}\t{node}\t{describe(error)}"


def exited(exit_: BaseException, node: str, item: int | None) -> NodeExited:
    """Return the failure of a node that tried to end its process."""
    code = exit_.code if isinstance(exit_, SystemExit) else None
    return NodeExited(code, node=node, item=item)
