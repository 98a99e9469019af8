"""Let functions that were sent import modules that were sent with them.

A function that imports a module of the user's in its body names it only there. So
whoever packs the function sends the module along, and where it is loaded the function
gets an ``import`` of its own that finds these modules first. ``sys.modules`` stays as
it is: two clients of one worker may have different modules of one name.
"""

from __future__ import annotations

import builtins
import dis
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from hypergraph.values.code_id import Origin, origin_of, origin_of_file

#: Where a function's globals keep the modules that were sent for its imports.
SENT = "__hypergraph_imports__"

_IMPORT = dis.opmap["IMPORT_NAME"]
_Statement = tuple[str, tuple[str, ...], int]  #: name, names after `import`, leading dots
_known: WeakKeyDictionary[CodeType, tuple[_Statement, ...]] = WeakKeyDictionary()


def imported_modules(function: FunctionType) -> dict[str, ModuleType]:
    """Return the user's modules that the body of `function` imports, by full name.

    Modules that nobody has imported yet are imported now. One that cannot be is left
    out: the function may be prepared for that.
    """
    found: dict[str, ModuleType] = {}
    sent = function.__globals__.get(SENT, {})  # it was sent here, and goes on
    for name, wanted, level in _statements_in(function.__code__):
        full = _full_name(name, function.__globals__, level)
        if full is None:
            continue
        if full in sent:
            found.update((above, sent[above]) for above in _chain(full) if above in sent)
        elif is_the_users(full) and _import(name, function.__globals__, wanted, level):
            found.update((above, sys.modules[above]) for above in _chain(full))
    return found


def named_modules(function: FunctionType) -> Iterator[str]:
    """Yield the full names of modules that the body of `function` imports, imported or not.

    Of ``from a import b``, both ``a`` and ``a.b``: only ``a`` knows whether ``b`` is a module.
    """
    for name, wanted, level in _statements_in(function.__code__):
        full = _full_name(name, function.__globals__, level)
        if full is not None:
            yield full
            yield from (f"{full}.{part}" for part in wanted)


def _chain(full: str) -> list[str]:
    """Return the names of a module and the packages around it, outermost first."""
    parts = full.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _import(name: str, namespace: dict[str, Any], wanted: tuple[str, ...], level: int) -> bool:
    try:
        builtins.__import__(name, namespace, None, wanted, level)
    except (Exception, SystemExit):  # importing runs the user's code
        return False
    return True


def _statements_in(code: CodeType) -> tuple[_Statement, ...]:
    known = _known.get(code)
    if known is None:
        known = _known[code] = tuple(_read(code))
    return known


def _read(code: CodeType) -> Iterator[_Statement]:
    # Every second byte is an opcode; most functions import nothing.
    if _IMPORT in code.co_code[::2]:
        last: list[Any] = []
        for instruction in dis.get_instructions(code):
            if instruction.opcode == _IMPORT:
                level, wanted = last[-2:]
                yield instruction.argval, tuple(wanted or ()), level
            last.append(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _read(constant)


def _full_name(name: str, namespace: Mapping[str, Any], level: int) -> str | None:
    if level == 0:
        return name
    try:
        return importlib.util.resolve_name("." * level + name, _package_of(namespace))
    except ImportError:
        return None


def _package_of(namespace: Mapping[str, Any]) -> str | None:
    package = namespace.get("__package__")
    if package is None and isinstance(namespace.get("__name__"), str):
        name: str = namespace["__name__"]
        package = name if "__path__" in namespace else name.rpartition(".")[0]
    return package


def is_the_users(full: str) -> bool:
    """Whether a module lies in the user's own code, imported or not."""
    top = full.partition(".")[0]
    if top in sys.modules:
        return origin_of(top) is Origin.USER
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None or spec.origin in ("built-in", "frozen"):
        return False
    path = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    return bool(path) and origin_of_file(top, path) is Origin.USER


def globals_with_imports(base: dict[str, Any]) -> dict[str, Any]:
    """Prepare the globals of functions that import: with builtins of their own.

    To be done before the first function is made of them, which is when Python reads it.
    """
    if SENT not in base:
        sent: dict[str, ModuleType] = {}
        base[SENT] = sent
        base["__builtins__"] = {**vars(builtins), "__import__": _import_from(sent)}
    return base


def _import_from(sent: Mapping[str, ModuleType]) -> Callable[..., ModuleType]:
    def import_(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        full = _full_name(name, globals or {}, level)
        if full is None or full not in sent:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if fromlist:
            return sent[full]
        # `import a.b` binds a. With dots in front Python knows only the form with `from`.
        return sent[full.partition(".")[0]]

    return import_
