"""What a worker that was started with ``--allow-modules`` lets a pickle name.

A pickle is a program: it calls what it names. So a worker that runs only functions of
given modules must also decide what else a pickle may name. This is a list of what is
allowed; a list of what is dangerous would never be complete.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection
from enum import EnumType
from functools import partial
from typing import Any

from hypergraph.errors import ForbiddenCode, UntrustedPayload
from hypergraph.values import rebuild

#: Modules whose classes only hold data.
_DATA_MODULES = frozenset(
    {
        "array",
        "collections",
        "datetime",
        "decimal",
        "fractions",
        "hypergraph.errors",
        "ipaddress",
        "numpy.dtypes",
        "pathlib",
        "uuid",
    }
)
#: Classes and functions one by one, because their modules hold more than data.
_DATA_NAMES = frozenset(
    {
        ("_codecs", "encode"),  # how pickle writes some bytes
        ("array", "_array_reconstructor"),
        ("copyreg", "_reconstructor"),
        ("hypergraph.errors", "_rebuilt"),
        ("hypergraph.nodes.absent", "absent"),
        ("hypergraph.nodes.callee", "_restored"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        *[
            (f"numpy.{core}.{part}", name)
            for core in ("core", "_core")
            for part, name in [
                ("multiarray", "_reconstruct"),
                ("multiarray", "scalar"),
                ("numeric", "_frombuffer"),
            ]
        ],
    }
)
_PLAIN_TYPES = (bool, bytes, complex, float, int, object, range, slice, str)
_CONTAINERS = (bytearray, dict, frozenset, list, set, tuple)
_DATA_BUILTINS = frozenset(
    {"Ellipsis", "NotImplemented"}
    | {cls.__name__ for cls in _PLAIN_TYPES + _CONTAINERS}
    | {
        name
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
)


def admitted(
    module: str, name: str, allowed: Collection[str], look_up: Callable[[str, str], Any]
) -> Any:
    """Return what a pickle names, if that is data or lies in an allowed module.

    Args:
        module: Module that the pickle names.
        name: What it wants of it; may be dotted.
        allowed: Modules that the worker was started with; what lies inside them counts.
        look_up: Imports the module and returns the object.

    Raises:
        UntrustedPayload: It is neither.
    """
    if (module, name) == ("builtins", "getattr"):
        return _enum_member
    if (module, name) == (rebuild.__name__, "resolve"):
        return partial(_resolve, allowed)
    if _lies_in(module, allowed):
        found = look_up(module, name)
        if _lies_in(getattr(found, "__module__", None), allowed):
            return found
    elif _is_data(module, name):
        return look_up(module, name)
    elif module in _DATA_MODULES or _holds_graphs(module):
        found = look_up(module, name)
        if isinstance(found, type) and "." not in name:
            return found
    what = f"{module}.{name}"
    raise refused(f"code sent by value ({what})" if _makes_code(module) else what, allowed)


def refused(what: str, allowed: Collection[str]) -> ForbiddenCode:
    """Return the error that says what this worker will not run."""
    return ForbiddenCode(what, allowed=tuple(sorted(allowed)))


def _is_data(module: str, name: str) -> bool:
    if module == "builtins":
        return name in _DATA_BUILTINS
    return (module, name) in _DATA_NAMES


def _holds_graphs(module: str) -> bool:
    return module.startswith(("hypergraph.graph.", "hypergraph.nodes."))


def _makes_code(module: str) -> bool:
    return module == rebuild.__name__ or module.startswith("cloudpickle.")


def _lies_in(module: str | None, allowed: Collection[str]) -> bool:
    return module is not None and any(
        module == name or module.startswith(name + ".") for name in allowed
    )


def _resolve(allowed: Collection[str], module: str, qualname: str, *sent: Any) -> Any:
    if not _lies_in(module, allowed):
        raise refused(f"{module}.{qualname}", allowed)
    found = rebuild.resolve(module, qualname, *sent)
    if not _lies_in(getattr(found, "__module__", None), allowed):
        raise refused(f"{module}.{qualname}", allowed)
    return found


def _enum_member(owner: Any, name: str) -> Any:
    # Members of an enum may be pickled as an attribute of their class; nothing else is.
    if isinstance(owner, EnumType) and name in owner.__members__:
        return owner[name]
    raise UntrustedPayload(f"it wants {name!r} of {type(owner).__name__!r}, which is no enum")
