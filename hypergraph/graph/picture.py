"""A graph as other libraries draw and study it."""

from __future__ import annotations

from typing import Any

from hypergraph.graph.structure import Structure


def as_networkx(structure: Structure) -> Any:
    """Return a new `networkx.DiGraph` of the nodes and their edges.

    Raises:
        ImportError: networkx is not installed; running a graph does not need it.
    """
    try:
        import networkx
    except ImportError as error:
        raise ImportError(
            "Graph.nx_graph needs networkx, which is not installed. Install the extra: "
            "pip install 'hypergraph-distributed[networkx]'"
        ) from error
    picture = networkx.DiGraph()
    names = [node.name for node in structure.nodes]
    for name, node in zip(names, structure.nodes, strict=True):
        picture.add_node(name, hypernode=node)
    for (source, target), values in structure.data_edges.items():
        picture.add_edge(names[source], names[target], edge_type="data", value_names=list(values))
    for source, target in structure.control_edges:
        picture.add_edge(names[source], names[target], edge_type="control")
    return picture
