"""Whether a value of one type may travel to where another is required.

:func:`is_type_compatible` is a list of rules, read from the top; the first that
applies decides. It errs on the side of letting values pass: what cannot be known
before the run is compatible.
"""

from __future__ import annotations

import types
import typing
import warnings
from collections.abc import Callable, Sequence
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NamedTuple,
    NewType,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from hypergraph.errors import GraphConfigError
from hypergraph.graph.structure import Structure
from hypergraph.nodes import HyperNode


class NoAnnotation:
    """Marks a side that says nothing about its type. Compatible with everything."""


class Unresolvable:
    """Marks a hint that could not be evaluated. Equal by its text.

    Args:
        type_str: The hint as written.
    """

    def __init__(self, type_str: str) -> None:
        self.type_str = type_str

    def __repr__(self) -> str:
        return f"Unresolvable[{self.type_str!r}]"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unresolvable) and other.type_str == self.type_str

    def __hash__(self) -> int:
        return hash((Unresolvable, self.type_str))


class TypeCheckMemo(NamedTuple):
    """Where names inside string hints are looked up."""

    globals: dict[str, Any] | None = None
    locals: dict[str, Any] | None = None


def safe_get_type_hints(func: Callable[..., Any], include_extras: bool = False) -> dict[str, Any]:
    """Return a function's hints like `typing.get_type_hints`, but never raise.

    A hint of `None` becomes ``NoneType``; one that does not evaluate becomes
    :class:`Unresolvable`, and leaves the others alone.
    """
    try:
        return typing.get_type_hints(func, include_extras=include_extras)
    except Exception:  # a hint is any expression, so evaluating one can raise anything
        written = getattr(func, "__annotations__", None) or {}
    memo = TypeCheckMemo(getattr(func, "__globals__", None), None)
    return {name: _evaluated(hint, memo, include_extras) for name, hint in dict(written).items()}


def is_type_compatible(incoming: Any, required: Any, memo: TypeCheckMemo | None = None) -> bool:
    """Whether a value of type `incoming` may go where `required` is expected.

    Args:
        incoming: Type that leaves the producer.
        required: Type that the consumer asks for.
        memo: Where names inside string hints are looked up.

    Warns:
        UserWarning: One side could not be evaluated; it passes.

    >>> is_type_compatible(bool, int), is_type_compatible(int | str, int)
    (True, False)
    >>> is_type_compatible(list[int], list), is_type_compatible(list[int], list[str])
    (True, False)
    """
    memo = memo or TypeCheckMemo()
    return _fits(_resolved(incoming, memo), _resolved(required, memo), memo)


def check_edges(structure: Structure) -> None:
    """Raise `GraphConfigError` for the first data edge whose ends do not fit in type."""
    for (source, target), names in structure.data_edges.items():
        for name in names:
            _check_value(structure.nodes[source], structure.nodes[target], name)


def _check_value(producer: HyperNode, consumer: HyperNode, name: str) -> None:
    outgoing = producer.get_output_type(name)
    if outgoing is None:
        raise GraphConfigError(
            f"Missing type annotation: node {producer.name!r} does not say the type of its output "
            f"{name!r}, which node {consumer.name!r} reads.\n"
            f"How to fix: annotate what {producer.name!r} returns, or build the graph without "
            "strict_types."
        )
    asked = consumer.get_input_type(name)
    if asked is None:
        raise GraphConfigError(
            f"Missing type annotation: node {consumer.name!r} does not say the type of its input "
            f"{name!r}, which node {producer.name!r} produces.\n"
            f"How to fix: annotate {name!r} in {consumer.name!r}, or build the graph without "
            "strict_types."
        )
    if not is_type_compatible(outgoing, asked):
        raise GraphConfigError(
            f"Type mismatch on {name!r}: node {producer.name!r} produces {_shown(outgoing)}, node "
            f"{consumer.name!r} asks for {_shown(asked)}.\n"
            f"How to fix: change one of the two annotations, or put a node between them that "
            "converts."
        )


def _shown(hint: Any) -> str:
    return hint.__qualname__ if type(hint) is type else repr(hint)


def _evaluated(hint: Any, memo: TypeCheckMemo, include_extras: bool) -> Any:
    resolved = _resolved(hint, memo)
    if not include_extras and get_origin(resolved) is Annotated:
        return get_args(resolved)[0]
    return resolved


def _fits(out: Any, req: Any, memo: TypeCheckMemo) -> bool:
    """Apply the rules to two resolved types."""
    if isinstance(out, TypeVar):
        return True  # stands for a type that only the run will tell
    for side in (out, req):
        if isinstance(side, Unresolvable):
            _warn_unresolvable(side)
            return True
    if out == req or req is Any or req is object or NoAnnotation in (out, req):
        return True
    if isinstance(req, TypeVar):
        return _fits_variable(out, req, memo)
    if get_origin(out) is Literal:
        return all(_literal_fits(value, req, memo) for value in get_args(out))
    if _is_union(out):
        return all(_fits(member, req, memo) for member in get_args(out))
    if _is_union(req):
        return any(_fits(out, member, memo) for member in get_args(req))
    if get_origin(out) is Annotated or get_origin(req) is Annotated:
        return _fits(_without_metadata(out), _without_metadata(req), memo)
    if isinstance(out, NewType):
        return _fits(_resolved(out.__supertype__, memo), req, memo)
    return _fits_origin(out, req) and _fit_arguments(out, req, memo)


def _fits_variable(out: Any, req: TypeVar, memo: TypeCheckMemo) -> bool:
    if req.__constraints__:
        return any(_fits(out, _resolved(c, memo), memo) for c in req.__constraints__)
    return req.__bound__ is None or _fits(out, _resolved(req.__bound__, memo), memo)


def _literal_fits(value: Any, req: Any, memo: TypeCheckMemo) -> bool:
    if _is_union(req):
        return any(_literal_fits(value, member, memo) for member in get_args(req))
    if get_origin(req) is Annotated:
        return _literal_fits(value, _without_metadata(req), memo)
    if get_origin(req) is Literal:
        # By type as well: True equals 1, but Literal[True] is not Literal[1].
        return any(type(value) is type(one) and value == one for one in get_args(req))
    return _fits(type(value), req, memo)


def _fits_origin(out: Any, req: Any) -> bool:
    source, target = get_origin(out) or out, get_origin(req) or req
    if not (isinstance(source, type) and isinstance(target, type)):
        return bool(source == target)
    try:
        return issubclass(source, target)
    except TypeError:
        # TypedDicts and protocols refuse the question. For a protocol the members
        # decide, and what they do is not known before the run.
        return target in source.__mro__ or getattr(target, "_is_protocol", False)


def _fit_arguments(out: Any, req: Any, memo: TypeCheckMemo) -> bool:
    given: Sequence[Any] = get_args(out)
    asked: Sequence[Any] = get_args(req)
    if not given or not asked:
        return True
    if get_origin(out) is tuple:
        given, asked = _tuple_arguments(given, asked, get_origin(req) is tuple)
    return len(given) == len(asked) and all(
        _fits_argument(one, other, memo) for one, other in zip(given, asked, strict=True)
    )


def _tuple_arguments(
    given: Sequence[Any], asked: Sequence[Any], from_tuple: bool
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Bring ``tuple[T, ...]`` and sequences of one element type to equal length."""
    repeats = len(asked) == 2 and asked[1] is Ellipsis
    if len(given) == 2 and given[1] is Ellipsis:
        return (given[:1], asked[:1]) if repeats or not from_tuple else (given, asked)
    if repeats or (not from_tuple and len(asked) == 1):
        return given, [asked[0]] * len(given)
    return given, asked


def _fits_argument(one: Any, other: Any, memo: TypeCheckMemo) -> bool:
    if one is Ellipsis or other is Ellipsis:  # of Callable[..., T]: any parameters
        return not (isinstance(one, type) or isinstance(other, type))
    if isinstance(one, list) and isinstance(other, list):  # parameters of a Callable
        return len(one) == len(other) and all(
            _fits(asked, given, memo) for given, asked in zip(one, other, strict=True)
        )
    if isinstance(one, list) or isinstance(other, list):
        return True  # the other side is a ParamSpec, which stands for any parameters
    return _fits(one, other, memo)


def _resolved(hint: Any, memo: TypeCheckMemo) -> Any:
    """Evaluate strings and forward references, inside generics as well."""
    if hint is None:
        return type(None)
    if isinstance(hint, str | ForwardRef):
        return _looked_up(hint if isinstance(hint, str) else hint.__forward_arg__, memo)
    if isinstance(hint, list):
        return [_resolved(part, memo) for part in hint]
    if type(hint).__name__ == "TypeAliasType":  # of Python 3.12's ``type`` statement
        return _resolved(hint.__value__, memo)
    arguments = get_args(hint)
    if not arguments or get_origin(hint) is Literal:
        return hint
    if get_origin(hint) is Annotated:
        return Annotated[(_resolved(arguments[0], memo), *arguments[1:])]
    resolved = tuple(a if a is Ellipsis else _resolved(a, memo) for a in arguments)
    return hint if resolved == arguments else _rebuilt(hint, resolved)


def _looked_up(text: str, memo: TypeCheckMemo) -> Any:
    try:
        hints = typing.get_type_hints(
            types.SimpleNamespace(__annotations__={"hint": text}),
            memo.globals or {},
            memo.locals or {},
            include_extras=True,
        )
    except Exception:  # the text is the user's expression
        return Unresolvable(text)
    return _resolved(hints["hint"], memo)


def _rebuilt(hint: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        return Union[arguments] if _is_union(hint) else get_origin(hint)[arguments]  # noqa: UP007
    except TypeError:
        return Unresolvable(repr(hint))


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _without_metadata(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _warn_unresolvable(hint: Unresolvable) -> None:
    warnings.warn(
        f"Unresolvable type hint {hint.type_str!r}: it is taken to fit. Import the name where the "
        "function is defined to have it checked.",
        UserWarning,
        stacklevel=2,
    )
