"""Turn a value into bytes and back.

Two formats, told apart by the first byte::

    0x80   a bare pickle, protocol 5: that is the opcode every such pickle begins with
    0x01   a frame: a pickle whose large buffers lie behind it, see :mod:`frame`
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hypergraph.errors import PayloadError, PayloadTooLarge, UnserializableInput
from hypergraph.values import culprit
from hypergraph.values.digest import Buffer
from hypergraph.values.frame import framed
from hypergraph.values.pickler import PROTOCOL, Pickler, new_pickler
from hypergraph.values.policy import Policy, Ship
from hypergraph.values.unpickler import decode

__all__ = ["decode", "encode", "encode_many", "encode_parts"]

#: Their pickles are the same in every process and name nothing.
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_FEW = 16  #: entries; looking at more takes longer than it saves
_SMALL = 4_096  #: bytes; a smaller buffer is cheaper inside the pickle

#: Makes the error for what cannot travel, from ``path=``, ``kind=`` and ``reason=``.
Refusal = Callable[..., PayloadError]

#: Makes a pickler from a file, a policy and a callback for large buffers.
MakePickler = Callable[[Any, Policy, Any], Pickler]
make_pickler: MakePickler = partial(new_pickler, Pickler)

_POLICIES: dict[Ship, Policy] = {
    "auto": Policy(),
    "value": Policy(),  # what else goes by value then depends on a node, see `ship`
    "reference": Policy("reference"),
}


def send_no_code() -> None:
    """Let all code in what this process encodes go by name: it does not admit any other itself."""
    _POLICIES["auto"] = Policy("reference")


def encode(
    value: Any,
    *,
    where: str = "$",
    error: Refusal = UnserializableInput,
    limit_bytes: int | None = None,
    ship: Ship = "auto",
) -> bytes:
    """Return the bytes of `value`.

    Classes and functions inside it travel as `ship` says, see :mod:`pickler`.

    Args:
        value: Anything that pickles, and what cloudpickle adds to that.
        where: Name of the value in an error, the root of the path to the culprit.
        error: Makes the error for a value that cannot travel.
        limit_bytes: Refuse a value with more bytes than this.
        ship: How code travels.

    Raises:
        UnserializableInput: Or what `error` makes: part of the value does not pickle.
            The path leads to that part, as in ``$.model._lock``.
        PayloadTooLarge: The value has more than `limit_bytes`.
    """
    if type(value) in _SCALARS or _is_flat(value):
        data = pickle.dumps(value, PROTOCOL)
        if limit_bytes is None or len(data) <= limit_bytes:
            return data
    return joined(encode_parts(value, where=where, error=error, limit_bytes=limit_bytes, ship=ship))


def _is_flat(value: Any) -> bool:
    """Whether `value` is a small container of scalars, which plain pickle does faster."""
    if type(value) is dict and len(value) <= _FEW:
        return _SCALARS.issuperset(map(type, value.values())) and _SCALARS.issuperset(
            map(type, value)
        )
    if type(value) in (list, tuple) and len(value) <= _FEW:
        return _SCALARS.issuperset(map(type, value))
    return False


def encode_many(
    values: Sequence[Any],
    *,
    where: str = "$",
    error: Refusal = UnserializableInput,
    limit_bytes: int | None = None,
    ship: Ship = "auto",
) -> bytes:
    """Return the bytes of a list of `values`. What they share travels once.

    Much faster than :func:`encode` for each: a class of the user's, for one, is in it
    once and not once per value. Arguments and errors as there; an element is ``$[3]``.
    """
    return encode(list(values), where=where, error=error, limit_bytes=limit_bytes, ship=ship)


def encode_parts(
    value: Any,
    *,
    where: str = "$",
    error: Refusal = UnserializableInput,
    limit_bytes: int | None = None,
    ship: Ship = "auto",
) -> list[Buffer]:
    """Return the bytes of `value` in parts, large buffers uncopied.

    Joined, the parts are what :func:`encode` returns. They stay valid as long as
    `value` lives and is not changed.
    """
    parts = dump(value, _POLICIES[ship], where=where, error=error)
    if limit_bytes is not None:
        refuse_larger(parts, limit_bytes, value, where)
    return parts


def dump(
    value: Any,
    policy: Policy,
    *,
    where: str,
    error: Refusal,
    make: MakePickler = make_pickler,
) -> list[Buffer]:
    """Return the bytes of `value` in parts, as :func:`encode_parts`.

    Args:
        value: What to pickle.
        policy: What goes by value. Where that fails the policy may give way, see
            :meth:`Policy.give_way`, and stays so.
        where: As for :func:`encode`.
        error: As for :func:`encode`.
        make: Makes the pickler.
    """
    while True:
        try:
            return _dump_once(value, policy, make)
        except (PayloadError, MemoryError):
            raise
        except Exception as failure:  # pickling runs code of the user's: it can raise anything
            found = culprit.find(value, where, policy)
            if policy in _POLICIES.values():
                policy = Policy(policy.ship)  # what gives way for one value is nothing to others
            if not policy.give_way(found.owner, found.is_annotation):
                reason = culprit.reason_of(failure)
                raise error(path=found.path, kind=found.kind, reason=reason) from failure
            if not found.is_annotation:
                _warn_of_pinned(found)


def _dump_once(value: Any, policy: Policy, make: MakePickler) -> list[Buffer]:
    buffers: list[memoryview] = []

    def leave_inside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _SMALL:
            return True
        buffers.append(raw)
        return False

    file = io.BytesIO()
    # Not cloudpickle's `dump`: that only rewords a RecursionError.
    pickle.Pickler.dump(make(file, policy, leave_inside), value)
    pickled = file.getvalue()
    return framed(pickled, buffers) if buffers else [pickled]


def _warn_of_pinned(found: culprit.Culprit) -> None:
    warnings.warn(
        f"{found.path} (a {found.kind}) does not pickle, so module {found.owner!r} is not sent "
        "to the workers: they have to import it themselves. Make that object inside a function, "
        "or install the module on the workers.",
        UserWarning,
        stacklevel=2,
    )


def joined(parts: Sequence[Buffer]) -> bytes:
    """Return `parts` as one piece."""
    if len(parts) == 1 and isinstance(parts[0], bytes):
        return parts[0]
    return b"".join(parts)


def refuse_larger(parts: Sequence[Buffer], limit_bytes: int, value: Any, where: str) -> None:
    """Raise `PayloadTooLarge` if `parts` have more than `limit_bytes` in all."""
    size = sum(memoryview(part).nbytes for part in parts)
    if size > limit_bytes:
        raise PayloadTooLarge(size, limit_bytes, culprit.largest(value, where))
