"""Medians, spreads and ratios of measurements that were taken in rounds.

>>> summarise([[3.0, 1.0, 2.0], [5.0], [4.0]])
Summary(median=4.0, low=2.0, high=5.0, rounds=3)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from statistics import median

#: The samples of one way, by round number: rounds in which it failed are missing.
Rounds = Mapping[int, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Summary:
    """The middle and the extremes of the rounds. Each round speaks with its median."""

    median: float  #: median of the rounds' medians
    low: float  #: the smallest of them
    high: float  #: the largest of them
    rounds: int  #: how many there were


def summarise(rounds: Sequence[Sequence[float]]) -> Summary:
    """Return the summary of one list of samples per round.

    Raises:
        ValueError: There is no round, or a round without samples.
    """
    if not rounds or not all(rounds):
        raise ValueError("every round needs at least one sample, and there must be one round")
    medians = [median(samples) for samples in rounds]
    return Summary(median(medians), min(medians), max(medians), len(medians))


def ratio(ours: Rounds, theirs: Rounds) -> Summary | None:
    """Return the summary of ours divided by theirs, round by round.

    Both sides of a round ran one after the other, so what slowed the machine down in that
    round slowed both. The median of these ratios is therefore steadier than the ratio of the
    medians.

    Returns:
        None when no round has samples of both.

    >>> ratio({0: [2.0], 1: [9.0]}, {0: [4.0], 1: [9.0], 2: [1.0]})
    Summary(median=0.75, low=0.5, high=1.0, rounds=2)
    """
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return None
    return summarise([[median(ours[each]) / median(theirs[each])] for each in both])


def best(variants: Mapping[str, Rounds], *, higher_is_better: bool) -> str:
    """Return the name of the variant with the best median over all rounds.

    It is chosen once, with hindsight: whoever picks a value beforehand does no better.

    Raises:
        ValueError: `variants` is empty.
    """
    choose: Callable[..., str] = max if higher_is_better else min
    return choose(variants, key=lambda name: summarise(list(variants[name].values())).median)


def number(value: float, *, places: int = 6) -> str:
    """Return a measurement, not negative, with three digits that count and no exponent.

    Args:
        value: What to write.
        places: Digits after the point, at most.

    >>> [number(value) for value in (0.0001234, 1.2345, 10.72, 612.8, 45678.9)]
    ['0.000123', '1.23', '10.7', '613', '45,700']
    """
    if value <= 0:
        return "0"
    places = min(places, 2 - floor(log10(value)))
    text = f"{round(value, places):,.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
