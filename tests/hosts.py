"""Worker hosts for tests: a supervisor in a process of its own, whose children are stand-ins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hypergraph.worker.config import WorkerConfig
from tests.processes import wait_until

ROOT = Path(__file__).parents[1]

_SUPERVISOR = """
import logging, sys
from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.supervisor import Supervisor

logging.basicConfig(level=logging.INFO, format="%(message)s")
config = WorkerConfig.from_line(sys.stdin.buffer.readline().decode())
client = sys.stdin.buffer if config.local else None
sys.exit(Supervisor(config, command=sys.argv[1:] or None).run(client))
"""


class Said(NamedTuple):
    """A line of the ledger that stand-ins write."""

    child: str
    pid: int
    word: str


class Host:
    """A supervisor with stand-ins for children; see `stand_in_child` for what they can do."""

    def __init__(
        self, config: WorkerConfig, directory: Path, behaviour: str, run_id: str = "-"
    ) -> None:
        self.config = config
        self.ledger = directory / "ledger"
        self.ledger.touch()
        self.log = directory / "log"
        stand_in = [sys.executable, "-m", "tests.stand_in_child"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SUPERVISOR, *stand_in, behaviour, self.ledger, run_id],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        assert self.process.stdin is not None
        self.process.stdin.write(config.to_line().encode() + b"\n")
        self.process.stdin.flush()

    @property
    def said(self) -> list[Said]:
        """What the children have said so far."""
        found = []
        for line in self.ledger.read_text().splitlines():
            child, pid, word = line.split()
            found.append(Said(child, int(pid), word))
        return found

    @property
    def logged(self) -> str:
        """What the supervisor has logged so far."""
        return self.log.read_text()

    def wait_for(self, word: str, times: int = 1, timeout_s: float = 10.0) -> Said:
        """Wait until some child says a word for the n-th time, and return what it said."""

        def found() -> Sequence[Said]:
            return [said for said in self.said if said.word == word]

        assert wait_until(lambda: len(found()) >= times, timeout_s), (self.said, self.logged)
        return found()[times - 1]

    def signal(self, number: int) -> None:
        """Send the supervisor a signal."""
        os.kill(self.process.pid, number)

    def wait(self, timeout_s: float = 10.0) -> int:
        """Wait until the supervisor has ended, and return its exit code."""
        return self.process.wait(timeout_s)

    def stop(self) -> None:
        """End whatever is left of it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        for said in self.said:
            try:
                os.kill(said.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
