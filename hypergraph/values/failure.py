"""Take an exception from the process where it was raised to the one that waits for it.

Every part travels on its own, as text where it can: whatever happens to the pickle of
the exception itself, its type, message, notes and traceback arrive. The pickle is
tried out where it is made; what does not come back as it left is not sent. What does
not load where it arrives is replaced by a `RemoteError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from traceback import TracebackException
from typing import Any

import msgpack

from hypergraph.errors import CorruptPayload, PayloadError, RemoteError
from hypergraph.values.codec import encode
from hypergraph.values.digest import Buffer
from hypergraph.values.unpickler import decode

_DEPTH = 5  #: how many links of a chain of causes travel
_PICKLE_LIMIT = 10_000_000  #: bytes; an exception that drags more along travels as text
_TEXT_LIMIT = 64_000  #: characters of a traceback or a message; a longer one loses its middle

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
#: Parts of this package that call a node's body; their frames tell the user nothing.
_MACHINERY = tuple(
    _PACKAGE + part + os.sep
    for part in ("coordinator", "nodes", "plan", "runners", "transport", "values", "worker")
)

Redact = Callable[[str], str]
Decode = Callable[[Buffer], Any]


def pack_failure(
    exc: BaseException,
    *,
    node: str,
    item: int | None,
    worker: str,
    attempt: int,
    secret_redact: Redact | None = None,
) -> bytes:
    """Return the bytes of an exception that a node raised.

    Args:
        exc: The exception, as it was caught.
        node: Path of the node, as in ``outer/inner``.
        item: Index of the map item from 0, or `None`.
        worker: Who ran it, as in ``host:pid``.
        attempt: Number of the execution, from 1.
        secret_redact: Takes secrets out of texts. An exception whose message it changes
            travels as text only.
    """
    redact = secret_redact or str
    record = {
        **_link(exc, redact, _DEPTH, set()),
        "traceback": _shortened(redact(_traceback_of(exc))),
        "node": node,
        "item": item,
        "worker": worker,
        "attempt": attempt,
    }
    packed: bytes = msgpack.packb(record, unicode_errors="surrogatepass")
    return packed


def unpack_failure(data: bytes, decode: Decode = decode) -> BaseException:
    """Return the exception that was packed, for the caller to raise.

    It has the type, arguments, attributes, notes and causes that it left with, and one
    more note: where it happened, with the traceback from there. If it did not travel,
    a `RemoteError` of the same text stands in for it.

    Args:
        data: What :func:`pack_failure` returned; its signature was verified.
        decode: The reader's way to decode; a process that executes has its own rules.
    """
    record = _record_of(data)
    exc = _rebuilt(record, record.get("traceback", ""), decode)
    exc.add_note(_where_it_happened(record))
    return exc


def describe_failure(data: bytes) -> dict[str, Any]:
    """Return what can be told of a packed exception without unpickling anything.

    Returns:
        ``type``, ``message``, ``notes``, ``traceback``, ``node``, ``item``, ``worker``
        and ``attempt``, and ``causes``: ``type: message`` of every further link.
    """
    record = _record_of(data)
    kept = ("type", "message", "notes", "traceback", "node", "item", "worker", "attempt")
    causes = [f"{link['type']}: {link['message']}" for link in _further_links(record)]
    return {**{key: record.get(key) for key in kept}, "causes": causes}


def _link(exc: BaseException, redact: Redact, depth: int, seen: set[int]) -> dict[str, Any]:
    """Return one exception of a chain, with what led to it, as plain data."""
    seen.add(id(exc))
    message = _text_of(exc)
    pickled, reason = _pickle_of(exc, message, redact)
    link: dict[str, Any] = {
        "type": type_name(type(exc)),
        "message": _shortened(redact(message)),
        "notes": [redact(str(note)) for note in getattr(exc, "__notes__", ())],
        "pickle": pickled,
        "reason": reason,
        "suppress": exc.__suppress_context__,
        "same": exc.__context__ is exc.__cause__,  # `raise ... from` inside `except`
    }
    for name in ("cause", "context"):
        further = getattr(exc, f"__{name}__")
        if further is not None and depth > 1 and id(further) not in seen:
            link[name] = _link(further, redact, depth - 1, seen)
    return link


def _pickle_of(exc: BaseException, message: str, redact: Redact) -> tuple[bytes | None, str]:
    """Return a pickle that was seen to load as `exc`, or why there is none."""
    held = f"{message} {_text_of(exc, repr)} {_text_of(vars(exc), repr)}"
    if redact(held) != held:
        return None, "it holds a secret"
    try:
        data = encode(exc, where=type(exc).__name__, limit_bytes=_PICKLE_LIMIT)
    except PayloadError as error:
        return None, str(error)
    try:
        copy = decode(data)
    except Exception as error:  # its class restores it, and that is the user's code
        return None, f"{type_name(type(exc))} does not load from its pickle: {error}"
    if type(copy) is not type(exc) or _text_of(copy) != message:
        return None, f"{type_name(type(exc))} comes out of its pickle changed"
    return data, ""


def _rebuilt(link: dict[str, Any], traceback: str, decode: Decode) -> BaseException:
    exc = _original(link, decode)
    if exc is None:
        exc = RemoteError(
            link["type"],
            link["message"],
            traceback=traceback,
            reason=link.get("reason") or "its pickle does not load here",
        )
    if list(getattr(exc, "__notes__", ())) != link["notes"]:
        exc.__notes__ = list(link["notes"])
    if "cause" in link:
        exc.__cause__ = _rebuilt(link["cause"], "", decode)
    if "context" in link:
        exc.__context__ = _rebuilt(link["context"], "", decode)
    elif link["same"]:
        exc.__context__ = exc.__cause__
    exc.__suppress_context__ = link["suppress"]
    return exc


def _original(link: dict[str, Any], decode: Decode) -> BaseException | None:
    if link["pickle"] is None:
        return None
    try:
        exc = decode(link["pickle"])
    except Exception:  # its class is not here, or restores it by code of the user's
        return None
    return exc if isinstance(exc, BaseException) else None


def _where_it_happened(record: dict[str, Any]) -> str:
    item = "" if record["item"] is None else f", item {record['item']}"
    attempt = "" if record["attempt"] == 1 else f", attempt {record['attempt']}"
    head = f"Raised in node {record['node']!r}{item} on worker {record['worker']}{attempt}"
    traceback = record["traceback"].rstrip()
    return f"{head}:\n{traceback}" if traceback else f"{head}."


def _further_links(link: dict[str, Any]) -> list[dict[str, Any]]:
    further = link.get("cause") or (None if link["suppress"] else link.get("context"))
    return [] if further is None else [further, *_further_links(further)]


def _record_of(data: bytes) -> dict[str, Any]:
    try:
        record = msgpack.unpackb(data, unicode_errors="surrogatepass")
    except ValueError as error:
        raise CorruptPayload("a failure", "a msgpack map", str(error)) from error
    if not isinstance(record, dict) or "type" not in record:
        raise CorruptPayload("a failure", "a msgpack map", type(record).__name__)
    return record


def type_name(cls: type) -> str:
    """Return the name of an exception class as a traceback shows it.

    >>> type_name(ValueError)
    'ValueError'
    """
    if cls.__module__ in ("builtins", "__main__"):
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def _text_of(thing: object, form: Callable[[object], str] = str) -> str:
    try:
        return form(thing)
    except Exception as error:  # __str__ and __repr__ are the user's
        return f"<its __{form.__name__}__ raised {type(error).__name__}>"


def _traceback_of(exc: BaseException) -> str:
    """Return the traceback as text, beginning where the user's code does."""
    try:
        whole = TracebackException.from_exception(exc)
        _trim(whole)
        return "".join(whole.format())
    except Exception as error:  # formatting calls the user's __str__ and reads their files
        return f"{type_name(type(exc))}: <no traceback: {error!r}>\n"


def _trim(shown: TracebackException | None) -> None:
    """Leave out the frames of ours that lead to the user's, along the whole chain."""
    seen = set()
    while shown is not None and id(shown) not in seen:
        seen.add(id(shown))
        first = next(
            (n for n, frame in enumerate(shown.stack) if not frame.filename.startswith(_MACHINERY)),
            0,
        )
        del shown.stack[:first]
        shown = shown.__cause__ or shown.__context__


def _shortened(text: str) -> str:
    if len(text) <= _TEXT_LIMIT:
        return text
    left_out = len(text) - _TEXT_LIMIT
    half = _TEXT_LIMIT // 2
    return f"{text[:half]}\n... {left_out} characters left out ...\n{text[-half:]}"
