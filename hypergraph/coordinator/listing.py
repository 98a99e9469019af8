"""The latest runs, each in a line."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hypergraph.coordinator.account import RunSummary, status_of
from hypergraph.store.facts import RunLine, read_newest
from hypergraph.store.redis import RedisStore

#: Runs read at a time.
_PAGE = 100

#: Runs looked through for those of certain statuses, at most.
MOST_LOOKED_AT = 5_000


def list_runs(store: RedisStore, *, limit: int, statuses: Collection[str] = ()) -> list[RunSummary]:
    """Return runs, the newest first.

    Args:
        store: Where they are.
        limit: How many at most.
        statuses: Only runs of these; of the latest `MOST_LOOKED_AT` runs.
    """
    found: list[RunSummary] = []
    for summary in _newest(store, min(limit, _PAGE)):
        if not statuses or summary.status in statuses:
            found.append(summary)
        if len(found) == limit:
            break
    return found


def _newest(store: RedisStore, page: int) -> Iterator[RunSummary]:
    offset = 0
    for _ in range(MOST_LOOKED_AT // page):
        found = read_newest(store, page, offset)
        yield from map(summarise, found.lines)
        if found.looked_at < page:
            return
        offset += page - found.dropped  # what follows has moved up


def summarise(line: RunLine) -> RunSummary:
    """Return what a run's `meta` and counts say of it."""
    meta, counts = line.meta, line.counts
    ended_at = int(meta["ended_ms"]) / 1000 if "ended_ms" in meta else None
    lost, failed = int(meta.get("lost", 0)), int(meta.get("failed", 0))
    total: int | None
    if meta.get("kind") == b"map":
        ended, failed = counts.get("done", 0), counts.get("failed", 0)
        total = counts.get("total", -1)
        if total < 0:
            total = int(meta.get("total", -1))
    else:
        # Beside the start, an end, losses, pauses and answers, the journal has an entry for each
        # task that has ended.
        others = 1 + (ended_at is not None) + lost + int(meta.get("asides", 0))
        ended = max(0, int(meta["seq"]) - others)
        total = int(meta.get("nodes", -1))
    return RunSummary(
        run_id=line.run_id,
        kind=meta.get("kind", b"run").decode(),
        graph=meta.get("graph", b"").decode(),
        status=status_of(meta, taken=line.taken),
        done=max(0, ended - failed),
        failed=failed,
        total=None if total < ended else total,
        lost=lost,
        created_at=int(meta["created_ms"]) / 1000,
        ended_at=ended_at,
        took_s=max(0.0, (ended_at or line.now_ms / 1000) - int(meta["created_ms"]) / 1000),
        age_s=max(0.0, line.now_ms / 1000 - int(meta["created_ms"]) / 1000),
        origin=meta.get("origin", b"").decode(),
    )
