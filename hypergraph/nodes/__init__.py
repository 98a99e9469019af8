"""What a node is."""

from hypergraph.errors import RenameError
from hypergraph.nodes.base import HyperNode
from hypergraph.nodes.function import CallableNode, FunctionNode, node
from hypergraph.nodes.gate import END, GateNode, IfElseNode, RouteNode, ifelse, route
from hypergraph.nodes.graph_node import GraphNode
from hypergraph.nodes.interrupt import InterruptNode
from hypergraph.nodes.rename import RenameEntry

__all__ = [
    "END",
    "CallableNode",
    "FunctionNode",
    "GateNode",
    "GraphNode",
    "HyperNode",
    "IfElseNode",
    "InterruptNode",
    "RenameEntry",
    "RenameError",
    "RouteNode",
    "ifelse",
    "node",
    "route",
]
