"""Stories of runs, told as events, and what falls due by them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hypergraph import END, Graph, InterruptNode, ifelse, node, route
from hypergraph.plan import (
    END_NAME,
    Conflict,
    Event,
    Failed,
    Paused,
    Phase,
    Plan,
    RunState,
    Started,
    Succeeded,
    compile_plan,
    decide,
)


@node(output_name="twice")
def double(x: int) -> int:
    return 2 * x


@node(output_name="thrice")
def triple(x: int) -> int:
    return 3 * x


@node(output_name="sum")
def add(twice: int, thrice: int) -> int:
    return twice + thrice


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> object:
    return "bump" if n < 2 else END


@route(targets=["bump", END], default_open=True)
def once_more(n: int) -> object:
    return "bump" if n < 2 else END


@node(output_name="view")
def show(n: int) -> str:
    return f"n={n}"


@node(output_name="reply")
def speak(log: list[str]) -> str:
    return f"turn {len(log)}"


@node(output_name="log")
def note(log: list[str], reply: str) -> list[str]:
    return [*log, reply]


@route(targets=["speak", END])
def more(log: list[str]) -> object:
    return END if len(log) >= 3 else "speak"


@node(output_name="a")
def fa(b: int) -> int:
    return min(b + 1, 5)


@node(output_name="b")
def fb(a: int) -> int:
    return min(a + 1, 5)


@route(targets=["left", "right", END], multi_target=True, name="first")
def first(x: int) -> list[str]:
    return ["left"]


@ifelse(when_true="left", when_false=END)
def second(x: int) -> bool:
    return True


@node(output_name="l")
def left(x: int) -> int:
    return x


@node(output_name="r")
def right(x: int) -> int:
    return x


@ifelse(when_true="second", when_false=END)
def outer_gate(x: int) -> bool:
    return True


DIAMOND = compile_plan(Graph([double, triple, add]))
LOOP = compile_plan(Graph([bump, again]))
DO_WHILE = compile_plan(Graph([bump, once_more]))
SHOWN_LOOP = compile_plan(Graph([show, bump, again]))
CHAT = compile_plan(Graph([speak, note, more]))
PING_PONG = compile_plan(Graph([fa, fb]))
TWO_GATES = compile_plan(Graph([first, second, left, right]))
GATED_GATE = compile_plan(Graph([outer_gate, second, left]))


def index(plan: Plan, name: str) -> int:
    return plan.index_of[name]


def event(plan: Plan, told: str) -> Event:
    """Return the event that a line tells.

    ``add`` succeeded with all its outputs new; ``add=`` with equal ones; ``add!`` failed;
    ``ask?`` paused; ``again>bump`` chose a target, ``first>left,right`` two, ``again>`` none.
    """
    if told[-1] in "=!?":
        at = index(plan, told[:-1])
        ends: dict[str, Event] = {"=": Succeeded(at, ()), "!": Failed(at), "?": Paused(at)}
        return ends[told[-1]]
    name, arrow, chosen = told.partition(">")
    at = index(plan, name)
    if not arrow:
        return Succeeded(at, plan.nodes[at].outputs)
    targets = tuple(END_NAME if t == "END" else t for t in chosen.split(",") if t)
    return Succeeded(at, (), targets or None)


def names(plan: Plan, due: Sequence[int]) -> str:
    return " ".join(plan.nodes[at].name for at in due)


def play(
    plan: Plan, provided: str, story: Sequence[str], limit: int = 1000
) -> tuple[RunState, list[str]]:
    """Return the run after a story, and what fell due at the start and by each line."""
    decision = decide(plan, RunState(), Started(tuple(provided.split()), limit))
    due = [names(plan, decision.due)]
    for told in story:
        decision = decide(plan, decision.state, event(plan, told))
        due.append(names(plan, decision.due))
    return decision.state, due


@pytest.mark.parametrize(
    ("plan", "provided", "story", "due"),
    [
        pytest.param(DIAMOND, "x", [], ["double triple"], id="start opens every ready node"),
        pytest.param(
            DIAMOND,
            "x",
            ["triple", "double", "add"],
            ["double triple", "", "add", ""],
            id="a join waits for its last input",
        ),
        pytest.param(DIAMOND, "", [], [""], id="without its input nothing is ready"),
        pytest.param(
            DIAMOND,
            "x twice",
            ["triple", "double", "add"],
            ["double triple", "", "add", ""],
            id="a given intermediate value does not stop its node",
        ),
        pytest.param(
            DIAMOND, "twice thrice", ["add"], ["add", ""], id="given values open what reads them"
        ),
        pytest.param(
            LOOP,
            "n",
            ["again>bump", "bump", "again>bump", "bump", "again>END"],
            ["again", "bump", "again", "bump", "again", ""],
            id="the gate looks before every turn, and END needs no extra turn",
        ),
        pytest.param(LOOP, "n", ["again>END"], ["again", ""], id="a gate may refuse at once"),
        pytest.param(LOOP, "n", ["again>"], ["again", ""], id="no decision opens nothing"),
        pytest.param(
            LOOP,
            "n",
            ["again>bump", "bump="],
            ["again", "bump", ""],
            id="an equal value ends a loop quietly",
        ),
        pytest.param(
            compile_plan(Graph([bump])),
            "n",
            ["bump"],
            ["bump", ""],
            id="a free self-loop runs once",
        ),
        pytest.param(
            SHOWN_LOOP,
            "n",
            ["show", "again>bump", "bump", "again>END", "show"],
            ["show again", "", "bump", "show again", "", ""],
            id="a free reader of a looped value runs beside the gate",
        ),
        pytest.param(
            CHAT,
            "log",
            ["more>speak", "speak", "note", "more>speak", "speak", "note", "more>END"],
            ["more", "speak", "note", "more", "speak", "note", "more", ""],
            id="a chat goes round until its gate ends it",
        ),
        pytest.param(
            CHAT,
            "log",
            ["more>speak", "speak", "note", "more>speak", "speak="],
            ["more", "speak", "note", "more", "speak", ""],
            id="a reply that repeats itself wakes nobody",
        ),
        pytest.param(
            PING_PONG,
            "a b",
            ["fa", "fb", "fa", "fb", "fa=", "fb="],
            ["fa fb", "", "fa fb", "", "fa fb", "", ""],
            id="a free cycle goes on while values change",
        ),
        pytest.param(
            PING_PONG,
            "a",
            ["fb", "fa", "fb="],
            ["fb", "fa", "fb", ""],
            id="a cycle may begin at either end",
        ),
        pytest.param(
            TWO_GATES,
            "x",
            ["first>END", "second>left", "left"],
            ["first second", "", "left", ""],
            id="one of two gates is enough",
        ),
        pytest.param(
            TWO_GATES,
            "x",
            ["first>right,left", "second>END", "left", "right"],
            ["first second", "", "left right", "", ""],
            id="a gate may open several",
        ),
        pytest.param(
            GATED_GATE,
            "x",
            ["outer_gate>second", "second>left", "left"],
            ["outer_gate", "second", "left", ""],
            id="a gate may open a gate, one superstep each",
        ),
        pytest.param(
            GATED_GATE, "x", ["outer_gate>END"], ["outer_gate", ""], id="a closed gate asks nobody"
        ),
    ],
)
def test_what_falls_due(plan: Plan, provided: str, story: list[str], due: list[str]) -> None:
    state, fell_due = play(plan, provided, story)

    assert fell_due == due
    assert (state.phase is Phase.COMPLETED) == (not state.running)


def test_an_open_gate_lets_its_target_run_before_the_first_decision() -> None:
    story = ["bump", "once_more>bump", "once_more>bump", "bump", "once_more>END"]

    state, due = play(DO_WHILE, "n", story)

    # The gate's first decision was made on the value before the turn, so it is asked again. From
    # then on it is a gate like any other.
    assert due == ["bump once_more", "", "once_more", "bump", "once_more", ""]
    assert state.phase is Phase.COMPLETED


@pytest.mark.parametrize(
    ("plan", "provided", "story", "phase", "culprit"),
    [
        pytest.param(
            DIAMOND, "x", ["double!", "triple"], Phase.FAILED, "double", id="siblings still end"
        ),
        pytest.param(
            DIAMOND,
            "x",
            ["triple!", "double!"],
            Phase.FAILED,
            "double",
            id="the first in graph order counts, not in time",
        ),
        pytest.param(
            DIAMOND, "x", ["double!"], Phase.RUNNING, "double", id="no end before the siblings'"
        ),
        pytest.param(
            SHOWN_LOOP,
            "n",
            ["show!", "again>bump"],
            Phase.FAILED,
            "show",
            id="nothing is begun after a failure",
        ),
        pytest.param(LOOP, "n", ["again!"], Phase.FAILED, "again", id="a gate fails like any node"),
    ],
)
def test_how_a_run_fails(
    plan: Plan, provided: str, story: list[str], phase: Phase, culprit: str
) -> None:
    state, due = play(plan, provided, story)

    assert due[1:] == [""] * len(story)
    assert state.phase is phase
    assert state.culprit == index(plan, culprit)


@pytest.mark.parametrize(
    ("limit", "phase"), [(5, Phase.COMPLETED), (4, Phase.EXHAUSTED)], ids=["enough", "one short"]
)
def test_a_run_is_exhausted_only_with_something_left_to_do(limit: int, phase: Phase) -> None:
    story = ["again>bump", "bump", "again>bump", "bump", "again>END"]

    state, _ = play(LOOP, "n", story[:limit], limit)

    assert state.phase is phase


@pytest.mark.parametrize(
    ("limit", "phase"), [(2, Phase.COMPLETED), (1, Phase.EXHAUSTED)], ids=["enough", "one short"]
)
def test_the_limit_holds_for_graphs_without_cycles(limit: int, phase: Phase) -> None:
    state, _ = play(DIAMOND, "x", ["double", "triple", "add"], limit)

    assert state.phase is phase


def test_two_writers_in_one_superstep_conflict_before_either_runs() -> None:
    @node(output_name="out")
    def one(x: int) -> int:
        return x

    @node(output_name="out")
    def other(x: int) -> int:
        return x

    @ifelse(when_true="one", when_false="other")
    def which(x: int) -> bool:
        return True

    @ifelse(when_true="other", when_false=END)
    def also(x: int) -> bool:
        return True

    plan = compile_plan(Graph([one, other, which, also]))

    state, due = play(plan, "x", ["which>one", "also>other"])
    assert due == ["which also", "", ""]
    assert state.phase is Phase.CONFLICT
    assert state.conflict == Conflict("out", (0, 1))

    state, due = play(plan, "x", ["which>one", "also>END", "one"])
    assert due == ["which also", "", "one", ""]
    assert state.phase is Phase.COMPLETED


def test_a_pause_runs_alone_and_the_others_wait_behind_it() -> None:
    ask = InterruptNode("ask", input_param="x", output_param="answer")
    again_ask = InterruptNode("again_ask", input_param="x", output_param="second")
    plan = compile_plan(Graph([double, ask, again_ask]))

    state, due = play(plan, "x", ["ask", "again_ask", "double"])
    assert due == ["ask", "again_ask", "double", ""]
    assert state.phase is Phase.COMPLETED

    state, due = play(plan, "x", ["ask?"])
    assert due == ["ask", ""]
    assert state.phase is Phase.PAUSED


def test_supersteps_are_kept_where_a_nested_graph_may_pause() -> None:
    inner = Graph([InterruptNode("ask", input_param="x", output_param="answer")], name="inner")
    plan = compile_plan(Graph([inner.as_node(), double, add]))

    state, due = play(plan, "x thrice", ["double", "inner?"])

    assert due == ["inner double", "", ""]
    assert state.phase is Phase.PAUSED


def test_an_output_that_a_nested_graph_left_out_opens_nobody() -> None:
    inner = Graph([double, second, left], name="inner")

    @node(output_name="end")
    def after(l: int) -> int:  # noqa: E741
        return l

    @node(output_name="other_end")
    def after_twice(twice: int) -> int:
        return twice

    plan = compile_plan(Graph([inner.as_node(), after, after_twice]))
    start = decide(plan, RunState(), Started(("x",)))

    decision = decide(plan, start.state, Succeeded(0, ("twice",)))
    assert names(plan, decision.due) == "after_twice"

    decision = decide(plan, decision.state, event(plan, "after_twice"))
    assert decision.state.phase is Phase.COMPLETED


def test_late_and_repeated_events_change_nothing() -> None:
    story = ["again>bump", "again>END", "bump", "bump", "again>bump", "bump!"]

    state, due = play(LOOP, "n", story)

    assert due == ["again", "bump", "", "again", "", "bump", ""]
    assert state.phase is Phase.FAILED
    assert decide(LOOP, state, Started(("n",))).due == ()
    assert decide(LOOP, state, event(LOOP, "again>bump")).state is state


def test_a_plan_survives_the_wire() -> None:
    nested = Graph([double], name="inner").as_node().with_inputs(x="xs").map_over("xs")
    graph = Graph([nested, first, second, left, right], name="g").bind(x=1).select("l")
    plan = compile_plan(graph)

    copy = Plan.from_wire(plan.to_wire())

    assert copy.to_wire() == plan.to_wire()
    assert copy.nodes[1:] == plan.nodes[1:]
    assert names(copy, decide(copy, RunState(), Started(("xs",))).due) == "inner first second"
