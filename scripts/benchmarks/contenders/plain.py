"""Plain Python: a function call. The floor."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.benchmarks.contenders.base import Contender, Way
from scripts.benchmarks.functions import decrease, double, increment, three_nodes


class PlainPython(Contender):
    """Calls the functions, in a loop where there is more than one call."""

    def one(self) -> Sequence[Way[int, int]]:
        """Call it."""
        return (Way("plain Python", increment),)

    def chain(self, hops: int) -> Sequence[Way[int, int]]:
        """Call it `hops` times."""

        def call(value: int) -> int:
            for _ in range(hops):
                value = increment(value)
            return value

        return (Way("plain Python", call),)

    def map(self) -> Sequence[Way[Sequence[int], list[int]]]:
        """Call the three functions for each item, nested or through one that does."""
        return (
            Way("plain Python", lambda items: [three_nodes(item) for item in items], "composed"),
            Way("plain Python", _nested, "nested calls"),
        )


def _nested(items: Sequence[int]) -> list[int]:
    return [decrease(double(increment(item))) for item in items]
