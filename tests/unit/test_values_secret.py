from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypergraph.values.secret import is_local, load_secret, state_directory


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HYPERGRAPH_SECRET", "HYPERGRAPH_SECRET_FILE", "HYPERGRAPH_SECRET_PREVIOUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_the_argument_wins_over_the_variable_and_that_over_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "secret").write_text("from file\n")
    monkeypatch.setenv("HYPERGRAPH_SECRET_FILE", str(home / "secret"))
    assert load_secret(None, "redis://far:6379") == (b"from file", ())

    monkeypatch.setenv("HYPERGRAPH_SECRET", "from variable\n")
    assert load_secret(None, "redis://far:6379") == (b"from variable", ())

    assert load_secret("argument", "redis://far:6379") == (b"argument", ())
    assert load_secret(b"\x00bytes ", None) == (b"\x00bytes ", ())


def test_previous_secrets_come_one_per_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERGRAPH_SECRET_PREVIOUS", "one\n\ntwo\n")

    assert load_secret("new", None) == (b"new", (b"one", b"two"))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        (None, True),
        ("redis://localhost:6379/0", True),
        ("redis://127.0.0.1", True),
        ("redis://127.8.9.1:7", True),
        ("redis://:password@[::1]:6379", True),
        ("rediss://localhost", True),
        ("redis:///3", True),
        ("unix:///run/redis.sock?db=1", True),
        ("redis://queue-host:6379", False),
        ("redis://10.0.0.1", False),
        ("redis://0.0.0.0", False),
        ("redis://localhost.example.org", False),
        ("redis://localhost?host=far", False),
    ],
)
def test_only_this_machine_is_local(url: str | None, local: bool) -> None:
    assert is_local(url) is local


def test_a_redis_elsewhere_needs_a_secret_and_the_error_says_how() -> None:
    with pytest.raises(ValueError, match=r"queue-host.*Set HYPERGRAPH_SECRET"):
        load_secret(None, "redis://user:hunter2@queue-host:6379")


def test_that_error_does_not_show_the_password_of_redis() -> None:
    with pytest.raises(ValueError) as caught:
        load_secret(None, "redis://user:hunter2@queue-host:6379")

    assert "hunter2" not in str(caught.value)


def test_a_key_is_made_on_first_use_and_found_later() -> None:
    made, _ = load_secret(None, None)
    path = state_directory() / "secret"

    assert load_secret(None, "unix:///tmp/r.sock") == (made, ())
    assert len(made) == 64
    assert path.read_bytes() == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["secret"]


def test_of_many_that_make_a_key_at_once_all_use_one() -> None:
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: load_secret(None, None), range(64)))

    assert len(found) == 1


def test_without_hard_links_a_key_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)

    assert load_secret(None, None) == load_secret(None, None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_can_reach_is_refused(mode: int) -> None:
    load_secret(None, None)
    path = state_directory() / "secret"
    path.chmod(mode)

    with pytest.raises(ValueError, match="chmod 600"):
        load_secret(None, None)


def test_a_link_in_the_place_of_the_key_is_refused(home: Path) -> None:
    load_secret(None, None)
    path = state_directory() / "secret"
    path.rename(home / "elsewhere")
    path.symlink_to(home / "elsewhere")

    with pytest.raises(ValueError, match="neither read nor made"):
        load_secret(None, None)


def test_an_empty_secret_is_refused_by_its_source(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="secret= is empty"):
        load_secret("", None)
    monkeypatch.setenv("HYPERGRAPH_SECRET", " \n")
    with pytest.raises(ValueError, match="HYPERGRAPH_SECRET is empty"):
        load_secret(None, None)


def test_a_secret_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERGRAPH_SECRET_FILE", "/no/such/file")

    with pytest.raises(ValueError, match=r"/no/such/file cannot be read: No such file"):
        load_secret(None, None)


def test_a_state_directory_that_cannot_be_made_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))

    with pytest.raises(ValueError, match="Set HYPERGRAPH_SECRET"):
        load_secret(None, None)


def test_without_an_absolute_state_home_the_default_is_used(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(home))

    assert state_directory() == home / ".local" / "state" / "hypergraph"
