"""What a queue's name ends in, so that client and worker meet only if they understand each other.

Pickles of functions do not survive a change of Python's minor version: they load, and crash the
process when they are called (3.11, 3.12 and 3.13, cloudpickle 3). And two releases of this package
may write different records. So both stand in the name: ``default`` is ``default.py311w1`` to a
client on Python 3.11, and a worker on 3.12 never sees what is in it.
"""

from __future__ import annotations

import re
import sys

#: Raised with every change of what scripts, records or tickets look like.
WIRE_VERSION = 1


def make_tag(major: int, minor: int, wire: int) -> str:
    """Return the tag of a Python version and a wire version.

    >>> make_tag(3, 11, 1)
    'py311w1'
    """
    return f"py{major}{minor}w{wire}"


#: The tag of this process.
TAG = make_tag(sys.version_info.major, sys.version_info.minor, WIRE_VERSION)


def tagged(queue: str) -> str:
    """Return the full name of a queue, as this process uses it."""
    return f"{queue}.{TAG}"


def untagged(queue: str) -> str:
    """Return the name of a queue without its tag, whatever Python it is of.

    >>> untagged("default.py312w1")
    'default'
    """
    return queue.partition(".")[0]


def describe_tag(tag: str) -> str:
    """Return a tag in words.

    >>> describe_tag("py311w1")
    'python 3.11, wire 1'
    """
    parts = re.fullmatch(r"py(\d)(\d+)w(\d+)", tag)
    return f"python {parts[1]}.{parts[2]}, wire {parts[3]}" if parts else tag or "unknown"
