"""What renaming does to a node's names, and what it says when it cannot.

Renames in one call are parallel, so ``x="y", y="x"`` swaps. Renames in
successive calls compose. A node keeps the list of its renames for one purpose:
to tell somebody who asks for an old name what became of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hypergraph.errors import RenameError
from hypergraph.wording import did_you_mean, quoted

RenameKind = Literal["name", "inputs", "outputs"]


@dataclass(frozen=True)
class RenameEntry:
    """One name that was given up for another."""

    kind: RenameKind
    old: str
    new: str
    batch_id: int | None = None  #: equal for the renames of one call, which happen at once


def renamed(
    names: Sequence[str],
    mapping: Mapping[str, str],
    kind: RenameKind,
    history: Iterable[RenameEntry],
    node: str,
) -> tuple[str, ...]:
    """Return `names` after the parallel renames of one call, in the same order.

    Raises:
        RenameError: A key of `mapping` is not in `names`, or two names would become equal.
        TypeError: A new name is not a string.
    """
    for old, new in mapping.items():
        if old not in names:
            raise RenameError(_about_unknown(old, names, kind, history, node))
        if not isinstance(new, str):
            raise TypeError(f"Cannot rename {old!r} of node {node!r} to {new!r}: not a string.")
    result = tuple(mapping.get(name, name) for name in names)
    refuse_duplicates(result, kind, node)
    return result


def refuse_duplicates(names: Sequence[str], kind: RenameKind, node: str) -> None:
    """Raise `RenameError` if a name occurs twice."""
    if len(set(names)) == len(names):
        return
    twice = sorted({name for name in names if names.count(name) > 1})
    raise RenameError(
        f"The rename would leave node {node!r} with duplicate {kind}: {quoted(twice)}. "
        f"They would be {tuple(names)!r}. To swap two names, rename both in one call."
    )


def entries(
    mapping: Mapping[str, str], kind: RenameKind, history: Sequence[RenameEntry]
) -> tuple[RenameEntry, ...]:
    """Return `history` followed by one entry per real rename, under a batch id of their own."""
    last = history[-1].batch_id if history else None
    batch = 0 if last is None else last + 1
    return (
        *history,
        *(RenameEntry(kind, old, new, batch) for old, new in mapping.items() if old != new),
    )


def unknown_parameters(unknown: Iterable[str], valid: Sequence[str], node: str) -> RenameError:
    """Return the error for `rename_inputs=` keys that are no parameters."""
    unknown = tuple(unknown)
    return RenameError(
        f"Cannot rename unknown inputs: {quoted(unknown)}. "
        f"Parameters of {node!r}: {quoted(valid) or 'none'}."
        f"{did_you_mean(unknown[0], valid)}"
    )


def _about_unknown(
    name: str,
    names: Sequence[str],
    kind: RenameKind,
    history: Iterable[RenameEntry],
    node: str,
) -> str:
    current = f"Current {kind}: {tuple(names)!r}"
    chain = _chain(name, kind, history)
    if len(chain) > 1:
        return f"{name!r} was renamed: {'→'.join(chain)}. {current} (node {node!r})."
    return (
        f"{name!r} not found in the {kind} of node {node!r}.{did_you_mean(name, names)} {current}"
    )


def _chain(name: str, kind: RenameKind, history: Iterable[RenameEntry]) -> list[str]:
    chain, followed = [name], -1
    for entry in history:
        batch = entry.batch_id if entry.batch_id is not None else followed + 1
        # Each call moves a name at most once: a swap must not be followed back.
        if entry.kind == kind and entry.old == chain[-1] and batch > followed:
            chain.append(entry.new)
            followed = batch
    return chain
