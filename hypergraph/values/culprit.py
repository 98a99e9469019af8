"""Find the part of a value that does not pickle, and say where it sits.

The pickler goes depth first, so what it looked at last is what stopped it. A second
dump of the same value, under a pickler that notes every object it is shown, tells
which object that is; a walk over the value's own structure then tells how to get
there. Only objects that the pickler was shown are walked: what a ``__getstate__``
leaves out cannot be blamed.
"""

from __future__ import annotations

import io
import pickle
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import FunctionType, MethodType, ModuleType
from typing import Any

from hypergraph.values.code_id import names_in, reference_to
from hypergraph.values.pickler import Pickler
from hypergraph.values.policy import Policy

_WALK_LIMIT = 100_000  #: objects looked at before the path is given up
_ENTRY_LIMIT = 10_000  #: entries looked at in one container
_PART_LIMIT = 1_000  #: entries compared to find the largest
_SAMPLE = 20  #: entries weighed to estimate a container
_PATH_LIMIT = 200  #: characters; a longer path loses its middle

#: Never to blame, and never on the way to what is.
_DULL = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray})


@dataclass(frozen=True, slots=True)
class Culprit:
    """What does not pickle."""

    path: str  #: from the root, as in ``$.model._lock`` or ``$ closure 'lock'``
    kind: str  #: module-qualified name of its type
    owner: str | None = None  #: module of the innermost thing around it that has a name there
    steps: tuple[str, ...] = ()  #: the parts of the path

    @property
    def is_annotation(self) -> bool:
        """Whether it only annotates a function."""
        return any(step.startswith(" annotation ") for step in self.steps)


def find(value: Any, where: str, policy: Policy) -> Culprit:
    """Return the part of `value` that does not pickle under `policy`.

    Args:
        value: A value that failed to pickle.
        where: Name of the value, the root of the path.
        policy: What it failed under.
    """
    shown = _shown(value, policy)
    reached = _walk(value, {id(thing) for thing in shown})
    # The last one may be made by a __reduce__ for the pickler only. Then the object it
    # was made for, shown before it, is the nearest that the user knows.
    for thing in reversed(shown):
        if id(thing) in reached:
            steps, owner = _way_to(thing, value, reached)
            return Culprit(_shortened(where + "".join(steps)), _kind(shown[-1]), owner, steps)
    return Culprit(where, _kind(value))


def reason_of(failure: BaseException) -> str:
    """Return what the pickler said, in one line."""
    if isinstance(failure, RecursionError):
        return "it is nested too deeply"
    lines = str(failure).strip().splitlines()
    return lines[0] if lines else type(failure).__name__


class _Watcher(Pickler):
    """Keeps every object that the pickler is shown, in order."""

    shown: list[Any]

    def persistent_id(self, obj: Any) -> None:
        """Note `obj`, and let it be pickled as usual."""
        if type(obj) not in _DULL:
            self.shown.append(obj)


def _shown(value: Any, policy: Policy) -> list[Any]:
    watcher: _Watcher = _Watcher(io.BytesIO(), protocol=5)
    watcher.policy = policy
    watcher.shown = []
    try:
        pickle.Pickler.dump(watcher, value)
    except Exception:  # expected: the value is here because it raised before
        return watcher.shown
    return [value]


#: id -> the object, the object it was reached from, and the step between them
_Reached = dict[int, tuple[Any, Any, str]]


def _walk(root: Any, shown: set[int]) -> _Reached:
    """Return every shown object that can be reached by names, breadth first."""
    reached: _Reached = {id(root): (root, None, "")}
    waiting = deque([root])
    while waiting and len(reached) < _WALK_LIMIT:
        thing = waiting.popleft()
        for step, child in islice(_children(thing), _ENTRY_LIMIT):
            if id(child) in shown and id(child) not in reached:
                reached[id(child)] = (child, thing, step)
                waiting.append(child)
    return reached


def _way_to(thing: Any, root: Any, reached: _Reached) -> tuple[tuple[str, ...], str | None]:
    steps: list[str] = []
    owner = None
    while thing is not root:
        owner = owner or _home_of(thing)
        thing, parent, step = reached[id(thing)]
        steps.append(step)
        thing = parent
    return tuple(reversed(steps)), owner or _home_of(root)


def _home_of(thing: Any) -> str | None:
    """Return the module in which `thing` can be found by its name, if there is one."""
    if isinstance(thing, ModuleType):
        return thing.__name__
    if isinstance(thing, FunctionType | type):
        reference = reference_to(thing)
        return None if reference is None else reference[0]
    return None


def _children(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield what `thing` is made of, each with the step that leads to it."""
    if type(thing) in _DULL:
        return
    if isinstance(thing, FunctionType):
        yield from _of_function(thing)
    elif isinstance(thing, MethodType):
        yield from (("", thing.__func__), (".__self__", thing.__self__))
    elif isinstance(thing, staticmethod | classmethod):
        yield "", thing.__func__
    elif isinstance(thing, property):
        yield from (("", part) for part in (thing.fget, thing.fset, thing.fdel))
    elif isinstance(thing, type):
        yield from ((f".{name}", part) for name, part in thing.__dict__.items())
        yield from (("", base) for base in thing.__bases__)
    elif isinstance(thing, ModuleType):
        yield from ((f".{name}", part) for name, part in thing.__dict__.items())
    else:
        yield from _of_object(thing)


def _of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f" closure {name!r}", cell.cell_contents
        except ValueError:  # empty
            continue
    used = frozenset(names_in(function.__code__))
    for name, part in function.__globals__.items():
        if name in used:
            yield f" global {name!r}", part
    for part in function.__defaults__ or ():
        yield " default", part
    for name, part in (function.__kwdefaults__ or {}).items():
        yield f" default {name!r}", part
    for name, part in function.__annotations__.items():
        yield f" annotation {name!r}", part
    for name, part in function.__dict__.items():
        yield f".{name}", part


def _of_object(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, Mapping):
        for key, part in thing.items():
            yield f"[{_key(key)}]", part
            yield f" key {_key(key)}", key
    elif isinstance(thing, list | tuple | deque):
        yield from ((f"[{index}]", part) for index, part in enumerate(thing))
    elif isinstance(thing, set | frozenset):
        yield from (("{...}", part) for part in thing)
    elif isinstance(thing, partial):
        yield from ((".func", thing.func), (".args", thing.args), (".keywords", thing.keywords))
    elif isinstance(thing, BaseException):
        yield ".args", thing.args
    elif getattr(getattr(thing, "dtype", None), "hasobject", False):
        yield from ((f".flat[{index}]", part) for index, part in enumerate(thing.flat))
    yield "", type(thing)
    yield from _attributes(thing)


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    attributes = getattr(thing, "__dict__", None)
    if isinstance(attributes, dict):
        yield from ((f".{name}", part) for name, part in attributes.items())
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            try:
                yield f".{name}", object.__getattribute__(thing, name)
            except AttributeError:  # never set, or a private name
                continue


def _key(key: Any) -> str:
    text = repr(key) if type(key) in _DULL or type(key) is tuple else _kind(key)
    return text if len(text) <= 40 else text[:39] + "…"


def _kind(thing: Any) -> str:
    cls = type(thing)
    name = cls.__qualname__
    return name if cls.__module__ == "builtins" else f"{cls.__module__}.{name}"


def _shortened(path: str) -> str:
    if len(path) <= _PATH_LIMIT:
        return path
    return f"{path[: _PATH_LIMIT * 2 // 3]}…{path[-_PATH_LIMIT // 3 :]}"


def largest(value: Any, where: str) -> str:
    """Return the path of the part that makes `value` large: the last to hold over half of it."""
    path, weight = where, _weight(value, 3)
    while True:
        parts = [(_weight(part, 2), step, part) for step, part in _parts(value, _PART_LIMIT)]
        heaviest = max(parts, key=lambda entry: entry[0], default=(0, "", None))
        if heaviest[0] * 2 <= weight or len(path) > _PATH_LIMIT:
            return path
        weight, path, value = heaviest[0], path + heaviest[1], heaviest[2]


def _parts(thing: Any, limit: int) -> list[tuple[str, Any]]:
    if isinstance(thing, type | ModuleType):
        return []
    return [entry for entry in islice(_children(thing), limit) if entry[0]]


def _weight(thing: Any, depth: int) -> int:
    """Return roughly how many bytes `thing` has, from a sample of what it holds."""
    nbytes = getattr(thing, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    if isinstance(thing, str | bytes | bytearray):
        return len(thing)
    if depth == 0:
        return 8
    sample = [_weight(part, depth - 1) for _, part in _parts(thing, _SAMPLE)]
    if isinstance(thing, list | tuple | dict | set | frozenset) and len(thing) > len(sample) > 0:
        return sum(sample) * len(thing) // len(sample)
    return 8 + sum(sample)
