"""Ids that follow from where something happens, so that every reader of a run tells of the same.

The ids of what users start are random. Everything inside has an id that is a digest of that one
and of the place in the run: a task, an item of a map.
"""

from __future__ import annotations

from hashlib import blake2b


def inner_run_id(run_id: str, place: str) -> str:
    """Return the id of a run inside another.

    Args:
        run_id: Of what the user started.
        place: The task that the run is, as ``outer/inner``; ``map[3]`` for an item of a map.
    """
    return "run-" + blake2b(f"{run_id}|{place}".encode(), digest_size=6).hexdigest()


def span_id_of(run_id: str, place: str) -> str:
    """Return the id of a span: 16 hex digits.

    Args:
        run_id: Of what the user started.
        place: What the span is of; different for any two spans of it.
    """
    return blake2b(f"{run_id}#{place}".encode(), digest_size=8).hexdigest()
