"""Code and values between real processes, the worker knowing nothing of the client's files."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypergraph import Graph, node
from hypergraph.errors import MissingModule, RemoteError, UntrustedPayload
from hypergraph.nodes import FunctionNode
from tests.values_project import Project, project_in
from tests.values_worker import REPOSITORY, Worker


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that has neither the test's project nor its working directory."""
    with Worker(tmp_path_factory.mktemp("worker")) as started:
        yield started


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The user's project, for this test."""
    yield from project_in(tmp_path, monkeypatch)


def run_script(directory: Path, source: str, *args: str) -> str:
    """Run `source` as a script of the user's, and return what it prints."""
    script = directory / "script.py"
    script.write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, str(script), *args],
        cwd=directory,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- functions ----------------------------------------------------------------------


def test_lambdas_and_closures_run_where_they_were_never_defined(worker: Worker) -> None:
    factor = 3

    def scaled(x: int) -> int:
        return x * factor

    assert worker.call(FunctionNode(scaled, output_name="y"), x=5) == 15
    assert worker.call(FunctionNode(lambda x: x + 1, "plus", "y"), x=5) == 6


def test_functions_and_classes_of_a_script_run_and_come_back_as_its_own(tmp_path: Path) -> None:
    out = run_script(
        tmp_path,
        """
        import enum, functools, threading
        from dataclasses import dataclass
        from pathlib import Path
        from typing import NewType
        from hypergraph import Graph, node
        from tests.values_worker import Worker

        Name = NewType("Name", str)

        class Level(enum.Enum):
            LOW = 1
            HIGH = 2

        @dataclass
        class Doc:
            text: str
            level: Level = Level.LOW
            class Meta:
                pass

        class TooLong(Exception):
            def __init__(self, limit):
                self.limit = limit
                super().__init__(limit)

        @functools.lru_cache
        def shout(text):
            return text.upper()

        @node(output_name="out")
        def work(doc: Doc, name: Name) -> Doc:
            if len(doc.text) > 10:
                raise TooLong(10)
            assert isinstance(doc, Doc)
            return Doc(shout(doc.text) + name, Level.HIGH)

        @node(output_name="n")
        def count(out: Doc) -> int:
            return len(out.text)

        with Worker(Path.cwd()) as worker:
            doc = worker.call(work, doc=Doc("hello"), name=Name("!"))
            print(type(doc) is Doc, doc, doc.level is Level.HIGH, Doc.Meta.__qualname__)
            try:
                worker.call(work, doc=Doc("hello" * 3), name=Name("!"))
            except TooLong as error:
                print("caught", error.limit)
            values = worker.call(Graph([work, count]), doc=Doc("hello"), name="?")
            print(values["n"], values["out"])
        """,
    )

    assert out.splitlines() == [
        "True Doc(text='HELLO!', level=<Level.HIGH: 2>) True Doc.Meta",
        "caught 10",
        "6 Doc(text='HELLO?', level=<Level.HIGH: 2>)",
    ]


def test_a_project_the_worker_does_not_have_comes_along(worker: Worker, project: Project) -> None:
    project("shop.__init__", "")
    project("shop.prices", "VAT = 0.2\ndef gross(net): return net * (1 + VAT)\n")
    project("shop.text", "from shop import prices\ndef show(net): return str(prices.gross(net))\n")
    orders = project(
        "shop.orders",
        """
        import shop.text
        from hypergraph import node
        from shop import prices
        from shop.prices import gross

        class Order:
            def __init__(self, net): self.net = net
            def gross(self): return gross(self.net)

        @node(output_name="a")
        def by_function(net): return gross(net)

        @node(output_name="b")
        def by_module(net): return prices.gross(net)

        @node(output_name="c")
        def by_class(net): return Order(net).gross()

        @node(output_name="d")
        def by_package(net): return shop.text.show(net)

        @node(output_name="e")
        def by_node(net): return by_function(net) + 1
        """,
    )

    assert worker.call(orders.by_function, net=10) == 12
    assert worker.call(orders.by_module, net=10) == 12
    assert worker.call(orders.by_class, net=10) == 12
    assert worker.call(orders.by_package, net=10) == "12.0"
    assert worker.call(orders.by_node, net=10) == 13


def test_a_function_of_an_installed_package_goes_by_name(worker: Worker) -> None:
    import numpy as np

    assert worker.call(FunctionNode(np.linspace, "line", "y"), start=0, stop=1, num=3).tolist() == [
        0.0,
        0.5,
        1.0,
    ]


def test_a_node_of_a_module_that_the_worker_has_goes_by_name(
    tmp_path: Path, project: Project
) -> None:
    module = project(
        "known", "from hypergraph import node\n@node(output_name='y')\ndef f(x): return __file__\n"
    )
    with Worker(tmp_path, path=(tmp_path,)) as worker:
        assert worker.call(module.f, ship="reference", x=1) == str(tmp_path / "known.py")


def test_a_name_that_the_worker_does_not_have_is_named(worker: Worker, project: Project) -> None:
    module = project(
        "unknown", "from hypergraph import node\n@node(output_name='y')\ndef f(x): return x\n"
    )

    with pytest.raises(MissingModule, match="unknown"):
        worker.call(module.f, ship="reference", x=1)


def test_what_runs_is_the_code_that_was_imported_not_the_file(
    worker: Worker, project: Project, tmp_path: Path
) -> None:
    module = project("edited", "def f(x): return x + 1\n")
    (tmp_path / "edited.py").write_text("def f(x): return 'edited'\n")

    assert worker.call(FunctionNode(module.f, output_name="y"), x=1) == 2


def test_a_worker_that_imported_a_module_before_its_edit_runs_the_edited_code(
    project: Project, tmp_path: Path
) -> None:
    source = """
        from hypergraph import node
        RATE = {rate}
        def rate(): return RATE
        class Account:
            def interest(self): return rate()
        @node(output_name="y")
        def f(account):
            from bank import Account as Imported
            return account.interest(), isinstance(account, Imported), Account().interest()
        """
    with Worker(tmp_path, path=(tmp_path,)) as worker:
        old = project("bank", source.format(rate=1))
        assert worker.call(old.f, ship="reference", account=old.Account()) == (1, True, 1)
        assert worker.call(old.f, account=old.Account()) == (1, True, 1)

        del sys.modules["bank"]
        new = project("bank", source.format(rate=222))
        # The worker's own `bank` is the old one by now.
        assert worker.call(new.f, account=new.Account()) == (222, True, 222)


def test_a_worker_uses_its_own_class_if_it_is_the_same_code(
    project: Project, tmp_path: Path
) -> None:
    module = project(
        "own",
        """
        from hypergraph import node
        class Thing: pass
        @node(output_name="y")
        def keep(): return Thing
        @node(output_name="y")
        def same(thing):
            import sys
            return type(thing) is sys.modules["own"].Thing
        """,
    )
    with Worker(tmp_path, path=(tmp_path,)) as worker:
        worker.call(module.keep, ship="reference")

        assert worker.call(module.same, thing=module.Thing())


def test_a_worker_imports_nothing_to_load_what_came_by_value(
    project: Project, tmp_path: Path
) -> None:
    module = project(
        "starts_a_run",
        """
        class Thing: pass
        def f(thing):
            import sys
            return "starts_a_run" in sys.modules
        """,
    )
    with Worker(tmp_path, path=(tmp_path,)) as worker:
        made = FunctionNode(module.f, output_name="y")

        assert worker.call(made, thing=module.Thing()) is False


def test_a_changed_global_crosses_with_the_next_run(worker: Worker, project: Project) -> None:
    module = project("settings", "LIMIT = 1\nclass C:\n  n = 1\ndef f(): return LIMIT, C.n\n")
    made = FunctionNode(module.f, output_name="y")
    assert worker.call(made) == (1, 1)

    module.LIMIT = 2  # type: ignore[attr-defined]
    module.C.n = 2

    assert worker.call(made) == (2, 2)


def test_nodes_of_one_graph_share_their_function_over_there(worker: Worker) -> None:
    @node(output_name="y")
    def step(x: int) -> int:
        return x + 1

    chain = Graph(
        [
            step.with_name(f"n{i}").with_inputs(x=f"v{i}").with_outputs(y=f"v{i + 1}")
            for i in range(20)
        ]
    )

    assert worker.call(chain, v0=0)["v20"] == 20


def test_a_nested_graph_with_bound_values_runs_whole(worker: Worker) -> None:
    @node(output_name="scaled")
    def scale(x: int, by: int) -> int:
        return x * by

    @node(output_name="total")
    def add(scaled: list[int]) -> int:
        return sum(scaled)

    inner = Graph([scale], name="inner").bind(by=10)
    outer = Graph([inner.as_node().map_over("x"), add])

    assert worker.call(outer, x=[1, 2, 3])["total"] == 60


# --- what comes back ----------------------------------------------------------------


def test_instances_come_back_as_classes_of_the_client(worker: Worker, project: Project) -> None:
    module = project(
        "shapes",
        """
        from dataclasses import dataclass
        from enum import Enum
        class Colour(Enum):
            RED = 1
        @dataclass(frozen=True)
        class Circle:
            radius: float
            colour: Colour = Colour.RED
        class Group(list):
            pass
        def grown(circle): return Group([Circle(circle.radius * 2, circle.colour)])
        """,
    )

    back = worker.call(FunctionNode(module.grown, output_name="y"), circle=module.Circle(1.0))

    assert type(back) is module.Group
    assert back == [module.Circle(2.0)]
    assert back[0].colour is module.Colour.RED


def test_a_process_that_only_reads_uses_its_own_class(
    worker: Worker, project: Project, tmp_path: Path
) -> None:
    # Given a class that a worker got by value and sends back
    module = project("things", "class Thing:\n  pass\ndef make(): return Thing()\n")
    from hypergraph.values.codec import encode

    data = encode(module.Thing())

    # When another process of the user's reads it that never sent that class
    out = run_script(
        tmp_path,
        f"""
        from hypergraph.values.codec import decode
        back = decode({data!r})
        import things
        print(type(back) is things.Thing)
        """,
    )

    # Then it is the class which that process can import
    assert out == "True\n"


def test_a_script_that_runs_again_reads_instances_as_its_own_and_another_does_not(
    tmp_path: Path,
) -> None:
    first = """
        import sys
        from hypergraph.values.codec import decode, encode
        class Doc:
            def text(self): return "first"
        if len(sys.argv) == 1:
            print(encode(Doc()).hex())
        else:
            back = decode(bytes.fromhex(sys.argv[1]))
            print(type(back) is Doc, back.text())
        """
    sent = run_script(tmp_path, first).strip()

    assert run_script(tmp_path, first, sent) == "True first\n"
    (tmp_path / "other").mkdir()
    assert run_script(tmp_path / "other", first, sent) == "False first\n"


def test_an_exception_arrives_with_type_notes_cause_and_remote_traceback(
    worker: Worker, project: Project
) -> None:
    module = project(
        "failing",
        """
        class Bad(ValueError):
            pass
        def f(x):
            try:
                {}["key"]
            except KeyError as error:
                bad = Bad("no", x)
                bad.add_note("look there")
                raise bad from error
        """,
    )

    with pytest.raises(module.Bad) as caught:
        worker.call(FunctionNode(module.f, output_name="y"), x=7)

    assert caught.value.args == ("no", 7)
    assert caught.value.__notes__[0] == "look there"
    assert "Raised in node 'node' on worker worker:1" in caught.value.__notes__[1]
    assert "raise bad from error" in caught.value.__notes__[1]
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__cause__.args == ("key",)


def test_an_exception_that_does_not_load_arrives_as_text(worker: Worker, project: Project) -> None:
    module = project(
        "odd",
        """
        class Odd(Exception):
            def __init__(self, a, b):
                super().__init__(f"{a} and {b}")
        def f(): raise Odd(1, 2)
        """,
    )

    with pytest.raises(RemoteError) as caught:
        worker.call(FunctionNode(module.f, output_name="y"))

    assert caught.value.error_type == "odd.Odd"
    assert caught.value.message == "1 and 2"
    assert "raise Odd(1, 2)" in caught.value.traceback


def test_a_worker_of_some_modules_runs_these_and_refuses_code(
    tmp_path: Path, project: Project
) -> None:
    source = "from hypergraph import node\n@node(output_name='y')\ndef f(x): return x + 1\n"
    allowed, other = project("allowed", source), project("other", source)
    with Worker(tmp_path, path=(tmp_path,), allow_modules="allowed") as worker:
        assert worker.call(allowed.f, ship="reference", x=1) == 2
        assert worker.call(Graph([allowed.f]), ship="reference", x=1) == {"y": 2}
        refusals: list[Any] = [
            (other.f, "reference", "other"),
            (allowed.f, "auto", "rebuild.function"),
        ]
        for refused, ship, named in refusals:
            with pytest.raises(UntrustedPayload, match=named):
                worker.call(refused, ship=ship, x=1)


def test_a_script_that_executes_what_it_packed_uses_its_own_classes(tmp_path: Path) -> None:
    out = run_script(
        tmp_path,
        """
        from hypergraph.values.codec import decode, encode
        class Doc: pass
        print(type(decode(encode(Doc()), prefer="shipped")) is Doc)
        """,
    )

    assert out == "True\n"
