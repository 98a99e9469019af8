"""How long `import hypergraph` takes, beside bare Python and `import asyncio`.

Each sample is a Python process of its own, from start to exit; the kinds take turns.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from scripts.benchmarks.host import Report
from scripts.benchmarks.workloads import Samples

#: Key of this workload, for `--only` and in the results.
IMPORT = "import"

#: Modules that `import hypergraph` must leave alone: they load when they are used.
HEAVY = ("redis", "dramatiq", "networkx", "rich", "cloudpickle")

#: Row -> the program that is timed.
PROGRAMS = {
    "bare Python": "pass",
    "import asyncio": "import asyncio",
    "import hypergraph": "import hypergraph",
}

_CHECK = f"import sys, hypergraph; print(*[name for name in {HEAVY!r} if name in sys.modules])"


def measure_imports(samples: int) -> Report:
    """Return the wall time of each program, in milliseconds, `samples` times.

    Where `hypergraph` cannot be imported its row is missing and the report says why.
    """
    report = Report()
    programs = dict(PROGRAMS)
    check = _run(_CHECK)
    if check.returncode:
        report.unavailable = check.stderr.strip().rpartition("\n")[2]
        del programs["import hypergraph"]
    elif loaded := check.stdout.strip():
        report.wrong.append(f"import hypergraph also imports {loaded}")
    taken: dict[str, list[float]] = {row: [] for row in programs}
    for program in programs.values():
        _run(program)  # compiles what is not compiled yet
    for _ in range(samples):
        for row, program in programs.items():
            begin = time.perf_counter()
            _run(program)
            taken[row].append((time.perf_counter() - begin) * 1e3)
    report.samples = [Samples(IMPORT, row, "", values) for row, values in taken.items()]
    return report


def _run(program: str) -> subprocess.CompletedProcess[str]:
    # From an empty-handed directory: the current one comes first on the path.
    return subprocess.run(
        [sys.executable, "-c", program], cwd=tempfile.gettempdir(), capture_output=True, text=True
    )
