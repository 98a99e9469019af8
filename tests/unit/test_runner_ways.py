"""Whether anybody waits, and whether anybody looks, changes nothing about what a run does."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings

from hypergraph import AsyncRunner, EventProcessor, FunctionNode, Graph, HyperNode, node
from hypergraph.runners.inline import prepare
from hypergraph.runners.outcome import Outcome
from hypergraph.runners.together import TOGETHER
from hypergraph.runners.waiting import IN_TURN, Going, Raised, Way, start, then
from hypergraph.runners.watch import Around
from tests.unit.test_runner_inline import acyclic_nodes, as_loop, shown

VALUES: dict[str, Any] = {"x": ("x1", "x2"), "y": "y"}


def made_async(nodes: list[HyperNode]) -> list[HyperNode]:
    """Return the nodes with every function that stands at the top turned into an async one."""
    return [_async(n) if isinstance(n, FunctionNode) else n for n in nodes]


def _async(made: FunctionNode) -> FunctionNode:
    scope: dict[str, Any] = {"body": made.func}
    names = list(made.param_of.values())
    params = [f"{n}={made.defaults[n]!r}" if n in made.defaults else n for n in names]
    code = f"async def f({', '.join(params)}): return body({', '.join(names)})"
    exec(code, scope)
    return FunctionNode(scope["f"], name=made.name, output_name=made.outputs or None)


def outcome_of(graph: Graph, way: Way, *, is_observed: bool = False) -> Outcome:
    async def settle() -> Outcome:
        around = Around(lambda event: None) if is_observed else None
        prepared = prepare(graph, VALUES, way=way, is_observed=is_observed)
        got = prepared.start(VALUES, around)
        return got if isinstance(got, Outcome) else await got

    return asyncio.run(settle())


def said(outcome: Outcome) -> Any:
    nested = {name: shown(result) for name, result in outcome.nested.items()}
    return shown(outcome.values), outcome.error, outcome.path, nested


@settings(max_examples=40, deadline=None)
@given(acyclic_nodes())
def test_runners_agree(nodes: list[HyperNode]) -> None:
    plain = outcome_of(Graph(nodes), IN_TURN)

    for variant in (Graph(nodes), as_loop(nodes), Graph(made_async(nodes))):
        together = outcome_of(variant, TOGETHER)
        assert together.error == plain.error
        assert together.path == plain.path
        if plain.error is None:
            assert shown(together.values) == shown(plain.values)
        else:
            # Those beside the failed node have finished.
            assert shown(plain.values).items() <= shown(together.values).items()


@settings(max_examples=30, deadline=None)
@given(acyclic_nodes())
def test_observers_change_nothing(nodes: list[HyperNode]) -> None:
    for graph in (Graph(nodes), as_loop(nodes)):
        for way in (IN_TURN, TOGETHER):
            looked_at = outcome_of(graph, way, is_observed=True)
            assert said(looked_at) == said(outcome_of(graph, way))


def test_what_has_nothing_to_wait_for_is_done_at_once() -> None:
    def going() -> Going[int]:
        yield from ()
        return 5

    assert start(going()) == 5
    assert then(5, str) == "5"


def test_what_has_to_wait_returns_a_coroutine() -> None:
    async def number() -> int:
        await asyncio.sleep(0)
        return 2

    async def burst() -> int:
        raise KeyError("awaited")

    def going() -> Going[Any]:
        first = yield number()
        try:
            yield burst()
        except KeyError as error:
            return first, error.args
        return None

    assert asyncio.run(start(going())) == (2, ("awaited",))
    assert asyncio.run(then(number(), str)) == "2"  # type: ignore[arg-type]


def test_a_caught_error_shows_the_users_frames_only() -> None:
    @node(output_name="y")
    def fails(x: Any) -> int:
        return inside()

    def inside() -> int:
        raise ValueError

    for way in (IN_TURN, TOGETHER):
        error = outcome_of(as_loop([fails]), way).error
        assert error is not None
        names = []
        traceback = error.__traceback__
        while traceback is not None:
            names.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        assert names == ["fails", "inside"]
    assert Raised(ValueError()).error.__traceback__ is None


class Large:
    """Something whose end can be seen."""


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("is_observed", [False, True], ids=["unseen", "observed"])
@pytest.mark.parametrize("shape", ["line", "loop", "nested"])
def test_a_failed_async_run_lets_go_of_its_values(shape: str, is_observed: bool) -> None:
    @node(output_name="y")
    def stumble(x: Any) -> int:
        raise ValueError

    graph = {
        "line": Graph([stumble]),
        "loop": as_loop([stumble]),
        "nested": Graph([Graph([stumble], name="in").as_node()]),
    }[shape]
    observers = [EventProcessor()] if is_observed else None

    async def run() -> weakref.ref[Large]:
        large = Large()
        with suppress(ValueError):
            await AsyncRunner().run(graph, {"x": large}, event_processors=observers)
        return weakref.ref(large)

    assert asyncio.run(run())() is None
