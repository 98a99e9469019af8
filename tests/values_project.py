"""A user's own project: modules that are written, imported and forgotten by a test."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

#: Writes a module, given its dotted name and its source, and imports it.
Project = Callable[[str, str], ModuleType]


def project_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Yield a project whose modules lie in `directory`; forget them in the end."""
    monkeypatch.syspath_prepend(str(directory))
    # A module written twice within a second may be taken from the cache of its first text.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name: str, source: str) -> ModuleType:
        path = directory / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return importlib.import_module(name.removesuffix(".__init__"))

    yield write
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(directory)):
            del sys.modules[name]
