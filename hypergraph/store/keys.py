"""The Redis layout, in one place.

All keys of a root run share the hash tag ``{R}``, so that one script may touch any of them, also on
a cluster. Runs in progress never expire; a run that has ended lives `keep_s` longer.

    hg:<ns>:runs               zset    run id -> created, in ms. What `hypergraph runs` lists
    hg:<ns>:active             zset    run id -> when a reconciler looks at it next, in ms. A hint
    hg:<ns>:workers            zset    worker id -> last heartbeat, in ms of Redis TIME
    hg:<ns>:worker:<id>        hash    what a worker host said of itself; expires with its lease
    hg:<ns>:worker:<id>:runs   set     "slot run" for every slot that may hold a lease in a run
    hg:<ns>:client:<id>        str     a client that feeds or waits; expires with its lease
    hg:<ns>:tick               hash    last tick of any reconciler, and until when nobody reaps
    hg:<ns>:code:<sha256>      str     functions, graphs and broadcast values by content; a day
    hg:<ns>:{dq}:...                   Dramatiq's queues of tickets

    hg:<ns>:{R}:meta           hash    status, epoch, seq, applied, kind, most, times, owner; for
                                       people: origin, failed (tasks), lost (attempts that count),
                                       asides (entries of the journal for pauses and answers),
                                       watched (somebody observes the run), shown (length of seen)
    hg:<ns>:{R}:journal        stream  what happened; ids are 1-0, 2-0, ...; the run is its fold
    hg:<ns>:{R}:seen           stream  of observed runs: what only observers want to know, as claims
                                       and ranges of maps; ids are <entries of the journal>-<shown>
    hg:<ns>:{R}:end            stream  one entry, when the run has ended; what waiters block on
    hg:<ns>:{R}:values         hash    sha256 -> bytes of a value
    hg:<ns>:{R}:tasks          hash    task id -> record; exists as long as it is not committed
    hg:<ns>:{R}:queues         set     names of the queues the run has used
    hg:<ns>:{R}:ready:<queue>  zset    task id -> order; what nobody holds
    hg:<ns>:{R}:slots          hash    slot -> "id:attempt,..."; the leases
    hg:<ns>:{R}:calls          hash    slot -> number of its last call; to recognise a repeat
    hg:<ns>:{R}:attempts       hash    task id -> executions that were lost and count
    hg:<ns>:{R}:deaths         hash    task id -> workers it has killed
    hg:<ns>:{R}:alone          set     tasks to be claimed one at a time
    hg:<ns>:{R}:refused        hash    task id -> workers that could not load it
    hg:<ns>:{R}:maps           set     maps that are not gathered yet; a map's id is its task's id

    hg:<ns>:{R}:m:<map>:state  hash    cursor, avail, total, done, failed, fail_at, read, unread,
                                       window, dropped (ranges that were read), over, gather, spec,
                                       hops (handovers to other queues), hop_bytes
    hg:<ns>:{R}:m:<map>:pages  hash    first item -> encoded inputs of a page; first@n@queue -> what
                                       items bring along that go on on that queue
    hg:<ns>:{R}:m:<map>:starts zset    first items of all pages
    hg:<ns>:{R}:m:<map>:left   hash    id of a page -> items of it that are not committed; id# ->
                                       its bytes, if items bring it along
    hg:<ns>:{R}:m:<map>:out    hash    first item of a committed range -> its results
    hg:<ns>:{R}:m:<map>:fresh  list    first items of committed ranges, in order of completion
    hg:<ns>:{R}:m:<map>:journal stream what happened to ranges; trimmed, for watching only
    hg:<ns>:{R}:m:<map>:ready slots calls attempts deaths alone    as above, ids are "start-end"
    hg:<ns>:{R}:m:<map>:ready:<queue>  zset   "start-end@page" of items that have begun elsewhere
"""

from __future__ import annotations

import re

_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]+")


class Keys:
    """Names of keys within one namespace.

    Raises:
        ValueError: The namespace has other characters than letters, digits and ``_ . -``.
    """

    def __init__(self, namespace: str) -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise ValueError(
                f"{namespace!r} cannot be a namespace: use letters, digits, '_', '-' and '.'"
            )
        self.namespace = namespace
        self._prefix = f"hg:{namespace}:"
        self.runs = f"{self._prefix}runs"
        self.active = f"{self._prefix}active"
        self.workers = f"{self._prefix}workers"
        self.tick = f"{self._prefix}tick"
        self.dramatiq = f"{self._prefix}{{dq}}"

    def run(self, run_id: str, part: str = "meta") -> str:
        """Return the key of one part of a run.

        Raises:
            ValueError: The id is empty or has braces, so that its keys would not share a slot.
        """
        if not run_id or "{" in run_id or "}" in run_id:
            raise ValueError(f"{run_id!r} cannot be a run id: it is empty or has braces")
        return f"{self._prefix}{{{run_id}}}:{part}"

    def code(self, digest: str) -> str:
        """Return the key of something shared by content."""
        return f"{self._prefix}code:{digest}"

    def worker(self, worker_id: str) -> str:
        """Return the key of a worker host's registration."""
        return f"{self._prefix}worker:{worker_id}"

    def held(self, worker_id: str) -> str:
        """Return the key of the runs in which a worker host may hold leases."""
        return f"{self._prefix}worker:{worker_id}:runs"

    def client(self, client_id: str) -> str:
        """Return the key that says that a client is alive."""
        return f"{self._prefix}client:{client_id}"
