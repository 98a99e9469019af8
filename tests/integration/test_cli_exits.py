"""Every command says by its exit code whose fault it was, and in one message what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import Command
from tests.redis_server import RedisServer

AWAY = "redis://127.0.0.1:1"

READERS = [["workers"], ["runs"], ["runs", "show", "x"], ["runs", "cancel", "x"]]


def message(err: str) -> str:
    """Return the one message that a command has for people."""
    assert err.startswith("Error: "), err
    assert len(err.strip().splitlines()) == 1, err
    return err


@pytest.mark.parametrize("arguments", READERS, ids=" ".join)
def test_without_a_url_it_is_wrong_usage(arguments: list[str]) -> None:
    told = Command("")(*arguments)

    assert told.code == 2
    assert "HYPERGRAPH_REDIS_URL" in message(told.err)


@pytest.mark.parametrize("arguments", [*READERS, ["doctor"], ["worker"]], ids=" ".join)
@pytest.mark.parametrize("url", ["http://queue-host", "queue-host:6379", "redis://host:port"])
def test_a_url_that_is_none_of_redis_is_wrong_usage(arguments: list[str], url: str) -> None:
    told = Command(url, secret=b"x")(*arguments)

    assert told.code == 2
    assert "is no URL of a Redis" in message(told.err)


@pytest.mark.parametrize("arguments", [*READERS, ["worker"]], ids=" ".join)
def test_redis_away(arguments: list[str]) -> None:
    told = Command(AWAY, secret=b"x")(*arguments, timeout_s=10)

    assert told.code == 3
    assert f"Redis at {AWAY} cannot be reached" in message(told.err)
    assert told.out == ""


def test_the_doctor_finds_redis_away() -> None:
    told = Command(AWAY, secret=b"x")("doctor")

    assert told.code == 3
    assert "bad redis" in told.words
    assert told.err == ""


@pytest.mark.parametrize("arguments", [*READERS, ["worker"]], ids=" ".join)
def test_a_wrong_password_is_redis_away_and_is_not_shown(
    arguments: list[str], make_redis: Callable[..., RedisServer]
) -> None:
    port = make_redis(tcp=True).address.port
    told = Command(f"redis://:wrong-one@127.0.0.1:{port}", secret=b"x")(*arguments)

    assert told.code == 3
    assert "***@127.0.0.1" in message(told.err)
    assert "wrong-one" not in told.err


@pytest.mark.parametrize("arguments", [["runs", "show", "x"], ["runs", "cancel", "x"]])
def test_a_redis_elsewhere_needs_a_secret(arguments: list[str]) -> None:
    told = Command("redis://queue-host.invalid")(*arguments, timeout_s=30)

    assert told.code == 2
    assert "HYPERGRAPH_SECRET" in message(told.err)


def test_a_secret_that_cannot_be_read_is_wrong_usage(redis_url: str, tmp_path: Path) -> None:
    told = Command(redis_url)("runs", "show", "x", "--secret-file", str(tmp_path / "nothing"))

    assert told.code == 2
    assert "nothing cannot be read: No such file" in message(told.err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "--limit", "0"],
        ["runs", "--status", "lost"],
        ["runs", "show"],
        ["worker", "--processes", "0"],
        ["worker", "--threads", "many"],
        ["worker", "--label", "gpu"],
        ["worker", "--queues", ","],
        ["worker", "--queues", "a b"],
        ["worker", "--drain-s", "-1"],
        ["worker", "--secret", "abc"],
        ["frobnicate"],
    ],
    ids=" ".join,
)
def test_wrong_options_are_wrong_usage(arguments: list[str], redis_url: str) -> None:
    told = Command(redis_url, secret=b"x")(*arguments)

    assert told.code == 2
    assert "Error: " in told.err


def test_what_redis_refuses_is_a_failure(make_redis: Callable[..., RedisServer]) -> None:
    server = make_redis({"rename-command": "ZREVRANGE never"})
    told = Command(server.url, secret=b"x")("runs")

    assert told.code == 1
    assert "Redis refuses" in message(told.err)
