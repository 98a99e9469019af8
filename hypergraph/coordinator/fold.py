"""The state of a run, folded from its journal.

Whoever coordinates a run holds a `RunFold`: a worker that commits, a reconciler, the client. It is
built from the journal and from nothing else, so it can be thrown away and built again at any time.
It needs no user code: an entry holds names and references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hypergraph.errors import CorruptPayload, UntrustedPayload
from hypergraph.plan import Broken, Due, Frame, Note, Phase, RunTree, TaskEnded
from hypergraph.store.contract import Advance, Entry, TaskRecord
from hypergraph.store.records import (
    SMALL_BYTES,
    Answer,
    Border,
    End,
    GraphSpec,
    Order,
    Question,
    Ref,
    Report,
    Sealer,
    Start,
    is_shared,
)


class JournalGap(Exception):
    """Entries are missing: read the journal from where the fold stands."""

    def __init__(self, run_id: str, found: int) -> None:
        super().__init__(run_id, found)
        self.found = found  #: the entry that there was instead


class RunFold:
    """One run, up to entry `seq` of its journal.

    What is refused is not folded: the fold stands before it, and refuses it again.
    """

    def __init__(
        self,
        run_id: str,
        sealer: Sealer,
        load_spec: Callable[[str], GraphSpec],
        notes: list[Note] | None = None,
    ) -> None:
        self.run_id = run_id
        self._notes = notes  # see `RunTree`
        self.seq = 0
        self._sealer = sealer
        self._load_spec = load_spec
        self.ended = 0  #: tasks that have ended
        self.failures = 0  #: tasks that have failed
        self.is_map = False  #: the run consists of a map: there is no plan to follow
        self.crashed: dict[str, str] = {}  #: task that killed its workers -> path of its node
        self._epoch = 0  # of the latest commit or answer; there is no way back
        self._due: list[tuple[int, Due]] = []  # what fell due, by the entry that made it due

    def read(self, entries: Iterable[Entry]) -> None:
        """Fold entries; those already folded are passed over.

        Raises:
            JournalGap: The next entry is not among them.
            UntrustedPayload: An entry was not written by someone who holds the secret, or not for
                this place.
            CorruptPayload: An entry is not as the scripts write them.
        """
        for entry in entries:
            if entry.seq <= self.seq:
                continue
            if entry.seq > self.seq + 1:
                raise JournalGap(self.run_id, entry.seq)
            try:
                due = self._apply(entry)
            except (KeyError, ValueError) as error:
                about = f"journal/{self.run_id}/{entry.seq}"
                raise CorruptPayload(about, "an entry of the journal", repr(error)) from error
            self.seq = entry.seq
            self._take(due)

    def foresee(self, ended: TaskEnded) -> None:
        """Fold a commit that is not in the journal yet, as its next entry.

        If the journal goes on differently, this fold is worthless: throw it away.
        """
        self.seq += 1
        self._take(self.tree.apply(ended))

    def start(self, spec: GraphSpec, start: Start) -> None:
        """Fold the first entry."""
        due = self._begin(spec, start)
        self.seq = 1
        self._take(due)

    def _begin(self, spec: GraphSpec, start: Start) -> Sequence[Due]:
        self.spec = spec
        self.started = start
        self.tag = start.tag
        self.tree = RunTree(spec.plan, spec.bound, spec.seeds, self._notes)
        return self.tree.start(start.inputs, start.max_iterations)

    def _apply(self, entry: Entry) -> Sequence[Due]:
        """Let an entry count, and return what fell due by it."""
        kind, fields = entry.kind, entry.fields
        if (kind == "start") != (entry.seq == 1):
            raise self._misplaced(entry, "a run begins with its start, once")
        if kind == "start" and not fields["p"]:
            self.is_map = True
        elif kind == "start":
            start = self._sealer.open(Start, fields["p"], self.run_id)
            return self._begin(self._load_spec(start.graph), start)
        elif kind in ("done", "fail"):
            task, epoch = fields["task"].decode(), fields["ep"].decode()
            report = self._sealer.open(Report, fields["p"], self.run_id, task, epoch)
            self._enter_epoch(entry, int(epoch))
            return self._end(to_ended(task, report))
        elif kind == "crash":
            task = fields["task"].decode()
            self._sealer.open_crash(fields["p"], self.run_id, task)
            self.crashed[task] = "/".join(self.tree.path_of(task) or ())
            return self._end(TaskEnded(task, error=entry))
        elif kind == "answer":
            epoch = fields["ep"].decode()
            answer = self._sealer.open(Answer, fields["p"], self.run_id, epoch)
            self._enter_epoch(entry, int(epoch))
            self._epoch += 1
            return self.tree.answer(answer.value)
        return ()

    def _end(self, ended: TaskEnded) -> Sequence[Due]:
        if self.tree.path_of(ended.task) is not None:
            self.ended += 1
            self.failures += ended.error is not None
        return self.tree.apply(ended)

    def _enter_epoch(self, entry: Entry, epoch: int) -> None:
        """See that a signed entry is no copy of one from before the latest answer."""
        if epoch < self._epoch:
            raise self._misplaced(entry, f"it is of epoch {epoch}, and that is over")
        self._epoch = epoch

    def _misplaced(self, entry: Entry, reason: str) -> UntrustedPayload:
        return UntrustedPayload(reason, f"journal/{self.run_id}/{entry.seq}")

    def _take(self, due: Sequence[Due]) -> None:
        self._due.extend((self.seq, task) for task in due)

    def results(self, frame: Frame) -> dict[str, Ref]:
        """Return what a run or nested run gives back: the selected outputs that have a value."""
        plan = frame.plan
        names: Sequence[str] = plan.outputs if plan.selected is None else plan.selected
        if frame.parent is None and self.started.select is not None:
            names = self.started.select
        found = frame.results()
        return {name: found[name] for name in names if name in found}

    def has_news(self, applied: int) -> bool:
        """Whether something has to be added or ended, given that `applied` was decided on."""
        return self.is_over or any(seq > applied for seq, _ in self._due)

    @property
    def is_over(self) -> bool:
        """Whether the run has nothing left to do, for good or until it is answered."""
        return not self.is_map and self.tree.phase is not Phase.RUNNING

    def advance(self, applied: int, note: Callable[[RunFold], tuple[str, bytes]]) -> Advance:
        """Return what follows from the journal since entry `applied`.

        Args:
            applied: How far others have decided.
            note: Makes the status and sealed note of the end or pause, if the run is over.
        """
        self._due = [(seq, due) for seq, due in self._due if seq > applied]
        tasks = [
            self.make_task(due, seq * 1000 + place) for place, (seq, due) in enumerate(self._due)
        ]
        return Advance(applied, self.seq, tasks, note(self) if self.is_over else None)

    def make_task(self, due: Due, score: int) -> TaskRecord:
        """Return the record of a task that fell due."""
        path = "/".join(due.path)
        kind: str = due.node.kind
        border: Sequence[Any] = ()
        nested = due.node.nested
        if due.outputs is not None:
            kind = "compare"
        elif nested is not None:
            kind = "map" if nested.mapped else "graph"
            border = Border(
                nested.inputs, nested.outputs, nested.mapped, nested.mode, nested.error_handling
            )
        order = Order(
            path,
            kind,
            self.spec.nodes.get(path, ""),
            due.inputs,
            border,
            due.previous,
            due.outputs or {},
            self.spec.parts.get(path, {}) if kind == "map" else {},
        )
        needed = [*due.inputs.values(), *due.previous.values(), *order.outputs.values()]
        sealed = self._sealer.seal(order, self.run_id, due.task)
        return TaskRecord(
            due.task,
            score,
            f"{due.node.queue}.{self.tag}",
            small_digests(needed),
            sealed,
        )


def small_digests(refs: Iterable[Ref]) -> list[str]:
    """Return the digests among `refs` whose bytes come along with a claim, each once."""
    return list(dict.fromkeys(r[0] for r in refs if r[1] <= SMALL_BYTES and not is_shared(r)))


def to_ended(task: str, report: Report) -> TaskEnded:
    """Return what a report means to the plan."""
    return TaskEnded(
        task,
        report.outputs,
        None if report.changed is None else tuple(report.changed),
        None if report.decision is None else tuple(report.decision),
        report if report.error is not None else None,
        report.inside,
    )


def make_end(fold: RunFold, sealer: Sealer) -> tuple[str, bytes]:
    """Return the status and the sealed note of a run that is over, or paused."""
    root = fold.tree.root
    if (pause := fold.tree.pause) is not None:
        question = Question("/".join(pause.path), pause.output, pause.value)
        return "paused", sealer.seal(question, fold.run_id)
    results = fold.results(root)
    nested = bool(root.nested or root.pieces)
    if fold.tree.phase is Phase.COMPLETED:
        return "completed", sealer.seal(End(results, nested=nested), fold.run_id)
    error = root.error
    if isinstance(error, Broken):
        broken = {
            "path": error.path,
            "max_iterations": error.max_iterations,
            "output": error.output,
            "nodes": list(error.nodes),
        }
        end = End(results, broken=broken, text="a rule of the plan was broken", nested=nested)
    elif isinstance(error, Report):
        end = End(results, error=error.error, text=error.text, nested=nested)
    else:
        task = error.fields["task"].decode()
        broken = {"crash": task, "path": fold.crashed.get(task, ""), "p": error.fields["p"]}
        end = End(results, broken=broken, text="a worker died", nested=nested)
    return "failed", sealer.seal(end, fold.run_id)
