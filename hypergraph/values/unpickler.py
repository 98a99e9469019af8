"""Load bytes whose origin has been checked. Nothing else in the package unpickles."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from hypergraph.errors import CorruptPayload, MissingModule
from hypergraph.values import frame, rebuild
from hypergraph.values.digest import Buffer, digest
from hypergraph.values.gate import admitted
from hypergraph.values.recent import Recent

#: ``importable``: this process reads results, and its own classes win.
#: ``shipped``: it executes shipped code, and the code that was sent wins.
Prefer = Literal["importable", "shipped"]

BARE = 0x80  #: the opcode that every pickle of protocol 2 and later begins with


def decode(
    data: Buffer,
    *,
    prefer: Prefer = "importable",
    allow_modules: Collection[str] | None = None,
    part: Callable[[str], Any] | None = None,
) -> Any:
    """Return the value of bytes whose signature or digest has been verified.

    Arrays come back writable. They share memory with `data` if that is a `bytearray`,
    else each has its own.

    Args:
        data: What ``codec.encode`` returned.
        prefer: Which wins of two classes of one name: ``importable`` for a process that
            reads results, ``shipped`` for one that executes shipped code.
        allow_modules: If given, only code of these modules may be used, and none by value.
        part: Returns what a persistent id stands for; for graphs.

    Raises:
        MissingModule: The value needs a module, or a name in one, that is not here.
        CorruptPayload: These are not bytes of ours.
        UntrustedPayload: `allow_modules` forbids what it needs.
        Exception: Whatever a class of the user's raises while its object is restored.
    """
    pickled, buffers = _taken_apart(data)
    try:
        if part is None and allow_modules is None and not _needs_rules(pickled, prefer):
            return pickle.loads(pickled, buffers=buffers)
        return _Reader(pickled, buffers, prefer, allow_modules, part).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise CorruptPayload(f"a pickle of {len(pickled)} bytes ({error})") from error
    except ModuleNotFoundError as error:
        raise MissingModule(error.name or str(error)) from error
    except (AttributeError, ImportError):
        # A name that is missing here, or user code that raised it? A second try tells.
        return _Explainer(pickled, buffers, prefer, allow_modules, part).load()


def _taken_apart(data: Buffer) -> tuple[bytes, Sequence[Buffer] | None]:
    tag = data[0] if data else None
    if tag == BARE:
        return bytes(data), None
    if tag == frame.TAG:
        return frame.unframed(data)
    raise CorruptPayload(f"a value of {len(data)} bytes", "a known format", f"first byte {tag}")


def load_function(data: bytes, prefer: Prefer = "importable") -> Any:
    """Return the function that a node carries as a pickle of its own.

    Nodes made from one function get the same object.
    """
    key = prefer + digest(data)
    known = _functions.get(key)
    return known or _functions.keep(key, decode(data, prefer=prefer), len(data))


_functions: Recent[Any] = Recent(max_entries=1_000, max_bytes=64_000_000)

#: What `rebuild` defines suits a process that reads. One that executes replaces these.
_EXECUTING: Mapping[str, Callable[..., Any]] = {
    "make_class": rebuild.make_class_to_execute,
    "function": partial(load_function, prefer="shipped"),
}
_REBUILD = rebuild.__name__
_MARK = _REBUILD.encode()


def _needs_rules(pickled: bytes, prefer: Prefer) -> bool:
    return prefer == "shipped" and _MARK in pickled


class _Reader(pickle.Unpickler):
    """Looks names up under the rules of this process."""

    def __init__(
        self,
        pickled: bytes,
        buffers: Sequence[Buffer] | None,
        prefer: Prefer,
        allow_modules: Collection[str] | None,
        part: Callable[[str], Any] | None,
    ) -> None:
        super().__init__(io.BytesIO(pickled), buffers=buffers)
        self._own = _EXECUTING if prefer == "shipped" else {}
        self._allow_modules = allow_modules
        self._part = part

    def find_class(self, module: str, name: str) -> Any:
        """Return what `name` stands for, if it may be used."""
        if self._allow_modules is not None:
            return admitted(module, name, self._allow_modules, super().find_class)
        if module == _REBUILD and name in self._own:
            return self._own[name]
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """Return a part that is stored on its own."""
        if self._part is None:
            raise pickle.UnpicklingError("it refers to a part, and is no graph")
        return self._part(pid)


class _Explainer(_Reader):
    """Says which name is missing."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what `name` stands for.

        Raises:
            MissingModule: The module is not here, or it lacks the name.
        """
        try:
            return super().find_class(module, name)
        except (AttributeError, ImportError) as error:
            raise MissingModule(f"{module}.{name}") from error
