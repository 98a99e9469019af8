"""What happened to a run, told from its record.

`tell` gathers the facts as plain data, an :class:`~hypergraph.coordinator.account.Story`; how they
are shown is the affair of whoever asks. Nothing is unpickled: there is nothing to tell but names,
numbers and texts, and it takes neither the user's code nor the trust to run it. Texts come from the
user's code; they may hold anything.

The story of tasks is the fold of the journal, which is signed. The items of a map are told from
what the scripts have counted, which is not: good enough to look at, and nothing is decided by it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote

from hypergraph.coordinator.account import (
    Holding,
    Items,
    Loss,
    Node,
    Pause,
    Problem,
    Refusal,
    Story,
    items_of,
    status_of,
)
from hypergraph.coordinator.fold import RunFold
from hypergraph.errors import CorruptPayload, PayloadError, ResultExpired, UntrustedPayload
from hypergraph.plan import Plan, PlanNode
from hypergraph.store.contract import Entry
from hypergraph.store.facts import Lease, MapFacts, RunFacts, read_run
from hypergraph.store.records import Crash, End, GraphSpec, ItemCount, Question, Report, Sealer
from hypergraph.store.redis import RedisStore
from hypergraph.values.digest import digest
from hypergraph.values.failure import describe_failure

#: Workers named with each node.
MOST_WORKERS = 4

#: Failures told of a map.
MOST_PROBLEMS = 50


class Specs(Protocol):
    """Where descriptions of graphs come from."""

    def load(self, digest: str) -> GraphSpec:
        """Return the one with this digest, or raise `CorruptPayload`."""
        ...


def tell(store: RedisStore, sealer: Sealer, specs: Specs, run_id: str) -> Story:
    """Return the story of a run.

    Raises:
        ResultExpired: There is no such run, or no more.
        StoreUnavailable: Redis does not answer.
    """
    facts = read_run(store, run_id)
    if facts is None:
        raise ResultExpired(run_id)
    reader = _Reader(store, sealer, specs, run_id, facts)
    reader.read()
    return reader.story()


_CAUSE = re.compile(r"killed by [^.;:]+?\)|killed by [^.;:]+|exit code '?[^'.]*'?")


def cause_of(message: str) -> str:
    """Return what ended a process, from the text of `WorkerCrashed` or `NodeExited`.

    >>> cause_of("The worker process died once while it ran node 'f': killed by SIGSEGV (11). The")
    'killed by SIGSEGV (11)'
    """
    found = _CAUSE.search(message)
    return found[0] if found else "its host vanished"


@dataclass(slots=True)
class _Tally:
    """What is counted of a node while the journal is read."""

    kind: str
    done: int = 0
    failed: int = 0
    crashed: int = 0
    attempts: int = 0
    lost: int = 0
    took_us: int = 0
    began_ms: int = 0
    workers: list[str] = field(default_factory=list)
    items: Items | None = None

    def take(self, entry: Entry, report: Report | None) -> None:
        """Count a task that has ended."""
        self.done += entry.kind == "done"
        self.failed += entry.kind != "done"
        self.crashed += entry.kind == "crash"
        self.attempts += int(entry.fields["a"])
        if report is None:
            return
        self.took_us += report.took_us
        if report.started_ms and (not self.began_ms or report.started_ms < self.began_ms):
            self.began_ms = report.started_ms
        if report.worker in self.workers:
            self.workers.remove(report.worker)
        self.workers.insert(0, report.worker)
        if report.items:
            self._take_items(ItemCount(*report.items))

    def _take_items(self, count: ItemCount) -> None:
        before = self.items or Items(0, 0, 0, 0, 0, 0.0)
        ended, failed = before.ended + count.done, before.failed + count.failed
        busy_s = before.busy_s + count.busy_us / 1e6
        self.items = Items(ended, ended, ended - failed, failed, ended, busy_s)


class _Reader:
    """Reads one run."""

    def __init__(
        self, store: RedisStore, sealer: Sealer, specs: Specs, run_id: str, facts: RunFacts
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._run_id = run_id
        self._facts = facts
        self._fold: RunFold | None = RunFold(run_id, sealer, specs.load)
        self._tallies: dict[str, _Tally] = {}
        self._paths: dict[str, str] = {}  # task -> path of its node
        self._problems: list[Problem] = []
        self._losses: list[Loss] = []
        self._pause: Pause | None = None
        self._cancelled_by = ""
        self._unread = ""

    # -- reading --------------------------------------------------------------------------------

    def read(self) -> None:
        """Read the journal, and what maps have on record."""
        after = 0
        while entries := self._store.read_journal(self._run_id, after):
            for entry in entries:
                try:
                    self._read_entry(entry)
                except UntrustedPayload as error:
                    self._fold, self._unread = None, str(error)
                    break
            after = entries[-1].seq
            if self._unread and self._fold is None:
                break
        for map_ in self._facts.maps:
            self._read_map(map_)
        self._count_losses()

    def _read_entry(self, entry: Entry) -> None:
        task = entry.fields.get("task", b"").decode()
        path = self._path_of(task) if task else ""
        self._follow(entry)
        if entry.kind in ("done", "fail"):
            epoch = entry.fields["ep"].decode()
            report = self._sealer.open(Report, entry.fields["p"], self._run_id, task, epoch)
            self._tally(path).take(entry, report)
            self._tell_report(path, entry, report)
        elif entry.kind == "crash":
            self._tally(path).take(entry, None)
            self._losses.append(self._loss(entry.fields, path))
            self._problems.append(self._crash(entry.fields, path))
        elif entry.kind == "lost":
            self._losses.append(self._loss(entry.fields, path))
        elif entry.kind == "pause":
            question = self._sealer.open(Question, entry.fields["p"], self._run_id)
            self._pause = Pause(question.path, question.key, _at(entry.fields))
        elif entry.kind == "answer" and self._pause is not None:
            self._tally(self._pause.node).done += 1
            self._pause = None
        elif entry.kind == "end" and entry.fields["p"]:
            self._tell_end(self._sealer.open(End, entry.fields["p"], self._run_id))

    def _follow(self, entry: Entry) -> None:
        """Fold an entry, as long as the graph is known."""
        if self._fold is None:
            return
        try:
            self._fold.read([entry])
        except CorruptPayload:
            self._fold = None
            self._unread = "the graph is no longer stored; nodes are named after their tasks"
            return
        if entry.kind == "start" and not self._fold.is_map:
            for path, kind in _nodes_of(self._fold.spec.plan):
                self._tally(path, kind)

    def _path_of(self, task: str) -> str:
        """Return the path of the node that a task is of."""
        if task not in self._paths:
            found = None
            if self._fold is not None and not self._fold.is_map and self._fold.seq:
                found = self._fold.tree.path_of(task)
            # Without the graph, "n.2" is taken for the second time of `n`.
            guessed = "/".join(unquote(re.sub(r"\.\d+$", "", part)) for part in task.split("/"))
            self._paths[task] = "/".join(found) if found else guessed
        return self._paths[task]

    def _tally(self, path: str, kind: str = "function") -> _Tally:
        return self._tallies.setdefault(path, _Tally(kind))

    def _tell_report(self, path: str, entry: Entry, report: Report) -> None:
        attempt = int(entry.fields["a"])
        if report.items:
            for item, text in ItemCount(*report.items).errors:
                self._problems.append(Problem(path, item, text, "", attempt))
        elif report.error is not None:
            self._problems.append(Problem(path, None, report.text, report.worker, attempt))

    def _tell_end(self, end: End) -> None:
        self._cancelled_by = end.by
        if end.error is not None:
            self._tell_culprit(end)
        elif end.broken and "crash" not in end.broken:
            self._problems.append(_broken(end.broken))

    def _tell_culprit(self, end: End) -> None:
        """Put the error that the run failed with first, with its traceback if it is there."""
        assert end.error is not None
        key = end.error[0]
        data = self._store.get_values(self._run_id, [key])[0]
        if data is None or digest(data) != key:
            culprit = next((p for p in self._problems if p.text == end.text), None)
            if culprit is None:
                culprit = Problem("", None, end.text, "", 1)
        else:
            culprit = _problem(describe_failure(data))
        rest = (p for p in self._problems if not _is_same(p, culprit))
        self._problems = [culprit, *rest]

    def _crash(self, fields: Mapping[str, bytes], path: str) -> Problem:
        told = self._describe(fields)
        return Problem(
            path,
            None,
            _text(told),
            fields["w"].decode(),
            int(fields["a"]),
            _at(fields),
        )

    def _loss(self, fields: Mapping[str, bytes], path: str, at: float | None = None) -> Loss:
        item = fields.get("item") or fields.get("s")
        return Loss(
            _at(fields) or at,
            path,
            None if item is None else int(item),
            int(fields["a"]),
            fields["w"].decode(),
            cause_of(str(self._describe(fields).get("message") or "")),
        )

    def _describe(self, fields: Mapping[str, bytes]) -> dict[str, Any]:
        """Return what a dead process's supervisor has left about it."""
        try:
            return describe_failure(self._sealer.open(Crash, fields["p"], self._run_id).failure)
        except PayloadError:
            return {}

    # -- maps -----------------------------------------------------------------------------------

    def _read_map(self, map_: MapFacts) -> None:
        """Take over what a map that is not gathered has counted."""
        path = "" if self._is_map else self._path_of(map_.map)
        deaths: dict[bytes, str] = {}
        for event in map_.events:
            at = event.at_ms / 1000
            if event.kind == "lost":
                self._losses.append(self._loss(event.fields, path, at))
                deaths[event.fields["s"]] = _text(self._describe(event.fields))
            else:
                self._problems.extend(_range_problems(event.fields, deaths, at))
        if map_.counts and not self._is_map:
            self._tally(path, "map").items = items_of(map_.counts)

    @property
    def _is_map(self) -> bool:
        return self._facts.meta.get("kind") == b"map"

    def _count_losses(self) -> None:
        for loss in self._losses:
            if loss.node:
                self._tally(loss.node).lost += 1

    # -- telling --------------------------------------------------------------------------------

    def story(self) -> Story:
        """Return what was read."""
        facts, meta = self._facts, self._facts.meta
        running = tuple(self._holdings())
        own = facts.maps[0] if self._is_map and facts.maps else None
        return Story(
            run_id=self._run_id,
            kind=meta.get("kind", b"run").decode(),
            graph=meta.get("graph", b"").decode(),
            status=status_of(meta, taken=bool(running) or bool(own and own.counts.get("cursor"))),
            now=facts.now_ms / 1000,
            created_at=int(meta["created_ms"]) / 1000,
            ended_at=int(meta["ended_ms"]) / 1000 if "ended_ms" in meta else None,
            expires_at=None if facts.expires_ms is None else facts.expires_ms / 1000,
            origin=meta.get("origin", b"").decode(),
            tag=meta.get("tag", b"").decode(),
            max_concurrency=int(meta.get("most", b"0")) or None,
            client_lives=facts.owner_lives,
            results="forgotten" not in meta,
            cancelled_by=self._cancelled_by,
            items=items_of(own.counts) if own and own.counts else None,
            nodes=tuple(self._nodes(running)),
            problems=tuple(self._problems[:MOST_PROBLEMS]),
            losses=tuple(self._losses),
            running=running,
            waiting=self._waiting(),
            refusals=tuple(
                Refusal("" if self._is_map else self._path_of(task), worker, module)
                for task, worker, module in facts.refused
            ),
            pause=self._pause if meta["status"] == b"paused" else None,
            unread=self._unread,
        )

    def _nodes(self, running: Sequence[Holding]) -> Iterator[Node]:
        held = [holding.unit for holding in running]
        open_: dict[str, int] = {}
        busy: dict[str, int] = {}
        for task in self._open_tasks():
            path = self._path_of(task)
            open_[path] = open_.get(path, 0) + 1
            busy[path] = busy.get(path, 0) + (task in held)
        for path, tally in self._tallies.items():
            total_s = tally.took_us / 1e6
            if tally.items is not None:
                total_s = tally.items.busy_s  # its tasks only split and gather
            yield Node(
                path,
                tally.kind,
                open_.get(path, 0),
                busy.get(path, 0),
                tally.done,
                tally.failed,
                tally.crashed,
                tally.attempts,
                tally.lost,
                total_s,
                tally.began_ms / 1000 if tally.began_ms else None,
                tuple(tally.workers[:MOST_WORKERS]),
                tally.items,
            )

    def _open_tasks(self) -> Iterable[str]:
        if self._fold is None or self._fold.is_map or "ended_ms" in self._facts.meta:
            return ()
        return self._fold.tree.open_tasks if self._fold.seq else ()

    def _holdings(self) -> Iterator[Holding]:
        for lease in self._facts.leases:
            path = self._path_of(lease.id)
            yield Holding(lease.slot, _host(lease), lease.id, path, lease.attempt)
        for map_ in self._facts.maps:
            path = "" if self._is_map else self._path_of(map_.map)
            for lease in map_.leases:
                first, _, stop = lease.id.partition("-")
                yield Holding(
                    lease.slot,
                    _host(lease),
                    map_.map,
                    path,
                    lease.attempt,
                    int(first),
                    int(stop) - 1,
                )

    def _waiting(self) -> dict[str, int]:
        found = Counter(self._facts.ready)
        for map_ in self._facts.maps:
            found.update(map_.handed_over)
        return dict(found)


def _host(lease: Lease) -> str:
    return lease.slot.partition("/")[0]


def _at(fields: Mapping[str, bytes]) -> float | None:
    return int(fields["at"]) / 1000 if "at" in fields else None


def _nodes_of(plan: Plan, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and kind of every node that is a task of its own."""
    for node in plan.nodes:
        path = f"{prefix}{node.name}"
        nested = node.nested
        if nested is None or nested.mapped or nested.alone:
            yield path, _kind_of(node)
        else:
            yield from _nodes_of(nested.plan, f"{path}/")


def _kind_of(node: PlanNode) -> str:
    return "map" if node.nested is not None and node.nested.mapped else node.kind


def _text(told: Mapping[str, Any]) -> str:
    kind = str(told.get("type") or "WorkerCrashed").removeprefix("hypergraph.errors.")
    return f"{kind}: {told.get('message') or 'cause unknown'}"


def _problem(told: Mapping[str, Any]) -> Problem:
    """Return a packed failure in words."""
    return Problem(
        str(told["node"] or ""),
        told["item"],
        _text(told),
        str(told["worker"] or ""),
        int(told["attempt"] or 1),
        traceback=str(told["traceback"] or ""),
    )


def _is_same(problem: Problem, culprit: Problem) -> bool:
    """Whether a node's failure is that of the run, which names the place inside a mapped node."""
    path = re.sub(r"\[\d+\]", "", culprit.node)
    there = problem.item in (None, culprit.item) or f"[{problem.item}]" in culprit.node
    return problem.text == culprit.text and path.startswith(problem.node) and there


def _broken(broken: Mapping[str, Any]) -> Problem:
    """Return a broken rule of the plan in words."""
    if broken.get("output"):
        nodes = ", ".join(broken["nodes"])
        text = f"ConflictError: nodes {nodes} wrote {broken['output']!r} in the same superstep"
    else:
        text = f"InfiniteLoopError: not done after {broken.get('max_iterations')} supersteps"
    return Problem(str(broken.get("path") or ""), None, text, "", 1)


def _range_problems(
    fields: Mapping[str, bytes], deaths: Mapping[bytes, str], at: float
) -> Iterator[Problem]:
    """Yield what a range of items says of its first failures; see `RangeCommit.errors`.

    Args:
        fields: Of its entry in the map's journal.
        deaths: First item of a range -> what its processes died of. Dead, they say nothing.
        at: When it was committed.
    """
    if not fields.get("e") and fields["s"] in deaths:
        text = deaths[fields["s"]]
        yield Problem("", int(fields["s"]), text, fields["w"].decode(), int(fields["a"]), at)
    for line in fields.get("e", b"").decode(errors="replace").splitlines():
        item, node, text = (*line.split("\t", 2), "", "")[:3]
        if item.isdecimal():
            yield Problem(node, int(item), text, fields["w"].decode(), int(fields["a"]), at)
