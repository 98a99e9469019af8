"""Every scenario for runs, as an item whose neighbouring nodes are on different queues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hypergraph import Graph, RunResult, SyncRunner
from hypergraph.errors import IncompatibleRunnerError
from hypergraph.graph.placement import place
from hypergraph.nodes import GraphNode
from tests.agreement import assert_same_result, see
from tests.integration.test_distributed_runs import CASES, Case
from tests.ledger import Ledger
from tests.unit.test_runner_placed import travel


def scatter(graph: Graph, path: str = "") -> Mapping[str, str]:
    """Place the nodes of a graph, nested ones too, on three queues in turn."""
    queues: dict[str, str] = {}
    for number, node in enumerate(graph._nodes):
        where = f"{path}{node.name}"
        queues[where] = f"q{(number + len(path)) % 3}"
        if isinstance(node, GraphNode) and node.runner is None:
            queues |= scatter(node.graph, f"{where}/")
    return queues


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_an_item_gives_what_the_sync_runner_gives_wherever_its_nodes_are(
    ledger: Ledger, make: Callable[[Ledger], Case]
) -> None:
    made = make(ledger)
    options: dict[str, Any] = {**made.options, "error_handling": "continue"}
    oracle = see(lambda: SyncRunner().run(made.graph, made.values, **options))
    starts = ledger.counts
    ledger.clear()
    if not isinstance(oracle.result, RunResult) or made.graph.has_async_nodes:
        pytest.skip("refused before it runs")
    queues = scatter(made.graph)
    try:
        place(made.graph, queues)
    except IncompatibleRunnerError:
        pytest.skip("not to be torn apart")

    trip = travel(made.graph, made.values, queues, **made.options)

    assert_same_result(oracle.result, trip.result)
    if oracle.error is None:
        assert ledger.counts == starts
