"""The source files of the running Python: its standard library and the installed packages."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

# Not of this root: compiled files, and packages of an installation that lie below its library.
_OTHERS = {"__pycache__", "site-packages", "dist-packages"}


@dataclass(frozen=True, slots=True)
class Sources:
    """Files to survey, and what they were taken from."""

    paths: tuple[str, ...]  #: absolute, sorted
    roots: tuple[str, ...]  #: directories that modules are named from; inner ones first
    found: int  #: number of files there are, these and others
    sizes: Mapping[str, int]  #: path -> bytes, of all files there are

    @property
    def size_bytes(self) -> int:
        """Size of the files in `paths` together."""
        return sum(self.sizes[path] for path in self.paths)

    def part(self, count: int) -> Sources:
        """Return these sources with `count` files only, evenly spread over all."""
        return replace(self, paths=tuple(_spread(self.paths, count)))


def find_sources() -> Sources:
    """Return the Python files of this installation, all of them."""
    directories = sysconfig.get_paths()
    roots = {os.path.realpath(directories[name]) for name in ("stdlib", "purelib", "platlib")}
    inner_first = tuple(sorted(roots, key=len, reverse=True))
    sizes = {path: os.path.getsize(path) for root in inner_first for path in _python_files(root)}
    return Sources(tuple(sorted(sizes)), inner_first, len(sizes), sizes)


def read_ahead(sources: Sources) -> None:
    """Bring the files into the system's memory, so that whoever measures first is not slowed."""
    for path in sources.paths:
        with open(path, "rb") as file:
            file.read()


def _python_files(root: str) -> Iterator[str]:
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = sorted(set(subdirectories) - _OTHERS)
        for name in names:
            path = os.path.join(directory, name)
            if name.endswith(".py") and os.path.isfile(path):
                yield path


def _spread(items: Sequence[str], count: int) -> list[str]:
    """Return `count` of the items, evenly spaced; all of them when there are not that many.

    >>> _spread("abcdefgh", 4)
    ['a', 'c', 'e', 'g']
    """
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]
