"""Turn a value into bytes and back.

Two formats, told apart by the first byte::

    0x80   a bare pickle, protocol 5: that is the opcode every such pickle begins with
    0x01   a frame: a pickle whose large buffers lie behind it, uncopied on their way

    frame: 0x01 | 7 zero bytes | number n of buffers (u64) | size of the pickle (u64)
           | n sizes (u64) | pickle | buffers, each starting at a multiple of 64

Numbers are little-endian. A buffer is what an object offers to pickle protocol 5: the
data of a NumPy array, an Arrow column.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Collection, Sequence
from typing import Any

from hypergraph.errors import CorruptPayload, PayloadError, PayloadTooLarge, UnserializableInput
from hypergraph.values import culprit
from hypergraph.values.digest import Buffer
from hypergraph.values.pickler import PROTOCOL, Policy, Ship, new_pickler
from hypergraph.values.unpickler import Prefer, load

#: Their pickles are the same in every process and name nothing.
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_BARE = 0x80
_FRAME = 0x01
_HEAD = struct.Struct("<Q Q Q")  #: tag, number of buffers, size of the pickle
_ALIGN = 64
_SMALL = 4_096  #: bytes; a smaller buffer is cheaper inside the pickle

#: Makes the error for a value that cannot travel, from ``path=``, ``kind=``, ``reason=``.
Refusal = Callable[..., PayloadError]

_POLICIES: dict[Ship, Policy] = {
    "auto": Policy(),
    "value": Policy(),  # what else goes by value then depends on a node, see `ship`
    "reference": Policy("reference"),
}


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
    if type(value) in _SCALARS:
        data = pickle.dumps(value, PROTOCOL)
        if limit_bytes is None or len(data) <= limit_bytes:
            return data
    return joined(encode_parts(value, where=where, error=error, limit_bytes=limit_bytes, ship=ship))


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
    policy = _POLICIES[ship]
    try:
        parts = dump_parts(value, policy)
    except Exception as failure:  # pickling runs code of the user's: it can raise anything
        found = culprit.find(value, where, policy)
        reason = culprit.reason_of(failure)
        raise error(path=found.path, kind=found.kind, reason=reason) from failure
    if limit_bytes is not None and (size := sum(map(_size, parts))) > limit_bytes:
        raise PayloadTooLarge(size, limit_bytes, culprit.largest(value, where))
    return parts


def decode(
    data: Buffer, *, prefer: Prefer = "importable", allow_modules: Collection[str] | None = None
) -> Any:
    """Return the value of bytes whose signature or digest has been verified.

    Arrays come back writable. They share memory with `data` if that is a `bytearray`,
    else each has its own.

    Args:
        data: What :func:`encode` returned.
        prefer: Which wins of two classes of one name: ``importable`` for a process that
            reads results, ``shipped`` for one that executes shipped code.
        allow_modules: If given, only code of these modules may be used, and none by value.

    Raises:
        MissingModule: The value needs a module that cannot be imported here.
        CorruptPayload: These are not bytes of ours.
        UntrustedPayload: `allow_modules` forbids what it needs.
        Exception: Whatever a class of the user's raises while its object is restored.
    """
    tag = data[0] if data else None
    if tag == _BARE:
        return load(bytes(data), prefer=prefer, allow_modules=allow_modules)
    if tag == _FRAME:
        pickled, buffers = _unframed(data)
        return load(pickled, buffers, prefer=prefer, allow_modules=allow_modules)
    raise CorruptPayload(f"a value of {len(data)} bytes", "a known format", f"first byte {tag}")


def dump_parts(value: Any, policy: Policy) -> list[Buffer]:
    """Return the bytes of `value` in parts, as :func:`encode_parts`, with raw errors."""
    buffers: list[memoryview] = []
    with io.BytesIO() as file:
        pickler = new_pickler(file, policy, _collector(buffers))
        # Not cloudpickle's `dump`: that only rewords a RecursionError.
        pickle.Pickler.dump(pickler, value)
        pickled = file.getvalue()
    return _framed(pickled, buffers) if buffers else [pickled]


def joined(parts: Sequence[Buffer]) -> bytes:
    """Return `parts` as one piece."""
    if len(parts) == 1 and isinstance(parts[0], bytes):
        return parts[0]
    return b"".join(parts)


def _collector(buffers: list[memoryview]) -> Callable[[pickle.PickleBuffer], bool]:
    def collect(buffer: pickle.PickleBuffer) -> bool:
        """Take a buffer out of the pickle, or return True to leave it there."""
        raw = buffer.raw()
        if raw.nbytes < _SMALL:
            return True
        buffers.append(raw)
        return False

    return collect


def _framed(pickled: bytes, buffers: list[memoryview]) -> list[Buffer]:
    sizes = struct.pack(f"<{len(buffers)}Q", *[buffer.nbytes for buffer in buffers])
    parts: list[Buffer] = [_HEAD.pack(_FRAME, len(buffers), len(pickled)) + sizes + pickled]
    end = len(parts[0])
    for buffer in buffers:
        parts.append(bytes(-end % _ALIGN))
        parts.append(buffer)
        end += len(parts[-2]) + buffer.nbytes
    return parts


def _unframed(data: Buffer) -> tuple[bytes, list[Buffer]]:
    view = memoryview(data)
    try:
        _, count, size = _HEAD.unpack_from(view)
        if count > len(view) // 8:
            raise struct.error
        sizes = struct.unpack_from(f"<{count}Q", view, _HEAD.size)
    except struct.error:
        raise _cut_short(data) from None
    end = _HEAD.size + 8 * count + size
    pickled = bytes(view[end - size : end])
    buffers: list[Buffer] = []
    for size in sizes:
        start = end + -end % _ALIGN
        end = start + size
        part = view[start:end]
        buffers.append(bytearray(part) if view.readonly else part)
    if end != len(view):
        raise _cut_short(data)
    return pickled, buffers


def _cut_short(data: Buffer) -> CorruptPayload:
    return CorruptPayload(f"a framed value of {len(data)} bytes", "all its parts", "fewer")


def _size(part: Buffer) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)
