"""Keep what was used most recently, up to a weight."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """A cache for several threads that drops what was not used for longest.

    Args:
        max_entries: Keep at most this many.
        max_bytes: Keep at most this weight in all; a heavier single entry is not kept.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, tuple[V, int]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> V | None:
        """Return what is kept under `key`, or `None`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def keep(self, key: str, value: V, weight_bytes: int) -> V:
        """Keep `value`, and return what is kept: the first that came for `key`."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][0]
            if weight_bytes > self._max_bytes or self._max_entries < 1:
                return value
            self._entries[key] = (value, weight_bytes)
            self._bytes += weight_bytes
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._bytes -= dropped
            return value
