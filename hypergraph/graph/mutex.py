"""Which nodes can never run in one turn, so that they may share an output.

A gate that chooses one target excludes the others. A node belongs to the
*exclusive branch* of target T if T is the only target of that gate from which
it can be reached, T itself included.

In a loop whose branches lead back to the gate each branch is reachable from
the other, so nothing there is exclusive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypergraph.graph.structure import Structure, reachable, targets_of
from hypergraph.nodes import IfElseNode, RouteNode


def branches(structure: Structure) -> Iterator[dict[int, int]]:
    """Yield for each excluding gate: node number -> number of the branch it belongs to."""
    numbers = {node.name: number for number, node in enumerate(structure.nodes)}
    for gate in structure.gates:
        node = structure.nodes[gate]
        if not isinstance(node, IfElseNode) and not (
            isinstance(node, RouteNode) and not node.multi_target
        ):
            continue
        targets = [numbers[target] for target in targets_of(node) if target in numbers]
        if len(targets) > 1:
            yield _exclusive(structure, targets)


def mutually_exclusive(producers: Sequence[int], by_gate: Sequence[dict[int, int]]) -> bool:
    """Whether for some single gate every producer sits in a different exclusive branch.

    Args:
        producers: Node numbers, at least two.
        by_gate: What :func:`branches` yields.
    """
    for branch_of in by_gate:
        hit = {branch_of[p] for p in producers if p in branch_of}
        if len(hit) == len(producers):
            return True
    return False


def _exclusive(structure: Structure, targets: Sequence[int]) -> dict[int, int]:
    branch_of: dict[int, int] = {}
    shared: set[int] = set()
    for target in targets:
        for number in reachable(target, structure.successors):
            if branch_of.setdefault(number, target) != target:
                shared.add(number)
    return {number: target for number, target in branch_of.items() if number not in shared}
