"""Where a child writes down what it is about to execute, so that its death can be explained.

A child that is killed says nothing any more. But memory it shares with its supervisor stays as it
was at that moment. So before each body a slot writes there which task or item it is, and when the
process dies the supervisor reads whom to count the death against.

The hot loop of a map pays one store per item, some 30 ns::

    cells = slot.cells
    for k in range(start, stop):
        cells[ITEM] = k
        ...

Layout: `_HEAD` bytes for the file, `_SLOT` bytes for each slot::

    file   number of slots (int64)
    slot   8 cells (int64: ACTIVE, ITEM, STARTED, lengths of the texts), run id, unit, path
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ACTIVE = 0  #: cell: 1 while a body runs
ITEM = 1  #: cell: index of the map item from 0; -1 for a task
STARTED = 2  #: cell: when the body, or the range of items, began; monotonic clock, ns
_LENGTHS = 3  # cells from here: bytes of each text

_HEAD = 64
_CELLS = 64
_TEXT = 992  # of each text; ids have up to 500 bytes
_TEXTS = 3
_PATH = 2  # number of the text
_SLOT = _CELLS + _TEXTS * _TEXT

#: Stands for an id that is too long to be written down: nobody knows. The reap script knows it.
UNKNOWN = "?"

_OPEN_FD = "/dev/fd/"


class Marked(NamedTuple):
    """What a slot was last about to execute."""

    slot: int  #: number of the slot in its process, from 0
    run_id: str
    unit: str  #: id of the task or of the map
    path: str  #: of the node; "" for the items of a map that is a run of its own
    item: int  #: index of the map's item; -1 for a task
    active: bool  #: whether the body had not ended
    started_ns: int  #: by the machine's monotonic clock

    def fields(self) -> dict[str, str | int]:
        """Return what a log record about it has as `extra`; what there is not is left out."""
        found: dict[str, str | int] = {"run": self.run_id, "node": self.path, "item": self.item}
        return {name: value for name, value in found.items() if value not in ("", -1)}


class MarkSlot:
    """One slot's place, for the thread that executes."""

    __slots__ = ("_texts", "cells")

    def __init__(self, memory: memoryview) -> None:
        self.cells = memory[:_CELLS].cast("q")  #: assign ``cells[ITEM] = k`` before each item
        self._texts = [_text_place(memory, number) for number in range(_TEXTS)]

    def enter(self, run_id: str, unit: str, path: str | None = None) -> None:
        """Note that a task, or a range of a map's items, is about to be executed.

        Args:
            run_id: The run.
            unit: Id of the task, or of the map.
            path: Of the node, for people. If not given, the unit's id stands for it.
        """
        cells = self.cells
        cells[ACTIVE] = 0  # whoever dies in here has not begun
        for number, text in enumerate((run_id, unit, unit if path is None else path)):
            cells[_LENGTHS + number] = _write(self._texts[number], text)
        cells[ITEM] = -1
        cells[STARTED] = time.monotonic_ns()
        cells[ACTIVE] = 1

    def move_to(self, path: str) -> None:
        """Note that the item at hand has come to another node."""
        self.cells[_LENGTHS + _PATH] = _write(self._texts[_PATH], path)

    def leave(self) -> None:
        """Note that the body has ended. What it was stays readable."""
        self.cells[ACTIVE] = 0


class Mark:
    """A piece of memory that a child and its supervisor share. See the module's docstring."""

    def __init__(self, memory: mmap.mmap, path: str, fd: int = -1) -> None:
        self.path = path  #: for `attach`
        self.fd = fd  #: to be passed on to the child, if the path names it; else -1
        self._memory = memory
        self._view = memoryview(memory)
        self.threads = self._view[:8].cast("q")[0]

    @classmethod
    def create(cls, path: str | Path, threads: int) -> Mark:
        """Make a file for `threads` slots at `path`, which must not exist."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            return cls(_new_memory(fd, threads), str(path))
        finally:
            os.close(fd)

    @classmethod
    def anonymous(cls, threads: int) -> Mark:
        """Make memory that no directory lists: it goes with the last process that has it.

        The child must inherit `fd`, and attaches to `path`.
        """
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("hypergraph-mark")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        return cls(_new_memory(fd, threads), f"{_OPEN_FD}{fd}", fd)

    @classmethod
    def attach(cls, path: str | Path, threads: int | None = None) -> Mark:
        """Open what another process has created.

        Raises:
            ValueError: It has fewer than `threads` slots.
        """
        path = str(path)
        # Not opened by its name: /proc may not be there, and the descriptor is ours to close.
        inherited = path.startswith(_OPEN_FD)
        fd = int(path.removeprefix(_OPEN_FD)) if inherited else os.open(path, os.O_RDWR)
        try:
            mark = cls(mmap.mmap(fd, 0), path)
        finally:
            os.close(fd)
        if threads is not None and mark.threads < threads:
            raise ValueError(f"{path} has {mark.threads} slots, and {threads} are needed.")
        return mark

    def slot(self, number: int) -> MarkSlot:
        """Return the place of slot `number`, from 0."""
        return MarkSlot(self._slot(number))

    def read(self, number: int) -> Marked | None:
        """Return what slot `number` executes or executed last, or None if nothing yet.

        Also None if the slot is just moving on; of a dead process the answer is exact.
        """
        memory = self._slot(number)
        cells = memory[:_CELLS].cast("q")
        active, item, started = cells[ACTIVE], cells[ITEM], cells[STARTED]
        if not started:
            return None
        texts = [
            bytes(_text_place(memory, text)[: cells[_LENGTHS + text]]).decode(errors="replace")
            for text in range(_TEXTS)
        ]
        if active and (cells[ACTIVE], cells[STARTED]) != (active, started):
            return None
        run_id, unit, path = texts
        return Marked(number, run_id, unit, path, item, bool(active), started)

    def read_all(self) -> list[Marked]:
        """Return `read` of every slot that has begun something."""
        return [marked for i in range(self.threads) if (marked := self.read(i)) is not None]

    def close(self) -> None:
        """Let go of the descriptor. The memory goes when nobody uses it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _slot(self, number: int) -> memoryview:
        if not 0 <= number < self.threads:
            raise IndexError(f"slot {number} of {self.threads}")
        start = _HEAD + number * _SLOT
        return self._view[start : start + _SLOT]


def _new_memory(fd: int, threads: int) -> mmap.mmap:
    os.ftruncate(fd, _HEAD + threads * _SLOT)
    memory = mmap.mmap(fd, 0)
    memoryview(memory)[:8].cast("q")[0] = threads
    return memory


def _text_place(slot: memoryview, number: int) -> memoryview:
    start = _CELLS + number * _TEXT
    return slot[start : start + _TEXT]


def _write(place: memoryview, text: str) -> int:
    data = text.encode(errors="replace")
    if len(data) > _TEXT:
        data = UNKNOWN.encode()
    place[: len(data)] = data
    return len(data)
