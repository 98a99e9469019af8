"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest

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
