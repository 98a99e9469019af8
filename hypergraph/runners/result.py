"""What comes back from a run or a map."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self, SupportsIndex, overload


class RunStatus(Enum):
    """Where a run or a map stands."""

    QUEUED = "queued"  #: stored; no worker has begun with it
    RUNNING = "running"
    PAUSED = "paused"  #: waits for an answer; see `RunResult.pause`
    COMPLETED = "completed"
    PARTIAL = "partial"  #: of a map: some items failed
    FAILED = "failed"
    CANCELLED = "cancelled"


_ids: list[str] = []


def new_run_id() -> str:
    """Return ``run-`` and 12 hex digits that the operating system drew."""
    try:
        return _ids.pop()
    except IndexError:
        # One call for many: it costs as much as the rest of a small run.
        drawn = os.urandom(6 * 512).hex()
        _ids.extend("run-" + drawn[at : at + 12] for at in range(12, len(drawn), 12))
        return "run-" + drawn[:12]


if hasattr(os, "register_at_fork"):
    # Parent and child would hand out the same ids.
    os.register_at_fork(after_in_child=_ids.clear)


@dataclass
class PauseInfo:
    """What a paused run waits for."""

    node_name: str  #: of the interrupt; inside nested graphs a path like ``outer/inner/ask``
    output_param: str  #: where the answer enters the data flow
    value: Any  #: what to show to whoever answers

    @property
    def response_key(self) -> str:
        """The name under which the answer is given to ``run``, as in ``outer.inner.answer``."""
        return ".".join([*self.node_name.split("/")[:-1], self.output_param])


@dataclass(repr=False)
class RunResult:
    """What became of a run.

    ``result["answer"]`` reads an output. Where no output has that name it reads the result of
    the nested graph ``answer``, and ``result["rag.answer"]`` an output of the nested graph ``rag``.
    """

    values: dict[str, Any]  #: output name -> value, of the outputs that have one
    status: RunStatus
    run_id: str = field(default_factory=new_run_id)
    workflow_id: str | None = None
    error: BaseException | None = None  #: what a failed run failed with, the very object
    pause: PauseInfo | None = None
    nested: dict[str, RunResult | MapResult] = field(default_factory=dict)
    #: node name -> what became of the nested graph, in a loop the last time
    index: int | None = None  #: position in a map, from 0

    @property
    def paused(self) -> bool:
        """Whether the run waits for an answer."""
        return self.status is RunStatus.PAUSED

    def __getitem__(self, key: str) -> Any:
        if key in self.values:
            return self.values[key]
        if key in self.nested:
            return self.nested[key]
        head, dot, rest = key.partition(".")
        if dot and head in self.nested:
            return self.nested[head][rest]
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if key in self.values or key in self.nested:
            return True
        head, dot, rest = key.partition(".") if isinstance(key, str) else ("", "", "")
        if not dot or head not in self.nested:
            return False
        nested = self.nested[head]
        return rest in (nested if isinstance(nested, RunResult) else nested.names)

    def get(self, key: str, default: Any = None) -> Any:
        """Return what ``result[key]`` returns, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def __repr__(self) -> str:
        parts = [f"{self.status.name}, {self.run_id!r}"]
        if self.index is not None:
            parts.append(f"index={self.index}")
        parts.append(f"values={self.values!r}")
        if self.error is not None:
            parts.append(f"error={self.error!r}")
        if self.pause is not None:
            parts.append(f"pause={self.pause!r}")
        if self.nested:
            parts.append(f"nested={list(self.nested)}")
        return f"RunResult({', '.join(parts)})"


class MapResult(list[RunResult]):
    """The results of a map, in the order of its inputs.

    ``results[3]`` is an item, ``results["answer"]`` the column of an output.

    Args:
        results: One result per item.
        outputs: Names the graph can give back; what else is asked for is an error.
    """

    def __init__(self, results: Iterable[RunResult] = (), outputs: Iterable[str] = ()) -> None:
        super().__init__(results)
        self.outputs = tuple(outputs)

    @property
    def status(self) -> RunStatus:
        """COMPLETED, PARTIAL when some items failed, FAILED when all did, or CANCELLED."""
        statuses = {result.status for result in self}
        if RunStatus.CANCELLED in statuses:
            return RunStatus.CANCELLED
        if statuses <= {RunStatus.COMPLETED}:
            return RunStatus.COMPLETED
        return RunStatus.FAILED if statuses == {RunStatus.FAILED} else RunStatus.PARTIAL

    @property
    def failed(self) -> list[RunResult]:
        """The items that failed, in order."""
        return [result for result in self if result.status is RunStatus.FAILED]

    @property
    def names(self) -> frozenset[str]:
        """What there are columns of: outputs, and nodes with nested results."""
        return frozenset(self.outputs).union(*(r.values for r in self), *(r.nested for r in self))

    def values_of(self, output: str) -> list[Any]:
        """Return one output of every item: None where it failed or has no such value.

        Raises:
            KeyError: No item can have such an output.
        """
        completed = RunStatus.COMPLETED
        column = [r.get(output) if r.status is completed else None for r in self]
        # The search for the name is for mistakes only: it looks at every result.
        if all(value is None for value in column) and not self._may_have(output):
            raise KeyError(output)
        return column

    def _may_have(self, output: str) -> bool:
        if output in self.names or any(output in result for result in self):
            return True
        return not self.outputs and not any(r.status is RunStatus.COMPLETED for r in self)

    def summary(self) -> str:
        """Return one line: how many items there are, and what became of them."""
        counts: dict[RunStatus, int] = {}
        for result in self:
            counts[result.status] = counts.get(result.status, 0) + 1
        said = ", ".join(f"{counts[s]} {s.value}" for s in RunStatus if s in counts)
        items = "1 item" if len(self) == 1 else f"{len(self)} items"
        first = next((r for r in self.failed if r.error is not None), None)
        if first is None:
            return f"{items}: {said}" if said else items
        where = "" if first.index is None else f"item {first.index}: "
        return f"{items}: {said} (first: {where}{_in_one_line(first.error)})"

    @overload
    def __getitem__(self, key: SupportsIndex) -> RunResult: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...
    @overload
    def __getitem__(self, key: str) -> list[Any]: ...
    def __getitem__(self, key: SupportsIndex | slice | str) -> RunResult | Self | list[Any]:
        if isinstance(key, str):
            return self.values_of(key)
        if isinstance(key, slice):
            return type(self)(super().__getitem__(key), self.outputs)
        return super().__getitem__(key)


def _in_one_line(error: BaseException | None, longest: int = 80) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
