"""The runners a test of the contract may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hypergraph import DistributedRunner
from hypergraph.worker.local import LocalWorkers
from tests.conftest import SECRET
from tests.contract.members import DISTRIBUTED, EVERY, Member
from tests.redis_server import RedisServer


def _members(members: list[Member]) -> list[object]:
    return [pytest.param(member, id=member.name) for member in members]


@pytest.fixture(scope="session")
def distributed(redis_server: RedisServer, workers: LocalWorkers) -> Iterator[Member]:
    """The member whose nodes run on the two workers that all tests share."""
    namespace = workers.config.namespace
    with DistributedRunner(redis_server.url, secret=SECRET, namespace=namespace) as runner:
        runner._open().require_workers({"default": []})  # they are starting
        yield replace(DISTRIBUTED, make=lambda: runner)


def _chosen(request: pytest.FixtureRequest) -> Member:
    member: Member = request.param
    if member is DISTRIBUTED:  # only who asks for it starts workers
        member = request.getfixturevalue("distributed")
    return member


@pytest.fixture(params=_members(EVERY))
def runner(request: pytest.FixtureRequest) -> Member:
    """Every runner there is."""
    return _chosen(request)


@pytest.fixture(params=_members([member for member in EVERY if member.is_local]))
def local_runner(request: pytest.FixtureRequest) -> Member:
    """Runners whose nodes share objects with the test."""
    return _chosen(request)


@pytest.fixture(params=_members([member for member in EVERY if member.awaits]))
def async_runner(request: pytest.FixtureRequest) -> Member:
    """Runners that run async nodes."""
    return _chosen(request)


@pytest.fixture(params=_members([member for member in EVERY if member.pauses]))
def pausing_runner(request: pytest.FixtureRequest) -> Member:
    """Runners that run graphs with interrupts."""
    return _chosen(request)


@pytest.fixture(params=_members([member for member in EVERY if not member.awaits]))
def plain_runner(request: pytest.FixtureRequest) -> Member:
    """Runners that refuse async nodes and interrupts."""
    return _chosen(request)
