"""Seal pages of inputs and ranges of results, however large they are.

What is sealed begins with a byte that says whether the payload follows, or a reference to a blob.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgpack

from hypergraph.store.depot import read_values
from hypergraph.store.records import LARGE_BYTES, Sealer, refer
from hypergraph.store.redis import RedisStore
from hypergraph.values.digest import Buffer, digest

_HERE, _ELSEWHERE = b"\x00", b"\x01"


class Payloads:
    """Seals and opens payloads of maps."""

    def __init__(self, store: RedisStore, sealer: Sealer) -> None:
        self._store = store
        self.sealer = sealer

    def seal(self, kind: str, parts: Sequence[Buffer], run_id: str, map_: str, start: int) -> bytes:
        """Return a payload signed as `kind`; a large one is stored beside it."""
        size = sum(memoryview(part).nbytes for part in parts)
        if size <= LARGE_BYTES:
            data = b"".join([_HERE, *parts])
        else:
            key = digest(parts)
            self._store.blobs.add(run_id, key, parts)
            data = _ELSEWHERE + bytes(msgpack.packb(refer(key, size)))
        return self.sealer.seal_bytes(kind, data, run_id, map_, start)

    def open(self, kind: str, sealed: bytes, run_id: str, map_: str, start: int) -> Buffer:
        """Return what `seal` was given.

        Raises:
            UntrustedPayload: It was not sealed by somebody with the secret, or not for here.
            CorruptPayload: The blob is not the one that was meant.
            KeyError: The blob has gone.
        """
        data = self.sealer.open_bytes(kind, sealed, run_id, map_, start)
        if data[:1] == _HERE:
            return memoryview(data)[1:]
        ref = msgpack.unpackb(data[1:])
        return read_values(self._store, run_id, [ref])[ref[0]]
