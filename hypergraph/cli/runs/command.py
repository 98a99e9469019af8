"""``hypergraph runs``, and what it does with one of them."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click

from hypergraph.cli import screen
from hypergraph.cli.connection import (
    Connection,
    Place,
    WrongUse,
    connect,
    json_option,
    place_options,
)
from hypergraph.cli.runs import page
from hypergraph.cli.runs.events import Lines, json_line
from hypergraph.cli.runs.table import runs_table
from hypergraph.coordinator.account import Story
from hypergraph.coordinator.follow import Follower, write_cursor
from hypergraph.coordinator.listing import list_runs
from hypergraph.coordinator.story import tell
from hypergraph.errors import AlreadyAnswered, ResultExpired
from hypergraph.events import Event
from hypergraph.runners.answer import answer_run
from hypergraph.store.sights import watch as observe
from hypergraph.worker.registry import live_workers

_STATUSES = ("queued", "running", "paused", "completed", "partial", "failed", "cancelled")


class UnknownRun(click.ClickException):
    """There is nothing under that id, here."""

    def __init__(self, run_id: str, place: Place) -> None:
        super().__init__(
            f"There is no run {run_id!r} in namespace {place.namespace!r} of {place.shown}, or no "
            "more: records go some time after a run's end. `hypergraph runs` lists what there is."
        )


@click.group(invoke_without_command=True)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1, 1000),
    default=20,
    metavar="N",
    help="How many at most; 20.",
)
@click.option(
    "--status",
    "statuses",
    type=click.Choice(_STATUSES),
    multiple=True,
    help="Only runs of this status; more than once for several.",
)
@json_option
@place_options
@click.pass_context
def runs(
    context: click.Context, place: Place, limit: int, statuses: tuple[str, ...], as_json: bool
) -> None:
    """List the latest runs; show, watch, answer or cancel one.

    `done` and `failed` count the nodes of a run, the items of a map.
    """
    if context.invoked_subcommand is not None:
        return
    with connect(place) as connection:
        found = list_runs(connection.store, limit=limit, statuses=statuses)
    if as_json:
        screen.print_json(found)
    elif found:
        console = screen.make_console()
        screen.put(console, runs_table(found, console.width))
    else:
        place = connection.place
        screen.say(f"No runs in namespace {place.namespace!r} of {place.shown}.")


@runs.command()
@click.argument("run_id", metavar="ID")
@json_option
@place_options
def show(place: Place, run_id: str, as_json: bool) -> None:
    """Explain one run: its nodes, items, failures, and who is at it."""
    with connect(place) as connection:
        story = _tell(connection, run_id)
        workers = live_workers(connection.store)
    if as_json:
        screen.print_json(story)
        return
    attach = f'{connection.place.runner}.attach("{run_id}")'
    cancel = f"{connection.place.command('runs cancel')} {run_id}"
    page.show(screen.make_console(), story, workers, attach, cancel)


@runs.command()
@click.argument("run_id", metavar="ID")
@click.option("--after", default="", metavar="CURSOR", help="Begin behind this event; see --json.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object per line, with its cursor.")
@place_options
def watch(place: Place, run_id: str, after: str, as_json: bool) -> None:
    """Tell what happens in a run, from its beginning to its end. Ctrl-C leaves it alone."""
    with connect(place) as connection, suppress(KeyboardInterrupt):
        lines = Lines()
        for cursor, event in _follow(connection, run_id, after):
            click.echo(json_line(cursor, event) if as_json else lines.line(event))


def _follow(connection: Connection, run_id: str, after: str) -> Iterator[tuple[str, Event]]:
    """Yield the events of a run, each with its cursor, until it ends."""
    try:
        follower = Follower(connection.coordinator, run_id, after, unpickles=False)
    except ResultExpired as error:
        raise UnknownRun(run_id, connection.place) from error
    except ValueError as error:
        raise WrongUse(str(error)) from error
    observe(connection.store, run_id)
    while True:
        yield from ((write_cursor(position), event) for position, event in follower.read())
        if follower.is_over:
            return
        follower.wait(1.0)
        if not connection.store.get_meta(run_id):
            raise UnknownRun(run_id, connection.place)


@runs.command()
@click.argument("run_id", metavar="ID")
@click.argument("answer", metavar="NAME=VALUE")
@place_options
def answer(place: Place, run_id: str, answer: str) -> None:
    """Answer a paused run. VALUE is JSON, as in decision=true; else it is taken as text.

    `runs show` says what a paused run waits for. The first answer counts.
    """
    name, sign, text = answer.partition("=")
    if not name or not sign:
        raise WrongUse(f"{answer!r} is no answer: give a name and a value, as in decision=true")
    with connect(place) as connection:
        try:
            answer_run(connection.coordinator, run_id, {name: _value_of(text)})
        except ResultExpired as error:
            raise UnknownRun(run_id, connection.place) from error
        except (AlreadyAnswered, ValueError) as error:
            raise click.ClickException(str(error)) from error
    screen.say(f"Answered run {run_id}; it goes on.")


def _value_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@runs.command()
@click.argument("run_id", metavar="ID")
@json_option
@place_options
def cancel(place: Place, run_id: str, as_json: bool) -> None:
    """End a run: no node starts any more, and no result counts. Repeating it is fine."""
    with connect(place) as connection:
        before = connection.coordinator.cancel(run_id, _by_whom())
        if before == "gone":
            raise UnknownRun(run_id, connection.place)
        story = _tell(connection, run_id)
    if as_json:
        screen.print_json({"run_id": run_id, "before": before, "status": story.status})
    elif before in ("running", "paused"):
        screen.say(f"Cancelled run {run_id}; {_how_far(story)}.")
    else:
        screen.say(f"Run {run_id} had ended before ({before}); nothing was changed.")


def _tell(connection: Connection, run_id: str) -> Story:
    try:
        coordinator = connection.coordinator
        return tell(connection.store, connection.sealer, coordinator.specs, run_id)
    except ResultExpired as error:
        raise UnknownRun(run_id, connection.place) from error


def _how_far(story: Story) -> str:
    if story.items is not None:
        return f"{story.items.ended:,} items had ended, and no more will"
    ended = sum(node.done + node.failed for node in story.nodes)
    return f"{ended:,} of its tasks had ended, and no more will"


def _by_whom() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        user = "somebody"
    return f"{user}@{socket.gethostname()} with `hypergraph runs cancel`"
