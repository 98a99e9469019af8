"""Looking at processes from outside."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def wait_until(condition: Callable[[], object], timeout_s: float = 2.0) -> bool:
    """Return whether `condition` came true in time."""
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.005)
    return True


def is_alive(pid: int) -> bool:
    """Return whether the process runs. One that only waits to be collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def children_of(pid: int) -> set[int]:
    """Return the pids of the processes that `pid` started and that are still there."""
    return {child.pid for child in psutil.Process(pid).children()}


def command_line(pid: int) -> str:
    """Return the arguments of a process, joined by spaces."""
    return " ".join(psutil.Process(pid).cmdline())
