"""The server that other tests maltreat does what they rely on."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.redis_server import AOF, RedisServer

NO_RETRY = Retry(NoBackoff(), 0)
MakeRedis = Callable[..., RedisServer]


@pytest.mark.parametrize("tcp", [False, True], ids=["socket", "port"])
def test_it_remembers_through_kill_9_and_keeps_its_url(make_redis: MakeRedis, tcp: bool) -> None:
    server = make_redis(AOF, tcp=tcp)
    with redis.Redis.from_url(server.url) as client:
        client.set("a", "1")
        before = server.pid
        server.restart()

        assert client.get("a") == b"1"
        assert server.pid != before


def test_it_asks_for_the_password(redis_server: RedisServer) -> None:
    with (
        redis.Redis(unix_socket_path=redis_server.address.path, retry=NO_RETRY) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_it_can_be_frozen(make_redis: MakeRedis) -> None:
    server = make_redis()
    pid = server.freeze()
    with redis.Redis.from_url(server.url, socket_timeout=0.1, retry=NO_RETRY) as client:
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.thaw(pid)

        assert client.ping()


def test_stopping_it_leaves_nothing(make_redis: MakeRedis) -> None:
    server = make_redis(AOF)
    pid = server.pid
    server.stop()

    assert not server.directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
