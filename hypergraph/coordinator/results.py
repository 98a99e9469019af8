"""Read the results of ranges of a map."""

from __future__ import annotations

from collections.abc import Iterator

from hypergraph.coordinator.payload import Payloads
from hypergraph.values.codec import decode
from hypergraph.values.failure import describe_failure
from hypergraph.values.results import Decode, Row, unpack_rows

#: What stands before the packed failure of an item that killed its workers. `reap_map` writes it:
#: it fails an item in one script, and has no worker left to seal a result.
_CRASH = b"crash:"


def open_rows(
    payloads: Payloads, run_id: str, map_: str, start: int, sealed: bytes, decode: Decode = decode
) -> Iterator[Row]:
    """Return the results of a committed range, in order of items.

    Args:
        payloads: Opens them.
        run_id: The run.
        map_: The map.
        start: The range's first item.
        sealed: What was committed.
        decode: The reader's way to decode; a process that executes has its own rules.

    Raises:
        UntrustedPayload: Nobody with the secret has written them, or not here.
        KeyError: A large part of them has gone.
    """
    if sealed.startswith(_CRASH):
        failure = payloads.sealer.open_crash(sealed[len(_CRASH) :], run_id, map_, start)
        return iter([Row({}, failure, str(describe_failure(failure)["message"]))])
    data = payloads.open("results", sealed, run_id, map_, start)
    return unpack_rows(data, decode)
