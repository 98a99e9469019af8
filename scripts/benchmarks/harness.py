"""Takes the contenders through the rounds, one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from scripts.benchmarks.contenders import CONTENDERS
from scripts.benchmarks.host import Report, Task
from scripts.benchmarks.imports import IMPORT, measure_imports
from scripts.benchmarks.workloads import Size

#: A contender that needs longer than this for one round hangs, in seconds.
PATIENCE_S = 300.0

#: How long a contender may take to stop its workers when it is interrupted, in seconds.
_STOP_S = 5.0

#: Samples of each import in one round.
_IMPORTS = 10


def measure_rounds(
    rounds: int, contenders: Sequence[str], workloads: Sequence[str], size: Size
) -> Iterator[tuple[int, str, Report]]:
    """Yield round (from 0), contender and report, as they come in.

    A contender that is unavailable is not asked again in later rounds.

    Args:
        rounds: How often everybody is measured.
        contenders: Keys of `CONTENDERS`, in the order of a round.
        workloads: Keys of `WORKLOADS`, and :data:`IMPORT`.
        size: How much is asked.
    """
    running = [key for key in workloads if key != IMPORT]
    waiting = [key for key in CONTENDERS if key in contenders] if running else []
    for number in range(rounds):
        if IMPORT in workloads:
            _say(number, rounds, "imports")
            yield number, IMPORT, measure_imports(_IMPORTS)
        for contender in tuple(waiting):
            _say(number, rounds, contender)
            report = _measure(contender, running, size)
            if report.unavailable:
                waiting.remove(contender)
            yield number, contender, report


def _say(number: int, rounds: int, what: str) -> None:
    print(f"round {number + 1} of {rounds}: {what}", file=sys.stderr, flush=True)


def _measure(contender: str, workloads: list[str], size: Size) -> Report:
    """Return the report of one contender's process, whatever happens to it."""
    with tempfile.TemporaryDirectory(prefix="hypergraph-bench-") as directory:
        path = Path(directory, "report.json")
        task = Task(contender, workloads, size, str(path))
        with Path(directory, "output.txt").open("w+", encoding="utf-8") as output:
            reason = _run(task, output)
            if path.exists():
                report = Report.from_json(path.read_text(encoding="utf-8"))
            else:
                report = Report()
            if reason:
                report.failed["its process"] = reason
            if report.failed:
                _show(contender, output)
    return report


def _run(task: Task, output: IO[str]) -> str:
    """Run the process of a contender and return what went wrong with it, or nothing."""
    # A session of its own: a contender that hangs is stopped together with its workers.
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.benchmarks.host", task.to_json()],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        code = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        return f"no end after {PATIENCE_S:.0f} s"
    finally:
        if process.returncode is None:
            _stop(process)
    return f"exit code {code}" if code else ""


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process that still runs, then kill what is left of its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _show(contender: str, output: IO[str]) -> None:
    """Print the end of what a contender that failed had to say."""
    output.seek(0)
    for line in output.read().splitlines()[-25:]:
        print(f"  {contender}: {line}", file=sys.stderr)
