"""A rig of hosts, runners and ledgers around one Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.faults.rig import Rig
from tests.redis_server import RedisServer

MakeRig = Callable[[str], Rig]


@pytest.fixture
def make_rig(tmp_path: Path, namespace: str) -> Iterator[MakeRig]:
    """Build a rig at a Redis: `make_rig(url)`. Each has a namespace of its own."""
    numbers = count(1)
    with ExitStack() as rigs:

        def make(url: str) -> Rig:
            name = f"{namespace}-{next(numbers)}"
            directory = tmp_path / name
            directory.mkdir()
            return rigs.enter_context(Rig(url, name, directory))

        yield make


@pytest.fixture
def rig(make_rig: MakeRig, redis_server: RedisServer) -> Rig:
    """A rig at the shared Redis, whose hosts are dead after a second of silence."""
    return make_rig(redis_server.url)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger(str(tmp_path / "ledger"))
