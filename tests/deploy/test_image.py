"""The image is made of what is there, runs as nobody in particular, and says how it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deploy.files import (
    DEPLOY,
    ROOT,
    Instruction,
    check_command,
    python_of_the_image,
    read_dockerfile,
)

INSTRUCTIONS = read_dockerfile()


def all_of(word: str) -> list[Instruction]:
    return [instruction for instruction in INSTRUCTIONS if instruction.word == word]


def copied_from_the_checkout() -> list[tuple[list[str], str]]:
    """Return sources and target of every COPY that is not from another stage."""
    copies = [[w for w in i.words if not w.startswith("--chown")] for i in all_of("COPY")]
    return [(words[:-1], words[-1]) for words in copies if not words[0].startswith("--from=")]


def test_every_instruction_is_one() -> None:
    known = "ARG FROM WORKDIR COPY RUN ENV USER HEALTHCHECK ENTRYPOINT CMD"

    assert {instruction.word for instruction in INSTRUCTIONS} <= set(known.split())
    assert [i.word for i in INSTRUCTIONS[:2]] == ["ARG", "FROM"]


def test_the_stages_share_one_python_that_the_package_supports() -> None:
    bases = {i.words[0] for i in all_of("FROM")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))

    assert len(bases) == 1
    assert python_of_the_image() >= least


def test_what_is_copied_exists_and_gets_into_the_context() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}

    sources = {source for sources, _ in copied_from_the_checkout() for source in sources}

    assert ignored[1] == "*"
    assert sources == let_in
    assert all((ROOT / source).exists() for source in sources)


def test_what_is_copied_is_enough_to_build_the_package(tmp_path: Path) -> None:
    sources, _ = copied_from_the_checkout()[0]
    for source in sources:
        if (ROOT / source).is_dir():
            left_out = shutil.ignore_patterns("__pycache__", ".mypy_cache")
            shutil.copytree(ROOT / source, tmp_path / source, ignore=left_out)
        else:
            shutil.copy(ROOT / source, tmp_path / source)

    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "wheel"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)

    assert list((tmp_path / "wheel").glob("hypergraph_distributed-*.whl"))


def test_what_other_stages_made_is_where_it_is_looked_for() -> None:
    (copy,) = (i for i in all_of("COPY") if i.rest.startswith("--from="))
    stage, source, target = copy.words
    names = re.findall(r"AS (\w+)", " ".join(i.rest for i in all_of("FROM")))
    venv = next(i.rest for i in all_of("RUN") if "-m venv" in i.rest)

    assert stage == f"--from={names[0]}"
    assert source == target  # a virtual environment knows where it lies
    assert f"-m venv {source} " in venv
    assert f"PATH={source}/bin:$PATH" in all_of("ENV")[0].rest


def test_it_does_not_run_as_root() -> None:
    user = all_of("USER")[-1].rest

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert INSTRUCTIONS.index(all_of("USER")[-1]) < INSTRUCTIONS.index(all_of("ENTRYPOINT")[0])
    assert f"--uid {user.split(':')[0]} " in all_of("RUN")[-1].rest


@pytest.mark.parametrize("instruction", all_of("RUN"), ids=lambda i: i.rest[:20])
def test_a_shell_can_read_what_is_run(instruction: Instruction) -> None:
    subprocess.run(["sh", "-n", "-c", instruction.rest], check=True)


def test_it_starts_a_worker_and_any_other_command_of_ours() -> None:
    (entrypoint,), (command,) = all_of("ENTRYPOINT"), all_of("CMD")

    options = check_command([*entrypoint.words, *command.words])

    assert options["wait"] is True
    check_command([*entrypoint.words, "doctor"])


def test_its_health_check_is_a_command_of_ours() -> None:
    (health,) = all_of("HEALTHCHECK")
    _, command = health.rest.split("CMD ")

    assert check_command(Instruction("CMD", command).words)["if_main"] is True


def test_the_applications_are_where_dramatiq_looks_for_them() -> None:
    ((_, target),) = (copy for copy in copied_from_the_checkout() if copy[0] == ["workers"])

    assert target == f"{all_of('WORKDIR')[-1].rest}/workers"
