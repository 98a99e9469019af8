"""What Dramatiq is asked to do: one actor, which looks at a run.

Its retries, results, time limits, delays and callbacks are off: the broker has no middleware. The
actor never raises to Dramatiq. Nothing that must not be lost lives in a hook: Dramatiq logs what a
hook raises, and acknowledges all the same (dramatiq 2.2).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import dramatiq

from hypergraph.errors import HypergraphError
from hypergraph.transport.broker import TicketBroker
from hypergraph.transport.tickets import ACTOR, Tickets

logger = logging.getLogger("hypergraph.transport")


def declare(
    broker: TicketBroker,
    tickets: Tickets,
    queues: Sequence[str],
    drain: Callable[[str, str], None],
) -> None:
    """Teach `broker` to take tickets from `queues` and hand them to ``drain(run_id, queue)``."""

    def look(run_id: str, queue: str, seal: str) -> None:
        try:
            tickets.check(run_id, queue, seal)
            drain(run_id, queue)
        except HypergraphError as error:
            logger.error("Run %s: %s", run_id, error, extra={"run": run_id})
        except Exception:
            # A ticket is no place to fail: the run's state says what is still to be done.
            text = "Run %s: looking at it failed; a reconciler will try again."
            logger.exception(text, run_id, extra={"run": run_id})

    dramatiq.actor(actor_name=ACTOR, queue_name=queues[0], broker=broker)(look)
    for queue in queues:
        broker.declare_queue(queue)
