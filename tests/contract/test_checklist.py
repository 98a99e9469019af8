"""The checklist of easily missed details, contract 24, and the surface of contract 1.

What concerns runs is shown by the suites beside this one, under the same numbers.
TYPE-01 to TYPE-05, NODE-01 to NODE-07, GRAPH-01 to GRAPH-09, ERR-01 to ERR-05
"""

from __future__ import annotations

import copy
import importlib
import pickle
from typing import Any

import pytest

import hypergraph
from hypergraph import (
    END,
    ConflictError,
    FunctionNode,
    Graph,
    GraphConfigError,
    GraphNode,
    HyperNode,
    IncompatibleRunnerError,
    InfiniteLoopError,
    InputSpec,
    MissingInputError,
    PauseInfo,
    RenameError,
    RunResult,
    RunStatus,
    ifelse,
    node,
    route,
)
from hypergraph.runners import GraphState, NodeExecution, PauseExecution, RunnerCapabilities
from tests.contract.members import Member


@node(output_name="a")
def first(x: int) -> int:
    return x + 1


@node(output_name="b")
def second(a: int, k: int = 2) -> int:
    return a * k


EVENTS = (
    "BaseEvent Event RunStartEvent RunEndEvent NodeStartEvent NodeEndEvent NodeErrorEvent "
    "RouteDecisionEvent InterruptEvent StopRequestedEvent"
)
PROCESSORS = "EventProcessor AsyncEventProcessor TypedEventProcessor"
NODES = (
    "HyperNode FunctionNode GraphNode GateNode RouteNode IfElseNode InterruptNode node route "
    "ifelse END"
)

#: module -> names that must be importable from it (contract 1.1 and 1.2)
SURFACE = {
    "hypergraph": f"{NODES} Graph InputSpec BaseRunner SyncRunner AsyncRunner RunResult RunStatus "
    f"PauseInfo RenameError GraphConfigError MissingInputError InfiniteLoopError "
    f"IncompatibleRunnerError {EVENTS} {PROCESSORS} EventDispatcher RichProgressProcessor",
    "hypergraph.nodes": f"{NODES} RenameError RenameEntry",
    "hypergraph.nodes.base": "HyperNode",
    "hypergraph.nodes.function": "FunctionNode node",
    "hypergraph.nodes.gate": "END GateNode RouteNode IfElseNode route ifelse",
    "hypergraph.nodes.graph_node": "GraphNode",
    "hypergraph.nodes.interrupt": "InterruptNode",
    "hypergraph.graph": "Graph GraphConfigError InputSpec",
    "hypergraph.runners": "BaseRunner SyncRunner AsyncRunner RunResult RunStatus "
    "RunnerCapabilities PauseInfo PauseExecution GraphState NodeExecution",
    "hypergraph.runners.sync": "SyncRunner",
    "hypergraph.runners.async_": "AsyncRunner",
    "hypergraph.runners.base": "BaseRunner",
    "hypergraph.exceptions": "MissingInputError InfiniteLoopError IncompatibleRunnerError",
    "hypergraph.events": f"{EVENTS} {PROCESSORS} EventDispatcher",
    "hypergraph.events.types": EVENTS,
    "hypergraph.events.processor": PROCESSORS,
    "hypergraph.events.dispatcher": "EventDispatcher",
    "hypergraph.events.rich_progress": "RichProgressProcessor",
}


@pytest.mark.parametrize("module", SURFACE)
def test_every_name_is_the_same_object_on_every_path(module: str) -> None:
    found = importlib.import_module(module)
    for name in SURFACE[module].split():
        here = getattr(found, name)
        if name in hypergraph.__all__:
            assert here is getattr(hypergraph, name)
    if module == "hypergraph":
        assert set(SURFACE[module].split()) <= set(hypergraph.__all__)


def test_the_table_of_capabilities() -> None:
    """TYPE-03, contract 12.1"""
    sync = hypergraph.SyncRunner()
    awaiting = hypergraph.AsyncRunner()

    assert sync.capabilities == RunnerCapabilities(
        supports_cycles=True,
        supports_async_nodes=False,
        supports_streaming=False,
        returns_coroutine=False,
        supports_interrupts=False,
    )
    assert awaiting.capabilities == RunnerCapabilities(
        supports_cycles=True,
        supports_async_nodes=True,
        supports_streaming=False,
        returns_coroutine=True,
        supports_interrupts=True,
    )
    assert hypergraph.InterruptNode in awaiting.supported_node_types
    assert hypergraph.InterruptNode not in sync.supported_node_types
    with pytest.raises(TypeError):
        hypergraph.BaseRunner()  # type: ignore[abstract]


def test_the_sixty_second_tour(runner: Member) -> None:
    """Contract 1.3"""

    @node(output_name="words")
    def tokenise(line: str) -> list[str]:
        return line.split()

    @route(targets=["shout", END])
    def long_enough(words: list[str], least: int = 2) -> Any:
        return "shout" if len(words) >= least else END

    @node(output_name="loud")
    def shout(words: list[str]) -> str:
        return " ".join(words).upper()

    g = Graph([tokenise, long_enough, shout], name="demo")

    assert (g.inputs.required, g.inputs.optional) == (("line",), ("least",))
    assert g.outputs == ("words", "loud")
    assert runner.run(g, {"line": "hello there"})["loud"] == "HELLO THERE"
    assert "loud" not in runner.run(g, {"line": "hello"})


# -- nodes ----------------------------------------------------------------------------------------


def test_1_names_are_assignable_and_checked_by_the_graph() -> None:
    """NODE-01"""
    made = first.with_name("fine")
    made.name = "not fine"

    with pytest.raises(GraphConfigError, match="Invalid node name"):
        Graph([made])


def test_2_static_methods_are_accepted_and_nodes_are_no_descriptors() -> None:
    """NODE-02"""

    class Shop:
        @node(output_name="y")
        @staticmethod
        def sell(x: int) -> int:
            return x

    assert Shop().sell is Shop.sell
    assert isinstance(Shop.sell, FunctionNode)
    assert Shop.sell(3) == 3
    assert isinstance(Shop.sell, HyperNode)


def test_9_output_annotations_of_nested_graphs_name_every_output() -> None:
    """NODE-05"""

    def bare(x):  # type: ignore[no-untyped-def]
        return x

    untyped = node(output_name="u")(bare)
    nested = Graph([first, untyped], name="in").as_node()

    assert untyped.output_annotation == {}
    assert nested.output_annotation == {"a": int, "u": None}


def test_10_map_config_is_a_tuple_that_begins_with_a_list() -> None:
    """NODE-07"""
    plain = Graph([first], name="in").as_node()
    mapped = plain.map_over("x")

    assert plain.map_config is None
    assert mapped.map_config == (["x"], "zip", "raise")
    assert mapped.with_inputs(x="xs").map_config == (["xs"], "zip", "raise")


def test_11_renaming_nothing_returns_another_object() -> None:
    """NODE-06"""
    assert first.with_inputs() is not first
    assert first.with_inputs().inputs == first.inputs


def test_12_the_chain_of_renames_is_told_with_arrows() -> None:
    with pytest.raises(RenameError) as caught:
        first.with_inputs(x="y").with_inputs(y="z").with_inputs(x="w")

    assert "'x' was renamed: x→y→z" in str(caught.value)
    assert "Current inputs:" in str(caught.value)


# -- graphs ---------------------------------------------------------------------------------------


def test_3_nodes_is_a_copy_and_holds_the_very_objects() -> None:
    """GRAPH-01"""
    graph = Graph([first], name="g")
    graph.nodes.clear()

    assert graph.nodes["first"] is first
    assert graph.as_node().graph is graph
    assert isinstance(graph.as_node(), GraphNode)


def test_4_the_hash_is_cached_and_ignores_bindings_and_order() -> None:
    """GRAPH-09"""
    graph = Graph([first, second])

    assert graph.definition_hash is graph.definition_hash
    assert graph.bind(x=1).definition_hash == graph.definition_hash
    assert Graph([second, first], name="other").definition_hash == graph.definition_hash
    assert Graph([first]).definition_hash != graph.definition_hash


def test_5_one_edge_holds_all_values_between_two_nodes() -> None:
    """GRAPH-02"""
    pytest.importorskip("networkx")

    @node(output_name=("p", "q"))
    def two(x: int) -> tuple[int, int]:
        return x, x

    @node(output_name="sum")
    def add(q: int, p: int) -> int:
        return p + q

    edges = dict(Graph([two, add]).nx_graph.edges)

    assert edges == {("two", "add"): {"edge_type": "data", "value_names": ["q", "p"]}}


def test_6_a_node_before_a_gate_is_no_leaf() -> None:
    """GRAPH-04"""

    @ifelse(when_true="other", when_false=END)
    def gate(a: int) -> bool:
        return True

    @node(output_name="c")
    def other(x: int) -> int:
        return x

    assert Graph([first, other]).leaf_outputs == ("a", "c")
    assert Graph([first, gate, other]).leaf_outputs == ("c",)


def test_7_seeds_are_not_bound_and_none_is_a_value() -> None:
    """GRAPH-05"""

    @node(output_name="n")
    def bump(n: int) -> int:
        return n + 1

    with pytest.raises(ValueError, match="Cannot bind 'n': output of node 'bump'"):
        Graph([bump]).bind(n=1)
    with pytest.raises(ValueError, match="not a graph input"):
        Graph([first]).bind(y=1)
    assert Graph([first]).bind(x=None).inputs.bound == {"x": None}
    assert Graph([first]).bind(x=None).unbind("x").inputs.required == ("x",)


def test_inputs_are_sorted_by_what_they_need() -> None:
    """GRAPH-03 TYPE-04 D5"""
    spec = Graph([first, second]).bind(k=3).inputs

    assert isinstance(spec, InputSpec)
    assert (spec.required, spec.optional, spec.seeds) == (("x",), ("k",), ())
    assert (spec.bound, spec.internal) == ({"k": 3}, ("a",))
    assert spec.all == ("x", "k")
    with pytest.raises(AttributeError):
        spec.required = ()  # type: ignore[misc]


def test_cycles_are_seen() -> None:
    """GRAPH-08"""
    assert not Graph([first, second]).has_cycles
    assert Graph([first.with_outputs(a="x")]).has_cycles


def test_two_makers_of_one_value_are_refused() -> None:
    """GRAPH-07 ERR-02"""
    with pytest.raises(GraphConfigError, match="Multiple nodes produce 'a'"):
        Graph([first, second.with_outputs(b="a").with_inputs(a="x")])


# -- results, state and errors --------------------------------------------------------------------


def test_results_can_be_made_by_hand() -> None:
    """TYPE-01 TYPE-02"""
    result = RunResult(values={"a": 1}, status=RunStatus.COMPLETED)

    assert (result["a"], result.workflow_id, result.error, result.pause) == (1, None, None, None)
    assert len(result.run_id) == 16
    assert (RunStatus.COMPLETED.value, RunStatus.FAILED.value) == ("completed", "failed")
    pause = PauseInfo(node_name="outer/inner/ask", output_param="answer", value=1)
    assert pause.response_key == "outer.inner.answer"
    assert RunResult(values={}, status=RunStatus.PAUSED, pause=pause).paused


def test_20_state_counts_versions_and_survives_arrays() -> None:
    """TYPE-05"""

    class Array:
        def __ne__(self, other: object) -> Any:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

    state = GraphState()
    array = Array()
    for value in (1, 1, 2, array, array, Array()):
        state.update_value("x", value)
    state.node_executions["n"] = NodeExecution("n", {"x": 1}, {"y": 1})
    copied = state.copy()
    copied.values["x"] = copied.node_executions["n"].outputs["y"] = 0

    assert state.get_version("x") == 4
    assert state.get_version("never") == 0
    assert state.values["x"] is not array
    assert state.node_executions["n"].outputs == {"y": 1}


@pytest.mark.parametrize(
    "error",
    [
        MissingInputError(["y", "x"], ["z"]),
        GraphConfigError("wrong"),
        RenameError("wrong"),
        IncompatibleRunnerError("no", node_name="n", capability="supports_cycles"),
        ConflictError("out", ("p", "q")),
        InfiniteLoopError(7),
        PauseExecution(PauseInfo("n", "o", 1)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickle_and_copy(error: BaseException) -> None:
    """ERR-01 to ERR-05, D12"""
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(back) is type(error)
        assert str(back) == str(error)
        assert vars(back) == vars(error)


def test_16_an_endless_loop_tells_its_limit() -> None:
    """ERR-05"""
    assert "7" in str(InfiniteLoopError(7))
    assert "max_iterations" in str(InfiniteLoopError(7))
    assert issubclass(PauseExecution, BaseException)
    assert not issubclass(PauseExecution, Exception)
