"""A run's tasks beside a model of them: any order of claims, deaths, repeats and latecomers."""

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

from hypergraph.store.contract import Advance, Claim, Commit, Cycled
from hypergraph.store.redis import RedisStore
from tests.stores import NOTE, Rig, done, record

MOST_DEATHS = 3
SLOTS = [f"w{n}/c0/0" for n in range(3)]
_RUNS = count(1)

slots = st.sampled_from(SLOTS)
wants = st.integers(1, 4)


class Tasks(RuleBasedStateMachine):
    """One run, three slots and a coordinator that adds tasks now and then."""

    def __init__(self, store: RedisStore) -> None:
        super().__init__()
        self.rig = Rig(store, f"t{next(_RUNS)}")
        self.ready: dict[str, int] = {}  # task -> place in the queue
        self.held: dict[str, list[Claim]] = {}
        self.deaths: dict[str, int] = {}
        self.alone: set[str] = set()
        self.journal: list[str] = []
        self.applied = 1
        self.calls: dict[str, tuple[dict[str, Any], Cycled]] = {}
        self.past: list[tuple[str, Commit]] = []
        self.places: dict[str, int] = {}

    @initialize(tasks=st.integers(1, 4))
    def create(self, tasks: int) -> None:
        self.rig.create("")
        self.journal.append("start")
        self.add(tasks)

    # -- what the model knows -----------------------------------------------------------------

    def due(self, want: int) -> list[str]:
        """Return what a slot gets that asks for so much: what goes alone is never with others."""
        got: list[str] = []
        for task in sorted(self.ready, key=lambda task: self.ready[task]):
            if len(got) == want or (got and task in self.alone):
                break
            got.append(task)
            if task in self.alone:
                break
        return got

    def give_back(self, slot: str, *but: str) -> None:
        for claim in self.held.pop(slot, []):
            if claim.task not in but:
                self.ready[claim.task] = self.places[claim.task]
                self.past.append((slot, done(claim)))

    def forget(self, task: str) -> None:
        self.deaths.pop(task, None)
        self.alone.discard(task)

    # -- slots --------------------------------------------------------------------------------

    def call(
        self, slot: str, *commits: Commit, want: int, advance: Advance | None = None
    ) -> Cycled:
        answer = self.rig.cycle(slot, *commits, want=want, epoch="1", advance=advance)
        self.calls[slot] = ({"commits": commits, "want": want, "advance": advance}, answer)
        if answer.advanced:
            assert advance is not None
            self.note(advance)
        due = self.due(want)
        expected = [(task, str(self.deaths.get(task, 0) + 1)) for task in due]
        assert [(claim.task, claim.attempt) for claim in answer.claims] == expected
        for task in due:
            del self.ready[task]
        if answer.claims:
            self.held[slot] = list(answer.claims)
        assert answer.seq == len(self.journal)
        return answer

    @rule(slot=slots, want=st.integers(0, 4))
    def claim(self, slot: str, want: int) -> None:
        self.give_back(slot)
        self.call(slot, want=want)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), want=wants, decides=st.booleans())
    def commit(self, data: st.DataObject, want: int, decides: bool) -> None:
        slot = data.draw(st.sampled_from(sorted(self.held)))
        claims = self.held[slot]
        ended = data.draw(st.lists(st.sampled_from(claims), unique_by=lambda claim: claim.task))
        commits = [done(claim) for claim in ended]
        advance = None
        if decides:
            seq = len(self.journal)
            advance = Advance(self.applied, seq + len(ended), self.new_tasks(1))
        self.give_back(slot, *(claim.task for claim in ended))
        for claim, commit in zip(ended, commits, strict=True):
            self.forget(claim.task)
            self.journal.append(f"done {claim.task}")
            self.past.append((slot, commit))
        answer = self.call(slot, *commits, want=want, advance=advance)
        assert answer.accepted == len(ended)
        assert answer.advanced == decides

    @precondition(lambda self: self.past)
    @rule(data=st.data(), want=wants)
    def come_too_late(self, data: st.DataObject, want: int) -> None:
        slot, commit = data.draw(st.sampled_from(self.past))
        if (commit.task, commit.attempt) in [(c.task, c.attempt) for c in self.held.get(slot, [])]:
            return  # it has claimed the very same again
        self.give_back(slot)
        assert self.call(slot, commit, want=want).accepted == 0

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The reply was lost, so the call is sent again."""
        slot = data.draw(st.sampled_from(sorted(self.calls)))
        call, first = self.calls[slot]
        again = self.rig.cycle(
            slot,
            *call["commits"],
            want=call["want"],
            epoch="1",
            call=self.rig.call_of(slot),
            advance=call["advance"],
        )
        assert again.replayed
        assert list(again.claims) == self.held.get(slot, [])
        assert slot not in self.held or again.claims == first.claims

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), want=wants)
    def be_overtaken(self, data: st.DataObject, want: int) -> None:
        """A copy of an old call comes through at last."""
        slot = data.draw(st.sampled_from(sorted(self.calls)))
        self.rig.cycle(slot, want=want, epoch="1", call=self.rig.call_of(slot) - 1)

    # -- deaths -------------------------------------------------------------------------------

    @precondition(lambda self: self.held)
    @rule(data=st.data(), known=st.sampled_from(["task", "task", "nothing", "unknown"]))
    def die(self, data: st.DataObject, known: str) -> None:
        slot = data.draw(st.sampled_from(sorted(self.held)))
        claims = self.held[slot]
        guilty = ""
        if known == "task":
            guilty = data.draw(st.sampled_from(claims)).task
        elif known == "unknown":
            guilty = "?"
        self.give_back(slot)
        reaped, dead = self.rig.reap(slot, guilty)
        if guilty == "?":
            self.alone |= {claim.task for claim in claims}
            guilty = claims[0].task if len(claims) == 1 else ""
        assert reaped == len(claims)
        if guilty:
            self.count_death(guilty)
        assert dead == (guilty not in self.deaths and guilty != "")

    def count_death(self, task: str) -> None:
        self.deaths[task] = self.deaths.get(task, 0) + 1
        if self.deaths[task] < MOST_DEATHS:
            self.journal.append(f"lost {task}")
            return
        self.journal.append(f"crash {task}")
        self.forget(task)
        del self.ready[task]

    @rule(slot=slots, task=st.integers(0, 5))
    def be_reaped_once_more(self, slot: str, task: int) -> None:
        if slot not in self.held:
            assert self.rig.reap(slot, f"n{task}") == (0, 0)

    # -- the coordinator ----------------------------------------------------------------------

    def new_tasks(self, number: int) -> list[Any]:
        first = len(self.places)
        # Not in the order of their names.
        return [record(f"n{n}", score=1000 + (n * 7) % 30) for n in range(first, first + number)]

    def note(self, advance: Advance) -> None:
        self.applied = advance.to
        for task in advance.tasks:
            self.places[task.task] = self.ready[task.task] = task.score

    @precondition(lambda self: len(self.places) < 25)
    @rule(number=st.integers(1, 3), again=st.booleans())
    def add(self, number: int, again: bool = False) -> None:
        advance = Advance(self.applied, len(self.journal), self.new_tasks(number))
        if advance.start == advance.to and len(self.journal) > 1:
            return  # the same span twice is one decision
        assert self.rig.store.advance(self.rig.run_id, advance)
        self.note(advance)
        if again and advance.start != advance.to:
            assert not self.rig.store.advance(self.rig.run_id, advance)

    # -- what always holds --------------------------------------------------------------------

    @invariant()
    def the_counts_agree(self) -> None:
        if not self.journal:
            return
        view = self.rig.store.inspect(self.rig.run_id)
        assert sorted(view.slots) == sorted(self.held)
        assert (view.seq, view.applied) == (len(self.journal), self.applied)
        assert sum(view.ready.values()) == len(self.ready)

    def teardown(self) -> None:
        if not self.journal:
            return
        assert self.rig.journal() == self.journal
        for _ in range(60):
            for slot in SLOTS:
                ended = [done(claim) for claim in self.held.pop(slot, [])]
                for commit in ended:
                    self.forget(commit.task)
                    self.journal.append(f"done {commit.task}")
                self.call(slot, *ended, want=4)
            if not self.held and not self.ready:
                break
        ended_tasks = [line.split()[1] for line in self.journal if line[:4] in ("done", "cras")]
        assert sorted(ended_tasks) == sorted(self.places)
        work = {"tasks", "attempts", "deaths", "alone", "slots"}
        assert not work & set(self.rig.ttls()), "something of a task is left"
        self.rig.store.end(self.rig.run_id, "cancelled", NOTE)
        assert self.rig.lasting() == set()
        keys = [self.rig.store.keys.run(self.rig.run_id, part) for part in self.rig.ttls()]
        self.rig.store.link.client.delete(*keys)


def test_every_task_ends_once_whatever_happens(real_store: RedisStore) -> None:
    class TasksInStore(Tasks):
        def __init__(self) -> None:
            super().__init__(real_store)

    run_state_machine_as_test(
        TasksInStore,
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
