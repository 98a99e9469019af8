"""What became of nested graphs, as plain data that travels (see `values.nested`), and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypergraph.runners.outcome import Nested
from hypergraph.runners.result import MapResult, RunResult, RunStatus
from hypergraph.values.failure import unpack_failure

#: Packs an error, given the names that lead to where it was found.
PackError = Callable[[BaseException, Sequence[str]], bytes]
#: Returns the error that was packed.
Unpack = Callable[[bytes], BaseException]


class Errors:
    """Unpacks failures: the same one becomes the same error, wherever in a result it is."""

    def __init__(self) -> None:
        self._known: dict[bytes, BaseException] = {}

    def __call__(self, packed: bytes) -> BaseException:
        """Return the error."""
        if packed not in self._known:
            self._known[packed] = unpack_failure(packed)
        return self._known[packed]


def flatten(nested: Nested, pack: PackError, path: Sequence[str] = ()) -> dict[str, Any]:
    """Return the results of nested graphs as plain data.

    Args:
        nested: Node name -> result.
        pack: Packs errors.
        path: Names from the root to the graph around them.
    """
    return {
        name: _flatten_map(name, found, pack, path)
        if isinstance(found, MapResult)
        else _flatten_one(found, pack, [*path, name])
        for name, found in nested.items()
    }


def _flatten_map(name: str, results: MapResult, pack: PackError, path: Sequence[str]) -> list[Any]:
    rows = (_flatten_one(r, pack, [*path, f"{name}[{r.index}]"]) for r in results)
    return [results.outputs, *rows]


def _flatten_one(result: RunResult, pack: PackError, path: Sequence[str]) -> tuple[Any, ...]:
    failure = None if result.error is None else pack(result.error, path)
    return result.values, failure, flatten(result.nested, pack, path)


def restore(plain: Mapping[str, Any], unpack: Unpack) -> Nested:
    """Return the results that `flatten` took apart."""
    return {name: restore_one(found, unpack) for name, found in plain.items()}


def restore_one(plain: Sequence[Any], unpack: Unpack) -> RunResult | MapResult:
    """Return one result, or those of a map."""
    if isinstance(plain, list):
        outputs, *rows = plain
        return MapResult((restore_run(row, unpack, i) for i, row in enumerate(rows)), outputs)
    return restore_run(plain, unpack)


def restore_run(plain: Sequence[Any], unpack: Unpack, index: int | None = None) -> RunResult:
    """Return one result."""
    values, failure, nested = plain
    error = None if failure is None else unpack(failure)
    status = RunStatus.COMPLETED if error is None else RunStatus.FAILED
    return RunResult(
        values, status, error=error, nested=restore(nested, unpack) if nested else {}, index=index
    )
