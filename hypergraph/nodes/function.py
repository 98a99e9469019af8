"""Nodes made from functions."""

from __future__ import annotations

import sys
import typing
import warnings
from collections.abc import Callable, Mapping
from typing import Any, overload

from hypergraph.nodes.base import HyperNode
from hypergraph.nodes.callee import Callee
from hypergraph.nodes.queue import check_queue_name
from hypergraph.nodes.rename import entries, refuse_duplicates, unknown_parameters


class CallableNode(HyperNode):
    """What nodes and gates share: a function, called with inputs under current names.

    Attributes:
        func: The callable itself.
        param_of: Current input name -> parameter name, in signature order.
        positional_only: Parameter names that can only be passed by position.
        var_positional: Parameter name of ``*args``, or `None`.
        var_keyword: Parameter name of ``**kwargs``, or `None`.
    """

    func: Callable[..., Any]
    param_of: dict[str, str]
    positional_only: tuple[str, ...]
    var_positional: str | None
    var_keyword: str | None

    _callee: Callee
    _cache: bool

    def _wrap(
        self,
        source: Callable[..., Any],
        name: str | None,
        rename_inputs: Mapping[str, str] | None,
        cache: bool,
    ) -> None:
        """Set everything that follows from the function, its new name and its renames."""
        callee = source._callee if isinstance(source, CallableNode) else Callee(source)
        self._callee = callee
        self.func = callee.func
        self.name = _name_of(callee.func) if name is None else name
        self.positional_only = callee.positional_only
        self.var_positional = callee.var_positional
        self.var_keyword = callee.var_keyword
        self._cache = cache
        mapping = dict(rename_inputs or {})
        if unknown := [param for param in mapping if param not in callee.params]:
            raise unknown_parameters(unknown, callee.params, self.name)
        self.inputs = tuple(mapping.get(param, param) for param in callee.params)
        if mapping:
            refuse_duplicates(self.inputs, "inputs", self.name)
            self._renames = entries(mapping, "inputs", ())
        self.param_of = dict(zip(self.inputs, callee.params, strict=True))

    def _rename_inputs(self, names: tuple[str, ...], mapping: Mapping[str, str]) -> None:
        self.inputs = names
        self.param_of = dict(zip(names, self.param_of.values(), strict=True))

    @property
    def cache(self) -> bool:
        """Whether its results may be cached. Nothing is cached here."""
        return self._cache

    @property
    def definition_hash(self) -> str:
        """Sha256 (64 hex digits) of the function's source, or of its code if it has none."""
        return self._callee.definition_hash

    @property
    def defaults(self) -> dict[str, Any]:
        """Current input name -> default, only for inputs that have one."""
        known = self._callee.defaults
        return {name: known[param] for name, param in self.param_of.items() if param in known}

    @property
    def parameter_annotations(self) -> dict[str, Any]:
        """Current input name -> resolved annotation, only for annotated inputs."""
        hints = self._callee.hints
        return {name: hints[param] for name, param in self.param_of.items() if param in hints}

    def has_default_for(self, param: str) -> bool:
        """Whether input `param` has a default."""
        return self.param_of.get(param) in self._callee.defaults

    def get_default_for(self, param: str) -> Any:
        """Return the default of input `param`, the very object.

        Raises:
            KeyError: It has none, or there is no such input.
        """
        if not self.has_default_for(param):
            raise KeyError(f"No default for {param!r} of node {self.name!r}")
        return self._callee.defaults[self.param_of[param]]

    def get_input_type(self, param: str) -> Any:
        """Return the annotation of input `param`, or `None`."""
        known = self.param_of.get(param)
        return None if known is None else self._callee.hints.get(known)

    def map_inputs_to_params(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return `inputs` under the function's parameter names. Unknown names stay."""
        return {self.param_of.get(name, name): value for name, value in inputs.items()}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it is. Renames play no part."""
        return self.func(*args, **kwargs)

    def _label(self) -> str:
        """Return the function's name, and the node's where it differs."""
        own = self._callee.name
        return own if own == self.name else f"{own} as {self.name!r}"


class FunctionNode(CallableNode):
    """A function as a node: parameters are its inputs, the return value its outputs.

    Args:
        source: A callable, or another `FunctionNode`, of which only the function is used.
        name: Name of the node; by default the function's.
        output_name: Name or names of the outputs. `None` makes a node that is run for
            its effect and whose result is dropped.
        rename_inputs: Parameter name -> input name.
        cache: Whether results may be cached by a runner that has a cache.
        queue: Where a runner with workers runs it: on a worker that serves this queue. Others
            pay no heed.

    Raises:
        RenameError: `rename_inputs` names unknown parameters or makes two names equal.
        TypeError: `source` is not callable, or `output_name` is no name.
        ValueError: `source` has no name and none is given, an output occurs twice, or no queue
            can be called so.

    Warns:
        UserWarning: The function returns something by its annotation, and no
            `output_name` says where to.
    """

    def __init__(
        self,
        source: Callable[..., Any],
        name: str | None = None,
        output_name: str | tuple[str, ...] | None = None,
        *,
        rename_inputs: Mapping[str, str] | None = None,
        cache: bool = False,
        queue: str | None = None,
    ) -> None:
        self._wrap(source, name, rename_inputs, cache)
        self.queue = None if queue is None else check_queue_name(queue)
        self.outputs = _outputs_of(output_name, self.name)
        if output_name is None and self._callee.returns_something():
            _warn_of_lost_result(self)

    @property
    def is_async(self) -> bool:
        """Whether the function is an ``async def``, generator or not."""
        return self._callee.is_async

    @property
    def is_generator(self) -> bool:
        """Whether the function itself yields; its values arrive as a list."""
        return self._callee.is_generator

    @property
    def output_annotation(self) -> dict[str, Any]:
        """Output name -> annotation as written, only where one is known.

        Several outputs need a ``tuple[...]`` annotation of their number.
        """
        hints = self._callee.hints
        if not self.outputs or "return" not in hints:
            return {}
        if len(self.outputs) == 1:
            return {self.outputs[0]: hints["return"]}
        types = typing.get_args(hints["return"])
        if typing.get_origin(hints["return"]) is not tuple or len(types) != len(self.outputs):
            return {}
        return dict(zip(self.outputs, types, strict=True))

    def get_output_type(self, output: str) -> Any:
        """Return the type of the value that leaves, or `None`.

        A generator annotated ``Iterator[T]`` or alike delivers a ``list[T]``.
        """
        written = self.output_annotation.get(output)
        return _delivered(written) if self.is_generator else written

    def __repr__(self) -> str:
        """Name the function, the node if it is called otherwise, and the outputs."""
        return f"FunctionNode({self._label()}, outputs={self.outputs!r})"


@overload
def node(
    source: Callable[..., Any],
    output_name: str | tuple[str, ...] | None = None,
    *,
    rename_inputs: Mapping[str, str] | None = None,
    cache: bool = False,
    queue: str | None = None,
) -> FunctionNode: ...


@overload
def node(
    source: None = None,
    output_name: str | tuple[str, ...] | None = None,
    *,
    rename_inputs: Mapping[str, str] | None = None,
    cache: bool = False,
    queue: str | None = None,
) -> Callable[[Callable[..., Any]], FunctionNode]: ...


def node(
    source: Callable[..., Any] | None = None,
    output_name: str | tuple[str, ...] | None = None,
    *,
    rename_inputs: Mapping[str, str] | None = None,
    cache: bool = False,
    queue: str | None = None,
) -> FunctionNode | Callable[[Callable[..., Any]], FunctionNode]:
    """Make a node of the decorated function; its name becomes the node's.

    Works bare, with empty parentheses and with arguments, which are those of
    :class:`FunctionNode`.

    >>> @node(output_name="words")
    ... def tokenise(line: str) -> list[str]:
    ...     return line.split()
    >>> tokenise
    FunctionNode(tokenise, outputs=('words',))
    """

    def decorate(func: Callable[..., Any]) -> FunctionNode:
        return FunctionNode(
            func, output_name=output_name, rename_inputs=rename_inputs, cache=cache, queue=queue
        )

    return decorate if source is None else decorate(source)


def _name_of(func: Callable[..., Any]) -> str:
    name = getattr(func, "__name__", None)
    if isinstance(name, str):
        return name
    raise ValueError(
        f"{func!r} has no __name__, so its node needs one: FunctionNode(..., name='...')."
    )


def _outputs_of(output_name: Any, node_name: str) -> tuple[str, ...]:
    if output_name is None:
        return ()
    named = [output_name] if isinstance(output_name, str) else output_name
    if not isinstance(named, tuple | list) or not all(isinstance(name, str) for name in named):
        raise TypeError(
            f"output_name of node {node_name!r} must be a string or a tuple of strings; "
            f"got {output_name!r}."
        )
    outputs = tuple(named)
    if len(set(outputs)) != len(outputs):
        raise ValueError(f"output_name of node {node_name!r} has a name twice: {outputs!r}.")
    return outputs


def _warn_of_lost_result(made: FunctionNode) -> None:
    # Point at the user's line: __init__ is called directly, or by `node` in this file.
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"Function {made._callee.name!r} has return type {made._callee.hints['return']!r} but no "
        'output_name, so its result is dropped. Give it one: @node(output_name="..."). If it '
        "is run for its effect, annotate it with `-> None`.",
        UserWarning,
        stacklevel=level,
    )


def _delivered(written: Any) -> Any:
    """Return the type of the list that a generator annotated `written` is drained into."""
    from collections import abc

    plain = typing.get_origin(written) or written
    kinds = (abc.Iterator, abc.Iterable, abc.Generator)
    if plain not in (*kinds, abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator):
        return written
    yielded = typing.get_args(written)
    return list[yielded[0]] if yielded else list  # type: ignore[valid-type]
