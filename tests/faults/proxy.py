"""A wire to Redis that loses replies: what was asked is done, and nobody hears of it."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class LossyWire:
    """Listens on a free port, and passes on what comes to a Redis and back.

    Args:
        url: Of the Redis; it listens on a port.
        loss: Of the replies so many are lost, and the connection with them, from 0 to 1.
        seed: Of the chance.
    """

    def __init__(self, url: str, loss: float, seed: int = 0) -> None:
        parts = urlsplit(url)
        self._there = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self.loss = loss
        self.lost = 0  #: replies so far
        self._chance = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = parts._replace(netloc=f":{parts.password or ''}@127.0.0.1:{port}").geturl()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._listen)]

    def _listen(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._listener], [], [], 0.1)[0]:
                continue
            here, _ = self._listener.accept()
            thread = threading.Thread(target=self._connect, args=(here,))
            self._threads.append(thread)
            thread.start()

    def _connect(self, here: socket.socket) -> None:
        try:
            there = socket.create_connection(self._there)
        except OSError:
            here.close()
            return
        with here, there:
            try:
                self._pass_on(here, there)
            except OSError:
                return

    def _pass_on(self, here: socket.socket, there: socket.socket) -> None:
        while not self._ended.is_set():
            for ready in select.select([here, there], [], [], 0.1)[0]:
                data = ready.recv(1 << 16)
                if not data:
                    return
                if ready is here:
                    there.sendall(data)
                elif self._chance.random() < self.loss:
                    self.lost += 1
                    # Reset, so that it is noticed at once.
                    here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                else:
                    here.sendall(data)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()
