"""The stores that promises about a store are kept by."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hypergraph.embedded import EmbeddedRedis
from hypergraph.embedded.candidates import find_candidates
from hypergraph.store.redis import RedisStore
from tests.redis_server import RedisServer
from tests.stores import Rig, open_store


@pytest.fixture(scope="session")
def fake_redis_url() -> Iterator[str]:
    """The URL of fakeredis behind a port, as it is used where there is no real Redis."""
    fakes = [candidate for candidate in find_candidates() if candidate.kind == "fakeredis"]
    if not fakes:
        pytest.skip("fakeredis is not installed")
    with EmbeddedRedis(fakes) as server:
        yield server.url


@pytest.fixture(params=["redis", "fakeredis"])
def store(request: pytest.FixtureRequest, namespace: str) -> Iterator[RedisStore]:
    """A store in a namespace of its own: in a real Redis, and once more in fakeredis."""
    fixture = "redis_url" if request.param == "redis" else "fake_redis_url"
    store = open_store(request.getfixturevalue(fixture), namespace)
    yield store
    store.link.close()


@pytest.fixture
def real_store(redis_server: RedisServer, namespace: str) -> Iterator[RedisStore]:
    """A store in a real Redis, for what fakeredis does not have."""
    store = open_store(redis_server.url, namespace)
    yield store
    store.link.close()


@pytest.fixture
def rig(store: RedisStore) -> Rig:
    """A run that is yet to be created."""
    return Rig(store)
