"""A child, as its supervisor sees it from outside: a process to start, watch and end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.lifeline import end_group
from hypergraph.worker.mark import Mark, Marked

#: Where the package lies.
_ROOT = str(Path(__file__).parents[2])


def module_command(module: str) -> list[str]:
    """Return how to execute a module of ours as a program.

    ``-P``: the current directory is no place to import from before the program says so. A file
    ``queue.py`` of the user's would pass for Python's own.
    """
    return [sys.executable, "-P", "-m", module]


def module_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which `module_command` finds this package.

    It is what was given, unless the package was imported from a place that a fresh Python does not
    look at, such as a checkout next to the user's script.
    """
    if "site-packages" in _ROOT or "dist-packages" in _ROOT:
        return dict(environment)
    known = environment.get("PYTHONPATH", "")
    if _ROOT in known.split(os.pathsep):
        return dict(environment)
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, (_ROOT, known)))}


class Death:
    """How a child ended."""

    def __init__(self, returncode: int, *, intended: bool) -> None:
        self.signal = -returncode if returncode < 0 else None  #: number of the signal, or None
        self.exit_code = returncode if returncode >= 0 else None  #: or None if a signal did it
        self.intended = intended  #: we ended it, so nobody is to blame

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit code {self.exit_code}"
        with contextlib.suppress(ValueError):
            return signal.Signals(self.signal).name
        return f"signal {self.signal}"


class ChildProcess:
    """A child process. It exists from here on, and waits to be told who it is.

    Between being started and being told it imports what it needs. That takes longest, so it is
    done while the host registers itself.

    Args:
        config: The host's.
        name: Never used before on this host: slots are fenced by it.
        command: What to execute.

    Raises:
        OSError: No process could be started.
    """

    def __init__(self, config: WorkerConfig, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.slots = f"{config.worker_id}/{name}/"  #: what the names of its slots begin with
        self.started_at = time.monotonic()
        self.mark = Mark.anonymous(config.threads)
        self._config = config
        self._intended = False
        self._stopped_s: float | None = None
        self._looked_at = self.started_at
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                pass_fds=(self.mark.fd,),
                env=module_environment(os.environ),
                # Ctrl-C at a terminal is for the supervisor, and what the child's nodes start
                # can be found when the child has gone.
                process_group=0,
            )
        finally:
            self.mark.close()
        self.pid = self._process.pid
        self._lock = threading.Lock()  # nobody signals a pid that has been given back

    def tell(self) -> None:
        """Tell the child who it is. It begins to work."""
        self.started_at = time.monotonic()
        line = self._config.for_child(self.name, self.mark.path).to_line()
        assert self._process.stdin is not None
        # If it has died already, `wait` says so.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def wait(self) -> Death:
        """Wait until the child has ended, and end what it has left behind."""
        if sys.platform == "darwin":
            code = self._process.wait()
            end_group(self.pid)
        else:
            # Leaves the pid in its place, so that what is signalled is the child's own group.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            with self._lock:
                end_group(self.pid)
                code = self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        return Death(code, intended=self._intended)

    def terminate(self) -> None:
        """Ask the child to give back what it has not begun, and to end."""
        self._signal(signal.SIGTERM)

    def kill(self, *, intended: bool = True) -> None:
        """End the child at once. Nothing counts against what it runs, if that is `intended`."""
        self._intended = self._intended or intended
        self._signal(signal.SIGKILL)

    def running(self) -> list[Marked]:
        """Return the bodies that run at this moment, or ran when the child died."""
        return [marked for marked in self.mark.read_all() if marked.active]

    def has_worked(self) -> bool:
        """Whether the child has got as far as executing something."""
        return bool(self.mark.read_all())

    def stopped_s(self, longest_gap_s: float) -> float:
        """Return for how long the child has been seen stopped (SIGSTOP), from look to look.

        Args:
            longest_gap_s: No more than this counts from one look to the next. When the whole host
                was stopped we have not been looking, and the child is about to go on as we do.
        """
        now = time.monotonic()
        gap_s = min(now - self._looked_at, longest_gap_s)
        self._looked_at = now
        if not _is_stopped(self.pid):
            self._stopped_s = None
        elif self._stopped_s is None:
            self._stopped_s = 0.0
        else:
            self._stopped_s += gap_s
        return self._stopped_s or 0.0

    def _signal(self, number: int) -> None:
        with self._lock:
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)


def _is_stopped(pid: int) -> bool:
    """Whether a process is in state T. Always False where /proc does not say so."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 :][:1] == b"T"
