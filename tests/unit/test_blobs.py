"""Large values in a directory are there whole or not at all, under names that lead nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hypergraph.store.blobs import SHARED, DirectoryBlobs, open_blobs
from hypergraph.values.digest import Buffer, digest

RUN = "run-0123456789ab"
PARTS: list[Buffer] = [b"a" * 10, memoryview(b"bc" * 5)]
KEY = digest(PARTS)


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "blobs", "default")


def test_a_blob_comes_back_as_it_was_in_memory_of_its_own(blobs: DirectoryBlobs) -> None:
    blobs.put(RUN, KEY, PARTS)

    data = blobs.get(RUN, KEY, 20)

    assert isinstance(data, bytearray)
    assert bytes(data) == b"".join(PARTS)


def test_the_blobs_of_a_run_go_together_and_others_stay(blobs: DirectoryBlobs) -> None:
    blobs.put(RUN, KEY, PARTS)
    blobs.put(SHARED, KEY, PARTS)

    blobs.drop(RUN)

    assert blobs.get(RUN, KEY, 20) is None
    assert blobs.has(SHARED, KEY)


def test_a_blob_that_could_not_be_written_is_not_there(blobs: DirectoryBlobs) -> None:

    with pytest.raises((OSError, TypeError)):
        blobs.put(RUN, KEY, [b"good", None])  # type: ignore[list-item]

    assert blobs.get(RUN, KEY, 20) is None
    assert not list(Path(blobs._root / RUN).iterdir())


@pytest.mark.parametrize(
    "name", ["../x", "/etc", "", "a" * 63, "A" * 64, "a" * 63 + "\0", "ä" * 64]
)
def test_nothing_but_a_digest_becomes_a_path(blobs: DirectoryBlobs, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a blob"):
        blobs.get(RUN, name, 1)
    with pytest.raises(ValueError, match="not the name of a blob"):
        blobs.put("../" + RUN, KEY, PARTS)


def test_a_link_in_place_of_a_blob_is_not_followed(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    blobs.put(RUN, KEY, PARTS)
    path = blobs._root / RUN / KEY
    path.unlink()
    (tmp_path / "secret").write_bytes(b"x" * 20)
    path.symlink_to(tmp_path / "secret")

    with pytest.raises(OSError):
        blobs.get(RUN, KEY, 20)


def test_only_the_owner_can_read_blobs(blobs: DirectoryBlobs) -> None:
    blobs.put(RUN, KEY, PARTS)

    assert (blobs._root / RUN / KEY).stat().st_mode & 0o077 == 0
    assert blobs._root.stat().st_mode & 0o077 == 0


def test_what_redis_has_forgotten_is_swept_after_a_moment(blobs: DirectoryBlobs) -> None:
    blobs.put(RUN, KEY, PARTS)
    blobs.put("run-known", KEY, PARTS)
    written = (blobs._root / RUN).stat().st_mtime

    early = blobs.sweep(lambda run_id: run_id == "run-known", now=written + 1)
    late = blobs.sweep(lambda run_id: run_id == "run-known", now=written + 61)

    assert (early, late) == (0, 1)
    assert not (blobs._root / RUN).exists()
    assert (blobs._root / "run-known").exists()


def test_shared_blobs_stay_a_day_after_they_were_last_asked_for(blobs: DirectoryBlobs) -> None:
    blobs.put(SHARED, KEY, PARTS)
    path = blobs._root / SHARED / KEY
    os.utime(path, (1.0, 1.0))

    assert blobs.has(SHARED, KEY)
    assert blobs.sweep(lambda run_id: False, now=path.stat().st_mtime + 86_000) == 0
    assert blobs.sweep(lambda run_id: False, now=path.stat().st_mtime + 86_401) == 1


def test_only_directories_are_known_as_a_place_for_blobs() -> None:
    with pytest.raises(ValueError, match="only a directory is known"):
        open_blobs("s3://bucket", None, None)  # type: ignore[arg-type]
