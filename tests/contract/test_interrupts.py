"""Pauses and answers: contract 6, 16 and D9."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from hypergraph import (
    END,
    Graph,
    GraphConfigError,
    IncompatibleRunnerError,
    InterruptEvent,
    InterruptNode,
    NodeStartEvent,
    PauseInfo,
    RunEndEvent,
    RunStartEvent,
    RunStatus,
    node,
    route,
)
from tests.contract.members import Member


@node(output_name="draft")
def write(topic: str) -> str:
    return f"about {topic}"


@node(output_name="paper")
def publish(draft: str, decision: str) -> str:
    return f"{draft}: {decision}"


@node(output_name="aside")
def aside(topic: str) -> str:
    return topic.upper()


ask = InterruptNode("ask", input_param="draft", output_param="decision")
review = Graph([write, ask, publish], name="review")


def test_graphs_with_interrupts_are_refused_where_nobody_can_pause(plain_runner: Member) -> None:
    """ERR-03, checklist 15"""
    nested = Graph([Graph([review.as_node()], name="mid").as_node()])

    for graph, name in ((review, "ask"), (nested, "mid")):
        with pytest.raises(IncompatibleRunnerError, match="InterruptNode") as caught:
            plain_runner.run(graph, {"topic": "x"})
        assert caught.value.capability == "supports_interrupts"
        assert caught.value.node_name == name


def test_an_interrupt_pauses_the_run(pausing_runner: Member) -> None:
    """D9 TYPE-01"""
    result = pausing_runner.run(review, {"topic": "x"})

    assert result.status is RunStatus.PAUSED
    assert result.paused
    assert result.error is None
    assert result.pause == PauseInfo(node_name="ask", output_param="decision", value="about x")
    assert result.pause is not None
    assert result.pause.response_key == "decision"
    assert result.values == {"draft": "about x"}


def test_the_answer_resumes_the_run_without_a_warning(pausing_runner: Member) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = pausing_runner.run(review, {"topic": "x", "decision": "yes"})

    assert result.status is RunStatus.COMPLETED
    assert result["paper"] == "about x: yes"
    assert result["decision"] == "yes"


def test_even_none_and_false_are_answers(pausing_runner: Member) -> None:
    assert pausing_runner.run(review, {"topic": "x", "decision": None})["paper"] == "about x: None"
    assert pausing_runner.run(review, {"topic": "x", "decision": False})["decision"] is False


def test_interrupts_pause_one_at_a_time(pausing_runner: Member) -> None:
    second = InterruptNode("second", input_param="paper", output_param="seal")
    graph = Graph([write, ask, publish, second])
    given: dict[str, Any] = {"topic": "x"}
    seen = []
    while True:
        result = pausing_runner.run(graph, given)
        if result.pause is None:
            break
        seen.append(result.pause.node_name)
        given[result.pause.response_key] = "ok"

    assert seen == ["ask", "second"]
    assert result["seal"] == "ok"


def test_of_several_interrupts_the_first_one_runs_alone(pausing_runner: Member) -> None:
    """Contract 14.2"""
    other = InterruptNode("other", input_param="draft", output_param="else_")
    observed = pausing_runner.observe(Graph([write, ask, other, aside]), {"topic": "x"})

    assert observed.result.pause is not None
    assert observed.result.pause.node_name == "ask"
    assert "other" not in observed.starts


def test_what_waits_behind_an_interrupt_runs_after_the_answer(pausing_runner: Member) -> None:
    @node(output_name="copy")
    def copy(draft: str) -> str:
        return draft

    graph = Graph([write, ask, copy])

    assert "copy" not in pausing_runner.run(graph, {"topic": "x"})
    assert pausing_runner.run(graph, {"topic": "x", "decision": 1})["copy"] == "about x"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_answers_in_place_of_a_person(pausing_runner: Member, is_async: bool) -> None:
    async def later(draft: str) -> str:
        return f"seen {draft}"

    graph = Graph([write, ask.with_handler(later if is_async else lambda d: f"seen {d}"), publish])
    result = pausing_runner.run(graph, {"topic": "x"})

    assert result["paper"] == "about x: seen about x"
    assert pausing_runner.run(graph, {"topic": "x", "decision": "no"})["decision"] == "no"


def test_a_handler_that_raises_fails_its_node(pausing_runner: Member) -> None:
    def refuse(draft: str) -> str:
        raise KeyError("not today")

    graph = Graph([write, ask.with_handler(refuse), publish])

    with pytest.raises(RuntimeError, match=r"ask.*not today") as caught:
        pausing_runner.run(graph, {"topic": "x"})

    assert isinstance(caught.value.__cause__, KeyError)


def test_a_handler_is_asked_in_every_turn_of_a_loop(pausing_runner: Member) -> None:
    @node(output_name="draft")
    def rewrite(draft: str) -> str:
        return draft + "!"

    @route(targets=["rewrite", END])
    def until(decision: bool) -> Any:
        return END if decision else "rewrite"

    graph = Graph([rewrite, ask.with_handler(lambda draft: len(draft) > 2), until])

    assert pausing_runner.run(graph, {"draft": ""})["draft"] == "!!!"


# -- nested -------------------------------------------------------------------------------------

middle = Graph([review.as_node(name="inner")], name="middle")
top = Graph([middle.as_node(name="outer"), aside], name="top")


def test_a_nested_pause_pauses_all_around_it(pausing_runner: Member) -> None:
    result = pausing_runner.run(top, {"topic": "x"})

    assert result.paused
    assert result.pause is not None
    assert result.pause.node_name == "outer/inner/ask"
    assert result.pause.response_key == "outer.inner.decision"
    assert result.pause.value == "about x"
    assert result.values == {"aside": "X"}
    assert result["outer.inner"].values == {"draft": "about x"}
    assert result["outer"].status is RunStatus.PAUSED


def test_dotted_answers_resume_nested_interrupts(pausing_runner: Member) -> None:
    """D9 D8"""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = pausing_runner.run(top, {"topic": "x", "outer.inner.decision": "yes"})

    assert result.status is RunStatus.COMPLETED
    assert result["paper"] == "about x: yes"


def test_a_failure_beside_a_pause_is_a_failure(pausing_runner: Member) -> None:
    @node(output_name="never")
    def burst(topic: str) -> str:
        raise ValueError

    result = pausing_runner.fail(Graph([review.as_node(), burst]), {"topic": "x"})

    assert result.status is RunStatus.FAILED
    assert result.pause is None


def test_interrupts_cannot_stand_in_mapped_graphs() -> None:
    with pytest.raises(GraphConfigError, match="map_over") as caught:
        Graph([review.as_node().map_over("topic")])

    assert "InterruptNode" in str(caught.value)


# -- events -------------------------------------------------------------------------------------


def test_a_pause_is_told_and_closes_every_run_around_it(pausing_runner: Member) -> None:
    """D9"""
    observed = pausing_runner.observe(top, {"topic": "x"})
    (interrupt,) = (e for e in observed.events if isinstance(e, InterruptEvent))
    starts = [e for e in observed.events if isinstance(e, RunStartEvent)]
    ends = [e for e in observed.events if isinstance(e, RunEndEvent)]

    assert (interrupt.node_name, interrupt.graph_name) == ("ask", "review")
    assert (interrupt.value, interrupt.response_param) == ("about x", "decision")
    assert interrupt.run_id == starts[2].run_id
    assert interrupt.parent_span_id == starts[2].span_id
    assert [end.status for end in ends] == ["paused"] * 3
    assert [end.span_id for end in ends] == [start.span_id for start in reversed(starts)]
    assert observed.result.run_id == starts[0].run_id == ends[-1].run_id
    assert observed.events[-1] is ends[-1]
    assert any(isinstance(e, NodeStartEvent) and e.node_name == "ask" for e in observed.events)
