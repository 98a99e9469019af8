"""Log records as text for people, or as JSON for programs: one object per line.

Whatever a record was given as `extra` is a field of its own: ``run``, ``node``, ``item`` and
``attempt`` where it is about one, and what nodes give their own records. These are always there::

    time     UTC, with milliseconds: "2026-11-20T10:52:14.691Z"
    level    DEBUG, INFO, WARNING, ERROR or CRITICAL
    logger   its name; "stdout" or "stderr" for what nodes print
    message  the text
    pid      of the process

``exception`` and ``stack`` hold traceback texts.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

FORMATS = ("text", "json")

#: Attributes that every record has, and those that formatting adds.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(log_format: str, level: int = logging.INFO) -> None:
    """Send log records of this process to standard error, unless that is arranged already.

    Args:
        log_format: One of `FORMATS`.
        level: Of the root logger.
    """
    handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler])


class JsonFormatter(logging.Formatter):
    """Makes a line of JSON of a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, without the newline."""
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return to_line(
            record.levelname, record.name, record.getMessage(), fields, created=record.created
        )


def to_line(
    level: str, logger: str, message: str, fields: Mapping[str, Any], *, created: float
) -> str:
    """Return one line of JSON, without the newline.

    Args:
        level: Name of the level.
        logger: Name of the logger.
        message: The text.
        fields: More of them. Those that are always there win.
        created: Seconds since the epoch.
    """
    at = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    line = {
        "time": at.replace("+00:00", "Z"),
        "level": level,
        "logger": logger,
        "message": message,
        "pid": os.getpid(),
    }
    more = {name: _plain(value) for name, value in fields.items() if name not in line}
    return json.dumps(line | more, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: what it cannot hold, as Python shows it."""
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    try:
        return json.loads(json.dumps(value, default=repr, allow_nan=False))
    except Exception:  # circular, keys of a kind that JSON lacks, a `__repr__` that raises
        return f"<{type(value).__name__}>"
