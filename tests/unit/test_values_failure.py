from __future__ import annotations

import pickle
import socket
import threading
from typing import Any

import msgpack
import pytest

from hypergraph.errors import (
    CorruptPayload,
    MissingInputError,
    NodeExited,
    RemoteError,
    UnserializableResult,
    WorkerCrashed,
)
from hypergraph.nodes import FunctionNode
from hypergraph.values.failure import describe_failure, pack_failure, unpack_failure


def packed(exc: BaseException, **changes: Any) -> bytes:
    about: dict[str, Any] = {"node": "outer/inner", "item": 3, "worker": "host:17", "attempt": 1}
    return pack_failure(exc, **(about | changes))


def raised_by(function: Any) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


class Rich(ValueError):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.detail = {"code": code}


class Wordy(Exception):
    """Passes a message upwards, as most exceptions do that take arguments."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"missing {', '.join(names)}")


class Demanding(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Silent(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class Deaf(Exception):
    """Forgets what was added to it."""

    def __reduce__(self) -> Any:
        return Deaf, self.args


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("x", 3),
        KeyError("k"),
        Rich(7),
        OSError(2, "No such file", "f.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        socket.gaierror(-2, "Name or service not known"),
        StopIteration(3),
        KeyboardInterrupt(),
        SystemExit(3),
        ExceptionGroup("two", [ValueError(1), TypeError(2)]),
        MissingInputError(["x"], ["y"]),
        UnserializableResult("$.a", "lock", node="n", item=1),
        WorkerCrashed(9, None, "n", 3, "w", 3),
        NodeExited(0, "n"),
        ValueError("\udcff is no character"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_an_exception_arrives_as_it_left(exc: BaseException) -> None:
    back = unpack_failure(packed(exc))

    assert type(back) is type(exc)
    assert str(back) == str(exc)
    assert back.args == exc.args or isinstance(exc, ExceptionGroup)
    own = {k: v for k, v in vars(back).items() if k != "__notes__"}
    assert own == vars(exc)


def test_its_note_says_where_it_was_raised() -> None:
    def body() -> None:
        raise ValueError("no")

    note = unpack_failure(packed(raised_by(body), attempt=2)).__notes__[-1]

    assert note.startswith(
        "Raised in node 'outer/inner', item 3 on worker host:17, attempt 2:\n"
        "Traceback (most recent call last):\n"
    )
    assert 'raise ValueError("no")' in note
    assert note.endswith("ValueError: no")


def test_outside_a_map_and_at_the_first_attempt_the_note_is_short() -> None:
    note = unpack_failure(packed(ValueError("no"), item=None)).__notes__[-1]

    assert note == "Raised in node 'outer/inner' on worker host:17:\nValueError: no"


@pytest.mark.parametrize("exc", [ValueError("x"), Deaf("x"), Demanding(1, 2)])
def test_notes_from_before_come_first(exc: Exception) -> None:
    exc.add_note("one")
    exc.add_note("two")

    assert unpack_failure(packed(exc)).__notes__[:2] == ["one", "two"]
    assert len(unpack_failure(packed(exc)).__notes__) == 3


@pytest.mark.parametrize(
    ("exc", "message", "reason"),
    [
        pytest.param(Demanding(1, 2), "1 and 2", "does not load", id="needs other arguments"),
        pytest.param(Wordy(["a", "b"]), "missing a, b", "changed", id="would say something else"),
        pytest.param(Locked(), "locked", "Locked.lock", id="does not pickle"),
        pytest.param(Silent(), "<its __str__ raised ZeroDivisionError>", "", id="cannot speak"),
    ],
)
def test_what_does_not_travel_arrives_as_a_remote_error(
    exc: Exception, message: str, reason: str
) -> None:
    back = unpack_failure(packed(exc))

    if isinstance(exc, Silent):
        assert type(back) is Silent
        return
    assert isinstance(back, RemoteError)
    assert back.error_type == f"{__name__}.{type(exc).__name__}"
    assert back.message == message
    assert reason in back.reason
    assert message in back.traceback


def test_what_does_not_load_where_it_arrives_is_a_remote_error() -> None:
    record = msgpack.unpackb(packed(ValueError("x")))
    record["pickle"] = pickle.dumps(ValueError, 2).replace(b"ValueError", b"ValueBrror")

    back = unpack_failure(msgpack.packb(record))

    assert isinstance(back, RemoteError)
    assert (back.error_type, back.message) == ("ValueError", "x")


def test_an_exception_that_drags_much_along_arrives_as_text() -> None:
    back = unpack_failure(packed(ValueError("x", bytes(11_000_000))))

    assert isinstance(back, RemoteError)
    assert "allowed" in back.reason
    assert len(back.message) < 70_000


# --- chains -------------------------------------------------------------------------


def test_causes_and_contexts_arrive() -> None:
    def body() -> None:
        try:
            try:
                raise KeyError("first")
            except KeyError as error:
                raise Demanding(1, 2) from error
        except Demanding:
            raise ValueError("third")  # noqa: B904

    back = unpack_failure(packed(raised_by(body)))

    assert type(back) is ValueError
    assert back.__cause__ is None
    assert not back.__suppress_context__
    assert isinstance(back.__context__, RemoteError)
    assert isinstance(back.__context__.__cause__, KeyError)
    assert back.__context__.__context__ is back.__context__.__cause__
    assert back.__context__.__suppress_context__


def test_a_suppressed_context_stays_suppressed() -> None:
    def body() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second") from None

    back = unpack_failure(packed(raised_by(body)))

    assert back.__suppress_context__
    assert describe_failure(packed(raised_by(body)))["causes"] == []


def test_long_and_circular_chains_end() -> None:
    exc = last = ValueError(0)
    for number in range(1, 20):
        last.__cause__ = ValueError(number)
        last = last.__cause__
    last.__cause__ = exc

    back: BaseException | None = unpack_failure(packed(exc))

    numbers = []
    while back is not None:
        numbers.append(back.args[0])
        back = back.__cause__
    assert numbers == [0, 1, 2, 3, 4]


# --- texts --------------------------------------------------------------------------


def test_the_traceback_begins_with_the_users_code() -> None:
    def body() -> None:
        raise ValueError("no")

    exc = raised_by(FunctionNode(body))
    assert exc.__traceback__ is not None
    exc.__traceback__ = exc.__traceback__.tb_next  # as if a runner of ours had caught it
    text = describe_failure(packed(exc))["traceback"]

    assert "in body" in text
    assert "hypergraph/nodes" not in text


def test_an_error_of_our_own_code_keeps_its_frames() -> None:
    text = describe_failure(packed(raised_by(lambda: FunctionNode(3))))["traceback"]  # type: ignore[arg-type]

    assert "hypergraph/nodes" in text


def test_a_long_traceback_loses_its_middle() -> None:
    text = describe_failure(packed(ValueError("x" * 1_000_000)))["traceback"]

    assert len(text) < 70_000
    assert "characters left out" in text


def test_it_is_described_without_unpickling(monkeypatch: pytest.MonkeyPatch) -> None:
    exc = Rich(7)
    exc.add_note("note")
    exc.__cause__ = KeyError("k")
    data = packed(exc)

    monkeypatch.setattr(pickle, "loads", None)
    monkeypatch.setattr(pickle, "Unpickler", None)
    described = describe_failure(data)

    assert described.pop("traceback").endswith("Rich: 7\nnote\n")
    assert described == {
        "type": f"{__name__}.Rich",
        "message": "7",
        "notes": ["note"],
        "node": "outer/inner",
        "item": 3,
        "worker": "host:17",
        "attempt": 1,
        "causes": ["KeyError: 'k'"],
    }


@pytest.mark.parametrize("data", [b"", b"\xc1", msgpack.packb([1]), msgpack.packb({})])
def test_bytes_that_are_no_failure_are_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptPayload):
        describe_failure(data)


def test_a_secret_does_not_leave_in_any_form() -> None:
    def without_secret(text: str) -> str:
        return text.replace("hunter2", "***")

    exc = ConnectionError("redis://u:hunter2@h")
    exc.add_note("tried hunter2")
    exc.__cause__ = Rich(1)
    exc.__cause__.detail = {"password": "hunter2"}  # type: ignore[dict-item]
    data = packed(exc, secret_redact=without_secret)
    back = unpack_failure(data)

    assert b"hunter2" not in data
    assert isinstance(back, RemoteError)
    assert back.message == "redis://u:***@h"
    assert isinstance(back.__cause__, RemoteError)
