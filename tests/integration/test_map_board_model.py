"""The board of a map beside a model of it: any order of claims, deaths, repeats and latecomers.

The model knows items, not ranges: which slot holds each, which are done, for which queue the others
wait and what they bring along, and how many workers each has killed. It knows nothing of cursors,
pages that are full, or how ranges are cut; so it says what may happen to an item, and the scripts
find out how.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hypergraph.store.contract import RangeClaim, RangeCommit, Ranged
from hypergraph.store.redis import RedisStore
from tests.stores import BOARD, NOTE, QUEUE, Rig, page

MOST_DEATHS = 3
SLOTS = [f"w{n}/c0/0" for n in range(4)]
GPU = "gpu.py311w1"
_RUNS = count(1)

slots = st.sampled_from(SLOTS)
wants = st.integers(1, 9)
queues = st.sampled_from([QUEUE, QUEUE, GPU])


class Board(RuleBasedStateMachine):
    """One map, four slots, a feeder and a reader."""

    def __init__(self, store: RedisStore) -> None:
        super().__init__()
        self.rig = Rig(store, f"r{next(_RUNS)}")
        self.pages: list[int] = []  # first item of each
        self.avail = 0
        self.sealed = False
        self.read = 0
        self.position = 0
        self.over = False
        self.claimed: set[int] = set()  # at least once
        self.done: dict[int, str] = {}  # item -> which commit
        self.failed: set[int] = set()
        self.deaths: dict[int, int] = {}
        self.alone: set[int] = set()
        self.luggage: dict[int, tuple[str, bytes]] = {}  # item -> queue, what it brings along
        self.held: dict[str, RangeClaim] = {}
        self.calls: dict[str, tuple[dict[str, Any], Ranged]] = {}  # the last one of each slot
        self.past: list[tuple[str, RangeCommit]] = []  # commits that can stand no more

    @initialize(stops=st.booleans(), window=st.sampled_from([0, 0, 3, 7]))
    def create(self, stops: bool, window: int) -> None:
        self.stops, self.window = stops, window
        self.rig.create_map([], total=-1, stops=stops, window=window)

    # -- what the model knows -----------------------------------------------------------------

    @property
    def limit(self) -> int:
        """Items from here on are not needed any more."""
        return min(self.failed) if self.stops and self.failed else self.avail

    @property
    def waiting(self) -> list[int]:
        """Items that were claimed, are needed, and held by nobody."""
        held = {item for claim in self.held.values() for item in range(claim.start, claim.stop)}
        return sorted(i for i in self.claimed - self.done.keys() - held if i < self.limit)

    def due(self, queue: str) -> list[int]:
        """Items that wait for a queue: those that have begun, or else those that have not."""
        begun = [i for i in self.waiting if i in self.luggage and self.luggage[i][0] == queue]
        if begun or queue != QUEUE:
            return begun
        return [i for i in self.waiting if i not in self.luggage]

    @property
    def fresh(self) -> int | None:
        """The next item that was never claimed, if it may be."""
        item = len(self.claimed)
        room = not self.window or item - self.read < self.window
        return item if item < self.limit and room else None

    @property
    def is_finished(self) -> bool:
        if self.stops and self.failed:
            return all(item in self.done for item in range(self.limit))
        return self.sealed and len(self.done) == self.avail

    def page_of(self, item: int) -> int:
        return max(start for start in self.pages if start <= item)

    def end_of(self, start: int) -> int:
        return min((other for other in self.pages if other > start), default=self.avail)

    def give_back(self, slot: str) -> None:
        claim = self.held.pop(slot, None)
        if claim is not None:
            self.past.append((slot, _commit(claim, claim.stop)))

    def note(self, ended: bool) -> None:
        assert ended == self.is_finished
        self.over = self.over or ended

    # -- slots --------------------------------------------------------------------------------

    def call(self, slot: str, *commits: RangeCommit, want: int, queue: str = QUEUE) -> Ranged:
        answer = self.rig.range(slot, *commits, want=want, epoch="1", queue=queue)
        self.calls[slot] = ({"commits": commits, "want": want, "queue": queue}, answer)
        if self.over:
            assert answer.status == "stop" and answer.claim is None
            return answer
        self.note(answer.status == "over")
        if not self.over:
            assert answer.status == "ok"
            self.check_claim(slot, answer.claim, want, queue)
        return answer

    def check_claim(self, slot: str, claim: RangeClaim | None, want: int, queue: str) -> None:
        due, fresh = self.due(queue), self.fresh if queue == QUEUE else None
        if claim is None:
            assert not want or (not due and fresh is None)
            return
        items = range(claim.start, claim.stop)
        assert 1 <= len(items) <= want
        if due:  # the lowest goes first, before anything new
            assert claim.start == due[0]
            assert set(items) <= set(due)
        else:
            assert claim.start == fresh
        if claim.start in self.luggage:
            assert {self.luggage[item] for item in items} == {(queue, claim.data)}
        else:
            start = self.page_of(claim.start)
            assert (claim.page, claim.data) == (str(start), page(start))
            assert claim.stop <= self.end_of(start)
            assert due or len(items) == min(want, self.end_of(start) - claim.start)
        assert {self.deaths.get(item, 0) + 1 for item in items} == {int(claim.attempt)}
        assert len(items) == 1 or not self.alone & set(items)
        self.claimed |= set(items)
        self.held[slot] = claim

    @rule(slot=slots, want=wants, queue=queues)
    def claim(self, slot: str, want: int, queue: str) -> None:
        self.give_back(slot)
        self.call(slot, want=want, queue=queue)

    @rule(slot=slots)
    def leave(self, slot: str) -> None:
        self.give_back(slot)
        self.call(slot, want=0)

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        want=st.integers(0, 9),
        share=st.floats(0, 1),
        fails=st.booleans(),
        queue=queues,
    )
    def commit(self, data: st.DataObject, want: int, share: float, fails: bool, queue: str) -> None:
        """Commit the head of a range: all of it done, or a piece done and a piece handed over."""
        slot = data.draw(st.sampled_from(sorted(self.held)))
        claim = self.held.pop(slot)
        upto = claim.start + max(1, round(share * (claim.stop - claim.start)))
        to = data.draw(st.sampled_from(["", "", QUEUE, GPU]))
        border = data.draw(st.integers(claim.start, upto)) if to else upto
        commits = []
        if border > claim.start:
            commits.append(_commit(claim, border, fails=fails))
            if not self.over:
                self.stand(claim, border, fails=fails)
        if to and upto > border:
            bag = f"what {border}..{upto} bring along".encode()
            commits.append(RangeCommit(claim.range, claim.attempt, upto, bag, to=to, size=len(bag)))
            if not self.over:
                self.luggage.update(dict.fromkeys(range(border, upto), (to, bag)))
        if upto - claim.start == 1 and claim.stop - claim.start == 1 and not self.over:
            self.deaths.pop(claim.start, None)
        self.past += [(slot, commit) for commit in commits]
        answer = self.call(slot, *commits, want=want, queue=queue)
        assert answer.accepted == len(commits) or answer.status != "ok"

    def stand(self, claim: RangeClaim, upto: int, *, fails: bool) -> None:
        for item in range(claim.start, upto):
            assert item not in self.done
            self.done[item] = f"{claim.start}..{upto}"
            self.deaths.pop(item, None)
            self.luggage.pop(item, None)
        if fails:
            self.failed.add(upto - 1)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), other=st.sampled_from([-1, 1]))
    def commit_another_attempt(self, data: st.DataObject, other: int) -> None:
        slot = data.draw(st.sampled_from(sorted(self.held)))
        claim = self.held[slot]
        self.give_back(slot)
        attempt = str(int(claim.attempt) + other)
        commit = _commit(claim._replace(attempt=attempt), claim.stop)
        assert self.call(slot, commit, want=1).accepted == 0

    @precondition(lambda self: self.past)
    @rule(data=st.data(), want=wants, queue=queues)
    def come_too_late(self, data: st.DataObject, want: int, queue: str) -> None:
        slot, commit = data.draw(st.sampled_from(self.past))
        held = self.held.get(slot)
        if held is not None and (held.range, held.attempt) == (commit.range, commit.attempt):
            return  # it has claimed the very same again
        self.give_back(slot)
        assert self.call(slot, commit, want=want, queue=queue).accepted == 0

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The reply was lost, so the call is sent again."""
        slot = data.draw(st.sampled_from(sorted(self.calls)))
        call, first = self.calls[slot]
        again = self.rig.range(
            slot,
            *call["commits"],
            want=call["want"],
            queue=call["queue"],
            epoch="1",
            call=self.rig.call_of(slot),
        )
        if self.over:
            assert again.status == "stop"
        elif slot in self.held:
            assert again.claim == first.claim == self.held[slot]
        else:
            assert again.claim is None  # there was nothing, or it was reaped since

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), want=wants)
    def be_overtaken(self, data: st.DataObject, want: int) -> None:
        """A copy of an old call comes through at last."""
        slot = data.draw(st.sampled_from(sorted(self.calls)))
        self.rig.range(slot, want=want, epoch="1", call=self.rig.call_of(slot) - 1)

    # -- deaths -------------------------------------------------------------------------------

    @precondition(lambda self: self.held)
    @rule(data=st.data(), known=st.sampled_from(["item", "item", "nothing", "unknown"]))
    def die(self, data: st.DataObject, known: str) -> None:
        slot = data.draw(st.sampled_from(sorted(self.held)))
        claim = self.held[slot]
        self.give_back(slot)
        guilty: int | None = None
        if known == "item":
            guilty = data.draw(st.integers(claim.start, claim.stop - 1))
            self.rig.reap(slot, BOARD, guilty)
        elif known == "nothing":
            self.rig.reap(slot)
        else:
            self.rig.reap(slot, "?")
            self.alone |= set(range(claim.start, claim.stop))
            if claim.stop - claim.start == 1:
                guilty = claim.start
        if guilty is not None and not self.over:
            self.alone.add(guilty)
            self.deaths[guilty] = self.deaths.get(guilty, 0) + 1
            if self.deaths[guilty] == MOST_DEATHS:
                del self.deaths[guilty]
                self.luggage.pop(guilty, None)
                self.done[guilty] = f"{guilty}..{guilty + 1}"
                self.failed.add(guilty)
        if not self.over:
            self.note(self.rig.status != "running")

    @rule(slot=slots, item=st.integers(0, 20))
    def be_reaped_once_more(self, slot: str, item: int) -> None:
        if slot not in self.held:
            assert self.rig.reap(slot, BOARD, item) == (0, 0)

    # -- feeder and reader --------------------------------------------------------------------

    @precondition(lambda self: not self.sealed and self.avail < 24)
    @rule(items=st.integers(1, 6), again=st.booleans())
    def feed(self, items: int, again: bool) -> None:
        start = self.avail
        for _ in range(1 + again):
            self.rig.feed(items, start=start)
        if not self.over:
            self.pages.append(start)
            self.avail += items

    @precondition(lambda self: not self.sealed)
    @rule(again=st.booleans())
    def seal(self, again: bool) -> None:
        for _ in range(1 + again):
            self.rig.feed(total=self.avail)
        if not self.over:
            self.sealed = True
            self.note(self.rig.status != "running")

    @rule(ranges=st.integers(0, 3), again=st.booleans())
    def collect(self, ranges: int, again: bool) -> None:
        """Read some ranges, and say so with the next look, once or twice."""
        found = self.rig.store.collect(
            self.rig.run_id, BOARD, start=self.position, count=ranges, read=self.read
        )
        for start, payload in found.ranges:
            self.forget(start, payload)
        for _ in range(1 + again):
            self.rig.store.collect(
                self.rig.run_id, BOARD, forget=self.position, count=0, read=self.read
            )

    def forget(self, start: int, payload: bytes) -> None:
        first, _, stop = payload.decode().partition("..")
        if payload.startswith(b"crash:"):
            first, stop = str(start), str(start + 1)
        assert int(first) == start
        for item in range(start, int(stop)):
            assert self.done.pop(item, None) == f"{start}..{stop}"
            self.done[item] = "read"
            self.read += 1
        self.position += 1

    # -- what always holds --------------------------------------------------------------------

    @invariant()
    def the_counts_agree(self) -> None:
        if not hasattr(self, "stops"):
            return
        fed = self.rig.store.feed(self.rig.run_id, BOARD, 0, 0, b"")
        assert (fed.done, fed.avail, fed.cursor) == (
            len(self.done),
            self.avail,
            len(self.claimed),
        )
        view = self.rig.store.inspect(self.rig.run_id)
        assert (view.status != "running") == self.over
        if self.over:
            return
        assert sorted(view.slots) == sorted(self.held)
        open_at = {map_.queue for map_ in view.maps if map_.open}
        for queue in (QUEUE, GPU):
            if self.due(queue) or (queue == QUEUE and self.fresh is not None):
                assert queue in open_at  # so a reconciler sends tickets
        if self.waiting or self.fresh is not None:
            assert open_at
        elif not self.held and not (self.window and len(self.claimed) < self.limit):
            assert not self.sealed  # it waits for the reader or the feeder, and for nothing else

    def teardown(self) -> None:
        if not hasattr(self, "stops"):
            return
        if not self.over and not self.sealed:
            self.seal(again=False)
        for _ in range(200):
            if self.over:
                break
            self.collect(ranges=9, again=False)
            for slot in SLOTS:
                claim = self.held.pop(slot, None)
                queue = GPU if self.due(GPU) else QUEUE
                if claim is None:
                    self.call(slot, want=4, queue=queue)
                    continue
                self.stand(claim, claim.stop, fails=False)
                self.call(slot, _commit(claim, claim.stop), want=4, queue=queue)
        while self.over and self.position < 1000:
            before = self.position
            self.collect(ranges=9, again=False)
            if before == self.position:
                break
        self.all_is_done_and_read()

    def all_is_done_and_read(self) -> None:
        needed = range(self.limit)
        assert self.over, "the map is stuck"
        assert all(self.done.get(item) == "read" for item in needed)
        assert set(self.done.values()) <= {"read"}
        wanted = "completed"
        if self.failed:
            total = len(self.failed) == self.avail
            wanted = "failed" if self.stops or total else "partial"
        assert self.rig.status == wanted
        assert self.rig.lasting() == set()
        state = self.rig.map_state()
        assert state.get("unread", "0") == "0"
        assert self.failed or int(state.get("hop_bytes", "0")) == 0
        self.rig.store.end(self.rig.run_id, "cancelled", NOTE)
        keys = [self.rig.store.keys.run(self.rig.run_id, part) for part in self.rig.ttls()]
        self.rig.store.link.client.delete(*keys)


def _commit(claim: RangeClaim, upto: int, *, fails: bool = False) -> RangeCommit:
    """Commit a range up to an item; if it `fails`, the last one has failed."""
    payload = f"{claim.start}..{upto}".encode()
    first = upto - 1 if fails else -1
    return RangeCommit(claim.range, claim.attempt, upto, payload, int(fails), first, 10)


def test_every_item_is_done_once_whatever_happens(real_store: RedisStore) -> None:
    class BoardInStore(Board):
        def __init__(self) -> None:
            super().__init__(real_store)

    run_state_machine_as_test(
        BoardInStore,
        settings=settings(
            max_examples=80,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
