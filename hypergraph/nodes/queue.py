"""Names of queues: where a node is placed, and what a worker serves."""

from __future__ import annotations

import re

#: Where whatever is not placed runs.
DEFAULT_QUEUE = "default"

_NAME = re.compile(r"[A-Za-z0-9_-]+")
#: Dramatiq ends the names of queues of its own like this, for delayed and for dead messages.
_TAKEN = ("DQ", "XQ")


def check_queue_name(queue: str) -> str:
    """Return `queue` if a queue can be called so.

    Raises:
        TypeError: It is no string.
        ValueError: It has other characters than letters, digits, ``_`` and ``-``, or ends like
            names that Dramatiq uses itself.
    """
    if not isinstance(queue, str):
        raise TypeError(f"The name of a queue is a string; got {queue!r}.")
    if not _NAME.fullmatch(queue):
        raise ValueError(
            f"{queue!r} cannot be a queue's name: use letters, digits, '_' and '-', as in 'gpu'."
        )
    if queue.endswith(_TAKEN):
        raise ValueError(
            f"{queue!r} cannot be a queue's name: Dramatiq, which carries the tickets, has a use "
            f"of its own for names that end in {_TAKEN[0]} or {_TAKEN[1]}."
        )
    return queue
