"""A line and a loop are two ways to do the same."""

from __future__ import annotations

from threading import Thread
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hypergraph import END, FunctionNode, Graph, HyperNode, ifelse, node
from hypergraph.runners.inline import prepare
from hypergraph.runners.line import Line
from hypergraph.runners.loop import Loop


@node(output_name="a")
def first(x: int) -> int:
    return x + 1


@node(output_name="b")
def second(a: int, k: int = 2) -> int:
    return a * k


@ifelse(when_true="nowhere", when_false=END)
def idle() -> bool:
    return False


@node(output_name="never")
def nowhere() -> None:
    return None


def as_loop(nodes: list[HyperNode]) -> Graph:
    """Return a graph that data might decide, if only because it has a gate."""
    return Graph([*nodes, idle, nowhere])


class Boom(Exception):
    """Two of a kind are equal, so that outcomes can be compared."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Boom) and self.args == other.args

    def __hash__(self) -> int:
        return hash(self.args)


def make(name: str, reads: list[str], defaulted: list[str], outputs: int, fails: bool) -> HyperNode:
    def body(*given: Any) -> Any:
        if fails:
            raise Boom(name)
        made = [(name, number, *given) for number in range(outputs)]
        return made[0] if outputs == 1 else made

    params = [*reads, *(f"{name}={name!r}" for name in defaulted)]
    scope: dict[str, Any] = {"body": body}
    exec(f"def {name}({', '.join(params)}): return body({', '.join((*reads, *defaulted))})", scope)
    names = tuple(f"{name}_{number}" for number in range(outputs))
    return FunctionNode(scope[name], output_name=names or None)


@st.composite
def acyclic_nodes(draw: st.DrawFn, depth: int = 1) -> list[HyperNode]:
    """Nodes without cycles, in any order, some of them nested or mapped, some failing."""
    known = ["x", "y"]
    nodes: list[HyperNode] = []
    for number in range(draw(st.integers(1, 5))):
        reads = draw(st.lists(st.sampled_from(known), unique=True, max_size=3))
        name = f"n{depth}{number}"
        kind = draw(st.sampled_from(["function"] * 4 + ["nested", "gated"]))
        if kind == "function" or depth == 0:
            defaulted = [f"{name}_default"] if draw(st.booleans()) else []
            fails = draw(st.integers(0, 7)) == 0
            made = make(name, reads, defaulted, draw(st.integers(0, 2)), fails)
        else:
            inner: list[HyperNode] = draw(acyclic_nodes(depth=depth - 1))
            graph = as_loop(inner) if kind == "gated" else Graph(inner)
            made = graph.as_node(name=name)
            made = made.with_outputs({out: f"{name}_{out}" for out in made.outputs})
            if "x" in made.inputs and draw(st.booleans()):
                made = made.map_over("x")
        nodes.append(made)
        known.extend(made.outputs)
    return list(draw(st.permutations(nodes)))


def shown(value: Any) -> Any:
    """Return nested results without what differs between any two runs."""
    if isinstance(value, dict):
        return {name: shown(of) for name, of in value.items()}
    if isinstance(value, list):
        return [shown(of) for of in value]
    if hasattr(value, "nested"):
        return shown(value.values), value.status, value.error, shown(value.nested), value.index
    return value


@settings(max_examples=60, deadline=None)
@given(acyclic_nodes())
def test_a_line_does_what_the_loop_would_do(nodes: list[HyperNode]) -> None:
    values: dict[str, Any] = {"x": ("x1", "x2"), "y": "y"}
    line, loop = prepare(Graph(nodes), values), prepare(as_loop(nodes), values)

    straight, decided = line.run(values), loop.run(values)

    assert isinstance(line, Line)
    assert isinstance(loop, Loop)
    assert shown(straight.values) == shown(decided.values)
    assert (straight.error, straight.path) == (decided.error, decided.path)
    assert shown(straight.nested) == shown(decided.nested)
    assert straight.error is not None or line.certain <= straight.values.keys()


def test_one_graph_is_laid_out_once_per_set_of_names() -> None:
    graph = Graph([first, second])

    assert prepare(graph, ["x"]) is prepare(graph, {"x": 1})
    assert prepare(graph, ["x"]) is not prepare(graph, ["x", "k"])
    assert prepare(graph, ["x"], select=["a"]) is not prepare(graph, ["x"])
    assert prepare(graph.bind(k=3), ["x"]) is not prepare(graph, ["x"])


def test_what_was_laid_out_runs_over_and_over() -> None:
    prepared = prepare(Graph([first, second]), ["x"])

    assert [prepared.run({"x": x}).values for x in (1, 2)] == [{"a": 2, "b": 4}, {"a": 3, "b": 6}]


def test_threads_share_what_was_laid_out() -> None:
    prepared = prepare(Graph([first, second]), ["x"])
    seen: dict[int, list[Any]] = {}

    def work(x: int) -> None:
        seen[x] = [prepared.run({"x": x}).values["b"] for _ in range(500)]

    threads = [Thread(target=work, args=(x,)) for x in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {x: [2 * (x + 1)] * 500 for x in range(4)}


def test_a_given_intermediate_value_makes_a_loop() -> None:
    graph = Graph([first, second])

    assert isinstance(prepare(graph, ["x"]), Line)
    assert isinstance(prepare(graph, ["x", "a"]), Loop)
    assert isinstance(prepare(graph, ["x"], max_iterations=1), Loop)


def test_an_error_and_its_node_come_back_in_the_outcome() -> None:
    failing = make("f", ["a"], [], 1, fails=True)

    for graph in (Graph([first, failing]), as_loop([first, failing])):
        outcome = prepare(graph, ["x"]).run({"x": 1})
        assert (outcome.error, outcome.path) == (Boom("f"), ("f",))
        assert outcome.values == {"a": 2}
