"""What a worker host is told: everything a supervisor and its children need to know.

It travels as one line on standard input, never on the command line or in the environment, where
other users of the machine, crash reports and child processes of nodes would see the secret.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import socket
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hypergraph.nodes.queue import DEFAULT_QUEUE, check_queue_name
from hypergraph.transport.tags import TAG, tagged
from hypergraph.worker.logs import FORMATS


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """See the module's docstring. Durations are in seconds."""

    url: str = field(repr=False)  #: of Redis; may hold a password
    namespace: str = "default"
    secret: bytes = field(repr=False)  #: signs
    previous: tuple[bytes, ...] = field(default=(), repr=False)  #: these only verify
    worker_id: str  #: unique for ever; see `new_worker_id`
    queues: tuple[str, ...] = (DEFAULT_QUEUE,)  #: names without their tag
    threads: int = 1  #: slots per child
    processes: int = 1  #: children
    lease_s: float = 5.0  #: a host that has not been heard of for this long is dead
    beat_s: float = 1.0  #: between heartbeats, and between looks of the reconciler
    drain_s: float = 25.0  #: for what runs to finish, when the host is told to stop
    slice_s: float = 0.5  #: of a slot for one run, before other runs get their turn
    name: str = ""  #: for people
    labels: tuple[str, ...] = ()  #: for people, such as "gpu"
    blobs: str = ""  #: directory of large values; "" for Redis
    allow_modules: tuple[str, ...] | None = None  #: if given, no code by value
    sys_path: tuple[str, ...] = ()  #: where children also look for modules
    cwd: str = ""  #: where children work; "" for where the supervisor does
    local: bool = False  #: belongs to one client, and ends with it
    log_level: int = logging.INFO  #: of the children's root logger
    log_format: str = "text"  #: or "json", of the host and its children
    child: str = ""  #: name of the child that is told this; "" for the supervisor
    mark_path: str = ""  #: of the child's `Mark`

    def __post_init__(self) -> None:
        for queue in self.queues:
            check_queue_name(queue)
        if self.log_format not in FORMATS:
            raise ValueError(f"log_format={self.log_format!r}: known are {' and '.join(FORMATS)}.")
        for option in ("threads", "processes"):
            if getattr(self, option) < 1:
                raise ValueError(f"{option}={getattr(self, option)}: at least one is needed.")

    def to_line(self) -> str:
        """Return everything as one line of JSON, without the newline."""
        wire: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        wire["secret"] = self.secret.hex()
        wire["previous"] = [secret.hex() for secret in self.previous]
        return json.dumps(wire)

    @classmethod
    def from_line(cls, line: str) -> WorkerConfig:
        """Return what `to_line` wrote.

        Raises:
            ValueError: It is no such line. The text does not repeat it: it may hold the secret.
        """
        try:
            wire: dict[str, Any] = json.loads(line)
            wire["secret"] = bytes.fromhex(wire["secret"])
            wire["previous"] = [bytes.fromhex(secret) for secret in wire["previous"]]
            given: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in wire.items()
            }
            return cls(**given)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(
                "Standard input does not begin with a worker's configuration. Workers are started "
                "with `hypergraph worker`, or by DistributedRunner()."
            ) from None

    def for_child(self, child: str, mark_path: str) -> WorkerConfig:
        """Return what child `child` is told."""
        return replace(self, child=child, mark_path=mark_path)

    @property
    def full_queues(self) -> tuple[str, ...]:
        """The names of the queues as they are in Redis."""
        return tuple(map(tagged, self.queues))

    @staticmethod
    def queue_tag() -> str:
        """Return what the names of this host's queues end in."""
        return TAG


def new_worker_id(name: str = "") -> str:
    """Return an id that no worker had before: name or host, pid, and four random digits.

    It is part of keys and of lists that are split at spaces, slashes, colons and commas.
    """
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", name or socket.gethostname())[:64] or "host"
    return f"{readable}-{os.getpid()}-{secrets.token_hex(2)}"
