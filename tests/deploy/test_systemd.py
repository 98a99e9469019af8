"""The unit starts a worker that drains, is hard to break out of, and outlives what its nodes do."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, check_command, check_variables, seconds

UNIT = DEPLOY / "systemd" / "hypergraph-worker@.service"
ENVIRONMENT = DEPLOY / "systemd" / "worker.env"

KNOWN_SECTIONS = ["Unit", "Service", "Install"]


def read_unit() -> dict[str, dict[str, list[str]]]:
    """Return section -> setting -> values, in their order."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = found[line.strip("[]")] = defaultdict(list)
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals and re.fullmatch(r"[A-Z][A-Za-z]+", name), line
            section[name].append(value)
    return found


SERVICE = read_unit()["Service"]


def started(queue: str = "gpu") -> list[str]:
    """Return what is executed for an instance without options of its own."""
    (command,) = SERVICE["ExecStart"]
    return shlex.split(command.replace("%i", queue).replace("$WORKER_OPTIONS", ""))


def test_systemd_has_nothing_to_say_against_it(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / UNIT.name.replace("@", "@default")
    # It looks for the program; any will do.
    unit.write_text(UNIT.read_text().replace(started()[0], sys.executable))

    said = subprocess.run([tool, "verify", unit], capture_output=True, text=True)

    assert (said.returncode, said.stderr) == (0, "")


def test_it_has_the_sections_of_a_service() -> None:
    assert list(read_unit()) == KNOWN_SECTIONS
    assert read_unit()["Install"]["WantedBy"] == ["multi-user.target"]


def test_the_instance_is_the_queue() -> None:
    options = check_command(started("gpu"))

    assert options["queues"] == ["gpu"]
    assert options["wait"] is True  # Redis may come later than this machine


def test_options_of_an_instance_that_its_comment_shows_are_known() -> None:
    (shown,) = re.findall(r'Environment="WORKER_OPTIONS=(.*)"', UNIT.read_text())

    options = check_command([*started(), *shlex.split(shown)])

    assert (options["processes"], options["labels"]) == (1, ("kind=gpu",))


def test_a_signal_reaches_the_supervisor_alone_and_leaves_it_time_to_drain() -> None:
    options = check_command(started())

    assert SERVICE["KillMode"] == ["mixed"]
    assert SERVICE["KillSignal"] == ["SIGTERM"]
    assert seconds(SERVICE["TimeoutStopSec"][0]) >= options["drain_s"] + 10


def test_a_node_that_eats_the_memory_does_not_stop_the_worker() -> None:
    assert SERVICE["OOMPolicy"] == ["continue"]
    assert SERVICE["Restart"] == ["always"]


def test_the_secret_is_a_credential_and_in_no_environment() -> None:
    (credential,) = SERVICE["LoadCredential"]
    name = credential.partition(":")[0]
    set_here = dict(value.split("=", 1) for value in SERVICE["Environment"])

    assert set_here["HYPERGRAPH_SECRET_FILE"] == f"%d/{name}"
    check_variables(set_here)


def test_the_environment_file_sets_what_is_read() -> None:
    lines = [line.lstrip("#") for line in ENVIRONMENT.read_text().splitlines()]
    names = [line.partition("=")[0] for line in lines if re.match(r"[A-Z_]+=", line)]

    check_variables(names)
    assert "HYPERGRAPH_REDIS_URL" in names
    assert SERVICE["EnvironmentFile"] == [f"/etc/hypergraph/{ENVIRONMENT.name}"]


def test_it_can_do_no_more_than_it_needs() -> None:
    for setting in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "ProtectHome"):
        assert SERVICE[setting] == ["yes"], setting
    assert SERVICE["ProtectSystem"] == ["strict"]
    assert SERVICE["CapabilityBoundingSet"] == [""]
    # What has to be written lies where it may be.
    (state,) = SERVICE["StateDirectory"]
    assert SERVICE["WorkingDirectory"] == [f"%S/{state}"]
    assert f"HOME=%S/{state}" in SERVICE["Environment"]
