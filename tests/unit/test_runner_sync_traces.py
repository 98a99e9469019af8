"""SyncRunner on gates and cycles: which node starts when, told by the nodes themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hypergraph import (
    END,
    ConflictError,
    FunctionNode,
    Graph,
    HyperNode,
    InfiniteLoopError,
    ifelse,
    node,
    route,
)
from hypergraph.nodes.function import CallableNode
from hypergraph.runners import RunResult, RunStatus, SyncRunner


@node(output_name="n")
def bump(n: int) -> int:
    return n + 1


@route(targets=["bump", END])
def again(n: int) -> object:
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


class Trace:
    """Runs graphs and writes down which nodes started."""

    def __init__(self) -> None:
        self.starts: list[str] = []

    def told(self, original: HyperNode) -> HyperNode:
        assert isinstance(original, CallableNode)
        copy = original._copy()
        copy.func = self._telling(original.name, original.func)
        return copy

    def _telling(self, name: str, func: Callable[..., Any]) -> Callable[..., Any]:
        def told(**inputs: Any) -> Any:
            self.starts.append(name)
            return func(**inputs)

        return told

    def run(self, *nodes: HyperNode, **inputs: Any) -> RunResult:
        graph = Graph([self.told(n) for n in nodes])
        return SyncRunner().run(graph, error_handling="continue", **inputs)


@pytest.fixture
def trace() -> Trace:
    return Trace()


def test_a_gated_loop_looks_before_every_turn(trace: Trace) -> None:
    result = trace.run(bump, again, n=0)

    assert trace.starts == ["again", "bump", "again", "bump", "again"]
    assert result.values == {"n": 2}


@pytest.mark.parametrize(("limit", "status"), [(5, RunStatus.COMPLETED), (4, RunStatus.FAILED)])
def test_the_limit_counts_supersteps(trace: Trace, limit: int, status: RunStatus) -> None:
    result = trace.run(bump, again, n=0, max_iterations=limit)

    assert result.status is status
    assert result.values == {"n": 2}
    if status is RunStatus.FAILED:
        assert isinstance(result.error, InfiniteLoopError)
        assert result.error.max_iterations == 4


def test_an_endless_loop_is_raised_by_default() -> None:
    @node(output_name="n")
    def forever(m: int) -> int:
        return m + 1

    @node(output_name="m")
    def and_ever(n: int) -> int:
        return n + 1

    with pytest.raises(InfiniteLoopError, match=r"max_iterations=1000|1000.*max_iterations"):
        SyncRunner().run(Graph([forever, and_ever]), n=0, m=0, max_iterations=0)


def test_a_long_chain_meets_the_limit_too() -> None:
    @node(output_name="b")
    def one(a: int) -> int:
        return a

    @node(output_name="c")
    def two(b: int) -> int:
        return b

    result = SyncRunner().run(Graph([two, one]), a=1, max_iterations=1, error_handling="continue")

    assert isinstance(result.error, InfiniteLoopError)
    assert result.values == {"b": 1}


def test_a_closed_gate_leaves_the_seed_as_it_is(trace: Trace) -> None:
    result = trace.run(bump, again, n=7)

    assert trace.starts == ["again"]
    assert result.values == {"n": 7}


def test_a_free_self_loop_runs_once(trace: Trace) -> None:
    assert trace.run(bump, n=0).values == {"n": 1}
    assert trace.starts == ["bump"]


def test_a_free_reader_runs_on_every_change(trace: Trace) -> None:
    result = trace.run(show, bump, again, n=0)

    assert " ".join(trace.starts) == "show again bump show again bump show again"
    assert result["view"] == "n=2"


def test_a_chat_takes_three_turns(trace: Trace) -> None:
    result = trace.run(speak, note, more, log=[])

    assert " ".join(trace.starts) == "more speak note more speak note more speak note more"
    assert result["log"] == ["turn 0", "turn 1", "turn 2"]


def test_a_reply_that_repeats_itself_ends_the_chat(trace: Trace) -> None:
    @node(output_name="reply")
    def parrot(log: list[str]) -> str:
        return "again"

    result = trace.run(parrot.with_name("speak"), note, more, log=[])

    assert " ".join(trace.starts) == "more speak note more speak"
    assert result["log"] == ["again"]


def test_a_free_cycle_stops_when_nothing_changes(trace: Trace) -> None:
    result = trace.run(fa, fb, a=0, b=0)

    assert result.values == {"a": 5, "b": 5}
    assert trace.starts[:4] == ["fa", "fb", "fa", "fb"]


def test_a_free_cycle_may_begin_at_one_end(trace: Trace) -> None:
    result = trace.run(fa, fb, a=0)

    assert trace.starts[:3] == ["fb", "fa", "fb"]
    assert result.values == {"a": 5, "b": 5}


def test_readers_of_a_superstep_see_the_values_from_before_it(trace: Trace) -> None:
    assert trace.run(show, bump, again, n=0).status is RunStatus.COMPLETED

    seen: list[tuple[str, int]] = []

    @node(output_name="n")
    def first(n: int) -> int:
        seen.append(("first", n))
        return n + 1

    @node(output_name="out")
    def second(n: int) -> int:
        seen.append(("second", n))
        return n

    SyncRunner().run(Graph([first, second]), n=0)
    assert seen == [("first", 0), ("second", 0), ("second", 1)]


def test_an_open_gate_makes_a_do_while_loop(trace: Trace) -> None:
    @route(targets=["bump", END], default_open=True)
    def until_two(n: int) -> object:
        return "bump" if n < 2 else END

    assert trace.run(bump, until_two, n=7).values == {"n": 8}
    assert trace.starts == ["bump", "until_two", "until_two"]


def test_one_of_two_gates_is_enough(trace: Trace) -> None:
    @route(targets=["show", END])
    def g1(n: int) -> object:
        return END

    @ifelse(when_true="show", when_false=END)
    def g2(n: int) -> bool:
        return True

    assert trace.run(g1, g2, show, n=1)["view"] == "n=1"
    assert trace.starts == ["g1", "g2", "show"]


def test_a_gate_opens_a_gate_which_opens_a_node(trace: Trace) -> None:
    @ifelse(when_true="g2", when_false=END)
    def g1(n: int) -> bool:
        return n > 0

    @ifelse(when_true="show", when_false=END)
    def g2(n: int) -> bool:
        return n > 1

    assert "view" in trace.run(show, g2, g1, n=2)
    assert trace.starts == ["g1", "g2", "show"]
    assert "view" not in trace.run(show, g2, g1, n=1)
    assert "view" not in trace.run(show, g2, g1, n=0)


def test_readers_of_a_skipped_node_never_run(trace: Trace) -> None:
    @ifelse(when_true="show", when_false=END)
    def never(n: int) -> bool:
        return False

    @node(output_name="end")
    def after(view: str) -> str:
        return view

    assert trace.run(never, show, after, n=1).values == {}
    assert trace.starts == ["never"]


def test_branches_that_share_an_output_never_conflict(trace: Trace) -> None:
    @ifelse(when_true="up", when_false="down")
    def which(n: int) -> bool:
        return n > 0

    @node(output_name="out")
    def up(n: int) -> str:
        return "up"

    @node(output_name="out")
    def down(n: int) -> str:
        return "down"

    assert trace.run(which, up, down, n=1)["out"] == "up"
    assert trace.run(which, up, down, n=-1)["out"] == "down"


def test_two_writers_in_one_superstep_are_refused_before_they_run(trace: Trace) -> None:
    @ifelse(when_true="up", when_false="down")
    def which(n: int) -> bool:
        return True

    @ifelse(when_true="down", when_false=END)
    def also(n: int) -> bool:
        return True

    @node(output_name="out")
    def up(n: int) -> str:
        return "up"

    @node(output_name="out")
    def down(n: int) -> str:
        return "down"

    result = trace.run(which, also, up, down, n=1)

    assert trace.starts == ["which", "also"]
    assert isinstance(result.error, ConflictError)
    assert (result.error.output, result.error.nodes) == ("out", ("up", "down"))
    with pytest.raises(ConflictError, match=r"'up'.*'down'"):
        SyncRunner().run(Graph([which, also, up, down]), n=1)


def test_a_routing_error_fails_the_run_and_names_the_gate(trace: Trace) -> None:
    @route(targets=["show", END])
    def lost(n: int) -> object:
        return "nowhere"

    result = trace.run(lost, show, n=1)

    assert isinstance(result.error, ValueError)
    assert "invalid target" in str(result.error)
    assert "'lost'" in result.error.__notes__[0]


def test_the_string_end_is_warned_of(trace: Trace) -> None:
    @route(targets=["show", END])
    def slip(n: int) -> object:
        return "END"

    with pytest.warns(UserWarning, match="string 'END'.*sentinel"):
        result = trace.run(slip, show, n=1)

    assert isinstance(result.error, ValueError)


def test_partial_values_of_a_loop_hold_the_last_full_turn(trace: Trace) -> None:
    @node(output_name="view")
    def fragile(n: int) -> str:
        if n == 2:
            raise ValueError("two")
        return f"n={n}"

    result = trace.run(bump, again, fragile, n=0)

    assert isinstance(result.error, ValueError)
    assert result.values == {"n": 2, "view": "n=1"}


def test_defaults_and_bindings_serve_in_loops() -> None:
    @node(output_name="n")
    def step(n: int, by: int, seen: list[int] = []) -> int:  # noqa: B006
        seen.append(n)
        assert seen == [n]
        return n + by

    @route(targets=["step", END])
    def until(n: int, most: int = 6) -> object:
        return "step" if n < most else END

    graph = Graph([step, until])

    assert SyncRunner().run(graph.bind(by=3), n=0)["n"] == 6
    assert SyncRunner().run(graph, n=0, by=2, most=3)["n"] == 4


def test_a_default_gives_way_to_a_value_that_arrives_later(trace: Trace) -> None:
    @node(output_name="late")
    def make(n: int) -> int:
        return n

    def use(late: int = -1) -> int:
        return late

    result = trace.run(FunctionNode(use, output_name="out"), make, n=5)

    assert trace.starts == ["use", "make", "use"]
    assert result["out"] == 5
