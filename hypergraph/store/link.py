"""One process's way to a Redis: connections, scripts, and what to do when it is away.

The driver's own retries are off. It re-sends what it does not know the fate of, and doubles writes:
one INCR across a frozen server of 7 s counted 2 (redis-py 8.1). Our scripts may be sent again;
so re-sending is done here, and only for them.
"""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from hypergraph.errors import StoreFull, StoreUnavailable

logger = logging.getLogger("hypergraph.store")

#: Replies that mean "not now": the server loads, fails over, or cannot write to its disk.
_AWAY = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError)

#: The same, told to a script on its way. Redis 6.2 puts it behind where it happened, as an error
#: of no class of its own: ``Error running script (...): @user_script:9: ...: -OOM command ...``.
_NOT_NOW = re.compile(r"(?:^|: -?)(OOM|MISCONF|READONLY|LOADING|MASTERDOWN) ")

_ON_MAPS = {"range", "feed", "collect", "open_map", "reap_map"}


def _folder() -> Traversable:
    return files("hypergraph.store") / "lua"


@cache
def load_script(name: str) -> tuple[str, str]:
    """Return a script's text and its SHA-1."""
    folder = _folder()
    parts = ["prelude", "map_prelude", name] if name in _ON_MAPS else ["prelude", name]
    if name == "tick":
        parts = [name]
    text = "".join((folder / f"{part}.lua").read_text() for part in parts)
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()


def script_command(name: str, key: str, *args: Any) -> tuple[Any, ...]:
    """Return the command that runs a script on a run's `meta` key, for `Link.pipeline`."""
    return ("EVALSHA", load_script(name)[1], 1, key, *args)


def _text_of(sha: str) -> str:
    """Return the script with this SHA-1."""
    names = (path.name.removesuffix(".lua") for path in _folder().iterdir())
    return next(text for text, found in map(load_script, names) if found == sha)


def redact(url: str) -> str:
    """Return `url` without its password.

    >>> redact("redis://:secret@db1:6379/0"), redact("redis://db1?password=secret&db=2")
    ('redis://***@db1:6379/0', 'redis://db1?password=***&db=2')
    """
    netloc = urlsplit(url).netloc
    if urlsplit(url).password is not None:
        url = url.replace(netloc, f"***@{netloc.rpartition('@')[2]}", 1)
    return re.sub(r"([?&]password=)[^&]*", r"\1***", url)


def make_client(url: str, timeout_s: float) -> redis.Redis:
    """Return a client of the driver without its retries; see the module's docstring."""
    keepalive = {} if url.startswith("unix") else {"socket_keepalive": True}
    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        protocol=2,
        **keepalive,
    )


def _refused_for_now(error: RedisError) -> str:
    """Return the code of a refusal that will pass, such as ``OOM``; "" if it is none."""
    if isinstance(error, OutOfMemoryError):
        return "OOM"
    # A pipeline tells the command too, with whatever its arguments say.
    found = _NOT_NOW.search(str(error).rpartition("caused error: ")[2])
    return found[1] if found else ""


class Link:
    """Connections to one Redis, for one process. Safe to use from several threads.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        patience_s: How long a call waits for a Redis that is away. None: as long as it takes.
        timeout_s: After this long without a reply a connection is given up, and the call re-sent.
        stopped: Asked while waiting; True ends the wait with StoreUnavailable.
    """

    def __init__(
        self,
        url: str,
        *,
        patience_s: float | None = None,
        timeout_s: float = 5.0,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.url = url
        self.patience_s = patience_s
        self._timeout_s = timeout_s
        self._stopped = stopped
        self._connect()

    def _connect(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._loaded: set[str] = set()  # SHA-1s of scripts that Redis has had from this process
        self._client = make_client(self.url, self._timeout_s)
        self._blocking = make_client(self.url, self._timeout_s + 5.0)

    @property
    def client(self) -> redis.Redis:
        """The driver's client. For reads, and for writes that are harmless twice."""
        if self._pid != os.getpid():  # a fork shares sockets with its parent: never use them
            self._connect()
        return self._client

    def close(self) -> None:
        """Close every connection of this process."""
        if self._pid == os.getpid():
            self._client.close()
            self._blocking.close()

    def __del__(self) -> None:
        # A runner that nobody closes goes without a word, and takes its sockets along. While the
        # interpreter ends there is no `contextlib` any more.
        try:  # noqa: SIM105
            self.close()
        except Exception:
            pass

    def script(self, name: str, key: str, *args: Any) -> Any:
        """Run a script on a run's `meta` key, and again until it is known to have happened."""
        text, _ = load_script(name)
        command = script_command(name, key, *args)

        def send() -> Any:
            try:
                return self.client.evalsha(*command[1:])
            except NoScriptError:
                return self.client.eval(text, 1, key, *args)

        return self.insist(send)

    def insist(self, send: Callable[[], Any]) -> Any:
        """Call `send` until Redis answers it. `send` must be harmless when done twice.

        Raises:
            StoreUnavailable: Redis stayed away for `patience_s`.
            StoreFull: Redis has no memory left, and stayed so for `patience_s`.
        """
        began = time.monotonic()
        is_away = False
        pause_s = 0.02
        while True:
            try:
                answer = send()
            except AuthenticationError as error:  # which the driver takes for a lost connection
                raise StoreUnavailable(redact(self.url), str(error)) from error
            except _AWAY as error:
                problem: RedisError = error
            except ResponseError as error:
                if not _refused_for_now(error):
                    raise
                problem = error
            else:
                if is_away:
                    logger.warning("Redis is back after %.1f s.", time.monotonic() - began)
                return answer
            waited_s = time.monotonic() - began
            if not is_away:
                is_away = True
                logger.warning("Redis does not answer (%s); trying again.", problem)
            left_s = math.inf if self.patience_s is None else self.patience_s - waited_s
            if self._stopped() or left_s <= 0:
                if _refused_for_now(problem) == "OOM":
                    raise StoreFull() from problem
                raise StoreUnavailable(redact(self.url), str(problem), waited_s) from problem
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 2, 0.5)

    def read_stream(self, key: str, after: str, timeout_s: float, count: int = 500) -> list[Any]:
        """Wait for entries of a stream behind `after`; [] after `timeout_s`, 0 for not waiting."""
        if self._pid != os.getpid():
            self._connect()
        block_ms = max(1, int(min(timeout_s, 5.0) * 1000)) if timeout_s > 0 else None
        found = self.insist(lambda: self._blocking.xread({key: after}, count=count, block=block_ms))
        return list(found[0][1]) if found else []

    def read_streams(self, after: dict[str, str], timeout_s: float) -> dict[str, list[str]]:
        """Wait for entries of several streams. Returns the ids of those found, by stream."""
        if self._pid != os.getpid():
            self._connect()
        block_ms = max(1, int(min(timeout_s, 5.0) * 1000))
        # redis-py's annotation wants a dict of unions, which a dict of strings is not
        streams: dict[Any, Any] = dict(after)
        found = self.insist(lambda: self._blocking.xread(streams, count=1000, block=block_ms))
        return {
            key.decode(): [entry_id.decode() for entry_id, _ in entries] for key, entries in found
        }

    def pipeline(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Send commands that are harmless twice in one round trip, and return their replies."""
        commands = list(commands)

        def send() -> list[Any]:
            self._load_scripts(commands)
            try:
                return self._send_all(commands)
            except NoScriptError:  # Redis was restarted since
                self._loaded.clear()
                self._load_scripts(commands)
                return self._send_all(commands)

        result: list[Any] = self.insist(send)
        return result

    def _load_scripts(self, commands: Sequence[tuple[Any, ...]]) -> None:
        # Beforehand, not on demand: fakeredis 2.40 closes a connection on an error in a pipeline.
        missing = {c[1] for c in commands if c[0] == "EVALSHA"} - self._loaded
        for sha in missing:
            self.client.script_load(_text_of(sha))
            self._loaded.add(sha)

    def _send_all(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        pipe = self.client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py 8
        return pipe.execute()
