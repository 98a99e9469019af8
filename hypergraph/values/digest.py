"""Name bytes by their content."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

Buffer = bytes | bytearray | memoryview


def digest(data: Buffer | Iterable[Buffer]) -> str:
    """Return the sha256 of `data` as 64 hex digits.

    Parts count as if they were joined, so a large value need not be in one piece.

    >>> digest(b"abc") == digest([b"a", b"bc"])
    True
    """
    if isinstance(data, Buffer):
        return sha256(data).hexdigest()
    hasher = sha256()
    for part in data:
        hasher.update(part)
    return hasher.hexdigest()
