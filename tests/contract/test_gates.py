"""Gates, cycles and what makes a node run again: contract 5, 13 and D4, D6.

GRAPH-07 GRAPH-08 ERR-04 ERR-05 TYPE-04 TYPE-05
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from hypergraph import (
    END,
    ConflictError,
    Graph,
    HyperNode,
    InfiniteLoopError,
    MissingInputError,
    RunStatus,
    ifelse,
    node,
    route,
)
from tests.contract.members import Member


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> Any:
    return "bump" if n < 2 else END


@node(output_name="view")
def show(n: int) -> str:
    return f"n={n}"


@node(output_name="reply")
def speak(log: list[str]) -> str:
    return f"turn {len(log)}"


@node(output_name="reply")
def drone(log: list[str]) -> str:
    return "same"


@node(output_name="log")
def note(log: list[str], reply: str) -> list[str]:
    return [*log, reply]


@route(targets=["speak", END])
def more(log: list[str]) -> Any:
    return END if len(log) >= 3 else "speak"


@route(targets=["drone", END])
def more_of_it(log: list[str]) -> Any:
    return END if len(log) >= 3 else "drone"


@node(output_name="a")
def fa(b: int) -> int:
    return min(b + 1, 5)


@node(output_name="b")
def fb(a: int) -> int:
    return min(a + 1, 5)


@pytest.mark.parametrize(
    ("nodes", "given", "starts", "values"),
    [
        pytest.param(
            [bump, again], {"n": 0}, "again bump again bump again", {"n": 2}, id="a while loop"
        ),
        pytest.param([bump, again], {"n": 7}, "again", {"n": 7}, id="a loop that need not begin"),
        pytest.param([bump], {"n": 0}, "bump", {"n": 1}, id="a free self-loop runs once"),
        pytest.param(
            [show, bump, again],
            {"n": 0},
            "show again bump show again bump show again",
            {"view": "n=2", "n": 2},
            id="free readers run again with every change",
        ),
        pytest.param(
            [speak, note, more],
            {"log": []},
            "more speak note more speak note more speak note more",
            {"reply": "turn 2", "log": ["turn 0", "turn 1", "turn 2"]},
            id="a chat loop",
        ),
        pytest.param(
            [drone, note, more_of_it],
            {"log": []},
            "more_of_it drone note more_of_it drone",
            {"reply": "same", "log": ["same"]},
            id="an equal value wakes nobody",
        ),
        pytest.param(
            [fa, fb],
            {"a": 0, "b": 0},
            "fa fb fa fb fa fb fa fb fa fb fa fb",
            {"a": 5, "b": 5},
            id="a free cycle runs until values stay",
        ),
    ],
)
def test_traces(
    runner: Member, nodes: list[HyperNode], given: dict[str, Any], starts: str, values: Any
) -> None:
    """Contract 13.7, checklist 18 and 19"""
    observed = runner.observe(Graph(nodes), given)

    assert observed.result.status is RunStatus.COMPLETED
    assert observed.result.values == values
    if len(nodes) > 2 or "fa" not in starts:
        assert observed.starts == starts


def test_a_cycle_may_start_from_one_of_its_values(runner: Member) -> None:
    observed = runner.observe(Graph([fa, fb]), {"a": 0})

    assert observed.starts.startswith("fb fa fb fa")
    assert observed.result.values == {"a": 5, "b": 5}


def test_a_limit_that_is_just_enough_is_enough(runner: Member) -> None:
    """ERR-05, checklist 16"""
    loop = Graph([bump, again])

    assert runner.run(loop, {"n": 0}, max_iterations=5)["n"] == 2
    with pytest.raises(InfiniteLoopError, match=r"max_iterations=4"):
        runner.run(loop, {"n": 0}, max_iterations=4)
    result = runner.fail(loop, {"n": 0}, max_iterations=4)
    assert isinstance(result.error, InfiniteLoopError)
    assert result.error.max_iterations == 4
    assert result.values == {"n": 2}


def test_a_seed_must_be_given_even_if_it_has_a_default(runner: Member) -> None:
    """Checklist 8 TYPE-04"""

    @node(output_name="n")
    def up(n: int = 0) -> int:
        return n + 1

    graph = Graph([up])

    assert graph.inputs.seeds == ("n",)
    with pytest.raises(MissingInputError):
        runner.run(graph)


def test_a_seed_that_nothing_replaced_comes_back(runner: Member) -> None:
    @route(targets=["bump", END])
    def never(n: int) -> Any:
        return END

    assert runner.run(Graph([bump, never]), {"n": 3}).values == {"n": 3}


def test_a_limit_of_zero_or_none_is_the_default(runner: Member) -> None:
    for limit in (0, None):
        assert runner.run(Graph([bump, again]), {"n": 0}, max_iterations=limit)["n"] == 2


# -- gates --------------------------------------------------------------------------------------


@node(output_name="left")
def go_left(x: int) -> str:
    return f"left {x}"


@node(output_name="right")
def go_right(x: int) -> str:
    return f"right {x}"


@ifelse(when_true="go_left", when_false="go_right")
def is_small(x: int) -> bool:
    return x < 5


def test_a_target_waits_for_its_gate(runner: Member) -> None:
    """D4"""
    graph = Graph([go_left, go_right, is_small])

    assert runner.run(graph, {"x": 1}).values == {"left": "left 1"}
    assert runner.run(graph, {"x": 9}).values == {"right": "right 9"}
    assert runner.observe(graph, {"x": 1}).starts == "is_small go_left"


def test_exclusive_branches_may_write_one_name(runner: Member) -> None:
    """GRAPH-07"""
    graph = Graph([go_left.with_outputs(left="way"), go_right.with_outputs(right="way"), is_small])

    assert [runner.run(graph, {"x": x})["way"] for x in (1, 9)] == ["left 1", "right 9"]


def test_readers_of_a_branch_not_taken_do_not_run(runner: Member) -> None:
    @node(output_name="said")
    def say(right: str) -> str:
        return right

    result = runner.run(Graph([go_left, go_right, is_small, say]), {"x": 1})

    assert result.values == {"left": "left 1"}


def test_a_gate_may_choose_several_targets_none_or_the_fallback(runner: Member) -> None:
    @route(targets=["go_left", "go_right"], multi_target=True)
    def several(x: int) -> Any:
        return {1: ["go_left"], 2: ["go_left", "go_right"], 3: []}.get(x)

    @route(targets=["go_left"], fallback="go_right")
    def one_or_other(x: int) -> Any:
        return "go_left" if x == 1 else None

    @route(targets=["go_left"])
    def perhaps(x: int) -> Any:
        return None

    both = Graph([go_left, go_right, several])
    either = Graph([go_left, go_right, one_or_other])

    assert [set(runner.run(both, {"x": x}).values) for x in (1, 2, 3, 4)] == [
        {"left"},
        {"left", "right"},
        set(),
        set(),
    ]
    assert [set(runner.run(either, {"x": x}).values) for x in (1, 2)] == [{"left"}, {"right"}]
    assert runner.run(Graph([go_left, perhaps]), {"x": 1}).values == {}


def test_end_stops_only_what_the_gate_would_start(runner: Member) -> None:
    @route(targets=["go_left", END])
    def stop(x: int) -> Any:
        return END

    assert runner.run(Graph([go_left, go_right, stop]), {"x": 1}).values == {"right": "right 1"}


def test_one_of_several_gates_is_enough(runner: Member) -> None:
    @route(targets=["go_left", END])
    def no(x: int) -> Any:
        return END

    @route(targets=["go_left", END])
    def yes(x: int) -> Any:
        return "go_left"

    assert runner.run(Graph([go_left, no, yes]), {"x": 1})["left"] == "left 1"


def test_gates_may_choose_gates(runner: Member) -> None:
    @route(targets=["is_small", END])
    def before(x: int) -> Any:
        return "is_small" if x else END

    graph = Graph([go_left, go_right, is_small, before])

    assert runner.observe(graph, {"x": 1}).starts == "before is_small go_left"
    assert runner.observe(graph, {"x": 0}).starts == "before"


def test_targets_may_be_open_until_their_gate_has_decided(runner: Member) -> None:
    """D4"""

    @route(targets=["bump", END], default_open=True)
    def until(n: int) -> Any:
        return "bump" if n < 2 else END

    observed = runner.observe(Graph([bump, until]), {"n": 5})

    assert observed.result["n"] == 6
    assert sorted(observed.starts.split()) == ["bump", "until", "until"]


def test_a_loop_whose_gate_reads_what_only_its_target_writes_does_nothing(runner: Member) -> None:
    @node(output_name="draft")
    def write(topic: str) -> str:
        return topic

    @route(targets=["write", END])
    def judge(draft: str) -> Any:
        return END

    result = runner.run(Graph([write, judge]), {"topic": "x"})

    assert (result.status, result.values) == (RunStatus.COMPLETED, {})


@pytest.mark.parametrize(
    ("options", "decision", "error", "words"),
    [
        ({}, ["go_left"], TypeError, "multi_target=False but returned a list"),
        ({"multi_target": True}, ("go_left",), TypeError, "multi_target=True but returned tuple"),
        ({}, "nowhere", ValueError, "invalid target"),
        ({}, END, ValueError, "invalid target"),
    ],
)
def test_a_decision_against_the_rules_fails_the_run(
    runner: Member, options: Any, decision: Any, error: type[Exception], words: str
) -> None:
    @route(targets=["go_left"], **options)
    def odd(x: int) -> Any:
        return decision

    with pytest.raises(error, match=words):
        runner.run(Graph([go_left, odd]), {"x": 1})


def test_the_string_end_is_no_end(local_runner: Member) -> None:
    @route(targets=["go_left", END])
    def odd(x: int) -> Any:
        return "END"

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = local_runner.fail(Graph([go_left, odd]), {"x": 1})

    assert isinstance(result.error, ValueError)
    assert any("string 'END'" in str(w.message) and "sentinel" in str(w.message) for w in caught)


def test_an_ifelse_gate_wants_a_bool(runner: Member) -> None:
    @ifelse(when_true="go_left", when_false=END)
    def odd(x: int) -> Any:
        return 1

    with pytest.raises(TypeError, match=r"must return bool.*int"):
        runner.run(Graph([go_left, odd]), {"x": 1})


def test_two_writers_in_one_superstep_are_a_conflict_and_neither_runs(runner: Member) -> None:
    """ERR-04 D6"""

    @route(targets=["go_left", "go_right"], name="first_gate")
    def gate(x: int) -> Any:
        return "go_left" if x else "go_right"

    @route(targets=["other", "go_right"], name="second_gate")
    def gate2(x: int) -> Any:
        return "go_right"

    @node(output_name="unused")
    def other(x: int) -> int:
        return x

    left, right = go_left.with_outputs(left="way"), go_right.with_outputs(right="way")
    graph = Graph([left, right, other, gate, gate2])
    with pytest.raises(ConflictError) as caught:
        runner.run(graph, {"x": 1})

    assert caught.value.output == "way"
    assert set(caught.value.nodes) == {"go_left", "go_right"}
    assert "go_left" not in runner.observe(graph, {"x": 1}).starts


# -- values that are given although a node makes them ---------------------------------------------


@node(output_name="mid")
def step_one(start: str) -> str:
    return f"{start}!"


@node(output_name="end")
def step_two(mid: str) -> str:
    return f"<{mid}>"


@pytest.mark.filterwarnings("ignore:These are no inputs")
def test_a_given_intermediate_value_excuses_what_only_its_maker_reads(runner: Member) -> None:
    """Contract 12.4"""
    observed = runner.observe(Graph([step_one, step_two]), {"mid": "given"})

    assert observed.result.values == {"mid": "given", "end": "<given>"}
    assert observed.starts == "step_two"


@pytest.mark.filterwarnings("ignore:These are no inputs")
def test_a_maker_that_can_run_replaces_what_was_given(runner: Member) -> None:
    """Contract 13.6"""
    observed = runner.observe(Graph([step_one, step_two]), {"mid": "given", "start": "s"})

    assert observed.result.values == {"mid": "s!", "end": "<s!>"}
    assert observed.starts == "step_one step_two step_two"


@pytest.mark.filterwarnings("ignore:These are no inputs")
def test_half_of_what_a_node_makes_excuses_nothing(runner: Member) -> None:
    @node(output_name=("p", "q"))
    def two(x: int) -> tuple[int, int]:
        return x, x

    @node(output_name="sum")
    def add(p: int, q: int) -> int:
        return p + q

    graph = Graph([two, add])

    assert runner.run(graph, {"p": 1, "q": 2})["sum"] == 3
    with pytest.raises(MissingInputError):
        runner.run(graph, {"p": 1})


def test_a_free_accumulator_is_not_woken_by_itself(runner: Member) -> None:
    """The sole-producer rule; checklist 18"""
    observed = runner.observe(Graph([note]), {"log": [], "reply": "r"})

    assert (observed.starts, observed.result["log"]) == ("note", ["r"])


class Arrayish:
    """A value that cannot be compared, as most arrays."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __ne__(self, other: object) -> Any:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]


def test_values_that_cannot_be_compared_are_new_unless_they_are_the_same(
    local_runner: Member,
) -> None:
    """Contract 13.2, checklist 20"""

    @node(output_name="v")
    def grow(v: Arrayish) -> Arrayish:
        return v if v.number > 1 else Arrayish(v.number + 1)

    @node(output_name="w")
    def look(v: Arrayish) -> int:
        return v.number

    @route(targets=["grow", END])
    def on(w: int) -> Any:
        return "grow"

    observed = local_runner.observe(Graph([grow, look, on]), {"v": Arrayish(0)})

    assert observed.result["w"] == 2
    assert observed.result.status is RunStatus.COMPLETED
