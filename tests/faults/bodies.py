"""Nodes that write down what they do, and graphs of them."""

from __future__ import annotations

from hypergraph import Graph, node
from tests.faults.ledger import Ledger


@node(output_name="first")
def begin(x: int, ledger: Ledger) -> int:
    with ledger.call("begin"):
        return x + 1


@node(output_name="left")
def go_left(first: int, ledger: Ledger) -> int:
    with ledger.call("go_left"):
        return first * 2


@node(output_name="right")
def go_right(first: int, ledger: Ledger) -> int:
    with ledger.call("go_right"):
        return first * 3


@node(output_name="total")
def join(left: int, right: int, ledger: Ledger) -> int:
    with ledger.call("join"):
        return left + right


#: x -> (x + 1) * 5, by way of two nodes that run side by side.
DIAMOND = Graph([begin, go_left, go_right, join], name="diamond")


@node(output_name="square")
def square(item: int, ledger: Ledger) -> int:
    with ledger.call("square", item):
        return item * item


#: One node per item.
SQUARES = Graph([square], name="squares")
