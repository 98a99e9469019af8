"""Which node of a graph prints, when a graph runs as one piece: asked only when a line is written.

A body says nothing when it begins: that would cost every item of a map. But whoever writes a line
has called for it, so the code object of the body is that of a frame on the stack.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

from hypergraph.graph import Graph
from hypergraph.nodes import GraphNode

#: Nodes named of those that share a body.
_MOST = 3


def find_node(graph: Graph, depth: int = 1) -> str:
    """Return the path of the node whose body is the nearest caller, "" if none is.

    Args:
        graph: What runs.
        depth: Frames above this function to begin at.
    """
    paths = _paths_by_code(graph)
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        found = paths.get(frame.f_code)
        if found is not None:
            return "|".join(found[:_MOST])
        frame = frame.f_back
    return ""


def _paths_by_code(graph: Graph) -> dict[CodeType, list[str]]:
    known: dict[CodeType, list[str]] | None = graph._cache.get("whereabouts")
    if known is None:
        known = {}
        for path, code in _bodies(graph, ""):
            known.setdefault(code, []).append(path)
        graph._cache["whereabouts"] = known
    return known


def _bodies(graph: Graph, prefix: str) -> Iterator[tuple[str, CodeType]]:
    for node in graph._nodes:
        path = f"{prefix}{node.name}"
        if isinstance(node, GraphNode):
            yield from _bodies(node.graph, f"{path}/")
        else:
            yield from ((path, code) for code in _codes_of(getattr(node, "func", None)))


def _codes_of(function: Any) -> Iterator[CodeType]:
    """Yield the code of a body, and of what its decorators were put around."""
    for _ in range(20):
        if isinstance(function, MethodType):
            function = function.__func__
        if isinstance(function, FunctionType):
            yield function.__code__
        inner = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
        if inner is None and not isinstance(function, FunctionType | type):
            of_class = (vars(cls).get("__call__") for cls in type(function).__mro__)
            inner = next(filter(None, of_class), None)
        if inner is None or inner is function:
            return
        function = inner
