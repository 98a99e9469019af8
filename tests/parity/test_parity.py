"""Any graph on workers gives what SyncRunner gives."""

from __future__ import annotations

import os
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypergraph import DistributedRunner, MapResult, SyncRunner
from tests.agreement import Seen, assert_agree, see
from tests.ledger import Ledger
from tests.parity.graphs import Call, calls

#: `scripts/parity --examples N` asks for more, and for others each time.
EXAMPLES = int(os.environ.get("HYPERGRAPH_PARITY_EXAMPLES", "0"))


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """The ledger that all examples use in turn."""
    return Ledger(tmp_path_factory.mktemp("parity") / "ledger")


@settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(data=st.data())
def test_any_graph_on_workers_gives_what_the_sync_runner_gives(
    runner: DistributedRunner, book: Ledger, data: st.DataObject
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of graphs that are odd on purpose
        call: Call = data.draw(calls(book))
    book.clear()
    expected = see(lambda: call.on(SyncRunner()))
    starts = book.counts
    beside = None
    if expected.error is not None and not call.is_map:
        beside = see(call.on_async)
    book.clear()
    found = see(lambda: call.on(runner, progress=False))

    assert_agree(expected, found, beside)
    if is_whole(expected):
        assert book.counts == starts


def is_whole(seen: Seen) -> bool:
    """Whether nothing failed, so that every body ran as often as it would anywhere."""
    result = seen.result
    if isinstance(result, MapResult):
        return all(item.error is None for item in result)
    return seen.error is None
