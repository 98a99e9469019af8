"""What observers are told of a run, from its record.

Theory of operation
===================

A narrator reads a run's journal and, where there is one, its stream of sights (see `store.sights`),
in their one order, and says which events follow. It knows nothing else: no clock, no user code.
So any two readers of a run are told the same, with the same ids, whenever they read it.

The types of events and their spans are those of a run in one process. Three things differ:

A node's start is told when a slot claims it, if the run was observed by then; otherwise just
before its end. What a slot claims together starts together.

Clocks of workers differ. A run's own events never go back in time; those inside an item of a map
have the time of its worker.

A pause ends the spans that are open. The answer begins them anew: same run ids, other spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from hypergraph.coordinator.fold import RunFold
from hypergraph.coordinator.ids import inner_run_id, span_id_of
from hypergraph.errors import ConflictError, InfiniteLoopError
from hypergraph.events.types import (
    Event,
    InterruptEvent,
    NodeEndEvent,
    NodeErrorEvent,
    NodeStartEvent,
    RouteDecisionEvent,
    RunEndEvent,
    RunStartEvent,
)
from hypergraph.events.wire import restore, unpack_events
from hypergraph.nodes import END
from hypergraph.plan import Broken, Frame, Note, Phase, PlanNode, TaskEnded
from hypergraph.plan.plan import END_NAME
from hypergraph.store.contract import Entry
from hypergraph.store.records import End, GraphSpec, Ref, Report, Sealer
from hypergraph.store.sights import Sight
from hypergraph.values.failure import describe_failure

#: The board of a run that consists of a map.
_BOARD = "map"

#: What a node is told to have failed with that was under way when its run ended.
_LEFT = ("the run ended before the node did", "hypergraph.errors.RunCancelled")


@dataclass(slots=True)
class _Span:
    """A run, a map or a node that has begun, or is about to."""

    run_id: str
    span_id: str
    parent: str | None
    name: str | None  #: of the graph, or of the node
    graph: str | None
    began: float = 0.0  #: when it was told; 0.0: not yet
    worker: str = ""
    attempt: int = 1
    task: str = ""  #: of a node
    failed: dict[int, str] | None = None  #: of a map: item -> what it failed with

    @property
    def ids(self) -> tuple[str, str, str | None]:
        return self.run_id, self.span_id, self.parent


class Narrator:
    """Tells one run. See the module's docstring.

    Args:
        run_id: The run.
        sealer: Opens its entries.
        load_spec: Finds descriptions of graphs.
        meta: The run's `meta`.
        read_value: Reads what an interrupt shows; None where it has gone.
    """

    def __init__(
        self,
        run_id: str,
        sealer: Sealer,
        load_spec: Callable[[str], GraphSpec],
        meta: Mapping[str, bytes],
        read_value: Callable[[Ref], Any] = lambda _: None,
    ) -> None:
        self._run_id = run_id
        self._sealer = sealer
        self._read_value = read_value
        self._notes: list[Note] = []
        self._fold = RunFold(run_id, sealer, load_spec, self._notes)
        self._runs: dict[Frame, _Span] = {}
        self._nodes: dict[tuple[Frame, int], _Span] = {}
        self._tasks: dict[str, _Span] = {}
        self._maps: dict[str, _Span] = {}
        self._part = 0  # how often the run was answered
        self._now = int(meta.get("created_ms", b"0")) / 1000
        self._graph = meta.get("graph", b"").decode() or None
        self._raises = meta.get("raises") != b"0"
        total = int(meta.get("total", b"-1"))
        self._size = None if total < 0 else total
        self._report = Report()
        self._entry = Entry(0, {})
        self.is_over = False
        self.is_paused = False

    @property
    def seq(self) -> int:
        """Entries of the journal that were told."""
        return self._fold.seq

    # -- the journal ----------------------------------------------------------------------------

    def tell(self, entry: Entry) -> Iterator[Event]:
        """Yield the events that follow from the next entry of the journal.

        Raises:
            JournalGap: It is not the next one.
            PayloadError: It cannot be trusted, or not be read.
        """
        self._take_up(entry)
        self._fold.read([entry])
        kind = entry.kind
        if kind == "start" and self._fold.is_map:
            yield from self._begin_map(_BOARD, None, self._size)
        elif kind == "answer":
            self._part += 1
            self.is_paused = False
        for note in self._notes:
            yield from self._follow(note)
        self._notes.clear()
        if kind == "pause":
            self.is_paused = True
            yield from self._close(self._fold.tree.root, "paused")
        elif kind == "end":
            self.is_over = True
            yield from self._end(entry.fields)

    def _take_up(self, entry: Entry) -> None:
        """Take from an entry who did what when."""
        fields = entry.fields
        self._entry, self._report = entry, Report()
        if entry.kind in ("done", "fail"):
            context = self._run_id, fields["task"].decode(), fields["ep"].decode()
            self._report = self._sealer.open(Report, fields["p"], *context)
        elif "at" in fields:
            self._pass(int(fields["at"]) / 1000)

    def _pass(self, at: float) -> float:
        """Let time pass, but never back."""
        self._now = max(self._now, at)
        return self._now

    def _follow(self, note: Note) -> Iterator[Event]:
        frame, index = note.frame, note.node
        if note.what == "begun":
            yield from self._begin(frame)
        elif note.what == "due":
            self._tasks[note.task] = self._open(frame, index, note.task)
        elif note.what == "entered":
            yield from self._start(self._open(frame, index, note.task), self._now)
        elif note.what == "ended" and (frame, index) in self._nodes:
            assert note.ended is not None
            yield from self._settle(frame, index, note.ended)
        elif note.what == "paused":
            yield from self._pause(frame, frame.plan.nodes[index])
        elif note.what == "over" and frame.parent is not None:
            yield from self._close(frame, self._status_of(frame), self._why(frame.error)[0])

    @staticmethod
    def _status_of(frame: Frame) -> str:
        if frame.state.phase is Phase.PAUSED:
            return "paused"
        return "completed" if frame.state.phase is Phase.COMPLETED else "failed"

    # -- runs -----------------------------------------------------------------------------------

    def _span_id(self, place: str) -> str:
        return span_id_of(self._run_id, f"{place}~{self._part}" if self._part else place)

    def _begin(self, frame: Frame) -> Iterator[Event]:
        task, parent, run_id = frame.prefix[:-1], None, self._run_id
        if frame.parent is not None:
            parent, run_id = self._nodes[frame.parent].span_id, inner_run_id(run_id, task)
        name = frame.plan.name
        span = _Span(run_id, self._span_id(f"run:{task}"), parent, name, name, self._now)
        self._runs[frame] = span
        yield RunStartEvent(*span.ids, self._now, graph_name=name)

    def _close(self, frame: Frame, status: str, error: str | None = None) -> Iterator[Event]:
        """Yield the end of a run, and before it that of all that is open inside."""
        span = self._runs.pop(frame, None)
        if span is None:
            return
        for key in [key for key in self._nodes if key[0] is frame]:
            yield from self._leave(key, status)
        if status == "paused" and frame.parent is not None:
            self._nodes.pop(frame.parent, None)
        yield _run_end(span, self._now, status, error)

    def _leave(self, key: tuple[Frame, int], status: str) -> Iterator[Event]:
        """Let go of a node that was under way when its run ended or paused."""
        span = self._nodes.pop(key)
        self._tasks.pop(span.task, None)
        for inner in [run for run in self._runs if run.parent == key]:
            yield from self._close(inner, "cancelled" if status != "paused" else status, _LEFT[0])
        if status != "paused" and span.began:
            yield from self._end_map(span, _LEFT[0])
            yield self._error_event(span, *_LEFT)

    def _end(self, fields: Mapping[str, bytes]) -> Iterator[Event]:
        """Yield the end of all."""
        status = fields["status"].decode()
        end = self._sealer.open(End, fields["p"], self._run_id) if fields["p"] else End()
        error = f"cancelled by {end.by}" if status == "cancelled" and end.by else None
        if self._fold.is_map:
            if (span := self._maps.pop(_BOARD, None)) is not None:
                failed = span.failed or {}
                if status in ("failed", "partial"):
                    status = "failed" if self._raises else "completed"
                    error = failed[min(failed)] if failed and self._raises else error
                yield _run_end(span, self._now, status, error)
            return
        root = self._fold.tree.root
        if status == "failed":
            error = self._why(root.error)[0] or end.text
        yield from self._close(root, status, error)

    # -- nodes ----------------------------------------------------------------------------------

    def _open(self, frame: Frame, index: int, task: str) -> _Span:
        run = self._runs[frame]
        span_id = self._span_id(f"node:{task}")
        name = frame.plan.nodes[index].name
        span = _Span(run.run_id, span_id, run.span_id, name, frame.plan.name, task=task)
        self._nodes[frame, index] = span
        return span

    def _start(self, span: _Span, at: float) -> Iterator[Event]:
        if not span.began:
            span.began = self._pass(at)
            yield NodeStartEvent(
                *span.ids,
                span.began,
                node_name=span.name or "",
                graph_name=span.graph,
                worker=span.worker,
                attempt=span.attempt,
            )

    def _settle(self, frame: Frame, index: int, ended: TaskEnded) -> Iterator[Event]:
        span, node = self._nodes.pop((frame, index)), frame.plan.nodes[index]
        report, fields = self._report, self._entry.fields
        if self._tasks.pop(span.task, None) is not None and "a" in fields:
            span.worker, span.attempt = fields["w"].decode(), int(fields["a"])
            yield from self._start(span, report.started_ms / 1000)
            self._pass(report.started_ms / 1000 + report.took_us / 1e6)
            yield from self._inside(span, report.events)
        message, kind = self._why(ended.error)
        yield from self._end_map(span, message)
        if ended.error is not None:
            yield self._error_event(span, message or "", kind)
            return
        if node.kind == "gate":
            yield self._decision(span, node, ended.decision)
        yield NodeEndEvent(
            *span.ids,
            self._now,
            node_name=node.name,
            graph_name=span.graph,
            duration_ms=max((self._now - span.began) * 1000, report.took_us / 1000, 0.001),
            worker=span.worker,
            attempt=span.attempt,
        )

    def _decision(
        self, span: _Span, node: PlanNode, decision: Sequence[str] | None
    ) -> RouteDecisionEvent:
        told: Any = None
        if decision is not None:
            several = [END if name == END_NAME else name for name in decision]
            told = several if node.several else several[0]
        return RouteDecisionEvent(
            span.run_id,
            self._span_id(f"decision:{span.task}"),
            span.parent,
            self._now,
            node_name=node.name,
            graph_name=span.graph,
            decision=told,
        )

    def _error_event(self, span: _Span, error: str, kind: str) -> NodeErrorEvent:
        return NodeErrorEvent(
            *span.ids,
            self._now,
            node_name=span.name or "",
            graph_name=span.graph,
            error=error,
            error_type=kind,
            worker=span.worker,
            attempt=span.attempt,
        )

    def _pause(self, frame: Frame, node: PlanNode) -> Iterator[Event]:
        if node.kind != "interrupt":
            return
        run, shown = self._runs[frame], node.inputs[0]
        ref = frame.values.get(shown, frame.bound.get(shown))
        task = self._nodes[frame, node.index].task
        yield InterruptEvent(
            run.run_id,
            self._span_id(f"interrupt:{task}"),
            run.span_id,
            self._now,
            node_name=node.name,
            graph_name=run.graph,
            value=None if ref is None else self._read_value(ref),
            response_param=node.outputs[0],
        )

    def _inside(self, span: _Span, events: bytes) -> Iterator[Event]:
        """Yield what was to be seen inside a nested graph that ran as one piece."""
        for rows in unpack_events(events) if events else ():
            yield from self._restore(rows, span.task, span.span_id, span.worker, span.attempt)

    def _restore(
        self, rows: Sequence[Any], place: str, parent: str, worker: str, attempt: int
    ) -> Iterator[Event]:
        """Yield the events that a worker saw of a run at a place of this one."""
        return restore(
            rows,
            lambda n: inner_run_id(self._run_id, f"{place}/{n}" if n else place),
            lambda n: self._span_id(f"{place}/{n}"),
            parent,
            worker,
            attempt,
        )

    def _why(self, error: Any) -> tuple[str | None, str]:
        """Return the text and the class of what a node or run failed with."""
        if error is None:
            return None, ""
        if isinstance(error, Report):
            return error.message or error.text, error.kind
        if isinstance(error, Broken):
            broken: Exception = InfiniteLoopError(error.max_iterations)
            if error.output:
                broken = ConflictError(error.output, error.nodes)
            return str(broken), f"hypergraph.errors.{type(broken).__name__}"
        task = error.fields["task"].decode()
        told = describe_failure(self._sealer.open_crash(error.fields["p"], self._run_id, task))
        return str(told["message"]), str(told["type"])

    # -- sights ---------------------------------------------------------------------------------

    def see(self, sight: Sight) -> Iterator[Event]:
        """Yield the events that follow from the next sight."""
        fields = sight.fields
        kind = fields["k"]
        if kind == b"taken":
            span = self._tasks.get(fields["task"].decode())
            if span is not None and not span.began:
                span.worker, span.attempt = fields["w"].decode(), int(fields["a"])
                yield from self._start(span, int(fields["at"]) / 1000)
        elif kind == b"map":
            self._pass(int(fields["at"]) / 1000)
            task = fields["task"].decode()
            yield from self._begin_map(task, self._tasks.get(task), int(fields["total"]))
        elif kind == b"range":
            self._pass(int(fields["at"]) / 1000)
            yield from self._range(fields)

    def _begin_map(self, board: str, node: _Span | None, size: int | None) -> Iterator[Event]:
        if size == 0 or (node is None and board != _BOARD):
            return  # nobody is told of a map of nothing
        name, parent, run_id = self._graph, None, self._run_id
        if node is not None:
            yield from self._start(node, self._now)
            name, parent = self._name_of_mapped(node), node.span_id
            run_id = inner_run_id(run_id, board)
        span = _Span(run_id, self._span_id(f"map:{board}"), parent, name, name, self._now)
        span.failed = {}
        self._maps[board] = span
        yield RunStartEvent(*span.ids, self._now, graph_name=name, is_map=True, map_size=size)

    def _name_of_mapped(self, node: _Span) -> str | None:
        for (frame, index), span in self._nodes.items():
            nested = frame.plan.nodes[index].nested
            if span is node and nested is not None:
                return nested.plan.name
        return None

    def _end_map(self, node: _Span, error: str | None) -> Iterator[Event]:
        span = self._maps.pop(node.task, None) if node.task else None
        if span is not None:
            yield _run_end(span, self._now, "completed" if error is None else "failed", error)

    def _range(self, fields: Mapping[str, bytes]) -> Iterator[Event]:
        """Yield the events of the items of a range."""
        board, first, count = fields["map"].decode(), int(fields["s"]), int(fields["n"])
        if board not in self._maps:
            yield from self._begin_map(board, self._tasks.get(board), None)
        span = self._maps.get(board)
        if span is None:
            return
        packed = unpack_events(fields["ev"]) if fields["ev"] else None
        failures = dict(_failures(fields))
        for item in range(first, first + count):
            place = f"{board}[{item}]"
            if packed is not None:
                rows, worker, attempt = packed[item - first], fields["w"].decode(), fields["a"]
                events = self._restore(rows, place, span.span_id, worker, int(attempt))
            elif item in failures or len(failures) == int(fields["f"]):
                events = self._bare_item(place, span, failures.get(item))
            else:
                continue  # it may have failed or not; nobody observed it
            for event in events:
                yield event
                if _is_failure(event, span) and span.failed is not None:
                    span.failed[item] = event.error or ""

    def _bare_item(self, place: str, map_: _Span, error: str | None) -> Iterator[Event]:
        """Yield the events of an item of which nothing is known but how it ended."""
        ids = inner_run_id(self._run_id, place), self._span_id(f"{place}/0"), map_.span_id
        span = _Span(*ids, map_.name, map_.name, self._now)
        yield RunStartEvent(*ids, self._now, graph_name=span.graph)
        yield _run_end(span, self._now, "completed" if error is None else "failed", error)


def _run_end(span: _Span, at: float, status: str, error: str | None) -> RunEndEvent:
    return RunEndEvent(
        *span.ids,
        at,
        graph_name=span.graph,
        status=status,
        error=error,
        duration_ms=max((at - span.began) * 1000, 0.001),
    )


def _failures(fields: Mapping[str, bytes]) -> Iterator[tuple[int, str]]:
    """Yield the failures that a range tells of; see `RangeCommit.errors`."""
    for line in fields["e"].decode(errors="replace").splitlines():
        item, _, rest = line.partition("\t")
        if item.isdecimal():
            yield int(item), rest.rpartition("\t")[2]
    if not fields["e"] and fields["f"] == b"1" and fields["n"] == b"1":
        yield int(fields["s"]), "its worker process died"


def _is_failure(event: Event, map_: _Span) -> TypeGuard[RunEndEvent]:
    """Whether an event says that an item of a map has failed."""
    if not isinstance(event, RunEndEvent) or event.status != "failed":
        return False
    return event.parent_span_id == map_.span_id
