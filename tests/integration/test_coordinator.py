"""Coordinators see that a run goes on: any number of them, and none of them trusts Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from hypergraph.coordinator.fold import make_end
from hypergraph.coordinator.reconcile import Coordinator, Reconciler, SpecCache
from hypergraph.errors import UntrustedPayload
from hypergraph.store.contract import Claim, Commit
from hypergraph.store.records import End, Report, Sealer, Start
from hypergraph.store.redis import RedisStore
from hypergraph.transport.tickets import MOST_WAITING, Tickets
from hypergraph.values.digest import digest
from hypergraph.values.failure import describe_failure, pack_failure
from hypergraph.values.sign import Signer
from tests.stores import QUEUE, Rig, names
from tests.unit.test_fold import DIAMOND, ref, spec_of

A, B = "w1/c0/0", "w2/c0/0"
SECRET = b"our secret"


class Desk:
    """A coordinator and the run it looks after: the diamond of test_fold."""

    def __init__(self, store: RedisStore, secret: bytes = SECRET) -> None:
        self.store = store
        self.rig = Rig(store)
        self.sealer = Sealer(Signer(secret), store.keys.namespace)
        tickets = Tickets(store.link, store.keys, self.sealer)
        self.coordinator = Coordinator(store, self.sealer, tickets, SpecCache(store))

    def create(self) -> None:
        spec = spec_of(DIAMOND)
        key = digest(spec.to_bytes())
        self.store.put_code({key: spec.to_bytes()})
        start = Start(key, {"x": ref("x")}, tag="py311w1")
        fold = self.coordinator.new_fold("r1")
        fold.start(spec, start)
        first = fold.advance(0, lambda f: make_end(f, self.sealer))
        created = self.store.create(
            "r1",
            token="t",
            meta={"keep_ms": 60_000},
            start=self.sealer.seal(start, "r1"),
            values={},
            tasks=first.tasks,
        )
        assert created

    def done(self, claim: Claim) -> Commit:
        output = {"twice": "double", "thrice": "triple", "add": "total"}[claim.task]
        report = Report({output: ref(output)})
        payload = self.sealer.seal(report, "r1", claim.task, "1")
        return Commit(claim.task, claim.attempt, "done", payload)

    def do(self, slot: str, want: int = 1) -> None:
        """Claim and commit, and let nobody decide what follows."""
        self.rig.cycle(slot, *map(self.done, self.rig.claim(slot, want)))

    def forge(self, **fields: bytes) -> None:
        """Write an entry behind the journal as only the scripts should."""
        seq = int(self.rig.meta["seq"]) + 1
        client = self.store.link.client
        client.xadd(self.store.keys.run("r1", "journal"), dict(fields), id=f"{seq}-0")  # type: ignore[arg-type]
        client.hset(self.store.keys.run("r1"), "seq", seq)

    def end(self) -> tuple[str, str]:
        """Return how the run ended, and the type of its error."""
        ended = self.store.wait_end("r1", 0)
        assert ended is not None, "the run goes on"
        end: End = self.sealer.open(End, ended[1], "r1")
        if end.error is None:
            return ended[0], ""
        failure = self.store.get_values("r1", [end.error[0]])[0]
        assert failure is not None
        told = describe_failure(failure)
        assert end.text.startswith(str(told["type"]).rpartition(".")[2])
        return ended[0], str(told["type"])

    def waiting(self, queue: str = QUEUE) -> int:
        return int(self.store.link.client.llen(f"{self.store.keys.dramatiq}:{queue}"))


@pytest.fixture
def desk(store: RedisStore) -> Desk:
    desk = Desk(store)
    desk.create()
    return desk


# -- what is missing ------------------------------------------------------------------------------


def test_what_nobody_decided_on_is_decided_on_by_whoever_looks(desk: Desk) -> None:
    """The slot that committed last died before it could."""
    desk.do(A, want=2)
    assert desk.store.inspect("r1").ready == {QUEUE: 0}
    desk.coordinator.look_at("r1")

    assert names(desk.rig.claim(B)) == "add:1"


def test_a_run_that_is_over_ends_even_if_whoever_committed_last_died(desk: Desk) -> None:
    desk.do(A, want=2)
    desk.coordinator.look_at("r1")
    desk.do(A)
    desk.coordinator.look_at("r1")

    assert desk.end() == ("completed", "")


def test_two_that_look_at_once_do_the_same_once(desk: Desk) -> None:
    desk.do(A, want=2)
    for _ in range(2):
        Desk(desk.store).coordinator.look_at("r1")

    assert desk.rig.journal() == ["start", "done twice", "done thrice"]
    assert names(desk.rig.claim(B, want=9)) == "add:1"


def test_who_has_read_more_than_the_faster_one_decides_on_the_rest(desk: Desk) -> None:
    # Given two who read the journal, one of them before the last entry
    desk.do(A)
    behind, ahead = Desk(desk.store), Desk(desk.store)
    early, late = behind.coordinator.new_fold("r1"), ahead.coordinator.new_fold("r1")
    behind.coordinator.catch_up(early)
    desk.do(A)
    ahead.coordinator.catch_up(late)

    # When the one behind is heard first
    early_decision = early.advance(1, lambda f: make_end(f, desk.sealer))
    assert desk.store.advance("r1", early_decision)
    ahead.coordinator.advance(late, 1)

    # Then the other one does not leave the rest to somebody else
    assert desk.rig.meta["applied"] == "3"
    assert names(desk.rig.claim(B)) == "add:1"


def test_a_look_that_changes_nothing_is_not_repeated(desk: Desk) -> None:
    desk.do(A)
    desk.coordinator.look_at("r1")

    view = desk.coordinator.look_at("r1")
    assert (view.applied, view.seq) == (2, 2)


def test_a_journal_is_read_on_from_the_last_look(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = desk.store.read_journal

    def counting(run_id: str, after: int, count: int = 500) -> object:
        reads.append(after)
        return read(run_id, after, count)

    monkeypatch.setattr(desk.store, "read_journal", counting)
    desk.do(A)
    desk.coordinator.look_at("r1")
    desk.do(A)
    desk.coordinator.look_at("r1")

    assert reads == [0, 2, 2, 3]


def test_a_run_that_has_ended_is_looked_at_no_more(desk: Desk) -> None:
    desk.coordinator.cancel("r1", "somebody")
    desk.coordinator.look_at("r1")

    assert desk.store.link.client.zrange(desk.store.keys.active, 0, -1) == []
    assert desk.end() == ("cancelled", "")


def test_reaping_gives_the_work_to_others_at_once_even_if_its_reply_was_lost(desk: Desk) -> None:
    desk.rig.claim(A, want=2)
    for _ in range(2):
        before = desk.waiting()
        desk.coordinator.reap("r1", "w1/", "twice", -1, b"a packed failure")
        assert desk.waiting() > before

    assert names(desk.rig.claim(B, want=9)) == "twice:2 thrice:1"


def test_what_has_killed_three_workers_fails_with_what_the_last_one_died_of(desk: Desk) -> None:
    for _ in range(3):
        desk.rig.claim(A, want=2)
        desk.coordinator.reap("r1", "w1/", "twice", -1, b"a packed failure")
    desk.do(B)
    desk.coordinator.look_at("r1")
    ended = desk.store.wait_end("r1", 0)
    assert ended is not None
    end: End = desk.sealer.open(End, ended[1], "r1")

    assert ended[0] == "failed" and end.broken is not None
    failure = desk.sealer.open_crash(end.broken["p"], "r1", end.broken["crash"])
    assert failure == b"a packed failure"


# -- tickets --------------------------------------------------------------------------------------


def test_lost_tickets_are_sent_again(desk: Desk) -> None:
    assert desk.waiting() == 0
    desk.coordinator.look_at("r1")

    assert desk.waiting() == 2


def test_where_tickets_wait_already_one_more_is_enough(desk: Desk) -> None:
    for _ in range(3):
        desk.coordinator.look_at("r1")

    assert desk.waiting() == 4


def test_a_queue_that_nobody_serves_does_not_grow_for_ever(desk: Desk) -> None:
    desk.store.link.client.rpush(
        f"{desk.store.keys.dramatiq}:{QUEUE}", *["a ticket"] * (MOST_WAITING - 1)
    )
    for _ in range(5):
        desk.coordinator.look_at("r1")

    assert desk.waiting() == MOST_WAITING


def test_nothing_is_sent_for_what_somebody_holds(desk: Desk) -> None:
    desk.rig.claim(A, want=2)
    desk.coordinator.look_at("r1")

    assert desk.waiting() == 0


# -- what cannot be trusted -----------------------------------------------------------------------


def _forged_commit(desk: Desk) -> None:
    payload = desk.sealer.seal(Report({"double": ref("double")}), "r2", "twice", "1")
    desk.forge(k=b"done", task=b"twice", ep=b"1", p=payload)


def _moved_commit(desk: Desk) -> None:
    payload = desk.sealer.seal(Report({"triple": ref("triple")}), "r1", "thrice", "1")
    desk.forge(k=b"done", task=b"twice", ep=b"1", p=payload)


def _unsigned_commit(desk: Desk) -> None:
    desk.forge(k=b"done", task=b"twice", ep=b"1", p=b"\x01" + bytes(99))


def _damaged_entry(desk: Desk) -> None:
    desk.forge(k=b"done")


def _missing_entry(desk: Desk) -> None:
    desk.do(A)
    desk.do(A)
    desk.store.link.client.xdel(desk.store.keys.run("r1", "journal"), "2-0")


def _missing_graph(desk: Desk) -> None:
    desk.do(A)
    desk.store.link.client.delete(desk.store.keys.code(digest(spec_of(DIAMOND).to_bytes())))


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        pytest.param(_forged_commit, "UntrustedPayload", id="a commit of another run"),
        pytest.param(_moved_commit, "UntrustedPayload", id="a commit of another task"),
        pytest.param(_damaged_entry, "CorruptPayload", id="an entry without its fields"),
        pytest.param(_missing_entry, "CorruptPayload", id="an entry that has gone"),
        pytest.param(_missing_graph, "CorruptPayload", id="a graph that has gone"),
    ],
)
def test_a_run_that_can_never_go_on_fails_and_says_why(
    desk: Desk, damage: Callable[[Desk], None], error: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage(desk)
    desk.coordinator.look_at("r1")

    assert desk.end() == ("failed", f"hypergraph.errors.{error}")
    assert any(
        record.levelno == logging.ERROR and "r1" in record.message for record in caplog.records
    )
    assert desk.rig.lasting() == set()
    assert desk.rig.cycle(A, want=9).status == "stop"


def test_what_another_secret_has_sealed_is_left_alone(desk: Desk) -> None:
    """It may be this process that has the wrong secret."""
    desk.do(A, want=2)
    stranger = Desk(desk.store, b"another secret")
    with pytest.raises(UntrustedPayload):
        stranger.coordinator.look_at("r1")

    assert desk.rig.status == "running"
    desk.coordinator.look_at("r1")
    assert names(desk.rig.claim(B)) == "add:1"


def test_an_unsigned_entry_is_never_believed(desk: Desk) -> None:
    _unsigned_commit(desk)
    with pytest.raises(UntrustedPayload):
        desk.coordinator.look_at("r1")

    assert desk.rig.status == "running"


def test_one_run_that_cannot_be_read_keeps_nobody_from_the_others(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    _unsigned_commit(desk)
    other = Rig(desk.store, "r2")
    other.create("a")
    desk.store.link.client.zadd(desk.store.keys.active, {"r1": 1, "r2": 2})

    def crash(worker: str) -> bytes:
        return pack_failure(RuntimeError(worker), node="", item=None, worker=worker, attempt=3)

    Reconciler(desk.coordinator, crash).tick()

    assert desk.waiting() == 1
    assert "Run r1 cannot be looked after" in caplog.text
