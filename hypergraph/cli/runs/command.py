"""``hypergraph runs``, ``runs show``, ``runs cancel``."""

from __future__ import annotations

import getpass
import socket

import click

from hypergraph.cli import screen
from hypergraph.cli.connection import Connection, Place, connect, json_option, place_options
from hypergraph.cli.runs import page
from hypergraph.cli.runs.table import runs_table
from hypergraph.coordinator.account import Story
from hypergraph.coordinator.listing import list_runs
from hypergraph.coordinator.story import tell
from hypergraph.errors import ResultExpired
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
    """List the latest runs; show or cancel one.

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
