"""An item that goes from queue to queue ends as it would have ended in one piece."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from hypergraph import END, Graph, MapResult, RunResult, SyncRunner, ifelse, node, route
from hypergraph.errors import UnserializableResult
from hypergraph.graph.placement import home_of, place, seen_from
from hypergraph.nodes import FunctionNode
from hypergraph.runners.inline import prepare
from hypergraph.runners.notes import annotate
from hypergraph.runners.outcome import Outcome
from hypergraph.runners.placed import Answer, Hop, Journey, placed_on
from hypergraph.runners.together import result_of
from hypergraph.values.codec import decode
from hypergraph.values.luggage import pack_luggage, unpack_luggage
from tests.agreement import assert_same_result, see

CALLED: list[str] = []


def settle(result: Any) -> Any:
    """Wait as a worker does that has an event loop."""
    return asyncio.run(result_of(result))


@dataclass
class Trip:
    """How an item came to its end."""

    result: RunResult
    queues: list[str] = field(default_factory=list)  #: where it was, in order


def travel(
    graph: Graph, values: Mapping[str, Any], queues: Mapping[str, str], **options: Any
) -> Trip:
    """Run an item from queue to queue; each time all that goes on is bytes."""
    options.pop("error_handling", None)
    placed = place(graph, queues)
    queue, stages = home_of(placed), []
    answers: Sequence[Answer] = ()
    inputs: Mapping[str, Any] = dict(values)
    while True:
        stages.append(queue)
        way = placed_on(queue, settle)
        ready = prepare(seen_from(placed, queue), inputs, way=way, **options)
        journey = Journey(answers)
        try:
            outcome: Outcome = way.go(ready.run, inputs, journey)
        except Hop as hop:
            parts, bad = pack_luggage([(inputs, journey.answers)])
            assert not bad
            ((inputs, answers),) = unpack_luggage(b"".join(parts), decode)
            queue = hop.queue
            continue
        if outcome.error is not None:
            annotate(outcome.error, run_id="run-1", path=outcome.path)
        return Trip(outcome.as_result(), stages)


def assert_arrives(graph: Graph, values: Mapping[str, Any], **queues: str) -> Trip:
    """See that an item ends as with SyncRunner, and that bodies were called as often."""
    oracle = see(lambda: SyncRunner().run(graph, values, error_handling="continue"))
    called = Counter(CALLED)
    CALLED.clear()
    trip = travel(graph, values, queues)
    assert isinstance(oracle.result, RunResult)

    assert_same_result(oracle.result, trip.result)
    assert called == Counter(CALLED)
    return trip


@pytest.fixture(autouse=True)
def nobody_called() -> None:
    CALLED.clear()


def noted(name: str, function: Callable[..., Any], output: str | None = None) -> FunctionNode:
    """Return a node that writes down that it was called."""
    from functools import wraps

    @wraps(function)
    def body(*args: Any, **kwargs: Any) -> Any:
        CALLED.append(name)
        return function(*args, **kwargs)

    return FunctionNode(body, name=name, output_name=output)


def chain() -> Graph:
    return Graph(
        [
            noted("f", lambda x: x + 1, "a"),
            noted("g", lambda a: a * 2, "b"),
            noted("h", lambda a, b: (a, b), "c"),
        ],
        name="chain",
    )


def test_an_item_goes_there_and_back() -> None:
    trip = assert_arrives(chain(), {"x": 1}, g="gpu")

    assert trip.queues == ["default", "gpu", "default"]


def test_an_item_begins_where_its_first_node_is() -> None:
    assert assert_arrives(chain(), {"x": 1}, f="gpu").queues == ["gpu", "default"]


def test_neighbours_on_one_queue_cost_one_hop() -> None:
    assert assert_arrives(chain(), {"x": 1}, g="gpu", h="gpu").queues == ["default", "gpu"]


def test_any_number_of_queues() -> None:
    queues = {"f": "a", "g": "b", "h": "c"}

    assert assert_arrives(chain(), {"x": 1}, **queues).queues == ["a", "b", "c"]


def test_nodes_without_outputs_may_return_what_does_not_travel() -> None:
    graph = Graph([noted("f", lambda x: (_ for _ in ())), noted("g", lambda x: x, "b")])

    assert_arrives(graph, {"x": 1}, g="gpu")


def test_what_a_node_returns_in_several_outputs() -> None:
    graph = Graph(
        [
            noted("f", lambda x: (x, -x), None).with_name("f"),
            noted("two", lambda x: [x, -x], "p").with_name("two"),
            FunctionNode(lambda x: (x, -x), name="pair", output_name=("l", "r")),
            noted("last", lambda l, r, p: (l, r, p), "z"),  # noqa: E741
        ]
    )

    assert_arrives(graph, {"x": 1}, last="gpu")


def test_what_was_one_object_stays_one() -> None:
    graph = Graph(
        [
            noted("f", lambda x: x, "a"),
            noted("g", lambda a: a.append(1) or a, "b"),
            noted("h", lambda x, a, b: x is a is b, "c"),
        ]
    )

    assert travel(graph, {"x": []}, {"g": "gpu"}).result["c"] is True


@pytest.mark.parametrize("where", ["f", "g", "h"])
def test_a_failure_ends_it_wherever_it_is(where: str) -> None:
    def f(x: int) -> int:
        return 1 // (0 if where == "f" else 1) + x

    def g(a: int) -> int:
        return 1 // (0 if where == "g" else 1) + a

    def h(a: int, b: int) -> int:
        return 1 // (0 if where == "h" else 1) + a + b

    graph = Graph([noted("f", f, "a"), noted("g", g, "b"), noted("h", h, "c")])

    assert_arrives(graph, {"x": 1}, g="gpu")


# -- gates and loops ----------------------------------------------------------------------------


def looping() -> Graph:
    @route(targets=["double", END])
    def more(n: int) -> Any:
        CALLED.append("more")
        return "double" if n < 50 else END

    return Graph([noted("double", lambda n: n * 2, "n"), more])


def test_a_loop_may_hop_in_every_round() -> None:
    trip = assert_arrives(looping(), {"n": 3}, double="gpu", more="cpu")

    assert trip.queues[:4] == ["gpu", "cpu", "gpu", "cpu"]
    assert trip.result["n"] == 96


def test_a_gate_that_tosses_a_coin_tosses_it_once() -> None:
    coins = iter([True, False, False])

    @ifelse(when_true="left", when_false="right")
    def toss(x: int) -> bool:
        return next(coins)

    graph = Graph(
        [
            toss,
            noted("left", lambda x: "left", "l"),
            noted("right", lambda x: "right", "r"),
            noted("end", lambda l: l, "e"),  # noqa: E741
        ]
    )

    assert travel(graph, {"x": 1}, {"left": "gpu", "right": "gpu"}).result.values == {
        "l": "left",
        "e": "left",
    }


def test_values_that_do_not_equal_their_copies_wake_nobody_after_a_hop() -> None:
    def same(v: Any, times: int) -> tuple[Any, int]:
        return v, times + 1

    @route(targets=["same", END])
    def again(times: int) -> Any:
        return "same" if times < 3 else END

    graph = Graph(
        [
            FunctionNode(same, name="same", output_name=("v", "times")),
            again,
            noted("watch", len, "size").with_inputs(obj="v"),
        ]
    )

    assert_arrives(graph, {"v": np.array([1.0, np.nan]), "times": 0}, same="gpu")


# -- nested graphs ------------------------------------------------------------------------------


def test_a_nested_graph_is_left_in_the_middle_and_entered_again() -> None:
    outer = Graph([chain().as_node(), noted("last", lambda c: c, "d")])

    assert assert_arrives(outer, {"x": 1}, g="gpu").queues == ["default", "gpu", "default"]


def test_elements_of_a_mapped_graph_inside_an_item_hop_together() -> None:
    outer = Graph([chain().as_node().map_over("x"), noted("last", lambda c: c, "d")])
    trip = assert_arrives(outer, {"x": [1, 2, 3]}, g="gpu")

    assert trip.queues == ["default", "gpu", "default"]


def test_the_lowest_element_that_fails_is_the_one_that_counts() -> None:
    inner = Graph(
        [noted("f", lambda x: 6 // x, "a"), noted("g", lambda a: 6 // (a - 6), "b")], name="inner"
    )
    outer = Graph([inner.as_node().map_over("x")])

    # Element 2 fails at once, and element 1 later, on another queue.
    travelled = travel(outer, {"x": [2, 1, 0, 3]}, {"g": "gpu"}).result
    oracle = see(lambda: SyncRunner().run(outer, x=[2, 1, 0, 3], error_handling="continue"))

    assert isinstance(oracle.result, RunResult)
    assert_same_result(oracle.result, travelled)


def test_maps_within_maps_hop_together() -> None:
    inner = Graph([chain().as_node().map_over("x")], name="rows").as_node().map_over("x")
    outer = Graph([inner, noted("last", lambda c: c, "d")])
    trip = assert_arrives(outer, {"x": [[1, 2], [], [3]]}, g="gpu", h="tpu")

    assert trip.queues == ["default", "gpu", "tpu", "default"]


def test_elements_that_failed_before_a_hop_stay_failed() -> None:
    inner = Graph(
        [noted("f", lambda x: 6 // x, "a"), noted("g", lambda a: a + 1, "b")], name="inner"
    )
    mapped = inner.as_node().map_over("x", error_handling="continue")
    trip = assert_arrives(Graph([mapped]), {"x": [0, 1, 0, 2]}, g="gpu")
    inside = trip.result.nested["inner"]
    assert isinstance(inside, MapResult)
    error = inside[0].error

    assert isinstance(error, ZeroDivisionError)
    assert any("in f" in line or "<lambda>" in line for line in error.__notes__)


def test_a_piece_with_a_runner_of_its_own_runs_on_its_queue_once() -> None:
    piece = chain().as_node(name="piece", runner=SyncRunner())
    trip = assert_arrives(
        Graph(
            [
                noted("first", lambda x: x, "y"),
                piece.with_inputs(x="y"),
                noted("z", len, "n").with_inputs(obj="c"),
            ]
        ),
        {"x": 1},
        piece="gpu",
    )

    assert trip.queues == ["default", "gpu", "default"]


# -- async nodes and what does not travel -------------------------------------------------------


def test_async_nodes_are_waited_for_one_after_the_other() -> None:
    @node(output_name="a")
    async def fetch(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    @node(output_name="b", queue="gpu")
    async def several(a: int) -> Any:
        for n in range(a):
            yield n

    @node(output_name="c")
    def total(b: list[int]) -> int:
        return sum(b)

    assert travel(Graph([fetch, several, total]), {"x": 3}, {}).result["c"] == 6


def test_who_cannot_travel_is_named() -> None:
    good = ({"x": 1}, [("f", 1, None)])
    bad = ({"x": 1}, [("f", 1, None), ("g", threading.Lock(), None)])
    parts, errors = pack_luggage([good, bad, good])

    assert parts == []
    assert list(errors) == [1]
    assert isinstance(errors[1], UnserializableResult)
    assert (errors[1].node, errors[1].kind) == ("g", "_thread.lock")
