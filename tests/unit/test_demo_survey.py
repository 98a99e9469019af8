"""The demonstration's survey counts what it says it counts."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from hypergraph.cli.demo import survey
from hypergraph.cli.demo.sources import find_sources

MODULE = '''
"""A module."""
import os.path
from . import sibling
from .near import name
from ..far import *

class Public:
    """A class."""

    def method(self):
        return [x for x in self if x]

    def _hidden(self):
        pass

def bare(flag):
    if flag and flag:
        return 1

    return 2
'''
TREE = ast.parse(MODULE)


def measured(**values: Any) -> survey.Measures:
    blank: Any = dict.fromkeys(survey.Measures.__annotations__, 0)
    return {**blank, "imports": [], **values}  # type: ignore[typeddict-item]


def test_functions_and_the_longest_of_them() -> None:
    assert survey.measure_functions(TREE) == (3, 5)


def test_branches_are_forks_of_control_flow() -> None:
    assert survey.count_branches(TREE) == 3  # a comprehension, an if, an and


def test_documentation_counts_the_module_and_public_names() -> None:
    public = survey.find_public(TREE)

    assert survey.measure_documentation(public) == (4, 2)


@pytest.mark.parametrize(
    ("module", "is_package", "expected"),
    [
        ("a.b.c", False, ["a.b.near.name", "a.b.sibling", "a.far.*", "os.path"]),
        ("a.b", True, ["a.b.near.name", "a.b.sibling", "a.far.*", "os.path"]),
    ],
    ids=["module", "package"],
)
def test_relative_imports_become_absolute(
    module: str, is_package: bool, expected: list[str]
) -> None:
    assert survey.find_imports(TREE, module, is_package) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/lib/json/decoder.py", ("json.decoder", False)),
        ("/lib/json/__init__.py", ("json", True)),
        ("/lib/site-packages/rich/live.py", ("rich.live", False)),
    ],
)
def test_modules_are_named_from_the_innermost_root(path: str, expected: tuple[str, bool]) -> None:
    assert survey.name_module(path, ["/lib/site-packages", "/lib"]) == expected


def test_an_import_means_the_longest_name_that_is_a_module() -> None:
    files = [
        measured(module="a", imports=["b.c", "b.d", "unknown.x", "a"]),
        measured(module="b"),
        measured(module="b.c"),
    ]

    assert survey.resolve(files) == {"a": ["b", "b.c"], "b": [], "b.c": []}


def test_cycles_are_groups_that_import_each_other() -> None:
    edges = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": [], "e": ["f"], "f": ["e", "a"]}

    assert survey.find_cycles(edges) == [["a", "b", "c"], ["e", "f"]]


def test_the_most_imported_come_first_and_ties_by_name() -> None:
    edges = {"a": ["c", "b"], "b": ["c"], "c": [], "d": ["a"]}

    assert list(survey.count_importers(edges).items()) == [("c", 2), ("a", 1), ("b", 1)]


def test_the_graph_is_three_levels_deep_and_keeps_only_numbers() -> None:
    graph = survey.file_graph()
    measure: Any = graph.nodes["measure"]

    assert graph.inputs.required == ("path", "roots")
    assert graph.selected == ("measures",)
    assert {"structure", "documentation", "dependencies"} < set(measure.graph.nodes)


def test_a_limit_takes_files_from_everywhere() -> None:
    everything = find_sources()
    few = everything.part(7)

    assert len(few.paths) == 7
    assert len(everything.paths) == everything.found == few.found
    assert everything.paths.index(few.paths[-1]) > 0.8 * everything.found
