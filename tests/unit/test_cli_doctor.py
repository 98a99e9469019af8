"""What the doctor makes of what a Redis, its workers and this machine say of themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hypergraph.cli.connection import Place
from hypergraph.cli.doctor import redis, surroundings
from hypergraph.cli.doctor.check import Check, Verdict
from hypergraph.cli.doctor.command import continued
from hypergraph.cli.doctor.redis import Server
from hypergraph.embedded.candidates import Candidate
from hypergraph.transport.tags import TAG, tagged
from hypergraph.values.secret import PREVIOUS, SECRET, SECRET_FILE
from hypergraph.worker.registry import WorkerInfo

OK, WARN, BAD = Verdict.OK, Verdict.WARN, Verdict.BAD

WORKER = WorkerInfo(
    id="db1-7-9f3a",
    host="db1",
    pid=7,
    name="",
    labels=(),
    queues=(tagged("default"),),
    tag=TAG,
    python="3.11.4",
    version="0.1.0",
    processes=2,
    threads=1,
    draining=False,
    started_at=0.0,
    beat_at=0.0,
    children={},
    running=(),
    modules=None,
)


def summary(check: Check) -> tuple[Verdict, str]:
    return check.verdict, check.found


# -- the server -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "verdict", "found"),
    [
        ({"redis_version": "7.0.15"}, OK, "Redis 7.0.15"),
        ({"redis_version": "6.2.14"}, OK, "Redis 6.2.14"),
        ({"redis_version": "6.0.16"}, BAD, "Redis 6.0.16 is too old: 6.2 is needed"),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, OK, "Valkey 8.0.1"),
        ({}, WARN, "it does not say (INFO is blocked)"),
    ],
)
def test_version(info: Mapping[str, str], verdict: Verdict, found: str) -> None:
    assert summary(redis.check_version(Server(info))) == (verdict, found)


@pytest.mark.parametrize(
    ("info", "config", "verdict"),
    [
        pytest.param({}, {"maxmemory-policy": "noeviction"}, OK, id="as it must be"),
        pytest.param({}, {"maxmemory-policy": "allkeys-lru", "maxmemory": "9"}, BAD, id="evicts"),
        pytest.param({}, {"maxmemory-policy": "volatile-ttl", "maxmemory": "9"}, BAD, id="some"),
        pytest.param({}, {"maxmemory-policy": "allkeys-lru", "maxmemory": "0"}, WARN, id="not yet"),
        pytest.param({"maxmemory_policy": "noeviction"}, {}, OK, id="CONFIG is blocked"),
        pytest.param({}, {}, WARN, id="nobody says"),
    ],
)
def test_eviction(info: Mapping[str, str], config: Mapping[str, str], verdict: Verdict) -> None:
    assert redis.check_eviction(Server(info, config)).verdict is verdict


@pytest.mark.parametrize(
    ("info", "config", "verdict"),
    [
        pytest.param({}, {"appendonly": "yes", "appendfsync": "everysec"}, OK, id="AOF"),
        pytest.param({"aof_enabled": "1"}, {}, OK, id="AOF, and CONFIG is blocked"),
        pytest.param({}, {"appendonly": "no", "save": "3600 1"}, WARN, id="snapshots"),
        pytest.param({}, {"appendonly": "no", "save": ""}, WARN, id="nothing"),
        pytest.param({}, {"appendonly": "yes", "appendfsync": "no"}, WARN, id="when it likes"),
        pytest.param({"aof_last_write_status": "err"}, {"appendonly": "yes"}, BAD, id="disk full"),
        pytest.param({}, {}, WARN, id="nobody says"),
    ],
)
def test_persistence(info: Mapping[str, str], config: Mapping[str, str], verdict: Verdict) -> None:
    assert redis.check_persistence(Server(info, config)).verdict is verdict


@pytest.mark.parametrize(
    ("used", "limit", "machine", "verdict"),
    [
        ("50", "100", "", OK),
        ("80", "100", "", WARN),
        ("95", "100", "", BAD),
        ("50", "0", "100", OK),
        ("80", "0", "100", WARN),
        ("80", "0", "0", OK),
    ],
)
def test_memory(used: str, limit: str, machine: str, verdict: Verdict) -> None:
    info = {"used_memory": used, "maxmemory": limit}
    if machine:
        info["total_system_memory"] = machine

    assert redis.check_memory(Server(info)).verdict is verdict


def test_memory_that_nobody_tells_of() -> None:
    assert redis.check_memory(Server({})).verdict is WARN


@pytest.mark.parametrize(("round_trip_s", "verdict"), [(0.0002, OK), (0.2, WARN)])
def test_a_redis_far_away(round_trip_s: float, verdict: Verdict) -> None:
    assert redis.check_reachable(Server({}, {}, round_trip_s), "redis://x").verdict is verdict


def test_a_fix_is_a_command_for_this_very_redis() -> None:
    server = Server({}, {"maxmemory-policy": "allkeys-lru"}, cli=redis.cli_of("redis://db1:7000/3"))

    assert redis.check_eviction(server).commands == (
        "redis-cli -h db1 -p 7000 -n 3 CONFIG SET maxmemory-policy noeviction",
    )


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("redis://localhost:6379/0", "redis-cli"),
        ("redis://user:pw@db1", "redis-cli -h db1 --user user --askpass"),
        ("rediss://db1:6390", "redis-cli -h db1 -p 6390 --tls"),
        ("unix://:pw@/run/redis.sock?db=2", "redis-cli -s /run/redis.sock -n 2 --askpass"),
    ],
)
def test_how_redis_cli_is_called_without_showing_the_password(url: str, command: str) -> None:
    assert redis.cli_of(url) == command


def test_a_command_is_continued_at_blanks() -> None:
    assert continued("a bb ccc dddd", 8) == ["a bb \\", "  ccc \\", "  dddd"]
    assert continued("a-single-word-that-is-too-long", 8) == ["a-single-word-that-is-too-long"]


# -- workers and queues ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "verdict"),
    [
        pytest.param([WORKER], OK, id="fits"),
        pytest.param([], BAD, id="none"),
        pytest.param([replace(WORKER, tag="py399w1")], BAD, id="only strangers"),
        pytest.param([WORKER, replace(WORKER, tag="py399w1")], WARN, id="also strangers"),
        pytest.param([WORKER, replace(WORKER, version="0.0.9")], WARN, id="two releases"),
        pytest.param([replace(WORKER, queues=(), draining=True)], BAD, id="it drains"),
    ],
)
def test_workers(workers: list[WorkerInfo], verdict: Verdict) -> None:
    assert surroundings.check_workers(workers, "hypergraph worker").verdict is verdict


@pytest.mark.parametrize(
    ("waiting", "tickets", "verdict"),
    [
        pytest.param({}, {}, OK, id="nothing"),
        pytest.param({tagged("default"): 99}, {tagged("default"): 4}, OK, id="served"),
        pytest.param({tagged("gpu"): 1}, {}, BAD, id="nobody serves it"),
        pytest.param({"default.py399w1": 1}, {}, BAD, id="nobody of that version"),
        pytest.param({}, {tagged("default"): 5000}, WARN, id="tickets pile up"),
    ],
)
def test_queues(waiting: dict[str, int], tickets: dict[str, int], verdict: Verdict) -> None:
    found = surroundings.check_queues(waiting, tickets, [WORKER], "hypergraph worker")

    assert found.verdict is verdict


def test_an_orphaned_queue_comes_with_the_command_that_serves_it() -> None:
    found = surroundings.check_queues({tagged("gpu"): 3}, {}, [WORKER], "hypergraph worker --url x")

    assert found.commands == ("hypergraph worker --url x --queues gpu",)
    assert "3 tasks" in found.found


# -- the secret -----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (SECRET, SECRET_FILE, PREVIOUS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "hypergraph"


def test_looking_for_a_secret_makes_none(home: Path) -> None:
    found = surroundings.check_secret(Place("redis://localhost"))

    assert found.verdict is OK
    assert "made at first use" in found.found
    assert not home.exists()


def test_a_secret_is_named_by_its_source_and_key_and_never_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "correct horse")
    found = surroundings.check_secret(Place("redis://elsewhere"))

    assert found.verdict is OK
    assert "from HYPERGRAPH_SECRET; its key id is " in found.found
    assert "horse" not in str(found)


def test_two_files_with_the_same_secret_have_the_same_key_id(home: Path, tmp_path: Path) -> None:
    found = []
    for name, text in (("a", "same"), ("b", "same\n"), ("c", "other")):
        (tmp_path / name).write_text(text)
        place = Place("redis://elsewhere", secret_file=str(tmp_path / name))
        found.append(surroundings.check_secret(place).found.partition("key id")[2])

    assert found[0] == found[1] != found[2]


def test_earlier_secrets_are_counted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "new")
    monkeypatch.setenv(PREVIOUS, "old\nolder")

    assert "2 earlier" in surroundings.check_secret(Place("redis://elsewhere")).found


@pytest.mark.parametrize("problem", ["missing", "empty", "open to others"])
def test_a_secret_that_cannot_be_used(
    problem: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "redis://elsewhere"
    if problem == "empty":
        monkeypatch.setenv(SECRET, "")
    elif problem == "open to others":
        home.mkdir()
        (home / "secret").write_text("x")
        os.chmod(home / "secret", 0o644)
        url = "redis://localhost"
    found = surroundings.check_secret(Place(url))

    assert found.verdict is BAD
    assert "HYPERGRAPH_SECRET" in found.found or "chmod 600" in found.found


# -- large values ---------------------------------------------------------------------------------


def test_a_directory_for_large_values(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert surroundings.check_blobs(str(tmp_path)).verdict is OK
    assert surroundings.check_blobs(f"file://{tmp_path}/yet/to/be/made").verdict is OK
    assert surroundings.check_blobs(f"{tmp_path}/file/below").verdict is BAD
    assert surroundings.check_blobs("s3://bucket").verdict is BAD


# -- this machine ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "needed", "verdict"),
    [
        (["redis-server", "fakeredis"], True, OK),
        (["fakeredis"], True, WARN),
        (["fakeredis"], False, OK),
        ([], True, BAD),
        ([], False, OK),
    ],
)
def test_what_could_be_started_here(kinds: list[str], needed: bool, verdict: Verdict) -> None:
    candidates = [Candidate(kind, ("/bin/x",)) for kind in kinds]  # type: ignore[arg-type]

    assert surroundings.check_embedded(candidates, needed=needed).verdict is verdict
