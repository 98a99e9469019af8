"""Code that goes by name is compared: what runs, and nothing but what runs."""

from __future__ import annotations

import importlib
import math
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hypergraph.errors import CodeDiffers
from hypergraph.nodes import FunctionNode
from hypergraph.values.likeness import Likeness, compare, likeness_of
from hypergraph.values.loader import Loader
from hypergraph.values.ship import Packer

#: Writes the files of a package `shop` into a directory of its own, and imports it from there.
Install = Callable[..., ModuleType]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return what installs `shop`; the one that was there before is forgotten."""
    before = sys.path[:]
    count = 0

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("shop", "other")]:
            del sys.modules[name]
        sys.path[:] = before

    def write(source: str = "", **files: str) -> ModuleType:
        nonlocal count
        forget()
        count += 1
        directory = tmp_path / f"version{count}"
        for name, text in {"__init__": "", "prices": source, **files}.items():
            path = directory / ("other.py" if name == "other" else f"shop/{name}.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        sys.path.insert(0, str(directory))
        importlib.invalidate_caches()
        return importlib.import_module("shop.prices")

    yield write
    forget()


def sent_from(module: ModuleType, name: str = "total") -> Likeness:
    """Return the likeness of a function as it arrives elsewhere."""
    return likeness_of(getattr(module, name))


BASE = """
    from functools import lru_cache, partial
    from dataclasses import dataclass
    import shop.rates
    from shop import names as n
    from shop.rates import rate
    import other
    RATES = {"a": 1}
    FLAT = 3
    _cache = {}
    _calls = 0

    @dataclass
    class Item:
        price: int
        def gross(self): return self.price * 2

    class Shelf(Item):
        kinds = ["x"]
        @property
        def label(self): return "label"
        @staticmethod
        def check(x): return x

    def helper(x): return x + 1
    @lru_cache
    def cached(x): return x
    curried = partial(helper, 3)
    def closed(f):
        def inner(x): return f(x)
        return inner
    @closed
    def wrapped(x): return x * 5
    def unused(x): return x

    def total(x, tax=2, *, factor=3):
        global _calls
        _calls += 1
        _cache[x] = x
        later(x)
        return (helper(x), cached(x), wrapped(x), curried(), Shelf(x).gross(), rate(x), n.name(x),
                shop.rates.rate(x), other.thing(x), RATES, FLAT)

    def later(x):
        from shop import lazy
        return lazy.f(x)
"""
FILES = {
    "rates": "def rate(x): return deeper(x)\ndef deeper(x): return x",
    "names": "def name(x): return 'name'",
    "lazy": "def f(x): return x",
    "other": "def thing(x): return x",
}


def test_the_same_code_is_alike_wherever_its_files_lie(install: Install) -> None:
    sent = sent_from(install(BASE, **FILES))

    compare("shop.prices", "total", install(BASE, **FILES).total, sent)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("    RATES =", "    # a comment\n\n    RATES =", id="a comment"),
        pytest.param("def unused(x): return x", "def unused(x): return x\n", id="a blank line"),
    ],
)
def test_what_does_not_run_does_not_count(install: Install, old: str, new: str) -> None:
    sent = sent_from(install(BASE, **FILES))

    compare("shop.prices", "total", install(BASE.replace(old, new), **FILES).total, sent)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("_cache[x] = x", "_cache[x] = 1", id="its own code"),
        pytest.param("tax=2", "tax=3", id="a default"),
        pytest.param("factor=3", "factor=4", id="a keyword's default"),
        pytest.param("return x + 1", "return x + 2", id="a function that it calls"),
        pytest.param("def cached(x): return x", "def cached(x): return -x", id="a cached one"),
        pytest.param("return x * 5", "return x * 6", id="one inside a decorator"),
        pytest.param("return f(x)", "return f(x) + 1", id="the decorator"),
        pytest.param("self.price * 2", "self.price * 3", id="a method of a base class"),
        pytest.param('return "label"', 'return "other"', id="a property"),
        pytest.param("def check(x): return x", "def check(x): return 0", id="a static method"),
        pytest.param('{"a": 1}', '{"a": 2}', id="a table"),
        pytest.param("FLAT = 3", "FLAT = 4", id="a constant"),
        pytest.param('kinds = ["x"]', 'kinds = ["y"]', id="data of a class"),
        pytest.param("partial(helper, 3)", "partial(helper, 4)", id="what a partial has bound"),
    ],
)
def test_whatever_runs_counts(install: Install, old: str, new: str) -> None:
    sent = sent_from(install(BASE, **FILES))
    changed = install(BASE.replace(old, new), **FILES)

    with pytest.raises(CodeDiffers, match=r"shop\.prices\.total.*'shop\.prices' differs") as caught:
        compare("shop.prices", "total", changed.total, sent)
    assert caught.value.client != caught.value.worker


@pytest.mark.parametrize(
    ("name", "source", "culprit"),
    [
        ("rates", "def rate(x): return deeper(x)\ndef deeper(x): return -x", "shop.prices"),
        ("names", "def name(x): return 'another'", "shop.prices"),
        ("lazy", "def f(x): return x * 1000", "shop.lazy"),
        ("other", "def thing(x): return -x", "shop.prices"),
    ],
)
def test_other_modules_of_the_users_count(
    install: Install, name: str, source: str, culprit: str
) -> None:
    sent = sent_from(install(BASE, **FILES))
    changed = install(BASE, **{**FILES, name: source})

    with pytest.raises(CodeDiffers) as caught:
        compare("shop.prices", "total", changed.total, sent)
    assert caught.value.module == culprit


def test_what_a_process_has_counted_and_cached_does_not_count(install: Install) -> None:
    used = install(BASE, **FILES)
    used.total(1)
    used.total(2)
    sent = sent_from(used)

    compare("shop.prices", "total", install(BASE, **FILES).total, sent)


def test_code_that_nobody_calls_may_differ_where_no_data_is_used(install: Install) -> None:
    source = "def helper(x): return x\ndef total(x): return helper(x)\n"
    sent = sent_from(install(source))

    compare("shop.prices", "total", install(source + "def more(x): return x\n").total, sent)


def test_what_was_imported_counts_and_not_what_the_file_has_become(
    install: Install, tmp_path: Path
) -> None:
    old = install("def total(x): return 1")
    (tmp_path / "version1/shop/prices.py").write_text("def total(x): return 2")
    sent = sent_from(install("def total(x): return 2"))

    with pytest.raises(CodeDiffers):
        compare("shop.prices", "total", old.total, sent)


def test_a_table_counts_as_it_was_when_the_process_first_looked(
    install: Install, tmp_path: Path
) -> None:
    source = "RATES = {1: 1}\ndef total(x): return RATES[x]\n"
    stale = install(source)
    likeness_of(stale.total)
    newer = source.replace("{1: 1}", "{1: 2}")
    (tmp_path / "version1/shop/prices.py").write_text(newer)
    stale_modules = {name: sys.modules[name] for name in ("shop", "shop.prices")}
    sent = sent_from(install(newer))
    sys.modules.update(stale_modules)

    assert sent.modules != likeness_of(stale.total).modules


def test_versions_are_told(install: Install) -> None:
    sent = sent_from(install("def total(x): return 1", __init__="__version__ = '2.1'"))
    from hypergraph.values import likeness

    likeness.version_of.cache_clear()
    with pytest.raises(CodeDiffers, match=r"client has no version, code [0-9a-f]{8}, the worker"):
        compare(
            "shop.prices",
            "total",
            install("def total(x): return 2").total,
            sent._replace(version=""),
        )


def test_what_is_not_python_goes_by_its_version() -> None:
    sent = likeness_of(np.dot)
    compare("numpy", "dot", np.dot, sent)

    with pytest.raises(CodeDiffers, match=r"client has version 0\.1, the worker version \d"):
        compare("numpy", "dot", np.dot, sent._replace(version="0.1"))


def test_a_large_package_is_read_in_part_and_its_version_decides() -> None:
    import click

    sent = likeness_of(click.Command)

    assert not sent.whole or len(sent.packages) == 1
    with pytest.raises(CodeDiffers):
        compare("click", "Command", click.Command, sent._replace(whole=False, version="0.0"))
    compare("click", "Command", click.Command, sent._replace(version="0.0", whole=sent.whole))


# -- in packed nodes ----------------------------------------------------------------------------


def load(packed: Any) -> Any:
    blobs = {packed.digest: packed.data}
    return Loader(blobs.__getitem__).load_node(packed.digest)


@pytest.mark.parametrize(
    "source",
    [
        "def total(x): return {}",
        "from hypergraph import node\n@node(output_name='y')\ndef total(x): return {}",
        "class total:\n    def __init__(self, x): self.x = {}",
        "from functools import partial\ndef inner(x, y): return {}\ntotal = partial(inner, 1)",
        "class A:\n    def m(self, x): return {}\ntotal = A().m",
    ],
    ids=["a function", "a node", "a class", "a partial", "a bound method"],
)
def test_a_node_by_reference_is_loaded_where_its_code_is_the_same_and_nowhere_else(
    install: Install, source: str
) -> None:
    made = install(source.format(1)).total
    node = made if isinstance(made, FunctionNode) else FunctionNode(made, "n", output_name="y")
    packed = Packer("reference").pack_node(node)

    install(source.format(1))
    assert load(packed).name == node.name

    install(source.format(2))
    with pytest.raises(CodeDiffers):
        load(packed)


def test_functions_of_python_itself_are_not_compared() -> None:
    packed = Packer("reference").pack_node(FunctionNode(math.sqrt, output_name="y"))

    assert load(packed).func is math.sqrt
