"""Start one Redis server under a guardian and wait until it answers.

Waiting polls with a bare socket: importing redis-py takes ten times as long as a server needs to
start (5 ms).
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hypergraph.embedded.guardian import Guarded

MIN_VERSION = (6, 2)  #: the oldest Redis that has every command our scripts use
START_S = 10.0  #: for a server to answer
MAX_SOCKET_PATH_BYTES = 99  # the kernel takes 107 (macOS 103), and some clients cut longer ones
START_FAKE_S = 60.0  #: for fakeredis, which takes 0.5 s where nothing else runs
_SOCKET = "redis.sock"
_POLL_S = 0.002
_LOG_TAIL_LINES = 3

#: What every server of ours is told. Later settings of the same name win.
_ALWAYS = (
    ("protected-mode", "yes"),
    ("daemonize", "no"),
    ("save", '""'),
    ("appendonly", "no"),
    ("maxmemory-policy", "noeviction"),
)


class DidNotStart(Exception):
    """One attempt to start a server failed; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: a Unix socket, or a port of the loopback interface."""

    path: str = ""  #: of the Unix socket; empty for a port
    port: int = 0

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """The lines of a configuration that make a server listen here, and only here."""
        if self.path:
            return (("port", "0"), ("unixsocket", _quoted(self.path)), ("unixsocketperm", "700"))
        return (("port", str(self.port)), ("bind", "127.0.0.1"))

    def url(self, password: str) -> str:
        """Return the URL for redis-py. `password` must need no quoting."""
        if self.path:
            return f"unix://:{password}@{quote(self.path)}"
        return f"redis://:{password}@127.0.0.1:{self.port}/0"

    def connect(self, timeout_s: float) -> socket.socket:
        """Return a connected socket, or raise `OSError`."""
        if not self.path:
            return socket.create_connection(("127.0.0.1", self.port), timeout_s)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout_s)
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection


def socket_address(directory: Path) -> Address | None:
    """Return an address in `directory`, or `None` when its path is too long for a socket."""
    path = str(directory / _SOCKET)
    return Address(path=path) if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES else None


def has_room_for_socket(parent: str) -> bool:
    """Whether the path of a socket in a new directory of `parent` would be short enough."""
    longest = os.path.join(parent, "hypergraph-12345678", _SOCKET)
    return len(os.fsencode(longest)) <= MAX_SOCKET_PATH_BYTES


def free_port() -> Address:
    """Return a loopback address that nobody listens on now. Somebody else may be faster."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Address(port=listener.getsockname()[1])


def start_redis(
    binary: str,
    address: Address,
    *,
    directory: Path,
    password: str,
    settings: Mapping[str, str] | None = None,
    remove: bool = True,
) -> tuple[Guarded, str]:
    """Start `binary` and wait until it answers.

    Args:
        binary: Path of a redis-server or valkey-server.
        address: Where it shall listen.
        directory: For its configuration, log and data. Only its owner may enter it.
        password: What clients must give.
        settings: More lines of configuration, directive -> value.
        remove: Whether `directory` is removed when the server has ended.

    Returns:
        The server, and its version.

    Raises:
        DidNotStart: It ended, did not answer in time, or is too old.
    """
    lines = (
        *_ALWAYS,
        *address.settings,
        ("dir", _quoted(str(directory))),
        ("requirepass", password),
        *(settings or {}).items(),
    )
    configuration = directory / "redis.conf"
    _write_private(configuration, lines)
    log = directory / "redis.log"
    try:
        server = Guarded(
            (binary, str(configuration)),
            log=log,
            # Redis 7.2 refuses to start in a locale that is not installed.
            environment={**os.environ, "LC_ALL": "C"},
            remove=directory if remove else None,
        )
    except OSError as error:
        raise DidNotStart(str(error)) from error
    try:
        return server, _wait_until_ready(server, address, password, log)
    except BaseException:
        server.stop()
        raise


def start_fake(command: Sequence[str], *, directory: Path) -> tuple[Guarded, int, str]:
    """Start the program in `fake_server.py`.

    Args:
        command: How to execute it.
        directory: For its log. It is removed when the server has ended.

    Returns:
        The server, its port on the loopback interface, and its version.

    Raises:
        DidNotStart: It ended, or did not report in time.
    """
    log = directory / "fakeredis.log"
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    try:
        server = Guarded(
            command, log=log, environment={**os.environ, "PYTHONPATH": path}, remove=directory
        )
    except OSError as error:
        raise DidNotStart(str(error)) from error
    report = server.read_report(START_FAKE_S)
    if not report:
        why = f"failed: {_tail(log)}"
        server.stop()
        raise DidNotStart(why)
    port, version = report.decode().split()
    return server, int(port), version


def _tail(log: Path) -> str:
    """Return the last lines of a log in one line, or an empty text."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return " / ".join(line.strip() for line in lines[-_LOG_TAIL_LINES:])


def _write_private(path: Path, lines: Iterable[tuple[str, str]]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.writelines(os.fsencode(f"{directive} {value}\n") for directive, value in lines)


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _wait_until_ready(server: Guarded, address: Address, password: str, log: Path) -> str:
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at:
        if server.read_report(_POLL_S) == b"":
            raise DidNotStart(f"ended at once: {_tail(log) or 'it says nothing'}")
        try:
            info = _ask(address, password)
        except OSError:
            continue  # it does not listen yet
        if info:
            return _checked_version(info)
    raise DidNotStart(f"did not answer within {START_S:.0f} s: {_tail(log)}")


def _ask(address: Address, password: str) -> dict[str, str]:
    """Return `INFO server`, or nothing while the server still loads its data."""
    with address.connect(START_S) as connection, connection.makefile("rb") as replies:
        connection.sendall(f"AUTH {password}\r\nPING\r\nINFO server\r\n".encode())
        if not replies.readline().startswith(b"+OK"):
            raise DidNotStart("what answers at this address is not our server")
        if not replies.readline().startswith(b"+PONG"):
            return {}
        length = int(replies.readline()[1:])
        text = replies.read(length).decode(errors="replace")
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _checked_version(info: Mapping[str, str]) -> str:
    compatible = info["redis_version"]  # Valkey gives the Redis version it is compatible with
    if tuple(map(int, compatible.split(".")[:2])) < MIN_VERSION:
        wanted = ".".join(map(str, MIN_VERSION))
        raise DidNotStart(f"is version {compatible}; {wanted} or newer is needed")
    return info.get("valkey_version", compatible)
