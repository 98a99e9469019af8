"""Code that workers have never seen runs on them, as it stands where the call is made.

The worker here is one on another machine, as far as that can be had on one: started from the
command line, in another directory, with an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
SECRET = "a secret of far away"


@pytest.fixture(scope="module")
def surroundings(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What a client has in its environment, whose only worker is far away."""
    directory = tmp_path_factory.mktemp("far")
    own = {
        "HYPERGRAPH_REDIS_URL": redis_server.url,
        "HYPERGRAPH_SECRET": SECRET,
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",  # or an edit within a second of the import goes unseen
    }
    arguments = ["-m", "hypergraph.cli.main", "worker", "--processes", "2", "--name", "far"]
    with (directory / "log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, *arguments, "--namespace", "far"],
            env=own,
            cwd=directory,
            stdout=log,
            stderr=log,
        )
    yield own
    worker.terminate()
    worker.wait(10)
    print((directory / "log").read_text())


class Place:
    """A directory with a project in it, and what runs there."""

    def __init__(self, directory: Path, surroundings: dict[str, str]) -> None:
        self.directory = directory
        self._surroundings = surroundings

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def python(self, *arguments: Any, stdin: str = "") -> list[str]:
        """Run Python there and return the lines it prints."""
        found = subprocess.run(
            [sys.executable, *map(str, arguments)],
            input=textwrap.dedent(stdin),
            env={**self._surroundings, "PYTHONPATH": f"{ROOT}"},
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert found.returncode == 0, found.stderr
        assert "Traceback" not in found.stderr, found.stderr
        return found.stdout.splitlines()


@pytest.fixture
def place(tmp_path: Path, surroundings: dict[str, str]) -> Place:
    return Place(tmp_path, surroundings)


HEAD = """
import os, sys
from dataclasses import dataclass
from hypergraph import DistributedRunner, Graph, node
runner = DistributedRunner(namespace="far")
"""

SCRIPT = (
    HEAD
    + """
FACTOR = 10

@dataclass
class Point:
    x: int
    def __add__(self, other):
        return Point(self.x + other.x)

class Trouble(Exception):
    pass

def helper(x):
    return x * FACTOR

@node(output_name="y")
def scale(x):
    return helper(x)

@node(output_name="point")
def make(y):
    return Point(y) + Point(1)

@node(output_name="z")
def check(point):
    if point.x > 100:
        raise Trouble(point)
    return point

graph = Graph([scale, make, check])
result = runner.run(graph, x=5)
print(result["z"], type(result["z"]) is Point)
print(runner.map(graph, {"x": [1, 2]}, map_over="x")["z"])
try:
    runner.run(graph, x=50)
except Trouble as error:
    print("caught", error.args[0], isinstance(error.args[0], Point))
result = runner.run(Graph([graph.as_node(name="inner").map_over("x")]), x=[1, 3])
print(result["y"])
"""
)

SAYS = [
    "Point(x=51) True",
    "[Point(x=11), Point(x=21)]",
    "caught Point(x=501) True",
    "[10, 30]",
]


def test_a_script_runs(place: Place) -> None:
    assert place.python(place.write("script.py", SCRIPT)) == SAYS


def test_code_on_the_command_line_runs(place: Place) -> None:
    assert place.python("-c", SCRIPT) == SAYS


def test_code_on_standard_input_runs(place: Place) -> None:
    assert place.python("-", stdin=SCRIPT) == SAYS


def test_what_is_typed_runs(place: Place) -> None:
    typed = HEAD + textwrap.dedent(
        """
        k = 3
        def triple(x):
            return k * x

        graph = Graph([node(output_name="y")(triple)])
        print(runner.run(graph, x=5)["y"])
        k = 4
        print(runner.run(graph, x=5)["y"])
        def triple(x):
            return -x

        print(runner.run(Graph([node(output_name="y")(triple)]), x=5)["y"])
        """
    )

    assert place.python("-i", "-q", stdin=typed) == ["15", "20", "-5"]


def test_cells_of_a_notebook_run(place: Place) -> None:
    """They are compiled one by one under made-up file names, in one namespace, in a loop."""
    notebook = '''
    import asyncio, linecache, sys, types

    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    space = main.__dict__

    async def run_cells(cells):
        for number, text in enumerate(cells):
            name = f"<ipython-input-{number}>"
            linecache.cache[name] = (len(text), None, text.splitlines(True), name)
            exec(compile(text, name, "exec"), space)

    asyncio.run(run_cells([
        """
    from hypergraph import DistributedRunner, Graph, node
    runner = DistributedRunner(namespace="far")
    """,
        """
    factor = 2
    class Box:
        def __init__(self, value):
            self.value = value
    @node(output_name="box")
    def wrap(x):
        return Box(x * factor)
    graph = Graph([wrap])
    """,
        "print(runner.run(graph, x=4)['box'].value)",
        "factor = 3",
        "print(runner.run(graph, x=4)['box'].value)",
        """
    @node(output_name="box")
    def wrap(x):
        return Box([x])
    graph = Graph([wrap])
    print(runner.run(graph, x=4)['box'].value)
    """,
        """
    class Box:
        def __init__(self, value):
            self.value = ("new", value)
    print(runner.run(graph, x=4)['box'].value)
    print(type(runner.run(graph, x=4)['box']) is Box)
    """,
    ]))
    '''

    said = place.python(place.write("notebook.py", notebook.replace("\n    ", "\n")))

    assert said == ["8", "12", "[4]", "('new', [4])", "True"]


def test_lambdas_and_closures_run(place: Place) -> None:
    text = HEAD + textwrap.dedent(
        """
        from functools import partial, reduce
        from hypergraph.nodes import FunctionNode

        def adder(n):
            def add(x):
                return x + n
            return add

        def counter():
            total = 0
            def count(x):
                nonlocal total
                total += x
                return total
            return count

        class Callable:
            def __init__(self, n):
                self.n = n
            def __call__(self, x):
                return x * self.n
            def method(self, x):
                return x ** self.n

        def power(x, n):
            return x ** n

        made = {
            "add": adder(5),
            "count": counter(),
            "twice": lambda x: 2 * x,
            "times": Callable(7),
            "method": Callable(2).method,
            "part": partial(power, n=3),
            "recursive": (lambda f: lambda x: f(f, x))(
                lambda f, x: 1 if x == 0 else x * f(f, x - 1)),
        }
        nodes = [FunctionNode(f, name=name, output_name=name + "_") for name, f in made.items()]
        print(runner.run(Graph(nodes), x=3).values)
        """
    )

    (said,) = place.python(place.write("script.py", text))

    assert said == str(
        {
            "add_": 8,
            "count_": 3,
            "twice_": 6,
            "times_": 21,
            "method_": 9,
            "part_": 27,
            "recursive_": 6,
        }
    )


def test_modules_of_a_project_run(place: Place) -> None:
    place.write("shop/__init__.py", "RATE = 2\n")
    place.write(
        "shop/prices.py",
        """
        from shop import RATE
        from shop.deeper.rounding import rounded
        from . import money

        def price(x):
            from shop.late import bonus
            return money.Money(rounded(x * RATE) + bonus(x))
        """,
    )
    place.write("shop/money.py", "class Money:\n    def __init__(self, x):\n        self.x = x\n")
    place.write("shop/late.py", "def bonus(x):\n    return 100\n")
    place.write("shop/deeper/__init__.py", "")
    place.write("shop/deeper/rounding.py", "def rounded(x):\n    return round(x)\n")
    place.write(
        "shop/flow.py",
        """
        from hypergraph import Graph, node
        from shop.prices import price

        @node(output_name="cost")
        def cost(x):
            return price(x)

        @node(output_name="total")
        def total(cost):
            return cost.x

        graph = Graph([cost, total])
        """,
    )
    text = HEAD + textwrap.dedent(
        """
        from shop.flow import graph
        from shop.money import Money
        result = runner.run(graph, x=1.6)
        print(result["total"], type(result["cost"]) is Money)
        print(runner.map(graph, {"x": [1, 2]}, map_over="x")["total"])
        """
    )

    assert place.python(place.write("main.py", text)) == ["103 True", "[102, 104]"]


def test_the_code_that_was_imported_runs_not_what_stands_in_the_file(place: Place) -> None:
    module = place.write("mine.py", "def body(x):\n    return ('old', x)\n")
    text = HEAD + textwrap.dedent(
        f"""
        import importlib, mine
        from pathlib import Path
        def run():
            return runner.run(Graph([node(output_name="y")(mine.body)]), x=1)["y"]
        print(run())
        Path({str(module)!r}).write_text("def body(x):\\n    return ('new', x)\\n")
        print(run())
        importlib.reload(mine)
        print(run())
        """
    )

    assert place.python(place.write("main.py", text)) == ["('old', 1)", "('old', 1)", "('new', 1)"]


def test_a_worker_that_has_an_older_module_runs_the_code_that_was_sent(place: Place) -> None:
    """The first client's module does not become the worker's."""
    text = HEAD + textwrap.dedent(
        """
        import mine
        print(runner.run(Graph([node(output_name="y")(mine.body)]), x=1)["y"])
        """
    )
    main = place.write("main.py", text)
    said = []
    for version in (1, 2):
        place.write("mine.py", f"V = {version}\ndef body(x):\n    return V\n")
        said += place.python(main)

    assert said == ["1", "2"]


def test_functions_of_installed_packages_go_by_name(place: Place) -> None:
    text = HEAD + textwrap.dedent(
        """
        import json, math, operator, statistics
        import numpy
        from hypergraph.nodes import FunctionNode
        nodes = [
            FunctionNode(math.sqrt, name="root", output_name="a", rename_inputs={"x": "n"}),
            FunctionNode(statistics.mean, name="mean", output_name="b"),
            FunctionNode(numpy.linalg.norm, name="norm", output_name="c",
                         rename_inputs={"x": "vector"}),
            FunctionNode(json.dumps, name="dump", output_name="d"),
        ]
        result = runner.run(Graph(nodes), {"n": 16, "data": [1, 2, 3], "vector": [3, 4],
                                     "obj": [], "kw": {}})
        print(result["a"], result["b"], float(result["c"]), result["d"])
        sent = [key for key in runner._open().store.link.pipeline([("KEYS", "hg:far:code:*")])[0]]
        blobs = runner._open().store.link.pipeline([("GET", key) for key in sent])
        print(any(b"co_linetable" in blob or b"linalg.py" in blob for blob in blobs))
        """
    )

    assert place.python(place.write("main.py", text)) == ["4.0 2 5.0 []", "False"]


def test_values_of_a_scripts_own_classes_cross_both_ways(place: Place) -> None:
    text = HEAD + textwrap.dedent(
        """
        from enum import Enum
        from typing import NamedTuple

        class Colour(Enum):
            RED = 1

        class Pair(NamedTuple):
            a: int
            b: object

        class Tree:
            def __init__(self, *children):
                self.children = children
            def depth(self):
                return 1 + max((c.depth() for c in self.children), default=0)

        @node(output_name=("out", "depth"))
        def pass_on(given):
            assert given.a is Colour.RED or given.a == 1
            return given, given.b.depth()

        graph = Graph([pass_on])
        given = Pair(Colour.RED, Tree(Tree(), Tree(Tree())))
        result = runner.run(graph, given=given)
        out = result["out"]
        print(type(out) is Pair, out.a is Colour.RED, type(out.b) is Tree, result["depth"])
        results = runner.map(graph, {"given": [given] * 3}, map_over="given")
        print([type(r["out"].b) is Tree for r in results])
        """
    )

    said = place.python(place.write("main.py", text))

    assert said == ["True True True 3", "[True, True, True]"]


def test_a_module_that_cannot_be_imported_there_is_named_at_once(place: Place) -> None:
    """It lies beside the script, and `ship` says that code goes by name."""
    place.write("mine.py", "def body(x):\n    return x\n")
    text = HEAD.replace('namespace="far"', 'namespace="far", ship="reference"') + textwrap.dedent(
        """
        import time
        import mine
        from hypergraph import MissingModule
        began = time.monotonic()
        try:
            runner.run(Graph([node(output_name="y")(mine.body)]), x=1)
        except MissingModule as error:
            print("mine" in str(error), time.monotonic() - began < 5)
        """
    )

    assert place.python(place.write("main.py", text)) == ["True True"]


def test_code_crosses_once_per_content_and_process(place: Place) -> None:
    text = HEAD + textwrap.dedent(
        """
        @node(output_name="y")
        def body(x):
            return x

        def received():
            "Return how many bytes Redis has been sent so far, by anybody."
            return runner._open().store.link.client.info("stats")["total_net_input_bytes"]

        big = bytes(500_000)
        graph = Graph([body, node(output_name="z")(lambda y, big: len(big)).with_name("weigh")])
        graph = graph.bind(big=big)
        before = received()
        runner.run(graph, x=1)
        first = received()
        for x in range(10):
            runner.run(graph, x=x)
            runner.map(graph, {"x": range(10)}, map_over="x", progress=False)
        print(first - before > 500_000, received() - first < 2_000_000)
        """
    )

    assert place.python(place.write("main.py", text)) == ["True True"]


def test_nothing_needs_the_main_guard(place: Place) -> None:
    """Local workers are no forks or spawns of the script: it is not executed again."""
    text = """
    from hypergraph import DistributedRunner, Graph, node
    print("once")
    @node(output_name="y")
    def body(x):
        return x
    print(DistributedRunner(url=None, workers=1).run(Graph([body]), x=3)["y"])
    """
    place._surroundings = {k: v for k, v in place._surroundings.items() if "REDIS" not in k}

    assert place.python(place.write("main.py", text)) == ["once", "3"]
