"""``hypergraph demo``: the survey on one process, then on workers, and whether both agree."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import click
from rich.console import Console

from hypergraph import DistributedRunner, Graph, MapResult, RunResult, RunStatus, SyncRunner, node
from hypergraph.cli import figures, screen
from hypergraph.cli.demo import show
from hypergraph.cli.demo.kill import Killer
from hypergraph.cli.demo.sources import Sources, find_sources, read_ahead
from hypergraph.cli.demo.survey import file_graph, overview_graph
from hypergraph.worker.supervisor import count_cores

_TOP = 10  # modules in the table

_TARGET_S = 10.0  # that one process takes
_SAMPLE = 60  # files by which its speed is judged


@click.command()
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Survey N files; by default what takes one process some 10 seconds.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Start N worker processes; by default one per core.",
)
@click.option("--kill", is_flag=True, help="Kill a worker process (-9) in the middle.")
def demo(limit: int | None, workers: int | None, kill: bool) -> None:
    """Survey the Python source files of this machine, on one process and on workers.

    Every file is read, parsed and measured by a graph of graphs, three levels deep. Another graph
    ranks the modules and builds the import graph. Both ways must give the same.

    Redis and workers are the demonstration's own, also where HYPERGRAPH_REDIS_URL is set.
    """
    os.environ.pop("HYPERGRAPH_REDIS_URL", None)
    console = screen.make_console()
    workers = workers or count_cores()
    sources = _choose(find_sources(), limit)
    show.sources(console, sources)
    read_ahead(sources)

    console.print("\nOn one process ...")
    alone = _survey(SyncRunner(), sources)
    console.print(f"On {figures.plural(workers, 'worker process', 'worker processes')} ...")
    startup_s, together, victim = _survey_on_workers(sources, workers, kill=kill)

    console.print()
    show.failures(console, together.files, sources)
    show.ranking(console, together.overview["ranking"])
    show.totals(console, together.overview["totals"], together.overview["cycles"])
    show.times(console, alone.took_s, startup_s, together.took_s, workers)
    if victim is not None:
        show.kill(console, victim, sources)
    _insist_on_equality(console, alone, together)


def _choose(found: Sources, limit: int | None) -> Sources:
    """Return `limit` files, or else what takes one process of this machine `_TARGET_S`."""
    if limit is None:
        sample = found.part(_SAMPLE)
        read_ahead(sample)
        bytes_per_s = sample.size_bytes / _survey(SyncRunner(), sample).took_s
        limit = int(len(found.paths) * _TARGET_S * bytes_per_s / found.size_bytes)
    return found.part(max(1, limit))


@node(output_name="ready")
def _ready() -> bool:
    """Come back as soon as a worker is there."""
    return True


class _Runner(Protocol):
    """What the survey needs of a runner. `SyncRunner` and `DistributedRunner` both have it."""

    def map(
        self, graph: Graph, values: dict[str, Any], *, map_over: str, error_handling: str
    ) -> MapResult: ...

    def run(self, graph: Graph, values: dict[str, Any]) -> RunResult: ...


@dataclass(frozen=True, slots=True)
class _Survey:
    files: MapResult  #: one result per file
    overview: RunResult
    took_s: float


def _survey(runner: _Runner, sources: Sources) -> _Survey:
    began_at = time.perf_counter()
    files = runner.map(
        file_graph(),
        {"path": list(sources.paths), "roots": list(sources.roots)},
        map_over="path",
        error_handling="continue",
    )
    measures = [result["measures"] for result in files if result.status is RunStatus.COMPLETED]
    overview = runner.run(overview_graph(), {"files": measures, "top": _TOP})
    return _Survey(files, overview, time.perf_counter() - began_at)


def _survey_on_workers(
    sources: Sources, workers: int, *, kill: bool
) -> tuple[float, _Survey, show.Victim | None]:
    """Return how long Redis and workers took to start, the survey, and what was killed."""
    began_at = time.perf_counter()
    with DistributedRunner(workers=workers) as runner:
        runner.run(Graph([_ready]), progress=False)
        startup_s = time.perf_counter() - began_at
        # The one look under the hood: a killer has to know whom it may kill.
        killer = Killer(runner._open()) if kill else None
        with killer or nullcontext():
            together = _survey(runner, sources)
        victim = None
        if killer is not None:
            victim = show.Victim(killer.killed, killer.losses())
    return startup_s, together, victim


def _insist_on_equality(console: Console, alone: _Survey, together: _Survey) -> None:
    """Compare every value, every error and the order of both surveys.

    Raises:
        click.ClickException: They differ.
    """
    for one, other in zip(alone.files, together.files, strict=True):
        if _outcome(one) != _outcome(other):
            raise click.ClickException(f"results differ: {_outcome(one)} and {_outcome(other)}")
    if _outcome(alone.overview) != _outcome(together.overview):
        raise click.ClickException("the overviews differ")
    show.say(console, f"Both gave the same: {len(alone.files):,} results, compared one by one.")


def _outcome(result: RunResult) -> tuple[object, ...]:
    return result.status, result.values, type(result.error), str(result.error)
