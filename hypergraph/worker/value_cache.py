"""Values of runs in a worker process: fetched once by digest, decoded once per use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hypergraph.errors import StateLost
from hypergraph.store.depot import read_values
from hypergraph.store.records import Ref, is_large, is_shared, refer
from hypergraph.store.redis import RedisStore
from hypergraph.values.codec import joined
from hypergraph.values.digest import Buffer, digest


class Values:
    """Values of runs in this process: fetched once by digest, decoded once per use.

    What is shared by content is kept decoded: a broadcast value is loaded once per process.

    Args:
        store: Where they lie.
        decode: The process's way to decode.
        keep_bytes: Of small values, for the next task that needs them.
    """

    def __init__(
        self, store: RedisStore, decode: Callable[[Buffer], Any], *, keep_bytes: int = 128 << 20
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
        """Return the values that `refs` names, decoded, and checked against their digests.

        Raises:
            StateLost: One of them has gone.
        """
        # Equal values have one digest, whether or not they are shared.
        missing = [
            ref
            for ref in refs.values()
            if ref[0] not in self._bytes and not (is_shared(ref) and ref[0] in self._shared)
        ]
        # Fetching the others may push these out.
        known = {ref[0]: self._bytes.get(ref[0], b"") for ref in refs.values()}
        fetched = self._fetch(run_id, missing) if missing else {}
        values = {}
        for name, ref in refs.items():
            key = ref[0]
            data = fetched[key] if key in fetched else known[key]
            if not is_shared(ref):
                values[name] = self._decode(data)
                continue
            if key not in self._shared:
                self._shared[key] = self._decode(data)
                if len(self._shared) > 64:
                    self._shared.popitem(last=False)
            values[name] = self._shared[key]
        return values

    def _fetch(self, run_id: str, refs: Iterable[Ref]) -> dict[str, Buffer]:
        refs = list(refs)
        try:
            fetched = read_values(self._store, run_id, refs)
        except KeyError:
            raise StateLost(run_id) from None
        for ref in refs:
            if not is_shared(ref) and not is_large(ref):
                self.keep(ref[0], bytes(fetched[ref[0]]))
        return fetched


class Outgoing:
    """What a commit brings along: the values that its report refers to.

    Args:
        store: Takes the large ones, ahead of the commit.
        kept: Keeps the small ones at hand for what follows.
        run_id: The run.
    """

    def __init__(self, store: RedisStore, kept: Values, run_id: str) -> None:
        self._store = store
        self._kept = kept
        self._run_id = run_id
        self.values: dict[str, bytes] = {}  #: digest -> bytes, of the small ones

    def put(self, parts: Sequence[Buffer]) -> Ref:
        """Take an encoded value along. Returns its reference."""
        ref = refer(digest(parts), sum(memoryview(part).nbytes for part in parts))
        if is_large(ref):
            self._store.blobs.add(self._run_id, ref[0], parts)
        else:
            data = self.values[ref[0]] = joined(parts)
            self._kept.keep(ref[0], data)
        return ref
