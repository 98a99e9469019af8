"""Keep large buffers out of a pickle, and bring both back together.

A frame::

    0x01 | 7 zero bytes | number n of buffers (u64) | size of the pickle (u64)
         | n sizes (u64) | pickle | buffers, each starting at a multiple of 64

Numbers are little-endian. A buffer is what an object offers to pickle protocol 5: the
data of a NumPy array, an Arrow column.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hypergraph.errors import CorruptPayload
from hypergraph.values.digest import Buffer

TAG = 0x01
_HEAD = struct.Struct("<Q Q Q")  #: tag, number of buffers, size of the pickle
_ALIGN = 64


def framed(pickled: bytes, buffers: Sequence[memoryview]) -> list[Buffer]:
    """Return a frame in parts, the buffers uncopied."""
    sizes = struct.pack(f"<{len(buffers)}Q", *[buffer.nbytes for buffer in buffers])
    parts: list[Buffer] = [_HEAD.pack(TAG, len(buffers), len(pickled)) + sizes + pickled]
    end = len(parts[0])
    for buffer in buffers:
        parts.append(bytes(-end % _ALIGN))
        parts.append(buffer)
        end += len(parts[-2]) + buffer.nbytes
    return parts


def unframed(data: Buffer) -> tuple[bytes, list[Buffer]]:
    """Return pickle and buffers of a frame. Buffers are writable.

    They share memory with `data` if that is writable; else each is a copy.

    Raises:
        CorruptPayload: Part of it is missing, or there is more than it says.
    """
    view = memoryview(data)
    try:
        _, count, size = _HEAD.unpack_from(view)
        if count > len(view) // 8:
            raise struct.error
        sizes = struct.unpack_from(f"<{count}Q", view, _HEAD.size)
    except struct.error:
        raise _cut_short(view) from None
    end = _HEAD.size + 8 * count + size
    pickled = bytes(view[end - size : end])
    buffers: list[Buffer] = []
    for size in sizes:
        start = end + -end % _ALIGN
        end = start + size
        part = view[start:end]
        buffers.append(bytearray(part) if view.readonly else part)
    if end != len(view):
        raise _cut_short(view)
    return pickled, buffers


def _cut_short(view: memoryview) -> CorruptPayload:
    return CorruptPayload(f"a framed value of {len(view)} bytes", "all its parts", "others")
