"""Checks of the Redis server: reachable, new enough, keeping what it is given, with room for more.

Hosted servers block CONFIG, some block INFO, and fakeredis has neither. What cannot be asked one
way is asked the other; what cannot be asked at all is a warning, never an error.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypergraph.cli import figures
from hypergraph.cli.doctor.check import Check, bad, ok, warn
from hypergraph.store.link import Link

#: The oldest version that has every command our scripts use.
LEAST_VERSION = (6, 2)

#: Part of `maxmemory` in use from which there is reason to worry, and to act.
_FULL_WARN, _FULL_BAD = 0.75, 0.92

#: A round trip that takes longer makes every node slow.
_SLOW_S = 0.02


@dataclass(frozen=True, slots=True)
class Server:
    """What a Redis says of itself."""

    info: Mapping[str, str]  #: fields of INFO; {} where it is blocked
    config: Mapping[str, str] = field(default_factory=dict)  #: the settings that were asked for
    round_trip_s: float = 0.0
    cli: str = "redis-cli"  #: how to call redis-cli on it

    def setting(self, name: str, info: str = "") -> str | None:
        """Return a setting, by CONFIG or else by a field of INFO; None if nobody says."""
        found = self.config.get(name)
        return found if found is not None else self.info.get(info or name.replace("-", "_"))


def cli_of(url: str) -> str:
    """Return how `redis-cli` is called on a Redis. A password is asked for, and not shown.

    >>> cli_of("redis://:secret@queue-host:6380/2")
    'redis-cli -h queue-host -p 6380 -n 2 --askpass'
    >>> cli_of("unix:///run/redis.sock"), cli_of("redis://localhost")
    ('redis-cli -s /run/redis.sock', 'redis-cli')
    """
    parts = urlsplit(url)
    database = parse_qs(parts.query).get("db", [""])[0]
    command = ["redis-cli"]
    if parts.scheme == "unix":
        command += ["-s", parts.path]
    else:
        if parts.hostname not in (None, "localhost", "127.0.0.1"):
            command += ["-h", str(parts.hostname)]
        if parts.port not in (None, 6379):
            command += ["-p", str(parts.port)]
        database = database or parts.path.strip("/")
    if database not in ("", "0"):
        command += ["-n", database]
    if parts.scheme == "rediss":
        command.append("--tls")
    if parts.username:
        command += ["--user", parts.username]
    if parts.password:
        command.append("--askpass")
    return " ".join(command)


def look_at(link: Link, cli: str) -> Server:
    """Ask a Redis about itself.

    Raises:
        StoreUnavailable: It does not answer.
    """
    link.pipeline([("PING",)])
    began = time.perf_counter()
    for _ in range(5):
        link.pipeline([("PING",)])
    round_trip_s = (time.perf_counter() - began) / 5
    return Server(_info(link), _config(link), round_trip_s, cli)


def check_server(server: Server, url: str) -> Iterator[Check]:
    """Yield a check for everything about the server."""
    yield check_reachable(server, url)
    yield check_version(server)
    yield check_eviction(server)
    yield check_persistence(server)
    yield check_memory(server)


def check_reachable(server: Server, url: str) -> Check:
    """See whether it answers quickly."""
    found = f"{url} answers in {figures.duration(server.round_trip_s)}"
    if server.round_trip_s > _SLOW_S:
        return warn("redis", found, fix="Bring workers and clients near it, into one network.")
    return ok("redis", found)


def check_version(server: Server) -> Check:
    """See whether it has the commands we use."""
    name, version = "Redis", server.info.get("redis_version")
    if "valkey_version" in server.info:  # it calls itself Redis 7.2.4 as well
        name, version = "Valkey", server.info["valkey_version"]
    if version is None:
        return warn("version", "it does not say (INFO is blocked)", fix="It must be 6.2 or newer.")
    parts = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if name == "Redis" and parts < LEAST_VERSION:
        return bad(
            "version",
            f"{name} {version} is too old: 6.2 is needed",
            "apt-get install redis-server",
        )
    return ok("version", f"{name} {version}")


def check_eviction(server: Server) -> Check:
    """See that it never forgets a key in order to make room."""
    name = "eviction"
    policy = server.setting("maxmemory-policy")
    fix = f"{server.cli} CONFIG SET maxmemory-policy noeviction"
    if policy is None:
        return warn(
            name,
            "it does not say (CONFIG and INFO are blocked)",
            fix="maxmemory-policy must be noeviction, or runs vanish when memory is short.",
        )
    if policy == "noeviction":
        return ok(name, "noeviction: nothing is dropped when memory is short")
    if server.setting("maxmemory") == "0":
        return warn(name, f"{policy}, though without a limit nothing is dropped yet", fix)
    return bad(name, f"{policy}: it drops runs and queues when memory is short", fix)


def check_persistence(server: Server) -> Check:
    """See that runs survive a restart of the server."""
    name = "persistence"
    if server.info.get("aof_last_write_status", "ok") != "ok":
        fix = "Make room on its disk; Redis goes on by itself."
        return bad(name, "its last write to disk failed", fix=fix)
    on = server.setting("appendonly", "aof_enabled")
    if on is None:
        return warn(
            name,
            "it does not say (CONFIG and INFO are blocked)",
            fix="With appendonly no, a restart of Redis loses every run.",
        )
    if on not in ("yes", "1"):
        save = server.setting("save")
        snapshots = "snapshots only" if save else "nothing is written to disk"
        return warn(
            name,
            f"no AOF, {snapshots}: a restart of Redis loses runs",
            f"{server.cli} CONFIG SET appendonly yes",
            f"{server.cli} CONFIG REWRITE",
        )
    if server.setting("appendfsync") == "no":
        fix = f"{server.cli} CONFIG SET appendfsync everysec"
        return warn(name, "AOF, but written to disk whenever the system likes", fix)
    return ok(name, "AOF: runs survive a restart of Redis")


def check_memory(server: Server) -> Check:
    """See that there is room for more."""
    name = "memory"
    used, limit = server.info.get("used_memory"), server.setting("maxmemory")
    if used is None:
        return warn(name, "it does not say (INFO is blocked)")
    fix = "Raise maxmemory, or keep results for less time: DistributedRunner(keep_s=...)."
    if limit not in (None, "", "0"):
        share = int(used) / int(str(limit))
        found = f"{figures.size(int(used))} of {figures.size(int(str(limit)))} ({share:.0%})"
        if share >= _FULL_BAD:
            return bad(name, f"{found}: new runs are about to be refused", fix=fix)
        return warn(name, found, fix=fix) if share >= _FULL_WARN else ok(name, found)
    machine = int(server.info.get("total_system_memory", 0))
    found = f"{figures.size(int(used))}, without a limit"
    if machine:
        found += f", on a machine with {figures.size(machine)}"
        if int(used) / machine >= _FULL_WARN:
            return warn(name, found, fix=fix)
    return ok(name, found)


_SETTINGS = ("maxmemory-policy", "maxmemory", "appendonly", "appendfsync", "save")


def _config(link: Link) -> dict[str, str]:
    """Return settings as CONFIG says them, as far as it may be asked."""
    from redis.exceptions import ResponseError

    found: dict[str, str] = {}
    for name in _SETTINGS:
        try:
            raw = link.pipeline([("CONFIG GET", name)])[0]
        except ResponseError:
            return found
        found.update(_pairs(raw))
    return found


def _info(link: Link) -> dict[str, str]:
    """Return the fields of INFO, or its version alone where INFO is blocked."""
    from redis.exceptions import ResponseError

    try:
        return {str(name): str(value) for name, value in link.pipeline([("INFO",)])[0].items()}
    except (ResponseError, AttributeError):
        pass
    try:
        return {"redis_version": _pairs(link.pipeline([("HELLO",)])[0])["version"]}
    except (ResponseError, KeyError, TypeError, ValueError):
        return {}


def _pairs(raw: Any) -> dict[str, str]:
    """Read names and values, which the driver pairs for some commands and not for others."""
    items = raw.items() if isinstance(raw, dict) else zip(raw[::2], raw[1::2], strict=True)
    return {_text(name): _text(value) for name, value in items}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
