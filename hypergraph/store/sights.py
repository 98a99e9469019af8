"""What observers read of a run, beside its journal: the stream `seen`; see `keys` and `show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hypergraph.store.redis import RedisStore

#: What one look brings at most.
MOST = 500


class Sight(NamedTuple):
    """One line of what only observers want to know."""

    seq: int  #: the entry of the journal that it comes behind
    number: int  #: from 1, without gaps
    fields: Mapping[str, bytes]


def watch(store: RedisStore, run_id: str) -> bool:
    """Have a run tell of claims and items from now on. False: it has ended, or never was."""
    return int(store.link.script("watch", store.keys.run(run_id))) == 1


def read_sights(store: RedisStore, run_id: str, seq: int, number: int) -> list[Sight]:
    """Return at most `MOST` lines behind the one of this place."""
    key = store.keys.run(run_id, "seen")
    found = store.link.pipeline([("XRANGE", key, f"({seq}-{number}", "+", "COUNT", MOST)])[0]
    return [_read(*entry) for entry in found]


def _read(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Sight:
    seq, _, number = entry_id.decode().partition("-")
    return Sight(int(seq), int(number), {name.decode(): value for name, value in fields.items()})


def wait_for_more(
    store: RedisStore, run_id: str, entries: int, seq: int, number: int, timeout_s: float
) -> None:
    """Wait until a run's journal has more than `entries`, or there are lines behind a place."""
    journal, seen = store.keys.run(run_id, "journal"), store.keys.run(run_id, "seen")
    store.link.read_streams({journal: f"{entries}-0", seen: f"{seq}-{number}"}, timeout_s)
