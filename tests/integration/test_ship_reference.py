"""A worker runs the code that the client means, or says that it has other code."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hypergraph import CodeDiffers, DistributedRunner, Graph, MissingModule
from hypergraph.nodes import FunctionNode
from hypergraph.values.likeness import version_of
from hypergraph.worker.local import LocalWorkers
from tests.elsewhere import SECRET, host
from tests.redis_server import RedisServer

SHOP = """
from hypergraph import END, node, route
RATE = {rate}
def scale(x):
    return 10 * x
@node(output_name="total")
def price(x):
    return scale(x) + RATE
@route(targets=["price", END])
def worth(x):
    return "price" if x > {limit} else END
"""
OLD = SHOP.format(rate=1, limit=0)
NEW = SHOP.format(rate=2, limit=0.5)

#: Imports module `shop` from a directory.
Shop = Callable[[Path], ModuleType]


def write(directory: Path, source: str, *, installed: str = "") -> Path:
    """Write module `shop` into a directory; `installed` is its version, if it is a package."""
    directory.mkdir(exist_ok=True)
    (directory / "shop.py").write_text(source)
    if installed:
        record = directory / f"shop-{installed}.dist-info"
        record.mkdir()
        text = f"Metadata-Version: 2.1\nName: shop\nVersion: {installed}\n"
        (record / "METADATA").write_text(text)
    return directory


@pytest.fixture
def shop_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Import `shop` as a fresh client would, and forget it in the end."""

    def forget() -> None:
        sys.modules.pop("shop", None)
        version_of.cache_clear()

    def load(directory: Path) -> ModuleType:
        forget()
        monkeypatch.syspath_prepend(str(directory))
        return importlib.import_module("shop")

    yield load
    forget()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("versions")


@pytest.fixture(scope="module")
def new(redis_server: RedisServer, directory: Path) -> Iterator[LocalWorkers]:
    """A worker host with the new version."""
    with host(redis_server.url, "ship-new", write(directory / "new", NEW)) as workers:
        yield workers


@pytest.fixture(scope="module")
def old(redis_server: RedisServer, directory: Path) -> Iterator[LocalWorkers]:
    """A worker host with an older version."""
    with host(redis_server.url, "ship-old", write(directory / "old", OLD)) as workers:
        yield workers


@pytest.fixture(scope="module")
def first_release(redis_server: RedisServer, directory: Path) -> Iterator[LocalWorkers]:
    """A worker host on which the older version was installed by pip."""
    installed = write(directory / "installed", OLD, installed="1.0")
    with host(redis_server.url, "ship-installed", installed) as workers:
        yield workers


@contextmanager
def client(workers: LocalWorkers, ship: Any) -> Iterator[DistributedRunner]:
    config = workers.config
    with DistributedRunner(
        config.url, secret=SECRET, namespace=config.namespace, ship=ship
    ) as runner:
        yield runner


def run(runner: DistributedRunner, shop: ModuleType) -> Any:
    return runner.run(Graph([shop.price]), x=1)["total"]


def map_(runner: DistributedRunner, shop: ModuleType) -> Any:
    return runner.map(Graph([shop.price]), {"x": [1, 2]}, map_over="x")["total"][0]


def mapped_node(runner: DistributedRunner, shop: ModuleType) -> Any:
    each = Graph([shop.price], name="each").as_node().map_over("x")
    return runner.run(Graph([each]), x=[1, 2])["total"][0]


def gated(runner: DistributedRunner, shop: ModuleType) -> Any:
    return runner.run(Graph([shop.worth, shop.price]), x=1)["total"]


Call = Callable[[DistributedRunner, ModuleType], Any]
EVERY_WAY = pytest.mark.parametrize("call", [run, map_, mapped_node, gated])


@EVERY_WAY
def test_the_same_version_runs_by_reference(
    new: LocalWorkers, tmp_path: Path, shop_in: Shop, call: Call
) -> None:
    with client(new, "reference") as runner:
        assert call(runner, shop_in(write(tmp_path, NEW))) == 12


@EVERY_WAY
def test_another_version_is_never_run_and_both_are_named(
    old: LocalWorkers, tmp_path: Path, shop_in: Shop, call: Call
) -> None:
    began = time.monotonic()
    with (
        client(old, "reference") as runner,
        pytest.raises(CodeDiffers, match=r"code of shop\.\w+.* module 'shop' differs") as caught,
    ):
        call(runner, shop_in(write(tmp_path, NEW)))

    assert time.monotonic() - began < 5
    assert caught.value.name == ("shop.worth" if call is gated else "shop.price")
    assert caught.value.client != caught.value.worker
    assert caught.value.workers == (old.config.worker_id,)
    assert "restart the workers" in str(caught.value)


@EVERY_WAY
def test_by_value_the_clients_code_runs_whatever_the_worker_has(
    old: LocalWorkers, tmp_path: Path, shop_in: Shop, call: Call
) -> None:
    with client(old, "auto") as runner:
        assert call(runner, shop_in(write(tmp_path, NEW))) == 12


def test_a_worker_that_imported_the_module_before_it_was_edited_says_so(
    redis_url: str, namespace: str, tmp_path: Path, shop_in: Shop
) -> None:
    shared = write(tmp_path, OLD)
    with host(redis_url, namespace, shared) as workers, client(workers, "reference") as runner:
        assert run(runner, shop_in(shared)) == 11

        write(shared, NEW + "# so that the length tells Python that it has changed\n")
        with pytest.raises(CodeDiffers, match="restart the workers"):
            run(runner, shop_in(shared))


def test_the_worker_with_the_right_version_gets_the_work(
    redis_url: str, namespace: str, tmp_path: Path, shop_in: Shop
) -> None:
    stale, right = write(tmp_path / "stale", OLD), write(tmp_path / "right", NEW)
    with (
        host(redis_url, namespace, stale) as workers,
        host(redis_url, namespace, right),
        client(workers, "reference") as runner,
    ):
        shop = shop_in(right)
        assert [run(runner, shop) for _ in range(5)] == [12] * 5
        assert map_(runner, shop) == 12


def test_a_package_of_another_version_is_not_run_and_versions_are_told(
    first_release: LocalWorkers, tmp_path: Path, shop_in: Shop
) -> None:
    with (
        client(first_release, "auto") as runner,
        pytest.raises(CodeDiffers, match=r"version 2\.0, code \w+, the worker version 1\.0"),
    ):
        run(runner, shop_in(write(tmp_path, NEW, installed="2.0")))


def test_a_package_goes_along_by_value_if_that_is_asked_for(
    first_release: LocalWorkers, tmp_path: Path, shop_in: Shop
) -> None:
    with client(first_release, "value") as runner:
        assert run(runner, shop_in(write(tmp_path, NEW, installed="2.0"))) == 12


def test_a_module_that_no_worker_has_is_named(
    old: LocalWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nowhere.py").write_text("def f(x): return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    node = FunctionNode(importlib.import_module("nowhere").f, output_name="y")
    with client(old, "reference") as runner:
        runner._open()
        monkeypatch.setattr("hypergraph.runners.session.CONTACT_S", 0.6)
        with pytest.raises(MissingModule, match="module 'nowhere'"):
            runner.run(Graph([node]), x=1)
    monkeypatch.delitem(sys.modules, "nowhere")


def test_a_function_that_the_worker_does_not_have_yet_is_named(
    new: LocalWorkers, tmp_path: Path, shop_in: Shop
) -> None:
    shop = shop_in(write(tmp_path, NEW + "def more(x):\n    return x\n"))
    with (
        client(new, "reference") as runner,
        pytest.raises(MissingModule, match=r"'shop\.more'"),
    ):
        runner.run(Graph([FunctionNode(shop.more, output_name="y")]), x=1)
