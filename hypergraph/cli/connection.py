"""How every command finds its Redis, its namespace and its secret."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypergraph.coordinator.reconcile import Coordinator
    from hypergraph.store.records import Sealer
    from hypergraph.store.redis import RedisStore

P = ParamSpec("P")
R = TypeVar("R")

#: How long a command waits for a Redis that does not answer.
PATIENCE_S = 2.0


class WrongUse(click.ClickException):
    """The command was called wrongly, or lacks something that only the caller can give."""

    exit_code = 2


@dataclass(frozen=True)
class Place:
    """Which Redis, which part of it, and what opens it.

    A group and its subcommands take the same options; what a subcommand is given counts.
    """

    url: str = ""
    namespace: str = ""
    secret_file: str = ""

    @property
    def shown(self) -> str:
        """The URL without its password."""
        from hypergraph.store.link import redact

        return redact(self.url)

    def command(self, name: str) -> str:
        """Return how one of our commands is called for this place, without showing a password."""
        words = ["hypergraph", name]
        if self.url and self.shown == self.url:
            words += ["--url", self.url]
        if self.namespace not in ("", "default"):
            words += ["--namespace", self.namespace]
        return " ".join(words)

    @property
    def runner(self) -> str:
        """The Python that makes a runner for this place, without showing a password."""
        # Without a URL it takes that of the environment, where it came from if it has a password.
        arguments = [f'"{self.url}"'] if self.shown == self.url else []
        if self.namespace not in ("", "default"):
            arguments.append(f'namespace="{self.namespace}"')
        return f"DistributedRunner({', '.join(arguments)})"

    def over(self, outer: Place | None) -> Place:
        """Return this place, with what it lacks taken from the group's."""
        if outer is None:
            return self
        return Place(
            self.url or outer.url,
            self.namespace or outer.namespace,
            self.secret_file or outer.secret_file,
        )

    def checked(self) -> Place:
        """Return this place if its URL can be one.

        Raises:
            WrongUse: There is no URL, or it is none of Redis.
        """
        if not self.url:
            raise WrongUse(
                "Which Redis? Give --url redis://host:6379, or set HYPERGRAPH_REDIS_URL. "
                "(DistributedRunner() without a URL has one of its own, which ends with it.)"
            )
        scheme = urlsplit(self.url).scheme
        if scheme not in ("redis", "rediss", "unix"):
            raise WrongUse(
                f"{self.shown!r} is no URL of a Redis: it begins with redis://, rediss:// or "
                "unix://, as in redis://queue-host:6379/0"
            )
        return replace(self, namespace=self.namespace or "default")

    def read_secret(self) -> str | None:
        """Return what the file holds that was named as the secret, or None if none was.

        Raises:
            WrongUse: It cannot be read.
        """
        if not self.secret_file:
            return None
        try:
            return Path(self.secret_file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise WrongUse(f"--secret-file {self.secret_file} cannot be read: {reason}") from error


class Connection:
    """A way to one namespace of one Redis. Opened at the first use of what it holds."""

    def __init__(self, place: Place, patience_s: float = PATIENCE_S) -> None:
        self.place = place
        self._patience_s = patience_s

    @cached_property
    def store(self) -> RedisStore:
        """What the namespace holds.

        Raises:
            WrongUse: The URL makes no sense to the driver.
        """
        from hypergraph.store.link import Link
        from hypergraph.store.redis import RedisStore

        # "It does not answer; trying again" is what the command's own error says.
        logging.getLogger("hypergraph.store").setLevel(logging.ERROR)
        try:
            link = Link(self.place.url, patience_s=self._patience_s, timeout_s=self._patience_s)
        except ValueError as error:
            raise WrongUse(f"{self.place.shown!r} is no URL of a Redis: {error}") from error
        return RedisStore(link, self.place.namespace)

    @cached_property
    def sealer(self) -> Sealer:
        """Opens and seals records.

        Raises:
            WrongUse: There is no secret, or it cannot be used. The text says what to do.
        """
        from hypergraph.store.records import Sealer
        from hypergraph.values.secret import load_secret
        from hypergraph.values.sign import Signer

        try:
            key, previous = load_secret(self.place.read_secret(), self.place.url)
        except ValueError as error:
            raise WrongUse(str(error)) from error
        return Sealer(Signer(key, previous), self.place.namespace)

    @cached_property
    def coordinator(self) -> Coordinator:
        """Decides for runs."""
        from hypergraph.coordinator.reconcile import Coordinator, SpecCache
        from hypergraph.transport.tickets import Tickets

        tickets = Tickets(self.store.link, self.store.keys, self.sealer)
        return Coordinator(self.store, self.sealer, tickets, SpecCache(self.store))

    def close(self) -> None:
        """Close what was opened."""
        if "store" in self.__dict__:
            self.store.link.close()


@contextmanager
def connect(place: Place) -> Iterator[Connection]:
    """Give a connection to `place` for as long as the block lasts."""
    connection = Connection(place.checked())
    try:
        yield connection
    finally:
        connection.close()


def _of_environment() -> Place:
    return Place(url=os.environ.get("HYPERGRAPH_REDIS_URL", ""))


def place_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that say where; it gets them as one `Place`, first."""

    @click.option(
        "--url",
        metavar="URL",
        default="",
        help="The Redis, as in redis://host:6379; by default HYPERGRAPH_REDIS_URL, which is the "
        "better place for a password.",
    )
    @click.option(
        "--namespace", metavar="NAME", default="", help="Which runs and workers; `default`."
    )
    @click.option(
        "--secret-file",
        type=click.Path(dir_okay=False),
        default="",
        help="File with the signing secret; by default HYPERGRAPH_SECRET or "
        "HYPERGRAPH_SECRET_FILE.",
    )
    @click.pass_context
    @functools.wraps(command)
    def with_place(
        context: click.Context, /, url: str, namespace: str, secret_file: str, **options: Any
    ) -> R:
        outer = context.parent.obj if context.parent is not None else None
        # Not by click's `envvar`: what a group was given counts for more than the environment.
        place = Place(url, namespace, secret_file).over(outer).over(_of_environment())
        context.obj = place
        return command(place, **options)

    return with_place


#: Every command that reads can be read by a program.
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: all there is, for programs."
)
