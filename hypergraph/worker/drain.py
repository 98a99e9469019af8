"""Empty a run of what it has to do, as one slot.

Theory of operation
===================

A ticket makes a slot look at a run. The slot then goes round: one `cycle` commits what it has
finished and claims what is next, until nothing is left for it or its time slice is over.

Whoever commits also coordinates. The slot holds a fold of the run's journal; after a commit it
knows what follows. When it is the only slot at work it says so in the same cycle, so that a hop of
a chain is one round trip. When others are at work, the order of commits is only known afterwards:
the slot reads the journal that came with the answer and, if something follows, advances with a
compare-and-set. The slot that commits last always sees it; if it dies first, a reconciler does.

A slot that finds more than it takes leaves a ticket for another slot. So a wide run wakes slot
after slot, and nobody has to know how many there are.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from hypergraph.coordinator.fold import JournalGap, RunFold, make_end, to_ended
from hypergraph.coordinator.reconcile import Coordinator
from hypergraph.errors import (
    MissingModule,
    PayloadError,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UntrustedPayload,
)
from hypergraph.store.contract import (
    Advance,
    Claim,
    Commit,
    Cycled,
    RangeClaim,
    RangeCommit,
    Ranged,
)
from hypergraph.store.records import Report
from hypergraph.transport.tags import untagged
from hypergraph.worker.execute import Executor, MapOrder
from hypergraph.worker.map_work import MapWork
from hypergraph.worker.pieces import NotHere

logger = logging.getLogger("hypergraph.worker")

#: Small tasks are claimed together, as many as are done in this time.
BATCH_S = 0.005
MOST_BATCH = 64


class Stopping(Protocol):
    """Says whether the process is to stop claiming."""

    def is_set(self) -> bool:
        """Whether it is."""
        ...


class Slot:
    """One execution place: a thread of a child, with the lease it holds.

    Args:
        name: Unique for ever: worker, child and thread.
        worker: The host's id.
        coordinator: Decides, and knows the store.
        executor: Carries out.
        slice_s: After this long in one run, other runs get their turn.
        stopping: Ends every drain after the body at hand.
        live_workers: Returns the ids of the live workers that serve a queue.
    """

    def __init__(
        self,
        name: str,
        worker: str,
        coordinator: Coordinator,
        executor: Executor,
        *,
        slice_s: float = 0.5,
        stopping: Stopping | None = None,
        live_workers: Callable[[str], list[str]] = lambda queue: [],
    ) -> None:
        self.name = name
        self.worker = worker
        self.coordinator = coordinator
        self.store = coordinator.store
        self.executor = executor
        self.slice_s = slice_s
        self.stopping = stopping or threading.Event()
        self._live_workers = live_workers
        self._calls = 0
        self._left: str | None = None  # the run drained last
        self._folds: OrderedDict[str, RunFold] = OrderedDict()
        self._works: OrderedDict[tuple[str, str, str], MapWork] = OrderedDict()

    def drain(self, run_id: str, queue: str) -> None:
        """Do what run `run_id` has ready on `queue`, until nothing is left or the slice is over."""
        before = self.store.holding(self.worker, self.name, run_id, self._left)
        self._left = run_id
        drain = _Drain(self, run_id, queue, before)
        again = False
        try:
            with self.coordinator.judging(run_id):
                again = drain.go()
        except BaseException:
            # Nobody reaps what a slot of a live worker holds: it would be held for ever.
            drain.give_back()
            raise
        if again:
            self.coordinator.tickets.send(run_id, queue)

    def next_call(self) -> int:
        """Return a number that no call of this slot has had."""
        self._calls += 1
        return self._calls

    def fold_of(self, run_id: str) -> RunFold:
        """Return what this slot knows of a run."""
        fold = self._folds.pop(run_id, None) or self.coordinator.new_fold(run_id)
        self._folds[run_id] = fold
        if len(self._folds) > 64:
            self._folds.popitem(last=False)
        return fold

    def drop_fold(self, run_id: str) -> None:
        """Forget what this slot knows of a run."""
        self._folds.pop(run_id, None)

    def work_of(self, run_id: str, map_: str, queue: str) -> MapWork:
        """Return what the items of a map share that wait on a queue, loaded once."""
        key = (run_id, map_, queue)
        work = self._works.pop(key, None)
        if work is None:
            work = self.executor.ranges.open(run_id, map_, untagged(queue))
        self._works[key] = work
        if len(self._works) > 8:
            self._works.popitem(last=False)
        return work

    def drop_work(self, run_id: str, map_: str, queue: str) -> None:
        """Forget a map."""
        self._works.pop((run_id, map_, queue), None)

    def live_workers(self, queue: str) -> list[str]:
        """Return the ids of the live workers that serve a queue."""
        return self._live_workers(queue)


class _Drain:
    """One look at a run."""

    def __init__(
        self, slot: Slot, run_id: str, queue: str, before: Sequence[tuple[Any, ...]]
    ) -> None:
        self.slot = slot
        self.store = slot.store
        self.coordinator = slot.coordinator
        self.run_id = run_id
        self.queue = queue
        self.epoch = ""
        self.want = 1
        self.deadline = time.monotonic() + slot.slice_s
        self.woke_another = False
        self.before = before
        self.map = ""  #: the one that is gone through

    def go(self) -> bool:
        """Go round. Returns whether something was left for another time."""
        commits: list[Commit] = []
        advance: Advance | None = None
        while True:
            leaving = self._is_over_time()
            answer = self._cycle(commits, advance, 0 if leaving else self.want)
            if answer.status != "ok":
                self.slot.drop_fold(self.run_id)
                return False
            self.epoch = answer.epoch
            fold = self._follow(answer, speculated=advance is not None)
            if advance is not None and answer.advanced:
                self._announce(advance, answer.ready)
            if leaving:
                return answer.ready > 0 or bool(answer.maps)
            if answer.claims:
                self._wake_another(answer.ready)
                commits = self._carry_out(answer)
                advance = self._foresee(fold, answer, commits)
                continue
            if not any(self._go_through(map_) for map_ in answer.maps):
                return False
            commits, advance = [], None

    def give_back(self) -> None:
        """Let go of what is held, uncounted: this drain does not come to it."""
        slot = self.slot
        slot.drop_fold(self.run_id)
        # If Redis is away and this process ends, whoever reaps it gives back what it held.
        with contextlib.suppress(StoreError):
            if self.map:
                self._range(self.map, 0)
            self.store.cycle(
                self.run_id,
                slot=slot.name,
                epoch=self.epoch,
                call=slot.next_call(),
                want=0,
                queue=self.queue,
                after=1 << 40,
            )

    def _is_over_time(self) -> bool:
        return self.slot.stopping.is_set() or time.monotonic() > self.deadline

    def _cycle(self, commits: list[Commit], advance: Advance | None, want: int) -> Cycled:
        before, self.before = self.before, ()
        return self.store.cycle(
            self.run_id,
            slot=self.slot.name,
            epoch=self.epoch,
            call=self.slot.next_call(),
            want=want,
            queue=self.queue,
            after=self.slot.fold_of(self.run_id).seq,
            commits=commits,
            advance=advance,
            before=before,
        )

    def _follow(self, answer: Cycled, *, speculated: bool) -> RunFold:
        """Fold what came with an answer, and advance the run if something follows from it."""
        if speculated and not answer.advanced:
            # Somebody else committed first, so this fold saw things in an order that never was.
            self.slot.drop_fold(self.run_id)
        fold = self.slot.fold_of(self.run_id)
        with contextlib.suppress(JournalGap):
            fold.read(answer.entries)
        if fold.seq < answer.seq:
            self.coordinator.catch_up(fold)
        if fold.is_map:
            return fold
        if answer.applied < fold.seq and fold.has_news(answer.applied):
            self.coordinator.advance(fold, answer.applied)
        return fold

    def _foresee(self, fold: RunFold, answer: Cycled, commits: list[Commit]) -> Advance | None:
        """Return what follows from commits that are about to be the journal's next entries."""
        if answer.others or not commits or fold.seq != answer.seq or answer.applied != fold.seq:
            return None
        applied = fold.seq
        for commit in commits:
            report = self.coordinator.sealer.open(
                Report, commit.payload, self.run_id, commit.task, self.epoch
            )
            fold.foresee(to_ended(commit.task, report))
        return fold.advance(applied, lambda f: make_end(f, self.coordinator.sealer))

    def _announce(self, advance: Advance, ready: int) -> None:
        """Send tickets for what this slot has added and does not take itself."""
        counts = {task.queue: 0 for task in advance.tasks}
        for task in advance.tasks:
            counts[task.queue] += 1
        counts[self.queue] = min(ready, counts.get(self.queue, 0))
        self.coordinator.tickets.send_all((self.run_id, q, n) for q, n in counts.items() if n)

    def _wake_another(self, ready: int) -> None:
        if ready and not self.woke_another:
            self.woke_another = True
            self.coordinator.tickets.send(self.run_id, self.queue)

    def _carry_out(self, answer: Cycled) -> list[Commit]:
        """Carry out claimed tasks, as many as fit into `BATCH_S` and at least one."""
        commits: list[Commit] = []
        began = time.perf_counter()
        for claim in answer.claims:
            commit = self._carry_out_one(claim)
            if commit is not None:
                commits.append(commit)
            if time.perf_counter() - began > BATCH_S or self.slot.stopping.is_set():
                self.want = 1
                break
        else:
            self.want = min(2 * self.want, MOST_BATCH)
        return commits

    def _carry_out_one(self, claim: Claim) -> Commit | None:
        try:
            done = self.slot.executor.carry_out(self.run_id, self.epoch, claim)
        except NotHere as missing:
            return self._refuse(claim, missing)
        except PayloadError as error:
            self._judge(claim.task, error)
            return self.slot.executor.fail(self.run_id, self.epoch, claim, error)
        if isinstance(done, Commit):
            return done
        self._open_map(claim, done)
        return None

    def _judge(self, unit: str, error: Exception) -> None:
        """Say that something fails because of what lies in Redis, not because of its body.

        Raises:
            UntrustedPayload: Another secret has sealed it, which another worker may know.
        """
        if isinstance(error, UntrustedPayload) and error.foreign:
            raise error
        logger.error(
            "Run %s: %s fails, because what it needs cannot be read: %s",
            self.run_id,
            unit,
            error,
            extra={"run": self.run_id, "node": unit},
        )

    def _open_map(self, claim: Claim, order: MapOrder) -> None:
        gather = order.gather._replace(queue=self.queue)
        self.store.open_map(
            self.run_id,
            claim.task,
            slot=self.slot.name,
            epoch=self.epoch,
            attempt=claim.attempt,
            gather=gather,
            total=order.total,
            stops=order.stops,
            spec=order.spec,
            pages=order.pages,
        )
        self.coordinator.tickets.send(self.run_id, self.queue, order.total - 1)

    def _refuse(self, claim: Claim, missing: NotHere) -> Commit | None:
        """Give a task back that cannot be loaded here; fail it when nobody can."""
        if self._nobody_has(missing, claim.task, claim.attempt):
            error = self._blame(missing, claim.task)
            return self.slot.executor.fail(self.run_id, self.epoch, claim, error)
        return None

    def _blame(self, missing: NotHere, node: str) -> Exception:
        """Return the error for what no worker can load."""
        return replace(missing.error, workers=self.slot.live_workers(self.queue), node=node)

    def _nobody_has(self, missing: NotHere, task: str, attempt: str) -> bool:
        """Say that this worker lacks a module. Returns whether every live worker has said so."""
        logger.warning(
            "Run %s: module %s is not on this worker; %s goes back to the others.",
            self.run_id,
            missing.what,
            task,
            extra={"run": self.run_id, "node": task},
        )
        some = self.store.refuse(
            self.run_id,
            slot=self.slot.name,
            epoch=self.epoch,
            worker=self.slot.worker,
            task=task,
            attempt=attempt,
            module=missing.what,
            live=self.slot.live_workers(self.queue),
        )
        if some:
            # A moment for the others: what goes back is ready again at once.
            time.sleep(0.05)
            self.deadline = 0.0
        return not some

    def _go_through(self, map_: str) -> bool:
        """Run items of a map until there are none to claim. Returns whether there were any."""
        self.map = map_
        commits: list[RangeCommit] = []
        did = False
        left, slots = 0, 1
        while True:
            try:
                work = self.slot.work_of(self.run_id, map_, self.queue)
            except NotHere as missing:
                return self._refuse_map(map_, missing)
            except StoreUnavailable:
                raise
            except Exception as error:
                return self._fail_map(map_, error)
            want = 0 if self._is_over_time() else work.want(left, slots)
            answer = self._range(map_, want, commits, page=work.page)
            if answer.status != "ok":
                self.slot.drop_work(self.run_id, map_, self.queue)
                return True
            if answer.claim is None:
                return did
            did = True
            left, slots = answer.left, answer.slots
            self._wake_another(left)
            try:
                commits = self._carry_out_range(work, answer.claim)
            except MissingModule as error:
                return self._refuse_map(map_, NotHere(error))

    def _carry_out_range(self, work: MapWork, claim: RangeClaim) -> list[RangeCommit]:
        ranges = self.slot.executor.ranges
        try:
            return ranges.carry_out(work, claim)
        except (MissingModule, StoreUnavailable, StoreFull):
            raise
        except Exception as error:
            # Not of a body, whose exceptions are results: of inputs that cannot be read.
            self._judge(f"{claim.range} of {work.map}", error)
            return [ranges.fail(self.run_id, work.map, claim, error)]

    def _range(
        self, map_: str, want: int, commits: Sequence[RangeCommit] = (), *, page: str = ""
    ) -> Ranged:
        """Commit and claim, and wake whoever goes on with what goes on elsewhere."""
        answer = self.store.range(
            self.run_id,
            map_,
            slot=self.slot.name,
            epoch=self.epoch,
            call=self.slot.next_call(),
            want=want,
            page=page,
            queue=self.queue,
            commits=commits,
        )
        elsewhere = {answer.home, *(commit.to for commit in commits)} - {"", self.queue}
        self.coordinator.tickets.send_all((self.run_id, queue, 1) for queue in elsewhere)
        return answer

    def _refuse_map(self, map_: str, missing: NotHere) -> bool:
        """Leave a map to other workers; fail its items when nobody can load its graph."""
        if self._nobody_has(missing, map_, "0"):
            return self._fail_map(map_, self._blame(missing, map_))
        self._range(map_, 0)
        return False

    def _fail_map(self, map_: str, error: Exception) -> bool:
        """Fail whatever items of a map there are to claim."""
        self._judge(map_, error)
        commits: list[RangeCommit] = []
        while True:
            answer = self._range(map_, 1 << 16, commits)
            if answer.status != "ok" or answer.claim is None:
                return True
            commits = [self.slot.executor.ranges.fail(self.run_id, map_, answer.claim, error)]
