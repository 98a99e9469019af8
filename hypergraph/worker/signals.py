"""Signals, as a main thread with other threads around it can wait for them."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable

#: What `wait` returns for a `nudge`: no signal has this number.
NUDGE = 0


class Signals:
    """Waits for signals, and for nudges by other threads.

    A handler in Python runs when the main thread comes to it. While the main thread waits for a
    lock or a queue it may not: the kernel may give the signal to another thread, or it may come
    just before the wait begins (1 of 200 times in our tests, Python 3.11). A signal also writes its
    number to a descriptor, from whatever thread; waiting for that has neither gap.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def catch(self, numbers: Iterable[int]) -> None:
        """Let these signals do nothing from now on but end a `wait`. Call it in the main thread."""
        # When nobody reads for 65,536 signals, some more make no difference.
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def nudge(self) -> None:
        """End a `wait`, from any thread."""
        os.write(self._write, bytes([NUDGE]))

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the next signal or nudge. Returns its number, or None if none came in time."""
        ready, _, _ = select.select([self._read], [], [], timeout_s)
        return os.read(self._read, 1)[0] if ready else None
