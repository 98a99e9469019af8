"""The functions that nodes and tasks run: as little work as possible, and answers one can check.

They live apart from everything else because workers import this module.
"""


def increment(value: int) -> int:
    """Return the next integer: the one-node run, and each hop of the chain."""
    return value + 1


def double(value: int) -> int:
    """Return twice the value: the second node of the map's graph."""
    return value * 2


def decrease(value: int) -> int:
    """Return the value less three: the third node of the map's graph."""
    return value - 3


def three_nodes(value: int) -> int:
    """Return what the map's graph makes of one item, in one call.

    Contenders without graphs map this: one task per item instead of three.
    """
    return decrease(double(increment(value)))
