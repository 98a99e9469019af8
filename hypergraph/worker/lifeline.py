"""A process that ends when the process that started it has ended, however that happened.

The parent holds the write end of a pipe, which is the standard input of what it started, and never
closes it as long as it lives. The kernel closes it on exit, on an exception, on kill -9. So end of
file means: the parent has gone.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO


def watch(stream: BinaryIO, on_gone: Callable[[], object]) -> threading.Thread:
    """Call `on_gone`, in a thread, when the other end of `stream` has gone.

    The stream is taken over. If it is standard input, an empty one takes its place: a node that
    reads from there gets end of file, and neither waits for ever nor eats what is meant for us.
    """
    fd = os.dup(stream.fileno())
    if stream.fileno() == 0:
        _empty_stdin()

    def wait() -> None:
        # What comes meanwhile means nothing. An error means that there is no other end.
        with contextlib.suppress(OSError):
            while os.read(fd, 4096):
                pass
        on_gone()

    thread = threading.Thread(target=wait, name="lifeline", daemon=True)
    thread.start()
    return thread


def end_group(pid: int) -> None:
    """Ask the processes that `pid` has left behind in its process group to end.

    Asked and not killed: what cleans up shared memory behind Python's own process pools is among
    them, and ignores being asked.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)


def _empty_stdin() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # The old object may hold bytes that it has read ahead, and closes its descriptor when it goes.
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
