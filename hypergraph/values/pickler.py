"""Decide what of a value travels as it is, and what only by name.

Cloudpickle sends functions and classes by value if they come from ``__main__``, and
by name otherwise. A worker on another machine has not got the user's project either,
so here the user's own modules count like ``__main__``. What is installed, or part of
Python, goes by name.
"""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable
from functools import cached_property
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, TypeVar

from cloudpickle import cloudpickle

from hypergraph.values import rebuild, special
from hypergraph.values.code_id import home_of, reference_to
from hypergraph.values.lazy_imports import SENT, imported_modules
from hypergraph.values.likeness import likeness_to_send
from hypergraph.values.policy import Policy

PROTOCOL = 5


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles one value under a policy. A new one for every value, as with any pickler."""

    # Cloudpickle's own __init__ takes 1 µs, which is a third of a small value's time.
    __init__ = pickle.Pickler.__init__
    proto = PROTOCOL
    policy = Policy()

    @cached_property
    def globals_ref(self) -> dict[int, dict[str, Any]]:
        """Where cloudpickle keeps the globals that functions of one pickle share."""
        return {}

    def reducer_override(self, obj: Any) -> Any:
        """Return how to rebuild `obj`, or `NotImplemented` for pickle's own way."""
        reduce = _REDUCERS.get(type(obj))
        if reduce is not None:
            return reduce(self, obj)
        if isinstance(obj, type):  # its metaclass is not `type`
            return self.reduce_class(obj)
        return NotImplemented

    def reduce_class(self, cls: type) -> Any:
        """By value with the name it has at home, so that a reader can prefer its own."""
        module = getattr(cls, "__module__", None)
        if not self.policy.by_value(module):
            if self.policy.vouches_for(cls) and (reference := self._reference_to(cls)):
                return rebuild.resolve, reference
            return self._by_name(cls, module, cloudpickle._class_reduce)
        maker, args, state, *_ = cloudpickle._dynamic_class_reduce(cls)
        made_from = (module, cls.__qualname__, home_of(cls), maker, args)
        return rebuild.make_class, made_from, state, None, None, rebuild.set_class_state

    def reduce_function(self, function: FunctionType) -> Any:
        """By value: code object, used globals and closure. By name, also out of a node."""
        module = function.__module__
        if self.policy.by_value(module):
            return self._function_by_value(function)
        if self.policy.vouches_for(function) or not cloudpickle._should_pickle_by_reference(
            function
        ):
            reference = self._reference_to(function)
            if reference is not None:
                return rebuild.resolve, reference
        return self._by_name(function, module, self._not_global)

    def _reference_to(self, thing: Any) -> tuple[Any, ...] | None:
        """Return how what goes by name is found, and what it is like if that matters."""
        reference = reference_to(thing)
        if reference is None:
            return None
        self.policy.need(thing.__module__)
        if not self.policy.vouches_for(thing):
            return reference
        return *reference, tuple(likeness_to_send(thing))

    def _not_global(self, function: FunctionType) -> Any:
        if cloudpickle._should_pickle_by_reference(function):
            return NotImplemented
        return self._function_by_value(function)

    def _function_by_value(self, function: FunctionType) -> Any:
        maker, args, (state, slots), *_ = self._dynamic_function_reduce(function)
        if self.policy.plain_annotations and function.__annotations__:
            slots["__annotations__"] = {n: _plain(a) for n, a in slots["__annotations__"].items()}
        setter = cloudpickle._function_setstate
        modules = imported_modules(function)
        sent = {name: m for name, m in modules.items() if self.policy.by_value(name)}
        if sent:
            slots[SENT] = sent
            maker, setter = rebuild.make_importing_function, rebuild.set_importing_function_state
        return maker, args, (state, slots), None, None, setter

    def _by_name(self, obj: Any, module: str | None, reduce: Callable[[Any], Any]) -> Any:
        reduced = reduce(obj)
        if reduced is NotImplemented:
            self.policy.need(module)
        elif self.policy.ship == "reference" and reduced[-1] in _SETTERS:
            raise pickle.PicklingError(
                f"{module}.{obj.__qualname__} cannot be imported under its name, and "
                "ship='reference' sends no code; define it at the top of a module that the "
                "workers have, or use ship='auto'"
            )
        return reduced

    def reduce_module(self, module: ModuleType) -> Any:
        """Send a module of the user's along; whoever reads it gets a copy of its own."""
        name = module.__name__
        if not self.policy.by_value(name):
            self.policy.need(name)
            return cloudpickle.subimport, (name,)
        content = {k: v for k, v in module.__dict__.items() if k not in _NOT_SENT}
        return rebuild.make_module, (name,), content, None, None, rebuild.fill_module

    def reduce_builtin(self, function: Any) -> Any:
        """By name always. Methods of objects have no module and take their object along."""
        if isinstance(function.__self__, ModuleType):
            self.policy.need(function.__module__)
            if self.policy.vouches_for(function) and (reference := self._reference_to(function)):
                return rebuild.resolve, reference
        return NotImplemented


_NOT_SENT = frozenset({"__builtins__", "__cached__", "__loader__", "__spec__"})
#: State setters; a reduction that ends in one sends code.
_SETTERS = (
    cloudpickle._class_setstate,
    cloudpickle._function_setstate,
    rebuild.set_importing_function_state,
)


def _special(reduce: special.Reduce) -> Callable[[Pickler, Any], Any]:
    return lambda pickler, obj: reduce(pickler.policy, obj)


_REDUCERS: dict[type, Callable[[Pickler, Any], Any]] = {
    type: Pickler.reduce_class,
    FunctionType: Pickler.reduce_function,
    ModuleType: Pickler.reduce_module,
    BuiltinFunctionType: Pickler.reduce_builtin,
    **{cls: _special(reduce) for cls, reduce in special.REDUCE.items()},
}


def _plain(annotation: Any) -> Any:
    if annotation is None or isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and annotation.__module__ == "builtins":
        return annotation
    return repr(annotation)


def _flat_dispatch_table() -> dict[type, Any]:
    # Cloudpickle's is a ChainMap, whose look-ups are Python code: 0.6 µs per object.
    return {**copyreg.dispatch_table, **cloudpickle.Pickler._dispatch_table}


Pickler.dispatch_table = _flat_dispatch_table()
_registered = len(copyreg.dispatch_table)


P = TypeVar("P", bound=Pickler)


def new_pickler(kind: type[P], file: Any, policy: Policy, buffer_callback: Any) -> P:
    """Return a pickler of class `kind` that writes to `file` under `policy`."""
    global _registered
    if len(copyreg.dispatch_table) != _registered:  # somebody called copyreg.pickle
        Pickler.dispatch_table = _flat_dispatch_table()
        _registered = len(copyreg.dispatch_table)
    pickler: P = kind(file, PROTOCOL, True, buffer_callback)
    pickler.policy = policy
    return pickler
