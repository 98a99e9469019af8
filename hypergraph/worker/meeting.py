"""Where processes that Dramatiq's command has started find each other, and see each other end.

They are siblings: their parent is Dramatiq's master, which tells none of them about the others. So
each has a file of its own, locked as long as it lives. The kernel lets go of the lock with the
process, however that ended, and whoever waits for the lock knows::

    <temporary files>/hypergraph-<identity>/
        p<pid>        locked by that process; holds its configuration, without URL and secret
        p<pid>.mark   what it executes: its `Mark`. Comes last, so what it comes after is there
        p<pid>.left   it was told to end. From then on nobody is to blame for its end
        companion     locked by the companion from when the host is registered

The locks are those of `fcntl.lockf`: a process that a node forks does not keep them. They go when
their process closes *any* descriptor of the file, so nobody opens their own file a second time.
"""

from __future__ import annotations

import fcntl
import hashlib
import multiprocessing
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.mark import Mark

_COMPANION = "companion"
_MARK = ".mark"
_LEFT = ".left"


class Meeting:
    """The place where the processes of one Dramatiq command meet.

    Args:
        identity: Of the command; its processes have it in common, with nobody else ever.
    """

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.directory = Path(tempfile.gettempdir()) / f"hypergraph-{identity}"
        self._parent = os.getppid()
        self._locked: list[int] = []  # descriptors that stay open as long as this process lives

    @classmethod
    def of_this_command(cls) -> Meeting:
        """Return the meeting of the command that this process belongs to.

        All processes of a command inherit 32 random bytes, by which multiprocessing lets them
        authenticate each other. A pid would not do: in a container it is the same every time.
        """
        key = bytes(multiprocessing.current_process().authkey)
        return cls(hashlib.sha256(b"hypergraph meeting" + key).hexdigest()[:16])

    def has_master(self) -> bool:
        """Whether what has started this process is still there."""
        # `multiprocessing.parent_process()` has a sentinel, but its other end is also open in
        # every process that was started later.
        return os.getppid() == self._parent

    # -- a process that executes ----------------------------------------------------------------

    def enter(self, config: WorkerConfig) -> Mark:
        """Say that this process is there, and what it is. Returns what it marks.

        Args:
            config: The host's. URL and secret do not get into a file.
        """
        self._make()
        path = self.directory / config.child
        self._lock_for_good(path, replace(config, url="", secret=b"", previous=()).to_line())
        return Mark.create(path.with_suffix(_MARK), config.threads)

    def leave(self, child: str) -> None:
        """Say that this process was told to end."""
        with suppress(OSError):
            (self.directory / child).with_suffix(_LEFT).touch()

    def has_companion(self) -> bool:
        """Whether the companion has come and has not gone."""
        # Looked at and not waited for: the companion waits for our lock, and of two processes that
        # wait for each other the kernel refuses one (EDEADLK).
        with suppress(FileNotFoundError):
            return _is_locked(self.directory / _COMPANION)
        return False

    # -- the companion --------------------------------------------------------------------------

    def open(self) -> None:
        """Let the processes begin: the companion is there."""
        self._lock_for_good(self.directory / _COMPANION, "")

    def children(self) -> list[str]:
        """Return the names of the processes that have entered, also of those that have ended."""
        return sorted(path.stem for path in self.directory.glob(f"*{_MARK}"))

    def read_config(self, child: str) -> WorkerConfig:
        """Return what a process has said of itself; URL and secret are empty."""
        return WorkerConfig.from_line((self.directory / child).read_text())

    def attach_mark(self, child: str) -> Mark:
        """Return what a process marks."""
        return Mark.attach((self.directory / child).with_suffix(_MARK))

    def lives(self, child: str) -> bool:
        """Whether a process that has entered is still there."""
        return _is_locked(self.directory / child)

    def wait_for_end(self, child: str) -> None:
        """Wait until a process that has entered has ended."""
        _wait_for_lock(self.directory / child)

    def has_left(self, child: str) -> bool:
        """Whether a process was told to end."""
        return (self.directory / child).with_suffix(_LEFT).exists()

    def close(self) -> None:
        """Remove every trace of the meeting."""
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- files ----------------------------------------------------------------------------------

    def _make(self) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        about = self.directory.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
            # The name cannot be guessed; but then the marks are what deaths are judged by.
            raise PermissionError(f"{self.directory} belongs to somebody else.")

    def _lock_for_good(self, path: Path, text: str) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        os.write(fd, text.encode() + b"\n")
        self._locked.append(fd)


def _is_locked(path: Path) -> bool:
    with _opened(path) as fd:
        try:
            fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _wait_for_lock(path: Path) -> None:
    with _opened(path) as fd:
        fcntl.lockf(fd, fcntl.LOCK_SH)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)
