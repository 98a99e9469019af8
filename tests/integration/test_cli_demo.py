"""``hypergraph demo``: what a newcomer sees first."""

from __future__ import annotations

import re

import pytest

from tests.commands import Command


@pytest.fixture
def command() -> Command:
    # A Redis in the environment is none of the demonstration's business.
    return Command("redis://127.0.0.1:1")


def test_it_surveys_on_one_process_and_on_workers_and_both_agree(command: Command) -> None:
    told = command("demo", "--limit", "60", "--workers", "2", timeout_s=110)

    assert told.code == 0, told.err
    assert re.search(r"Surveying 60 of [\d,]+ Python files", told.out)
    assert re.search(r"All 60 files parse\.|of 60 files do(es)? not parse:", told.out)
    assert "The most imported modules" in told.out
    assert re.search(r"on one process +\d+\.\d\d", told.out)
    assert re.search(r"on 2 worker processes +\d+\.\d\d +\d+\.\d\d times as fast", told.out)
    assert re.search(r"to start Redis and workers +\d+\.\d\d", told.out)
    assert "Both gave the same: 60 results, compared one by one." in told.out


def test_a_killed_worker_process_changes_no_result(command: Command) -> None:
    told = command("demo", "--kill", "--limit", "500", "--workers", "2", timeout_s=110)

    assert told.code == 0, told.err
    assert re.search(r"Process \d+ was killed \(-9\) when \d+ of 500 files were done", told.words)
    # In between two files, when nothing is lost by it, it may be killed as well.
    assert "another one took its place" in told.words
    assert "Both gave the same: 500 results" in told.out


def test_what_is_over_too_soon_is_not_killed_and_that_is_said(command: Command) -> None:
    told = command("demo", "--kill", "--limit", "3", "--workers", "1", timeout_s=110)

    assert told.code == 0, told.err
    assert "Nothing was killed" in told.out
    assert "on 1 worker process " in told.out
