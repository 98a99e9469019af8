"""Events that travel come out as they went in, under ids that the reader makes."""

from __future__ import annotations

from hypergraph import (
    END,
    Event,
    Graph,
    NodeEndEvent,
    NodeErrorEvent,
    NodeStartEvent,
    RouteDecisionEvent,
    RunEndEvent,
    RunStartEvent,
    SyncRunner,
    node,
)
from hypergraph.events.wire import pack_events, restore, unpack_events
from tests.contract.members import Notebook
from tests.contract.spans import check_spans, told


@node(output_name="b")
def half(a: int) -> float:
    return 1 / a


def seen(a: int) -> list[Event]:
    notebook = Notebook()
    inner = Graph([half], name="inner")
    graph = Graph([inner.as_node()], name="outer")
    SyncRunner().run(graph, a=a, error_handling="continue", event_processors=[notebook])
    return notebook.events


def travelled(runs: list[list[Event]]) -> list[list[Event]]:
    return [
        list(restore(rows, "run-{}".format, "span-{}".format, "above", "w1/c0/0", 2))
        for rows in unpack_events(pack_events(runs))
    ]


def test_spans_and_runs_keep_their_structure() -> None:
    (events,) = travelled([seen(2)])

    assert told(events) == told(seen(2))
    outer = events[0]
    assert isinstance(outer, RunStartEvent)
    assert (outer.run_id, outer.span_id, outer.parent_span_id) == ("run-0", "span-0", "above")
    start = RunStartEvent("all", "above")
    end = RunEndEvent("all", "above")
    check_spans([start, *events, end])
    assert {event.run_id for event in events} == {"run-0", "run-1"}


def test_nodes_say_who_carried_them_out() -> None:
    (events,) = travelled([seen(0)])
    kinds = NodeStartEvent | NodeEndEvent | NodeErrorEvent

    by = {(e.worker, e.attempt) for e in events if isinstance(e, kinds)}
    assert by == {("w1/c0/0", 2)}
    errors = [e for e in events if isinstance(e, NodeErrorEvent)]
    assert [(e.error, e.error_type) for e in errors] == [
        ("division by zero", "builtins.ZeroDivisionError")
    ] * 2


def test_each_run_is_numbered_by_itself() -> None:
    first, second = travelled([seen(1), seen(2)])

    assert [e.span_id for e in first] == [e.span_id for e in second]


def test_decisions_come_out_as_they_were() -> None:
    decisions = ["a", END, ["a", "b"], [END], None]
    events: list[Event] = [RouteDecisionEvent("r", decision=decision) for decision in decisions]
    (back,) = travelled([events])

    assert [e.decision for e in back if isinstance(e, RouteDecisionEvent)] == decisions


def test_many_items_are_packed_tightly() -> None:
    packed = pack_events([seen(2)] * 200)

    assert len(packed) < 200 * 8 * 25  # eight events per item
