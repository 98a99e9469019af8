"""A run that fails on workers fails as it does under SyncRunner."""

from __future__ import annotations

import asyncio
import copy
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hypergraph import (
    DistributedRunner,
    Graph,
    MapResult,
    NodeExited,
    RemoteError,
    RunResult,
    RunStatus,
    SyncRunner,
    UnserializableInput,
    UnserializableResult,
    node,
)
from hypergraph.nodes import FunctionNode
from tests.agreement import assert_agree, place_of, see
from tests.ledger import Ledger


class Trouble(Exception):
    """An error of the user's."""


class Picky(Exception):
    """An error that cannot be made from its arguments."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Rich(Exception):
    """An error with attributes."""

    def __init__(self, text: str, detail: dict[str, Any]) -> None:
        super().__init__(text, detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.detail}"


@dataclass(eq=False)
class Stubborn(Exception):
    """An error that does not pickle."""

    lock: Any

    def __str__(self) -> str:
        return "stubborn"


def add_one(x: Any) -> Any:
    return x + 1


def fail(x: Any) -> None:
    raise Trouble(f"no {x}")


def give_out(x: int) -> Iterator[int]:
    yield x
    raise Trouble("no more")


def f(function: Callable[..., Any], name: str, *outputs: str, **inputs: str) -> FunctionNode:
    output_name: Any = outputs if len(outputs) > 1 else (outputs[0] if outputs else None)
    return FunctionNode(function, name=name, output_name=output_name).with_inputs(inputs)


def nest(*nodes: Any, name: str = "inner") -> Any:
    return Graph(list(nodes), name=name).as_node()


CASES: dict[str, tuple[Graph, dict[str, Any]]] = {
    "the only node": (Graph([f(fail, "bad", "a")]), {"x": 1}),
    "a node without outputs": (Graph([f(fail, "bad"), f(add_one, "good", "b")]), {"x": 1}),
    "the first of a chain": (
        Graph([f(fail, "bad", "a"), f(add_one, "next", "b", x="a")]),
        {"x": 1},
    ),
    "the last of a chain": (
        Graph([f(add_one, "first", "a"), f(fail, "bad", "b", x="a")]),
        {"x": 1},
    ),
    "a node beside one listed before it": (
        Graph([f(add_one, "good", "a"), f(fail, "bad", "b")]),
        {"x": 1},
    ),
    "a node beside one listed after it": (
        Graph([f(fail, "bad", "b"), f(add_one, "good", "a")]),
        {"x": 1},
    ),
    "two nodes of one superstep": (
        Graph([f(fail, "bad1", "a", x="x1"), f(fail, "bad2", "b", x="x2")]),
        {"x1": 1, "x2": 2},
    ),
    "two nodes of different supersteps, the later listed first": (
        Graph(
            [
                f(fail, "later", "c", x="b"),
                f(add_one, "good", "b"),
                f(fail, "earlier", "a", x="y"),
            ]
        ),
        {"x": 1, "y": 2},
    ),
    "a node of a nested graph": (
        Graph([f(add_one, "first", "a"), nest(f(fail, "bad", "b", x="a")), f(add_one, "z", "c")]),
        {"x": 1},
    ),
    "a nested graph beside a failing node listed before it": (
        Graph([f(fail, "bad", "a", x="x1"), nest(f(fail, "bad", "b", x="x2"))]),
        {"x1": 1, "x2": 2},
    ),
    "a nested graph beside a failing node listed after it": (
        Graph([nest(f(fail, "bad", "b", x="x2")), f(fail, "bad", "a", x="x1")]),
        {"x1": 1, "x2": 2},
    ),
    "the second node of a nested graph beside a failing node": (
        Graph(
            [
                nest(f(add_one, "good", "m", x="x2"), f(fail, "bad", "b", x="m")),
                f(fail, "bad", "a", x="x1"),
            ]
        ),
        {"x1": 1, "x2": 2},
    ),
    "three levels down": (
        Graph(
            [
                nest(
                    nest(
                        nest(f(add_one, "ok", "o"), f(fail, "bad", "b", x="o"), name="c"), name="b"
                    ),
                    name="a",
                )
            ]
        ),
        {"x": 1},
    ),
    "an item of a mapped graph": (
        Graph(
            [nest(f(lambda x: 1 // x, "div", "a")).map_over("x"), f(add_one, "next", "n", x="a")]
        ),
        {"x": [1, 2, 0, 3, 0]},
    ),
    "the first item of a mapped graph": (
        Graph([nest(f(lambda x: 1 // x, "div", "a")).map_over("x")]),
        {"x": [0, 1]},
    ),
    "an item of a mapped graph in a nested graph": (
        Graph(
            [
                nest(
                    nest(
                        f(add_one, "ok", "o"), f(lambda o: 1 // o, "div", "a"), name="one"
                    ).map_over("x"),
                    name="outer",
                )
            ]
        ),
        {"x": [1, 2, -1, 3]},
    ),
    "an item of a map in an item of a map": (
        Graph(
            [
                nest(
                    nest(f(lambda x: 1 // x, "div", "a"), name="one").map_over("x"), name="many"
                ).map_over("x")
            ]
        ),
        {"x": [[1, 2], [3, 0], [0]]},
    ),
    "items of a mapped graph that goes on": (
        Graph(
            [
                nest(f(add_one, "ok", "o"), f(lambda x: 1 // x, "div", "a")).map_over(
                    "x", error_handling="continue"
                ),
                f(lambda a, o: (a, o), "next", "n"),
            ]
        ),
        {"x": [1, 2, 0, 3, 0]},
    ),
    "all items of a mapped graph that goes on": (
        Graph(
            [
                nest(f(lambda x: 1 // x, "div", "a")).map_over("x", error_handling="continue"),
                f(lambda a: a, "next", "n"),
            ]
        ),
        {"x": [0, 0]},
    ),
    "items of a map that goes on in an item of a map": (
        Graph(
            [
                nest(
                    nest(f(lambda x: 1 // x, "div", "a"), name="one").map_over(
                        "x", error_handling="continue"
                    ),
                    name="many",
                ).map_over("x")
            ]
        ),
        {"x": [[1, 2], [3, 0], [0]]},
    ),
    "a wrong number of outputs": (Graph([f(lambda x: (1, 2, 3), "bad", "a", "b")]), {"x": 1}),
    "a generator that gives out": (Graph([f(give_out, "bad", "b")]), {"x": 1}),
}


@pytest.mark.parametrize(("graph", "values"), CASES.values(), ids=CASES)
def test_a_failed_run_agrees_with_the_sync_runner(
    runner: DistributedRunner, graph: Graph, values: dict[str, Any]
) -> None:
    assert_agree(
        see(lambda: SyncRunner().run(graph, values, error_handling="continue")),
        see(lambda: runner.run(graph, values, error_handling="continue")),
    )
    assert_agree(
        see(lambda: SyncRunner().run(graph, values)), see(lambda: runner.run(graph, values))
    )


def test_an_error_is_the_same_object_in_all_results_that_it_ended(
    runner: DistributedRunner,
) -> None:
    graph, values = CASES["an item of a mapped graph in a nested graph"]

    result = runner.run(graph, values, error_handling="continue")

    outer = result.nested["outer"]
    assert isinstance(outer, RunResult)
    many = outer.nested["one"]
    assert isinstance(many, MapResult)
    assert many[2].error is outer.error is result.error is not None


def test_a_graph_with_a_runner_of_its_own_fails_its_node(runner: DistributedRunner) -> None:
    inner = nest(f(add_one, "ok", "a"), f(fail, "bad", "b", x="a"))
    graph = Graph([inner.with_runner(SyncRunner()), f(add_one, "other", "c")])

    result = runner.run(graph, x=1, error_handling="continue")

    assert result.values == {"c": 2}
    assert isinstance(result.error, Trouble)
    assert place_of(result.error) == ("inner/bad", None)
    nested = result.nested["inner"]
    assert isinstance(nested, RunResult)
    assert nested.status is RunStatus.FAILED
    assert nested.values == {"a": 2}
    assert nested.error is result.error


def test_a_slow_node_of_an_earlier_superstep_decides(
    runner: DistributedRunner, ledger: Ledger
) -> None:
    """A failure does not end the run before all that ran before it would have."""

    # Given a node that fails while one of the superstep before it still runs, and fails later
    def slow(x: int) -> int:
        import time

        for _ in range(1000):
            if "fast" in ledger.words:
                break
            time.sleep(0.005)
        raise Trouble("slow")

    def quick(x: int) -> int:
        return x

    def fast(q: int) -> int:
        ledger.note("fast")
        raise Trouble("fast")

    graph = Graph(
        [f(quick, "quick", "q"), f(slow, "slow", "s"), f(fast, "fast", "b"), f(add_one, "z", "z")]
    )

    # When it runs on several workers
    result = runner.run(graph, x=1, error_handling="continue")

    # Then the earliest superstep's failure is the run's, as if nothing had overtaken it
    assert str(result.error) == "slow"
    assert place_of(result.error) == ("slow", None)
    assert result.values == {"q": 1, "z": 2}


def test_siblings_of_a_failing_node_count(runner: DistributedRunner) -> None:
    graph = Graph([f(fail, "bad", "a"), f(add_one, "good", "b"), f(add_one, "next", "c", x="b")])

    result = runner.run(graph, x=1, error_handling="continue")

    assert result.values == {"b": 2}
    assert result.status is RunStatus.FAILED


# -- errors that travel, and others -----------------------------------------------------------


def raised(runner: DistributedRunner, body: Callable[[], Any]) -> BaseException:
    """Return what a run raises whose only node has this body."""
    with pytest.raises(BaseException) as caught:
        runner.run(Graph([FunctionNode(body, name="bad", output_name="a")]))
    return caught.value


def test_an_error_of_ones_own_is_caught_as_such(runner: DistributedRunner) -> None:
    with pytest.raises(Trouble, match="no 1"):
        runner.run(Graph([f(fail, "bad", "a")]), x=1)


def test_an_error_keeps_its_attributes(runner: DistributedRunner) -> None:
    def body() -> None:
        raise Rich("text", {"a": 1})

    error = raised(runner, body)

    assert isinstance(error, Rich)
    assert error.detail == {"a": 1}
    assert str(error) == "text: {'a': 1}"


def test_an_error_keeps_notes_and_causes(runner: DistributedRunner) -> None:
    def body() -> None:
        try:
            try:
                raise KeyError("deepest")
            except KeyError:
                raise ValueError("between") from None
        except ValueError as error:
            outer = Trouble("outer")
            outer.add_note("a hint")
            raise outer from error

    error = raised(runner, body)

    assert error.__notes__[0] == "a hint"
    assert isinstance(error.__cause__, ValueError)
    assert isinstance(error.__cause__.__context__, KeyError)
    assert error.__cause__.__suppress_context__


def test_an_error_says_where_it_was_raised(runner: DistributedRunner) -> None:
    error = raised(runner, lambda: 1 // 0)

    notes = "\n".join(error.__notes__)
    assert "node 'bad'" in notes
    assert "on worker local-" in notes
    assert "in run run-" in notes
    assert "1 // 0" in notes  # the traceback from there
    assert "hypergraph/worker" not in notes


def test_an_error_that_cannot_be_made_again_is_told(runner: DistributedRunner) -> None:
    def body() -> None:
        raise Picky(code=7)

    error = raised(runner, body)

    assert isinstance(error, RemoteError)
    assert error.error_type.endswith("Picky")
    assert error.message == "code 7"
    assert "raise Picky(code=7)" in error.traceback


def test_an_error_that_does_not_pickle_is_told(runner: DistributedRunner) -> None:
    def body() -> None:
        import threading

        raise Stubborn(threading.Lock())

    error = raised(runner, body)

    assert isinstance(error, RemoteError)
    assert error.message == "stubborn"


def test_a_class_that_only_the_worker_knows_is_told_or_known(runner: DistributedRunner) -> None:
    def body() -> None:
        class Local(Exception):
            pass

        raise Local("here")

    error = raised(runner, body)

    assert "here" in str(error)
    assert "Local" in f"{type(error).__qualname__} {error}"


@pytest.mark.parametrize("code", [0, 3, "a reason", None])
def test_a_node_that_exits_fails_and_its_worker_goes_on(
    runner: DistributedRunner, code: Any
) -> None:
    error = raised(runner, lambda: sys.exit(code))

    assert isinstance(error, NodeExited)
    assert error.exit_code == code
    assert error.node == "bad"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_what_is_no_exception_fails_the_run_and_not_the_worker(
    runner: DistributedRunner, kind: type[BaseException]
) -> None:
    def body() -> None:
        raise kind

    def item(x: int) -> int:
        if x == 2:
            raise kind
        return x

    expected = NodeExited if kind is KeyboardInterrupt else kind
    assert isinstance(raised(runner, body), expected)
    graph = Graph([FunctionNode(item, output_name="y")], name="one")
    results = runner.map(graph, {"x": range(4)}, map_over="x", error_handling="continue")
    assert results["y"] == [0, 1, None, 3]
    assert isinstance(results[2].error, expected)
    nested = Graph([graph.as_node().with_runner(SyncRunner())])
    result = runner.run(nested, x=2, error_handling="continue")
    assert isinstance(result.error, expected)


def test_a_deep_recursion_is_an_error_like_any_other(runner: DistributedRunner) -> None:
    def endless(n: int = 0) -> int:
        return endless(n + 1)

    assert isinstance(raised(runner, endless), RecursionError)


# -- what cannot cross ------------------------------------------------------------------------


class Model:
    """Something with a lock in it."""

    def __init__(self) -> None:
        self.weights = [1.0]
        self._lock = threading.Lock()


def keys_of(runner: DistributedRunner) -> set[bytes]:
    link = runner._open().store.link
    return {key for key in link.pipeline([("KEYS", "hg:shared:*")])[0] if b"{run-" in key}


def test_an_input_that_does_not_pickle_is_refused_and_nothing_stored(
    runner: DistributedRunner,
) -> None:
    graph = Graph([f(add_one, "f", "a")])
    before = keys_of(runner)

    for call in (
        lambda: runner.run(graph, x=Model()),
        lambda: runner.submit(graph, x=Model()),
        lambda: runner.run(graph.bind(x=Model())),
    ):
        with pytest.raises(UnserializableInput) as caught:
            call()
        assert caught.value.path == "$.x._lock"

    assert keys_of(runner) == before


def test_the_path_leads_into_containers(runner: DistributedRunner) -> None:
    with pytest.raises(UnserializableInput) as caught:
        runner.run(Graph([f(add_one, "f", "a")]), x={"models": [1, Model()]})

    assert caught.value.path == "$.x['models'][1]._lock"


def test_an_item_that_does_not_pickle_is_refused_by_its_index(runner: DistributedRunner) -> None:
    graph = Graph([f(lambda x, y: x, "f", "a")])
    before = keys_of(runner)

    with pytest.raises(UnserializableInput) as caught:
        runner.map(graph, {"x": [1, Model(), 3], "y": 1}, map_over="x")
    assert caught.value.path == "$.x[1]._lock"
    with pytest.raises(UnserializableInput) as caught:
        runner.submit_map(graph, {"x": [1, 2, 3], "y": Model()}, map_over="x")
    assert caught.value.path == "$.y._lock"

    assert keys_of(runner) == before


def test_a_function_that_holds_what_does_not_pickle_is_refused(
    runner: DistributedRunner,
) -> None:
    lock = threading.Lock()

    def body() -> int:
        with lock:
            return 1

    with pytest.raises(UnserializableInput) as caught:
        runner.run(Graph([FunctionNode(body, name="locked", output_name="a")]))

    assert "locked" in caught.value.path
    assert "lock" in caught.value.path


def test_a_result_that_does_not_pickle_fails_its_node(runner: DistributedRunner) -> None:
    @node(output_name="made")
    def make() -> Any:
        import threading

        return {"inside": [threading.Lock()]}

    with pytest.raises(UnserializableResult) as caught:
        runner.run(Graph([make]))

    assert caught.value.path == "$.made['inside'][0]"
    assert caught.value.node == "make"
    assert place_of(caught.value) == ("make", None)


def test_an_item_whose_result_does_not_pickle_fails_alone(runner: DistributedRunner) -> None:
    @node(output_name="made")
    def make(x: int) -> Any:
        import threading

        return threading.Lock() if x == 57 else x

    graph = Graph([make], name="one")

    results = runner.map(graph, {"x": range(100)}, map_over="x", error_handling="continue")
    assert [r.index for r in results.failed] == [57]
    assert isinstance(results[57].error, UnserializableResult)
    with pytest.raises(UnserializableResult) as caught:
        runner.map(graph, {"x": range(100)}, map_over="x")
    assert caught.value.path == "$.made"
    with pytest.raises(UnserializableResult):
        runner.run(Graph([graph.as_node().map_over("x")]), x=list(range(100)))


def test_an_inner_value_that_does_not_pickle_is_missed_by_nobody(
    runner: DistributedRunner,
) -> None:
    """What a selection keeps inside never travels, so it need not pickle."""

    @node(output_name="lock")
    def make(x: int) -> Any:
        import threading

        return threading.Lock()

    @node(output_name="y")
    def use(lock: Any, x: int) -> int:
        return x

    inner = Graph([make, use], name="inner")
    graph = Graph([inner.as_node()]).select("y")

    assert runner.map(graph, {"x": range(5)}, map_over="x")["y"] == list(range(5))


def test_results_and_errors_can_be_copied(runner: DistributedRunner) -> None:
    result = runner.run(Graph([f(fail, "bad", "a")]), x=1, error_handling="continue")

    again = copy.deepcopy(result)

    assert str(again.error) == str(result.error)
