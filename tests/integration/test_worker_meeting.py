"""Processes that did not start each other see each other come and go."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.meeting import Meeting
from tests.processes import wait_until

#: As in the children of a program with threads, which it is no good to fork.
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def meeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Meeting:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Meeting("0123")


@pytest.fixture
def config() -> WorkerConfig:
    return WorkerConfig(
        url="redis://:password@host", secret=b"secret", worker_id="w", threads=2, child="p7"
    )


@pytest.fixture
def other(meeting: Meeting, config: WorkerConfig) -> Iterator[int]:
    """Another process that has entered, and stays until it is killed. Returns its pid."""
    entered, tell = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_stay, args=(meeting, config, tell))
    process.start()
    assert process.pid is not None
    assert entered.poll(20)
    yield process.pid
    process.kill()
    process.join()


def _stay(meeting: Meeting, config: WorkerConfig, tell: Connection) -> None:
    meeting.enter(config)
    tell.send(True)
    signal.pause()


def _accompany(meeting: Meeting) -> None:
    meeting.open()
    signal.pause()


def _identify(tell: Connection) -> None:
    tell.send(Meeting.of_this_command().identity)


def test_who_has_entered_is_found_with_what_it_said_but_for_what_is_secret(
    meeting: Meeting, config: WorkerConfig, other: int
) -> None:
    said = meeting.read_config("p7")

    assert meeting.children() == ["p7"]
    assert (said.worker_id, said.threads, said.child) == ("w", 2, "p7")
    assert (said.url, said.secret) == ("", b"")
    assert b"password" not in (meeting.directory / "p7").read_bytes()
    assert meeting.attach_mark("p7").threads == 2
    assert stat.S_IMODE(meeting.directory.stat().st_mode) == 0o700


def test_the_end_of_a_process_is_seen_however_it_came(meeting: Meeting, other: int) -> None:
    before = meeting.lives("p7")

    os.kill(other, signal.SIGKILL)

    meeting.wait_for_end("p7")
    assert (before, meeting.lives("p7")) == (True, False)
    assert not meeting.has_left("p7")


def test_who_was_told_to_end_is_not_to_blame(meeting: Meeting, other: int) -> None:
    meeting.leave("p7")

    assert meeting.has_left("p7")


def test_a_companion_is_there_from_when_it_opens_until_it_ends(
    meeting: Meeting, config: WorkerConfig
) -> None:
    meeting.enter(config)
    before = meeting.has_companion()
    companion = SPAWN.Process(target=_accompany, args=(meeting,))
    companion.start()

    assert not before
    assert wait_until(meeting.has_companion, 20.0)
    companion.kill()
    companion.join()
    assert not meeting.has_companion()


def test_nothing_is_left_of_a_meeting_that_is_closed(meeting: Meeting, other: int) -> None:
    meeting.close()

    assert not meeting.directory.exists()


def test_the_processes_of_a_command_have_one_meeting_and_other_commands_have_others() -> None:
    mine = Meeting.of_this_command().identity
    found, tell = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_identify, args=(tell,))
    process.start()

    assert found.poll(20)
    assert found.recv() == mine
    process.join()
    key = multiprocessing.current_process().authkey
    try:
        multiprocessing.current_process().authkey = os.urandom(32)
        assert Meeting.of_this_command().identity != mine
    finally:
        multiprocessing.current_process().authkey = key


def test_a_directory_that_somebody_else_has_made_is_refused(
    meeting: Meeting, config: WorkerConfig, tmp_path: Path
) -> None:
    meeting.directory.symlink_to(tmp_path)

    with pytest.raises(PermissionError, match="belongs to somebody else"):
        meeting.enter(config)
