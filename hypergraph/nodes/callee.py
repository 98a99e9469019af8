"""A function as nodes see it: what it takes, what it is, what its source says.

One `Callee` is shared by all copies of a node. What costs a look at the source
or at type hints is worked out on first use and kept, so a later edit of the
file changes nothing. Functions that have no source (typed at a prompt, made by
``exec``, lambdas, builtins) are named by their code instead.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from types import CodeType
from typing import Any

_EMPTY = inspect.Parameter.empty
_KINDS = inspect.Parameter


class Callee:
    """A callable and everything its signature says.

    Args:
        source: What the user wrapped. A `staticmethod` object is unwrapped.

    Raises:
        TypeError: `source` cannot be called.
        ValueError: It has no signature that Python could tell.
    """

    def __init__(self, source: Callable[..., Any]) -> None:
        #: the callable itself
        self.func: Callable[..., Any] = (
            source.__func__ if isinstance(source, staticmethod) else source
        )
        parameters = _parameters_of(self.func)
        self.params = tuple(parameters)  #: every parameter name, in signature order
        #: parameter name -> default, the very object
        self.defaults = {n: p.default for n, p in parameters.items() if p.default is not _EMPTY}
        self.positional_only = tuple(
            n for n, p in parameters.items() if p.kind is _KINDS.POSITIONAL_ONLY
        )
        self.var_positional = _first(parameters, _KINDS.VAR_POSITIONAL)  #: name of ``*args``
        self.var_keyword = _first(parameters, _KINDS.VAR_KEYWORD)  #: name of ``**kwargs``
        body = _body_of(self.func)
        is_async_generator = inspect.isasyncgenfunction(body)
        self.is_async = is_async_generator or inspect.iscoroutinefunction(body)
        self.is_generator = is_async_generator or inspect.isgeneratorfunction(body)
        self._hash: str | None = None
        self._hints: dict[str, Any] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the function alone, with its hash if that is known."""
        return _restored, (self.func, self._hash)

    @property
    def name(self) -> str:
        """The function's own name; the class's for an object without one."""
        return getattr(self.func, "__name__", None) or type(self.func).__name__

    @property
    def definition_hash(self) -> str:
        """Sha256 (64 hex digits) of the source text, or of the code where there is none."""
        if self._hash is None:
            self._hash = sha256(_definition_of(self.func).encode()).hexdigest()
        return self._hash

    @property
    def hints(self) -> Mapping[str, Any]:
        """Parameter name, or ``return`` -> resolved annotation; empty if one does not resolve."""
        if self._hints is None:
            self._hints = _hints_of(self.func)
        return self._hints

    def returns_something(self) -> bool:
        """Whether the return annotation resolves and is not `None`."""
        # A glance first: resolving hints costs more than the rest of a node.
        if "return" not in getattr(_body_of(self.func), "__annotations__", ()):
            return False
        return self.hints.get("return", type(None)) is not type(None)


def _restored(func: Callable[..., Any], definition_hash: str | None) -> Callee:
    callee = Callee(func)
    callee._hash = definition_hash
    return callee


def _parameters_of(func: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    if not callable(func):
        raise TypeError(
            f"A node wraps a function; got {func!r}, a {type(func).__name__}, which cannot be "
            "called. Give @node a def, an async def or another callable."
        )
    try:
        return inspect.signature(func).parameters
    except ValueError as error:
        raise ValueError(
            f"{func!r} does not tell its parameters, so it cannot be wired by name. Wrap it in a "
            "function whose parameters have names."
        ) from error


def _first(parameters: Mapping[str, inspect.Parameter], kind: Any) -> str | None:
    return next((name for name, p in parameters.items() if p.kind is kind), None)


def _body_of(func: Any) -> Any:
    """Return the function whose code runs when `func` is called."""
    while isinstance(func, partial):
        func = func.func
    if isinstance(func, type):
        return func.__init__  # type: ignore[misc]
    if inspect.isroutine(func):
        return func
    return type(func).__call__


def _hints_of(func: Any) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(_body_of(func))
    except Exception:  # a hint is any expression, so resolving one can raise anything
        return {}
    while isinstance(func, partial):
        func = func.func
    return {**hints, "return": func} if isinstance(func, type) else hints


def _definition_of(func: Any) -> str:
    if isinstance(func, partial):
        bound = [*func.args, *(item for pair in sorted(func.keywords.items()) for item in pair)]
        return f"partial of {_definition_of(func.func)} with {[_constant(v) for v in bound]}"
    # Two lambdas may share a line, and getsource returns the line.
    if getattr(func, "__name__", "") != "<lambda>":
        try:
            return inspect.getsource(func)
        except (OSError, TypeError):
            pass
    code = getattr(_body_of(func), "__code__", None)
    if isinstance(code, CodeType):
        return _code_text(code)
    name = getattr(func, "__qualname__", None) or getattr(func, "__name__", "")
    return f"{type(func).__qualname__} {getattr(func, '__module__', None)}.{name}"


def _code_text(code: CodeType) -> str:
    """Return what a code object does, without where it was written."""
    return repr(
        (
            code.co_name,
            code.co_code,
            [_constant(c) for c in code.co_consts],
            code.co_names,
            code.co_varnames,
            code.co_freevars,
            code.co_argcount,
            code.co_flags,
        )
    )


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return _code_text(value)
    if isinstance(value, frozenset):  # its order differs between processes
        return f"frozenset({sorted(_constant(v) for v in value)})"
    if isinstance(value, tuple):
        return f"({', '.join(_constant(v) for v in value)})"
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if value is Ellipsis:
        return "..."
    return f"<{type(value).__module__}.{type(value).__qualname__}>"  # its repr may be an address
