"""Calling `hypergraph` as a user does: in a process of its own, judged by output and exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

_COMMAND = (sys.executable, "-m", "hypergraph.cli.main")


@dataclass(frozen=True)
class Told:
    """What a command has said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as data."""
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """The output with single blanks."""
        return " ".join(self.out.split())


class Command:
    """`hypergraph` for one namespace of one Redis.

    Args:
        url: Of the Redis, which goes into the environment; "" for none.
        namespace: Goes into the arguments of commands that have one.
        secret: What is signed with.
    """

    def __init__(self, url: str, namespace: str = "", secret: bytes = b"") -> None:
        self._namespace = namespace
        given = {"HYPERGRAPH_REDIS_URL": url, "HYPERGRAPH_SECRET": secret.decode()}
        self.environment = make_environment({k: v for k, v in given.items() if v})

    def __call__(self, *arguments: str, timeout_s: float = 60.0) -> Told:
        """Run a command to its end. No line of its output is longer than 80 columns."""
        told = subprocess.run(
            [*_COMMAND, *self._all(arguments)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=self.environment,
            cwd=ROOT,
        )
        if "--json" not in arguments:
            assert [line for line in told.stdout.splitlines() if len(line) > 80] == []
        assert "Traceback" not in told.stderr, told.stderr
        return Told(told.returncode, told.stdout, told.stderr)

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a command that stays, with its output in a file."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [*_COMMAND, *self._all(arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                cwd=ROOT,
                start_new_session=True,
            )

    def _all(self, arguments: Sequence[str]) -> list[str]:
        if not self._namespace or not arguments:
            return list(arguments)
        return [*arguments, "--namespace", self._namespace]


def make_environment(given: Mapping[str, str] = {}) -> dict[str, str]:
    """Return this process's environment without our variables, but for those given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HYPERGRAPH_")}
    return {**kept, "PYTHONPATH": str(ROOT), **given}


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started, at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
