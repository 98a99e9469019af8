"""The program that serves fakeredis on an ephemeral port of the loopback interface.

It runs under a guardian in a process of its own and reports its port and its version on fd 3.
"""

from __future__ import annotations

import os
import select
import socket
from importlib.metadata import version
from typing import Any

from fakeredis import TcpFakeServer


class _PatientSocket(socket.socket):
    """A non-blocking socket whose `sendall` waits for slow readers.

    fakeredis 2.40 makes its sockets non-blocking in order to poll them. Python's `sendall` then
    fails when the reader is behind by more than the kernel buffers (a few MB), and what follows
    reaches the client as part of the reply that was cut off.
    """

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        rest = memoryview(data).cast("B")
        while rest:
            try:
                rest = rest[self.send(rest, flags) :]
            except BlockingIOError:
                select.select([], [self], [])


class _Server(TcpFakeServer):
    def get_request(self) -> tuple[socket.socket, Any]:
        connection, client = super().get_request()
        return _PatientSocket(fileno=connection.detach()), client


def main() -> None:
    """Serve until killed."""
    server = _Server(("127.0.0.1", 0))
    os.write(3, f"{server.server_address[1]} {version('fakeredis')}\n".encode())
    server.serve_forever()


if __name__ == "__main__":
    main()
