"""``hypergraph doctor``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hypergraph.cli import figures, screen
from hypergraph.cli.connection import Connection, Place, connect, json_option, place_options
from hypergraph.cli.doctor import surroundings
from hypergraph.cli.doctor.check import Check, Verdict, bad
from hypergraph.cli.doctor.redis import check_server, cli_of, look_at
from hypergraph.errors import StoreUnavailable
from hypergraph.transport.tags import tagged
from hypergraph.worker.registry import live_workers

_STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.BAD: "bold red"}


@click.command()
@json_option
@place_options
def doctor(place: Place, as_json: bool) -> None:
    """Check Redis, workers and this machine, and say how to put right what is wrong.

    Without a URL: what DistributedRunner() would need to start a Redis of its own. Exits with 0 if
    nothing is bad, with 1 if something is, with 3 if Redis is away.
    """
    checks, is_away = examine(place)
    if as_json:
        screen.print_json([_plain(check) for check in checks])
    else:
        show(screen.make_console(), checks)
    if is_away:
        sys.exit(3)
    sys.exit(any(check.verdict is Verdict.BAD for check in checks))


def examine(place: Place) -> tuple[list[Check], bool]:
    """Return what was found, and whether Redis is away."""
    if not place.url:
        return [
            surroundings.check_embedded(needed=True),
            surroundings.check_secret(place),
        ], False
    is_away = False
    with connect(place) as connection:
        place = connection.place
        try:
            checks = list(_check_redis(connection))
        except StoreUnavailable as error:
            is_away = True
            checks = [bad("redis", _why(error), f"{cli_of(place.url)} PING")]
    if blobs := os.environ.get("HYPERGRAPH_BLOBS"):
        checks.append(surroundings.check_blobs(blobs))
    checks.append(surroundings.check_secret(place))
    checks.append(surroundings.check_embedded(needed=False))
    return checks, is_away


def _check_redis(connection: Connection) -> Iterator[Check]:
    store, url = connection.store, connection.place.shown
    yield from check_server(look_at(store.link, cli_of(connection.place.url)), url)
    workers = live_workers(store)
    start = connection.place.command("worker")
    yield surroundings.check_workers(workers, start)
    waiting = surroundings.waiting_tasks(store)
    served = [queue for worker in workers for queue in worker.queues]
    tickets = surroundings.count_tickets(store, [*served, *waiting, tagged("default")])
    yield surroundings.check_queues(waiting, tickets, workers, start)


def _why(error: StoreUnavailable) -> str:
    reason = f": {figures.one_line(error.reason)}" if error.reason else ""
    return f"{error.url} does not answer{reason}"


def _plain(check: Check) -> dict[str, object]:
    return {**asdict(check), "verdict": check.verdict.value}


def show(console: Console, checks: Sequence[Check]) -> None:
    """Print the diagnosis, and below it how to put right what is not."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        mark = Text(check.verdict.value, _STYLES[check.verdict])
        table.add_row(mark, check.name, Text(check.found))
    screen.put(console, table)
    to_fix = [check for check in checks if check.fix or check.commands]
    if to_fix:
        console.print()
        screen.put(console, Text("To put it right", "dim"))
    for check in to_fix:
        screen.put(console, Text.assemble((check.name, "bold"), f"  {check.fix}"), indent=2)
        for command in check.commands:
            for line in continued(command, console.width - 4):
                console.print(Text(f"    {line}"), soft_wrap=True)


def continued(command: str, width: int) -> list[str]:
    """Return a command in lines that a shell reads as one.

    >>> continued("redis-cli CONFIG SET appendonly yes", 24)
    ['redis-cli CONFIG SET \\\\', '  appendonly yes']
    """
    lines, line = [], ""
    for word in command.split(" "):
        if line.strip() and len(line) + len(word) + 3 > width:
            lines.append(f"{line} \\")
            line = " "
        line = f"{line} {word}" if line else word
    return [*lines, line]
