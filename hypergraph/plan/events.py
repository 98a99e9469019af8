"""What can happen to a run, as far as deciding goes. No event carries a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Started:
    """The caller supplied these names."""

    provided: tuple[str, ...]
    max_iterations: int = 1000  #: supersteps after which a run that is not finished has failed


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A node returned."""

    node: int
    changed: tuple[str, ...]  #: outputs whose value is new or differs from the stored one
    decision: tuple[str, ...] | None = None  #: what a gate chose, END as END_NAME; None: nothing


@dataclass(frozen=True, slots=True)
class Failed:
    """A node raised, and nobody will try it again."""

    node: int


@dataclass(frozen=True, slots=True)
class Paused:
    """A node waits for an answer from outside."""

    node: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """A paused run goes on: what its nodes wait for is being seen to."""


Event = Started | Succeeded | Failed | Paused | Resumed
