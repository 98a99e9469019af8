"""What `run` takes, checks and gives back: contract 12, 17 and D1, D2.

RUN-01 RUN-02 RUN-04 RUN-05 RUN-09 TYPE-01 TYPE-02 ERR-01
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from hypergraph import (
    BaseRunner,
    Graph,
    IncompatibleRunnerError,
    MissingInputError,
    RunResult,
    RunStatus,
    node,
)
from hypergraph.runners import NodeExecution, RunnerCapabilities
from tests.contract.members import Member, Notebook


@node(output_name="a")
def first(x: int) -> int:
    return x + 1


@node(output_name="b")
def second(a: int, k: int = 2) -> int:
    return a * k


@node(output_name=("low", "high"))
def split_up(x: int) -> tuple[int, int]:
    return x - 1, x + 1


@node(output_name="never")
def broken(a: int) -> int:
    raise ValueError("boom")


@node(output_name="late")
def after(b: int) -> int:
    return b


chain = Graph([first, second], name="chain")


def test_run_returns_the_outputs_of_a_graph(runner: Member) -> None:
    """RUN-04 RUN-05 TYPE-01"""
    result = runner.run(chain, {"x": 1})

    assert isinstance(result, RunResult)
    assert result.status is RunStatus.COMPLETED
    assert result.values == {"a": 2, "b": 4}
    assert (result["b"], "b" in result, "z" in result, result.get("z", 7)) == (4, True, False, 7)
    assert result.error is None
    assert result.pause is None
    assert not result.paused
    with pytest.raises(KeyError):
        result["z"]


def test_nodes_run_after_those_they_read_from_whatever_their_order(runner: Member) -> None:
    """RUN-05"""
    assert runner.observe(Graph([second, first]), {"x": 1}).starts == "first second"


def test_run_ids_are_short_unique_and_telling(runner: Member) -> None:
    ids = {runner.run(chain, {"x": 1}).run_id for _ in range(20)}

    assert len(ids) == 20
    assert all(len(run_id) == 16 and run_id.startswith("run-") for run_id in ids)
    assert all(int(run_id.removeprefix("run-"), 16) >= 0 for run_id in ids)


def test_inputs_may_be_keywords(runner: Member) -> None:
    """D2"""
    assert runner.run(chain, x=1).values == runner.run(chain, values={"x": 1}).values
    assert runner.run(chain, {"x": 1}, k=5)["b"] == 10


def test_an_input_given_twice_is_refused(runner: Member) -> None:
    """D2"""
    with pytest.raises(ValueError, match="'x'"):
        runner.run(chain, {"x": 1}, x=2)


def test_an_input_called_like_an_option_goes_into_values(runner: Member) -> None:
    """D2"""

    @node(output_name="out")
    def pick(select: int) -> int:
        return select

    assert runner.run(Graph([pick]), {"select": 3})["out"] == 3


def test_a_graph_without_nodes_completes(runner: Member) -> None:
    result = runner.run(Graph([]))

    assert (result.status, result.values) == (RunStatus.COMPLETED, {})


def test_several_outputs_are_unpacked_in_order(runner: Member) -> None:
    """NODE-04"""
    assert runner.run(Graph([split_up]), x=5).values == {"low": 4, "high": 6}


def test_one_output_keeps_a_tuple_as_it_is(runner: Member) -> None:
    """NODE-04"""

    @node(output_name="pair")
    def pair(x: int) -> tuple[int, int]:
        return x, x

    assert runner.run(Graph([pair]), x=1)["pair"] == (1, 1)


def test_a_wrong_number_of_values_fails_the_node(runner: Member) -> None:
    @node(output_name=("p", "q"))
    def three(x: int) -> Any:
        return x, x, x

    with pytest.raises(ValueError, match=r"has 2 outputs.*returned 3 values"):
        runner.run(Graph([three]), x=1)


def test_generators_are_drained_into_a_list(runner: Member) -> None:
    """NODE-03"""

    @node(output_name="all")
    def count(x: int) -> Any:
        for number in range(x):
            yield number or None

    assert runner.run(Graph([count]), x=3)["all"] == [None, 1, 2]
    assert runner.run(Graph([count]), x=0)["all"] == []


def test_a_node_without_outputs_runs_and_its_result_is_dropped(runner: Member) -> None:
    @node
    def mute(x: int) -> None: ...

    observed = runner.observe(Graph([mute]), {"x": 1})

    assert (observed.starts, observed.result.values) == ("mute", {})


def test_a_lambda_with_a_name_is_a_node_like_any_other(runner: Member) -> None:
    """D14"""
    double = node(output_name="y")(lambda x: 2 * x).with_name("double")

    assert runner.run(Graph([double]), x=4)["y"] == 8


# -- what is checked before a run ---------------------------------------------------------------


def test_missing_inputs_are_named_with_a_suggestion(runner: Member) -> None:
    """ERR-01"""
    with pytest.raises(MissingInputError) as caught:
        runner.run(Graph([first, second.with_inputs(k="x2")]), {"xx": 1, "k2": 2})

    assert caught.value.missing == ["x"]
    assert caught.value.provided == ["xx", "k2"]
    assert "Missing required inputs: 'x'" in str(caught.value)
    assert "xx" in str(caught.value)


def test_unknown_names_are_a_warning_and_never_an_error(runner: Member) -> None:
    with pytest.warns(UserWarning, match="internal parameters.*'typo'.*'a'"):
        assert runner.run(chain, {"x": 1, "typo": 1, "a": 5})["b"] == 4


def test_a_correct_run_warns_of_nothing(runner: Member) -> None:
    """Checklist 25"""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner.run(chain.select("b"), {"x": 1, "k": 2})
        runner.run(chain, {"x": 1}, select=["b"])


def test_errors_before_the_run_are_raised_and_nobody_is_told(runner: Member) -> None:
    notebook = Notebook()
    with pytest.raises(MissingInputError):
        runner.run(chain, error_handling="continue", event_processors=[notebook])

    assert (notebook.events, notebook.shutdowns) == ([], 0)


def test_an_unknown_error_handling_is_refused(runner: Member) -> None:
    with pytest.raises(ValueError, match="error_handling"):
        runner.run(chain, {"x": 1}, error_handling="ignore")


def test_foreign_nodes_are_refused_by_class(runner: Member) -> None:
    from hypergraph import HyperNode

    class Strange(HyperNode):
        def __init__(self) -> None:
            self.name = "strange"
            self.inputs = ()

    with pytest.raises(TypeError, match="Strange"):
        runner.run(Graph([Strange()]))


def test_what_a_runner_can_do_is_told(runner: Member) -> None:
    """RUN-01 RUN-09 TYPE-03"""
    made = runner.make()

    assert isinstance(made, BaseRunner)
    assert isinstance(made.capabilities, RunnerCapabilities)
    assert made.capabilities.supports_cycles
    assert made.capabilities.supports_async_nodes is runner.awaits
    assert made.capabilities.supports_interrupts is runner.pauses
    assert type(first) in made.supported_node_types


def test_async_nodes_are_refused_where_nobody_waits(plain_runner: Member) -> None:
    """RUN-09 ERR-03"""

    @node(output_name="z")
    async def fetch(x: int) -> int:
        return x

    nested = Graph([Graph([fetch], name="in").as_node()])
    for graph, name in ((Graph([first, fetch]), "fetch"), (nested, "in")):
        with pytest.raises(IncompatibleRunnerError, match="async") as caught:
            plain_runner.run(graph, {"x": 1})
        assert caught.value.node_name == name
        assert caught.value.capability == "supports_async_nodes"
        with pytest.raises(IncompatibleRunnerError):
            plain_runner.map(graph, {"x": [1]}, map_over="x")


# -- what comes back ----------------------------------------------------------------------------


def test_selected_outputs_come_back_and_everything_runs(runner: Member) -> None:
    observed = runner.observe(chain, {"x": 1}, select=["b"])

    assert observed.result.values == {"b": 4}
    assert observed.starts == "first second"
    assert runner.run(chain.select("a"), {"x": 1}).values == {"a": 2}
    assert runner.run(chain.select("a"), {"x": 1}, select=["b", "x"]).values == {"b": 4, "x": 1}


def test_selected_outputs_without_a_value_are_a_warning(runner: Member) -> None:
    with pytest.warns(UserWarning, match="Requested outputs not found.*'nothing'"):
        assert runner.run(chain, {"x": 1}, select=["a", "nothing"]).values == {"a": 2}


def test_pure_inputs_do_not_come_back(runner: Member) -> None:
    assert set(runner.run(chain, {"x": 1, "k": 3}).values) == {"a", "b"}


# -- failures -----------------------------------------------------------------------------------

failing = Graph([first, second, broken, after], name="failing")


def test_a_node_error_is_raised_as_it_is_with_a_note(runner: Member) -> None:
    """D1, checklist 14"""
    with pytest.raises(ValueError, match="boom") as caught:
        runner.run(failing, {"x": 1})

    assert (type(caught.value), str(caught.value)) == (ValueError, "boom")
    notes = "\n".join(caught.value.__notes__)
    assert "broken" in notes
    assert "run-" in notes


def test_continue_returns_the_error_and_the_values_there_were(runner: Member) -> None:
    """D1 TYPE-02, checklist 14 and 17"""
    result = runner.fail(failing, {"x": 1})

    assert result.status is RunStatus.FAILED
    assert isinstance(result.error, ValueError)
    assert result.values == {"a": 2, "b": 4}


def test_the_very_error_comes_back(local_runner: Member) -> None:
    error = StopIteration("even this one")

    @node(output_name="y")
    def throw(x: int) -> int:
        raise error

    assert local_runner.fail(Graph([throw]), {"x": 1}).error is error
    assert local_runner.observe(Graph([throw]), {"x": 1}).result.error is error


def test_values_of_the_failing_superstep_stay(runner: Member) -> None:
    """Contract 12.7, checklist 17: sync what ran before, async every sibling that succeeded."""

    @node(output_name="sibling")
    def sibling(a: int) -> int:
        return a

    result = runner.fail(Graph([first, second, broken, sibling]), {"x": 1})

    expected = {"a": 2, "b": 4} | ({} if runner.stops_at_failure else {"sibling": 2})
    assert result.values == expected


def test_the_first_error_in_graph_order_is_the_runs(runner: Member) -> None:
    @node(output_name="p")
    def one(x: int) -> int:
        raise KeyError("one")

    @node(output_name="q")
    def two(x: int) -> int:
        raise ValueError("two")

    assert isinstance(runner.fail(Graph([one, two]), {"x": 1}).error, KeyError)
    assert isinstance(runner.fail(Graph([two, one]), {"x": 1}).error, ValueError)


def test_a_keyboard_interrupt_leaves_the_run(local_runner: Member) -> None:
    """Checklist 26"""

    @node(output_name="y")
    def stop(x: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        local_runner.run(Graph([stop]), {"x": 1}, error_handling="continue")


def test_the_runner_serves_on_after_a_failure(local_runner: Member) -> None:
    assert local_runner.fail(failing, {"x": 1}).status is RunStatus.FAILED
    assert local_runner.run(chain, {"x": 1})["b"] == 4


# -- values -------------------------------------------------------------------------------------


def test_defaults_are_fresh_for_every_use(runner: Member) -> None:
    """Checklist 13"""

    @node(output_name="bag")
    def fill(x: int, bag_so_far: list[int] = []) -> list[int]:  # noqa: B006 - the point
        bag_so_far.append(x)
        return bag_so_far

    graph = Graph([fill])

    assert [runner.run(graph, {"x": x})["bag"] for x in (1, 2)] == [[1], [2]]


def test_bindings_are_handed_over_as_they_are(local_runner: Member) -> None:
    """Checklist 13 GRAPH-05"""
    given: list[int] = []

    @node(output_name="same")
    def look(thing: list[int]) -> list[int]:
        return thing

    assert local_runner.run(Graph([look]).bind(thing=given))["same"] is given
    assert local_runner.run(Graph([look]), thing=given)["same"] is given


def test_a_value_given_now_beats_a_binding_and_a_default(runner: Member) -> None:
    """GRAPH-05, checklist 7"""
    bound = chain.bind(k=10)

    assert runner.run(bound, x=1)["b"] == 20
    assert runner.run(bound, x=1, k=3)["b"] == 6

    @node(output_name="is_none")
    def asks(thing: object = 5) -> bool:
        return thing is None

    assert runner.run(Graph([asks]).bind(thing=None))["is_none"] is True


def test_a_default_that_cannot_be_copied_is_shared_with_a_warning(local_runner: Member) -> None:
    class Single:
        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("only one")

    single = Single()

    @node(output_name="same")
    def use(thing: Any = single) -> bool:
        return thing is single

    with pytest.warns(UserWarning, match="Cannot deep-copy"):
        assert local_runner.run(Graph([use]))["same"] is True


def test_renamed_inputs_and_outputs_are_what_a_run_speaks_of(runner: Member) -> None:
    """NODE-06"""
    renamed = second.with_inputs(a="x").with_inputs(k="x2").with_outputs(b="result")

    assert runner.run(Graph([renamed]), {"x": 3, "x2": 4}).values == {"result": 12}


def test_the_cache_flag_changes_nothing(runner: Member) -> None:
    @node(output_name="y", cache=True)
    def flagged(x: int) -> int:
        return x

    assert [runner.run(Graph([flagged]), x=x)["y"] for x in (1, 1, 2)] == [1, 1, 2]


def test_an_execution_is_a_record_of_names_versions_and_outputs() -> None:
    """Contract 17.3"""
    record = NodeExecution(node_name="n", input_versions={"x": 1}, outputs={"y": 2})

    assert (record.node_name, record.input_versions, record.outputs) == ("n", {"x": 1}, {"y": 2})
