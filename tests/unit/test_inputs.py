"""What a caller gives to a run."""

from __future__ import annotations

from typing import Any

import pytest

from hypergraph import END, Graph, InterruptNode, MissingInputError, node, route
from hypergraph.plan import PlanNode, compile_plan, static_schedule
from hypergraph.plan.inputs import check, feed, merge


@node(output_name="mid")
def step_one(start: int) -> int:
    return start + 1


@node(output_name="end")
def step_two(mid: int, factor: int = 2) -> int:
    return mid * factor


@node(output_name=("left", "right"))
def halve(whole: str) -> tuple[str, str]:
    return whole[:1], whole[1:]


@node(output_name="joined")
def join(left: str, right: str) -> str:
    return left + right


@node(output_name="reply")
def speak(log: list[str]) -> str:
    return "hello"


@node(output_name="log")
def note(log: list[str], reply: str) -> list[str]:
    return [*log, reply]


@route(targets=["speak", END])
def more(log: list[str]) -> object:
    return END


@node(output_name="a")
def fa(b: int) -> int:
    return b


@node(output_name="b")
def fb(a: int) -> int:
    return a


TWO_STEPS = Graph([step_one, step_two], name="steps")
HALVES = Graph([halve, join])
CHAT = Graph([speak, note, more], name="chat")
NESTED = Graph([Graph([TWO_STEPS.as_node()], name="outer").as_node()])


def test_keywords_and_values_come_together() -> None:
    given = {"x": 1}

    assert merge(given, {"y": 2}) == {"x": 1, "y": 2}
    assert merge(None, {"y": 2}) == {"y": 2}
    assert given == {"x": 1}


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"twice.*'x'"):
        merge({"x": 1}, {"x": 1})


@pytest.mark.parametrize(
    ("graph", "provided", "missing"),
    [
        pytest.param(TWO_STEPS, "start", [], id="all there is"),
        pytest.param(TWO_STEPS, "start factor", [], id="an optional one too"),
        pytest.param(TWO_STEPS, "", ["start"], id="a required one is missing"),
        pytest.param(TWO_STEPS, "mid", [], id="a given intermediate value excuses its node"),
        pytest.param(HALVES, "left", ["whole"], id="half of what others read excuses nobody"),
        pytest.param(HALVES, "left right", [], id="all of what others read does"),
        pytest.param(CHAT, "log reply", [], id="both seeds"),
        pytest.param(CHAT, "log", [], id="the node that writes the log is bypassed"),
        pytest.param(CHAT, "reply", ["log"], id="the log has other readers"),
        pytest.param(Graph([fa, fb]), "a", [], id="one end of a cycle is enough"),
        pytest.param(Graph([fa, fb]), "b", [], id="either end"),
        pytest.param(Graph([fa, fb]), "", ["a", "b"], id="none is not"),
        pytest.param(TWO_STEPS.bind(start=1), "", [], id="a binding will do"),
        pytest.param(NESTED, "outer.steps.start", [], id="by its path"),
        pytest.param(NESTED, "outer.start", [], id="half-way down its path"),
        pytest.param(NESTED, "outer.steps.factor", ["start"], id="another one by its path"),
        pytest.param(
            Graph([TWO_STEPS.as_node(), step_one.with_name("again").with_outputs(mid="m2")]),
            "steps.start",
            ["start"],
            id="by its path for one reader of two",
        ),
        pytest.param(
            Graph([CHAT.as_node()]), "chat.log", ["reply"], id="a seed by its path is no bypass"
        ),
    ],
)
def test_what_a_run_cannot_start_without(graph: Graph, provided: str, missing: list[str]) -> None:
    if not missing:
        check(graph, provided.split())
        return
    with pytest.raises(MissingInputError) as raised:
        check(graph, provided.split())
    assert raised.value.missing == missing
    assert raised.value.provided == provided.split()


def test_a_seed_is_needed_even_if_its_parameter_has_a_default() -> None:
    @node(output_name="n")
    def bump(n: int = 0) -> int:
        return n + 1

    with pytest.raises(MissingInputError):
        check(Graph([bump]), [])


def test_a_node_all_of_whose_outputs_are_given_is_bypassed_beside_another() -> None:
    @node(output_name="aside")
    def aside(extra: int) -> int:
        return extra

    graph = Graph([step_one, step_two, aside])

    check(graph, ["mid", "aside"])
    with pytest.raises(MissingInputError, match="'extra', 'start'"):
        check(graph, ["aside"])


def test_a_missing_input_names_the_likely_slip() -> None:
    with pytest.raises(MissingInputError, match="strat"):
        check(TWO_STEPS, ["strat"])


@pytest.mark.parametrize(
    ("graph", "provided", "unknown"),
    [
        pytest.param(TWO_STEPS, "start", (), id="an input"),
        pytest.param(TWO_STEPS, "start mid", ("mid",), id="an intermediate value"),
        pytest.param(TWO_STEPS, "start zzz end", ("zzz", "end"), id="in the caller's order"),
        pytest.param(CHAT, "log reply", (), id="seeds"),
        pytest.param(NESTED, "outer.steps.start", (), id="a dotted name"),
        pytest.param(NESTED, "outer.start start", (), id="an input that nobody reads any more"),
    ],
)
def test_what_is_no_input_is_told(graph: Graph, provided: str, unknown: tuple[str, ...]) -> None:
    assert check(graph, provided.split()) == unknown


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("steps.start", "Possible: outer.start", id="not from the root"),
        pytest.param("outer.steps.mid", "Possible", id="an internal value"),
        pytest.param("outer.steps.end", "Possible", id="an output"),
        pytest.param("outer.steps.strat", "Did you mean 'outer.steps.start'", id="a slip"),
        pytest.param("outer.steps.start.deeper", "Possible", id="too deep"),
        pytest.param("zzz.start", "Possible", id="no such node"),
    ],
)
def test_a_dotted_name_that_leads_nowhere_is_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check(NESTED, ["start", name])


def test_without_nested_graphs_dots_lead_nowhere() -> None:
    with pytest.raises(ValueError, match="no nested graphs"):
        check(TWO_STEPS, ["start", "steps.factor"])


def test_a_dot_in_a_plain_input_is_not_a_path() -> None:
    graph = Graph([step_one.with_inputs(start="config.start")])

    assert check(graph, ["config.start"]) == ()
    assert feed(compile_plan(graph), ["config.start"]) is compile_plan(graph)


def only_node(graph: Graph, *provided: str) -> PlanNode:
    (fed,) = feed(compile_plan(graph), provided).nodes
    return fed


def nested_inputs(planned: PlanNode) -> dict[str, Any]:
    assert planned.nested is not None
    return dict(planned.nested.inputs)


def test_a_fed_node_reads_the_dotted_name_instead_of_its_own() -> None:
    fed = only_node(Graph([TWO_STEPS.as_node()]), "steps.factor")

    assert fed.inputs == fed.watches == ("start", "steps.factor")
    assert fed.needs == ("start", "steps.factor")
    assert nested_inputs(fed) == {"start": "start", "steps.factor": "factor"}


def test_a_dotted_name_is_the_name_inside_whatever_it_is_called_outside() -> None:
    renamed = TWO_STEPS.as_node().with_inputs(start="begin")

    fed = only_node(Graph([renamed]), "steps.start")

    assert nested_inputs(fed) == {"factor": "factor", "steps.start": "start"}


def test_a_list_to_map_over_may_be_given_by_its_path() -> None:
    mapped = TWO_STEPS.as_node().with_inputs(start="starts").map_over("starts")

    fed = only_node(Graph([mapped]), "steps.start")

    assert fed.nested is not None
    assert fed.nested.mapped == ("steps.start",)


def test_a_path_goes_down_one_name_at_a_time() -> None:
    fed = only_node(NESTED, "outer.steps.start")

    assert nested_inputs(fed) == {"factor": "factor", "outer.steps.start": "steps.start"}
    assert fed.nested is not None
    (inner,) = fed.nested.plan.nodes
    assert nested_inputs(inner) == {"factor": "factor", "steps.start": "start"}


def test_an_answer_may_be_given_by_its_path() -> None:
    inner = Graph([InterruptNode("ask", input_param="draft", output_param="answer")], name="inner")

    fed = only_node(Graph([inner.as_node()]), "inner.answer")

    assert nested_inputs(fed) == {"draft": "draft", "inner.answer": "answer"}


def test_feeding_changes_neither_the_plan_nor_what_is_not_dotted() -> None:
    plan = compile_plan(NESTED)
    before = plan.to_wire()

    assert feed(plan, ["start", "factor"]) is plan
    fed = feed(plan, ["outer.start"])
    assert plan.to_wire() == before
    assert static_schedule(fed, ["outer.start"]) == ((0,),)
    assert static_schedule(fed, []) == ()
