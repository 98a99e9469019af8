"""Reading what lies in deploy/, and asking the code whether it understands it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import click
import yaml

import hypergraph
from hypergraph.cli.main import main
from hypergraph.worker import liveness

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def load(name: str) -> Any:
    """Return the one document of a YAML file in deploy/."""
    return yaml.safe_load((DEPLOY / name).read_text())


def load_all(name: str) -> dict[str, Any]:
    """Return the documents of a YAML file in deploy/ by their kind."""
    documents = list(yaml.safe_load_all((DEPLOY / name).read_text()))
    found = {document["kind"]: document for document in documents}
    assert len(found) == len(documents)
    return found


# -- Dockerfile -----------------------------------------------------------------------------------


class Instruction(NamedTuple):
    """One instruction of a Dockerfile."""

    word: str
    rest: str

    @property
    def words(self) -> list[str]:
        """Its arguments: those of a JSON array, or those between blanks."""
        found: list[str] = yaml.safe_load(self.rest) if self.rest[0] == "[" else self.rest.split()
        return found


def read_dockerfile() -> list[Instruction]:
    """Return the instructions of the Dockerfile, its arguments filled in."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    arguments: dict[str, str] = {}
    found = []
    for line in filter(None, lines):
        word, _, rest = line.partition(" ")
        for name, value in arguments.items():
            rest = rest.replace(f"${{{name}}}", value)
        if word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        found.append(Instruction(word, rest.strip()))
    return found


def python_of_the_image() -> tuple[int, int]:
    """Return major and minor version of the image's Python."""
    final = [i.rest for i in read_dockerfile() if i.word == "FROM"][-1]
    match = re.match(r"python:(\d+)\.(\d+)-", final)
    assert match, final
    return int(match[1]), int(match[2])


# -- commands -------------------------------------------------------------------------------------


def check_command(words: Sequence[str]) -> dict[str, Any]:
    """See that a command of ours exists and takes these arguments. Returns its options.

    Raises:
        click.ClickException: It does not take them.
        SystemExit: Neither does a module that is run by ``python -m``.
    """
    words = list(words)
    if words[0] == "tini":
        words = words[words.index("--") + 1 :]
    program = PurePath(words[0]).name
    if program == "python" and words[1:3] == ["-m", "hypergraph.worker.liveness"]:
        return vars(liveness.parser().parse_args(words[3:]))
    if program == "python" and words[1:3] == ["-m", "hypergraph.cli.main"]:
        program, words = "hypergraph", words[2:]
    assert program == "hypergraph", f"{words}: no command of ours"
    with click.Context(main) as context:
        assert isinstance(main, click.Group)
        command = main.get_command(context, words[1])
        assert command is not None, f"there is no `hypergraph {words[1]}`"
        options: dict[str, Any] = command.make_context(words[1], words[2:], context).params
    return options


@cache
def variables_that_are_read() -> frozenset[str]:
    """Return the environment variables that the package knows."""
    package = Path(hypergraph.__file__).parent
    return frozenset(
        word for path in package.rglob("*.py") for word in _variables(ast.parse(path.read_text()))
    )


def _variables(tree: ast.AST) -> Iterator[str]:
    for part in ast.walk(tree):
        text = part.value if isinstance(part, ast.Constant) else None
        if isinstance(text, str) and re.fullmatch(r"HYPERGRAPH_[A-Z_]+", text):
            yield text


def check_variables(names: Iterable[str]) -> None:
    """See that the code reads every variable of ours that is set."""
    ours = {name for name in names if name.startswith("HYPERGRAPH_")}

    assert ours
    assert ours <= variables_that_are_read()


def seconds(text: str | float) -> float:
    """Return a duration as compose files and units write it, in seconds.

    >>> seconds("40s"), seconds("1m30s"), seconds("75")
    (40.0, 90.0, 75.0)
    """
    units: Mapping[str, float] = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"(\d+)([smh]?)", str(text))
    assert "".join(number + unit for number, unit in parts) == str(text)
    return sum(int(number) * units[unit] for number, unit in parts)
