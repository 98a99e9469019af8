"""Read values wherever they lie, and trust no byte that its reference does not vouch for."""

from __future__ import annotations

from collections.abc import Iterable

from hypergraph.errors import CorruptPayload
from hypergraph.store.blobs import SHARED
from hypergraph.store.records import Ref, is_large, is_shared
from hypergraph.store.redis import RedisStore
from hypergraph.values.digest import Buffer, digest


def read_values(store: RedisStore, run_id: str, refs: Iterable[Ref]) -> dict[str, Buffer]:
    """Return the bytes of values, by digest.

    Args:
        store: Where they lie.
        run_id: The run whose values they are, where they are not shared.
        refs: Out of signed records.

    Raises:
        KeyError: One of them has gone; the error's argument is its digest.
        CorruptPayload: One is not what its reference says.
    """
    wanted = {ref[0]: ref for ref in refs}
    small = [key for key, ref in wanted.items() if not is_large(ref) and not is_shared(ref)]
    found: dict[str, Buffer] = {}
    for key, data in zip(small, store.get_values(run_id, small), strict=True):
        found[key] = _vouched(key, data)
    for key, ref in wanted.items():
        if key not in found:
            found[key] = _vouched(key, _read_other(store, run_id, ref))
    return found


def _vouched(key: str, data: Buffer | None) -> Buffer:
    if data is None:
        raise KeyError(key)
    return check_digest(key, data)


def _read_other(store: RedisStore, run_id: str, ref: Ref) -> Buffer | None:
    if not is_large(ref):
        return store.get_code(ref[0])
    return store.blobs.get(SHARED if is_shared(ref) else run_id, ref[0], ref[1])


def check_digest(key: str, data: Buffer | None) -> Buffer:
    """Return `data` if `key` is its digest.

    Raises:
        CorruptPayload: It is something else, or nothing.
    """
    if data is None:
        raise CorruptPayload(key, key, "nothing")
    if (got := digest(data)) != key:
        raise CorruptPayload(key, key, got)
    return data
