"""Worker hosts that tests kill, freeze and thaw: a real supervisor with real children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hypergraph.store.redis import RedisStore
from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.process import module_command
from tests.processes import children_of, is_alive, wait_until

ROOT = Path(__file__).parents[2]

SUPERVISOR = tuple(module_command("hypergraph.worker.supervisor"))


class Host:
    """A worker host.

    Args:
        config: Its configuration.
        store: Where it registers itself.
        log: Where it and its children write.
        command: What to execute; it gets the configuration on standard input.
    """

    def __init__(
        self,
        config: WorkerConfig,
        store: RedisStore,
        log: Path,
        command: Sequence[str] = SUPERVISOR,
    ) -> None:
        self.config = config
        self.id = config.worker_id
        self.log = log
        self._store = store
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        assert self.process.stdin is not None
        self.process.stdin.write(config.to_line().encode() + b"\n")
        self.process.stdin.flush()

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        return self.process.pid

    @property
    def children(self) -> set[int]:
        """The pids of its children."""
        return children_of(self.pid)

    def wait_until_ready(self) -> None:
        """Wait until it is registered and its children are told to work."""
        assert wait_until(lambda: self.id in self._store.workers(60.0), 20.0), self.log.read_text()

    def signal(self, number: int) -> None:
        """Send the supervisor a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = 20.0) -> int:
        """Wait until the supervisor has ended, and return its exit code."""
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Kill supervisor and children, as if the machine had lost its power."""
        self._signal_all(signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> set[int]:
        """Stop supervisor and children in their tracks. Returns all pids, for `thaw`."""
        return self._signal_all(signal.SIGSTOP)

    def thaw(self, pids: set[int]) -> None:
        """Let them go on."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End whatever is left of it, at the end of a test."""
        if self.process.poll() is None:
            self.kill()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()

    def _signal_all(self, number: int) -> set[int]:
        # The supervisor first: it would replace what dies before it.
        pids = [self.pid, *self.children]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        assert number != signal.SIGKILL or wait_until(lambda: not any(map(is_alive, pids)), 5.0)
        return set(pids)


#: A supervisor that looks after its own children and after nothing else.
SELFISH = (
    sys.executable,
    "-c",
    "from hypergraph.worker import supervisor, upkeep\n"
    "upkeep.Upkeep.tick = lambda self: None\n"
    "supervisor.main()",
)
