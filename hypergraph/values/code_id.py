"""Tell whose code something is, and identify it by what runs.

Two questions are answered here. *Where does a module come from?* decides what a
worker can import and what has to be sent along. *Is this the same code?* decides
whether a worker may use its own copy of a class instead of the one that was sent.

Source text answers neither: it describes the file as it is now, not the code that
was loaded from it. So identity is a hash over code objects, constants and whatever
of the user's own code they lead to.
"""

from __future__ import annotations

import importlib
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from enum import Enum
from functools import cache
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES
from types import CodeType, FunctionType, ModuleType
from typing import Any

from hypergraph.nodes.base import HyperNode

MAIN_MODULES = frozenset({"__main__", "__mp_main__"})
_PACKAGE_DIRECTORIES = frozenset({"site-packages", "dist-packages"})
_LONG = 1_000  #: entries; a longer constant counts by its length alone


class Origin(Enum):
    """Where a module comes from, and so whether a worker can be expected to have it."""

    USER = "user"  #: the user's own: script, notebook, project, or made at run time
    INSTALLED = "installed"  #: a package, or compiled code that could not travel anyway
    STANDARD = "standard"  #: of Python itself
    OURS = "ours"  #: hypergraph and what its pickles call, wherever these lie


_origins: dict[str, tuple[ModuleType | None, Origin]] = {}


def origin_of(module: str) -> Origin:
    """Return where the module called `module` comes from.

    A module that is not imported here was shipped here, or made at run time.
    """
    imported = sys.modules.get(module)
    known = _origins.get(module)
    if known is None or known[0] is not imported:
        known = _origins[module] = (imported, _origin_of(module, imported))
    return known[1]


def _origin_of(name: str, module: ModuleType | None) -> Origin:
    top = name.partition(".")[0]
    if top in ("hypergraph", "cloudpickle"):
        return Origin.OURS
    if name in MAIN_MODULES:
        return Origin.USER
    spec = getattr(module, "__spec__", None)
    if getattr(spec, "origin", None) in ("built-in", "frozen"):
        return Origin.STANDARD
    path = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if path is not None:
        return origin_of_file(name, str(path))
    if top in sys.stdlib_module_names:
        return Origin.STANDARD
    # Packages put modules without a file into sys.modules, as six does with six.moves.
    return origin_of(top) if top != name else Origin.USER


def origin_of_file(name: str, path: str) -> Origin:
    """Return where the module called `name` comes from, whose file or directory is `path`."""
    real = os.path.realpath(path)
    if not _PACKAGE_DIRECTORIES.isdisjoint(real.split(os.sep)) or _is_within(real, _site()):
        return Origin.INSTALLED
    if _holds_packages(_root_of(name, real)):
        return Origin.INSTALLED
    if _is_within(real, _standard_library()):
        return Origin.STANDARD
    return Origin.INSTALLED if real.endswith(tuple(EXTENSION_SUFFIXES)) else Origin.USER


def _is_within(path: str, directories: tuple[str, ...]) -> bool:
    return path.startswith(directories)


def _root_of(name: str, path: str) -> str:
    """Return the directory on ``sys.path`` in which a module was found."""
    levels = name.count(".") + 1 + os.path.basename(path).startswith("__init__.")
    for _ in range(levels):
        path = os.path.dirname(path)
    return path


@cache
def _holds_packages(directory: str) -> bool:
    # As `pip install --target` leaves it behind; a project installed in place has it elsewhere.
    try:
        return any(entry.endswith(".dist-info") for entry in os.listdir(directory))
    except OSError:
        return False


@cache
def _site() -> tuple[str, ...]:
    return _prefixes([*site.getsitepackages(), site.getusersitepackages()])


@cache
def _standard_library() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return _prefixes([paths["stdlib"], paths["platstdlib"], os.path.dirname(os.__file__)])


def _prefixes(directories: list[str]) -> tuple[str, ...]:
    return tuple({os.path.realpath(directory) + os.sep for directory in directories})


def find(module: str, qualname: str, *, load: bool = False) -> Any:
    """Return the object called `qualname` in `module`, or `None`.

    Args:
        module: Full name.
        qualname: Dotted path inside it.
        load: Whether to import the module if nobody has. Whatever its import raises
            means that the object is not there.
    """
    found: Any = sys.modules.get(module)
    if found is None and load and module not in MAIN_MODULES:
        try:
            found = importlib.import_module(module)
        except (Exception, SystemExit):  # importing runs the user's code, which can do anything
            return None
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def code_id(thing: FunctionType | type) -> str:
    """Return a digest (64 hex digits) of the code behind a function or a class.

    Equal in all processes that run the same Python minor version and the same code,
    wherever its files lie and whatever they contain by now. The user's own functions,
    classes and constants that it uses count as parts of it; installed packages count
    by name.
    """
    return sha256(_read_alone(thing).encode("utf-8", "backslashreplace")).hexdigest()


PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, type(Ellipsis)})
_CONTAINERS = frozenset({tuple, list, set, frozenset, dict})
#: Attributes of a class that say where it was made or cache what other attributes say.
NOT_CODE = frozenset(
    {
        "__abstractmethods__",
        "__annotations__",
        "__dataclass_fields__",
        "__dict__",
        "__doc__",
        "__firstlineno__",
        "__module__",
        "__parameters__",
        "__slotnames__",
        "__weakref__",
        "_abc_impl",
    }
)


class _Reading:
    """One walk over code. What was met before counts by the number of its first visit."""

    def __init__(self) -> None:
        self.parts: list[str] = []  #: texts that tell what was read from anything else
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  #: keeps ids in `_seen` from being used again

    def read(self, thing: Any, names: frozenset[str] = frozenset()) -> None:
        """Add what tells `thing` from every other thing.

        Args:
            thing: Anything that code can refer to.
            names: Names in the code that refers to it: of a module only these count.
        """
        cls = type(thing)
        if cls in PLAIN:
            self.parts.append(repr(thing))
            return
        number = self._seen.setdefault(id(thing), len(self._seen))
        if number < len(self._kept):
            self.parts.append(f"again {number}")
            return
        self._kept.append(thing)
        self.parts.append(cls.__name__)
        if cls in _CONTAINERS:
            self._read_container(thing)
        elif cls is CodeType:
            self._read_code(thing)
        elif cls is FunctionType:
            self._read_function(thing)
        elif isinstance(thing, type):
            self._read_class(thing)
        elif isinstance(thing, ModuleType):
            self._read_module(thing, names)
        else:
            self._read_object(thing)

    def _read_container(self, thing: Any) -> None:
        self.parts.append(str(len(thing)))
        if len(thing) > _LONG:
            return
        if isinstance(thing, set | frozenset):  # their order differs between processes
            self.parts.extend(sorted(map(_read_alone, thing)))
        elif isinstance(thing, dict):
            for key, value in thing.items():
                self.read(key)
                self.read(value)
        else:
            for entry in thing:
                self.read(entry)

    def _read_code(self, code: CodeType) -> None:
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        self.parts.append(
            f"{code.co_qualname} {names} {counts} {code.co_flags} {code.co_code.hex()} "
            f"{code.co_exceptiontable.hex()}"
        )
        for constant in code.co_consts:
            self.read(constant)

    def _read_function(self, function: FunctionType) -> None:
        if origin_of(function.__module__ or "") is not Origin.USER:
            self.parts.append(f"{function.__module__}.{function.__qualname__}")
            return
        self.read(function.__code__)
        self.read(function.__defaults__)
        self.read(function.__kwdefaults__)
        names = frozenset(names_in(function.__code__))
        for cell in function.__closure__ or ():
            self.read(content_of(cell), names)
        for name in sorted(names):
            if name in function.__globals__:
                self.parts.append(name)
                self.read(function.__globals__[name], names)
            elif name in sys.modules and origin_of(name) is Origin.USER:  # it is imported inside
                self.read(sys.modules[name], names)

    def _read_class(self, cls: type) -> None:
        self.parts.append(f"{cls.__module__}.{cls.__qualname__}")
        if origin_of(cls.__module__) is not Origin.USER:
            return
        for base in cls.__bases__:
            self.read(base)
        for name in sorted(cls.__dict__.keys() - NOT_CODE):
            self.parts.append(name)
            self.read(cls.__dict__[name])

    def _read_module(self, module: ModuleType, names: frozenset[str]) -> None:
        self.parts.append(module.__name__)
        if origin_of(module.__name__) is Origin.USER:
            for name in sorted(names & module.__dict__.keys()):
                self.parts.append(name)
                self.read(module.__dict__[name], names)

    def _read_object(self, thing: Any) -> None:
        self.parts.append(f"{type(thing).__module__}.{type(thing).__qualname__}")
        for name in ("__func__", "__wrapped__", "fget", "fset", "func"):
            inner = getattr(thing, name, None)
            if isinstance(inner, FunctionType):
                self.read(inner)


def digest_of_code(code: CodeType) -> str:
    """Return a digest (64 hex digits) of a code object and those in it, wherever they lie."""
    return sha256(_read_alone(code).encode("utf-8", "backslashreplace")).hexdigest()


def _read_alone(thing: Any) -> str:
    reading = _Reading()
    reading.read(thing)
    return "\0".join(reading.parts)


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the names of globals and attributes that `code` and functions inside it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def content_of(cell: Any) -> Any:
    """Return what a closure's cell holds, `None` for an empty one."""
    try:
        return cell.cell_contents
    except ValueError:  # empty: the function was pickled before its neighbour was defined
        return None


def home_of(cls: type) -> str:
    """Return what tells whether a class of the same name elsewhere is the same one.

    That is its `code_id`; for a class of a script, the path of the script, since all
    scripts are called ``__main__``; and nothing if its name does not lead to it.
    """
    if find(cls.__module__, cls.__qualname__) is not cls:
        return ""
    return _script() if cls.__module__ in MAIN_MODULES else code_id(cls)


def may_stand_for(found: type, home: str) -> bool:
    """Whether `found` is a class of this process whose like was sent from `home`.

    Classes of modules may, whatever code they have by now. Those of scripts may if it
    is the same script.
    """
    return found.__module__ not in MAIN_MODULES or (home != "" and home == _script())


def _script() -> str:
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return "" if path is None else f"script {os.path.abspath(path)}"


def reference_to(thing: Any) -> tuple[str, str] | None:
    """Return module and qualified name under which a function or class is found, or `None`.

    A decorator leaves a node under the function's name; the node's function counts.
    """
    module, qualname = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    if not isinstance(module, str) or module in MAIN_MODULES or "<" in qualname:
        return None
    return (module, qualname) if unwrapped(find(module, qualname)) is thing else None


def unwrapped(found: Any) -> Any:
    """Return the function of a node, and anything else as it is."""
    return getattr(found, "func", found) if isinstance(found, HyperNode) else found
