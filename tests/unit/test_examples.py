"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import hypergraph

#: Programs: importing them is running them.
_PROGRAMS = {"hypergraph.embedded.fake_server"}

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(hypergraph.__path__, "hypergraph.")
    if module.name not in _PROGRAMS
)


@pytest.mark.parametrize("name", ["hypergraph", *MODULES])
def test_examples(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0
