"""The command line is quick to answer and says by its exit code what went wrong."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import hypergraph
from hypergraph.cli import main as cli
from hypergraph.errors import HypergraphError, RunCancelled, StoreUnavailable


def test_the_version() -> None:
    told = CliRunner().invoke(cli.main, ["--version"])

    assert told.output == f"hypergraph {hypergraph.__version__}\n"


def test_help_imports_no_command() -> None:
    program = (
        "import sys; from hypergraph.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print([m for m in ('rich', 'redis', 'dramatiq', 'asyncio') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert told.stdout.splitlines()[-1] == "[]"
    assert all(name in told.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_that_fits_80_columns(name: str) -> None:
    told = CliRunner().invoke(cli.main, [name, "--help"], terminal_width=80)

    assert told.exit_code == 0, told.output
    assert max(map(len, told.output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(RunCancelled("run-1"), 1, id="what failed"),
        pytest.param(click.UsageError("no such option"), 2, id="what was called wrongly"),
        pytest.param(StoreUnavailable("redis://there", "refused"), 3, id="Redis away"),
    ],
)
def test_exit_codes(
    error: HypergraphError | click.UsageError, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli._Commands, "get_command", lambda self, ctx, name: fail)
    told = CliRunner().invoke(cli.main, ["fail"])

    assert told.exit_code == code
    assert str(error) in told.output
    assert "Traceback" not in told.output


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(cli.main, ["demon"]).exit_code == 2
