"""Everything that was measured, and the questions the reports ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.benchmarks.host import Report
from scripts.benchmarks.imports import IMPORT
from scripts.benchmarks.summary import Rounds, Summary, best, summarise
from scripts.benchmarks.workloads import WORKLOADS, Samples


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a workload's table."""

    name: str
    variant: str  #: the best of them, by median; empty where there was nothing to tune
    rounds: dict[int, list[float]]  #: round -> samples of that variant

    @property
    def summary(self) -> Summary:
        """The middle and the extremes of the rounds."""
        return summarise(list(self.rounds.values()))


@dataclass(slots=True)
class Results:
    """The reports of all rounds."""

    machine: dict[str, str]  #: label -> text
    samples: list[tuple[int, Samples]] = field(default_factory=list)  #: round, samples
    unavailable: dict[str, str] = field(default_factory=dict)  #: contender -> what is missing
    wrong: list[str] = field(default_factory=list)  #: wrong answers, one sentence each
    failed: list[str] = field(default_factory=list)  #: failures, one sentence each

    def add(self, number: int, contender: str, report: Report) -> None:
        """Take in what a contender reported of a round."""
        self.samples.extend((number, samples) for samples in report.samples)
        if report.unavailable:
            self.unavailable[contender] = report.unavailable
        self.wrong.extend(report.wrong)
        self.failed.extend(
            f"round {number + 1}: {contender} failed at {workload}: {reason}"
            for workload, reason in report.failed.items()
        )

    def rows(self, workload: str) -> Iterator[Row]:
        """Yield the lines of a workload's table, in the order in which they were measured."""
        higher = workload in WORKLOADS and WORKLOADS[workload].higher_is_better
        for name, variants in self._variants(workload).items():
            chosen = best(variants, higher_is_better=higher)
            yield Row(name, chosen, {n: list(s) for n, s in variants[chosen].items()})

    def row(self, workload: str, name: str) -> Row | None:
        """Return one line of a workload's table, or None where it was not measured."""
        return next((row for row in self.rows(workload) if row.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data: for each way its samples, round by round."""
        return {
            "schema": 1,
            "machine": self.machine,
            "units": {IMPORT: "ms"} | {key: each.unit for key, each in WORKLOADS.items()},
            "samples": [{"round": n + 1, **asdict(samples)} for n, samples in self.samples],
            "unavailable": self.unavailable,
            "wrong": self.wrong,
            "failed": self.failed,
        }

    def _variants(self, workload: str) -> dict[str, dict[str, Rounds]]:
        """Return row -> variant -> round -> samples."""
        found: dict[str, dict[str, dict[int, list[float]]]] = {}
        for number, samples in self.samples:
            if samples.workload == workload and samples.values:
                variants = found.setdefault(samples.row, {})
                variants.setdefault(samples.variant, {})[number] = samples.values
        return {name: dict(variants) for name, variants in found.items()}
