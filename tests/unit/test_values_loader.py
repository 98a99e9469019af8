from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypergraph import Graph, node
from hypergraph.errors import (
    CorruptPayload,
    IncompatibleWorker,
    MissingModule,
    UntrustedPayload,
)
from hypergraph.nodes import FunctionNode
from hypergraph.values.digest import digest
from hypergraph.values.ship import Loader, Packed, Packer
from tests.values_project import Project, project_in


@node(output_name="y")
def plus_one(x: int) -> int:
    return x + 1


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The user's project, for this test."""
    yield from project_in(tmp_path, monkeypatch)


def stored(*packed: Packed) -> dict[str, bytes]:
    return {blob.digest: blob.data for each in packed for blob in (each, *each.parts)}


def multiplier(factor: int) -> FunctionNode:
    @node(output_name="y")
    def times(x: int) -> int:
        return x * factor

    return times


def test_a_digest_is_loaded_once_and_is_one_object() -> None:
    packed = Packer().pack_graph(Graph([plus_one]))
    blobs, fetched = stored(packed), []

    def fetch(name: str) -> bytes:
        fetched.append(name)
        return blobs[name]

    loader = Loader(fetch)
    part = packed.parts[0].digest

    assert loader.load_graph(packed.digest) is loader.load_graph(packed.digest)
    assert loader.load_graph(packed.digest).nodes["plus_one"] is loader.load_node(part)
    assert fetched == [packed.digest, part]


def test_the_cache_forgets_what_was_not_used_for_longest() -> None:
    packer = Packer()
    packed = [packer.pack_node(multiplier(n)) for n in range(3)]
    fetched: list[str] = []

    def fetch(name: str) -> bytes:
        fetched.append(name)
        return stored(*packed)[name]

    loader = Loader(fetch, cache_size=2)
    for index in (0, 1, 0, 2, 0, 1):
        loader.load_node(packed[index].digest)

    assert fetched == [packed[i].digest for i in (0, 1, 2, 1)]


def test_bytes_that_are_not_what_their_name_says_are_not_unpickled() -> None:
    packed = Packer().pack_node(plus_one)
    damaged = bytearray(packed.data)
    damaged[40] ^= 1

    with pytest.raises(CorruptPayload) as caught:
        Loader(lambda _: bytes(damaged)).load_node(packed.digest)

    assert caught.value.expected == packed.digest
    assert caught.value.got == digest(bytes(damaged))


def test_damage_on_the_way_is_read_again() -> None:
    packed = Packer().pack_node(plus_one)
    answers = iter([b"damaged", packed.data])

    assert Loader(lambda _: next(answers)).load_node(packed.digest).name == "plus_one"


@pytest.mark.parametrize(("position", "error"), [(0, CorruptPayload), (3, IncompatibleWorker)])
def test_code_of_another_python_is_refused_before_it_is_unpickled(
    position: int, error: type[Exception]
) -> None:
    data = bytearray(Packer().pack_node(plus_one).data)
    data[position] += 1
    name = digest(bytes(data))

    with pytest.raises(error, match=r"python 3\.\d+|header"):
        Loader(lambda _: bytes(data)).load_node(name)


def test_a_module_that_is_missing_is_named(project: Project, tmp_path: Path) -> None:
    module = project("vanishing", "def f(x): return x\n")
    packed = Packer("reference").pack_node(FunctionNode(module.f, output_name="y"))
    del sys.modules["vanishing"]
    (tmp_path / "vanishing.py").unlink()

    with pytest.raises(MissingModule) as caught:
        Loader(stored(packed).__getitem__).load_node(packed.digest)

    assert caught.value.module == "vanishing"


def test_a_function_that_is_missing_in_its_module_is_named(
    project: Project, tmp_path: Path
) -> None:
    source = "from hypergraph import node\n@node(output_name='y')\ndef f(x): return x\n"
    module = project("shrinking", source)
    packed = Packer("reference").pack_node(module.f)
    del module.f

    with pytest.raises(MissingModule, match=r"shrinking\.f"):
        Loader(stored(packed).__getitem__).load_node(packed.digest)


def test_a_loader_of_some_modules_refuses_code_and_other_modules(project: Project) -> None:
    source = "from hypergraph import node\n@node(output_name='y')\ndef f(x): return x\n"
    allowed, other = project("allowed", source), project("other", source)

    def load(made: FunctionNode, ship: Any) -> Any:
        packed = Packer(ship).pack_node(made)
        loader = Loader(stored(packed).__getitem__, allow_modules=["allowed"])
        return loader.load_node(packed.digest)

    assert load(allowed.f, "reference").func is allowed.f.func
    with pytest.raises(UntrustedPayload, match="other"):
        load(other.f, "reference")
    with pytest.raises(UntrustedPayload, match="rebuild"):
        load(allowed.f, "auto")


def test_several_threads_load_one_object() -> None:
    packed = Packer().pack_node(plus_one)
    loader = Loader(stored(packed).__getitem__)
    loaded: list[Any] = []
    start = threading.Barrier(8)

    def load() -> None:
        start.wait()
        loaded.append(loader.load_node(packed.digest))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(made) for made in loaded}) == 1
