"""Nodes whose function is somewhere else: all there is to know of them but what they do."""

from __future__ import annotations

import copyreg
from typing import Any, NoReturn

from hypergraph.nodes.base import HyperNode
from hypergraph.nodes.callee import Callee
from hypergraph.nodes.function import CallableNode
from hypergraph.nodes.interrupt import InterruptNode


def absent(*args: Any, **kwargs: Any) -> NoReturn:
    """Stand in for a function that is not here, and that nobody is to call."""
    raise AssertionError("this function is on other workers; this is a bug in hypergraph")


class AbsentCallee(Callee):
    """What is known of a function that is not here.

    Args:
        callee: The function. Its defaults stay: what reads the same name may need them.
    """

    def __init__(self, callee: Callee) -> None:
        self.__dict__.update(callee.__dict__)
        self.func = absent
        self._name = callee.name
        self._hash = self._hash or ""  # its source is not here either
        self._hints = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as what is known."""
        return copyreg.__newobj__, (type(self),), self.__dict__  # type: ignore[attr-defined]

    @property
    def name(self) -> str:
        """The function's own name."""
        return self._name


def without_function(node: HyperNode) -> HyperNode:
    """Return a copy of a node that is wired alike but has no function."""
    copy = node._copy()
    if isinstance(copy, CallableNode):
        copy.func, copy._callee = absent, AbsentCallee(copy._callee)
    elif isinstance(copy, InterruptNode) and copy.handler is not None:
        copy.handler = absent
    return copy


def is_absent(node: HyperNode) -> bool:
    """Whether a node's function is somewhere else."""
    return isinstance(node, CallableNode) and node.func is absent
