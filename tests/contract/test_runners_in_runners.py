"""Any runner inside any other: D7.

NEST-02 NEST-03 NEST-06
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hypergraph import (
    AsyncRunner,
    Graph,
    IncompatibleRunnerError,
    RunStartEvent,
    SyncRunner,
    node,
)
from hypergraph.runners import BaseRunner
from tests.contract.members import Member, Notebook


@node(output_name="a")
async def wait_a(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


@node(output_name="b")
def plain_b(a: int) -> int:
    return a * 2


mixed = Graph([wait_a, plain_b], name="mixed")


def finish(main: Callable[[], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        return await asyncio.wait_for(main(), timeout=20)

    return asyncio.run(within())


@pytest.mark.parametrize("inner", [SyncRunner, AsyncRunner])
@pytest.mark.parametrize("mapped", [False, True])
def test_any_runner_runs_inside_any_other(
    local_runner: Member, inner: type[BaseRunner], mapped: bool
) -> None:
    """NEST-03 NEST-06 D7"""
    graph = Graph([wait_a if inner is AsyncRunner else plain_b.with_inputs(a="x")], name="inner")
    nested = graph.as_node(runner=inner())
    output = graph.outputs[0]
    if mapped:
        nested = nested.map_over("x")
    tree = Graph([Graph([nested], name="mid").as_node()])
    single = 2
    notebook = Notebook()

    result = local_runner.run(tree, {"x": [1, 1] if mapped else 1}, event_processors=[notebook])

    assert result[output] == ([single, single] if mapped else single)
    starts = [event.graph_name for event in notebook.of(RunStartEvent)]
    assert starts[:3] == [None, "mid", "inner"]


def test_a_sync_runner_inside_a_running_loop_runs_async_graphs_elsewhere() -> None:
    """NEST-06: never `asyncio.run` inside a running loop."""
    threads: list[int] = []

    @node(output_name="y")
    async def fetch(x: int) -> int:
        await asyncio.sleep(0)
        threads.append(threading.get_ident())
        return x + 1

    nested = Graph([fetch], name="in").as_node(runner=AsyncRunner())
    middle = Graph([nested], name="mid").as_node(runner=SyncRunner())

    async def main() -> None:
        assert SyncRunner().run(Graph([nested]), {"x": 1})["y"] == 2
        for limit in (None, 1):
            result = await AsyncRunner().run(Graph([middle]), {"x": 1}, max_concurrency=limit)
            assert result["y"] == 2

    finish(main)
    assert threading.get_ident() not in threads


def test_a_runner_of_its_own_counts_when_a_graph_is_checked() -> None:
    """D7 NEST-02"""
    inherits = Graph([mixed.as_node()])
    brings = Graph([mixed.as_node().with_runner(AsyncRunner())])
    brings_too_little = Graph([mixed.as_node(runner=SyncRunner())])

    assert (inherits.has_async_nodes, brings.has_async_nodes) == (True, False)
    assert SyncRunner().run(brings, {"x": 1})["b"] == 4
    with pytest.raises(IncompatibleRunnerError):
        SyncRunner().run(inherits, {"x": 1})
    with pytest.raises(IncompatibleRunnerError):
        finish(lambda: AsyncRunner().run(brings_too_little, {"x": 1}))


def test_a_runner_of_the_users_own_is_asked_to_run(local_runner: Member) -> None:
    """NEST-03"""
    asked: list[str] = []

    class Counting(SyncRunner):
        def run(self, graph: Graph, *args: Any, **options: Any) -> Any:
            asked.append(str(graph.name))
            return super().run(graph, *args, **options)

    nested = Graph([plain_b], name="in").as_node(runner=Counting())

    assert local_runner.run(Graph([nested]), {"a": 2})["b"] == 4
    assert asked == ["in"]


def test_an_error_inside_another_runner_is_the_same_error(local_runner: Member) -> None:
    @node(output_name="y")
    async def throw(x: int) -> int:
        raise KeyError("inner")

    nested = Graph([throw], name="in").as_node(runner=AsyncRunner())
    result = local_runner.fail(Graph([nested]), {"x": 1})

    assert isinstance(result.error, KeyError)
    assert any("in/throw" in line for line in result.error.__notes__)
