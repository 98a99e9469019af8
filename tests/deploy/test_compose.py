"""The compose file starts a Redis that keeps what it acknowledges, and two workers."""

from __future__ import annotations

from typing import Any

import pytest

from hypergraph.worker.liveness import is_worker
from tests.deploy.files import (
    DEPLOY,
    check_command,
    check_variables,
    load,
    read_dockerfile,
    seconds,
)

COMPOSE = load("compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ["worker", "client"]

ENTRYPOINT = next(i.words for i in read_dockerfile() if i.word == "ENTRYPOINT")


def command_of(service: str) -> list[str]:
    found: list[str] = (
        SERVICES[service].get("entrypoint", ENTRYPOINT) + SERVICES[service]["command"]
    )
    return found


def test_there_are_two_workers_and_a_client_of_one_image() -> None:
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert {SERVICES[name]["image"] for name in OURS} == {"hypergraph"}
    assert SERVICES["client"]["profiles"] == ["client"]  # not started with the others
    for name in OURS:
        build = SERVICES[name]["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


@pytest.mark.parametrize("service", OURS)
def test_commands_and_variables_are_known(service: str) -> None:
    check_command(command_of(service))
    check_variables(SERVICES[service]["environment"])


def test_a_worker_is_given_more_time_to_stop_than_it_takes() -> None:
    options = check_command(command_of("worker"))

    assert seconds(SERVICES["worker"]["stop_grace_period"]) >= options["drain_s"] + 10


def test_a_worker_is_healthy_while_it_beats() -> None:
    kind, *check = SERVICES["worker"]["healthcheck"]["test"]

    assert kind == "CMD"
    assert check_command(check)["if_main"] is False
    assert is_worker(command_of("worker"))
    assert not is_worker(command_of("client"))


@pytest.mark.parametrize("service", OURS)
def test_everybody_waits_for_redis_and_finds_it(service: str) -> None:
    url = SERVICES[service]["environment"]["HYPERGRAPH_REDIS_URL"]

    assert SERVICES[service]["depends_on"]["redis"]["condition"] == "service_healthy"
    assert url.startswith("redis://:${REDIS_PASSWORD:?")
    assert url.endswith("@redis:6379/0")


@pytest.mark.parametrize("service", OURS)
def test_the_signing_secret_comes_from_a_file_and_is_in_no_environment(service: str) -> None:
    environment = SERVICES[service]["environment"]
    (secret,) = SERVICES[service]["secrets"]

    assert environment["HYPERGRAPH_SECRET_FILE"] == f"/run/secrets/{secret}"
    assert "HYPERGRAPH_SECRET" not in environment
    file = COMPOSE["secrets"][secret]["file"].removeprefix("./")
    assert f"/{file}" in (DEPLOY / ".gitignore").read_text().splitlines()
    assert not (DEPLOY / file).exists()


@pytest.mark.parametrize("service", OURS)
def test_containers_can_do_no_more_than_they_need(service: str) -> None:
    described = SERVICES[service]

    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]
    assert (described["read_only"], described["tmpfs"]) == (True, ["/tmp"])
    assert "privileged" not in described


def test_redis_gets_its_configuration_a_password_and_a_volume() -> None:
    redis = SERVICES["redis"]
    configuration, data = (volume.split(":") for volume in redis["volumes"])

    assert (DEPLOY / configuration[0]).is_file()
    assert redis["command"][:2] == ["redis-server", configuration[1]]
    assert redis["command"][2:] == ["--requirepass", "${REDIS_PASSWORD}"]
    assert data[0] in COMPOSE["volumes"]
    assert f"\ndir {data[1]}\n" in (DEPLOY / "redis.conf").read_text()
    assert redis["environment"]["REDISCLI_AUTH"] == "${REDIS_PASSWORD}"
    assert "redis-cli ping" in redis["healthcheck"]["test"][1]


def test_redis_is_published_to_this_machine_only() -> None:
    (port,) = SERVICES["redis"]["ports"]

    assert port == "127.0.0.1:6379:6379"
