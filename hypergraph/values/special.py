"""Objects that pickle by name, or not at all, although their parts would travel.

Each is common at the top of a script, where its name means nothing to a worker. The
functions here return what ``__reduce__`` would have to, or `NotImplemented` to leave
an object to pickle.
"""

from __future__ import annotations

import functools
import typing
import weakref
from collections.abc import Callable
from typing import Any

from cloudpickle import cloudpickle

from hypergraph.values import rebuild
from hypergraph.values.code_id import reference_to
from hypergraph.values.policy import Policy

Reduce = Callable[[Policy, Any], Any]


def type_variable(policy: Policy, variable: Any) -> Any:
    """A ``TypeVar`` or alike; cloudpickle's way drags the whole module along."""
    if not policy.by_value(variable.__module__):
        return NotImplemented
    if isinstance(variable, typing.TypeVar):
        return cloudpickle._make_typevar, cloudpickle._decompose_typevar(variable)
    return type(variable), (variable.__name__,)


def new_type(policy: Policy, made: Any) -> Any:
    """A ``NewType``, which pickles by name."""
    if not policy.by_value(made.__module__):
        return NotImplemented
    return rebuild.make_new_type, (made.__qualname__, made.__supertype__, made.__module__)


def type_alias(policy: Policy, alias: Any) -> Any:
    """What a ``type`` statement makes, which pickles by name."""
    if not policy.by_value(alias.__module__):
        return NotImplemented
    return rebuild.make_type_alias, (alias.__name__, alias.__value__, alias.__type_params__)


def cached_function(policy: Policy, wrapper: Any) -> Any:
    """What ``lru_cache`` makes, which pickles by name. It arrives with an empty cache."""
    module = wrapper.__module__
    if not policy.by_value(module) and reference_to(wrapper) is not None:
        policy.need(module)
        return NotImplemented
    options = wrapper.cache_parameters()
    return rebuild.make_cached, (wrapper.__wrapped__, options["maxsize"], options["typed"])


def cached_property(policy: Policy, descriptor: Any) -> Any:
    """A ``cached_property``, which holds a lock up to Python 3.11."""
    return rebuild.make_cached_property, (descriptor.func, descriptor.attrname)


def weak_dict(policy: Policy, mapping: Any) -> Any:
    """A mapping of weak references; every ``singledispatch`` function has one."""
    return type(mapping), (dict(mapping),)


REDUCE: dict[type, Reduce] = {
    typing.TypeVar: type_variable,
    typing.ParamSpec: type_variable,
    typing.TypeVarTuple: type_variable,
    typing.NewType: new_type,
    functools._lru_cache_wrapper: cached_function,
    functools.cached_property: cached_property,
    weakref.WeakKeyDictionary: weak_dict,
    weakref.WeakValueDictionary: weak_dict,
}
if hasattr(typing, "TypeAliasType"):  # since Python 3.12
    REDUCE[typing.TypeAliasType] = type_alias
