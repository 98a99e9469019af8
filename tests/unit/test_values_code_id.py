from __future__ import annotations

import collections
import functools
import json
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import click
import numpy as np
import pytest

import hypergraph.nodes.function
from hypergraph import node
from hypergraph.values.code_id import Origin, code_id, find, origin_of, reference_to


@pytest.mark.parametrize(
    ("module", "origin"),
    [
        ("__main__", Origin.USER),
        (__name__, Origin.USER),
        ("never_imported", Origin.USER),
        ("json.decoder", Origin.STANDARD),
        ("collections", Origin.STANDARD),
        ("sys", Origin.STANDARD),
        ("zipimport", Origin.STANDARD),
        ("_socket", Origin.STANDARD),
        ("click.core", Origin.INSTALLED),
        ("numpy", Origin.INSTALLED),
        ("numpy.random.mtrand", Origin.INSTALLED),
        ("hypergraph.nodes.function", Origin.OURS),
        ("cloudpickle.cloudpickle", Origin.OURS),
        ("hypergraph.not_imported", Origin.OURS),
    ],
)
def test_a_module_has_an_origin(module: str, origin: Origin) -> None:
    assert [click, json, collections, np, hypergraph.nodes.function]

    assert origin_of(module) is origin


def test_a_module_without_a_file_has_the_origin_of_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "click.made_up", ModuleType("click.made_up"))
    monkeypatch.setitem(sys.modules, "made_up", ModuleType("made_up"))

    assert origin_of("click.made_up") is Origin.INSTALLED
    assert origin_of("made_up") is Origin.USER


def test_packages_installed_into_any_directory_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in (tmp_path / "vendored", tmp_path / "own"):
        (directory / "pack" / "deep").mkdir(parents=True)
    (tmp_path / "vendored" / "pack-1.0.dist-info").mkdir()

    def origin_in(directory: str, name: str, file: str) -> Origin:
        module = ModuleType(name)
        module.__file__ = str(tmp_path / directory / file)
        monkeypatch.setitem(sys.modules, name, module)
        return origin_of(name)

    assert origin_in("vendored", "pack", "pack/__init__.py") is Origin.INSTALLED
    assert origin_in("vendored", "pack.deep.low", "pack/deep/low.py") is Origin.INSTALLED
    assert origin_in("own", "pack.deep.low", "pack/deep/low.py") is Origin.USER


def test_an_origin_is_not_remembered_beyond_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    assert origin_of("changing") is Origin.USER
    module = ModuleType("changing")
    module.__file__ = click.__file__
    monkeypatch.setitem(sys.modules, "changing", module)

    assert origin_of("changing") is Origin.INSTALLED


def module_of(source: str, name: str = "written", file: str = "/home/a/written.py") -> ModuleType:
    """Return a module of the user's, as if imported from `file`."""
    module = ModuleType(name)
    module.__file__ = file
    exec(compile(source, file, "exec"), module.__dict__)
    return module


BASE = """
import json
RATE = 2
TABLE = {"a": [1, 2], "b": {3, 4, 5}}
def helper(x): return x * RATE
class Base:
    unit = "m"
    def size(self): return helper(1)
class Shape(Base):
    def area(self, by=1):
        return [json.dumps(n) for n in TABLE if n in {"x", "y", "z"}]
"""


def id_of(source: str, name: str = "Shape", **where: str) -> str:
    thing: Any = vars(module_of(source, **where))[name]
    return code_id(thing)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("RATE = 2", "RATE = 3", id="a constant two calls away"),
        pytest.param("x * RATE", "x + RATE", id="a function two calls away"),
        pytest.param('unit = "m"', 'unit = "km"', id="an attribute of a base class"),
        pytest.param("by=1", "by=2", id="a default"),
        pytest.param('"b": {3', '"b": {9', id="inside a constant"),
        pytest.param('"z"}', '"w"}', id="inside the code"),
        pytest.param("json.dumps", "json.loads", id="a name"),
        pytest.param("def area(self", "def area(this", id="a parameter"),
        pytest.param("class Shape(Base)", "class Shape", id="the bases"),
    ],
)
def test_other_code_has_another_id(old: str, new: str) -> None:
    assert BASE.replace(old, new) != BASE
    assert id_of(BASE.replace(old, new)) != id_of(BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("\nRATE", "\n\n# moved\nRATE", id="a comment and a line number"),
        pytest.param("RATE = 2", "RATE = 2; OTHER = 3", id="a constant that nobody uses"),
        pytest.param("{3, 4, 5}", "{5, 4, 3}", id="the order of a set"),
    ],
)
def test_the_same_code_has_the_same_id(old: str, new: str) -> None:
    assert BASE.replace(old, new) != BASE
    assert id_of(BASE.replace(old, new)) == id_of(BASE)
    assert id_of(BASE, file="/srv/b/written.py") == id_of(BASE)


def test_code_that_ran_often_keeps_its_id() -> None:
    # Since Python 3.11 the interpreter rewrites what runs often.
    module = module_of("def f(xs): return [x + 1 for x in xs]")
    before = code_id(module.f)
    for _ in range(100):
        module.f(range(10))

    assert code_id(module.f) == before


def test_code_that_leads_back_to_itself_has_an_id() -> None:
    module = module_of("class A: pass\ndef f(n): return f(n - 1), A\nA.f = f\nA.own = A\nL=[f]")
    module.L.append(module.L)

    assert code_id(module.f) != code_id(module.A)


def test_instances_may_use_their_copyreg_cache() -> None:
    module = module_of("class A: pass")
    before = code_id(module.A)
    module.A().__reduce_ex__(2)  # leaves __slotnames__ behind

    assert code_id(module.A) == before


@node(output_name="y")
def decorated(x: int) -> int:
    return x


class Holder:
    @staticmethod
    def method() -> None: ...


def test_a_function_is_referred_to_by_name_also_out_of_its_node() -> None:
    assert reference_to(decorated.func) == (__name__, "decorated")
    assert reference_to(Holder.method) == (__name__, "Holder.method")
    assert reference_to(json.dumps) == ("json", "dumps")


def test_what_is_not_found_under_its_name_has_no_reference() -> None:
    @functools.wraps(decorated.func)
    def impostor(x: int) -> int:
        return -x

    main = FunctionType(decorated.func.__code__, {}, "decorated")
    main.__module__ = "__main__"
    assert reference_to(impostor) is None
    assert reference_to(lambda: 1) is None
    assert reference_to(main) is None


def test_what_cannot_be_imported_is_not_found(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "exits_when_imported.py").write_text("raise SystemExit(3)")

    assert find("no_such_module_at_all", "x", load=True) is None
    assert find("exits_when_imported", "x", load=True) is None
    assert find("json", "no.such", load=True) is None
    assert find("json", "decoder.JSONDecoder") is json.decoder.JSONDecoder
