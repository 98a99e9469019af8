"""What a graph is."""

from hypergraph.errors import GraphConfigError
from hypergraph.graph.graph import Graph
from hypergraph.graph.input_spec import InputSpec

__all__ = ["Graph", "GraphConfigError", "InputSpec"]
