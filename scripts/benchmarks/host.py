"""The process in which one contender is measured for one round.

It is started by the harness as ``python -m scripts.benchmarks.host TASK``, where TASK is JSON
(:class:`Task`). It writes its report (:class:`Report`, as JSON) to a file rather than to its
output, where libraries may print what they like.
"""

from __future__ import annotations

import json
import sys
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.benchmarks.contenders import CONTENDERS
from scripts.benchmarks.contenders.base import Contender, Unavailable
from scripts.benchmarks.workloads import Samples, Size, WrongAnswer, measure


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure."""

    contender: str  #: key of :data:`CONTENDERS`
    workloads: list[str]  #: keys of :data:`WORKLOADS`, in the order to take them
    size: Size
    report: str  #: path of the file to write

    def to_json(self) -> str:
        """Return the task as text for the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Return the task that :meth:`to_json` made the text of."""
        given = json.loads(text)
        return cls(**{**given, "size": Size(**given["size"])})


@dataclass(slots=True)
class Report:
    """What came of it."""

    samples: list[Samples] = field(default_factory=list)
    unavailable: str = ""  #: why the contender does not run here; empty when it does
    wrong: list[str] = field(default_factory=list)  #: wrong answers, one sentence each
    failed: dict[str, str] = field(default_factory=dict)  #: workload -> last line of its error

    def to_json(self) -> str:
        """Return the report as text for its file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that :meth:`to_json` made the text of."""
        given = json.loads(text)
        return cls(**{**given, "samples": [Samples(**samples) for samples in given["samples"]]})


def main(task: Task) -> None:
    """Start the contender, measure it, stop it, and write the report.

    A contender that fails at one workload goes on with the next.
    """
    report = Report()
    try:
        with CONTENDERS[task.contender]() as contender:
            for workload in task.workloads:
                _measure(workload, contender, task.size, report)
    except Unavailable as error:
        report.unavailable = error.reason
    finally:
        Path(task.report).write_text(report.to_json(), encoding="utf-8")


def _measure(workload: str, contender: Contender, size: Size, report: Report) -> None:
    try:
        report.samples.extend(measure(workload, contender, size))
    except Unavailable:
        raise
    except WrongAnswer as error:
        report.wrong.append(str(error))
    except Exception as error:
        traceback.print_exc()
        report.failed[workload] = traceback.format_exception_only(error)[-1].strip()


if __name__ == "__main__":
    main(Task.from_json(sys.argv[1]))
