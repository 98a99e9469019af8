"""Pack nodes and graphs for processes that have never seen their code.

A node travels as a pickle of the node object; its function inside is a pickle of its
own, so that nodes made from one function share the work. A graph travels as a pickle
in which every node that holds a function is replaced by that node's digest::

    graph blob ──digest──► node blob (function)
               ──digest──► node blob (function)

Blobs are stored under their digest, so what two graphs share crosses once. A blob
begins with four bytes::

    0x02 | version | Python's major | Python's minor

because code does not survive a change of the minor version: it loads, and then crashes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

from hypergraph.errors import UnserializableInput
from hypergraph.graph import Graph
from hypergraph.nodes import GraphNode, HyperNode
from hypergraph.values import rebuild
from hypergraph.values.code_id import Origin, origin_of
from hypergraph.values.codec import MakePickler, Refusal, dump, joined, make_pickler, refuse_larger
from hypergraph.values.digest import digest
from hypergraph.values.loader import HEADER, Loader
from hypergraph.values.pickler import Pickler, new_pickler
from hypergraph.values.policy import Policy, Ship

__all__ = ["Loader", "Packed", "Packer", "Ship"]


@dataclass(frozen=True, slots=True)
class Packed:
    """A node or a graph, ready to be stored under its digest."""

    digest: str  #: of `data`, 64 hex digits
    data: bytes
    modules: tuple[str, ...]  #: top-level modules that a worker must be able to import
    parts: tuple[Packed, ...] = ()  #: the node blobs that a graph refers to, each once


class _Dumped(NamedTuple):
    data: bytes
    modules: tuple[str, ...]


class Packer:
    """Packs the nodes of one run or map. Make a new one for the next.

    Between two runs a user may change a global that a function uses; within one
    everything is packed once.

    Args:
        ship: ``auto``: functions of the user's own modules travel by value, others by
            name. ``value``: so do functions of installed packages, and nothing falls
            back to its name. ``reference``: all go by name, and what has none is refused.
        limit_bytes: Refuse a node or graph with more bytes than this.
        error: Makes the error for what cannot travel.

    Warns:
        UserWarning: Under ``auto``, part of a module of the user's does not pickle, so
            workers have to import that module. It names the part and the module.
    """

    def __init__(
        self,
        ship: Ship = "auto",
        *,
        limit_bytes: int | None = None,
        error: Refusal = UnserializableInput,
    ) -> None:
        self._policy = Policy(ship)
        self._policy.packs_code = True
        self._limit_bytes = limit_bytes
        self._error = error
        # By id; the objects are kept, so that no id is used again.
        self._nodes: dict[int, tuple[HyperNode, Packed]] = {}
        self._functions: dict[int, tuple[FunctionType, _Dumped]] = {}

    def pack_node(self, node: HyperNode) -> Packed:
        """Return `node` with its function, for :meth:`Loader.load_node`.

        Raises:
            UnserializableInput: Something that its function uses does not pickle; the
                path begins with the node's name, as in ``load.func closure 'lock'``.
            PayloadTooLarge: It has more than `limit_bytes`.
        """
        known = self._nodes.get(id(node))
        if known is None:
            known = self._nodes[id(node)] = (node, self._pack_node(node))
        return known[1]

    def pack_graph(self, graph: Graph) -> Packed:
        """Return the whole `graph`, for :meth:`Loader.load_graph`.

        Errors as in :meth:`pack_node`; bound values count as parts of the graph.
        """
        parts: dict[str, Packed] = {}

        def part(node: HyperNode) -> str:
            packed = self.pack_node(node)
            parts[packed.digest] = packed
            return packed.digest

        def make(file: Any, policy: Policy, buffer_callback: Any) -> Pickler:
            pickler: _GraphPickler = new_pickler(_GraphPickler, file, policy, buffer_callback)
            pickler.part = part
            return pickler

        where = graph.name or "graph"
        dumped = self._dump(graph, where, make)
        modules = dict.fromkeys(dumped.modules)
        for packed in parts.values():
            modules.update(dict.fromkeys(packed.modules))
        return self._packed(dumped.data, modules, tuple(parts.values()))

    def _pack_node(self, node: HyperNode) -> Packed:
        function = getattr(node, "func", None)
        self._policy.bodies = frozenset(map(id, _bodies_of(node)))
        if self._policy.ship == "value":
            self._policy.also |= _package_of(function)
        if not isinstance(function, FunctionType) or not self._policy.by_value(function.__module__):
            dumped = self._dump(node, node.name)
            return self._packed(dumped.data, dict.fromkeys(dumped.modules))
        inner = self._dump_function(function, f"{node.name}.func")

        def make(file: Any, policy: Policy, buffer_callback: Any) -> Pickler:
            pickler: _NodePickler = new_pickler(_NodePickler, file, policy, buffer_callback)
            pickler.body, pickler.body_data = function, inner.data
            return pickler

        dumped = self._dump(node, node.name, make)
        return self._packed(dumped.data, dict.fromkeys(inner.modules + dumped.modules))

    def _dump_function(self, function: FunctionType, where: str) -> _Dumped:
        known = self._functions.get(id(function))
        if known is None:
            known = self._functions[id(function)] = (function, self._dump(function, where))
        return known[1]

    def _dump(self, value: Any, where: str, make: MakePickler = make_pickler) -> _Dumped:
        outer = self._policy.needed  # of the graph whose nodes are being packed
        self._policy.needed = {}
        try:
            parts = dump(value, self._policy, where=where, error=self._error, make=make)
            if self._limit_bytes is not None:
                refuse_larger(parts, self._limit_bytes, value, where)
            return _Dumped(joined(parts), tuple(self._policy.needed))
        finally:
            self._policy.needed = outer

    def _packed(
        self, dumped: bytes, modules: dict[str, None], parts: tuple[Packed, ...] = ()
    ) -> Packed:
        data = HEADER + dumped
        return Packed(digest(data), data, tuple(modules), parts)


def _bodies_of(node: HyperNode) -> Iterator[Any]:
    """Yield what a node calls: the functions inside partial and bound ones too."""
    called: Any = getattr(node, "func", None) or getattr(node, "handler", None)
    while called is not None:
        if isinstance(getattr(called, "__module__", None), str):
            yield called
        inner = "func" if isinstance(called, partial) else "__func__"
        called = getattr(called, inner, None)


def _package_of(function: Any) -> frozenset[str]:
    module = getattr(function, "__module__", None)
    if not isinstance(module, str) or origin_of(module) is not Origin.INSTALLED:
        return frozenset()
    return frozenset({module.partition(".")[0]})


class _NodePickler(Pickler):
    """Puts the node's function in as a pickle of its own."""

    body: Any
    body_data: bytes

    def reducer_override(self, obj: Any) -> Any:
        """Return how to rebuild `obj`."""
        if obj is self.body:
            return rebuild.function, (self.body_data,)
        return super().reducer_override(obj)


class _GraphPickler(Pickler):
    """Replaces every node that stands for itself by the digest of its own blob."""

    part: Callable[[HyperNode], str]

    def persistent_id(self, obj: Any) -> str | None:
        """Return the digest of a node, and `None` for anything else."""
        cls = type(obj)
        if cls in _NEVER_PARTS or not isinstance(obj, HyperNode) or isinstance(obj, GraphNode):
            return None
        return self.part(obj)


#: Common in a graph's pickle, and quicker to look up than to ask whether it is a node.
_NEVER_PARTS = frozenset({bool, dict, float, int, list, str, tuple, type, type(None), GraphNode})
