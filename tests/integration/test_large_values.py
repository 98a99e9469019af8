"""Large values take a way of their own, in both places that keep them, and nothing stays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypergraph import END, DistributedRunner, Graph, node, route
from hypergraph.embedded import EmbeddedRedis
from hypergraph.store.blobs import RedisBlobs, open_blobs
from hypergraph.store.keys import Keys
from hypergraph.store.link import Link
from hypergraph.values.digest import digest
from hypergraph.worker.local import LocalWorkers, local_config

MEGABYTES = np.arange(400_000, dtype=np.float64)  # 3.2 MB
SECRET = b"s" * 32

Runner = Callable[..., DistributedRunner]


@node(output_name="y")
def double(x: Any) -> Any:
    return x * 2


@node(output_name="total")
def add_up(y: Any) -> float:
    return float(y.sum())


@node(output_name="x")
def again(x: Any, turn: int) -> Any:
    return x


@node(output_name="turn")
def count(x: Any, turn: int) -> int:
    return turn + 1


@route(targets=["again", "count", END], multi_target=True)
def go_on(turn: int) -> list[Any]:
    return ["again", "count"] if turn < 5 else [END]


GRAPH = Graph([double, add_up], name="large")
LOOP = Graph([again, count, go_on], name="loop")


@pytest.fixture(params=["directory", "redis"], scope="module")
def runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DistributedRunner]:
    """A runner and two workers on a Redis of their own, once for each place for large values."""
    where = ""
    if request.param == "directory":
        where = f"file://{tmp_path_factory.mktemp('shared')}/blobs"
    with EmbeddedRedis() as redis:
        config = local_config(redis.url, secret=SECRET, processes=2, blobs=where)
        workers = LocalWorkers(config)
        workers.start()
        with DistributedRunner(redis.url, secret=SECRET, blobs=where, progress=False) as runner:
            yield runner
        workers.stop()


def find_blobs(runner: DistributedRunner) -> list[str]:
    """Return the large values of runs, wherever they are kept."""
    store = runner._open().store
    if isinstance(store.blobs, RedisBlobs):
        return [str(key) for key in store.link.client.keys("*}:b:*")]
    root: Path = store.blobs._root  # type: ignore[attr-defined]
    return [str(path) for path in root.glob("run-*")]


def test_large_values_come_back_whole_and_writable_and_nothing_stays(
    runner: DistributedRunner,
) -> None:
    result = runner.run(GRAPH, x=MEGABYTES)

    assert np.array_equal(result["y"], MEGABYTES * 2)
    assert result["y"].flags.writeable
    assert result["total"] == float((MEGABYTES * 2).sum())
    assert find_blobs(runner) == []


def test_large_items_and_large_results_of_a_map_cross_too(runner: DistributedRunner) -> None:
    results = runner.map(GRAPH, {"x": [MEGABYTES + i for i in range(4)]}, map_over="x")

    for index, result in enumerate(results):
        assert np.array_equal(result["y"], (MEGABYTES + index) * 2)
    assert find_blobs(runner) == []


def test_a_large_broadcast_value_is_shared_by_all_items(runner: DistributedRunner) -> None:
    @node(output_name="z")
    def pick(weights: Any, i: int) -> float:
        return float(weights[i])

    results = runner.map(Graph([pick]), {"weights": MEGABYTES, "i": range(50)}, map_over="i")

    assert results["z"] == [float(i) for i in range(50)]


def test_a_loop_over_a_large_value_stores_it_once(runner: DistributedRunner) -> None:
    handle = runner.submit(LOOP, x=MEGABYTES, turn=0)

    result = handle.result(timeout=60)

    assert result["turn"] == 5
    store = runner._open().store
    if isinstance(store.blobs, RedisBlobs):
        assert len(find_blobs(runner)) == 1
    else:
        assert [len(os.listdir(path)) for path in find_blobs(runner)] == [1]


def test_half_a_blob_in_redis_is_no_blob(redis_url: str, namespace: str) -> None:
    link = Link(redis_url, patience_s=5.0)
    blobs = open_blobs(None, link, Keys(namespace))
    data = bytes(3 << 20)
    key = digest(data)
    blobs.put("shared", key, [data])
    link.client.hdel(Keys(namespace).code(f"blob:{key}"), "n")

    assert not blobs.has("shared", key)
    assert blobs.get("shared", key, len(data)) is None

    blobs.put("shared", key, [data])

    assert blobs.get("shared", key, len(data)) == bytearray(data)
    link.close()
