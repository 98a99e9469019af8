"""What a child writes down is there when it has died, and costs it next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hypergraph.worker.mark import ACTIVE, ITEM, STARTED, UNKNOWN, Mark, Marked


@pytest.fixture
def mark(tmp_path: Path) -> Mark:
    return Mark.create(tmp_path / "mark", threads=2)


def read(mark: Mark, slot: int = 0) -> Marked:
    marked = mark.read(slot)
    assert marked is not None
    return marked


def test_what_one_process_writes_another_reads_at_once(mark: Mark) -> None:
    other = Mark.attach(mark.path, threads=2)
    slot = other.slot(1)

    before = time.monotonic_ns()
    slot.enter("run-1", "outer/fetch.2", "outer/fetch")

    marked = read(mark, 1)
    assert marked[:6] == (1, "run-1", "outer/fetch.2", "outer/fetch", -1, True)
    assert before <= marked.started_ns <= time.monotonic_ns()
    assert mark.read(0) is None, "the other slot has not begun"
    assert mark.read_all() == [marked]


def test_the_item_is_one_store_into_a_cell(mark: Mark) -> None:
    slot = mark.slot(0)
    slot.enter("run-1", "embed")
    for item in (0, 7, 1_000_000, 2**62):
        slot.cells[ITEM] = item
        assert read(mark).item == item


def test_a_body_that_has_ended_is_no_longer_active_but_still_told(mark: Mark) -> None:
    slot = mark.slot(0)
    slot.enter("run-1", "fetch")
    slot.leave()

    assert (read(mark).active, read(mark).run_id) == (False, "run-1")


def test_the_next_body_takes_the_place_of_the_last(mark: Mark) -> None:
    slot = mark.slot(0)
    slot.enter("a long run's id", "a long unit's id", "a long path")
    slot.cells[ITEM] = 5
    slot.enter("r", "u", "")

    assert read(mark)[:6] == (0, "r", "u", "", -1, True)


def test_without_a_path_the_unit_stands_for_it(mark: Mark) -> None:
    mark.slot(0).enter("r", "outer/fetch")

    assert read(mark).path == "outer/fetch"


@pytest.mark.parametrize("text", ["x" * 500, "ü" * 250, "\N{SNOWMAN}", "a b\n\x00c", ""])
def test_ids_come_back_as_they_were(mark: Mark, text: str) -> None:
    mark.slot(0).enter(text, text)

    assert read(mark)[:3] == (0, text, text)


def test_an_id_that_is_too_long_is_as_good_as_unknown(mark: Mark) -> None:
    mark.slot(0).enter("r", "x" * 5000)

    assert read(mark).unit == UNKNOWN


def test_slots_do_not_touch_each_other(mark: Mark) -> None:
    full = "x" * 992
    mark.slot(1).enter("r1", "u1", "p1")
    mark.slot(0).enter(full, full, full)
    mark.slot(0).cells[ITEM] = 3

    assert read(mark, 1)[:5] == (1, "r1", "u1", "p1", -1)


def test_a_body_that_is_just_beginning_is_not_read(mark: Mark) -> None:
    slot = mark.slot(0)
    slot.enter("r", "u")
    slot.cells[ACTIVE] = 0
    slot.cells[STARTED] = 0

    assert mark.read(0) is None


def test_there_are_as_many_slots_as_were_asked_for(mark: Mark) -> None:
    assert Mark.attach(mark.path).threads == 2
    with pytest.raises(IndexError):
        mark.slot(2)
    with pytest.raises(ValueError, match="2 slots, and 3 are needed"):
        Mark.attach(mark.path, threads=3)


def test_a_mark_is_not_made_twice(mark: Mark) -> None:
    with pytest.raises(FileExistsError):
        Mark.create(mark.path, threads=2)


def test_only_its_owner_may_read_a_mark(mark: Mark) -> None:
    assert os.stat(mark.path).st_mode & 0o077 == 0


def test_a_mark_without_a_name_survives_the_process_that_was_killed() -> None:
    mark = Mark.anonymous(threads=1)
    program = f"""
import os
from hypergraph.worker.mark import ITEM, Mark

slot = Mark.attach({mark.path!r}, 1).slot(0)
slot.enter("run-1", "embed")
slot.cells[ITEM] = 42
os.kill(os.getpid(), 9)
"""
    child = subprocess.run([sys.executable, "-c", program], pass_fds=(mark.fd,))
    mark.close()
    mark.close()

    assert child.returncode == -9
    assert read(mark)[:6] == (0, "run-1", "embed", "embed", 42, True)


def test_moving_on_to_the_next_item_costs_less_than_100_ns(mark: Mark) -> None:
    cells = mark.slot(0).cells
    best_ns = float("inf")
    for _ in range(20):
        began = time.perf_counter_ns()
        for item in range(10_000):
            cells[ITEM] = item
        best_ns = min(best_ns, (time.perf_counter_ns() - began) / 10_000)

    assert best_ns < 100
