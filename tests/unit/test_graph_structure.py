"""Components and reachability, against networkx and at length."""

from __future__ import annotations

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypergraph import Graph, HyperNode, node
from hypergraph.graph.structure import components, on_cycle, reachable


@node(output_name="y")
def step(x: int) -> int:
    return x + 1


def chain(length: int, *, closed: bool = False) -> list[HyperNode]:
    """Return `length` nodes in a row; closed, the last feeds the first."""
    return [
        step.with_name(f"n{i}")
        .with_inputs(x=f"x{i}")
        .with_outputs(y=f"x{(i + 1) % length if closed else i + 1}")
        for i in range(length)
    ]


@st.composite
def adjacencies(draw: st.DrawFn) -> list[list[int]]:
    size = draw(st.integers(0, 7))
    numbers = st.integers(0, size - 1) if size else st.nothing()
    return [sorted(draw(st.sets(numbers))) for _ in range(size)]


def as_networkx(forward: list[list[int]]) -> networkx.DiGraph:
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(forward)))
    graph.add_edges_from((n, t) for n, targets in enumerate(forward) for t in targets)
    return graph


@given(adjacencies())
def test_components_are_those_of_networkx(forward: list[list[int]]) -> None:
    mine: dict[int, set[int]] = {}
    for number, component in enumerate(components(forward)):
        mine.setdefault(component, set()).add(number)
    theirs = networkx.strongly_connected_components(as_networkx(forward))

    assert sorted(map(sorted, mine.values())) == sorted(map(sorted, theirs))


@given(adjacencies())
def test_nodes_on_a_cycle_are_those_of_enumerated_cycles(forward: list[list[int]]) -> None:
    cycles = networkx.simple_cycles(as_networkx(forward))
    expected = {number for cycle in cycles for number in cycle}

    assert {n for n, cyclic in enumerate(on_cycle(forward)) if cyclic} == expected


@given(adjacencies().filter(bool))
def test_reachable_nodes_are_those_of_networkx(forward: list[list[int]]) -> None:
    assert reachable(0, forward) == {0, *networkx.descendants(as_networkx(forward), 0)}


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_long_chain_needs_no_recursion(closed: bool, backwards: bool) -> None:
    nodes = chain(3000, closed=closed)
    graph = Graph(nodes[::-1] if backwards else nodes)

    assert graph.has_cycles is closed
    assert len(graph.inputs.seeds) == (3000 if closed else 0)


def test_nested_cycles_share_one_component() -> None:
    assert components([[1], [2, 0], [1, 0], [0]]) == [0, 0, 0, 1]
