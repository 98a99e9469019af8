"""A graph, compiled to what deciding needs: names and flags, no code and no values.

A :class:`Plan` is made once per graph and kept with it. It travels: ``to_wire`` gives plain lists
that msgpack carries, so that a coordinator which has never seen the user's code can advance a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

from hypergraph.nodes import END, GateNode, GraphNode, HyperNode, InterruptNode
from hypergraph.nodes.queue import DEFAULT_QUEUE

if TYPE_CHECKING:
    from hypergraph.graph import Graph

Kind = Literal["function", "gate", "graph", "interrupt"]

#: How ``END`` is written in decisions and on the wire. No node can have this name: node names are
#: identifiers, and names of nested graphs must not contain a slash.
END_NAME = "/end"


@dataclass(frozen=True, slots=True)
class Nested:
    """What a node of kind ``graph`` adds: the inner plan and how names cross its border."""

    plan: Plan
    inputs: Mapping[str, str]  #: outer input name -> inner input name
    outputs: Mapping[str, str]  #: inner output name -> outer output name
    mapped: tuple[str, ...] = ()  #: outer names that are mapped over; () runs the graph once
    mode: str = "zip"
    error_handling: str = "raise"
    alone: bool = False  #: it has a runner of its own, so it runs as one piece


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One node, as far as deciding goes."""

    index: int  #: position in the graph's list, from 0
    name: str
    kind: Kind
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    needs: tuple[str, ...]  #: inputs that only the run can supply: neither bound nor defaulted
    watches: tuple[str, ...]  #: inputs whose newer version makes the node run again
    gates: tuple[int, ...] = ()  #: the gates that target it; () means free
    targets: tuple[str, ...] = ()  #: what a gate may choose, END as END_NAME
    default_open: bool = False
    nested: Nested | None = None
    queue: str = DEFAULT_QUEUE
    is_async: bool = False
    has_handler: bool = False  #: an interrupt that answers itself
    several: bool = False  #: a gate that chooses a list of targets


@dataclass(frozen=True, eq=False)
class Plan:
    """A compiled graph. Two plans of one graph are equal on the wire."""

    name: str | None
    nodes: tuple[PlanNode, ...]
    outputs: tuple[str, ...]
    selected: tuple[str, ...] | None
    bound: frozenset[str]
    _schedules: dict[frozenset[str], tuple[int, ...] | None] = field(
        default_factory=dict, repr=False
    )

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Node name -> index."""
        return {node.name: node.index for node in self.nodes}

    @cached_property
    def readers(self) -> dict[str, tuple[int, ...]]:
        """Value name -> the nodes that watch it, in graph order."""
        readers: dict[str, list[int]] = {}
        for node in self.nodes:
            for name in node.watches:
                readers.setdefault(name, []).append(node.index)
        return {name: tuple(indexes) for name, indexes in readers.items()}

    @cached_property
    def producers(self) -> dict[str, tuple[int, ...]]:
        """Value name -> the nodes that write it, in graph order."""
        producers: dict[str, list[int]] = {}
        for node in self.nodes:
            for name in node.outputs:
                producers.setdefault(name, []).append(node.index)
        return {name: tuple(indexes) for name, indexes in producers.items()}

    @cached_property
    def controls(self) -> dict[int, tuple[int, ...]]:
        """Gate -> the nodes it targets."""
        controls: dict[int, list[int]] = {}
        for node in self.nodes:
            for gate in node.gates:
                controls.setdefault(gate, []).append(node.index)
        return {gate: tuple(targets) for gate, targets in controls.items()}

    @cached_property
    def has_shared_outputs(self) -> bool:
        """Whether any name has several writers, so that a superstep could hold a conflict."""
        return any(len(writers) > 1 for writers in self.producers.values())

    @cached_property
    def may_pause(self) -> bool:
        """Whether a node of this graph or of a nested one waits for an answer."""
        return any(
            node.kind == "interrupt" or (node.nested is not None and node.nested.plan.may_pause)
            for node in self.nodes
        )

    @cached_property
    def is_plain(self) -> bool:
        """Whether only data decides: no gate, no pause, no cycle, no default on a written input."""
        if self.may_pause or any(node.kind == "gate" for node in self.nodes):
            return False
        if self.has_shared_outputs:
            return False
        for node in self.nodes:
            if any(name in self.producers and name not in node.needs for name in node.inputs):
                return False
        return not self._is_cyclic()

    def _is_cyclic(self) -> bool:
        waiting = {
            node.index: sum(1 for name in set(node.inputs) if name in self.producers)
            for node in self.nodes
        }
        consumers: dict[str, list[int]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                consumers.setdefault(name, []).append(node.index)
        open_ = [index for index, count in waiting.items() if count == 0]
        done = 0
        while open_:
            done += 1
            for name in self.nodes[open_.pop()].outputs:
                for reader in consumers.get(name, ()):
                    waiting[reader] -= 1
                    if waiting[reader] == 0:
                        open_.append(reader)
        return done < len(self.nodes)

    def levels(self, provided: Iterable[str]) -> tuple[int, ...] | None:
        """Return the superstep of each node (from 0; -1: never runs), where data cannot change it.

        Args:
            provided: The names the caller gave.

        Returns:
            None when supersteps depend on what nodes return: with gates, cycles, pauses, defaults
            on written inputs, or when the caller gave a name that a node writes.
        """
        known = frozenset(name for name in provided if name in self.names)
        if known not in self._schedules:
            self._schedules[known] = self._compute_levels(known)
        return self._schedules[known]

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that a node reads or writes."""
        return frozenset(name for node in self.nodes for name in (*node.inputs, *node.outputs))

    @cached_property
    def needers(self) -> dict[str, list[int]]:
        """Value name -> the nodes that cannot run without it, in graph order."""
        needers: dict[str, list[int]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.needs):
                needers.setdefault(name, []).append(node.index)
        return needers

    def _compute_levels(self, provided: frozenset[str]) -> tuple[int, ...] | None:
        if not self.is_plain or any(name in self.producers for name in provided):
            return None
        levels = [-1] * len(self.nodes)
        missing = [
            sum(1 for name in dict.fromkeys(node.needs) if name not in provided)
            for node in self.nodes
        ]
        front = [node.index for node in self.nodes if missing[node.index] == 0]
        level = 0
        while front:
            following: list[int] = []
            for index in front:
                levels[index] = level
                for name in self.nodes[index].outputs:
                    for reader in self.needers.get(name, ()):
                        missing[reader] -= 1
                        if missing[reader] == 0:
                            following.append(reader)
            front = sorted(following)
            level += 1
        return tuple(levels)

    def to_wire(self) -> list[Any]:
        """Return the plan as nested lists of str, int, bool and None."""
        return [
            self.name,
            [_node_to_wire(node) for node in self.nodes],
            list(self.outputs),
            None if self.selected is None else list(self.selected),
            sorted(self.bound),
        ]

    @classmethod
    def from_wire(cls, wire: list[Any]) -> Plan:
        """Return the plan that ``to_wire`` wrote."""
        name, nodes, outputs, selected, bound = wire
        return cls(
            name,
            tuple(_node_from_wire(index, node) for index, node in enumerate(nodes)),
            tuple(outputs),
            None if selected is None else tuple(selected),
            frozenset(bound),
        )


def compile_plan(graph: Graph) -> Plan:
    """Return the plan of `graph`, made at the first call and kept with the graph."""
    plan = graph._cache.get("plan")
    if plan is None:
        plan = graph._cache["plan"] = _compile(graph)
    return cast(Plan, plan)


def _compile(graph: Graph) -> Plan:
    bound = frozenset(graph.inputs.bound)
    index_of = {node.name: index for index, node in enumerate(graph._nodes)}
    sole = graph.sole_producers
    gates: dict[str, list[int]] = {
        target: [index_of[gate] for gate in names] for target, names in graph.controlled_by.items()
    }
    nodes = tuple(
        _compile_node(index, node, bound, sole, tuple(gates.get(node.name, ())))
        for index, node in enumerate(graph._nodes)
    )
    return Plan(graph.name, nodes, tuple(graph.outputs), graph.selected, bound)


def _compile_node(
    index: int,
    node: HyperNode,
    bound: frozenset[str],
    sole: Mapping[str, str],
    gates: tuple[int, ...],
) -> PlanNode:
    needs = tuple(n for n in node.inputs if n not in bound and not node.has_default_for(n))
    # The sole-producer rule: a free node is not woken by what only it writes. A gated node is
    # driven round by its gate and gets no such exemption (contract 13.5).
    watches = tuple(n for n in node.inputs if gates or sole.get(n) != node.name)
    kind: Kind = "function"
    nested = None
    targets: tuple[str, ...] = ()
    if isinstance(node, GateNode):
        kind = "gate"
        targets = tuple(END_NAME if t is END else str(t) for t in node.targets)
    elif isinstance(node, InterruptNode):
        kind = "interrupt"
    elif isinstance(node, GraphNode):
        kind = "graph"
        nested = _compile_nested(node)
    return PlanNode(
        index,
        node.name,
        kind,
        tuple(node.inputs),
        tuple(node.outputs),
        needs,
        watches,
        gates,
        targets,
        isinstance(node, GateNode) and bool(getattr(node, "default_open", False)),
        nested,
        node.queue or DEFAULT_QUEUE,
        is_async=node.is_async,
        has_handler=isinstance(node, InterruptNode) and node.handler is not None,
        several=bool(getattr(node, "multi_target", False)),
    )


def _compile_nested(node: GraphNode) -> Nested:
    mapped: tuple[str, ...] = ()
    mode, error_handling = "zip", "raise"
    if node.map_config is not None:
        names, mode, error_handling = node.map_config
        mapped = tuple(names)
    return Nested(
        compile_plan(node.graph),
        dict(node.param_of),
        dict(node.output_of),
        mapped,
        mode,
        error_handling,
        alone=getattr(node, "runner", None) is not None,
    )


def _node_to_wire(node: PlanNode) -> list[Any]:
    nested = node.nested
    return [
        node.name,
        node.kind,
        list(node.inputs),
        list(node.outputs),
        list(node.needs),
        list(node.watches),
        list(node.gates),
        list(node.targets),
        node.default_open,
        None
        if nested is None
        else [
            nested.plan.to_wire(),
            dict(nested.inputs),
            dict(nested.outputs),
            list(nested.mapped),
            nested.mode,
            nested.error_handling,
            nested.alone,
        ],
        node.queue,
        node.is_async,
        node.has_handler,
        node.several,
    ]


def _node_from_wire(index: int, wire: list[Any]) -> PlanNode:
    name, kind, inputs, outputs, needs, watches, gates, targets, *rest = wire
    open_, nested, queue, is_async, has_handler, several = rest
    return PlanNode(
        index,
        name,
        kind,
        tuple(inputs),
        tuple(outputs),
        tuple(needs),
        tuple(watches),
        tuple(gates),
        tuple(targets),
        open_,
        None
        if nested is None
        else Nested(
            Plan.from_wire(nested[0]),
            nested[1],
            nested[2],
            tuple(nested[3]),
            nested[4],
            nested[5],
            nested[6],
        ),
        queue,
        is_async,
        has_handler,
        several,
    )
