"""Send tickets: Dramatiq messages that say that a run has work on a queue.

A ticket carries no work. It makes some idle slot look at the run; what the slot finds there decides
what it does. So a ticket that is lost costs a tick of a reconciler, and one too many costs a look.

Tickets are written in the format that Dramatiq documents for senders in other languages: the
message into the hash ``<queue>.msgs``, its id onto the list ``<queue>``, in that order. A client
that only submits therefore never imports Dramatiq.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from hypergraph.errors import CorruptPayload, UntrustedPayload
from hypergraph.store.keys import Keys
from hypergraph.store.link import Link
from hypergraph.store.records import Sealer

ACTOR = "hypergraph_drain"

#: Tickets sent for one run at a time, at most. A slot that finds more than it takes wakes another.
MOST = 8

#: A reconciler adds no tickets to a queue with so many, some 0.4 MB of them.
MOST_WAITING = 1000


class Tickets:
    """Sends tickets, and tells real ones from forged ones."""

    def __init__(self, link: Link, keys: Keys, sealer: Sealer) -> None:
        self._link = link
        self._keys = keys
        self._sealer = sealer

    def commands(self, run_id: str, queue: str, count: int) -> list[tuple[Any, ...]]:
        """Return the Redis commands that send `count` tickets (never more than `MOST`)."""
        seal = base64.b64encode(self._sealer.seal_bytes("ticket", b"", run_id, queue)).decode()
        name = f"{self._keys.dramatiq}:{queue}"
        messages: list[Any] = []
        ids: list[str] = []
        for _ in range(min(count, MOST)):
            message_id = uuid4().hex
            ids.append(message_id)
            body = {
                "queue_name": queue,
                "actor_name": ACTOR,
                "args": [run_id, queue, seal],
                "kwargs": {},
                "options": {"redis_message_id": message_id},
                "message_id": message_id,
                "message_timestamp": int(time.time() * 1000),
            }
            messages += [message_id, json.dumps(body, separators=(",", ":")).encode()]
        if not ids:
            return []
        return [("HSET", f"{name}.msgs", *messages), ("RPUSH", name, *ids)]

    def send(self, run_id: str, queue: str, count: int = 1) -> None:
        """Send up to `MOST` tickets for one run and queue."""
        self.send_all([(run_id, queue, count)])

    def send_all(self, wanted: Iterable[tuple[str, str, int]]) -> None:
        """Send tickets for several (run, queue, count) in one round trip."""
        commands = [command for want in wanted for command in self.commands(*want)]
        if commands:
            self._link.pipeline(commands)

    def top_up(self, wanted: Sequence[tuple[str, str, int]]) -> None:
        """Send tickets for what (run, queue, count) may have lost its own.

        Where tickets wait already, all slots are busy, and one more is enough for this run to get
        its turn. Nobody may come for a long time: the queue must not grow with it.
        """
        if not wanted:
            return
        queues = list({queue: None for _, queue, _ in wanted})
        lengths = self._link.pipeline(
            [("LLEN", f"{self._keys.dramatiq}:{queue}") for queue in queues]
        )
        waiting = dict(zip(queues, map(int, lengths), strict=True))
        self.send_all(
            (run_id, queue, 1 if waiting[queue] else count)
            for run_id, queue, count in wanted
            if waiting[queue] < MOST_WAITING
        )

    def check(self, run_id: str, queue: str, seal: str) -> None:
        """Refuse a ticket that nobody with the secret has written.

        Raises:
            UntrustedPayload: The seal does not fit.
        """
        try:
            sealed = base64.b64decode(seal, validate=True)
            self._sealer.open_bytes("ticket", sealed, run_id, queue)
        except (ValueError, CorruptPayload):
            raise UntrustedPayload("what should be a ticket's seal is none", run_id) from None
