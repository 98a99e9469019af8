"""Where large values lie: not in the log of the Redis that coordinates.

Theory of operation
===================

A value of more than `LARGE_BYTES` does not go through the scripts of a run, whose arguments and log
it would fill: 100 MB through an append-only Redis stall everybody up to 0.68 s (6.2.14). It is
written beforehand, under its digest, and the run's records name it. A blob nobody names is garbage;
it goes with its run.

Two places know how to keep blobs. A directory, shared between hosts or on one: a blob is a file,
written beside its name and renamed, so that it is there whole or not at all. And Redis, in chunks
of a megabyte, each a command of its own, so that others get their turn in between.

Blobs of a run lie under its id and are dropped together. Blobs that are shared by content, large
broadcast values, lie under no run, and are swept when nobody has asked for them for a day.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hypergraph.store.keys import Keys
from hypergraph.store.link import Link
from hypergraph.values.digest import Buffer

logger = logging.getLogger("hypergraph.store")

CHUNK_BYTES = 1 << 20

#: What is shared by content is kept this long after it was last asked for.
SHARED_TTL_S = 86_400

#: The owner of blobs that belong to no run. No run has this id: `new_run_id` begins with "run-".
SHARED = "shared"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_OWNER = re.compile(r"[A-Za-z0-9_-]{1,200}")


class Blobs(ABC):
    """Keeps large values by owner and digest. Writing the same blob twice is fine."""

    @abstractmethod
    def put(self, owner: str, digest: str, parts: Sequence[Buffer]) -> None:
        """Keep the bytes of `parts`, one after the other.

        Args:
            owner: A run's id, or `SHARED`.
            digest: SHA-256 of all parts, in hex.
            parts: The bytes; not copied before they are written.
        """

    def add(self, run_id: str, digest: str, parts: Sequence[Buffer]) -> None:
        """Do what `put` does, for a run that is under way; it may have ended meanwhile."""
        self.put(run_id, digest, parts)

    @abstractmethod
    def get(self, owner: str, digest: str, size: int) -> bytearray | None:
        """Return a blob in memory of its own, or None. Whoever asks checks its digest."""

    @abstractmethod
    def has(self, owner: str, digest: str) -> bool:
        """Whether a blob is there. Asking keeps a shared one for another day."""

    @abstractmethod
    def drop(self, run_id: str) -> None:
        """Remove all blobs of a run."""

    def forget(self, run_id: str) -> None:
        """Remove what the scripts that let go of a run's values have left of it."""
        self.drop(run_id)


class DirectoryBlobs(Blobs):
    """Blobs as files below a directory that all hosts see under the same or another path.

    Args:
        root: The directory; made if need be, for the owner only.
        namespace: Of the runs.
    """

    def __init__(self, root: Path, namespace: str) -> None:
        if not _OWNER.fullmatch(namespace):
            raise ValueError(f"namespace {namespace!r} is no name for a directory")
        self._root = root / namespace
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _path(self, owner: str, digest: str) -> Path:
        # Both come out of signed records; all the same, no path is ever made from anything else.
        if not (_OWNER.fullmatch(owner) and _DIGEST.fullmatch(digest)):
            raise ValueError(f"not the name of a blob: {owner!r}, {digest!r}")
        return self._root / owner / digest

    def put(self, owner: str, digest: str, parts: Sequence[Buffer]) -> None:
        """See `Blobs.put`."""
        path = self._path(owner, digest)
        if path.exists():
            return
        path.parent.mkdir(mode=0o700, exist_ok=True)
        passing = path.with_name(f"{digest}.{secrets.token_hex(4)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            with open(os.open(passing, flags, 0o600), "wb", buffering=0) as file:
                for part in parts:
                    rest = memoryview(part).cast("B")
                    while rest:
                        rest = rest[file.write(rest) or 0 :]
            passing.rename(path)
        except BaseException:
            passing.unlink(missing_ok=True)
            raise

    def get(self, owner: str, digest: str, size: int) -> bytearray | None:
        """See `Blobs.get`."""
        data = bytearray(size)
        try:
            fd = os.open(self._path(owner, digest), os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        with open(fd, "rb", buffering=0) as file:
            rest = memoryview(data)
            while rest and (count := file.readinto(rest)):
                rest = rest[count:]
            return data if not rest else data[: size - len(rest)]

    def has(self, owner: str, digest: str) -> bool:
        """See `Blobs.has`."""
        try:
            os.utime(self._path(owner, digest))
        except FileNotFoundError:
            return False
        return True

    def drop(self, run_id: str) -> None:
        """See `Blobs.drop`."""
        shutil.rmtree(self._path(run_id, "0" * 64).parent, ignore_errors=True)

    def sweep(self, is_known: Callable[[str], object], *, now: float, most: int = 200) -> int:
        """Remove blobs of runs that Redis has forgotten, and shared ones unused for a day.

        Args:
            is_known: Whether Redis still has a run's record.
            now: Seconds since the epoch, by the clock of the file system.
            most: Look at this many runs at most.

        Returns:
            How many runs' or shared blobs were removed.
        """
        removed = 0
        for entry in sorted(self._root.iterdir(), key=_age)[:most]:
            if entry.name == SHARED:
                for blob in entry.iterdir():
                    if now - _age(blob) > SHARED_TTL_S:
                        blob.unlink(missing_ok=True)
                        removed += 1
            elif now - _age(entry) > 60.0 and not is_known(entry.name):
                # A minute's grace: blobs are written before the run is stored that names them.
                shutil.rmtree(entry, ignore_errors=True)
                removed += 1
        return removed


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _chunks(parts: Sequence[Buffer]) -> Iterator[memoryview]:
    for part in parts:
        view = memoryview(part).cast("B")
        for start in range(0, len(view), CHUNK_BYTES):
            yield view[start : start + CHUNK_BYTES]


#: Written last: how many chunks there are.
_COUNT = "n"


def _fields(parts: Sequence[Buffer]) -> Iterator[tuple[int | str, memoryview | int]]:
    number = 0
    for chunk in _chunks(parts):
        yield number, chunk
        number += 1
    yield _COUNT, number


class RedisBlobs(Blobs):
    """Blobs in the Redis that coordinates, in chunks. For those who share no directory."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    def _key(self, owner: str, digest: str) -> str:
        keys = self._keys
        return keys.code(f"blob:{digest}") if owner == SHARED else keys.run(owner, f"b:{digest}")

    def put(self, owner: str, digest: str, parts: Sequence[Buffer]) -> None:
        """See `Blobs.put`."""
        key = self._key(owner, digest)
        for field, chunk in _fields(parts):
            expire = ("EXPIRE", key, SHARED_TTL_S)  # `create` lifts it: then a run needs them
            self._link.pipeline([("HSET", key, field, chunk), expire])

    def add(self, run_id: str, digest: str, parts: Sequence[Buffer]) -> None:
        """See `Blobs.add`."""
        if self._count(run_id, digest) is None:  # a loop may write what it wrote before
            for field, chunk in _fields(parts):
                self._link.script("blob", self._keys.run(run_id), digest, field, chunk)

    def get(self, owner: str, digest: str, size: int) -> bytearray | None:
        """See `Blobs.get`."""
        count = self._count(owner, digest)
        if count is None:
            return None
        data = bytearray()
        for number in range(count):
            found = self._link.pipeline([("HGET", self._key(owner, digest), number)])[0]
            data += found or b""
        return data

    def has(self, owner: str, digest: str) -> bool:
        """See `Blobs.has`."""
        there = self._count(owner, digest) is not None
        self._link.pipeline([("EXPIRE", self._key(owner, digest), SHARED_TTL_S)])
        return there

    def _count(self, owner: str, digest: str) -> int | None:
        """Return of how many chunks a blob is; None if it is not there, or not as a whole."""
        found = self._link.pipeline([("HGET", self._key(owner, digest), _COUNT)])[0]
        return None if found is None else int(found)

    def forget(self, run_id: str) -> None:
        """See `Blobs.forget`. The scripts have removed all there was."""

    def drop(self, run_id: str) -> None:
        """See `Blobs.drop`."""
        listed = self._keys.run(run_id, "blobs")
        while found := self._link.pipeline([("SPOP", listed, 100)])[0]:
            keys = [self._key(run_id, digest.decode()) for digest in found]
            self._link.pipeline([("UNLINK", *keys)])


def open_blobs(where: str | None, link: Link, keys: Keys) -> Blobs:
    """Return where large values lie.

    Args:
        where: ``file:///shared/folder`` or a path; None for Redis.
        link: The way to that Redis.
        keys: Of the runs' namespace.

    Raises:
        ValueError: It is neither.
    """
    if not where:
        return RedisBlobs(link, keys)
    parts = urlsplit(where)
    if parts.scheme not in ("", "file") or parts.netloc:
        raise ValueError(f"blobs={where!r}: only a directory is known, as in file:///shared/folder")
    return DirectoryBlobs(Path(unquote(parts.path)), keys.namespace)
