"""Phrases that messages share. Knows nothing of graphs or runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def quoted(names: Iterable[object]) -> str:
    """Return the names as messages list them.

    >>> quoted(["a", "b"])
    "'a', 'b'"
    """
    return ", ".join(repr(name) for name in names)


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return the name that was probably meant, or `None`.

    >>> nearest("qeury", ["query", "limit"])
    'query'
    """
    from difflib import get_close_matches  # slow to import, and only messages need it

    close = get_close_matches(name, [n for n in names if n != name], n=1)
    return close[0] if close else None


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return `` Did you mean 'x'?``, or nothing when no name is near."""
    near = nearest(name, names)
    return f" Did you mean {near!r}?" if near else ""


def missing_inputs(missing: Sequence[str], provided: Sequence[str]) -> str:
    """Say which inputs a run lacks, what it was given and what was probably meant."""
    near = [(name, close) for name in missing if (close := nearest(name, provided))]
    hints = ", ".join(f"{close!r} -> {name!r}" for name, close in near)
    return "\n".join(
        [
            f"Missing required inputs: {quoted(missing)}",
            f"  Provided: {quoted(provided) or 'nothing'}",
            *([f"  Did you mean: {hints}?"] if hints else []),
            "  Pass them to run(), or give them a value with graph.bind(...).",
        ]
    )


def doing(node: str | None, item: int | None) -> str:
    """Return the words for a node, with its map item if it has one."""
    what = f"node {node!r}" if node is not None else "a node"
    return what if item is None else f"{what} (item {item})"


def on(worker: str | None) -> str:
    """Return the words for where it ran, or nothing."""
    return f" on {worker}" if worker else ""


def a_kind(kind: str) -> str:
    """Return the words for an object's type, or nothing."""
    return f" (a {kind})" if kind else ""


def because(reason: str) -> str:
    """Return the words for a reason, or nothing."""
    return f": {reason.rstrip('.')}" if reason else ""


def death(signal: int | None, exit_code: int | None) -> str:
    """Return what ended a process, by the number of its signal or its exit code."""
    if signal is not None:
        from signal import Signals

        name = Signals(signal).name if signal in set(Signals) else f"signal {signal}"
        hint = "; often out of memory" if name == "SIGKILL" else ""
        return f"killed by {name} ({signal}){hint}"
    return f"exit code {exit_code}" if exit_code is not None else "cause unknown"
