"""The runners a test of the contract may ask for."""

from __future__ import annotations

import pytest

from tests.contract.members import EVERY, Member


def _members(members: list[Member]) -> list[object]:
    return [pytest.param(member, id=member.name) for member in members]


@pytest.fixture(params=_members(EVERY))
def runner(request: pytest.FixtureRequest) -> Member:
    """Every runner there is."""
    member: Member = request.param
    return member


@pytest.fixture(params=_members([member for member in EVERY if member.is_local]))
def local_runner(request: pytest.FixtureRequest) -> Member:
    """Runners whose nodes share objects with the test."""
    member: Member = request.param
    return member


@pytest.fixture(params=_members([member for member in EVERY if member.awaits]))
def async_runner(request: pytest.FixtureRequest) -> Member:
    """Runners that run async nodes."""
    member: Member = request.param
    return member


@pytest.fixture(params=_members([member for member in EVERY if member.pauses]))
def pausing_runner(request: pytest.FixtureRequest) -> Member:
    """Runners that run graphs with interrupts."""
    member: Member = request.param
    return member


@pytest.fixture(params=_members([member for member in EVERY if not member.awaits]))
def plain_runner(request: pytest.FixtureRequest) -> Member:
    """Runners that refuse async nodes and interrupts."""
    member: Member = request.param
    return member
