"""SyncRunner.run: what goes in, what comes out, what is refused."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from hypergraph import (
    END,
    Graph,
    HyperNode,
    IncompatibleRunnerError,
    InterruptNode,
    MissingInputError,
    node,
    route,
)
from hypergraph.runners import BaseRunner, RunnerCapabilities, RunStatus, SyncRunner

RUNNER = SyncRunner()


@node(output_name="words")
def tokenise(line: str) -> list[str]:
    return line.split()


@route(targets=["shout", END])
def long_enough(words: list[str], least: int = 2) -> object:
    return "shout" if len(words) >= least else END


@node(output_name="loud")
def shout(words: list[str]) -> str:
    return " ".join(words).upper()


@node(output_name="mid")
def step_one(start: int) -> int:
    return start + 1


@node(output_name="end")
def step_two(mid: int) -> int:
    return mid * 10


@node(output_name="bad")
def fail(mid: int) -> int:
    raise ValueError(f"mid is {mid}")


TOUR = Graph([tokenise, long_enough, shout], name="demo")
TWO_STEPS = Graph([step_one, step_two])


def test_the_sixty_second_tour() -> None:
    assert RUNNER.run(TOUR, {"line": "hello there"})["loud"] == "HELLO THERE"
    assert "loud" not in RUNNER.run(TOUR, {"line": "hello"})


def test_a_run_returns_every_output_that_has_a_value() -> None:
    result = RUNNER.run(TWO_STEPS, {"start": 1})

    assert result.values == {"mid": 2, "end": 20}
    assert result.status is RunStatus.COMPLETED
    assert result.error is None
    assert result.index is None


def test_inputs_may_be_keywords() -> None:
    assert RUNNER.run(TWO_STEPS, start=1).values == {"mid": 2, "end": 20}
    assert RUNNER.run(TOUR, {"line": "a"}, least=1)["loud"] == "A"
    with pytest.raises(ValueError, match="'start'"):
        RUNNER.run(TWO_STEPS, {"start": 1}, start=1)


def test_an_input_called_like_an_option_goes_into_values() -> None:
    @node(output_name="out")
    def f(select: int, max_concurrency: int) -> int:
        return select + max_concurrency

    graph = Graph([f])

    assert RUNNER.run(graph, {"select": 1, "max_concurrency": 2})["out"] == 3
    with pytest.raises(TypeError, match=r"'max_concurrency'.*in values"):
        RUNNER.run(graph, {"select": 1}, max_concurrency=2)


def test_the_callers_dict_stays_as_it_was() -> None:
    values = {"start": 1}

    RUNNER.run(TWO_STEPS, values)

    assert values == {"start": 1}


def test_an_empty_graph_runs() -> None:
    assert RUNNER.run(Graph([])).values == {}


def test_runs_do_not_see_each_other() -> None:
    @node(output_name="seen")
    def collect(x: int, seen_before: list[int] = []) -> list[int]:  # noqa: B006
        seen_before.append(x)
        return seen_before

    graph = Graph([collect])

    assert RUNNER.run(graph, x=1)["seen"] == [1]
    assert RUNNER.run(graph, x=2)["seen"] == [2]


def test_two_nodes_with_one_default_get_a_copy_each() -> None:
    shared: list[int] = []

    @node(output_name="a")
    def first(bag: list[int] = shared) -> list[int]:
        bag.append(1)
        return bag

    @node(output_name="b")
    def second(bag: list[int] = shared) -> list[int]:
        bag.append(2)
        return bag

    assert RUNNER.run(Graph([first, second])).values == {"a": [1], "b": [2]}
    assert shared == []


def test_equal_defaults_of_different_types_stay_apart() -> None:
    @node(output_name="a")
    def first(k: float = 1) -> str:
        return repr(k)

    @node(output_name="b")
    def second(k: float = 1.0) -> str:
        return repr(k)

    assert RUNNER.run(Graph([first, second])).values == {"a": "1", "b": "1.0"}


def test_bindings_are_handed_on_by_reference() -> None:
    @node(output_name="used")
    def use(model: object, x: int = 1) -> object:
        return model

    model, other = object(), object()
    graph = Graph([use]).bind(model=model)

    assert RUNNER.run(graph)["used"] is model
    assert RUNNER.run(graph, model=other)["used"] is other
    assert RUNNER.run(graph.bind(model=None))["used"] is None


def test_binding_makes_a_graph_of_its_own() -> None:
    graph = Graph([step_one])
    bound = graph.bind(start=5)
    with pytest.raises(MissingInputError):
        RUNNER.run(graph)

    assert RUNNER.run(bound)["mid"] == 6
    assert RUNNER.run(bound, start=1)["mid"] == 2
    assert RUNNER.run(bound.bind(start=7))["mid"] == 8


def test_caller_values_are_not_copied() -> None:
    given = [1]

    @node(output_name="same")
    def same(x: list[int]) -> list[int]:
        return x

    assert RUNNER.run(Graph([same]), x=given)["same"] is given


def test_generators_and_several_outputs() -> None:
    @node(output_name="numbers")
    def count(n: int) -> Iterator[int]:
        yield from range(n)

    @node(output_name=("low", "high"))
    def ends(numbers: list[int]) -> tuple[int, int]:
        return min(numbers), max(numbers)

    assert RUNNER.run(Graph([ends, count]), n=3).values == {
        "low": 0,
        "high": 2,
        "numbers": [0, 1, 2],
    }


def test_a_node_without_outputs_runs_for_its_effect() -> None:
    seen: list[int] = []

    @node
    def effect(mid: int) -> None:
        seen.append(mid)

    assert RUNNER.run(Graph([effect, step_one]), start=1).values == {"mid": 2}
    assert seen == [2]


# --- selection


def test_select_picks_outputs_and_runs_everything() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert RUNNER.run(TWO_STEPS, start=1, select=["end"]).values == {"end": 20}
        assert RUNNER.run(TWO_STEPS, start=1, select="end").values == {"end": 20}
        assert RUNNER.run(TWO_STEPS.select("mid"), start=1).values == {"mid": 2}
        assert RUNNER.run(TWO_STEPS.select("mid"), start=1, select=["end"]).values == {"end": 20}
        assert RUNNER.run(TWO_STEPS, start=1, select=[]).values == {}


def test_a_selected_input_comes_back() -> None:
    assert RUNNER.run(TWO_STEPS, start=1, select=["start"]).values == {"start": 1}


def test_a_selected_name_without_a_value_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="Requested outputs not found: 'loud'") as caught:
        result = RUNNER.run(TOUR, line="a", select=["words", "loud"])

    assert result.values == {"words": ["a"]}
    assert [w.filename for w in caught] == [__file__]


def test_a_bound_value_is_no_value_of_the_run() -> None:
    with pytest.warns(UserWarning, match="'start'"):
        assert RUNNER.run(TWO_STEPS.bind(start=1), select=["start", "end"]).values == {"end": 20}


# --- inputs that are not as they should be


def test_a_missing_input_is_raised_even_when_errors_are_returned() -> None:
    with pytest.raises(MissingInputError) as raised:
        RUNNER.run(TOUR, {"least": 1}, error_handling="continue")

    assert raised.value.missing == ["line"]


def test_an_unknown_name_is_warned_of_where_the_call_stands() -> None:
    with pytest.warns(UserWarning, match=r"internal parameters.*'zzz'") as caught:
        result = RUNNER.run(TWO_STEPS, {"start": 1, "zzz": 2})

    assert result.values == {"mid": 2, "end": 20}
    assert [w.filename for w in caught] == [__file__]


def test_an_intermediate_value_stands_in_for_its_node() -> None:
    with pytest.warns(UserWarning, match="'mid'"):
        result = RUNNER.run(TWO_STEPS, mid=5)

    assert result.values == {"mid": 5, "end": 50}


def test_a_node_that_can_run_replaces_an_intermediate_value() -> None:
    starts: list[int] = []

    @node(output_name="end")
    def watch(mid: int) -> int:
        starts.append(mid)
        return mid

    with pytest.warns(UserWarning, match="'mid'"):
        result = RUNNER.run(Graph([step_one, watch]), {"start": 1, "mid": 7})

    assert starts == [7, 2]
    assert result.values == {"mid": 2, "end": 2}


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="'ignore'"):
        RUNNER.run(TWO_STEPS, start=1, error_handling="ignore")


# --- errors of nodes


def test_a_node_s_error_is_raised_as_it_is_and_says_where() -> None:
    graph = Graph([step_one, fail])

    with pytest.raises(ValueError, match="mid is 2") as raised:
        RUNNER.run(graph, start=1)

    (note,) = raised.value.__notes__
    assert "'fail'" in note
    assert "run-" in note
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_a_node_s_error_is_returned_on_demand() -> None:
    graph = Graph([step_one, fail, step_two.with_inputs(mid="bad")])

    result = RUNNER.run(graph, start=1, error_handling="continue")

    assert result.status is RunStatus.FAILED
    assert isinstance(result.error, ValueError)
    assert result.values == {"mid": 2}
    assert result.run_id in result.error.__notes__[0]


def test_siblings_before_the_failing_node_count_and_later_ones_do_not_run() -> None:
    starts: list[str] = []

    def marked(name: str) -> Any:
        def f(x: int) -> int:
            starts.append(name)
            if name == "b":
                raise KeyError(name)
            return x

        return node(output_name=f"out_{name}")(f).with_name(name)

    result = RUNNER.run(Graph([marked(n) for n in "abc"]), x=1, error_handling="continue")

    assert starts == ["a", "b"]
    assert result.values == {"out_a": 1}


def test_a_selection_filters_partial_values_without_a_warning() -> None:
    graph = Graph([step_one, fail])

    result = RUNNER.run(graph, start=1, select=["bad"], error_handling="continue")

    assert result.values == {}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_passes_through(kind: type[BaseException]) -> None:
    @node(output_name="out")
    def stop(x: int) -> int:
        raise kind()

    with pytest.raises(kind):
        RUNNER.run(Graph([stop]), x=1, error_handling="continue")
    looped = Graph([stop.with_outputs(out="x")])
    with pytest.raises(kind):
        RUNNER.run(looped, x=1, error_handling="continue")


class Large:
    """Stands for a value that nobody wants to keep."""


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("loops", [False, True], ids=["line", "loop"])
def test_a_raised_error_takes_the_values_of_its_run_along(loops: bool) -> None:
    @node(output_name="n")
    def stumble(x: Large, n: int = 0) -> int:
        raise ValueError

    graph = Graph([stumble if loops else stumble.with_inputs(n="m")])
    seeds = {"n": 1} if loops else {}

    def run() -> weakref.ref[Large]:
        large = Large()
        with suppress(ValueError):
            RUNNER.run(graph, {"x": large, **seeds})
        with suppress(ValueError):
            RUNNER.map(graph, {"x": [large], **seeds}, map_over="x")
        return weakref.ref(large)

    assert run()() is None


# --- graphs that another runner is needed for


@node(output_name="page")
async def fetch(url: str) -> str:
    return url


ASK = InterruptNode("ask", input_param="draft", output_param="answer")


def test_async_nodes_are_refused() -> None:
    with pytest.raises(IncompatibleRunnerError, match=r"async") as raised:
        RUNNER.run(Graph([step_one, fetch]))

    assert raised.value.node_name == "fetch"
    assert raised.value.capability == "supports_async_nodes"
    assert "'fetch'" in str(raised.value)


def test_interrupts_are_refused() -> None:
    with pytest.raises(IncompatibleRunnerError, match="InterruptNode") as raised:
        RUNNER.run(Graph([ASK]), draft="x")

    assert raised.value.capability == "supports_interrupts"


@pytest.mark.parametrize("inner", [fetch, ASK], ids=["async", "interrupt"])
def test_what_is_hidden_in_nested_graphs_is_refused_too(inner: HyperNode) -> None:
    graph = Graph([Graph([Graph([inner], name="deep").as_node()], name="mid").as_node()])

    with pytest.raises(IncompatibleRunnerError, match="'mid/deep/"):
        RUNNER.run(graph)
    with pytest.raises(IncompatibleRunnerError, match="'mid/deep/"):
        RUNNER.map(graph, {"x": []}, map_over="x")


def test_a_node_of_an_unknown_class_is_refused() -> None:
    class Strange(HyperNode):
        def __init__(self) -> None:
            self.name = "strange"
            self.inputs = ()
            self.outputs = ()

    with pytest.raises(TypeError, match="Strange"):
        RUNNER.run(Graph([Strange()]))


def test_subclasses_of_known_nodes_are_run() -> None:
    from hypergraph import FunctionNode

    class Special(FunctionNode):
        pass

    assert RUNNER.run(Graph([Special(step_one.func, output_name="mid")]), start=1)["mid"] == 2


def test_cycles_are_refused_by_a_runner_without_them() -> None:
    class Straight(SyncRunner):
        @property
        def capabilities(self) -> RunnerCapabilities:
            return RunnerCapabilities(supports_cycles=False)

    @node(output_name="n")
    def bump(n: int) -> int:
        return n + 1

    graph = Graph([bump])
    RUNNER.run(graph, n=0)

    with pytest.raises(IncompatibleRunnerError, match="cycles") as raised:
        Straight().run(graph, n=0)
    assert raised.value.capability == "supports_cycles"


def test_what_a_runner_is() -> None:
    assert isinstance(RUNNER, BaseRunner)
    assert RUNNER.capabilities == RunnerCapabilities(
        supports_cycles=True,
        supports_async_nodes=False,
        supports_streaming=False,
        returns_coroutine=False,
        supports_interrupts=False,
    )
    assert isinstance(RUNNER.supported_node_types, set)
    with pytest.raises(TypeError, match="abstract"):
        BaseRunner()  # type: ignore[abstract]


def test_methods_and_descriptors_work_as_nodes() -> None:
    class Shop:
        price = 3

        def total(self, count: int) -> int:
            return self.price * count

    total = node(output_name="sum")(Shop().total)

    assert RUNNER.run(Graph([total]), count=2)["sum"] == 6
