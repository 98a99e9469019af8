"""A Dramatiq broker whose idle consumers block on their queue, and whose messages are only tickets.

Stock consumers poll with a back-off of up to a second, so a message to an idle worker starts after
285 ms (median, dramatiq 2.2.1). Here the consumer waits in ``BLPOP`` on the queue's own list.

A ticket is removed when it is taken. Dramatiq's acknowledgements, heartbeats and redelivery would
protect messages that need no protection, and cost what they cost: two more round trips, ``KEYS``
over the whole database, garbage of dead workers. What is lost with a ticket, a reconciler notices.
The wire format is Dramatiq's own, so stock workers and dashboards read the same queues.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import DecodeError
from dramatiq.message import Message

from hypergraph.transport.tickets import ACTOR

logger = logging.getLogger("hypergraph.transport")


class TicketBroker(RedisBroker):
    """See the module's docstring.

    Args:
        client: A connection whose socket timeout is longer than `block_s`.
        namespace: Dramatiq's, with braces, so that all queues share a slot of a cluster.
        threads: Tickets taken at a time per queue: one per idle thread, none is hoarded.
        block_s: How long a consumer waits before it looks whether it should stop.
    """

    def __init__(
        self, client: redis.Redis, namespace: str, *, threads: int = 1, block_s: float = 1.0
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # dramatiq 2.2
            client=client, namespace=namespace, middleware=[], maintenance_chance=0
        )
        self.threads = threads
        self.block_s = block_s
        self.closed = threading.Event()

    @property
    def consumer_class(self) -> type[TicketConsumer]:
        """The consumer that blocks."""
        return TicketConsumer

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, and no queue of delayed messages beside it: nothing is ever delayed."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)


class TicketConsumer(Consumer):
    """Takes tickets off one queue."""

    def __init__(self, broker: TicketBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        del prefetch, timeout  # Dramatiq's ideas of both are process-wide environment variables
        self.broker = broker
        self.queue_name = queue_name
        self.list = f"{broker.namespace}:{queue_name}"
        self.outstanding = 0
        self.free = threading.Condition()

    def __next__(self) -> MessageProxy | None:
        """Return a ticket, or None after a while."""
        broker = self.broker
        with self.free:
            if not self.free.wait_for(lambda: self.outstanding < broker.threads, broker.block_s):
                return None
        if broker.closed.is_set():
            broker.closed.wait(0.05)
            return None
        try:
            return self._take()
        except redis.RedisError as error:
            # Never raised to Dramatiq: it would wait 3 s. Work flows 3 s after Redis is back.
            logger.debug("No tickets: %s", error)
            time.sleep(0.2)
            return None

    def _take(self) -> MessageProxy | None:
        client = self.broker.client
        found: Any = client.blpop([self.list], timeout=self.broker.block_s)
        if found is None:
            return None
        pipe = client.pipeline(transaction=True)
        pipe.hget(f"{self.list}.msgs", found[1])
        pipe.hdel(f"{self.list}.msgs", found[1])
        data = pipe.execute()[0]
        if data is None:
            return None
        message = read_ticket(data, self.queue_name)
        if message is None:
            logger.error("What lay in %s is no ticket and was dropped: %.200r", self.list, data)
            return None
        with self.free:
            self.outstanding += 1
        return MessageProxy(message)

    def ack(self, message: MessageProxy) -> None:
        """Note that a thread is free again. The ticket itself has long gone."""
        with self.free:
            self.outstanding -= 1
            self.free.notify()

    nack = ack

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Put back tickets that no thread has looked at, when the process stops."""
        try:
            for message in messages:
                self.broker.client.hset(f"{self.list}.msgs", message.message_id, message.encode())
                self.broker.client.rpush(self.list, message.message_id)
        except redis.RedisError as error:
            logger.debug("Tickets are lost: %s", error)  # a reconciler sends others


def read_ticket(data: bytes, queue: str) -> Message[Any] | None:
    """Return the ticket that lay in `queue`, or None if it is none.

    Whoever may write to Redis may write nonsense. Dramatiq trusts what it reads: a message of
    another queue ends a thread of its worker, and one with an `eta` occupies a slot until then.
    """
    try:
        message: Message[Any] = Message.decode(data)
        run_id, name, seal = message.args
    except (DecodeError, TypeError, ValueError):
        return None
    if (message.actor_name, message.queue_name) != (ACTOR, queue):
        return None
    if not all(isinstance(part, str) for part in (run_id, name, seal, message.message_id)):
        return None
    options = {"redis_message_id": message.message_id}
    return Message(queue, ACTOR, (run_id, name, seal), {}, options, message.message_id)
