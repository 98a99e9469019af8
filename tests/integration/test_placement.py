"""Placed nodes run on workers of their queue: in runs, in maps, in mapped graphs inside runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from hypergraph import DistributedRunner, Graph, NoWorker, node
from hypergraph.worker.local import LocalWorkers, local_config
from tests.redis_server import RedisServer

SECRET = b"a secret of the tests"
NAMESPACE = "placement"


class Hosts(NamedTuple):
    """Two worker hosts: one serves the default queue, one the queue `gpu`."""

    default: LocalWorkers
    gpu: LocalWorkers

    def name(self, pid: int) -> str:
        """Return which of them has a supervisor of this pid."""
        return {self.default.pid: "default", self.gpu.pid: "gpu"}[pid]


@pytest.fixture(scope="module")
def hosts(redis_server: RedisServer) -> Iterator[Hosts]:
    """Both hosts, with a process each. Do not kill them."""
    started = []
    for queue in ("default", "gpu"):
        config = local_config(redis_server.url, secret=SECRET, namespace=NAMESPACE, queues=[queue])
        started.append(LocalWorkers(config))
        started[-1].start()
    yield Hosts(*started)
    for workers in started:
        workers.stop()


@pytest.fixture
def make_runner(redis_url: str, hosts: Hosts) -> Iterator[Callable[..., DistributedRunner]]:
    """Make a runner for the two hosts."""
    made: list[DistributedRunner] = []

    def make(**options: Any) -> DistributedRunner:
        made.append(DistributedRunner(redis_url, secret=SECRET, namespace=NAMESPACE, **options))
        return made[-1]

    yield make
    for runner in made:
        runner.close()


Runner = Callable[..., DistributedRunner]


@node(output_name="a")
def load(x: int) -> tuple[int, int]:
    return x + 1, os.getppid()


@node(output_name="b", queue="gpu")
def embed(a: tuple[int, int]) -> tuple[int, int]:
    return a[0] * 2, os.getppid()


@node(output_name="c")
def store(b: tuple[int, int]) -> tuple[int, int]:
    return b[0] - 1, os.getppid()


GRAPH = Graph([load, embed, store], name="pipeline")


def places(hosts: Hosts, values: dict[str, Any]) -> str:
    """Return where the outputs were made."""
    return " ".join(hosts.name(value[1]) for value in values.values())


# -- runs ---------------------------------------------------------------------------------------


def test_a_placed_node_runs_on_a_worker_of_its_queue(make_runner: Runner, hosts: Hosts) -> None:
    result = make_runner().run(GRAPH, x=3)

    assert [value[0] for value in result.values.values()] == [4, 8, 7]
    assert places(hosts, result.values) == "default gpu default"


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        pytest.param({"embed": "default"}, "default default default", id="by name"),
        pytest.param({"load": "gpu", "embed": "default"}, "gpu default default", id="two"),
    ],
)
def test_the_runners_word_wins(
    make_runner: Runner, hosts: Hosts, queues: dict[str, str], expected: str
) -> None:
    assert places(hosts, make_runner(queues=queues).run(GRAPH, x=3).values) == expected


def test_a_nested_graph_can_be_placed_as_a_whole(make_runner: Runner, hosts: Hosts) -> None:
    outer = Graph([GRAPH.as_node(name="inner")], name="outer")

    values = make_runner(queues={"inner": "gpu"}).run(outer, x=3).values

    assert places(hosts, values) == "gpu gpu gpu"


def test_a_queue_that_nobody_serves_is_named_before_anything_is_stored(
    make_runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypergraph.runners.session.CONTACT_S", 0.6)
    runner = make_runner(queues={"load": "tpu"})

    with pytest.raises(NoWorker, match=r"queue 'tpu'.*--queues tpu"):
        runner.run(GRAPH, x=3)
    with pytest.raises(NoWorker, match=r"queue 'tpu'"):
        runner.map(GRAPH, {"x": [3]}, map_over="x")


def test_a_queue_with_an_odd_name_is_refused_by_the_runner(make_runner: Runner) -> None:
    with pytest.raises(ValueError, match="'g p u' cannot be a queue's name"):
        make_runner(queues={"embed": "g p u"})


# -- maps that are wholly on one queue ----------------------------------------------------------


def test_a_map_whose_nodes_share_a_queue_runs_there(make_runner: Runner, hosts: Hosts) -> None:
    runner = make_runner(queues={"pipeline": "gpu", "load": "gpu", "store": "gpu"})

    results = runner.map(GRAPH, {"x": list(range(50))}, map_over="x")

    assert [value for value, _ in results["c"]] == [2 * x + 1 for x in range(50)]
    assert {hosts.name(pid) for _, pid in results["c"]} == {"gpu"}


def test_a_mapped_graph_inside_a_run_runs_where_its_nodes_are(
    make_runner: Runner, hosts: Hosts
) -> None:
    each = Graph([embed.with_inputs(a="y")], name="each").as_node().map_over("y")

    @node(output_name="y")
    def several(x: int) -> list[tuple[int, int]]:
        return [(x + n, os.getppid()) for n in range(20)]

    values = make_runner().run(Graph([several, each]), x=1).values

    assert {hosts.name(pid) for _, pid in values["y"]} == {"default"}
    assert [value for value, _ in values["b"]] == [2 * (1 + n) for n in range(20)]
    assert {hosts.name(pid) for _, pid in values["b"]} == {"gpu"}


# -- workers of one's own -----------------------------------------------------------------------


def test_local_workers_serve_every_queue() -> None:
    with DistributedRunner(workers=1, queues={"store": "elsewhere"}) as runner:
        assert runner.run(GRAPH, x=3)["c"][0] == 7
        assert [c for c, _ in runner.map(GRAPH, {"x": [3, 4]}, map_over="x")["c"]] == [7, 9]
