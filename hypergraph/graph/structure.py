"""Who produces what, who reads it, and which edges follow.

Everything here is worked out once per list of nodes and shared by the graphs
that ``bind``, ``unbind`` and ``select`` make. Nodes are numbered in list order;
edges, components and reachable sets are kept by number.

Rule 1: a data edge starts from the *first* producer of a name. Several (mutually
exclusive) producers reach the readers all the same, because values travel by name.

Rule 2: an ordered pair of nodes has one edge. A control edge gives way to a data edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256

from hypergraph.nodes import END, GateNode, GraphNode, HyperNode, InterruptNode

Edge = tuple[int, int]


class Structure:
    """The wiring of a list of nodes.

    Attributes:
        nodes: The nodes, in list order.
        by_name: Node name -> node; of two with one name the last.
        producers: Output name -> numbers of the nodes that produce it, ascending.
        consumers: Input name -> numbers of the nodes that read it, ascending; in
            order of first appearance over nodes and their inputs.
        data_edges: (producer, consumer) -> value names, in the consumer's input order.
        control_edges: (gate, target) pairs that no data edge covers.
    """

    def __init__(self, nodes: Iterable[HyperNode]) -> None:
        self.nodes = tuple(nodes)
        self.by_name = {node.name: node for node in self.nodes}
        self.producers: dict[str, list[int]] = {}
        self.consumers: dict[str, list[int]] = {}
        for number, node in enumerate(self.nodes):
            for output in node.outputs:
                self.producers.setdefault(output, []).append(number)
            for name in node.inputs:
                self.consumers.setdefault(name, []).append(number)
        self.data_edges: dict[Edge, list[str]] = {}
        for number, node in enumerate(self.nodes):
            for name in node.inputs:
                if name in self.producers:
                    edge = (self.producers[name][0], number)
                    self.data_edges.setdefault(edge, []).append(name)
        self.gates = tuple(n for n, node in enumerate(self.nodes) if isinstance(node, GateNode))

    @cached_property
    def control_edges(self) -> tuple[Edge, ...]:
        """(gate, target) pairs, for targets that are nodes of this graph."""
        if not self.gates:
            return ()
        numbers = {node.name: number for number, node in enumerate(self.nodes)}
        pairs = (
            (gate, numbers[target])
            for gate in self.gates
            for target in targets_of(self.nodes[gate])
            if target in numbers
        )
        return tuple(pair for pair in pairs if pair not in self.data_edges)

    @cached_property
    def successors(self) -> tuple[list[int], ...]:
        """Node number -> numbers its edges lead to, data and control."""
        return _adjacency(len(self.nodes), [*self.data_edges, *self.control_edges])

    @cached_property
    def has_cycles(self) -> bool:
        """Whether some node can be reached from itself, by data or control edges."""
        return any(on_cycle(self.successors))

    @cached_property
    def seeds(self) -> frozenset[str]:
        """Names that a producer and a reader on one cycle of data edges share."""
        forward = _adjacency(len(self.nodes), self.data_edges)
        if not _may_cycle(forward):
            return frozenset()
        component, cyclic = components(forward), on_cycle(forward)

        def lies_on_cycle(name: str) -> bool:
            return any(
                cyclic[p] and component[p] == component[c]
                for p in self.producers[name]
                for c in self.consumers[name]
            )

        travelling = (name for name in self.consumers if name in self.producers)
        return frozenset(name for name in travelling if lies_on_cycle(name))

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """All output names in node order, each once."""
        return tuple(self.producers)

    @cached_property
    def has_async_nodes(self) -> bool:
        """Whether some node is async and no runner of its own takes care of it."""
        return any(
            node.is_async and not (isinstance(node, GraphNode) and node.brings_async_runner)
            for node in self.nodes
        )

    @cached_property
    def has_interrupts(self) -> bool:
        """Whether there is an `InterruptNode`, here or in a nested graph."""
        return any(
            isinstance(node, InterruptNode)
            or (isinstance(node, GraphNode) and node.graph.has_interrupts)
            for node in self.nodes
        )

    @cached_property
    def controlled_by(self) -> Mapping[str, list[str]]:
        """Target name -> names of the gates that target it, in list order."""
        controlled: dict[str, list[str]] = {}
        for gate in self.gates:
            for target in targets_of(self.nodes[gate]):
                controlled.setdefault(target, []).append(self.nodes[gate].name)
        return controlled

    @cached_property
    def definition_hash(self) -> str:
        """Sha256 of the nodes' own hashes and the edges, whatever the order of the list."""
        names = [node.name for node in self.nodes]
        nodes = sorted((node.name, node.definition_hash) for node in self.nodes)
        data = sorted((names[s], names[t], sorted(v)) for (s, t), v in self.data_edges.items())
        control = sorted((names[s], names[t]) for s, t in self.control_edges)
        return sha256(repr((nodes, data, control)).encode()).hexdigest()

    def travels(self, name: str) -> bool:
        """Whether some node produces `name` and some node reads it."""
        return name in self.producers and name in self.consumers


def targets_of(gate: HyperNode) -> list[str]:
    """Return the names a gate targets, without `END`."""
    return [target for target in getattr(gate, "targets", ()) if target is not END]


def components(forward: Sequence[Sequence[int]]) -> list[int]:
    """Return each node's strongly connected component, as a number.

    Tarjan's algorithm with an explicit stack: a chain of any length needs no
    recursion.

    Args:
        forward: Node number -> numbers its edges lead to.

    Source:
        R. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1, 1972.

    >>> components([[1], [0], [0]])
    [0, 0, 1]
    """
    size = len(forward)
    index = [-1] * size  # order of discovery
    low = [0] * size
    component = [-1] * size
    open_: list[int] = []
    discovered = found = 0
    for root in range(size):
        if index[root] >= 0:
            continue
        work = [(root, iter(forward[root]))]
        index[root] = low[root] = discovered
        discovered += 1
        open_.append(root)
        while work:
            node, edges = work[-1]
            for target in edges:
                if index[target] < 0:
                    index[target] = low[target] = discovered
                    discovered += 1
                    open_.append(target)
                    work.append((target, iter(forward[target])))
                    break
                if component[target] < 0:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    while component[node] < 0:
                        component[open_.pop()] = found
                    found += 1
    return component


def on_cycle(forward: Sequence[Sequence[int]]) -> list[bool]:
    """Return for each node whether it can be reached from itself."""
    if not _may_cycle(forward):
        return [False] * len(forward)
    component = components(forward)
    sizes: dict[int, int] = {}
    for number in component:
        sizes[number] = sizes.get(number, 0) + 1
    return [sizes[component[n]] > 1 or n in targets for n, targets in enumerate(forward)]


def reachable(start: int, forward: Sequence[Sequence[int]]) -> set[int]:
    """Return the numbers that can be reached from `start`, itself included."""
    seen, todo = {start}, [start]
    while todo:
        for target in forward[todo.pop()]:
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def _adjacency(size: int, edges: Iterable[Edge]) -> tuple[list[int], ...]:
    forward: tuple[list[int], ...] = tuple([] for _ in range(size))
    for source, target in edges:
        forward[source].append(target)
    return forward


def _may_cycle(forward: Sequence[Sequence[int]]) -> bool:
    # A cycle needs an edge that leads back in list order. Most lists are written
    # in the order of the data, so most graphs are settled here.
    return any(target <= node for node, targets in enumerate(forward) for target in targets)
