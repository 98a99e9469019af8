"""A real Redis takes redis.conf, and is then one that keeps what it acknowledges."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from hypergraph.cli.doctor.check import Verdict
from hypergraph.cli.doctor.redis import Server, check_server, look_at
from hypergraph.embedded.server import free_port
from hypergraph.store.link import Link
from tests.deploy.files import DEPLOY
from tests.processes import wait_until
from tests.redis_server import real_server

CONFIGURATION = DEPLOY / "redis.conf"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """What a Redis started with redis.conf says of itself."""
    directory = tmp_path_factory.mktemp("redis")
    address = free_port()
    # As in the images, but for directory, port and address, which are this test's.
    configuration = directory / CONFIGURATION.name
    text = CONFIGURATION.read_text()
    configuration.write_text(text.replace("\ndir /data\n", f"\ndir {directory}\n"))
    command = [real_server(), str(configuration), "--requirepass", "p"]
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(address.port), "--bind", "127.0.0.1"],
            stdout=output,
            stderr=output,
            env={**os.environ, "LC_ALL": "C"},  # Redis 7.2 wants a locale that is installed
        )
    try:
        assert wait_until(lambda: "eady to accept connections" in log.read_text(), 10.0), (
            log.read_text()
        )
        link = Link(address.url("p"), patience_s=5.0)
        yield look_at(link, "redis-cli")
        link.close()
    finally:
        process.kill()
        process.wait()


def test_the_doctor_finds_nothing_wrong_with_it(server: Server) -> None:
    checks = {check.name: check for check in check_server(server, "redis://redis")}

    for name in ("eviction", "persistence", "memory"):
        assert checks[name].verdict is Verdict.OK, checks[name]


def test_it_writes_a_log_every_second_and_never_evicts(server: Server) -> None:
    assert server.config["appendonly"] == "yes"
    assert server.config["appendfsync"] == "everysec"
    assert server.config["maxmemory-policy"] == "noeviction"
    assert server.config["save"] == ""


def test_it_listens_to_other_machines_but_only_with_a_password() -> None:
    text = CONFIGURATION.read_text()

    assert re.search(r"^bind \* -::\*$", text, re.MULTILINE)
    assert re.search(r"^protected-mode yes$", text, re.MULTILINE)
    assert "requirepass " not in re.sub(r"(?m)^#.*", "", text)


def test_pods_have_room_for_it_twice() -> None:
    (limit,) = re.findall(r"^maxmemory (\d+)gb$", CONFIGURATION.read_text(), re.MULTILINE)
    manifest = (DEPLOY / "kubernetes" / "redis.yaml").read_text()

    assert f"limits: {{memory: {2 * int(limit)}Gi}}" in manifest
