"""The command ``hypergraph``. Each command is imported when it is called, not before.

Exit codes: 0, 1 for what failed, 2 for what was called wrongly, 3 when Redis is away.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

import hypergraph
from hypergraph.errors import HypergraphError, StoreUnavailable

#: name -> where the command is, and its line in the help
COMMANDS = {
    "demo": (
        "hypergraph.cli.demo.command:demo",
        "See a real batch run on several worker processes.",
    ),
    "worker": (
        "hypergraph.cli.worker:worker",
        "Run nodes for clients of a Redis, on this machine.",
    ),
    "workers": (
        "hypergraph.cli.workers:workers",
        "List the live worker hosts, and what they run.",
    ),
    "runs": (
        "hypergraph.cli.runs.command:runs",
        "List the latest runs; show, watch, answer or cancel one.",
    ),
    "doctor": (
        "hypergraph.cli.doctor.command:doctor",
        "Check Redis, workers and this machine.",
    ),
}


class _RedisAway(click.ClickException):
    exit_code = 3


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except StoreUnavailable as error:
            raise _RedisAway(str(error)) from error
        except HypergraphError as error:
            raise click.ClickException(str(error)) from error
        except Exception as error:
            if not _is_of_the_driver(error):
                raise  # a bug of ours: its traceback is what we want to see
            raise click.ClickException(f"Redis refuses: {error}") from error


def _is_of_the_driver(error: Exception) -> bool:
    """Whether an error is what Redis has answered. The driver may not even be imported."""
    driver = sys.modules.get("redis")
    return driver is not None and isinstance(error, driver.RedisError)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hypergraph.__version__, message="hypergraph %(version)s")
def main() -> None:
    """Run graphs of plain Python functions in one process or on many machines."""


if __name__ == "__main__":
    main()
