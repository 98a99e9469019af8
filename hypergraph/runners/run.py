"""What the nodes of one run share while it is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypergraph.runners.result import MapResult, RunResult

if TYPE_CHECKING:
    from hypergraph.runners.watch import Watch

#: What became of nested graphs: node name -> result.
Nested = dict[str, RunResult | MapResult]
#: The values of a run: by name, and what else its nodes need, by keys that are no strings.
Values = dict[Any, Any]

RUN = object()  #: key of the `Run` among the values of a run that has one


class Run:
    """What the nodes of one run share besides its values."""

    __slots__ = ("nested", "watch")

    def __init__(self, nested: Nested, watch: Watch | None) -> None:
        self.nested = nested
        self.watch = watch  #: None if nobody observes the run


class NodeFailure(Exception):
    """A node or a nested run failed. Never leaves the run around it.

    Attributes:
        error: What it failed with.
        path: Names from this run's node to the node that raised.
    """

    def __init__(self, error: BaseException, path: tuple[str, ...]) -> None:
        super().__init__(error, path)
        self.error = error
        self.path = path
