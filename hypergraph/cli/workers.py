"""``hypergraph workers``: who is there, and what everybody does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hypergraph.cli import figures, screen
from hypergraph.cli.connection import Place, connect, json_option, place_options
from hypergraph.transport.tags import TAG, describe_tag
from hypergraph.worker.registry import RunningBody, WorkerInfo, live_workers


@click.command()
@json_option
@place_options
def workers(place: Place, as_json: bool) -> None:
    """List the live worker hosts, their processes, and what these run."""
    with connect(place) as connection:
        found = live_workers(connection.store)
        now = _redis_time(connection.store.link.pipeline([("TIME",)])[0])
    place = connection.place
    if as_json:
        screen.print_json([_without_modules(worker) for worker in found])
    elif found:
        show(screen.make_console(), found, now)
    else:
        text = f"No live worker in namespace {place.namespace!r} of {place.shown}."
        screen.say(f"{text}\nStart one: {place.command('worker')}")


def _without_modules(worker: WorkerInfo) -> dict[str, Any]:
    """Return what a host says of itself but for the hundreds of modules it can import."""
    names = (field.name for field in fields(worker) if field.name != "modules")
    return {name: getattr(worker, name) for name in names}


def _redis_time(time_: Sequence[int]) -> float:
    return int(time_[0]) + int(time_[1]) / 1e6


def show(console: Console, workers: Sequence[WorkerInfo], now: float) -> None:
    """Print worker hosts.

    Args:
        console: Where to.
        workers: The live ones.
        now: By the clock of Redis.
    """
    screen.put(console, Text(_summary(workers), "dim"))
    for worker in workers:
        console.print()
        screen.put(console, _heading(worker, now))
        for line in _about(worker):
            screen.put(console, line, indent=2)
        if worker.children:
            screen.put(console, _children(worker), indent=2)


def _summary(workers: Sequence[WorkerInfo]) -> str:
    slots = sum(len(worker.children) * worker.threads for worker in workers)
    busy = sum(len(worker.running) for worker in workers)
    hosts = figures.plural(len(workers), "live worker")
    return f"{hosts}, {busy:,} of {figures.plural(slots, 'slot')} busy"


def _heading(worker: WorkerInfo, now: float) -> Text:
    heard = max(0.0, now - worker.beat_at)
    text = Text.assemble((worker.id, "bold"))
    if worker.draining:
        text.append("  draining", "yellow")
    text.append(f"  heard of {figures.duration(heard)} ago", "yellow" if heard > 2.5 else "")
    return text


def _about(worker: WorkerInfo) -> Iterator[Text]:
    up_s = max(0.0, time.time() - worker.started_at)
    yield Text(f"host {worker.host}, pid {worker.pid}, up {figures.duration(up_s)}")
    versions = Text(f"python {worker.python}, hypergraph {worker.version} ")
    versions.append(f"({worker.tag})", "" if worker.tag == TAG else "yellow")
    yield versions
    if worker.tag != TAG:
        yield Text(f"does nothing for clients of {describe_tag(TAG)}, such as this", "yellow")
    queues = [queue.removesuffix(f".{worker.tag}") for queue in worker.queues]
    if queues:
        yield Text(f"{'queues' if len(queues) > 1 else 'queue'} {', '.join(queues)}")
    if worker.threads > 1:
        yield Text(f"{worker.threads} threads per child")
    if worker.labels:
        yield Text(f"labels {', '.join(worker.labels)}")
    if worker.allow_modules is not None:
        yield Text(f"runs only code of {', '.join(worker.allow_modules) or 'no module'}")


def _children(worker: WorkerInfo) -> Table:
    """Return a line for each body that runs, and one for each child that has none."""
    table = screen.make_table()
    screen.add_columns(table, "child", ">pid", "run")
    table.add_column("node", overflow="fold", min_width=12)
    screen.add_columns(table, ">for")
    for child, pid in worker.children.items():
        bodies = [body for body in worker.running if body.child == child]
        if not bodies:
            table.add_row(child, str(pid), Text("idle", "dim"), "", "")
        for body in bodies:
            table.add_row(
                child, str(pid), body.run_id, Text(_node(body)), figures.duration(body.seconds)
            )
    return table


def _node(body: RunningBody) -> str:
    if body.item is None:
        return figures.one_line(body.path or body.unit)
    # The items of a map that is a run of its own are of no node.
    is_own = body.unit == "map" and body.path in ("", body.unit)
    return f"item {body.item:,}" if is_own else figures.one_line(f"{body.path}[{body.item}]")
