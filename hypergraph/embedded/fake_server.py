"""The program that serves fakeredis on an ephemeral port of the loopback interface.

It runs under a guardian in a process of its own and reports its port and its version on fd 3.

fakeredis 2.40 makes its sockets non-blocking in order to poll them, and reads line by line. That
is right for small values only, so both are replaced here:

- Python's `sendall` fails when the reader is behind by more than the kernel buffers (some MB), and
  the next reply reaches the client as part of the one that was cut off.
- A binary value of 20 MB has 80,000 "lines", and appending each to what came before copies it all.

It also hangs up after every error it has told. So a pipeline with a script that is not loaded yet
never heard of it: its other answers were missing, and it was sent again, for ever.
"""

from __future__ import annotations

import os
import select
import socket
from importlib.metadata import version
from io import BufferedReader
from typing import Any

from fakeredis import TcpFakeServer
from redis.exceptions import ResponseError

# Appending n chunks copies n * n / 2 chunks; so does cutting n commands off a chunk.
_CHUNK_BYTES = 1 << 16


class _Chunks(BufferedReader):
    """Gives what has come so far instead of lines; ``b""`` when nothing has."""

    def readline(self, size: int | None = -1, /) -> bytes:
        return self.read1(_CHUNK_BYTES)


class _PatientSocket(socket.socket):
    """A non-blocking socket that waits for slow readers."""

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        rest = memoryview(data).cast("B")
        while rest:
            try:
                rest = rest[self.send(rest, flags) :]
            except BlockingIOError:
                select.select([], [self], [])

    def makefile(self, mode: str = "rb", buffering: int | None = None, **_: Any) -> Any:
        return _Chunks(super().makefile("rb", buffering=0), _CHUNK_BYTES)


class _Server(TcpFakeServer):
    def __init__(self, address: tuple[str | bytes | bytearray, int]) -> None:
        super().__init__(address)
        self.RequestHandlerClass = _make_handler(self.RequestHandlerClass)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, client = super().get_request()
        return _PatientSocket(fileno=connection.detach()), client


def _make_handler(base: Any) -> Any:
    """Return fakeredis's handler of connections, for which an error is an answer like any other."""

    class Handler(base):  # type: ignore[misc]
        def setup(self) -> None:
            super().setup()
            read = self.current_client.read_response

            def read_response() -> Any:
                try:
                    return read()
                except ResponseError as error:
                    return error

            self.current_client.read_response = read_response

    return Handler


def main() -> None:
    """Serve until killed."""
    server = _Server(("127.0.0.1", 0))
    os.write(3, f"{server.server_address[1]} {version('fakeredis')}\n".encode())
    server.serve_forever()


if __name__ == "__main__":
    main()
