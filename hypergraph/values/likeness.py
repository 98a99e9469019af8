"""Tell whether a name stands for the same code here as it did where it was sent.

Theory of operation
===================

Code that goes by name is not the sender's but that of whoever receives the name. An older version
of it would give other results, and nobody would notice. So the sender adds a *likeness* of what the
name stands for there, and the receiver compares.

Rule 1: what runs is compared, not what the files say: the code objects of the function and of what
it calls, as both processes hold them. A worker may have imported a module before it was edited.

Rule 2: data is not compared. A process fills its caches and counts its calls. Where code uses data
of a module, the module's own code is compared, which made the data: as it was when this process
first looked.

Rule 3: other packages count by their names. Their versions are their users' business.

Rule 4: what is not Python is compared by the version of its package.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Set
from functools import cache, partial
from hashlib import sha256
from importlib import metadata
from inspect import getattr_static
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from hypergraph.errors import CodeDiffers
from hypergraph.values.code_id import (
    MAIN_MODULES,
    NOT_CODE,
    PLAIN,
    Origin,
    content_of,
    digest_of_code,
    names_in,
    origin_of,
)
from hypergraph.values.lazy_imports import is_the_users, named_modules

#: Functions and classes that are followed. What lies behind is vouched for by the version.
_MOST = 2_000


class Likeness(NamedTuple):
    """What the sender of a name knows of what it stands for. On the wire."""

    code: str  #: digest of the code, 64 hex digits; "" if it is not Python
    modules: Mapping[str, str]  #: module -> digest of its own code, where its data is used
    packages: tuple[str, ...]  #: top-level packages whose code was read
    version: str  #: of the package, "" if it has none
    whole: bool  #: all was read, so that the version does not matter

    def __str__(self) -> str:
        version = f"version {self.version}" if self.version else "no version"
        if not self.code:
            return version
        whole = repr((self.code, sorted(self.modules.items())))
        return f"{version}, code {sha256(whole.encode()).hexdigest()[:8]}"


_installed: dict[int, tuple[Any, Likeness]] = {}


def likeness_to_send(thing: Any) -> Likeness:
    """Return the likeness of what a name stands for here. That of installed code is kept."""
    if origin_of(str(thing.__module__)) is not Origin.INSTALLED:
        return likeness_of(thing)
    known = _installed.get(id(thing))
    if known is None:
        known = _installed[id(thing)] = (thing, likeness_of(thing))
    return known[1]


def likeness_of(thing: Any, packages: frozenset[str] | None = None) -> Likeness:
    """Return the likeness of a function, a class, or whatever else has a name.

    Args:
        thing: What the name stands for in this process.
        packages: Top-level packages whose code counts; by default its own, and those of the user's
            that it uses.
    """
    module = str(getattr(thing, "__module__", None) or "")
    top = module.partition(".")[0]
    if not isinstance(thing, FunctionType | type):
        return Likeness("", {}, (top,), version_of(top), False)
    walk = _Walk(top, packages)
    walk.read(thing)
    modules = {name: digest for name in sorted(walk.modules) if (digest := module_id(name))}
    digest = sha256("\0".join(walk.parts).encode("utf-8", "backslashreplace")).hexdigest()
    return Likeness(digest, modules, tuple(sorted(walk.packages)), version_of(top), walk.left > 0)


def compare(module: str, name: str, found: Any, sent: Likeness) -> None:
    """See that `found`, which `name` of `module` stands for here, is what it stood for there.

    Raises:
        CodeDiffers: It is not.
    """
    own = likeness_of(found, frozenset(sent.packages))
    own = own._replace(modules={name: module_id(name) for name in sent.modules})
    culprit = _differing(module, own, sent)
    if culprit:
        raise CodeDiffers(culprit, name=f"{module}.{name}", client=str(sent), worker=str(own))


def _differing(module: str, own: Likeness, sent: Likeness) -> str:
    """Return the module that differs; "" if none is known to."""
    for name, digest in sent.modules.items():
        # A module whose code cannot be found, as in an archive of a sort, says nothing.
        if own.modules[name] not in ("", digest):
            return name
    if own.code != sent.code:
        return module
    is_sure = own.whole and sent.whole
    return module if not is_sure and own.version != sent.version else ""


class _Walk:
    """One walk over functions and classes, in the order in which they are named."""

    def __init__(self, top: str, packages: frozenset[str] | None) -> None:
        self.parts: list[str] = []
        self.packages = {top}  #: whose code was read
        self.modules: set[str] = set()  #: whose data is used
        self.left = _MOST
        self._given = packages
        self._waiting: deque[Any] = deque()
        self._met: dict[int, Any] = {}  #: by id; kept, so that no id is used again

    def read(self, thing: Any) -> None:
        """Read a function or class, and all code that it leads to."""
        self._meet(thing)
        while self._waiting:
            following = self._waiting.popleft()
            if isinstance(following, type):
                self._read_class(following)
            else:
                self._read_function(following)

    def _counts(self, module: str) -> bool:
        top = module.partition(".")[0]
        if top in self.packages:
            return True
        if self._given is None:
            is_read = top not in MAIN_MODULES and is_the_users(module)
        else:
            is_read = top in self._given
        if is_read:
            self.packages.add(top)
        return is_read

    def _meet(self, thing: Any) -> None:
        """Note the name of a function or class, to read it later."""
        module = thing.__module__ or ""
        self.parts.append(f"{module}.{thing.__qualname__}")
        if id(thing) not in self._met and self._counts(module) and self.left > 0:
            self.left -= 1
            self._met[id(thing)] = thing
            self._waiting.append(thing)

    def _read_function(self, function: FunctionType) -> None:
        module = function.__module__ or ""
        self.parts.append(digest_of_code(function.__code__))
        for default in (*(function.__defaults__ or ()), *_values(function.__kwdefaults__)):
            if type(default) in PLAIN:
                self.parts.append(repr(default))
            else:
                self._read_any(module, default)
        names = frozenset(names_in(function.__code__))
        for cell in function.__closure__ or ():
            self._read_any(module, content_of(cell))
        self._read_names(module, names, function.__globals__)
        # These may not be imported yet, here or there.
        self.modules.update(filter(self._counts, named_modules(function)))

    def _read_class(self, cls: type) -> None:
        for base in cls.__bases__:
            self._meet(base)
        self._read_names(cls.__module__, cls.__dict__.keys() - NOT_CODE, vars(cls))

    def _read_names(self, module: str, names: Set[str], holder: Mapping[str, Any]) -> None:
        for name in sorted(names & holder.keys()):
            thing = holder[name]
            if isinstance(thing, ModuleType):
                self._read_module(thing, names)
            else:
                self._read_any(module, thing)

    def _read_module(self, module: ModuleType, names: Set[str]) -> None:
        if id(module) not in self._met and self._counts(module.__name__):
            self._met[id(module)] = module
            self._read_names(module.__name__, names, vars(module))

    def _read_any(self, module: str, thing: Any) -> None:
        """Meet what is code. What is not is data of `module`, which may wrap some code."""
        if isinstance(thing, FunctionType | type):
            self._meet(thing)
        elif isinstance(thing, BuiltinFunctionType):
            self.parts.append(f"{thing.__module__}.{thing.__qualname__}")
        else:
            self.modules.add(module)
            for inner in _wrapped_in(thing):
                if isinstance(inner, FunctionType):
                    self._meet(inner)


def _wrapped_in(thing: Any) -> tuple[Any, ...]:
    """Return the functions that an object calls, where that can be told without asking it."""
    if isinstance(thing, property):
        return thing.fget, thing.fset, thing.fdel
    if isinstance(thing, staticmethod | classmethod | MethodType):
        return (thing.__func__,)
    if isinstance(thing, partial):
        return (thing.func,)
    return tuple(getattr_static(thing, name, None) for name in ("__wrapped__", "func"))


def _values(named: Mapping[str, Any] | None) -> Iterator[Any]:
    for name in sorted(named or ()):
        yield (named or {})[name]


#: By id of the spec, which is another one after a reload: the spec, kept, and the digest.
_module_ids: dict[int, tuple[Any, str]] = {}


def module_id(module: str) -> str:
    """Return a digest of a module's own code; of an imported one, as it was at the first look.

    "" if there is no such module, or nobody can say what its code is. It is not imported.
    """
    imported = sys.modules.get(module)
    if imported is None:
        return _read_code(module, _find(module))
    spec = getattr(imported, "__spec__", None)
    known = _module_ids.get(id(spec))
    if known is None:
        known = _module_ids[id(spec)] = (spec, _read_code(module, spec, imported))
    return known[1]


def _find(module: str) -> Any:
    try:
        return importlib.util.find_spec(module)
    except (Exception, SystemExit):  # it imports the packages around it, which are the user's
        return None


def _read_code(module: str, spec: Any, imported: ModuleType | None = None) -> str:
    try:
        code = spec.loader.get_code(module)
    except Exception:  # there are loaders of all sorts, and files that are being written
        return ""
    if code is None:
        return ""
    if imported is not None and _is_stale(imported, code):
        return "stale"  # not what anybody else has
    return digest_of_code(code)


def _is_stale(module: ModuleType, code: CodeType) -> bool:
    """Whether a function of an imported module is no longer in the code that its file has now."""
    written: dict[str, set[str]] = {}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            written.setdefault(constant.co_qualname, set()).add(digest_of_code(constant))
    return any(
        digest_of_code(thing.__code__) not in written.get(name, ())
        for name, thing in vars(module).items()
        if isinstance(thing, FunctionType)
        and thing.__globals__ is vars(module)
        and thing.__code__.co_qualname == name
    )


@cache
def version_of(package: str) -> str:
    """Return the version of a top-level package, "" if it does not tell."""
    said = vars(sys.modules[package]).get("__version__") if package in sys.modules else None
    if isinstance(said, str):
        return said
    try:
        return metadata.version(package)
    except Exception:  # most often because the distribution has another name
        return ""
