"""Tickets: Dramatiq's own format, taken once, refused if forged, and nothing depends on them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker

from hypergraph.errors import UntrustedPayload
from hypergraph.store.link import make_client
from hypergraph.store.records import Sealer
from hypergraph.store.redis import RedisStore
from hypergraph.transport.actors import declare
from hypergraph.transport.broker import TicketBroker, TicketConsumer
from hypergraph.transport.tickets import ACTOR, MOST, Tickets
from hypergraph.values.sign import Signer
from tests.redis_server import RedisServer
from tests.stores import QUEUE, open_store


class Counter:
    """One queue: who sends tickets to it, and a consumer that takes them."""

    def __init__(self, store: RedisStore, *, threads: int = 1) -> None:
        self.store = store
        self.sealer = Sealer(Signer(b"our secret"), store.keys.namespace)
        self.tickets = Tickets(store.link, store.keys, self.sealer)
        self.client: Any = make_client(store.link.url, 5.0)
        self.broker = TicketBroker(self.client, store.keys.dramatiq, threads=threads, block_s=0.02)
        self.looks: list[tuple[str, str]] = []
        declare(self.broker, self.tickets, [QUEUE], lambda *look: self.looks.append(look))
        self.consumer = TicketConsumer(self.broker, QUEUE, 1, 1)
        self.list = f"{store.keys.dramatiq}:{QUEUE}"

    def take(self) -> str:
        """Return the run that the next ticket is for; "" if there is none."""
        message = next(self.consumer)
        return "" if message is None else str(message.args[0])

    def ack(self) -> None:
        self.consumer.ack(None)  # type: ignore[arg-type]  # whatever it was

    def put(self, body: bytes | None, *, message_id: str = "m1") -> None:
        """Put something on the queue as anybody might."""
        if body is not None:
            self.client.hset(f"{self.list}.msgs", message_id, body)
        self.client.rpush(self.list, message_id)

    def body(self, **changes: Any) -> bytes:
        """Return the body of a ticket for r1, changed."""
        _, message = self.tickets.commands("r1", QUEUE, 1)[0][1:][1:]
        return json.dumps({**json.loads(message), **changes}).encode()

    def left(self) -> tuple[int, int]:
        """Return how many ids and bodies are waiting."""
        return self.client.llen(self.list), self.client.hlen(f"{self.list}.msgs")


@pytest.fixture
def counter(store: RedisStore) -> Counter:
    return Counter(store)


# -- sending and taking ---------------------------------------------------------------------------


def test_a_ticket_is_taken_once(counter: Counter) -> None:
    counter.tickets.send("r1", QUEUE)

    assert [counter.take(), counter.left()] == ["r1", (0, 0)]
    counter.ack()
    assert counter.take() == ""


def test_tickets_come_in_the_order_in_which_they_were_sent(counter: Counter) -> None:
    counter.tickets.send_all([("r1", QUEUE, 1), ("r2", QUEUE, 1), ("r3", QUEUE, 1)])
    taken = []
    for _ in range(3):
        taken.append(counter.take())
        counter.ack()

    assert taken == ["r1", "r2", "r3"]


@pytest.mark.parametrize(("wanted", "sent"), [(1, 1), (5, 5), (10_000, MOST), (0, 0), (-1, 0)])
def test_a_run_gets_few_tickets_however_wide_it_is(
    counter: Counter, wanted: int, sent: int
) -> None:
    counter.tickets.send("r1", QUEUE, wanted)

    assert counter.left() == (sent, sent)


def test_a_slot_hoards_no_tickets(counter: Counter) -> None:
    counter.tickets.send("r1", QUEUE, 3)

    assert [counter.take(), counter.take()] == ["r1", ""]
    assert counter.left() == (2, 2)
    counter.ack()
    assert counter.take() == "r1"


def test_one_ticket_is_taken_per_thread(store: RedisStore) -> None:
    counter = Counter(store, threads=2)
    counter.tickets.send("r1", QUEUE, 3)

    assert [counter.take() for _ in range(3)] == ["r1", "r1", ""]


def test_no_ticket_is_taken_by_a_process_that_stops(counter: Counter) -> None:
    counter.tickets.send("r1", QUEUE)
    counter.broker.closed.set()

    assert counter.take() == ""
    assert counter.left() == (1, 1)


def test_what_no_thread_has_looked_at_goes_back(counter: Counter) -> None:
    counter.tickets.send("r1", QUEUE)
    message = next(counter.consumer)
    assert message is not None
    counter.consumer.requeue([message])
    counter.ack()

    assert counter.left() == (1, 1)
    assert counter.take() == "r1"


# -- dramatiq's own format ------------------------------------------------------------------------


def make_stock_broker(counter: Counter) -> RedisBroker:
    return RedisBroker(  # type: ignore[no-untyped-call]  # dramatiq 2.2
        client=counter.client, namespace=counter.store.keys.dramatiq
    )


def test_a_ticket_sent_by_dramatiq_itself_is_taken(counter: Counter) -> None:
    stock = make_stock_broker(counter)
    stock.declare_queue(QUEUE)
    stock.enqueue(dramatiq.Message(QUEUE, ACTOR, ("r1", QUEUE, "seal"), {}, {}))

    assert counter.take() == "r1"


def test_a_ticket_is_taken_by_dramatiqs_own_consumer(real_store: RedisStore) -> None:
    counter = Counter(real_store)
    counter.tickets.send("r1", QUEUE)
    stock = make_stock_broker(counter)
    stock.declare_queue(QUEUE)
    message = next(stock.consume(QUEUE, prefetch=1, timeout=100))

    assert message is not None
    assert (message.actor_name, message.args[:2]) == (ACTOR, ("r1", QUEUE))


# -- nonsense -------------------------------------------------------------------------------------


def test_an_id_without_a_body_is_passed_over(counter: Counter) -> None:
    counter.put(None)
    counter.tickets.send("r1", QUEUE)

    assert [counter.take(), counter.take()] == ["", "r1"]


def test_an_id_twice_is_one_ticket(counter: Counter) -> None:
    counter.put(counter.body())
    counter.put(None)
    counter.tickets.send("r2", QUEUE)
    taken = [counter.take()]
    counter.ack()
    taken += [counter.take(), counter.take()]

    assert taken == ["r1", "", "r2"]


NONSENSE: list[Callable[[Counter], bytes]] = [
    lambda counter: b"",
    lambda counter: b"\x80\x04.",
    lambda counter: b"[]",
    lambda counter: b"{}",
    lambda counter: counter.body(queue_name="another"),
    lambda counter: counter.body(actor_name="another"),
    lambda counter: counter.body(args=["r1"]),
    lambda counter: counter.body(args=[1, 2, 3]),
    lambda counter: counter.body(args=None),
    lambda counter: counter.body(message_id=7),
    lambda counter: counter.body(more="fields"),
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_dropped_and_told_and_occupies_no_slot(
    counter: Counter, nonsense: Callable[[Counter], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    counter.put(nonsense(counter))
    counter.tickets.send("r2", QUEUE)

    assert [counter.take(), counter.take()] == ["", "r2"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert counter.left() == (0, 0)


@pytest.mark.parametrize("options", [{"eta": 2**60}, {"pipe_target": {}}, {}, None])
def test_options_delay_nothing(counter: Counter, options: Any) -> None:
    counter.put(counter.body(options=options))
    message = next(counter.consumer)

    assert message is not None
    assert set(message.options) == {"redis_message_id"}


# -- forged tickets -------------------------------------------------------------------------------


def seal_of(counter: Counter, run_id: str, queue: str) -> str:
    return str(json.loads(counter.tickets.commands(run_id, queue, 1)[0][3])["args"][2])


def test_a_ticket_of_ours_is_let_in(counter: Counter) -> None:
    counter.tickets.check("r1", QUEUE, seal_of(counter, "r1", QUEUE))


@pytest.mark.parametrize(
    ("run_id", "queue"), [("r2", QUEUE), ("r1", "gpu")], ids=["another run", "another queue"]
)
def test_a_ticket_does_not_open_another_door(counter: Counter, run_id: str, queue: str) -> None:
    with pytest.raises(UntrustedPayload):
        counter.tickets.check(run_id, queue, seal_of(counter, "r1", QUEUE))


@pytest.mark.parametrize("seal", ["", "AAAA", "not base64!", "é", "A" * 100])
def test_what_is_no_seal_is_refused(counter: Counter, seal: str) -> None:
    with pytest.raises(UntrustedPayload):
        counter.tickets.check("r1", QUEUE, seal)


def test_another_namespaces_ticket_is_refused(counter: Counter, namespace: str) -> None:
    other = Sealer(Signer(b"our secret"), "elsewhere")
    tickets = Tickets(counter.store.link, counter.store.keys, other)
    with pytest.raises(UntrustedPayload):
        tickets.check("r1", QUEUE, seal_of(counter, "r1", QUEUE))


# -- a whole worker -------------------------------------------------------------------------------


@pytest.fixture
def working(counter: Counter) -> Iterator[Counter]:
    yield from _work(counter)


def _work(counter: Counter) -> Iterator[Counter]:
    worker = dramatiq.Worker(counter.broker, worker_threads=1, worker_timeout=50)
    worker.start()
    yield counter
    counter.broker.closed.set()
    worker.stop(timeout=5000)


def wait_for(condition: Callable[[], bool], within_s: float = 5.0) -> bool:
    give_up_at = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.005)
    return True


def test_a_worker_looks_at_what_tickets_name_and_lets_nobody_else_in(
    working: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    for number, nonsense in enumerate(NONSENSE):
        working.put(nonsense(working), message_id=f"nonsense {number}")
    for seal in ("forged", seal_of(working, "r1", QUEUE)):
        working.put(working.body(args=["r9", QUEUE, seal]), message_id=seal)
    working.tickets.send("r1", QUEUE)

    assert wait_for(lambda: bool(working.looks))
    assert working.looks == [("r1", QUEUE)]
    refused = [record for record in caplog.records if "r9" in record.getMessage()]
    assert len(refused) >= 2


def test_a_worker_goes_on_after_a_look_that_fails(
    counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    def look(run_id: str, queue: str) -> None:
        counter.looks.append((run_id, queue))
        if run_id == "r1":
            raise MemoryError("on the way")

    counter.broker.actors.clear()
    declare(counter.broker, counter.tickets, [QUEUE], look)
    work = _work(counter)
    next(work)
    counter.tickets.send("r1", QUEUE)
    counter.tickets.send("r2", QUEUE)

    assert wait_for(lambda: len(counter.looks) == 2)
    assert "a reconciler will try again" in caplog.text
    next(work, None)


def test_a_worker_takes_tickets_again_when_redis_is_back(
    make_redis: Callable[..., RedisServer],
) -> None:
    server = make_redis()
    store = open_store(server.url, "n")
    work = _work(Counter(store))
    counter = next(work)
    counter.tickets.send("r1", QUEUE)
    assert wait_for(lambda: len(counter.looks) == 1)
    server.kill()
    time.sleep(0.3)
    server.start()
    counter.tickets.send("r2", QUEUE)

    assert wait_for(lambda: counter.looks == [("r1", QUEUE), ("r2", QUEUE)], within_s=3)
    next(work, None)
    store.link.close()
