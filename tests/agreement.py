"""Two runners, one graph: what came back, in a form that can be compared.

`SyncRunner` is the oracle. The other runner has to agree with it on what the README promises:
everything about a completed run; status, error and place of a failed one, with at least the values
that `SyncRunner` gives.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from hypergraph import MapResult, RunResult, RunStatus

Place = tuple[str, str | None] | None

_NOTE = re.compile(r"Raised (?:by|in) node '([^']+)'(?: in run \S+?)?(?:, item (\d+))?(?: on |$)")


@dataclass(frozen=True)
class Seen:
    """What one runner made of a graph."""

    result: RunResult | MapResult | None  #: None: it raised
    error: BaseException | None  #: what it raised, or returned
    warned: tuple[str, ...]  #: first words of the warnings, sorted

    @property
    def place(self) -> Place:
        """Where a node raised: its path and the item, as the error's notes say."""
        return place_of(self.error)


def see(call: Callable[[], RunResult | MapResult]) -> Seen:
    """Return what became of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except Exception as raised:
            return Seen(None, raised, _first_words(caught))
    error = result.error if isinstance(result, RunResult) else None
    return Seen(result, error, _first_words(caught))


def _first_words(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    return tuple(sorted(str(warning.message)[:40] for warning in caught))


def place_of(error: BaseException | None) -> Place:
    """Return the path and item that an error's notes name; None where no node raised it."""
    for note in getattr(error, "__notes__", ()):
        if found := _NOTE.match(note.partition("\n")[0].rstrip(":")):
            return found[1], found[2]
    return None


def assert_agree(oracle: Seen, other: Seen, beside: Seen | None = None) -> None:
    """Check that the runners agree, as far as they promise to.

    Args:
        oracle: What `SyncRunner` made of it.
        other: What another runner did.
        beside: What `AsyncRunner` did. Where a node of a failed run had run before, in an earlier
            superstep, its latest value depends on whether siblings of a failing node run.
    """
    assert (oracle.result is None) == (other.result is None), (oracle, other)
    assert_same_error(oracle.error, other.error)
    assert oracle.place == other.place
    assert oracle.warned == other.warned
    if isinstance(oracle.result, RunResult):
        assert isinstance(other.result, RunResult)
        more = beside.result if beside is not None else None
        assert_same_result(oracle.result, other.result, more)
    elif oracle.result is not None:
        assert_same_map(oracle.result, other.result)


def assert_same_error(expected: BaseException | None, found: BaseException | None) -> None:
    """Check type, text and place of two errors."""
    assert _type_of(found) == _type_of(expected), (expected, found)
    assert str(found) == str(expected)
    notes = getattr(found, "__notes__", None)
    assert _ends_alike(place_of(found), place_of(expected)), (notes, expected)


def _ends_alike(found: Place, expected: Place) -> bool:
    """Whether two places are one. That of a nested error may begin at any graph around it."""
    if found is None or expected is None:
        return found is expected
    return f"/{found[0]}".endswith(f"/{expected[0]}") and found[1] == expected[1]


def _type_of(error: BaseException | None) -> tuple[str, str]:
    return type(error).__module__, type(error).__qualname__


def assert_same_map(expected: Sequence[RunResult], found: Any) -> None:
    """Check two maps, item by item."""
    assert isinstance(found, MapResult)
    assert isinstance(expected, MapResult)
    assert found.status is expected.status
    assert found.outputs == expected.outputs
    assert [r.index for r in found] == [r.index for r in expected]
    for one, other in zip(expected, found, strict=True):
        assert_same_result(one, other)


def assert_same_result(expected: RunResult, found: RunResult, beside: Any = None) -> None:
    """Check two runs and what is nested in them."""
    assert found.status is expected.status, (expected, found)
    assert found.index == expected.index
    assert_same_error(expected.error, found.error)
    if expected.status is RunStatus.COMPLETED:
        assert list(found.values) == list(expected.values)
        assert set(found.nested) == set(expected.nested)
    for name, value in expected.values.items():
        values = [value]
        if isinstance(beside, RunResult):
            values.append(beside.values.get(name))
        assert any(same(v, found.values[name]) for v in values), (name, values, found.values[name])
    for name, inner in expected.nested.items():
        more = beside.nested.get(name) if isinstance(beside, RunResult) else None
        try:
            assert_same_nested(inner, found.nested[name], more)
        except AssertionError:
            if more is None:
                raise
            assert_same_nested(more, found.nested[name], more)


def assert_same_nested(expected: RunResult | MapResult, found: Any, beside: Any) -> None:
    """Check what became of a graph node."""
    if isinstance(expected, MapResult):
        assert_same_nested_map(expected, found)
    else:
        assert isinstance(found, RunResult)
        assert_same_result(expected, found, beside)


def assert_same_nested_map(expected: MapResult, found: Any) -> None:
    """Check a mapped graph node; of one that failed, what `SyncRunner` got to."""
    if all(result.error is None for result in expected):
        assert_same_map(expected, found)
        return
    assert isinstance(found, MapResult)
    by_index = {result.index: result for result in found}
    for result in expected:
        assert_same_result(result, by_index[result.index])


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in type and content. NaN equals NaN, arrays are compared."""
    if isinstance(one, type) or isinstance(other, type):
        return one is other
    if _type_of(one) != _type_of(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "dtype"):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        if one.dtype.hasobject:
            return same(one.tolist(), other.tolist())
        return bool(one.tobytes() == other.tobytes())
    if isinstance(one, BaseException):
        return str(one) == str(other)
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(one == other)
