"""Placed nodes run on workers of their queue: in runs, in maps, in mapped graphs inside runs."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hypergraph import (
    END,
    DistributedRunner,
    Graph,
    NodeStartEvent,
    NoWorker,
    SyncRunner,
    node,
    route,
)
from hypergraph.errors import UnserializableResult
from hypergraph.nodes import FunctionNode
from hypergraph.worker.local import LocalWorkers, local_config
from tests.agreement import place_of
from tests.contract.members import Notebook
from tests.contract.spans import check_spans
from tests.elsewhere import host
from tests.processes import wait_until
from tests.redis_server import RedisServer
from tests.stores import open_store

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
    store = open_store(redis_server.url, NAMESPACE)
    assert wait_until(lambda: len(store.workers(60.0)) == 2, 30.0)
    store.link.close()
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


def test_observers_see_an_item_as_one_run_wherever_its_nodes_were(make_runner: Runner) -> None:
    notebook = Notebook()
    make_runner().map(GRAPH, {"x": [1, 2]}, map_over="x", event_processors=[notebook])

    check_spans(notebook.events)
    starts = [event.node_name for event in notebook.of(NodeStartEvent)]
    assert starts == ["load", "embed", "store"] * 2


def test_a_queue_that_nobody_serves_is_named_before_anything_is_stored(
    make_runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = make_runner(queues={"load": "tpu"})
    runner._open()
    monkeypatch.setattr("hypergraph.runners.session.CONTACT_S", 0.6)  # of waiting for a worker

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


# -- maps whose items go from queue to queue ----------------------------------------------------


def test_items_hop_there_and_back(make_runner: Runner, hosts: Hosts) -> None:
    results = make_runner().map(GRAPH, {"x": list(range(300))}, map_over="x")

    assert [value for value, _ in results["c"]] == [2 * x + 1 for x in range(300)]
    assert {places(hosts, result.values) for result in results} == {"default gpu default"}


def test_items_come_one_by_one_as_they_are_done(make_runner: Runner, hosts: Hosts) -> None:
    seen = list(make_runner().map_iter(GRAPH, {"x": iter(range(100))}, map_over="x"))

    assert sorted(result["c"][0] for result in seen) == [2 * x + 1 for x in range(100)]


def test_a_map_that_was_submitted_hops(make_runner: Runner, hosts: Hosts) -> None:
    handle = make_runner().submit_map(GRAPH, {"x": list(range(40))}, map_over="x")

    assert [c for c, _ in handle.result(30)["c"]] == [2 * x + 1 for x in range(40)]


def test_items_of_a_mapped_node_hop_inside_a_run(make_runner: Runner, hosts: Hosts) -> None:
    @node(output_name="x")
    def several(n: int) -> list[int]:
        return list(range(n))

    @node(output_name="total")
    def total(c: list[tuple[int, int]]) -> tuple[int, int]:
        return sum(value for value, _ in c), os.getppid()

    graph = Graph([several, GRAPH.as_node().map_over("x"), total], name="outer")
    values = make_runner().run(graph, n=30).values

    assert values["total"][0] == sum(2 * x + 1 for x in range(30))
    assert {hosts.name(pid) for _, pid in values["b"]} == {"gpu"}
    assert {hosts.name(pid) for _, pid in values["c"]} == {"default"}


def test_a_mapped_node_that_ends_elsewhere_goes_on_at_once(
    make_runner: Runner, hosts: Hosts
) -> None:
    each = Graph([load, embed], name="each").as_node().map_over("x")

    began = time.monotonic()
    for _ in range(3):
        make_runner().run(Graph([each]), x=[1, 2])

    assert time.monotonic() - began < 2.5  # a reconciler would come by once a second


def test_the_first_failure_is_that_of_the_lowest_item_wherever_it_fails(
    make_runner: Runner, hosts: Hosts
) -> None:
    @node(output_name="b", queue="gpu")
    def on_gpu(a: int) -> int:
        if a == 30:
            raise ValueError(f"no {a} here")
        return a

    @node(output_name="c")
    def back(b: int) -> int:
        if b == 20:
            raise KeyError(f"nor {b}")
        return b

    runner = make_runner()
    graph = Graph([on_gpu, back])
    with pytest.raises(KeyError, match="nor 20"):
        runner.map(graph, {"a": list(range(60))}, map_over="a")
    results = runner.map(graph, {"a": list(range(40))}, map_over="a", error_handling="continue")

    assert {r.index: type(r.error) for r in results if r.error} == {20: KeyError, 30: ValueError}
    assert results[30].error is not None
    assert place_of(results[30].error) == ("on_gpu", "30")
    assert results[20]["b"] == 20


def test_gates_and_loops_hop(make_runner: Runner, hosts: Hosts) -> None:
    @route(targets=["double", END])
    def more(n: int) -> Any:
        return "double" if n < 50 else END

    @node(output_name="n", queue="gpu")
    def double(n: int) -> int:
        return 2 * n

    graph = Graph([double, more])
    oracle = SyncRunner().map(graph, {"n": list(range(1, 20))}, map_over="n")

    assert (
        make_runner(queues={"more": "default"}).map(graph, {"n": list(range(1, 20))}, map_over="n")[
            "n"
        ]
        == oracle["n"]
    )


def test_what_cannot_travel_fails_the_item_and_names_the_node(
    make_runner: Runner, hosts: Hosts
) -> None:
    @node(output_name="a")
    def lock(x: int) -> Any:
        return threading.Lock() if x == 2 else x

    @node(output_name="b", queue="gpu")
    def use(a: Any) -> int:
        return 1

    results = make_runner().map(
        Graph([lock, use]), {"x": [1, 2, 3]}, map_over="x", error_handling="continue"
    )

    assert [result.error is None for result in results] == [True, False, True]
    with pytest.raises(UnserializableResult, match="'lock'"):
        raise results[1].error or AssertionError


def test_broadcast_and_bound_values_are_where_they_are_read(
    make_runner: Runner, hosts: Hosts
) -> None:
    @node(output_name="a")
    def first(x: int, table: list[int]) -> int:
        return x + len(table)

    @node(output_name="b", queue="gpu")
    def second(a: int, weights: list[int], table: list[int], bias: int = 7) -> int:
        return a + sum(weights) + table[0] + bias

    graph = Graph([first, second]).bind(weights=[10, 20])
    values = {"x": [1, 2, 3], "table": list(range(5, 25))}

    assert make_runner().map(graph, values, map_over="x")["b"] == [1 + 62, 2 + 62, 3 + 62]


def test_a_worker_that_serves_both_queues_does_all_of_an_item(
    redis_url: str, namespace: str
) -> None:
    config = local_config(redis_url, secret=SECRET, namespace=namespace, queues=["default", "gpu"])
    workers = LocalWorkers(config)
    workers.start()
    try:
        with DistributedRunner(redis_url, secret=SECRET, namespace=namespace) as runner:
            results = runner.map(GRAPH, {"x": list(range(30))}, map_over="x")
            handle = runner.submit_map(GRAPH, {"x": list(range(30))}, map_over="x")
            assert handle.result(20)["c"] == results["c"]
            state = runner._open().store.keys.run(handle.run_id, "m:map:state")
            hops = runner._open().link.pipeline([("HGET", state, "hops")])[0]
    finally:
        workers.stop()

    assert hops is None


# -- other machines -----------------------------------------------------------------------------


def test_workers_of_other_queues_need_not_have_what_a_placed_node_imports(
    redis_url: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, nowhere = (tmp_path / name for name in ("client", "gpu", "default"))
    nowhere.mkdir()
    for directory in (here, there):
        (directory / "rare-1.0.dist-info").mkdir(parents=True)  # as pip leaves it
        (directory / "rare.py").write_text("import os\ndef twice(n): return 2 * n, os.getppid()\n")
    monkeypatch.syspath_prepend(str(here))
    rare = importlib.import_module("rare")

    first = FunctionNode(lambda x: x + 1, name="first", output_name="n")
    graph = Graph([first, FunctionNode(rare.twice, output_name="b", queue="gpu")])
    with (
        host(redis_url, namespace, nowhere),
        host(redis_url, namespace, there, queues=["gpu"]) as gpu,
        DistributedRunner(redis_url, secret=SECRET, namespace=namespace) as runner,
    ):
        one = runner.run(graph, x=1)["b"]
        many = runner.map(graph, {"x": list(range(20))}, map_over="x")["b"]
        pid = gpu.pid
    monkeypatch.delitem(sys.modules, "rare")

    assert one == (4, pid)
    assert many == [(2 * (x + 1), pid) for x in range(20)]


def test_a_placed_worker_that_is_killed_costs_nobody_a_result(
    redis_url: str, namespace: str, tmp_path: Path
) -> None:
    dying = tmp_path / "dying"

    @node(output_name="b", queue="gpu")
    def fragile(a: tuple[int, int]) -> int:
        if a[0] == 50 and not dying.exists():
            dying.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return a[0]

    with (
        host(redis_url, namespace, tmp_path),
        host(redis_url, namespace, tmp_path, queues=["gpu"]),
        DistributedRunner(redis_url, secret=SECRET, namespace=namespace) as runner,
    ):
        results = runner.map(
            Graph([load, fragile, store.with_inputs(b="a")]), {"x": list(range(100))}, map_over="x"
        )

    assert dying.exists()
    assert results["b"] == list(range(1, 101))


# -- workers of one's own -----------------------------------------------------------------------


def test_local_workers_serve_every_queue() -> None:
    with DistributedRunner(workers=1, queues={"store": "elsewhere"}) as runner:
        assert runner.run(GRAPH, x=3)["c"][0] == 7
        assert [c for c, _ in runner.map(GRAPH, {"x": [3, 4]}, map_over="x")["c"]] == [7, 9]
