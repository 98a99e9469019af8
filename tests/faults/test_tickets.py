"""Tickets may be lost, repeated and shuffled: no result depends on them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from hypergraph import Graph, RunResult, SyncRunner, node
from hypergraph.transport.tickets import Tickets
from tests.faults.bodies import DIAMOND, SQUARES
from tests.faults.ledger import Ledger, check_map, check_run
from tests.faults.rig import Rig
from tests.faults.unruly import make_unruly

UNRULY_HOST = [sys.executable, "-m", "tests.faults.unruly"]


@node(output_name="b")
def add_one(a: int) -> int:
    return a + 1


@node(output_name="c")
def double(b: int) -> int:
    return 2 * b


@node(output_name="total")
def add_up(c: list[int]) -> int:
    return sum(c)


@node(output_name="both")
def pair(total: int, left: int) -> tuple[int, int]:
    return total, left


def chain(length: int) -> Graph:
    return Graph(
        [
            add_one.with_name(f"n{i}").with_inputs(a=f"v{i}").with_outputs(b=f"v{i + 1}")
            for i in range(length)
        ],
        name="chain",
    )


def fan(width: int) -> Graph:
    return Graph(
        [add_one.with_name(f"n{i}").with_outputs(b=f"v{i}") for i in range(width)], name="fan"
    )


INNER = Graph([add_one, double], name="inner")
MAPPED = Graph([INNER.as_node().map_over("a"), add_up], name="mapped")
DEEP = Graph(
    [
        MAPPED.as_node(),
        Graph(
            [INNER.as_node().with_inputs(a="x").with_outputs(b="bx", c="left")], name="side"
        ).as_node(),
        pair,
    ],
    name="deep",
)

#: Graph and inputs.
RUNS: dict[str, tuple[Graph, dict[str, Any]]] = {
    "a chain": (chain(12), {"v0": 0}),
    "a fan": (fan(25), {"a": 1}),
    "a nested graph": (Graph([INNER.as_node()], name="outer"), {"a": 3}),
    "a mapped node": (MAPPED, {"a": list(range(30))}),
    "nested, mapped and beside": (DEEP, {"a": [1, 2, 3], "x": 5}),
}

#: Graph, inputs, what is mapped over, and how.
MAPS: dict[str, tuple[Graph, dict[str, Any], Any, str]] = {
    "a map": (INNER, {"a": list(range(50))}, "a", "zip"),
    "a map of mapped nodes": (MAPPED, {"a": [[1, 2], [], [3]]}, "a", "zip"),
    "a product": (DEEP, {"a": [[1, 2], [3]], "x": [5, 6, 7]}, ["a", "x"], "product"),
}


@pytest.fixture
def unruly(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A rig whose client and host use an unruly post."""
    monkeypatch.setattr(Tickets, "commands", make_unruly(Tickets.commands, seed=7))
    rig.start_host(command=UNRULY_HOST, processes=3)
    yield rig


def plain(result: RunResult) -> tuple[Any, ...]:
    """Return what a result says, also of nested graphs."""
    nested = {
        name: [plain(item) for item in inner] if isinstance(inner, list) else plain(inner)
        for name, inner in result.nested.items()
    }
    return result.status, result.values, nested


def test_what_happens_to_tickets_changes_no_result(unruly: Rig, ledger: Ledger) -> None:
    # Given runs and maps of all kinds, all at once, and a post that cannot be trusted
    runner = unruly.runner()
    runs = {name: runner.submit(graph, values) for name, (graph, values) in RUNS.items()}
    maps = {
        name: runner.submit_map(graph, values, map_over=over, map_mode=mode)
        for name, (graph, values, over, mode) in MAPS.items()
    }
    counted = runner.submit(DIAMOND, {"x": 1, "ledger": ledger})
    items = Ledger(f"{ledger.path}.items")
    counted_map = runner.submit_map(SQUARES, {"item": range(100), "ledger": items}, map_over="item")

    # Then each gives what it gives in this process
    for name, (graph, values) in RUNS.items():
        here = SyncRunner().run(graph, values)
        there = runs[name].result(timeout=30)
        assert plain(there) == plain(here), name
    for name, (graph, values, over, mode) in MAPS.items():
        here_all = SyncRunner().map(graph, values, map_over=over, map_mode=mode)
        there_all = maps[name].result(timeout=30)
        assert [plain(result) for result in there_all] == [plain(r) for r in here_all], name
    # ... and nothing was executed twice
    assert counted.result(timeout=30)["total"] == 10
    assert counted_map.result(timeout=30)["square"] == [n * n for n in range(100)]
    check_run(ledger, unruly.store, counted.run_id)
    check_map(items, unruly.store, counted_map.run_id, 100)


def test_a_queue_that_is_emptied_again_and_again_stops_no_run(rig: Rig) -> None:
    rig.start_host(processes=2)
    runner = rig.runner()
    handles = [runner.submit(chain(5), {"v0": i}) for i in range(5)]
    redis = rig.store.link.client
    for _ in range(20):
        if keys := redis.keys(f"{rig.store.keys.dramatiq}:*"):
            redis.delete(*keys)

    results = [handle.result(timeout=20)["v5"] for handle in handles]

    assert results == [i + 5 for i in range(5)]


def test_forged_tickets_are_not_followed(rig: Rig, ledger: Ledger) -> None:
    # Given tickets that nobody with the secret has written, and things that are no tickets
    host = rig.start_host()
    redis = rig.store.link.client
    queue = host.config.full_queues[0]
    name = f"{rig.store.keys.dramatiq}:{queue}"
    for number, body in enumerate(
        [
            b"no json",
            b"{}",
            b'{"queue_name":"q","actor_name":"other","args":[],"kwargs":{},"options":{},'
            b'"message_id":"1","message_timestamp":1}',
            f'{{"queue_name":"{queue}","actor_name":"hypergraph_drain","args":["r","{queue}","AAAA"],'
            '"kwargs":{},"options":{},"message_id":"2","message_timestamp":1}'.encode(),
        ]
    ):
        redis.hset(f"{name}.msgs", f"forged{number}", body)
        redis.rpush(name, f"forged{number}")

    # Then what comes behind them is done all the same
    handle = rig.runner().submit(DIAMOND, {"x": 1, "ledger": ledger})
    assert handle.result(timeout=10)["total"] == 10
    assert len(host.children) == 1
