"""What is told of runs and maps, and in which order: contract 19.1 and 19.2.

EVT-01
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from hypergraph import (
    END,
    Graph,
    NodeEndEvent,
    NodeErrorEvent,
    NodeStartEvent,
    RouteDecisionEvent,
    RunEndEvent,
    RunStartEvent,
    ifelse,
    node,
    route,
)
from tests.contract.members import Member, Notebook
from tests.contract.spans import check_spans, told


@node(output_name="a")
def first(x: int) -> int:
    return x + 1


@node(output_name="b")
def second(a: int) -> int:
    if a < 0:
        raise ValueError(f"negative: {a}")
    return a * 2


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> Any:
    return "bump" if n < 1 else END


chain = Graph([first, second], name="chain")


# -- runs -----------------------------------------------------------------------------------------


def test_a_run_is_told_from_start_to_end(runner: Member) -> None:
    """EVT-01"""
    observed = runner.observe(chain, {"x": 1})

    assert told(observed.events) == [
        "run chain",
        "node first",
        "end of node first",
        "node second",
        "end of node second",
        "end of run chain",
    ]
    check_spans(observed.events)
    assert {event.run_id for event in observed.events} == {observed.result.run_id}
    start, end = observed.events[0], observed.events[-1]
    assert isinstance(start, RunStartEvent)
    assert (start.parent_span_id, start.is_map, start.map_size) == (None, False, None)
    assert isinstance(end, RunEndEvent)
    assert (end.status, end.error) == ("completed", None)
    assert end.duration_ms > 0
    times = [event.timestamp for event in observed.events]
    assert times == sorted(times)
    assert abs(times[0] - time.time()) < 60
    assert all(e.duration_ms > 0 for e in observed.events if isinstance(e, NodeEndEvent))
    nodes = [e for e in observed.events if isinstance(e, NodeStartEvent | NodeEndEvent)]
    assert {e.parent_span_id for e in nodes} == {start.span_id}
    assert {e.graph_name for e in nodes} == {"chain"}


def test_a_graph_without_a_name_has_none_in_its_events(runner: Member) -> None:
    observed = runner.observe(Graph([first]), {"x": 1})

    assert {e.graph_name for e in observed.events if isinstance(e, RunStartEvent)} == {None}


def test_a_gate_tells_its_decision_between_start_and_end(runner: Member) -> None:
    """Checklist 21"""
    observed = runner.observe(Graph([bump, again], name="loop"), {"n": 0})

    assert told(observed.events)[1:6] == [
        "node again",
        "decision of node again",
        "end of node again",
        "node bump",
        "end of node bump",
    ]
    check_spans(observed.events)
    decisions = [e for e in observed.events if isinstance(e, RouteDecisionEvent)]
    assert decisions[0].decision == "bump"
    assert decisions[1].decision == END
    assert {d.parent_span_id for d in decisions} == {observed.events[0].span_id}
    assert len({d.span_id for d in decisions} | {observed.events[0].span_id}) == 3


def test_decisions_are_told_as_they_were_made(runner: Member) -> None:
    @ifelse(when_true="first", when_false=END)
    def go(x: int) -> bool:
        return x > 0

    @route(targets=["first"], multi_target=True)
    def several(x: int) -> Any:
        return ["first"] if x > 0 else None

    def decision(gate: Any, x: int) -> Any:
        events = runner.observe(Graph([first, gate]), {"x": x}).events
        (decided,) = (e for e in events if isinstance(e, RouteDecisionEvent))
        return decided.decision

    assert [decision(go, 1), decision(go, 0)] == ["first", END]
    assert [decision(several, 1), decision(several, 0)] == [["first"], None]


def test_a_failure_is_told_in_the_place_of_the_end(runner: Member) -> None:
    observed = runner.observe(chain, {"x": -5})

    assert told(observed.events)[3:] == ["node second", "error of node second", "end of run chain"]
    check_spans(observed.events)
    error, end = observed.events[-2:]
    assert isinstance(error, NodeErrorEvent)
    assert error.error == "negative: -4"
    assert "ValueError" in error.error_type
    assert isinstance(end, RunEndEvent)
    assert (end.status, end.error) == ("failed", "negative: -4")
    assert end.run_id == observed.result.run_id


def test_a_gate_that_raises_is_told_like_any_node(runner: Member) -> None:
    @route(targets=["first"])
    def odd(x: int) -> Any:
        raise KeyError("odd")

    observed = runner.observe(Graph([first, odd]), {"x": 1})

    assert told(observed.events) == ["run None", "node odd", "error of node odd", "end of run None"]
    check_spans(observed.events)


def test_nested_runs_lie_in_the_spans_of_their_nodes(runner: Member) -> None:
    """NEST-04"""
    middle = Graph([chain.as_node()], name="middle")
    observed = runner.observe(Graph([middle.as_node()], name="outer"), {"x": 1})
    starts = [e for e in observed.events if isinstance(e, RunStartEvent)]
    nodes = {e.node_name: e for e in observed.events if isinstance(e, NodeStartEvent)}

    check_spans(observed.events)
    assert [start.graph_name for start in starts] == ["outer", "middle", "chain"]
    assert [start.parent_span_id for start in starts] == [
        None,
        nodes["middle"].span_id,
        nodes["chain"].span_id,
    ]
    assert len({start.run_id for start in starts}) == 3
    assert observed.result["middle"].run_id == starts[1].run_id
    assert observed.result["middle.chain"].run_id == starts[2].run_id


def test_an_inner_failure_is_told_on_every_level(runner: Member) -> None:
    observed = runner.observe(Graph([chain.as_node()], name="outer"), {"x": -5})

    assert told(observed.events)[-4:] == [
        "error of node second",
        "end of run chain",
        "error of node chain",
        "end of run outer",
    ]
    check_spans(observed.events)


def test_siblings_keep_their_nested_runs_apart(runner: Member) -> None:
    left = chain.as_node(name="left")
    right = chain.as_node(name="right").with_outputs(a="c", b="d")
    observed = runner.observe(Graph([left, right], name="outer"), {"x": 1})
    nodes = {e.node_name: e.span_id for e in observed.events if isinstance(e, NodeStartEvent)}
    inner = [e for e in observed.events if isinstance(e, RunStartEvent)][1:]

    check_spans(observed.events)
    assert {run.parent_span_id for run in inner} == {nodes["left"], nodes["right"]}


# -- maps -----------------------------------------------------------------------------------------


def test_a_map_is_one_span_with_a_run_per_item(runner: Member) -> None:
    notebook = runner.observe_map(chain, {"x": [1, 2, 3]}, map_over="x")
    outer, *items = notebook.of(RunStartEvent)

    check_spans(notebook.events)
    assert (outer.is_map, outer.map_size, outer.graph_name) == (True, 3, "chain")
    assert outer.parent_span_id is None
    assert [(i.is_map, i.parent_span_id) for i in items] == [(False, outer.span_id)] * 3
    assert len({i.run_id for i in items} | {outer.run_id}) == 4
    assert len(notebook.of(RunEndEvent)) == 4
    assert notebook.shutdowns == 1


def test_the_results_of_a_map_have_the_ids_of_its_runs(runner: Member) -> None:
    notebook = Notebook()
    results = runner.map(chain, {"x": [1, 2]}, map_over="x", event_processors=[notebook])

    told = [e.run_id for e in notebook.of(RunStartEvent)[1:]]
    if not runner.is_local:  # they are told as they are done
        told.sort(key=[r.run_id for r in results].index)
    assert [r.run_id for r in results] == told


def test_a_map_that_raises_has_failed(runner: Member) -> None:
    def last(error_handling: str) -> RunEndEvent:
        notebook = Notebook()
        with suppress(ValueError):
            runner.map(
                chain,
                {"x": [1, -5]},
                map_over="x",
                error_handling=error_handling,
                event_processors=[notebook],
            )
        check_spans(notebook.events)
        assert notebook.shutdowns == 1
        end: RunEndEvent = notebook.of(RunEndEvent)[-1]
        return end

    assert (last("raise").status, last("raise").error) == ("failed", "negative: -4")
    assert last("continue").status == "completed"


def test_a_map_of_nothing_is_not_told(runner: Member) -> None:
    """Checklist 22"""
    notebook = runner.observe_map(chain, {"x": []}, map_over="x")

    assert (notebook.events, notebook.shutdowns) == ([], 0)


def test_a_mapped_node_is_told_like_a_map_inside_its_span(runner: Member) -> None:
    graph = Graph([chain.as_node().map_over("x")], name="outer")
    observed = runner.observe(graph, {"x": [1, 2]})
    outer, mapped, *items = (e for e in observed.events if isinstance(e, RunStartEvent))
    (node_start,) = (
        e for e in observed.events if isinstance(e, NodeStartEvent) and e.node_name == "chain"
    )

    check_spans(observed.events)
    assert (mapped.is_map, mapped.map_size) == (True, 2)
    assert mapped.parent_span_id == node_start.span_id
    assert [item.parent_span_id for item in items] == [mapped.span_id] * 2
    assert outer.run_id == observed.result.run_id
    empty = runner.observe(graph, {"x": []})
    assert told(empty.events) == [
        "run outer",
        "node chain",
        "end of node chain",
        "end of run outer",
    ]
