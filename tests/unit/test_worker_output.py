"""Every line of a node says where it comes from, whatever the node does with its streams."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from hypergraph.worker import output
from hypergraph.worker.output import LineWriter, clear_context, set_context, set_item


class Terminal(io.StringIO):
    """Remembers how often it was flushed."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    yield
    clear_context()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def writer(terminal: Terminal) -> LineWriter:
    return LineWriter(terminal)


@pytest.mark.parametrize(
    ("item", "prefix"), [(-1, "[run-1a2b embed] "), (0, "[run-1a2b embed[0]] ")]
)
def test_a_line_begins_with_run_node_and_item(
    writer: LineWriter, terminal: Terminal, item: int, prefix: str
) -> None:
    set_context("run-1a2b", "embed", item)
    print("one\n\ntwo", file=writer)

    assert terminal.getvalue() == f"{prefix}one\n{prefix}\n{prefix}two\n"


def test_an_item_of_a_map_of_its_own_has_no_node(writer: LineWriter, terminal: Terminal) -> None:
    set_context("run-1a2b", "", 7)
    print("one", file=writer)

    assert terminal.getvalue() == "[run-1a2b [7]] one\n"


def test_lines_from_outside_bodies_stand_as_they_are(
    writer: LineWriter, terminal: Terminal
) -> None:
    print("before", file=writer)
    set_context("r", "n")
    clear_context()
    print("after", file=writer)

    assert terminal.getvalue() == "before\nafter\n"


def test_each_line_names_the_item_at_hand(writer: LineWriter, terminal: Terminal) -> None:
    where = set_context("r", "n", 0)
    print("zero", file=writer)
    set_item(1)
    print("one", file=writer)
    where.item = 2
    print("two", file=writer)

    assert terminal.getvalue() == "[r n[0]] zero\n[r n[1]] one\n[r n[2]] two\n"


def test_an_item_outside_a_body_means_nothing() -> None:
    set_item(3)


def test_half_a_line_waits_for_its_other_half(writer: LineWriter, terminal: Terminal) -> None:
    set_context("r", "n")
    print("one", end=" ", file=writer)
    writer.flush()
    assert terminal.getvalue() == ""
    print("two", file=writer)

    assert terminal.getvalue() == "[r n] one two\n"


def test_half_a_line_does_not_run_into_the_next_item(
    writer: LineWriter, terminal: Terminal
) -> None:
    set_context("r", "n", 0)
    writer.write("half")
    set_item(1)
    writer.write("whole\n")

    assert terminal.getvalue() == "[r n[0]] half\n[r n[1]] whole\n"


def test_half_a_line_ends_with_its_body(
    monkeypatch: pytest.MonkeyPatch, writer: LineWriter, terminal: Terminal
) -> None:
    monkeypatch.setattr(sys, "stdout", writer)
    set_context("r", "n")
    print("half", end="")
    clear_context()

    assert terminal.getvalue() == "[r n] half\n"


def test_threads_do_not_mix_their_lines(writer: LineWriter, terminal: Terminal) -> None:
    together = threading.Barrier(4)

    def body(number: int) -> None:
        set_context("r", f"n{number}")
        together.wait()
        for line in range(50):
            writer.write(f"{number} ")
            writer.write(f"{line}\n")

    threads = [threading.Thread(target=body, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = {f"[r n{number}] {number} {line}" for number in range(4) for line in range(50)}
    assert set(terminal.getvalue().splitlines()) == expected


def test_of_a_line_that_draws_over_itself_the_latest_state_is_shown(
    writer: LineWriter, terminal: Terminal
) -> None:
    set_context("r", "n")
    for percent in (10, 50, 100):
        writer.write(f"\r{percent} %")
    writer.write("\n")
    writer.write("dos\r\n")

    assert terminal.getvalue() == "[r n] 100 %\n[r n] dos\n"


def test_a_bar_that_never_ends_does_not_fill_the_memory(
    writer: LineWriter, terminal: Terminal
) -> None:
    set_context("r", "n")
    for _ in range(100):
        writer.write("\r" + "=" * 10_000)
    assert terminal.getvalue() == ""
    writer.write("x" * 100_000)

    assert terminal.getvalue() == f"[r n] {'=' * 10_000}{'x' * 100_000}\n"


def test_every_line_is_flushed(writer: LineWriter, terminal: Terminal) -> None:
    print("one", file=writer)

    assert terminal.flushes == 1


def test_write_returns_what_it_was_given_and_takes_text_only(writer: LineWriter) -> None:
    assert writer.write("one\ntwo") == 7
    with pytest.raises(TypeError, match="bytes"):
        writer.write(b"bytes")  # type: ignore[arg-type]


def test_the_rest_of_the_stream_is_as_it_was() -> None:
    with open(os.devnull, "w", encoding="latin-1") as below:
        writer = LineWriter(below)

        assert writer.fileno() == below.fileno()
        assert writer.buffer is below.buffer
        assert writer.encoding == "latin-1"
        assert writer.errors == "strict"
        assert writer.isatty() is False
        assert writer.writable()
        assert writer.name == below.name
        assert isinstance(writer, io.TextIOBase)
        writer.writelines(["one\n", "two\n"])
        with pytest.raises(AttributeError):
            writer.no_such_thing  # noqa: B018


def test_a_body_does_not_fail_when_nobody_reads_what_it_prints() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    below = os.fdopen(writing, "w")
    writer = LineWriter(below)

    print("one", file=writer)
    print("two", file=writer)
    writer.flush()

    with pytest.raises(BrokenPipeError):
        below.close()
    print("three", file=writer)


@contextmanager
def installed() -> Iterator[tuple[TextIO, TextIO]]:
    """Streams of this process that end in memory; no fixture, since pytest sets its own late."""
    root = logging.getLogger()
    with pytest.MonkeyPatch.context() as patch:
        out, err = (io.TextIOWrapper(io.BytesIO(), "ascii", "strict") for _ in range(2))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr(root, "handlers", [])
        patch.setattr(root, "level", root.level)
        patch.setattr("faulthandler.enable", lambda *_, **__: None)
        patch.setattr("os.register_at_fork", lambda **_: None)
        output.install(logging.INFO)
        yield out, err


def written(stream: TextIO) -> str:
    stream.seek(0)
    return stream.read()


def test_log_records_come_with_the_same_prefix_on_every_line() -> None:
    with installed() as (out, err):
        set_context("r", "n", 3)
        logger = logging.getLogger("mine")
        logger.debug("not shown")
        logger.info("two\nlines")

    assert written(err) == "[r n[3]] INFO mine: two\n[r n[3]] lines\n"
    assert written(out) == ""


def test_what_the_terminal_cannot_show_is_no_reason_to_fail() -> None:
    with installed() as (out, _):
        print("snow \N{SNOWMAN}")

    assert written(out) == "snow \\u2603\n"
