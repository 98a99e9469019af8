"""How one node is called: where its arguments come from, and what becomes of its result.

Every runner calls nodes through this file, at once with :func:`call_node` and :func:`choose`, or by
the functions that these are made of, put together beforehand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from operator import itemgetter
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType
from typing import Any

from hypergraph.nodes import END, FunctionNode, GateNode, GraphNode, HyperNode
from hypergraph.nodes.function import CallableNode
from hypergraph.plan import END_NAME

#: Calls a node with the values that a mapping holds.
Call = Callable[[Mapping[Any, Any]], Any]

# What nobody can change needs no copy. `copy.deepcopy` would find out in 20 times the time.
_UNCHANGEABLE = frozenset(
    {NoneType, bool, int, float, complex, str, bytes, range, type, type(...)}
    | {FunctionType, BuiltinFunctionType}
)


def call_node(
    node: FunctionNode,
    inputs: Mapping[str, Any],
    settle: Callable[[Any], Any] | None = None,
) -> dict[str, Any]:
    """Call a node's function.

    Args:
        node: The node.
        inputs: Input name -> value, names after renames. What is left out takes its default.
        settle: Makes a value of what the function returned, where that is to be waited for.

    Returns:
        Output name -> value.

    Raises:
        ValueError: The function did not return one value per output.
        Exception: Whatever the function raises.
    """
    result = caller(node, node.inputs)(_complete(node, inputs))
    return outputs_of(node, result if settle is None else settle(result))


def choose(gate: GateNode, inputs: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Ask a gate, and return its decision as the plan wants it.

    Args:
        gate: The gate.
        inputs: Input name -> value, names after renames. What is left out takes its default.

    Returns:
        The targets it chose, END as `END_NAME`, or None where it chose nothing.

    Raises:
        TypeError: It returned something that no gate of its kind may return.
        ValueError: It chose what is not among its targets.
        Exception: Whatever the function raises.
    """
    return decision_of(gate, caller(gate, gate.inputs)(_complete(gate, inputs)))


def _complete(node: CallableNode, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: inputs[name] if name in inputs else spare_for(node, name).take()
        for name in node.inputs
    }


def decision_of(gate: GateNode, returned: Any) -> tuple[str, ...] | None:
    """Return what a gate's function returned as the plan wants it. Errors as in :func:`choose`."""
    return chosen_by(gate.decision_of(returned))


def chosen_by(decision: Any) -> tuple[str, ...] | None:
    """Return a gate's decision, a target, a list of targets or None, as the plan wants it."""
    if decision is None:
        return None
    chosen = decision if isinstance(decision, list) else [decision]
    return tuple(END_NAME if target is END else str(target) for target in chosen)


def outputs_of(node: HyperNode, result: Any) -> dict[str, Any]:
    """Return a function's result by output name.

    Raises:
        ValueError: There is not one value per output.
    """
    if len(node.outputs) == 1:
        return {node.outputs[0]: result}
    if not node.outputs:
        return {}
    return dict(zip(node.outputs, unpack(node, result), strict=True))


def unpack(node: HyperNode, result: Any) -> Any:
    """Return the result of a function with several outputs, after counting its values.

    Raises:
        ValueError: There is not one value per output.
    """
    wanted = len(node.outputs)
    found = len(result) if hasattr(result, "__len__") else 1
    if found != wanted:
        raise ValueError(
            f"node {node.name!r} has {wanted} outputs ({', '.join(node.outputs)}), but its "
            f"function returned {found} values (a {type(result).__name__})"
        )
    return result


@dataclass(frozen=True, slots=True)
class Spare:
    """What an input takes when its run has no value for it: a binding or a default."""

    node: str
    name: str
    value: Any
    is_fixed: bool  #: every use may have the object itself

    def take(self) -> Any:
        """Return the value for one use: a copy, so that no run sees what another did to it.

        Warns:
            UserWarning: It cannot be copied, and is shared after all.
        """
        if self.is_fixed:
            return self.value
        try:
            return deepcopy(self.value)
        except Exception as error:  # copying runs the code of whatever the default holds
            warnings.warn(
                f"Cannot deep-copy the default of {self.name!r} of node {self.node!r} "
                f"({type(error).__name__}: {error}); every run shares one "
                f"{type(self.value).__name__}",
                UserWarning,
                stacklevel=2,
            )
            return self.value


def spare_for(node: HyperNode, name: str, bound: Mapping[str, Any] | None = None) -> Spare:
    """Return what input `name` of `node` takes when there is no value for it.

    Args:
        node: The node.
        name: One of its inputs.
        bound: The graph's bindings, input name -> value. They come first. Bindings are never
            copied, those of a nested graph neither.

    Raises:
        KeyError: There is neither a binding nor a default.
    """
    if bound is not None and name in bound:
        return Spare(node.name, name, bound[name], True)
    default = node.get_default_for(name)
    if isinstance(node, GraphNode) and node.param_of[name] in node.graph.inputs.bound:
        return Spare(node.name, name, default, True)
    return Spare(node.name, name, default, _is_unchangeable(default))


def _is_unchangeable(value: Any) -> bool:
    if type(value) in (tuple, frozenset):
        return all(map(_is_unchangeable, value))
    return type(value) in _UNCHANGEABLE


def caller(node: CallableNode, keys: Sequence[Any]) -> Call:
    """Return a function that takes a node's arguments from a mapping and calls it.

    Args:
        node: The node. A generator function is drained into a list. An async one gives its
            coroutine or async generator, for the caller to wait for.
        keys: For each input of the node, in order, the key of its value in the mapping.
    """
    call = _calling(node, keys)
    if node.is_generator and not node.is_async:
        return lambda values: list(call(values))
    return call


def _calling(node: CallableNode, keys: Sequence[Any]) -> Call:
    func = node.func
    if node.var_positional is not None or node.var_keyword is not None:
        return _call_with_stars(node, keys)
    if not _takes_positions(func, len(keys)):
        return _call_by_name(node, keys)
    match keys:
        case []:
            return lambda values: func()
        case [only]:
            return lambda values: func(values[only])
        case [first, second]:
            return lambda values: func(values[first], values[second])
    get = itemgetter(*keys)
    return lambda values: func(*get(values))


def _takes_positions(func: Callable[..., Any], count: int) -> bool:
    """Whether all parameters can be passed by position, which is faster and means the same.

    Only where the signature is the code's own: a decorator may announce another one.
    """
    bound = isinstance(func, MethodType)
    inner: Any = func.__func__ if isinstance(func, MethodType) else func
    if type(inner) is not FunctionType or {"__wrapped__", "__signature__"} & inner.__dict__.keys():
        return False
    code = inner.__code__
    return code.co_argcount - bound == count and code.co_kwonlyargcount == 0


def _call_by_name(node: CallableNode, keys: Sequence[Any]) -> Call:
    func = node.func
    params = list(zip(node.param_of.values(), keys, strict=True))
    first = [key for param, key in params if param in node.positional_only]
    named = [(param, key) for param, key in params if param not in node.positional_only]
    if not first:
        return lambda values: func(**{param: values[key] for param, key in named})
    return lambda values: func(
        *[values[key] for key in first], **{param: values[key] for param, key in named}
    )


def _call_with_stars(node: CallableNode, keys: Sequence[Any]) -> Call:
    """Spread the value of ``*args`` over positions and that of ``**kwargs`` over names."""
    func = node.func
    star, stars = node.var_positional, node.var_keyword
    params = list(node.param_of.values())
    # Whatever stands before ``*args`` has to go by position, or Python would fill it twice.
    before = params.index(star) if star is not None else len(node.positional_only)
    key_of = dict(zip(params, keys, strict=True))
    first = [key_of[param] for param in params[:before]]
    named = {param: key_of[param] for param in params[before:] if param not in (star, stars)}

    def call(values: Mapping[Any, Any]) -> Any:
        rest = values[key_of[star]] if star is not None else ()
        extra = values[key_of[stars]] if stars is not None else {}
        if not isinstance(extra, Mapping):
            extra = {stars: extra}
        by_name = {param: values[key] for param, key in named.items()}
        return func(*[values[key] for key in first], *rest, **by_name, **extra)

    return call
