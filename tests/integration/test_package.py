"""What users install is `hypergraph`, whole and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = directory.iterdir()
    return set(zipfile.ZipFile(path).namelist())


def test_the_wheel_holds_one_package_and_its_metadata(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}

    assert tops == {"hypergraph", "hypergraph_distributed-0.1.0.dist-info"}


def test_the_wheel_holds_what_is_not_python_too(wheel: set[str]) -> None:
    there = (path.relative_to(ROOT) for path in (ROOT / "hypergraph").rglob("*") if path.is_file())
    files = {path.as_posix() for path in there if "__pycache__" not in path.parts}

    assert files <= wheel
    assert {"hypergraph/py.typed", "hypergraph/embedded/guardian.sh"} <= wheel
    assert any(name.startswith("hypergraph/store/lua/") for name in wheel)


def test_the_wheel_names_the_command_and_the_licence(wheel: set[str]) -> None:
    metadata = "hypergraph_distributed-0.1.0.dist-info"

    assert {f"{metadata}/entry_points.txt", f"{metadata}/licenses/LICENSE"} <= wheel
