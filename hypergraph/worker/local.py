"""Workers of one's own: a supervisor on this machine that belongs to one client and ends with it.

The client holds one end of a pipe. When it closes, on exit, on an exception or by kill -9, the
supervisor kills its children and goes. The supervisor has a session of its own, so Ctrl-C at the
client's terminal does not reach it: what it means is for the client to say.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from typing import IO

from hypergraph.worker.config import WorkerConfig, new_worker_id
from hypergraph.worker.process import module_command, module_environment

#: Lines longer than this, in bytes, are relayed in parts.
_LONGEST_BYTES = 1 << 16

#: For a supervisor that was told to go at once.
_END_S = 5.0


class LocalWorkers:
    """The worker processes of one client.

    What they print appears on the client's `sys.stdout` and `sys.stderr`, as these are when a line
    comes: in a notebook, in a test that captures them, above a progress bar.

    Args:
        config: The host's; see `local_config`.
        command: What to execute as the supervisor.
    """

    def __init__(self, config: WorkerConfig, *, command: Sequence[str] | None = None) -> None:
        self.config = config
        self._command = tuple(command or module_command("hypergraph.worker.supervisor"))
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._relays: list[threading.Thread] = []

    def start(self) -> None:
        """Start the supervisor. It starts the workers; nobody waits for them here.

        Raises:
            OSError: No process can be started.
        """
        self._owner = os.getpid()
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # a buffer has a lock, and a fork may come while a thread holds it
            cwd=self.config.cwd or None,
            env=module_environment(os.environ),
            start_new_session=True,
        )
        assert process.stdin and process.stdout and process.stderr
        self._process = process
        _STARTED.add(self)
        atexit.register(self.stop)
        _send(process.stdin.fileno(), self.config.to_line().encode() + b"\n")
        self._relays = [_relay(process.stdout, "stdout"), _relay(process.stderr, "stderr")]

    @property
    def pid(self) -> int | None:
        """The supervisor's pid, or None if it was not started."""
        return self._process.pid if self._process else None

    def alive(self) -> bool:
        """Whether the supervisor runs. Always False in a fork of the client."""
        process = self._process
        return process is not None and os.getpid() == self._owner and process.poll() is None

    def stop(self, timeout_s: float = 2.0) -> None:
        """Stop the workers and wait until they are gone. Repeating it is fine.

        In a fork of the client this does nothing: the workers belong to the client.

        Args:
            timeout_s: For nodes that run to finish. Then they are killed.
        """
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        atexit.unregister(self.stop)
        if timeout_s > 0:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)
        _close(process.stdin)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for relay in self._relays:
            relay.join(1.0)  # what they have said at last
        _STARTED.discard(self)

    def _let_go(self) -> None:
        """In a fork: give up the pipe, or the workers would wait for the fork to end as well."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                _close(pipe)
            self._process.returncode = 0  # not this process's child: nothing to wait for
            self._process = None


def local_config(
    url: str,
    *,
    secret: bytes,
    previous: Sequence[bytes] = (),
    namespace: str = "default",
    processes: int = 1,
    queues: Sequence[str] = ("default",),
    lease_s: float = 5.0,
    beat_s: float = 1.0,
    blobs: str = "",
) -> WorkerConfig:
    """Return the configuration of workers that see the world as this process does."""
    return WorkerConfig(
        url=url,
        namespace=namespace,
        secret=secret,
        previous=tuple(previous),
        worker_id=new_worker_id("local"),
        queues=tuple(queues),
        processes=processes,
        lease_s=lease_s,
        beat_s=beat_s,
        blobs=blobs,
        name="local",
        sys_path=tuple(os.path.abspath(path) for path in sys.path),
        cwd=_directory(),
        local=True,
        log_level=logging.getLogger().getEffectiveLevel(),
    )


_STARTED: weakref.WeakSet[LocalWorkers] = weakref.WeakSet()


def _let_go_of_all() -> None:
    for workers in list(_STARTED):
        workers._let_go()
    _STARTED.clear()


os.register_at_fork(after_in_child=_let_go_of_all)


def _directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed
        return ""


def _relay(pipe: IO[bytes], name: str) -> threading.Thread:
    """Write lines that come through a pipe to the stream of `sys` of that name."""

    def relay() -> None:
        rest = b""
        with contextlib.suppress(OSError, ValueError):  # closed by a fork
            while data := os.read(pipe.fileno(), _LONGEST_BYTES):
                lines, newline, rest = (rest + data).rpartition(b"\n")
                _write(lines + newline, name)
                if len(rest) > _LONGEST_BYTES:
                    _write(rest, name)
                    rest = b""
        _write(rest, name)
        _close(pipe)

    thread = threading.Thread(target=relay, name=f"workers' {name}", daemon=True)
    thread.start()
    return thread


def _write(text: bytes, name: str) -> None:
    # The stream may be closed, or be anything that a user has put there.
    with contextlib.suppress(Exception):
        stream = getattr(sys, name)
        if text:
            stream.write(text.decode(errors="replace"))
            stream.flush()


def _send(fd: int, data: bytes) -> None:
    # If the other end has gone already, `alive` says so.
    with contextlib.suppress(BrokenPipeError):
        while data:
            data = data[os.write(fd, data) :]


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()
