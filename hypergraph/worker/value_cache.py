"""Values of runs in a worker process: fetched once by digest, decoded once per use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from hypergraph.coordinator.reconcile import check_digest
from hypergraph.errors import StateLost
from hypergraph.store.records import Ref, is_shared
from hypergraph.store.redis import RedisStore


class Values:
    """Values of runs in this process: fetched once by digest, decoded once per use.

    Bytes shared by content are kept decoded: a broadcast value is loaded once per process.
    """

    def __init__(
        self, store: RedisStore, decode: Callable[[bytes], Any], *, keep_bytes: int = 128 << 20
    ) -> None:
        self._store = store
        self._decode = decode
        self._keep_bytes = keep_bytes
        self._bytes: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._shared: OrderedDict[str, Any] = OrderedDict()

    def keep(self, key: str, data: bytes) -> None:
        """Keep bytes that are at hand; the oldest give way."""
        if key not in self._bytes and len(data) <= self._keep_bytes // 4:
            self._bytes[key] = data
            self._size += len(data)
            while self._size > self._keep_bytes:
                _, dropped = self._bytes.popitem(last=False)
                self._size -= len(dropped)

    def load(self, run_id: str, refs: Mapping[str, Ref]) -> dict[str, Any]:
        """Return the values that `refs` names, decoded, and checked against their digests."""
        missing = list(
            {r[0]: None for r in refs.values() if not is_shared(r) and r[0] not in self._bytes}
        )
        fetched: dict[str, bytes] = {}
        for key, data in zip(missing, self._store.get_values(run_id, missing), strict=True):
            if data is None:
                raise StateLost(run_id)
            fetched[key] = check_digest(key, data)
            self.keep(key, data)
        values = {}
        for name, ref in refs.items():
            if is_shared(ref):
                values[name] = self._load_shared(run_id, ref[0])
            else:
                data = fetched.get(ref[0]) or self._bytes[ref[0]]
                values[name] = self._decode(data)
        return values

    def _load_shared(self, run_id: str, key: str) -> Any:
        if key not in self._shared:
            data = self._store.get_code(key)
            if data is None:
                raise StateLost(run_id)
            self._shared[key] = self._decode(check_digest(key, data))
            if len(self._shared) > 64:
                self._shared.popitem(last=False)
        return self._shared[key]
