"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from hypergraph import DistributedRunner
from hypergraph.worker.local import LocalWorkers, local_config
from tests.ledger import Ledger
from tests.redis_server import RedisServer

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The Redis that all tests share. It keeps nothing. Leave it running, and do not flush it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of the shared Redis. Use a `namespace` of your own there."""
    return redis_server.url


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test of this session uses."""
    return f"test{next(_NUMBERS)}"


@pytest.fixture
def make_redis() -> Iterator[Callable[..., RedisServer]]:
    """Start a Redis for this test alone: `make_redis(AOF, tcp=True)`, see `RedisServer`."""
    with ExitStack() as servers:

        def make(settings: dict[str, str] | None = None, *, tcp: bool = False) -> RedisServer:
            return servers.enter_context(RedisServer(settings, tcp=tcp))

        yield make


#: What the shared workers and the shared runner sign with.
SECRET = b"a secret of the tests"


@pytest.fixture(scope="session")
def workers(redis_server: RedisServer) -> Iterator[LocalWorkers]:
    """Two worker processes that all tests share. Do not kill them."""
    config = local_config(redis_server.url, secret=SECRET, namespace="shared", processes=2)
    workers = LocalWorkers(config)
    workers.start()
    yield workers
    workers.stop()


@pytest.fixture(scope="session")
def runner(redis_server: RedisServer, workers: LocalWorkers) -> Iterator[DistributedRunner]:
    """A runner for the shared workers. Do not close it."""
    namespace = workers.config.namespace
    with DistributedRunner(redis_server.url, secret=SECRET, namespace=namespace) as runner:
        runner._open().require_workers({"default": []})  # they are starting
        yield runner


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A file that nodes write down what they do in."""
    return Ledger(tmp_path / "ledger")
