"""A container's health check fails for a worker that is gone, not for a Redis that is away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hypergraph.worker import environment, liveness
from hypergraph.worker.local import LocalWorkers
from tests.processes import wait_until
from tests.redis_server import RedisServer


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch, redis_url: str, namespace: str) -> None:
    monkeypatch.setenv(environment.URL, redis_url)
    monkeypatch.setenv(environment.NAMESPACE, namespace)


def test_a_worker_of_this_machine_is_alive(
    workers: LocalWorkers, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["--namespace", workers.config.namespace, "--ready"]

    assert wait_until(lambda: liveness.main(check) == 0, 20.0)
    assert f"{workers.config.worker_id} is alive." in capsys.readouterr().out


def test_a_worker_that_redis_has_not_heard_of_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert liveness.main([]) == 1
    assert "has not heard of a worker of this machine" in capsys.readouterr().out


def test_a_worker_of_another_machine_is_another_one_s(
    workers: LocalWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = ["--namespace", workers.config.namespace]
    assert wait_until(lambda: liveness.main(check) == 0, 20.0)

    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")

    assert liveness.main(check) == 1


def test_while_redis_is_away_a_worker_is_alive_but_not_ready(
    make_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = make_redis()
    redis.kill()
    monkeypatch.setenv(environment.URL, redis.url)
    monkeypatch.setattr(liveness, "PATIENCE_S", 0.1)

    assert liveness.main([]) == 0
    assert liveness.main(["--ready"]) == 1


def test_a_container_without_a_worker_is_healthy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(liveness, "_main_command", lambda: ["tini", "--", "python", "mine.py"])

    assert liveness.main(["--if-main"]) == 0
    assert "no worker" in capsys.readouterr().out
    monkeypatch.setattr(liveness, "_main_command", lambda: ["tini", "--", "hypergraph", "worker"])
    assert liveness.main(["--if-main"]) == 1


def test_without_a_url_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(environment.URL)

    assert liveness.main([]) == 1
    assert "HYPERGRAPH_REDIS_URL" in capsys.readouterr().out
