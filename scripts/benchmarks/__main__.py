"""The command line of the benchmark: see `scripts/bench --help`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmarks.contenders import CONTENDERS
from scripts.benchmarks.harness import measure_rounds
from scripts.benchmarks.imports import IMPORT
from scripts.benchmarks.machine import describe
from scripts.benchmarks.report import to_markdown, to_text
from scripts.benchmarks.results import Results
from scripts.benchmarks.workloads import QUICK, WORKLOADS, Size

_WORKLOADS = (*WORKLOADS, IMPORT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and return the exit code.

    Returns:
        0; 1 after a wrong answer or a failure; 130 after Ctrl-C, with what was measured so far
        printed. A promised figure that was missed is a result, not a failure.
    """
    options = _parser().parse_args(arguments)
    contenders, workloads = _chosen(options.only)
    results = Results(describe())
    interrupted = False
    try:
        size = QUICK if options.quick else Size()
        for number, contender, report in measure_rounds(
            options.rounds, contenders, workloads, size
        ):
            results.add(number, contender, report)
    except KeyboardInterrupt:
        interrupted = True
    if options.quick:
        print(f"--quick: {QUICK.items:,} items only. It works; these are no numbers to quote.\n")
    print(to_markdown(results) if options.markdown else to_text(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results.to_dict(), indent=1) + "\n", encoding="utf-8")
    if interrupted:
        return 130
    return 1 if results.wrong or results.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure hypergraph's overhead beside the alternatives.",
        epilog=f"contenders: {' '.join(CONTENDERS)}; workloads: {' '.join(_WORKLOADS)}",
    )
    parser.add_argument(
        "--rounds", type=_positive, default=5, metavar="N", help="how often (default: 5)"
    )
    parser.add_argument(
        "--only",
        type=_names,
        default=(),
        metavar="NAMES",
        help="contenders, workloads or both, with commas: --only hypergraph,dask,map",
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    parser.add_argument("--quick", action="store_true", help="ask less; for trying it out")
    return parser


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in (*CONTENDERS, *_WORKLOADS)]:
        known = ", ".join((*CONTENDERS, *_WORKLOADS))
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)} (known: {known})")
    return names


def _chosen(only: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the contenders and the workloads to measure; naming none of a kind means all."""
    contenders = [name for name in CONTENDERS if name in only]
    workloads = [name for name in _WORKLOADS if name in only]
    return contenders or list(CONTENDERS), workloads or list(_WORKLOADS)


if __name__ == "__main__":
    sys.exit(main())
