"""What nodes print and log, line by line, each line saying which node it comes from.

A child's output goes through pipes, together with that of other children, to the terminal of a
client or to a worker's log. So a line is written whole, at once, and begins with what its thread
executes::

    [run-1a2b fetch] 12 documents
    [run-1a2b embed[7]] loading the model
    [run-1a2b outer[7]/embed] loading the model

Lines from outside bodies stand as they are. Log records go through standard error, so the same
prefix stands before each of their lines, those of tracebacks included. Under ``--log-format json``
a line is an object, of which run, node, item and attempt are fields; see `logs`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, BinaryIO, TextIO

from hypergraph.graph import Graph
from hypergraph.worker import logs
from hypergraph.worker.whereabouts import find_node

#: Text without a newline is given out as a line when it gets longer than this, in characters.
_MOST = 1 << 16


class Where:
    """The body that a thread executes. Assign `item` as a map goes on."""

    __slots__ = ("attempt", "graph", "item", "node", "run_id")

    def __init__(
        self,
        run_id: str,
        node: str,
        item: int = -1,
        attempt: int = 0,
        graph: Graph | None = None,
    ) -> None:
        self.run_id = run_id
        self.node = node
        self.item = item  #: index of the map's item, from 0; -1 for none
        self.attempt = attempt  #: from 1; 0 where nobody says
        self.graph = graph  #: what runs as one piece; its nodes are found when one writes

    def __str__(self) -> str:
        """Return what a line begins with."""
        item = f"[{self.item}]" if self.item >= 0 else ""
        inner = self._find_inner()
        place = (
            f"{self.node}{item}/{inner}" if self.node and inner else f"{self.node or inner}{item}"
        )
        return f"[{self.run_id} {place}] " if place else f"[{self.run_id}] "

    def _find_inner(self) -> str:
        return "" if self.graph is None else find_node(self.graph)

    def fields(self) -> dict[str, str | int]:
        """Return what a log record has as `extra`; what there is not is left out."""
        found: dict[str, str | int] = {"run": self.run_id}
        if node := "/".join(filter(None, (self.node, self._find_inner()))):
            found["node"] = node
        if self.item >= 0:
            found["item"] = self.item
        if self.attempt:
            found["attempt"] = self.attempt
        return found


#: A context variable and no thread-local, since async bodies share a thread.
_where: ContextVar[Where | None] = ContextVar("hypergraph_where", default=None)


def set_context(
    run_id: str, node: str, item: int = -1, attempt: int = 0, graph: Graph | None = None
) -> Where:
    """Say that the caller executes a body from now on. Returns what to assign `item` of."""
    where = Where(run_id, node, item, attempt, graph)
    _where.set(where)
    return where


def set_item(item: int) -> None:
    """Say that the body at hand goes on with the next item of its map."""
    where = _where.get()
    if where is not None:
        where.item = item


def clear_context() -> None:
    """Say that the body has ended. A line it has begun ends with it."""
    if _where.get() is not None:
        _where.set(None)
        for writer in (sys.stdout, sys.stderr):
            if isinstance(writer, LineWriter):
                writer.end_line()


def install(log_level: int = logging.INFO, log_format: str = "text") -> None:
    """Replace standard output and standard error, and send log records to the latter."""
    faulthandler.enable(sys.stderr, all_threads=False)  # where a segfault happened
    replace_streams(log_format)
    handler = _StderrHandler()
    handler.addFilter(stamp)
    if log_format == "json":
        handler.setFormatter(logs.JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(log_level)


def replace_streams(log_format: str = "text") -> None:
    """Let every line that is printed say where it comes from."""
    for name in ("stdout", "stderr"):
        stream = _forgiving(getattr(sys, name))
        writer = JsonLineWriter(stream, name) if log_format == "json" else LineWriter(stream)
        # Another thread may be writing at the moment of a fork; nobody would release its lock.
        os.register_at_fork(after_in_child=writer.renew_lock)
        setattr(sys, name, writer)


def stamp(record: logging.LogRecord) -> bool:
    """Give a record the run, node, item and attempt it comes from, as `extra` would. A filter."""
    if (where := _where.get()) is not None:
        for name, value in where.fields().items():
            if not hasattr(record, name):
                setattr(record, name, value)
    return True


def _forgiving(stream: TextIO) -> TextIO:
    """Make `stream` write what its encoding lacks as escapes. Printing is no reason to fail."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


class LineWriter(io.TextIOBase):
    """A text stream that writes whole lines, with their prefix, to another one.

    Everything that is not text goes to the other stream as before: its descriptor, its binary
    buffer, whether it is a terminal. When nobody reads it any more, what is written is dropped: a
    body does not fail because its client has left.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = threading.local()  # the line a thread has begun, and the prefix it began with
        self.renew_lock()

    def renew_lock(self) -> None:
        """Forget who is writing."""
        self._lock = threading.RLock()  # re-entrant: a signal handler may print

    def write(self, text: str, /) -> int:
        """Write text; what follows its last newline waits for more."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        prefix = self._prefix()
        begun, old = self._take()
        if begun and old != prefix:
            self._emit([begun], old)
            begun = ""
        *lines, rest = (begun + text).split("\n")
        if lines:
            self._emit(lines, prefix)
        if len(rest) > _MOST:
            rest = _visible(rest) + "\r" * rest.endswith("\r")
        if len(rest) > _MOST:
            self._emit([rest], prefix)
            rest = ""
        self._begun.line = (rest, prefix) if rest else None
        return len(text)

    def writelines(self, lines: Iterable[Any], /) -> None:
        """Write each text."""
        for line in lines:
            self.write(line)

    def end_line(self) -> None:
        """End the line that this thread has begun, if it has."""
        begun, prefix = self._take()
        if begun:
            self._emit([begun], prefix)

    def flush(self) -> None:
        """Flush what was written to the binary stream. Half a line waits for its other half."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def close(self) -> None:
        """End the line and nothing else: the stream below belongs to the process."""
        self.end_line()

    def fileno(self) -> int:
        """Return the descriptor below."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return whether a terminal is below."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def buffer(self) -> BinaryIO:
        """The binary stream below. What is written there goes out as it is."""
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream below."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the stream below does with text it cannot encode."""
        return self._stream.errors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _take(self) -> tuple[str, str]:
        """Return the line that this thread has begun, with its prefix, and forget it."""
        line: tuple[str, str] | None = getattr(self._begun, "line", None)
        self._begun.line = None
        return line or ("", "")

    def _prefix(self) -> str:
        """Return what says where a line comes from, as it is now."""
        where = _where.get()
        return "" if where is None else str(where)

    def _render(self, line: str, prefix: str) -> str:
        return f"{prefix}{line}"

    def _emit(self, lines: Iterable[str], prefix: str) -> None:
        self.write_whole("".join(f"{self._render(_visible(line), prefix)}\n" for line in lines))

    def write_whole(self, text: str) -> None:
        """Write whole lines as they are."""
        # Nobody reads any more, or the stream was closed.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


def _visible(line: str) -> str:
    """Return what a terminal would show of a line, such as a progress bar that draws over itself.

    >>> _visible("10%\\r20%\\r")
    '20%'
    """
    return line.rstrip("\r").rpartition("\r")[2]


class JsonLineWriter(LineWriter):
    """A `LineWriter` that makes an object of every line, as `logs` describes it.

    Args:
        stream: Where to write.
        name: Of the stream; it stands in place of a logger's name.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self._logger = name

    def _prefix(self) -> str:
        where = _where.get()
        return "" if where is None else json.dumps(where.fields())

    def _render(self, line: str, prefix: str) -> str:
        fields = json.loads(prefix) if prefix else {}
        return logs.to_line("INFO", self._logger, line, fields, created=time.time())


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at the moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard error, now."""
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. What is JSON already is no line to make JSON of."""
        if not isinstance(sys.stderr, JsonLineWriter):
            super().emit(record)
            return
        try:
            sys.stderr.write_whole(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)
