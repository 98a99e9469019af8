"""Log records are JSON for who reads them by program, whatever they were given."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from hypergraph.worker import output
from hypergraph.worker.logs import JsonFormatter
from hypergraph.worker.mark import Marked
from hypergraph.worker.output import JsonLineWriter, clear_context, set_context


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    yield
    clear_context()


def logged(message: str, *args: object, **extra: object) -> dict[str, Any]:
    """Return what a program reads of a warning."""
    record = logging.getLogger("mine").makeRecord(
        "mine", logging.WARNING, __file__, 1, message, args, None, extra=extra
    )
    record.created = 1_700_000_000.25
    output.stamp(record)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_record_is_an_object_with_time_level_logger_message_and_pid() -> None:
    assert logged("it took %d s", 5) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "WARNING",
        "logger": "mine",
        "message": "it took 5 s",
        "pid": os.getpid(),
    }


def test_what_a_record_was_given_besides_are_fields() -> None:
    found = logged("", run="run-1a2b", node="embed", document={"id": 7}, ratio=float("nan"))

    assert (found["run"], found["node"], found["document"]) == ("run-1a2b", "embed", {"id": 7})
    assert found["ratio"] == "nan"


def test_a_body_s_records_say_run_node_item_and_attempt() -> None:
    set_context("run-1a2b", "embed", 7, 2)

    found = logged("done")

    fields = {name: found[name] for name in ("run", "node", "item", "attempt")}
    assert fields == {"run": "run-1a2b", "node": "embed", "item": 7, "attempt": 2}


def test_what_there_is_not_is_left_out() -> None:
    set_context("run-1a2b", "")

    assert not {"node", "item", "attempt"} & logged("done").keys()
    assert Marked(0, "run-1a2b", "map", "", -1, True, 1).fields() == {"run": "run-1a2b"}


def test_a_record_that_knows_better_keeps_what_it_says() -> None:
    set_context("run-1a2b", "embed")

    assert logged("another one", run="run-3c4d")["run"] == "run-3c4d"


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_nothing_that_a_node_logs_makes_logging_fail() -> None:
    circle: list[Any] = []
    circle.append(circle)

    found = logged("", circle=circle, kinds={(1, 2): 3}, what=Unspeakable(), path=io.BytesIO)

    assert found["circle"] == "<list>"
    assert found["kinds"] == "<dict>"
    assert found["what"] == "<Unspeakable>"
    assert "BytesIO" in found["path"]


def test_a_traceback_is_one_field() -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        record = logging.getLogger("mine").makeRecord(
            "mine", logging.ERROR, __file__, 1, "failed", (), sys.exc_info()
        )

    found = json.loads(JsonFormatter().format(record))

    assert found["exception"].startswith("Traceback (most recent call last):\n")
    assert found["exception"].endswith("KeyError: 'lost'")


def test_every_line_that_is_printed_is_an_object_too() -> None:
    terminal = io.StringIO()
    writer = JsonLineWriter(terminal, "stdout")

    print("outside", file=writer)
    set_context("run-1a2b", "embed", 7, 1)
    print('two "lines"\nof text', file=writer)

    outside, first, second = map(json.loads, terminal.getvalue().splitlines())
    assert (outside["message"], outside["logger"]) == ("outside", "stdout")
    assert "run" not in outside
    assert (first["message"], second["message"]) == ('two "lines"', "of text")
    assert (second["run"], second["node"], second["item"]) == ("run-1a2b", "embed", 7)
