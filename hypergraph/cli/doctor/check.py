"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  #: it works, but not as well or as safely as it could
    BAD = "bad"  #: runs are lost, refused or never done


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the diagnosis."""

    name: str
    verdict: Verdict
    found: str  #: what is the case
    fix: str = ""  #: how to put it right, in a sentence
    commands: tuple[str, ...] = ()  #: how to put it right, in commands to type


def ok(name: str, found: str) -> Check:
    """Return a check that has found nothing wrong."""
    return Check(name, Verdict.OK, found)


def warn(name: str, found: str, *commands: str, fix: str = "") -> Check:
    """Return a check that has found something to think about."""
    return Check(name, Verdict.WARN, found, fix, commands)


def bad(name: str, found: str, *commands: str, fix: str = "") -> Check:
    """Return a check that has found something to put right."""
    return Check(name, Verdict.BAD, found, fix, commands)
