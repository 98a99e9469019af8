"""How numbers, times and names look in a terminal: short, and the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What a terminal would act upon instead of showing it.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def duration(seconds: float | None) -> str:
    """Return a time in two digits or two units.

    >>> [duration(s) for s in (0.000042, 0.0123, 1.5, 75, 3700, 200_000)]
    ['0.04 ms', '12 ms', '1.5 s', '1m15s', '1h01m', '2d07h']
    """
    if seconds is None:
        return ""
    if seconds < 1:
        ms = seconds * 1000
        return f"{ms:.0f} ms" if ms >= 9.95 else f"{ms:.2f} ms" if ms < 0.995 else f"{ms:.1f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    for size, larger, smaller in ((86_400, "d", "h"), (3_600, "h", "m"), (60, "m", "s")):
        if whole >= size:
            rest = whole % size // {"d": 3_600, "h": 60, "m": 1}[larger]
            return f"{whole // size}{larger}{rest:02d}{smaller}"
    return f"{whole} s"


def age(seconds: float) -> str:
    """Return how long ago something was, in one unit.

    >>> [age(s) for s in (-1, 0.4, 59, 61, 7200, 90_000)]
    ['now', 'now', '59 s', '1 min', '2 h', '25 h']
    """
    if seconds < 1:
        return "now"
    for size, unit in ((172_800, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            per = 86_400 if unit == "d" else size
            return f"{seconds // per:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(number_of_bytes: float) -> str:
    """Return a size in two or three digits.

    >>> [size(n) for n in (0, 999, 2048, 5_400_000, 3 << 30)]
    ['0 B', '999 B', '2.0 KiB', '5.1 MiB', '3.0 GiB']
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number_of_bytes < 1000 or unit == "GiB":
            break
        number_of_bytes /= 1024
    if unit == "B" or number_of_bytes >= 100:
        return f"{number_of_bytes:.0f} {unit}"
    return f"{number_of_bytes:.1f} {unit}"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun.

    >>> plural(1, "item"), plural(1200, "item"), plural(2, "process", "processes")
    ('1 item', '1,200 items', '2 processes')
    """
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def printable(text: str) -> str:
    """Return a text that came from elsewhere without what a terminal would act upon.

    >>> printable("\\x1b[31mred\\x1b[0m\\x07 alert\\r\\n\\tnext")
    'red alert\\n\\tnext'
    """
    return _CONTROL.sub("", text)


def one_line(text: str) -> str:
    """Return a text as one line.

    >>> one_line("a\\n  b\\tc")
    'a b c'
    """
    return " ".join(printable(text).split())


def shortened(text: str, width: int) -> str:
    """Return a text in at most `width` characters, without its middle if it must be.

    >>> shortened("local-31337-9f3a/c2/0", 12), shortened("short", 12)
    ('local…a/c2/0', 'short')
    """
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def listed(names: Sequence[str], most: int) -> str:
    """Return names with commas between, and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
