"""A rig of hosts, runners and ledgers around one Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ledger import Ledger
from tests.faults.rig import Rig
from tests.redis_server import RedisServer

MakeRig = Callable[[str], Rig]


@pytest.fixture
def make_rig(tmp_path: Path, namespace: str) -> Iterator[MakeRig]:
    """Build a rig at a Redis: `make_rig(url)`."""
    with ExitStack() as rigs:

        def make(url: str, **options: Any) -> Rig:
            return rigs.enter_context(Rig(url, namespace, tmp_path, **options))

        yield make


@pytest.fixture
def rig(make_rig: MakeRig, redis_server: RedisServer) -> Rig:
    """A rig at the shared Redis, whose hosts are dead after a second of silence."""
    return make_rig(redis_server.url)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger(str(tmp_path / "ledger"))
