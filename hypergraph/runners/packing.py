"""A graph and its inputs, made ready to cross to workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypergraph.graph import Graph
from hypergraph.graph.placement import queues_of, seen_from
from hypergraph.nodes import GraphNode
from hypergraph.nodes.queue import DEFAULT_QUEUE
from hypergraph.plan import Plan
from hypergraph.store.records import SMALL_BYTES, GraphSpec, Ref, is_large, refer
from hypergraph.values.codec import encode_parts, joined
from hypergraph.values.digest import Buffer, digest
from hypergraph.values.ship import Packed, Packer, Ship


@dataclass(slots=True)
class Parcel:
    """What a run has to bring along.

    Code and broadcast values are shared by content: they cross once per content and client
    process. Inputs of a run are the run's own.
    """

    shared: dict[str, bytes] = field(default_factory=dict)  #: digest -> bytes
    values: dict[str, bytes] = field(default_factory=dict)  #: digest -> bytes
    large: dict[str, tuple[bool, Sequence[Buffer]]] = field(default_factory=dict)
    #: digest -> whether it is shared, and its bytes in parts; what lies in blobs
    needs: dict[str, dict[str, None]] = field(default_factory=dict)
    #: queue, without tag -> modules that its workers must have installed

    def add_code(self, packed: Packed, queue: str | None) -> str:
        """Add a packed node or graph. Returns its digest.

        Args:
            packed: The node or graph.
            queue: Whose workers load it; None if only those do that serve all queues of the graph.
        """
        for part in (*packed.parts, packed):
            self.shared[part.digest] = part.data
            if queue is not None:
                self.needs.setdefault(queue, {}).update(dict.fromkeys(part.modules))
        return packed.digest

    def add_value(self, parts: Sequence[Buffer], *, shared: bool = False) -> Ref:
        """Add an encoded value: of this run, or shared by content. Returns its reference."""
        ref = refer(digest(parts), sum(memoryview(part).nbytes for part in parts), shared=shared)
        if is_large(ref):
            self.large[ref[0]] = (shared, parts)
        elif shared:
            self.shared[ref[0]] = joined(parts)
        else:
            self.values[ref[0]] = joined(parts)
        return ref

    def add_broadcast(self, parts: Sequence[Buffer]) -> Ref:
        """Add a value that many items use. A small one is not worth sharing between runs."""
        size = sum(memoryview(part).nbytes for part in parts)
        return self.add_value(parts, shared=size > SMALL_BYTES)


def pack_inputs(parcel: Parcel, inputs: Mapping[str, Any], ship: Ship) -> dict[str, Ref]:
    """Encode the inputs of a run.

    Raises:
        UnserializableInput: The path begins with the input's name, as in ``$.model._lock``.
    """
    return {
        name: parcel.add_value(encode_parts(value, where=f"$.{name}", ship=ship))
        for name, value in inputs.items()
    }


def pack_spec(parcel: Parcel, graph: Graph, plan: Plan, ship: Ship) -> tuple[str, GraphSpec]:
    """Pack a placed graph that runs node by node. Returns the digest of its spec, and the spec.

    A graph that runs as one piece, because its node is mapped or has a runner of its own, is packed
    whole.
    """
    packer = Packer(ship)
    nodes: dict[str, str] = {}
    bound: dict[str, dict[str, Ref]] = {}
    seeds: dict[str, dict[str, Ref]] = {}
    parts: dict[str, dict[str, str]] = {}
    for path, inner in _open_graphs(graph, ""):
        bindings = inner.inputs.bound
        if bindings:
            bound[path] = {
                name: parcel.add_value(
                    encode_parts(value, where=f"$.{name}", ship=ship), shared=True
                )
                for name, value in bindings.items()
            }
        for node in inner._nodes:
            where = f"{path}/{node.name}" if path else node.name
            if not isinstance(node, GraphNode):
                queue = node.queue or DEFAULT_QUEUE
                nodes[where] = parcel.add_code(packer.pack_node(node), queue)
            elif _is_one_piece(node):
                nodes[where], codes = _pack_whole(parcel, node.graph, packer)
                if codes:
                    parts[where] = codes
            elif refs := _pack_seeds(parcel, node, ship):
                seeds[where] = refs
    spec = GraphSpec(plan, nodes, bound, seeds, parts)
    data = spec.to_bytes()
    key = digest(data)
    parcel.shared[key] = data
    return key, spec


def _pack_seeds(parcel: Parcel, node: GraphNode, ship: Ship) -> dict[str, Ref]:
    """Pack the defaults of a nested graph's seeds: its loops begin with a value, given or not."""
    return {
        inner: parcel.add_value(
            encode_parts(node.get_default_for(name), where=f"$.{name}", ship=ship), shared=True
        )
        for name, inner in node.param_of.items()
        if inner in node.graph.inputs.seeds and node.has_default_for(name)
    }


def pack_whole(parcel: Parcel, graph: Graph, ship: Ship) -> tuple[str, dict[str, str]]:
    """Pack a placed graph whose items run as one piece each, or queue by queue.

    Returns:
        The digest, and `MapSpec.parts`.
    """
    return _pack_whole(parcel, graph, Packer(ship))


def _pack_whole(parcel: Parcel, graph: Graph, packer: Packer) -> tuple[str, dict[str, str]]:
    queues = sorted(queues_of(graph)) or [DEFAULT_QUEUE]
    if len(queues) == 1:
        return parcel.add_code(packer.pack_graph(graph), queues[0]), {}
    parts = {
        queue: parcel.add_code(packer.pack_graph(seen_from(graph, queue)), queue)
        for queue in queues
    }
    return parcel.add_code(packer.pack_graph(graph), None), parts


def _is_one_piece(node: GraphNode) -> bool:
    return node.map_config is not None or node.runner is not None


def _open_graphs(graph: Graph, path: str) -> Iterator[tuple[str, Graph]]:
    """Yield the graph and the nested graphs whose nodes are tasks of the same run."""
    yield path, graph
    for node in graph._nodes:
        if isinstance(node, GraphNode) and not _is_one_piece(node):
            yield from _open_graphs(node.graph, f"{path}/{node.name}" if path else node.name)
