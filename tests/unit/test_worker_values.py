"""A worker's cache of values gives what a reference means, whatever lay there before."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hypergraph.store.records import refer
from hypergraph.values.codec import decode, encode
from hypergraph.values.digest import digest
from hypergraph.worker.value_cache import Values


class OneValue:
    """A store that holds one value, in a run and shared by content."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def get_values(self, run_id: str, digests: list[str]) -> list[bytes]:
        return [self.data for _ in digests]

    def get_code(self, digest: str) -> bytes:
        return self.data


@pytest.mark.parametrize("shared_first", [True, False])
def test_a_value_that_was_shared_in_one_run_may_be_another_runs_own(shared_first: bool) -> None:
    data = encode([1, 2])
    key = digest(data)
    values = Values(cast(Any, OneValue(data)), decode)
    own, shared = refer(key, len(data)), refer(key, len(data), shared=True)
    first, second = (shared, own) if shared_first else (own, shared)

    assert values.load("r1", {"x": first}) == {"x": [1, 2]}
    assert values.load("r2", {"y": second}) == {"y": [1, 2]}
    assert values.load("r2", {"x": own, "y": shared}) == {"x": [1, 2], "y": [1, 2]}
