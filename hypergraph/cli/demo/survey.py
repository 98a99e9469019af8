"""The graphs of the demonstration: one that measures a file, one that sums up all files.

    file                               one map item: a path in, a few numbers out
    ├── read, parse, name_module
    └── measure                        second level
        ├── structure                  third level: functions, classes, branches
        ├── documentation              third level: how much of it is documented
        ├── dependencies               third level: what it imports
        └── gather
    overview                           fan-in over all files
        └── resolve, count_importers, find_cycles, rank, total

Nothing here knows which runner runs it, and all of it is written with `node` and `Graph` alone.
"""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TypedDict

from hypergraph import Graph, node

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


class Measures(TypedDict):
    """What is known of one file: plain data, small enough to come back from anywhere."""

    module: str
    lines: int
    functions: int
    classes: int
    branches: int  #: places where control flow may fork
    longest: int  #: lines of the longest function; 0 without one
    definitions: int  #: public ones, the module itself included
    documented: int  #: how many of them have a docstring
    imports: list[str]  #: absolute names as written, sorted; not yet resolved to modules


# --- one file: first level ------------------------------------------------------------


@node(output_name="source")
def read(path: str) -> bytes:
    """Read a file. Bytes: the parser itself looks for the declaration of the encoding."""
    return Path(path).read_bytes()


@node(output_name="tree")
def parse(source: bytes, path: str) -> ast.Module:
    """Parse a file. One that is not Python of this version fails here, with a `SyntaxError`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in other people's strings
        return ast.parse(source, filename=path)


@node(output_name=("module", "is_package"))
def name_module(path: str, roots: Sequence[str]) -> tuple[str, bool]:
    """Return the dotted name that the file is imported by, and whether it is an `__init__`."""
    root = next(root for root in roots if PurePath(path).is_relative_to(root))
    parts = PurePath(path).relative_to(root).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if is_package else parts) or "__init__", is_package


# --- one file: third level ------------------------------------------------------------

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BRANCHES = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.comprehension,
    ast.match_case,
    ast.BoolOp,
    ast.Assert,
)


@node(output_name=("functions", "longest"))
def measure_functions(tree: ast.Module) -> tuple[int, int]:
    """Return the number of functions, and how many lines the longest has."""
    lengths = [
        (found.end_lineno or found.lineno) - found.lineno + 1
        for found in ast.walk(tree)
        if isinstance(found, FUNCTIONS)
    ]
    return len(lengths), max(lengths, default=0)


@node(output_name="classes")
def count_classes(tree: ast.Module) -> int:
    """Return the number of classes."""
    return sum(isinstance(found, ast.ClassDef) for found in ast.walk(tree))


@node(output_name="branches")
def count_branches(tree: ast.Module) -> int:
    """Return the number of places where control flow may fork."""
    return sum(isinstance(found, BRANCHES) for found in ast.walk(tree))


@node(output_name="public")
def find_public(tree: ast.Module) -> list[Definition]:
    """Return the module, and what a reader of its documentation would look for in it."""
    return [tree, *_public_in(tree)]


def _public_in(parent: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    for child in parent.body:
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from _public_in(child)


@node(output_name=("definitions", "documented"))
def measure_documentation(public: list[Definition]) -> tuple[int, int]:
    """Return how many public definitions there are, and how many have a docstring."""
    return len(public), sum(ast.get_docstring(found, clean=False) is not None for found in public)


@node(output_name="imports")
def find_imports(tree: ast.Module, module: str, is_package: bool) -> list[str]:
    """Return what the module imports, as absolute dotted names, each once and sorted."""
    found: set[str] = set()
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            found.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            base = _absolute(statement, module, is_package)
            found.update(f"{base}.{alias.name}".lstrip(".") for alias in statement.names)
    return sorted(found)


def _absolute(statement: ast.ImportFrom, module: str, is_package: bool) -> str:
    """Return the dotted name that ``from X import`` means by X in `module`."""
    if not statement.level:
        return statement.module or ""
    parts = module.split(".") if is_package else module.split(".")[:-1]
    parts = parts[: len(parts) - statement.level + 1]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


# --- one file: second level -----------------------------------------------------------


@node(output_name="measures")
def gather(
    module: str,
    source: bytes,
    functions: int,
    longest: int,
    classes: int,
    branches: int,
    definitions: int,
    documented: int,
    imports: list[str],
) -> Measures:
    """Put the numbers of one file together."""
    return {
        "module": module,
        "lines": source.count(b"\n"),
        "functions": functions,
        "classes": classes,
        "branches": branches,
        "longest": longest,
        "definitions": definitions,
        "documented": documented,
        "imports": imports,
    }


def file_graph() -> Graph:
    """Return the graph that measures one file: `path` and `roots` in, `measures` out."""
    structure = Graph([measure_functions, count_classes, count_branches], name="structure")
    documentation = Graph([find_public, measure_documentation], name="documentation")
    dependencies = Graph([find_imports], name="dependencies")
    measure = Graph(
        [
            structure.as_node(),
            documentation.select("definitions", "documented").as_node(),
            dependencies.as_node(),
            gather,
        ],
        name="measure",
    )
    inner = measure.select("measures").as_node()
    # Only the numbers leave the item: its source and its tree stay where they were made.
    return Graph([read, parse, name_module, inner], name="file").select("measures")


# --- all files ------------------------------------------------------------------------


@node(output_name="edges")
def resolve(files: Sequence[Measures]) -> dict[str, list[str]]:
    """Return the import graph: module -> the surveyed modules that it imports.

    ``from a.b import c`` imports the module `a.b.c` if there is one, and `a.b` otherwise.
    """
    known = {file["module"] for file in files}
    return {file["module"]: sorted(_imported(file, known)) for file in files}


def _imported(file: Measures, known: set[str]) -> set[str]:
    found = set()
    for name in file["imports"]:
        target = name if name in known else name.rpartition(".")[0]
        if target in known and target != file["module"]:
            found.add(target)
    return found


@node(output_name="importers")
def count_importers(edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return module -> number of modules that import it, most imported first."""
    counts = Counter(target for targets in edges.values() for target in targets)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


@node(output_name="cycles")
def find_cycles(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other in a circle, largest first.

    These are the strongly connected components of more than one module.

    Source:
        S. R. Kosaraju's algorithm: order by when a search leaves a module, then search against
        the edges in the reverse of that order.
    """
    backwards: dict[str, list[str]] = {module: [] for module in edges}
    for module, targets in edges.items():
        for target in targets:
            backwards[target].append(module)
    order: list[str] = []
    seen: set[str] = set()
    for module in edges:
        order += _search(edges, module, seen)
    seen.clear()
    groups = [sorted(_search(backwards, module, seen)) for module in reversed(order)]
    return sorted(
        (group for group in groups if len(group) > 1), key=lambda group: (-len(group), group)
    )


def _search(edges: Mapping[str, Sequence[str]], start: str, seen: set[str]) -> list[str]:
    """Return what can be reached from `start` and was not `seen`, each after all it leads to."""
    if start in seen:
        return []
    seen.add(start)
    left: list[str] = []
    path = [(start, iter(edges[start]))]
    while path:
        module, targets = path[-1]
        following = next((target for target in targets if target not in seen), None)
        if following is None:
            left.append(module)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(edges[following])))
    return left


@node(output_name="ranking")
def rank(
    files: Sequence[Measures], importers: Mapping[str, int], top: int
) -> list[tuple[Measures, int]]:
    """Return the `top` most imported modules with their number of importers."""
    by_name = {file["module"]: file for file in files}
    return [(by_name[module], count) for module, count in list(importers.items())[:top]]


@node(output_name="totals")
def total(files: Sequence[Measures], edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the sums over all files."""
    names = ("lines", "functions", "classes", "branches", "definitions", "documented")
    sums = {name: sum(file[name] for file in files) for name in names}  # type: ignore[literal-required]
    return {**sums, "imports": sum(map(len, edges.values()))}


def overview_graph() -> Graph:
    """Return the graph that sums up: `files` (their measures) and `top` in, five outputs."""
    return Graph([resolve, count_importers, find_cycles, rank, total], name="overview")
