"""What our pickles call while they are loaded. Names and arguments are on the wire.

Whether a class that came by value or the class of that name in this process is used,
decides :func:`make_class`. Two kinds of process want different things:

- One that *reads* results wants its own classes, so that ``isinstance`` and
  ``except MyError`` hold. An importable class of that module and name always wins.
- One that *executes* shipped code wants the code that was sent. A long-lived worker
  may have imported the module before the user edited it. So a class of its own wins
  only if it is the same code. And it imports nothing to find out: the user's module
  may start a run when it is imported.
"""

from __future__ import annotations

import importlib
import sys
import typing
from collections.abc import Callable
from functools import cached_property, lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakSet

from cloudpickle import cloudpickle

from hypergraph.errors import MissingModule
from hypergraph.values.code_id import find, home_of, may_stand_for, unwrapped
from hypergraph.values.lazy_imports import SENT, globals_with_imports
from hypergraph.values.likeness import Likeness, compare

#: Classes that were made from a pickle. Only these take the state that pickles bring:
#: a class of this process keeps the methods that it was defined with.
_made: WeakSet[type] = WeakSet()


def make_class(
    module: str, qualname: str, home: str, maker: Callable[..., type], args: tuple[Any, ...]
) -> type:
    """Return the class `qualname` of `module`, as seen by a process that reads.

    Args:
        module: Where the class was defined.
        qualname: Its name there.
        home: Where it came from, see :func:`code_id.home_of`.
        maker: Makes an empty class from `args`; a function of cloudpickle.
        args: The last but one is the id under which cloudpickle knows the class.
    """
    known = _known(args[-2])
    if known is not None:
        return known
    found = find(module, qualname, load=True)
    if isinstance(found, type) and may_stand_for(found, home):
        return _track(args[-2], found)
    return _new(qualname, maker, args)


def make_class_to_execute(
    module: str, qualname: str, home: str, maker: Callable[..., type], args: tuple[Any, ...]
) -> type:
    """Return the class as seen by a process that executes shipped code."""
    known = _known(args[-2])
    if known is not None and (known in _made or not home or home_of(known) == home):
        return known
    found = find(module, qualname) if home else None
    if isinstance(found, type) and home_of(found) == home:
        return _track(args[-2], found)
    if known is not None:  # this process took its own class before its twin changed elsewhere
        cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.pop(args[-2], None)
    return _new(qualname, maker, args)


def set_class_state(cls: type, state: Any) -> None:
    """Fill a class that was made from a pickle; leave every other one alone."""
    if cls in _made:
        cloudpickle._class_setstate(cls, state)


def _known(tracker_id: str) -> type | None:
    found: type | None = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(tracker_id)
    return found


def _new(qualname: str, maker: Callable[..., type], args: tuple[Any, ...]) -> type:
    made = maker(*args)
    made.__qualname__ = qualname  # cloudpickle gives it the bare name
    _made.add(made)
    return made


def _track(tracker_id: str, cls: type) -> type:
    with cloudpickle._DYNAMIC_CLASS_TRACKER_LOCK:
        cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID[tracker_id] = cls
        cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS[cls] = tracker_id
    return cls


def make_module(name: str) -> ModuleType:
    """Return an empty module that nobody can import."""
    return ModuleType(name)


def fill_module(module: ModuleType, attributes: dict[str, Any]) -> None:
    """Give a shipped module its content."""
    module.__dict__.update(attributes)


def resolve(module: str, qualname: str, sent: tuple[Any, ...] | None = None) -> Any:
    """Return a function or class by reference, out of its node if it was decorated.

    Args:
        module: Its module.
        qualname: Its name there.
        sent: The fields of a `Likeness`, if it has to be the same code as where it was sent.

    Raises:
        MissingModule: It cannot be imported here.
        CodeDiffers: It is not the same code.
    """
    _import(module)
    found = unwrapped(find(module, qualname))
    if found is None:
        raise MissingModule(f"{module}.{qualname}")
    if sent is not None:
        compare(module, qualname, found, Likeness(*sent))
    return found


def _import(module: str) -> None:
    if module in sys.modules:
        return
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingModule(error.name or module) from error
    except (Exception, SystemExit) as error:  # importing runs the user's code
        raise MissingModule(module) from error


def function(data: bytes) -> Any:
    """Return the function in a pickle of its own, as seen by a process that reads."""
    from hypergraph.values.unpickler import load_function  # which has to know these names

    return load_function(data)


def make_importing_function(
    code: CodeType, base_globals: dict[str, Any], *rest: Any
) -> FunctionType:
    """Return a function, still empty, whose imports find modules that were sent with it."""
    return FunctionType(code, globals_with_imports(base_globals), *rest)


def set_importing_function_state(function: FunctionType, state: tuple[Any, Any]) -> None:
    """Fill a function that imports."""
    namespace = function.__globals__
    namespace[SENT].update(state[1].pop(SENT))
    prepared = namespace["__builtins__"]
    cloudpickle._function_setstate(function, state)  # which puts the usual ones there
    namespace["__builtins__"] = prepared


def make_new_type(name: str, supertype: Any, module: str) -> Any:
    """Return a ``typing.NewType``, which by itself pickles by name only."""
    made: Any = typing.NewType(name, supertype)  # type: ignore[misc]  # not for type checkers
    made.__module__ = module
    return made


def make_type_alias(name: str, value: Any, type_params: tuple[Any, ...]) -> Any:
    """Return what ``type name = value`` makes; since Python 3.12."""
    return typing.TypeAliasType(name, value, type_params=type_params)  # type: ignore[attr-defined]


def make_cached_property(function: Callable[[Any], Any], attrname: str | None) -> Any:
    """Return a ``cached_property`` for an attribute."""
    made = cached_property(function)
    made.attrname = attrname  # a class that is filled from a pickle does not call __set_name__
    return made


def make_cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Return `function` under an empty ``lru_cache``, which by itself pickles by name only."""
    return lru_cache(maxsize, typed)(function)
