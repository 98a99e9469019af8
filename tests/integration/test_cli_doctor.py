"""``hypergraph doctor`` on Redis servers that are as they should be, and on others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from hypergraph import DistributedRunner, Graph, node
from tests.commands import Command
from tests.conftest import SECRET
from tests.redis_server import AOF, RedisServer

Make = Callable[..., RedisServer]


@node(output_name="y")
def same(x: int) -> int:
    return x


def verdicts(command: Command) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in command("doctor", "--json").json}


def test_all_is_well(redis_url: str, runner: DistributedRunner) -> None:
    runner.run(Graph([same]), x=1, progress=False)
    told = Command(redis_url, "shared", SECRET)("doctor")

    assert told.code == 0
    assert [line.split()[1] for line in told.out.splitlines() if line[:4] in ("ok  ", "warn")] == [
        "redis",
        "version",
        "eviction",
        "persistence",
        "memory",
        "workers",
        "queues",
        "secret",
        "embedded",
    ]
    assert "bad" not in told.out
    assert SECRET.decode() not in told.out


def test_without_a_worker_something_is_bad(redis_url: str, namespace: str) -> None:
    told = Command(redis_url, namespace, SECRET)("doctor")

    assert told.code == 1
    assert "bad workers none is alive" in told.words
    assert f"hypergraph worker --namespace {namespace}" in told.words


def test_a_redis_that_forgets_comes_with_commands_that_put_it_right(make_redis: Make) -> None:
    server = make_redis({"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"})
    told = Command(server.url, secret=SECRET)("doctor")

    assert told.code == 1
    assert "bad eviction allkeys-lru" in told.words
    assert "CONFIG SET maxmemory-policy noeviction" in told.words.replace("\\ ", "")
    assert "--askpass" in told.out
    assert server.password not in told.out


def test_a_durable_redis(make_redis: Make) -> None:
    assert verdicts(Command(make_redis(AOF).url, secret=SECRET))["persistence"] == "ok"


def test_a_full_redis(make_redis: Make) -> None:
    server = make_redis({"maxmemory": "2mb"})
    with Redis.from_url(server.url) as client, pytest.raises(OutOfMemoryError):
        for number in range(1000):
            client.set(f"filler:{number}", b"x" * 10_000)

    assert verdicts(Command(server.url, secret=SECRET))["memory"] == "bad"


@pytest.mark.parametrize(
    ("blocked", "expected"),
    [
        (["CONFIG"], {"version": "ok", "eviction": "ok", "persistence": "warn", "memory": "ok"}),
        (
            ["CONFIG", "INFO"],
            {"version": "ok", "eviction": "warn", "persistence": "warn", "memory": "warn"},
        ),
    ],
)
def test_what_is_blocked_is_a_warning(
    blocked: list[str], expected: dict[str, str], make_redis: Make
) -> None:
    server = make_redis(AOF if len(blocked) > 1 else None, tcp=True)
    rules = ["on", ">pw", "~*", "&*", "+@all", *(f"-{name}" for name in blocked)]
    with Redis.from_url(server.url) as admin:
        admin.execute_command("ACL SETUSER", "app", *rules)
    url = f"redis://app:pw@127.0.0.1:{server.address.port}"
    found = verdicts(Command(url, secret=SECRET))

    assert {name: found[name] for name in expected} == expected


def test_fakeredis_has_neither_config_nor_info(fake_redis_url: str, namespace: str) -> None:
    told = Command(fake_redis_url, namespace, SECRET)("doctor")

    assert told.code == 1  # for want of workers
    assert "ok redis" in told.words
    assert "bad workers" in told.words


def test_a_run_that_nobody_serves_is_found(redis_url: str, namespace: str) -> None:
    with (
        DistributedRunner(redis_url, secret=SECRET, namespace=namespace) as lonely,
        pytest.warns(UserWarning),
    ):
        lonely.submit(Graph([same]), x=1)

    assert verdicts(Command(redis_url, namespace, SECRET))["queues"] == "bad"


def test_without_a_url_it_looks_at_this_machine() -> None:
    told = Command("", secret=SECRET)("doctor")

    assert told.code == 0
    assert "ok embedded DistributedRunner() without a URL starts" in told.words


def test_an_unreadable_secret_is_bad_and_the_rest_is_looked_at(
    redis_url: str, namespace: str, tmp_path: Path
) -> None:
    told = Command(redis_url, namespace)("doctor", "--secret-file", str(tmp_path / "none"))

    assert told.code == 1
    assert "bad secret" in told.words
    assert "ok version" in told.words
