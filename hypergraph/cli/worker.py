"""``hypergraph worker``: this machine becomes a worker host, until a signal says otherwise."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence

import click

from hypergraph.cli.connection import Connection, Place, WrongUse, place_options
from hypergraph.errors import StoreUnavailable
from hypergraph.worker.logs import FORMATS, configure
from hypergraph.worker.supervisor import run_worker

#: How long Redis may stay away before the worker gives up, at its start.
FIRST_CONTACT_S = 5.0


def _names(context: click.Context, option: click.Parameter, text: str | None) -> list[str] | None:
    """Read names with commas between."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise click.BadParameter("name at least one", context, option)
    return names


def _labels(
    context: click.Context, option: click.Parameter, labels: Sequence[str]
) -> Sequence[str]:
    for label in labels:
        key, equals, value = label.partition("=")
        if not (key.strip() and equals and value.strip()) or "," in label:
            raise click.BadParameter(f"{label!r} is not key=value", context, option)
    return labels


@click.command()
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Child processes; by default one per core.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Nodes at a time in each process; 1. More only help nodes that wait.",
)
@click.option(
    "--queues",
    default="default",
    callback=_names,
    metavar="A,B",
    help="Queues to take work from; `default`.",
)
@click.option("--name", metavar="NAME", help="Shown in lists; by default the host's name.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    callback=_labels,
    metavar="KEY=VALUE",
    help="Shown in lists; as often as you like.",
)
@click.option(
    "--drain-s",
    type=click.FloatRange(min=0),
    default=25.0,
    metavar="S",
    help="Time for what runs to finish, when told to stop; 25.",
)
@click.option(
    "--blobs",
    metavar="DIRECTORY",
    help="Where large values lie, as for the clients; HYPERGRAPH_BLOBS.",
)
@click.option(
    "--allow-modules",
    callback=_names,
    metavar="A,B",
    help="Run only functions of these modules, and no code that a client brings along.",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    envvar="HYPERGRAPH_LOG_FORMAT",
    default="text",
    help="text, or json for programs: an object per line; HYPERGRAPH_LOG_FORMAT.",
)
@click.option("--wait", is_flag=True, help="At the start, wait for a Redis that is not there yet.")
@place_options
def worker(
    place: Place,
    processes: int | None,
    threads: int,
    queues: list[str],
    name: str | None,
    labels: Sequence[str],
    drain_s: float,
    allow_modules: list[str] | None,
    blobs: str | None,
    log_format: str,
    wait: bool,
) -> None:
    """Run nodes for clients of a Redis, on this machine.

    SIGTERM or Ctrl-C: finish what runs, give back the rest, and stop. Again: stop at once.
    """
    place = place.checked()
    secret = place.read_secret()
    configure(log_format)
    _meet(place, wait=wait)
    try:
        code = run_worker(
            place.url,
            namespace=place.namespace,
            processes=processes,
            threads=threads,
            queues=queues,
            name=name,
            labels=labels,
            secret=secret,
            drain_s=drain_s,
            allow_modules=allow_modules,
            blobs=blobs,
            log_format=log_format,
        )
    except ValueError as error:
        raise WrongUse(str(error)) from error
    sys.exit(code)


def _meet(place: Place, *, wait: bool) -> None:
    """See that Redis answers.

    Raises:
        StoreUnavailable: It does not, and nobody wants to wait for it.
    """
    told = False
    while True:
        connection = Connection(place, FIRST_CONTACT_S)
        try:
            connection.store.link.pipeline([("PING",)])
            return
        except StoreUnavailable as error:
            if not wait:
                raise
            if not told:
                logging.getLogger("hypergraph.worker").warning("%s Waiting for it.", error)
            told = True
            time.sleep(1.0)
        finally:
            connection.close()
