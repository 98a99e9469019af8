"""What the benchmark of the in-process runners measures, for us and for others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypedDict

CHAINS = (10, 40, 160, 640)  #: lengths of chains, in nodes
TURNS = 1000  #: iterations of the loop
ITEMS = 10_000  #: items of the map
FEWER_ITEMS = 1_000  #: for those who need long: the cost of an item does not depend on it


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to measure."""

    name: str
    call: Callable[[], Any]  #: does it once
    parts: int = 1  #: nodes, iterations or items in one call
    is_async: bool = False  #: `call` returns a coroutine


def functions(count: int) -> list[Callable[..., Any]]:
    """Return functions ``n0(v0) ... ``, each of which reads what the one before it makes."""
    scope: dict[str, Any] = {}
    for n in range(count):
        exec(f"def n{n}(v{n}: int) -> int: return v{n} + 1", scope)
    return [scope[f"n{n}"] for n in range(count)]


def ours() -> Iterator[Subject]:
    """Yield what is measured of hypergraph."""
    from hypergraph import (
        END,
        AsyncRunner,
        EventProcessor,
        FunctionNode,
        Graph,
        SyncRunner,
        node,
        route,
    )

    sync, concurrent = SyncRunner(), AsyncRunner()

    def chain(count: int) -> Graph:
        made = enumerate(functions(count), 1)
        return Graph([FunctionNode(func, output_name=f"v{n}") for n, func in made])

    @node(output_name="n")
    def bump(n: int) -> int:
        return n + 1

    @route(targets=["bump", END])
    def again(n: int) -> Any:
        return "bump" if n < TURNS else END

    for count in CHAINS:
        graph = chain(count)
        yield Subject(f"sync {count}", partial(sync.run, graph, {"v0": 1}), count)
        yield Subject(f"async {count}", partial(concurrent.run, graph, {"v0": 1}), count, True)
    graph, observers = chain(10), [EventProcessor()]
    observed = partial(sync.run, graph, {"v0": 1}, event_processors=observers)
    yield Subject("sync observed 10", observed, 10)
    loop, limit = Graph([bump, again]), 3 * TURNS
    yield Subject("sync loop", partial(sync.run, loop, {"n": 0}, max_iterations=limit), TURNS)
    turning = partial(concurrent.run, loop, {"n": 0}, max_iterations=limit)
    yield Subject("async loop", turning, TURNS, True)
    three, values = chain(3), {"v0": list(range(ITEMS))}
    yield Subject("sync map", partial(sync.map, three, values, map_over="v0"), ITEMS)
    mapping = partial(concurrent.map, three, values, map_over="v0")
    yield Subject("async map", mapping, ITEMS, True)
    nodes = list(chain(1000).nodes.values())
    yield Subject("Graph of 1,000", lambda: Graph(nodes).inputs, 1000)
    names = [f"c{n}" for n in range(30)]
    cyclic = []
    for n, name in enumerate(names):
        scope: dict[str, Any] = {}
        exec(f"def f{n}({', '.join(other for other in names if other != name)}): ...", scope)
        cyclic.append(FunctionNode(scope[f"f{n}"], output_name=name))
    yield Subject("30 nodes, all pairs in cycles", lambda: Graph(cyclic).inputs)


def pipefunc_subjects() -> Iterator[Subject]:
    """Yield what is measured of pipefunc, by the fastest of its ways to call a pipeline."""
    from pipefunc import Pipeline, pipefunc

    made = [pipefunc(output_name=f"v{n}")(func) for n, func in enumerate(functions(10), 1)]
    call = Pipeline(made).func("v10")
    yield Subject("pipefunc 10", partial(call, v0=1), 10)


def hypernodes_subjects() -> Iterator[Subject]:
    """Yield what is measured of hypernodes."""
    from hypernodes import Pipeline, node

    def pipeline(count: int) -> Any:
        made = enumerate(functions(count), 1)
        return Pipeline(nodes=[node(output_name=f"v{n}")(func) for n, func in made])

    for count in CHAINS:
        yield Subject(f"hypernodes {count}", partial(pipeline(count).run, inputs={"v0": 1}), count)
    inputs = {"v0": list(range(FEWER_ITEMS))}
    mapping = partial(pipeline(3).map, inputs=inputs, map_over="v0")
    yield Subject("hypernodes map", mapping, FEWER_ITEMS)


class Counted(TypedDict):
    """The state of langgraph's loop."""

    n: int


def langgraph_subjects() -> Iterator[Subject]:
    """Yield what is measured of langgraph: a node and a conditional edge back to it."""
    from langgraph.graph import END, START, StateGraph

    graph: Any = StateGraph(Counted)
    graph.add_node("bump", lambda state: {"n": state["n"] + 1})
    graph.add_edge(START, "bump")
    graph.add_conditional_edges(
        "bump", lambda state: "bump" if state["n"] < TURNS else END, ["bump", END]
    )
    invoke = partial(graph.compile().invoke, {"n": 0}, {"recursion_limit": 3 * TURNS})
    yield Subject("langgraph loop", invoke, TURNS)


def hamilton_subjects() -> Iterator[Subject]:
    """Yield what is measured of hamilton."""
    from hamilton import driver

    module = ModuleType("benchmarked_functions")
    for n in range(1, 11):
        exec(f"def v{n}(v{n - 1}: int) -> int: return v{n - 1} + 1", vars(module))
    sys.modules[module.__name__] = module
    execute = driver.Builder().with_modules(module).build().execute
    yield Subject("hamilton 10", partial(execute, ["v10"], inputs={"v0": 1}), 10)


#: Module that must be installed -> what is measured of it.
OTHERS: Mapping[str, Callable[[], Iterator[Subject]]] = {
    "pipefunc": pipefunc_subjects,
    "hypernodes": hypernodes_subjects,
    "langgraph": langgraph_subjects,
    "hamilton": hamilton_subjects,
}
