"""What an error is told about where it happened, before the user sees it."""

from __future__ import annotations

from collections.abc import Sequence

from hypergraph.errors import WorkerError


def annotate(
    error: BaseException,
    *,
    run_id: str | None = None,
    path: Sequence[str] = (),
    item: int | None = None,
) -> None:
    """Add one note to an error that says where it was raised. The same note is never added twice.

    Args:
        error: The error. It stays the object it is.
        run_id: The run that failed.
        path: Names of the graph nodes from the root, and of the node that raised. The item
            of a mapped graph node stands behind its name, as in ``embed[3]``. Empty when the
            run failed by a rule and not by a node.
        item: Index, from 0, in the map that the run is an item of.

    >>> error = ValueError("boom")
    >>> annotate(error, run_id="run-0123456789ab", path=("embed[3]", "clean"), item=7)
    >>> error.__notes__
    ["Raised by node 'embed[3]/clean' in run run-0123456789ab, item 7"]
    """
    words = [f"by node {'/'.join(path)!r}"] if path else []
    if run_id is not None:
        words.append(f"in run {run_id}")
    if not words and item is None:
        return
    note = " ".join(["Raised", *words])
    if item is not None:
        note = f"{note}, item {item}"
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:
        # A class may forbid setting attributes. Its error matters more than our note.
        return


def locate(error: BaseException, *, node: str = "", item: int | None = None) -> None:
    """Tell an error of a worker where it was, if it does not know.

    When a whole host has vanished, nobody there is left to say.

    >>> from hypergraph.errors import WorkerCrashed
    >>> error = WorkerCrashed(worker="host-1-abcd", attempts=3)
    >>> locate(error, node="embed", item=7)
    >>> error.node, error.item
    ('embed', 7)
    """
    if isinstance(error, WorkerError):
        error.node = error.node or node or None
        error.item = item if error.item is None else error.item
