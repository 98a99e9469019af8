"""Dataflow graphs of plain functions, run in one process or on many machines."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypergraph.errors import *  # noqa: F403
from hypergraph.errors import __all__ as _ERRORS
from hypergraph.graph import Graph, InputSpec
from hypergraph.nodes import (
    END,
    FunctionNode,
    GateNode,
    GraphNode,
    HyperNode,
    IfElseNode,
    InterruptNode,
    RouteNode,
    ifelse,
    node,
    route,
)

__version__ = "0.1.0"
