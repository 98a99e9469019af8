"""Async nodes, and what else an event loop has to wait for: contract 4.4.

NODE-03 RUN-03 RUN-07
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from hypergraph import (
    AsyncRunner,
    FunctionNode,
    Graph,
    ifelse,
    node,
)
from tests.contract.members import Member


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


def test_sync_and_async_nodes_run_in_one_graph(async_runner: Member) -> None:
    """RUN-03 RUN-07"""
    assert async_runner.run(mixed, {"x": 1}).values == {"a": 2, "b": 4}
    assert async_runner.map(mixed, {"x": [1, 2]}, map_over="x")["b"] == [4, 6]


def test_async_generators_are_drained(async_runner: Member) -> None:
    """NODE-03"""

    @node(output_name="all")
    async def count(x: int) -> AsyncIterator[int | None]:
        for number in range(x):
            await asyncio.sleep(0)
            yield number or None

    assert count.is_async
    assert count.is_generator
    assert async_runner.run(Graph([count]), x=3)["all"] == [None, 1, 2]
    assert async_runner.run(Graph([count]), x=0)["all"] == []


def test_what_plain_functions_return_is_awaited_or_drained(async_runner: Member) -> None:
    """Contract 4.4"""

    async def later(x: int) -> int:
        return x

    def counting(x: int) -> Iterator[int]:
        yield from range(x)

    async def counting_later(x: int) -> AsyncIterator[int]:
        for number in range(x):
            yield number

    returned: dict[str, Callable[[int], Any]] = {
        "coroutine": later,
        "generator": counting,
        "async_generator": counting_later,
    }
    nodes = [
        FunctionNode(lambda x, made=made: made(x), name=name, output_name=name)
        for name, made in returned.items()
    ]
    nodes = [n.with_inputs(made=f"made_{n.name}") for n in nodes]

    assert async_runner.run(Graph(nodes), x=3).values == {
        "coroutine": 3,
        "generator": [0, 1, 2],
        "async_generator": [0, 1, 2],
    }


def test_several_outputs_of_an_async_node_are_unpacked(async_runner: Member) -> None:
    @node(output_name=("p", "q"))
    async def two(x: int) -> tuple[int, int]:
        return x, x + 1

    assert async_runner.run(Graph([two]), x=1).values == {"p": 1, "q": 2}


def test_sync_functions_are_called_in_the_loops_thread() -> None:
    @node(output_name="thread")
    def where() -> int:
        return threading.get_ident()

    assert finish(lambda: AsyncRunner().run(Graph([where])))["thread"] == threading.get_ident()


def test_async_nodes_in_loops_and_behind_gates(async_runner: Member) -> None:
    @ifelse(when_true="wait_a", when_false="plain_b")
    def small(x: int) -> bool:
        return x < 5

    graph = Graph([wait_a, plain_b.with_inputs(a="x"), small])

    assert async_runner.run(graph, {"x": 1}).values == {"a": 2}
    assert async_runner.run(graph, {"x": 9}).values == {"b": 18}
