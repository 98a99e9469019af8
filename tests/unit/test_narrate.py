"""What is told of a run follows from its record, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypergraph import (
    END,
    Event,
    Graph,
    InterruptEvent,
    InterruptNode,
    NodeEndEvent,
    NodeErrorEvent,
    NodeStartEvent,
    RunEndEvent,
    node,
    route,
)
from hypergraph.coordinator.narrate import Narrator
from hypergraph.errors import WorkerCrashed
from hypergraph.plan import compile_plan
from hypergraph.plan.inputs import feed
from hypergraph.store.contract import Entry
from hypergraph.store.records import Answer, Crash, End, GraphSpec, Question, Report, Sealer, Start
from hypergraph.store.sights import Sight
from hypergraph.values.failure import pack_failure
from hypergraph.values.sign import Signer
from tests.contract.spans import check_spans, told

SEALER = Sealer(Signer(b"our secret"), "n")


@node(output_name="a")
def first(x: int) -> int:
    return x


@node(output_name="b")
def second(a: int) -> int:
    return a


@route(targets=["second", END])
def gate(a: int) -> Any:
    return END


chain = Graph([first, second], name="chain")


def ref(name: str) -> list[Any]:
    return [f"digest of {name}", 10]


class Record:
    """The journal of a run, and what there is to be seen of it, told entry by entry."""

    def __init__(self, graph: Graph) -> None:
        plan = feed(compile_plan(graph), {"x": 1})
        self._spec = GraphSpec(plan, {}, {})
        self._log: list[Entry | Sight] = []
        self._seq = self._seen = 0
        self._write(k="start", p=SEALER.seal(Start("g", {"x": ref("x")}), "run-1"))

    def _write(self, **fields: str | bytes | int) -> None:
        self._seq += 1
        self._log.append(Entry(self._seq, _as_bytes(fields)))

    def taken(self, task: str, attempt: int = 1, at: int = 2000) -> Record:
        self._seen += 1
        fields = {"k": "taken", "task": task, "a": attempt, "w": "w1/c0/0", "at": at}
        self._log.append(Sight(self._seq, self._seen, _as_bytes(fields)))
        return self

    def done(self, task: str, *outputs: str, attempt: int = 1, **report: Any) -> Record:
        report.setdefault("started_ms", 2000)
        made = Report({name: ref(name) for name in outputs}, **report)
        kind = "fail" if made.error else "done"
        sealed = SEALER.seal(made, "run-1", task, "1")
        self._write(k=kind, task=task, a=attempt, w="w1/c0/0", ep="1", p=sealed)
        return self

    def crash(self, task: str, failure: bytes) -> Record:
        sealed = SEALER.seal(Crash(task, -1, failure), "run-1")
        self._write(k="crash", task=task, a=3, w="w1/c0/0", p=sealed, at=4000)
        return self

    def end(self, status: str = "completed", **end: Any) -> Record:
        self._write(k="end", status=status, p=SEALER.seal(End(**end), "run-1"), at=9000)
        return self

    def pause(self, path: str, output: str) -> Record:
        self._write(k="pause", p=SEALER.seal(Question(path, output), "run-1"), at=5000)
        return self

    def answer(self, key: str) -> Record:
        sealed = SEALER.seal(Answer(key, ref(key)), "run-1", "1")
        self._write(k="answer", ep="1", p=sealed, at=6000)
        return self

    def told(self) -> list[Event]:
        meta = {"created_ms": b"1000", "graph": b"chain"}
        narrator = Narrator("run-1", SEALER, lambda _: self._spec, meta)
        events: list[Event] = []
        for line in self._log:
            events += narrator.tell(line) if isinstance(line, Entry) else narrator.see(line)
        return events


def _as_bytes(fields: dict[str, Any]) -> dict[str, bytes]:
    return {k: v if isinstance(v, bytes) else str(v).encode() for k, v in fields.items()}


def times(events: Iterable[Event]) -> list[float]:
    return [event.timestamp for event in events]


def test_a_run_that_nobody_observed_is_told_all_the_same() -> None:
    events = Record(chain).done("first", "a").done("second", "b").end().told()

    assert told(events) == [
        "run chain",
        "node first",
        "end of node first",
        "node second",
        "end of node second",
        "end of run chain",
    ]
    check_spans(events)


def test_a_claim_is_the_start_of_a_node_and_only_the_first_one() -> None:
    record = Record(chain).taken("first").taken("first", attempt=2, at=3000)
    (start,) = (e for e in record.told() if isinstance(e, NodeStartEvent))

    assert (start.node_name, start.worker, start.attempt) == ("first", "w1/c0/0", 1)
    assert start.timestamp == 2.0
    (end,) = (e for e in record.done("first", "a", attempt=2).told() if isinstance(e, NodeEndEvent))
    assert (end.attempt, end.span_id) == (2, start.span_id)


def test_all_readers_are_told_the_same() -> None:
    record = Record(chain).taken("first").done("first", "a").done("second", "b").end()

    assert record.told() == record.told()


def test_time_does_not_go_back_whatever_clocks_say() -> None:
    record = Record(chain).done("first", "a", started_ms=8000, took_us=10)
    events = record.done("second", "b", started_ms=10, took_us=10).end().told()

    assert times(events) == sorted(times(events))


def test_a_failure_is_told_with_its_own_text_and_class() -> None:
    record = Record(chain).done("first", error=ref("e"), kind="builtins.ValueError", message="no")
    *_, error, end = record.end("failed").told()

    assert isinstance(error, NodeErrorEvent)
    assert (error.error, error.error_type) == ("no", "builtins.ValueError")
    assert isinstance(end, RunEndEvent)
    assert (end.status, end.error) == ("failed", "no")


def test_a_cancelled_run_leaves_no_span_open() -> None:
    inner = Graph([chain.as_node()], name="inner")
    record = Record(Graph([inner.as_node()], name="outer")).taken("inner/chain/first")
    events = record.end("cancelled", by="ann").told()

    check_spans(events)
    assert told(events)[-6:] == [
        "error of node first",
        "end of run chain",
        "error of node chain",
        "end of run inner",
        "error of node inner",
        "end of run outer",
    ]
    end = events[-1]
    assert isinstance(end, RunEndEvent)
    assert (end.status, end.error) == ("cancelled", "cancelled by ann")


def test_decisions_are_told_as_users_write_them() -> None:
    record = Record(Graph([first, gate, second])).done("first", "a")
    events = record.done("gate", decision=("/end",)).end().told()

    assert [e.decision for e in events if hasattr(e, "decision")] == [END]


def test_a_pause_closes_what_is_open_and_an_answer_opens_it_again() -> None:
    ask = InterruptNode("ask", input_param="a", output_param="decision")
    inner = Graph([first, ask], name="inner")
    record = Record(Graph([inner.as_node()], name="outer")).done("inner/first", "a")
    paused = record.pause("inner/ask", "decision").told()

    assert [(e.status, e.graph_name) for e in paused if isinstance(e, RunEndEvent)] == [
        ("paused", "inner"),
        ("paused", "outer"),
    ]
    (asked,) = (e for e in paused if isinstance(e, InterruptEvent))
    assert (asked.node_name, asked.response_param) == ("ask", "decision")
    again = record.answer("inner.decision").end().told()[len(paused) :]
    check_spans(again)
    assert told(again) == [
        "run outer",
        "node inner",
        "run inner",
        "node ask",
        "end of node ask",
        "end of run inner",
        "end of node inner",
        "end of run outer",
    ]
    assert {e.run_id for e in again} == {e.run_id for e in paused}
    assert {e.span_id for e in again}.isdisjoint(e.span_id for e in paused)


def test_a_node_that_killed_its_workers_is_told_by_what_it_died_of() -> None:
    error = WorkerCrashed(signal=11, exit_code=None, node="first", worker="w1", attempts=3)
    failure = pack_failure(error, node="first", item=None, worker="w1", attempt=3)
    record = Record(chain).taken("first").crash("first", failure).end("failed")
    *_, failed, _ = record.told()

    check_spans(record.told())
    assert isinstance(failed, NodeErrorEvent)
    assert "SIGSEGV" in failed.error
    assert (failed.error_type, failed.attempt) == ("hypergraph.errors.WorkerCrashed", 3)


def test_items_are_told_as_far_as_anybody_knows_of_them() -> None:
    def ranged(number: int, start: int, count: int, failures: int, errors: str = "") -> Sight:
        fields = {"k": "range", "map": "map", "s": start, "n": count, "f": failures, "e": errors}
        return Sight(1, number, _as_bytes({**fields, "ev": "", "a": 3, "w": "w1/c0/0", "at": 3000}))

    def no_spec(_: str) -> GraphSpec:
        raise AssertionError

    meta = {"created_ms": b"1000", "graph": b"m", "total": b"9", "raises": b"0"}
    narrator = Narrator("run-1", SEALER, no_spec, meta)
    events = [
        *narrator.tell(Entry(1, {"k": b"start", "p": b""})),
        *narrator.see(ranged(1, 0, 2, 1, "1\tsecond\tValueError: no")),
        *narrator.see(ranged(2, 2, 1, 1)),  # it killed its workers, so none of them said more
        *narrator.see(ranged(3, 3, 6, 5, "4\tsecond\tValueError: no")),  # which others failed?
        *narrator.tell(Entry(2, _as_bytes({"k": "end", "status": "partial", "p": "", "at": 5000}))),
    ]

    check_spans(events)
    ends = [(e.status, e.error) for e in events if isinstance(e, RunEndEvent)]
    assert ends == [
        ("completed", None),
        ("failed", "ValueError: no"),
        ("failed", "its worker process died"),
        ("failed", "ValueError: no"),
        ("completed", None),
    ]
