"""What a list of nodes must satisfy to be a graph.

One function per rule, in the order in which they are checked; the first that is
broken raises. A graph that exists is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from keyword import iskeyword
from typing import Any

from hypergraph.errors import GraphConfigError
from hypergraph.graph.mutex import branches, mutually_exclusive
from hypergraph.graph.structure import Structure, targets_of
from hypergraph.nodes import GraphNode, HyperNode, RouteNode
from hypergraph.nodes.graph_node import RESERVED_IN_GRAPH_NAMES
from hypergraph.wording import did_you_mean, quoted


def check(structure: Structure, name: str | None) -> None:
    """Raise `GraphConfigError` for the first rule that nodes or graph name break."""
    _no_name_twice(structure)
    _no_output_twice(structure)
    if name is not None:
        _no_reserved_character(name, "graph")
    for rule in _NODE_RULES:
        for node in structure.nodes:
            rule(node)
    _no_nested_name_taken(structure)
    _defaults_agree(structure)
    _targets_exist(structure)
    _no_target_twice(structure)
    for node in structure.nodes:
        _pauses_are_not_mapped(node)


def _no_name_twice(structure: Structure) -> None:
    if len(structure.by_name) == len(structure.nodes):
        return
    seen: set[str] = set()
    for node in structure.nodes:
        if node.name in seen:
            raise GraphConfigError(
                f"Duplicate node name: {_short(node.name)}. Every node of a graph needs a name of "
                "its own; rename one with .with_name(...)."
            )
        seen.add(node.name)


def _no_output_twice(structure: Structure) -> None:
    by_gate: list[dict[int, int]] | None = None
    for output, producers in structure.producers.items():
        if len(producers) == 1:
            continue
        by_gate = list(branches(structure)) if by_gate is None else by_gate
        if not mutually_exclusive(producers, by_gate):
            names = quoted(structure.nodes[p].name for p in producers)
            raise GraphConfigError(
                f"Multiple nodes produce {output!r}: {names}. Only nodes in different branches of "
                "one gate may share an output. Rename one with .with_outputs(...), or let an "
                "@ifelse or single-target @route choose between them."
            )


def _no_reserved_character(name: str, kind: str) -> None:
    for char in RESERVED_IN_GRAPH_NAMES:
        if char in name:
            raise GraphConfigError(
                f"Invalid {kind} name {_short(name)}: it cannot contain {char!r}, which separates "
                "the parts of a path. Use '_' in its place."
            )


def _not_reserved(node: HyperNode) -> None:
    if node.name == "END":
        raise GraphConfigError(
            "Invalid node name 'END': it is reserved for the END sentinel of gates. Rename the "
            "node with .with_name(...)."
        )


def _name_is_identifier(node: HyperNode) -> None:
    if isinstance(node, GraphNode):
        _no_reserved_character(node.name, "node")
    elif not node.name.isidentifier():
        raise GraphConfigError(
            f"Invalid node name {_short(node.name)}: names must be valid Python identifiers. "
            "Rename the node with .with_name(...)."
        )


def _name_is_no_keyword(node: HyperNode) -> None:
    if iskeyword(node.name) and not isinstance(node, GraphNode):
        raise GraphConfigError(
            f"Invalid node name {node.name!r}: it is a Python keyword. Rename the node with "
            ".with_name(...)."
        )


def _outputs_are_identifiers(node: HyperNode) -> None:
    for output in () if isinstance(node, GraphNode) else node.outputs:
        if not output.isidentifier():
            raise GraphConfigError(
                f"Invalid output name {_short(output)} of node {_short(node.name)}: names must be "
                "valid Python identifiers. Change output_name."
            )


def _outputs_are_no_keywords(node: HyperNode) -> None:
    for output in () if isinstance(node, GraphNode) else node.outputs:
        if iskeyword(output):
            raise GraphConfigError(
                f"Invalid output name {output!r} of node {node.name!r}: it is a Python keyword. "
                "Change output_name."
            )


def _pauses_are_not_mapped(node: HyperNode) -> None:
    if isinstance(node, GraphNode) and node.map_config and node.graph.has_interrupts:
        raise GraphConfigError(
            f"Node {node.name!r} uses map_over on a graph with an InterruptNode "
            f"({_first_interrupt(node)}). One person cannot answer for many items: move the "
            "interrupt outside the mapped graph."
        )


def _first_interrupt(node: GraphNode) -> str:
    if node.graph.interrupt_nodes:
        return f"{node.name}/{node.graph.interrupt_nodes[0].name}"
    nested = (inner for inner in node.graph.nodes.values() if isinstance(inner, GraphNode))
    deeper = next(inner for inner in nested if inner.graph.has_interrupts)
    return f"{node.name}/{_first_interrupt(deeper)}"


def _no_nested_name_taken(structure: Structure) -> None:
    for number, node in enumerate(structure.nodes):
        if not isinstance(node, GraphNode):
            continue
        others = [p for p in structure.producers.get(node.name, ()) if p != number]
        if others:
            raise GraphConfigError(
                f"Graph node {node.name!r} collides with output {node.name!r} of node "
                f"{structure.nodes[others[0]].name!r}: result[{node.name!r}] would mean both. "
                "Rename one, with as_node(name=...) or .with_outputs(...)."
            )


def _defaults_agree(structure: Structure) -> None:
    for name, numbers in structure.consumers.items():
        if len(numbers) < 2:
            continue
        readers = [structure.nodes[number] for number in numbers]
        without = [node.name for node in readers if not node.has_default_for(name)]
        if len(without) == len(readers):
            continue
        having = [node for node in readers if node.has_default_for(name)]
        if without:
            raise GraphConfigError(
                f"Inconsistent defaults for {name!r}: {quoted(n.name for n in having)} with a "
                f"default, {quoted(without)} without default. Give all of them the same default "
                "or none, or rename one with .with_inputs(...)."
            )
        _equal_defaults(name, having)


def _equal_defaults(name: str, readers: Sequence[HyperNode]) -> None:
    first, value = readers[0], readers[0].get_default_for(name)
    for other in readers[1:]:
        theirs = other.get_default_for(name)
        if not same_value(value, theirs):
            raise GraphConfigError(
                f"Inconsistent defaults for {name!r}: {first.name!r} has {value!r}, "
                f"{other.name!r} has {theirs!r}. Make them equal, or rename one with "
                ".with_inputs(...)."
            )


def same_value(one: Any, other: Any) -> bool:
    """Whether two defaults are one: identical, or equal in every element."""
    if one is other:
        return True
    try:
        equal = one == other
        if hasattr(equal, "all") and not isinstance(equal, bool):
            equal = equal.all()
        return bool(equal)
    except Exception:  # an __eq__ of the user's; what cannot be compared is not equal
        return False


def _targets_exist(structure: Structure) -> None:
    names = list(structure.by_name)
    for gate in (structure.nodes[number] for number in structure.gates):
        for target in targets_of(gate):
            if target not in structure.by_name:
                raise GraphConfigError(
                    f"Gate {gate.name!r} targets {target!r}, an unknown node."
                    f"{did_you_mean(target, names)} Nodes of this graph: {quoted(names)}."
                )
            if target == gate.name:
                raise GraphConfigError(
                    f"Gate {gate.name!r} cannot target itself. Target the node that starts the "
                    "next turn, or END."
                )


def _no_target_twice(structure: Structure) -> None:
    for gate in (structure.nodes[number] for number in structure.gates):
        if not isinstance(gate, RouteNode) or not gate.multi_target:
            continue
        for one, other, output in _sharing(structure, targets_of(gate)):
            raise GraphConfigError(
                f"Gate {gate.name!r} has multi_target=True and targets sharing output {output!r}: "
                f"{one!r} and {other!r} may run together. Rename one output with "
                ".with_outputs(...)."
            )


def _sharing(structure: Structure, targets: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for one, other in combinations(targets, 2):
        theirs = set(structure.by_name[other].outputs)
        for output in structure.by_name[one].outputs:
            if output in theirs:
                yield one, other, output


def _short(name: str) -> str:
    return repr(name) if len(name) <= 1000 else repr(name[:200] + "…" + name[-20:])


_NODE_RULES: tuple[Callable[[HyperNode], None], ...] = (
    _not_reserved,
    _name_is_identifier,
    _name_is_no_keyword,
    _outputs_are_identifiers,
    _outputs_are_no_keywords,
)
