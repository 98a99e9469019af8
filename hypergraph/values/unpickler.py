"""Load pickles whose origin has been checked. Nothing else in the package unpickles."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal

from hypergraph.errors import CorruptPayload, MissingModule
from hypergraph.values import rebuild
from hypergraph.values.gate import admitted

#: ``importable``: this process reads results, and its own classes win.
#: ``shipped``: it executes shipped code, and the code that was sent wins.
Prefer = Literal["importable", "shipped"]

_REBUILD = rebuild.__name__
_MARK = _REBUILD.encode()


def load(
    pickled: bytes,
    buffers: Iterable[Any] | None = None,
    *,
    prefer: Prefer = "importable",
    allow_modules: Collection[str] | None = None,
    part: Callable[[str], Any] | None = None,
) -> Any:
    """Unpickle bytes that are known to come from somebody we trust.

    Args:
        pickled: A whole pickle.
        buffers: What was kept out of it, in order.
        prefer: Which of two classes of one name wins.
        allow_modules: If given, only these modules may be used by name, and code by
            value is refused.
        part: Returns what a persistent id stands for.

    Raises:
        MissingModule: Something is sent by name that cannot be imported here.
        UntrustedPayload: `allow_modules` forbids it.
        CorruptPayload: It is no pickle.
    """
    try:
        if part is not None or allow_modules is not None or _needs_rules(pickled, prefer):
            return _Reader(pickled, buffers, prefer, allow_modules, part).load()
        return pickle.loads(pickled, buffers=buffers)
    except (pickle.UnpicklingError, EOFError) as error:
        raise CorruptPayload(f"a pickle of {len(pickled)} bytes ({error})") from error
    except ModuleNotFoundError as error:
        raise MissingModule(error.name or str(error)) from error
    except (AttributeError, ImportError):
        # A name that is missing here, or user code that raised it? A second try tells.
        return _Explainer(pickled, buffers, prefer, allow_modules, part).load()


def _needs_rules(pickled: bytes, prefer: Prefer) -> bool:
    # What `rebuild` defines suits a process that reads. And the plain loader is faster.
    return prefer == "shipped" and _MARK in pickled


class _Reader(pickle.Unpickler):
    """Looks names up under the rules of this process."""

    def __init__(
        self,
        pickled: bytes,
        buffers: Iterable[Any] | None,
        prefer: Prefer,
        allow_modules: Collection[str] | None,
        part: Callable[[str], Any] | None,
    ) -> None:
        super().__init__(io.BytesIO(pickled), buffers=buffers)
        self._make_class = (
            rebuild.make_class if prefer == "importable" else rebuild.make_class_to_execute
        )
        self._allow_modules = allow_modules
        self._part = part

    def find_class(self, module: str, name: str) -> Any:
        """Return what `name` stands for, if it may be used."""
        if self._allow_modules is not None:
            return admitted(module, name, self._allow_modules, super().find_class)
        if module == _REBUILD and name == "make_class":
            return self._make_class
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
