"""A worker that was started with --allow-modules runs these by name, and says no to all else."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hypergraph import DistributedRunner, ForbiddenCode, Graph, RunStatus, UntrustedPayload
from hypergraph.nodes import FunctionNode
from hypergraph.worker.local import LocalWorkers
from tests.elsewhere import SECRET, host
from tests.redis_server import RedisServer

SOURCE = """
from dataclasses import dataclass
from hypergraph import END, Graph, InterruptNode, node, route

@dataclass
class Doc:
    text: str

@node(output_name="doc")
def read(text):
    return Doc(text)

@node(output_name="size")
def measure(doc):
    return len(doc.text)

@route(targets=["measure", END])
def worth(doc):
    return "measure" if doc.text else END

@node(output_name="size", queue="gpu")
def measure_there(doc):
    return len(doc.text)
"""
PLAIN = "def read(text):\n    return text\n"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ModuleType]]:
    """Module `ours`, which workers may run, and `theirs`, which they may not."""
    directory = tmp_path_factory.mktemp("project")
    sys.path.insert(0, str(directory))
    (directory / "ours.py").write_text(SOURCE)
    (directory / "theirs.py").write_text(PLAIN)
    yield {name: importlib.import_module(name) for name in ("ours", "theirs")}
    sys.path.remove(str(directory))
    for name in ("ours", "theirs"):
        del sys.modules[name]


@pytest.fixture(scope="module")
def careful(redis_server: RedisServer, modules: dict[str, ModuleType]) -> Iterator[LocalWorkers]:
    """Two hosts, one of which serves queue `gpu`. Both run only `ours`."""
    directory = Path(str(modules["ours"].__file__)).parent
    url, namespace, allowed = redis_server.url, "allowed", ["ours"]
    with (
        host(url, namespace, directory, allow_modules=allowed) as workers,
        host(url, namespace, directory, allow_modules=allowed, queues=["gpu"]),
    ):
        yield workers


@pytest.fixture
def make_runner(careful: LocalWorkers) -> Iterator[Callable[[Any], DistributedRunner]]:
    made = []

    def make(ship: Any) -> DistributedRunner:
        config = careful.config
        made.append(
            DistributedRunner(config.url, secret=SECRET, namespace=config.namespace, ship=ship)
        )
        return made[-1]

    yield make
    for runner in made:
        runner.close()


Runner = Callable[[Any], DistributedRunner]


def test_code_of_the_module_runs_by_name(
    make_runner: Runner, modules: dict[str, ModuleType]
) -> None:
    ours, runner = modules["ours"], make_runner("reference")
    graph = Graph([ours.read, ours.worth, ours.measure])
    each = Graph([ours.read, ours.measure], name="each").as_node().map_over("text")

    assert runner.run(graph, text="four")["size"] == 4
    assert runner.map(graph, {"text": ["a", "bc"]}, map_over="text")["size"] == [1, 2]
    assert runner.run(Graph([each]), text=["a", "bc"])["size"] == [1, 2]
    assert runner.run(Graph([ours.measure]), doc=ours.Doc("three"))["size"] == 5


def test_items_go_from_queue_to_queue_by_name(
    make_runner: Runner, modules: dict[str, ModuleType]
) -> None:
    ours = modules["ours"]
    results = make_runner("reference").map(
        Graph([ours.read, ours.measure_there]), {"text": ["a", "bc"]}, map_over="text"
    )

    assert results["size"] == [1, 2]


@pytest.mark.parametrize(
    ("module", "ship", "named"),
    [
        pytest.param("ours", "auto", "code sent by value", id="by value"),
        pytest.param("theirs", "reference", r"theirs\.read", id="of another module"),
    ],
)
def test_anything_else_is_refused_at_once_and_says_why(
    make_runner: Runner, modules: dict[str, ModuleType], module: str, ship: str, named: str
) -> None:
    read = modules[module].read
    node = read if isinstance(read, FunctionNode) else FunctionNode(read, output_name="doc")
    runner, graph = make_runner(ship), Graph([node], name="each")
    calls: list[Callable[[], Any]] = [
        lambda: runner.run(graph, text="a"),
        lambda: runner.map(graph, {"text": ["a", "b"]}, map_over="text"),
        lambda: runner.run(Graph([graph.as_node().map_over("text")]), text=["a", "b"]),
        lambda: runner.submit(graph, text="a").result(10),
        lambda: list(runner.map_iter(graph, {"text": ["a", "b"]}, map_over="text")),
    ]
    began = time.monotonic()
    for call in calls:
        with pytest.raises(ForbiddenCode, match=rf"{named}.*runs only what lies in ours"):
            call()

    assert time.monotonic() - began < 10


def test_every_item_of_a_map_that_goes_on_says_why(
    make_runner: Runner, modules: dict[str, ModuleType]
) -> None:
    results = make_runner("auto").map(
        Graph([modules["ours"].read]),
        {"text": ["a", "b", "c"]},
        map_over="text",
        error_handling="continue",
    )

    assert results.status is RunStatus.FAILED
    assert [type(result.error) for result in results] == [ForbiddenCode] * 3


def test_values_that_bring_code_along_are_refused(
    make_runner: Runner, modules: dict[str, ModuleType]
) -> None:
    ours = modules["ours"]
    with pytest.raises(UntrustedPayload, match="code sent by value"):
        make_runner("auto").run(Graph([ours.measure]), doc=ours.Doc("a"))
    with pytest.raises(UntrustedPayload, match="lies in ours"):
        make_runner("reference").map(
            Graph([ours.measure]), {"doc": [importlib.import_module]}, map_over="doc"
        )
