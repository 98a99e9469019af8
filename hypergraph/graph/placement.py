"""Where the nodes of a graph run: on which queue, and so on which workers.

Theory of operation
===================

A node may name a queue, and so may a runner, whose word wins. :func:`place` works out from both
where every node runs and returns a graph whose nodes all say so. Nobody behind it has to know who
has said what.

Rule 1: of the runner's words the most specific one counts: that for a node's path, then that for
its name, then those for the graphs it lies in, from the inside out.

Rule 2: what nobody has placed runs on `DEFAULT_QUEUE`. Gates and interrupts have no bodies worth a
queue of their own: if all functions run on one queue, they do as well.

Rule 3: a nested graph runs where its first node does. That is where a mapped one is taken apart and
put together again.

:func:`seen_from` returns a placed graph as the workers of one queue need it. They may lack what
nodes of other queues import.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from hypergraph.errors import IncompatibleRunnerError
from hypergraph.graph.graph import Graph
from hypergraph.nodes import FunctionNode, GraphNode, HyperNode
from hypergraph.nodes.absent import is_absent, without_function
from hypergraph.nodes.queue import DEFAULT_QUEUE
from hypergraph.wording import quoted

Path = tuple[str, ...]


def place(graph: Graph, queues: Mapping[str, str] | None) -> Graph:
    """Return `graph` with a queue for every node; the graph itself if nothing is placed.

    Args:
        graph: The graph.
        queues: Path or name of a node -> queue, as the runner says. None if all workers serve all
            queues: then nothing is placed.

    Raises:
        IncompatibleRunnerError: A nested graph with a runner of its own, which runs as one piece,
            has nodes on several queues.
    """
    key: Any = ("placed", None if queues is None else tuple(sorted(queues.items())))
    if key not in graph._cache:
        graph._cache[key] = _place(graph, queues)
    placed: Graph = graph._cache[key]
    return placed


def queues_of(graph: Graph) -> frozenset[str]:
    """Return the queues on which nodes of a placed graph, and of graphs inside it, run."""
    return frozenset(node.queue or DEFAULT_QUEUE for _, node in _leaves(graph, ()))


def home_of(graph: Graph) -> str:
    """Return the queue of the first node of a placed graph: of one that waits for no other."""
    for node in graph._nodes:
        if not any(graph.producers_of(name) for name in node.inputs):
            return node.queue or DEFAULT_QUEUE
    return next((node.queue for node in graph._nodes if node.queue), DEFAULT_QUEUE)


def seen_from(graph: Graph, queue: str, keep: Collection[str] = ()) -> Graph:
    """Return a placed graph without what only nodes on other queues need.

    That is their functions, and bindings that nobody else reads: None stands for these.

    Args:
        graph: The graph.
        queue: Whose nodes stay.
        keep: Names whose bindings stay all the same.
    """
    nodes = [_seen(node, queue) for node in graph._nodes]
    seen = graph._with_nodes(nodes)
    gone = {
        name: None
        for name in seen._bound
        if name not in keep and all(map(is_absent, seen.consumers_of(name)))
    }
    return seen._derived(bound={**seen._bound, **gone}) if gone else seen


def _seen(node: HyperNode, queue: str) -> HyperNode:
    if not isinstance(node, GraphNode):
        return node if node.queue == queue else without_function(node)
    copy = node._copy()
    mapped = [] if copy.map_config is None else copy.map_config[0]
    copy.graph = seen_from(copy.graph, queue, [copy.param_of[name] for name in mapped])
    return copy


def _place(graph: Graph, queues: Mapping[str, str] | None) -> Graph:
    leaves = dict(_leaves(graph, ()))
    if queues is None:
        said: dict[Path, str | None] = dict.fromkeys(leaves)
        placed = any(node.queue for node in leaves.values())
    else:
        said = {path: _word_for(path, queues) or node.queue for path, node in leaves.items()}
        placed = any(said.values())
    if not placed:
        return graph
    functions = {
        said[path] or DEFAULT_QUEUE
        for path, node in leaves.items()
        if isinstance(node, FunctionNode)
    }
    rest = functions.pop() if len(functions) == 1 else DEFAULT_QUEUE

    def with_queue(node: HyperNode, path: Path) -> HyperNode:
        copy = node._copy()
        if isinstance(copy, GraphNode):
            copy.graph = _rebuilt(copy.graph, path, with_queue)
            _refuse_torn_apart(copy, path)
            copy.queue = home_of(copy.graph)
        else:
            copy.queue = said[path] or (DEFAULT_QUEUE if isinstance(node, FunctionNode) else rest)
        return copy

    return _rebuilt(graph, (), with_queue)


def _word_for(path: Path, queues: Mapping[str, str]) -> str | None:
    for length in range(len(path), 0, -1):
        for key in ("/".join(path[:length]), path[length - 1]):
            if key in queues:
                return queues[key]
    return None


def _leaves(graph: Graph, path: Path) -> Iterator[tuple[Path, HyperNode]]:
    """Yield the nodes that are no graphs, with their paths."""
    for node in graph._nodes:
        if isinstance(node, GraphNode):
            yield from _leaves(node.graph, (*path, node.name))
        else:
            yield (*path, node.name), node


def _rebuilt(graph: Graph, path: Path, change: Callable[[HyperNode, Path], HyperNode]) -> Graph:
    return graph._with_nodes([change(node, (*path, node.name)) for node in graph._nodes])


def _refuse_torn_apart(node: GraphNode, path: Path) -> None:
    queues = queues_of(node.graph)
    if node.runner is None or len(queues) < 2:
        return
    name = "/".join(path)
    raise IncompatibleRunnerError(
        f"nested graph {name!r} brings a runner of its own, so it runs as one piece on one worker, "
        f"but its nodes are placed on {quoted(sorted(queues))}. Place all of it with "
        f"DistributedRunner(queues={{{name!r}: ...}}), or leave its runner to the graph around it",
        node_name=path[0],
    )
