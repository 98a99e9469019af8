"""What goes into the store and what comes out, as plain records.

A *board* is a place where slots claim and commit: the tasks of a run, or the ranges of a map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Commit(NamedTuple):
    """A task that has ended, offered by the slot that holds it."""

    task: str
    attempt: str
    kind: str  #: "done" or "fail"
    payload: bytes  #: sealed; see coordinator.fold
    values: Mapping[str, bytes] = {}  #: digest -> bytes that the payload refers to


class TaskRecord(NamedTuple):
    """A task that falls due."""

    task: str
    score: int  #: place in its queue; smaller goes first
    queue: str
    needs: Sequence[str]  #: digests of small inputs, which come along with a claim
    sealed: bytes

    def to_bytes(self) -> bytes:
        """Return the record as the scripts read it: a line for them, the rest for the worker."""
        return f"{self.score} {self.queue} {','.join(self.needs)}\n".encode() + self.sealed


class Advance(NamedTuple):
    """What a coordinator decided from the journal up to `to`."""

    start: int  #: it stands if the run was advanced up to here, and no further
    to: int
    tasks: Sequence[TaskRecord] = ()
    end: tuple[str, bytes] | None = None  #: status and sealed note, if the run is over


class Claim(NamedTuple):
    """A task that a slot holds from now on."""

    task: str
    attempt: str  #: decimal, from 1
    sealed: bytes
    values: Sequence[bytes | None]  #: the small inputs, in the order of the record's `needs`
    watched: bool = False  #: somebody wants to know what happens inside


class Entry(NamedTuple):
    """One line of a run's journal."""

    seq: int  #: from 1, without gaps
    fields: Mapping[str, bytes]

    @property
    def kind(self) -> str:
        """start, done, fail, crash, lost or end."""
        return self.fields["k"].decode()


class Cycled(NamedTuple):
    """The answer to a cycle."""

    status: str  #: "ok", or why nothing was done: "gone", "stop", "ended"
    epoch: str = ""
    seq: int = 0  #: entries in the journal
    applied: int = 0  #: entries some coordinator has decided on
    accepted: int = 0  #: commits that stand
    advanced: bool = False
    replayed: bool = False
    others: int = 0  #: other slots that hold something
    ready: int = 0  #: tasks in this queue that nobody holds
    claims: Sequence[Claim] = ()
    entries: Sequence[Entry] = ()  #: the journal from where the caller had read, up to a limit
    maps: Sequence[str] = ()  #: open maps


class RangeCommit(NamedTuple):
    """The head of a range, offered by the slot that holds the range."""

    range: str  #: "start-end", as claimed
    attempt: str
    upto: int  #: items before this one are done; the others go back
    payload: bytes
    failures: int = 0
    first_failed: int = -1
    busy_us: int = 0  #: time the items took, in microseconds
    values: Mapping[str, bytes] = {}
    errors: str = ""  #: the first failures, for people; a line each: item, node, text, tabs between
    to: str = ""  #: the items go on on this queue, and `payload` is what they bring along
    size: int = 0  #: bytes of that, wherever they lie
    events: bytes = b""  #: of an observed range: what was to be seen of it; see `events.wire`


class RangeClaim(NamedTuple):
    """A range of items that a slot holds from now on."""

    start: int
    stop: int  #: not included
    attempt: str
    page: str  #: id of the page of inputs that holds the range, or of what its items bring along
    data: bytes | None  #: the page; b"" when the caller has it, None when it has gone
    watched: bool = False  #: somebody wants to know what happens inside

    @property
    def has_begun(self) -> bool:
        """Whether its items have been at work on another queue."""
        return "@" in self.page

    @property
    def offset(self) -> int:
        """First item of the page."""
        return int(self.page.partition("@")[0])

    @property
    def range(self) -> str:
        """The range's id."""
        return f"{self.start}-{self.stop}" + (f"@{self.page}" if self.has_begun else "")


class Ranged(NamedTuple):
    """The answer to a cycle on a map."""

    status: str  #: "ok", or "gone", "stop", "over"
    epoch: str = ""
    accepted: int = 0
    left: int = 0  #: items uploaded and not claimed, and ranges given back
    slots: int = 0  #: slots that hold a range
    claim: RangeClaim | None = None
    home: str = ""  #: with "over": where the task that gathers the results is due


class Fed(NamedTuple):
    """Where a map stands, for whoever feeds it."""

    status: str
    avail: int = 0  #: items uploaded
    cursor: int = 0  #: items claimed at least once
    done: int = 0
    failed: int = 0
    read: int = 0


class Collected(NamedTuple):
    """Results of a map that its reader has not had."""

    status: str
    ranges: Sequence[tuple[int, bytes]] = ()  #: first item and sealed results, as completed
    done: int = 0
    failed: int = 0
    busy_us: int = 0
    avail: int = 0
    total: int = -1  #: -1: more inputs may come


class MapStart(NamedTuple):
    """The map that a run consists of."""

    map: str  #: its board's id
    queue: str
    total: int  #: items; -1 when it is not known yet
    window: int  #: items that may be claimed ahead of the reader; 0 for no limit
    stops: bool  #: whether the first failure ends it
    spec: bytes  #: the sealed MapSpec


class MapView(NamedTuple):
    """An open map, for whoever looks after the run."""

    map: str
    open: int  #: something to claim, if more than 0
    queue: str
    total: int


class Ticked(NamedTuple):
    """What a reconciler has to see to."""

    live: Sequence[str]  #: workers that were heard of within a lease
    dead: Sequence[str]  #: workers to bury
    runs: Sequence[str]  #: runs to look at
    quiet: bool  #: nobody was heard of lately, so silence does not mean death


class RunView(NamedTuple):
    """A run, for whoever looks after it."""

    status: str
    seq: int = 0
    applied: int = 0
    ready: Mapping[str, int] = {}  #: queue -> tasks nobody holds
    slots: Sequence[str] = ()
    maps: Sequence[MapView] = ()
    owner: str = ""  #: client without whom the run cannot go on; "" for a submitted run
