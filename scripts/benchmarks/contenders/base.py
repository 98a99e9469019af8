"""What a contender has to offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Unavailable(Exception):
    """Raised when a contender cannot run here: not installed, or not there yet.

    Attributes:
        reason: What is missing, for the reader of the table.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Way(Generic[Asked, Answer]):
    """One way in which a contender does a workload."""

    row: str  #: line of the table it belongs to, "Dask bag"
    call: Callable[[Asked], Answer]  #: does the workload once and returns the answer
    variant: str = ""  #: what was tuned, "16 partitions"; the best variant stands for its row


class Contender:
    """One library, set up on this machine with two worker processes where it has workers.

    Entering starts it, leaving stops everything it started. A workload that a contender has
    no way for is left out of its rows.
    """

    def __enter__(self) -> Self:
        """Start workers, pools and servers.

        Raises:
            Unavailable: It cannot run here.
        """
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop what was started."""

    def one(self) -> Sequence[Way[int, int]]:
        """Return the ways to run `increment` once: integer -> the next integer."""
        return ()

    def chain(self, hops: int) -> Sequence[Way[int, int]]:
        """Return the ways to run `increment` `hops` times, each on the result of the last.

        A hop is a task of its own: a way that fuses hops into one task measures nothing.
        """
        return ()

    def map(self) -> Sequence[Way[Sequence[int], list[int]]]:
        """Return the ways to compute `three_nodes` for each item: items -> results in order."""
        return ()
