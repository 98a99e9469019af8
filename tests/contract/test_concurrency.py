"""What runs side by side, and how that is limited: contract 14.2. Shown by barriers, not by time.

RUN-06 RUN-08
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hypergraph import (
    AsyncRunner,
    FunctionNode,
    Graph,
    InterruptNode,
    RunStatus,
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


class Meter:
    """Counts the bodies that are in flight, and lets them wait for each other."""

    def __init__(self, parties: int = 0) -> None:
        self.now = 0
        self.most = 0
        self._all_in = asyncio.Event()
        self._parties = parties

    async def body(self, x: int) -> int:
        with self:
            if self._parties and self.now == self._parties:
                self._all_in.set()
            if self._parties:
                await self._all_in.wait()
            else:
                for _ in range(3):
                    await asyncio.sleep(0)
        return x

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *error: object) -> None:
        self.now -= 1


def bodies(meter: Meter, count: int) -> list[FunctionNode]:
    async def body(x: int) -> int:
        return await meter.body(x)

    return [FunctionNode(body, name=f"w{n}", output_name=f"o{n}") for n in range(count)]


def finish(main: Callable[[], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        return await asyncio.wait_for(main(), timeout=20)

    return asyncio.run(within())


def test_nodes_of_a_superstep_are_in_flight_together() -> None:
    """RUN-06"""

    async def main() -> None:
        meter = Meter(parties=5)
        result = await AsyncRunner().run(Graph(bodies(meter, 5)), {"x": 1})
        assert (meter.most, len(result.values)) == (5, 5)

    finish(main)


def test_nested_graphs_and_items_are_in_flight_together() -> None:
    """RUN-06 NODE-07"""

    async def main() -> None:
        meter = Meter(parties=6)
        one = Graph(bodies(meter, 1), name="one").as_node().with_inputs(x="xs").map_over("xs")
        other = Graph(bodies(meter, 3), name="other").as_node()
        other = other.with_outputs({f"o{n}": f"p{n}" for n in range(3)})
        await AsyncRunner().run(Graph([one, other]), {"x": 1, "xs": [1, 2, 3]})
        assert meter.most == 6

    finish(main)


def test_items_of_a_map_are_in_flight_together() -> None:
    async def main() -> None:
        meter = Meter(parties=4)
        results = await AsyncRunner().map(
            Graph(bodies(meter, 1)), {"x": [3, 1, 2, 0]}, map_over="x"
        )
        assert results["o0"] == [3, 1, 2, 0]

    finish(main)


def test_a_superstep_waits_for_its_last_node() -> None:
    async def main() -> None:
        order: list[str] = []
        opened = asyncio.Event()

        @node(output_name="p")
        async def slow(x: int) -> int:
            await opened.wait()
            order.append("slow")
            return x

        @node(output_name="q")
        async def quick(x: int) -> int:
            opened.set()
            order.append("quick")
            return x

        @node(output_name="r")
        def behind(p: int, q: int) -> int:
            order.append("behind")
            return p + q

        await AsyncRunner().run(Graph([slow, quick, behind]), {"x": 1})
        assert order == ["quick", "slow", "behind"]

    finish(main)


def test_siblings_of_a_failed_node_finish_and_their_values_stay() -> None:
    """Contract 14.2"""

    async def main() -> None:
        failed = asyncio.Event()

        @node(output_name="p")
        async def fails(x: int) -> int:
            failed.set()
            raise ValueError("first in time")

        @node(output_name="q")
        async def finishes(x: int) -> int:
            await failed.wait()
            await asyncio.sleep(0)
            return x

        result = await AsyncRunner().run(
            Graph([fails, finishes]), {"x": 1}, error_handling="continue"
        )
        assert result.status is RunStatus.FAILED
        assert result.values == {"q": 1}

    finish(main)


def test_the_first_error_in_graph_order_wins_whenever_it_was_raised() -> None:
    """Contract 14.2"""

    async def main() -> None:
        second_failed = asyncio.Event()

        @node(output_name="p")
        async def one(x: int) -> int:
            await second_failed.wait()
            raise KeyError("one")

        @node(output_name="q")
        async def two(x: int) -> int:
            second_failed.set()
            raise ValueError("two")

        result = await AsyncRunner().run(Graph([one, two]), {"x": 1}, error_handling="continue")
        assert isinstance(result.error, KeyError)

    finish(main)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_holds_for_the_whole_call_tree(limit: int) -> None:
    """RUN-08, checklist 24"""

    async def main() -> None:
        meter = Meter()

        @node(output_name="plain")
        def plain(x: int) -> int:
            with meter:
                return x

        graph = Graph([*bodies(meter, 2), plain], name="one")
        inner = graph.as_node().with_inputs(x="xs").map_over("xs")
        row = Graph([inner], name="row").as_node().with_inputs(xs="rows").map_over("rows")
        row = row.with_outputs(o0="r0", o1="r1", plain="rp")
        tree = Graph([row, *bodies(meter, 3), plain])
        values = {"rows": [[1, 2], [3]], "x": 1}

        result = await AsyncRunner().run(tree, values, max_concurrency=limit)
        results = await AsyncRunner().map(
            tree, {**values, "x": [1, 2, 3]}, map_over="x", max_concurrency=limit
        )

        assert result["r0"] == [[1, 2], [3]]
        assert len(results) == 3
        assert meter.most == limit

    finish(main)


def test_a_limit_inside_another_is_ignored() -> None:
    """Contract 14.2"""

    async def main() -> None:
        meter = Meter(parties=3)
        graph = Graph(bodies(meter, 3), name="in")

        class Modest(AsyncRunner):
            async def run(self, *args: Any, **options: Any) -> Any:
                return await super().run(*args, max_concurrency=1, **options)

        nested = Graph([graph.as_node(runner=Modest())])
        await AsyncRunner().run(nested, {"x": 1}, max_concurrency=3)
        assert meter.most == 3

    finish(main)


def test_a_limit_ends_with_its_call() -> None:
    async def main() -> None:
        limited, free = Meter(), Meter(parties=2)
        await asyncio.gather(
            AsyncRunner().run(Graph(bodies(limited, 2)), {"x": 1}, max_concurrency=1),
            AsyncRunner().run(Graph(bodies(free, 2)), {"x": 1}),
        )
        after = Meter(parties=2)
        await AsyncRunner().run(Graph(bodies(after, 2)), {"x": 1})
        assert (limited.most, free.most, after.most) == (1, 2, 2)

    finish(main)


def test_a_body_that_calls_a_runner_does_not_wait_for_itself() -> None:
    async def main() -> None:
        meter = Meter()
        graph = Graph(bodies(meter, 2))

        @node(output_name="deep")
        async def deep(x: int) -> int:
            return int((await AsyncRunner().run(graph, {"x": x}))["o1"])

        result = await AsyncRunner().run(Graph([deep]), {"x": 7}, max_concurrency=1)
        assert (result["deep"], meter.most) == (7, 1)

    finish(main)


def test_gates_and_handlers_need_no_slot() -> None:
    """Contract 14.2"""

    @node(output_name="asked")
    async def think(x: int) -> int:
        return x

    async def handler(asked: int) -> int:
        return asked + 1

    ask = InterruptNode("ask", input_param="asked", output_param="answer", handler=handler)

    @ifelse(when_true="use", when_false="think2")
    def chosen(answer: int) -> bool:
        return True

    @node(output_name="end")
    def use(answer: int) -> int:
        return answer

    @node(output_name="end")
    def think2(answer: int) -> int:
        return -1

    graph = Graph([think, ask, chosen, use, think2])

    assert finish(lambda: AsyncRunner().run(graph, {"x": 1}, max_concurrency=1))["end"] == 2


def test_a_limit_below_one_is_refused(async_runner: Member) -> None:
    with pytest.raises(ValueError, match="max_concurrency"):
        async_runner.run(mixed, {"x": 1}, max_concurrency=0)


def test_all_items_that_have_begun_finish_before_the_first_failure_is_raised() -> None:
    """Contract 15.2"""

    async def main() -> None:
        finished: list[int] = []

        @node(output_name="y")
        async def work(x: int) -> int:
            await asyncio.sleep(0)
            if x < 2:
                raise ValueError(f"item {x}")
            finished.append(x)
            return x

        with pytest.raises(ValueError, match="item 0"):
            await AsyncRunner().map(Graph([work]), {"x": [2, 0, 1, 3]}, map_over="x")
        assert finished == [2, 3]

    finish(main)


def test_with_a_limit_no_item_begins_after_a_failure() -> None:
    """Contract 15.2"""

    async def main() -> None:
        begun: list[int] = []

        @node(output_name="y")
        async def work(x: int) -> int:
            begun.append(x)
            await asyncio.sleep(0)
            if x == 1:
                raise ValueError(f"item {x}")
            return x

        with pytest.raises(ValueError, match="item 1"):
            await AsyncRunner().map(
                Graph([work]), {"x": list(range(9))}, map_over="x", max_concurrency=1
            )
        assert begun == [0, 1]

    finish(main)


def test_a_cancelled_run_takes_its_nodes_along() -> None:
    async def main() -> None:
        cancelled: list[str] = []
        begun = asyncio.Event()

        def hanging(name: str) -> FunctionNode:
            async def hang(x: int) -> int:
                begun.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled.append(name)
                    raise
                return x

            return FunctionNode(hang, name=name, output_name=f"{name}_out")

        run = asyncio.ensure_future(
            AsyncRunner().run(Graph([hanging("p"), hanging("q")]), {"x": 1})
        )
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert sorted(cancelled) == ["p", "q"]

    finish(main)
