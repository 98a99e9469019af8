"""Imports point one way, and importing the package stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hypergraph

PACKAGE = Path(hypergraph.__file__).parent

#: what must not be there after `import hypergraph`
HEAVY = (
    "asyncio",
    "click",
    "cloudpickle",
    "dramatiq",
    "msgpack",
    "networkx",
    "redis",
    "rich",
)

#: what the pure layers never touch: clocks, luck, concurrency, the network
WORLD = {"time", "random", "uuid", "asyncio", "threading", "redis", "dramatiq"}
PURE = {"nodes", "graph", "plan"}

TOP = "hypergraph"  #: a name imported from the package itself, as users do

_MODEL = {"wording", "errors", "nodes", "graph"}
_CORE = {*_MODEL, "plan", "events", "values"}
_RUNTIME = {*_CORE, "store", "transport", "coordinator", "runners"}

#: layer -> layers it may import, besides itself
MAY_IMPORT: dict[str, set[str]] = {
    "wording": set(),
    "errors": {"wording"},
    "exceptions": {"errors"},
    "nodes": {"wording", "errors"},
    "graph": {"wording", "errors", "nodes"},
    "plan": _MODEL,
    "events": {*_MODEL, "plan"},
    "values": {*_MODEL, "plan"},
    "store": _CORE,
    "transport": {*_CORE, "store"},
    "coordinator": {*_CORE, "store", "transport"},
    "runners": {*_CORE, "store", "transport", "coordinator"},
    "worker": _RUNTIME,
    "embedded": {*_RUNTIME, "worker"},
    "cli": {*_RUNTIME, "worker", "embedded", TOP},  # its demo is user code
}

#: file -> the one layer above it that it may find late, inside a function
LATE = {"runners/client.py": {"embedded"}}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
FILES += sorted(path for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def imported(path: Path) -> Iterator[str]:
    """Yield every module a file imports when it runs, those for type checkers left out."""
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        tree = todo.pop()
        if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
            todo.extend(tree.orelse)
            continue
        if isinstance(tree, ast.Import):
            yield from (alias.name for alias in tree.names)
        elif isinstance(tree, ast.ImportFrom):
            module = tree.module or ""
            yield from (f"{module}.{alias.name}" for alias in tree.names)
        todo.extend(ast.iter_child_nodes(tree))


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    layer = layer_of(path)
    names = (name.split(".")[1] for name in imported(path) if name.startswith("hypergraph."))
    inner = {name if name in MAY_IMPORT else TOP for name in names}
    allowed = MAY_IMPORT[layer] | LATE.get(str(path.relative_to(PACKAGE)), set())

    assert inner - {layer} <= allowed
    if layer in PURE:
        assert not WORLD & {name.split(".")[0] for name in imported(path)}


def test_no_module_is_a_shelf() -> None:
    shelves = {"utils", "helpers", "common", "shared", "core"}

    assert not shelves & {path.stem for path in FILES} | shelves & {
        path.name for path in PACKAGE.rglob("*") if path.is_dir()
    }


def test_importing_hypergraph_loads_nothing_heavy() -> None:
    code = f"import sys, hypergraph; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert loaded.split() == []


def test_every_public_name_is_found_where_it_belongs() -> None:
    for name in hypergraph.__all__:
        assert getattr(hypergraph, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Grpah'"):
        hypergraph.Grpah  # noqa: B018
