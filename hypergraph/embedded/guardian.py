"""A server that ends when its owner ends, however the owner ends.

The owner holds one end of a pipe, a small shell process holds the other and waits for end of
file. That needs no cooperation from the owner: the kernel closes its end on exit, on an
exception, on kill -9. Two things would keep the pipe open behind its back, and neither may:

- A program the owner starts. Python's file descriptors are not inherited over exec.
- A fork of the owner that goes on without exec. It closes its copy at once, see `_let_go`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

_SCRIPT = Path(__file__).with_suffix(".sh")
_END_S = 5.0  #: for the guardian to kill a server and to remove its directory
_GUARDED: weakref.WeakSet[Guarded] = weakref.WeakSet()


class Guarded:
    """A server process under a guardian.

    Attributes:
        owner: Pid of the process that started it. In any other process, such as a fork of the
            owner, `stop` does nothing.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        remove: Path | None = None,
    ) -> None:
        """Start `command`.

        Args:
            command: The server and its arguments. It must stay in the foreground.
            log: File to which its output is appended.
            environment: Its whole environment.
            remove: Directory to remove when it has ended.

        Raises:
            OSError: No shell, no process left, or the log cannot be written.
        """
        self.owner = os.getpid()
        with log.open("ab") as output:
            self._guardian = subprocess.Popen(
                ["/bin/sh", str(_SCRIPT), str(remove or ""), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                bufsize=0,
                cwd="/",  # not the user's directory: that would keep it from being unmounted
                env=dict(environment),
                start_new_session=True,
            )
        _GUARDED.add(self)

    def read_report(self, timeout_s: float) -> bytes | None:
        """Wait for what the server writes to its fd 3.

        Returns:
            Some bytes; none (``b""``) when the server has ended; `None` when nothing came.
        """
        report = self._guardian.stdout
        if report is None or report.closed:
            return b""
        ready, _, _ = select.select([report], [], [], timeout_s)
        return os.read(report.fileno(), 4096) if ready else None

    @property
    def alive(self) -> bool:
        """Whether the server still runs."""
        return self.read_report(0.0) != b""

    def stop(self) -> None:
        """Kill the server and wait until it and its directory are gone. Repeating it is fine."""
        if os.getpid() != self.owner:
            return
        self._close_pipes()
        try:
            self._guardian.wait(_END_S)
        except subprocess.TimeoutExpired:
            # The guardian leads its session, so its pid names the group of both.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._guardian.pid, signal.SIGKILL)
            self._guardian.wait()

    def _close_pipes(self) -> None:
        for pipe in (self._guardian.stdin, self._guardian.stdout):
            if pipe is not None:
                pipe.close()

    def _let_go(self) -> None:
        self._close_pipes()
        self._guardian.returncode = 0  # not this process's child: nothing to wait for


def _let_go_of_all() -> None:
    for guarded in list(_GUARDED):
        guarded._let_go()
    _GUARDED.clear()


os.register_at_fork(after_in_child=_let_go_of_all)
