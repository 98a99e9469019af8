"""Find the signing secret, or make one where only this user can be meant.

Whoever holds the secret can run code on the workers. So it comes from the user, and
is made up only for a Redis that nobody else's machine can reach.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SECRET = "HYPERGRAPH_SECRET"
SECRET_FILE = "HYPERGRAPH_SECRET_FILE"
PREVIOUS = "HYPERGRAPH_SECRET_PREVIOUS"

_HEX_DIGITS = 64  #: length of a secret we make: 256 bits
_FIX = f"Set {SECRET}, or {SECRET_FILE} to a file, the same for clients and workers."


def load_secret(explicit: str | bytes | None, url: str | None) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the secret to sign with, and earlier ones that only verify.

    The first of these that is there: `explicit`, ``HYPERGRAPH_SECRET``, the content of
    ``HYPERGRAPH_SECRET_FILE``; on loopback or a Unix socket also a key of this user's
    own, made on first use. ``HYPERGRAPH_SECRET_PREVIOUS`` verifies only, one per line.

    Args:
        explicit: What the caller was given as ``secret=``.
        url: The Redis it is for; `None` for an embedded one.

    Raises:
        ValueError: There is none and Redis is not on this machine, or the one that was
            found is empty, unreadable or readable by others. The text says what to do.
    """
    return _current(explicit, url), _previous()


def _current(explicit: str | bytes | None, url: str | None) -> bytes:
    if explicit is not None:
        return _usable(explicit, "secret=")
    if (given := os.environ.get(SECRET)) is not None:
        return _usable(given, SECRET)
    if (path := os.environ.get(SECRET_FILE)) is not None:
        return _usable(_read_given(Path(path)).strip(), f"{SECRET_FILE}={path}")
    if not is_local(url):
        raise ValueError(
            f"Redis at {_host(url)} is not on this machine, so a signing secret is needed: "
            f"without one, whoever reaches that Redis could run code on the workers. {_FIX}"
        )
    return _own_key(state_directory() / "secret")


def _previous() -> tuple[bytes, ...]:
    lines = os.environ.get(PREVIOUS, "").splitlines()
    return tuple(line.strip().encode() for line in lines if line.strip())


def is_local(url: str | None) -> bool:
    """Whether only processes of this machine reach the Redis at `url`."""
    if url is None:
        return True
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return True
    # redis-py lets ?host= overrule the host in front.
    host = next(iter(parse_qs(parts.query).get("host", [])), parts.hostname) or "localhost"
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def state_directory() -> Path:
    """Return where this user's own hypergraph files lie. It need not exist."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification says to ignore relative paths.
    if os.path.isabs(base):
        return Path(base) / "hypergraph"
    try:
        return Path.home() / ".local" / "state" / "hypergraph"
    except RuntimeError as error:
        raise ValueError(f"This user has no home directory to keep a secret in. {_FIX}") from error


def _usable(secret: str | bytes, source: str) -> bytes:
    # Text loses the newline that editors and `echo` leave at its end.
    data = secret.strip().encode() if isinstance(secret, str) else bytes(secret)
    if not data:
        raise ValueError(f"{source} is empty. {_FIX}")
    return data


def _read_given(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{SECRET_FILE}={path} cannot be read: {error.strerror}. {_FIX}"
        ) from error


def _own_key(path: Path) -> bytes:
    """Return this user's key, made on first use."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_key(path)
        return _read_own(path)
    except OSError as error:
        raise ValueError(
            f"The signing secret {path} can be neither read nor made: {error.strerror}. {_FIX}"
        ) from error


def _make_key(path: Path) -> None:
    """Make the key file in one step. Of two processes that race, the first one's stands."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    _write_new(draft, secrets.token_hex(_HEX_DIGITS // 2).encode())
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    except OSError:
        # No hard links on this file system. The reader waits for a file that is being written.
        with suppress(FileExistsError):
            _write_new(path, draft.read_bytes())
    finally:
        draft.unlink()


def _write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read_own(path: Path) -> bytes:
    for _ in range(50):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with open(handle, "rb") as file:
            _refuse_open_to_others(path, os.fstat(file.fileno()))
            data = file.read().strip()
        if data:
            return data
        time.sleep(0.02)
    raise ValueError(f"The signing secret {path} is empty. Delete it, and a new one is made.")


def _refuse_open_to_others(path: Path, about: os.stat_result) -> None:
    if about.st_uid != os.geteuid():
        raise ValueError(
            f"The signing secret {path} belongs to user id {about.st_uid}, not to this user "
            f"({os.geteuid()}). {_FIX}"
        )
    if stat.S_IMODE(about.st_mode) & 0o077:
        raise ValueError(
            f"Others than this user can read or change the signing secret {path} (mode "
            f"{stat.S_IMODE(about.st_mode):04o}). If nobody did, `chmod 600 {path}`; otherwise "
            "delete it, and a new one is made."
        )


def _host(url: str | None) -> str:
    return urlsplit(url or "").hostname or "localhost"
