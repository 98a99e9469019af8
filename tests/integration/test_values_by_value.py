"""What people write in their own modules works in a process that has never seen these."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypergraph import node
from hypergraph.errors import MissingModule
from hypergraph.nodes import FunctionNode
from tests.values_project import Project, project_in
from tests.values_worker import Worker


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that has neither the test's project nor its working directory."""
    with Worker(tmp_path_factory.mktemp("worker")) as started:
        yield started


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The user's project, for this test."""
    yield from project_in(tmp_path, monkeypatch)


#: Modules with a function `f`; `f(4)` is compared with what it gives at home.
SOURCES = {
    "a cached property": """
        from functools import cached_property
        class A:
            def __init__(self, n): self.n = n
            @cached_property
            def square(self): return self.n ** 2
        def f(x): return A(x).square, A(x)
    """,
    "single dispatch": """
        from functools import singledispatch
        @singledispatch
        def show(x): return "any"
        @show.register
        def _(x: int): return "int"
        def f(x): return show(x), show("x")
    """,
    "named tuples": """
        from collections import namedtuple
        from typing import NamedTuple
        P = namedtuple("P", "x y")
        class Q(NamedTuple):
            a: int
            b: str = "z"
            def both(self): return f"{self.a}{self.b}"
        def f(x): return P(x, 2), Q(x).both(), Q(x)
    """,
    "a dataclass with slots": """
        from dataclasses import dataclass, field
        @dataclass(slots=True, frozen=True, kw_only=True, order=True)
        class D:
            x: int
            ys: list = field(default_factory=list)
            def more(self): return self.x + 1
        def f(x): return D(x=x).more(), D(x=x), D(x=1) < D(x=2)
    """,
    "an abstract class and super": """
        from abc import ABC, abstractmethod
        class Base(ABC):
            @abstractmethod
            def go(self): ...
            def __init_subclass__(cls, **kw):
                super().__init_subclass__()
                cls.tag = cls.__name__
        class Child(Base):
            def __init__(self): super().__init__()
            def go(self): return self.tag, __class__.__name__
        def f(x): return Child().go(), isinstance(Child(), Base)
    """,
    "generics and protocols": """
        from typing import Generic, Protocol, TypeVar, runtime_checkable
        T = TypeVar("T")
        class Box(Generic[T]):
            def __init__(self, v: T): self.v = v
        @runtime_checkable
        class HasV(Protocol):
            v: int
        def f(x: Box[int] | int): return Box[int](x).v, isinstance(Box(1), HasV)
    """,
    "all kinds of enums": """
        from enum import Flag, IntEnum, StrEnum, auto
        class Permission(Flag):
            R = auto()
            W = auto()
        class Number(IntEnum):
            A = 1
            @property
            def twice(self): return self.value * 2
        class Text(StrEnum):
            X = auto()
        def f(x): return Permission.R | Permission.W, Number.A.twice, Text.X, Number(1)
    """,
    "a metaclass": """
        class Meta(type):
            def __new__(mcs, name, bases, body):
                made = super().__new__(mcs, name, bases, body)
                made.registered = name
                return made
        class A(metaclass=Meta): pass
        def f(x): return A.registered, A
    """,
    "coroutines and generators": """
        import asyncio
        async def later(x): return x + 1
        def count(n): yield from range(n)
        def f(x): return asyncio.run(later(x)), list(count(x))
    """,
    "decorators": """
        import functools
        from contextlib import contextmanager
        def tenfold(g):
            @functools.wraps(g)
            def inner(*args, **kwargs): return g(*args, **kwargs) * 10
            return inner
        @contextmanager
        def five(): yield 5
        @tenfold
        def f(x):
            with five() as v:
                return x + v
    """,
    "loggers, patterns and paths": """
        import decimal, logging, operator, pathlib, re
        logger = logging.getLogger(__name__)
        pattern = re.compile("a+")
        first = operator.itemgetter(0)
        def f(x):
            logger.debug("x")
            return bool(pattern.match("aa")), first([x]), decimal.Decimal(1), pathlib.Path("a")
    """,
    "functions that call each other": """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def f(x): return even(x), odd(x)
    """,
    "submodules of installed packages": """
        import concurrent.futures, os.path
        import xml.etree.ElementTree as ET
        import numpy as np
        import numpy.linalg
        def f(x):
            done = concurrent.futures.Future().done()
            return os.path.join("a", "b"), ET.fromstring("<a/>").tag, done, np.linalg.norm([3, 4])
    """,
    "names from everywhere": """
        from math import *
        def f(x): return floor(sqrt(x))
    """,
    "tables of functions": """
        from functools import partial
        TABLE = {"a": lambda x: x + 1, "b": partial(pow, 2)}
        def f(x): return TABLE["a"](x), TABLE["b"](x)
    """,
    "descriptors and methods": """
        class Default:
            def __set_name__(self, owner, name): self.name = "_" + name
            def __get__(self, obj, owner): return getattr(obj, self.name, 7)
        class A:
            d = Default()
            p = property(lambda self: self.d + 1)
            @staticmethod
            def s(x): return x
            @classmethod
            def c(cls): return cls.__name__
        def f(x): return A().p, A.s(x), A.c()
    """,
    "nested classes and closures": """
        class Outer:
            class Inner:
                v = 2
            def make(self):
                k = 3
                return lambda y: y * k * self.Inner.v
        def f(x): return Outer().make()(x), type(Outer.Inner()).__qualname__
    """,
    "elaborate annotations": """
        from typing import Annotated, Callable, Literal, NewType, ParamSpec, TypedDict, TypeVarTuple
        P = ParamSpec("P")
        Ts = TypeVarTuple("Ts")
        class Options(TypedDict, total=False):
            a: int
        Name = NewType("Name", str)
        def f(x: Annotated[int, "x"], y: Options | None = None, z: Callable[P, Name] | None = None,
              m: Literal["a"] = "a") -> "Options":
            return Options(a=x), Name("s")
    """,
    "an import of itself in the body": """
        def helper(): return 3
        def f(x):
            import own_module
            from own_module import helper as again
            return own_module.helper() + again() + x
    """,
    "weak references": """
        import weakref
        class Key: pass
        known = weakref.WeakKeyDictionary()
        def f(x): return len(known)
    """,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("source", [pytest.param(s, id=name) for name, s in SOURCES.items()])
def test_it_gives_over_there_what_it_gives_here(
    worker: Worker, project: Project, source: str
) -> None:
    module = project("own_module", textwrap.dedent(source))
    here = module.f(4)

    there = worker.call(FunctionNode(module.f, output_name="y"), x=4)

    assert _plain(there) == _plain(here)
    if isinstance(here, tuple):
        assert [type(part) for part in there] == [type(part) for part in here]


def _plain(value: Any) -> str:
    """Return a text without addresses."""
    return repr(value).partition(" object at ")[0]


def test_modules_that_a_body_imports_come_along(worker: Worker, project: Project) -> None:
    project("pack.__init__", "")
    project("pack.deep.__init__", "")
    project("pack.deep.low", "def one(): from ..high import two; return two() - 1\n")
    project("pack.high", "def two(): return 2\n")
    project("aside", "LIMIT = 9\n")
    module = project(
        "pack.top",
        """
        def f():
            import pack.deep.low
            from pack.high import two
            from . import high
            from .deep import low as again
            from aside import LIMIT
            import json, os.path
            try:
                import not_there_at_all
            except ImportError:
                pass
            class Local:
                def three(self):
                    from .high import two
                    return two() + 1
            return pack.deep.low.one(), two(), high.two(), again.one(), LIMIT, Local().three()
        """,
    )

    assert worker.call(FunctionNode(module.f, output_name="y")) == (1, 2, 2, 1, 9, 3)


def test_two_projects_with_modules_of_one_name_do_not_meet(
    worker: Worker, project: Project
) -> None:
    import sys

    results = []
    nodes = []
    for number in (1, 2):
        project("common", f"N = {number}\n")
        module = project(f"user_{number}", "def f():\n  import common\n  return common.N\n")
        nodes.append(FunctionNode(module.f, output_name="y"))
        results.append(worker.call(nodes[-1]))
        del sys.modules["common"]

    assert results == [1, 2]


def test_a_function_that_came_by_value_goes_on_by_value(worker: Worker, project: Project) -> None:
    project("base", "def one(): return 1\n")
    module = project(
        "maker", "def f():\n  def g():\n    import base\n    return base.one()\n  return g\n"
    )

    assert worker.call(FunctionNode(module.f, output_name="y"))() == 1


def test_what_cannot_go_by_value_is_looked_for_by_name(worker: Worker, project: Project) -> None:
    module = project(
        "stuck", "import threading\nlocal = threading.local()\ndef f(): return local\n"
    )

    with (
        pytest.warns(UserWarning, match="'local'.*module 'stuck'"),
        pytest.raises(MissingModule, match="stuck"),
    ):
        worker.call(FunctionNode(module.f, output_name="y"))


@pytest.mark.parametrize("ship", ["auto", "value"])
def test_a_function_of_an_installed_package_runs_either_way(worker: Worker, ship: Any) -> None:
    import click

    made = FunctionNode(click.style, output_name="y")

    assert worker.call(made, ship=ship, text="x", fg="red") == "\x1b[31mx\x1b[0m"


def test_a_node_of_this_very_test_runs(worker: Worker) -> None:
    @node(output_name="y")
    def here(x: int) -> str:
        return f"{x} {__name__}"

    assert worker.call(here, x=1) == f"1 {__name__}"
