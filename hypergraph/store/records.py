"""What travels sealed: the start of a run, its tasks, its commits, its end.

All of it is msgpack of names, numbers and *references*; values are elsewhere. A reference is
``[digest, size]`` for bytes among the run's values, ``[digest, size, 1]`` for bytes shared by
content, and ``[digest, size, 2]`` and ``[digest, size, 3]`` for the same where they are large.
Because the record that names the digest is signed, checking the digest is enough to trust the
bytes.

Each record is sealed together with what it belongs to, so that it cannot be moved to another run
or another task:

    record   kind       context
    start    "start"    namespace, run
    task     "task"     namespace, run, task
    commit   "commit"   namespace, run, task, epoch
    crash    "crash"    namespace, run; it says which task or item it may end
    end      "end"      namespace, run
    map      "map"      namespace, run, map
    pause    "pause"    namespace, run
    answer   "answer"   namespace, run, epoch
    page     "page"     namespace, run, map, first item
    luggage  "luggage"  namespace, run, map, first item
    results  "results"  namespace, run, map, first item
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgpack

from hypergraph.errors import UntrustedPayload
from hypergraph.plan import Plan
from hypergraph.values.sign import Signer

Ref = Sequence[Any]

#: Values up to this size come along with the claim of the task that needs them.
SMALL_BYTES = 16_384


#: Values of more bytes than this are kept as blobs; see `store.blobs`.
LARGE_BYTES = 1 << 20

_SHARED, _BLOB, _SHARED_BLOB = 1, 2, 3


def refer(digest: str, size: int, *, shared: bool = False) -> list[Any]:
    """Return the reference to a value. Its size says where it lies."""
    if size > LARGE_BYTES:
        return [digest, size, _SHARED_BLOB if shared else _BLOB]
    return [digest, size, _SHARED] if shared else [digest, size]


def is_shared(ref: Ref) -> bool:
    """Whether a reference points to bytes shared by content."""
    return len(ref) > 2 and ref[2] != _BLOB


def is_large(ref: Ref) -> bool:
    """Whether a reference points to a blob."""
    return len(ref) > 2 and ref[2] != _SHARED


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A graph as a coordinator and a worker need it. Stored by content, shared between runs."""

    plan: Plan
    nodes: Mapping[str, str]  #: path of a node, joined by "/" -> digest of its code
    bound: Mapping[str, Mapping[str, Ref]]  #: path of a graph, "" for the root -> its bindings
    seeds: Mapping[str, Mapping[str, Ref]] = field(default_factory=dict)
    #: path of a nested graph -> defaults of its seeds
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: path of a mapped node with nodes on several queues -> `MapSpec.parts`

    def to_bytes(self) -> bytes:
        """Return the spec as bytes; equal graphs give equal bytes within one process."""
        wire = [
            self.plan.to_wire(),
            dict(self.nodes),
            {path: dict(refs) for path, refs in self.bound.items()},
            {path: dict(refs) for path, refs in self.seeds.items()},
            {path: dict(codes) for path, codes in self.parts.items()},
        ]
        return bytes(msgpack.packb(wire))

    @classmethod
    def from_bytes(cls, data: bytes) -> GraphSpec:
        """Return the spec that `to_bytes` wrote."""
        plan, *rest = msgpack.unpackb(data)
        return cls(Plan.from_wire(plan), *rest)


@dataclass(frozen=True, slots=True)
class Start:
    """What a run was submitted with."""

    graph: str  #: digest of the GraphSpec
    inputs: Mapping[str, Ref]
    max_iterations: int = 1000
    tag: str = ""  #: what a queue's name ends in: Python minor and wire version
    select: Sequence[str] | None = None  #: outputs to give back


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker has to know to carry out a task."""

    path: str  #: of the node, joined by "/"
    kind: str  #: "function", "gate", "interrupt", "map", "gather", "graph" or "compare"
    code: str  #: digest of the node's code, or of the graph inside it
    inputs: Mapping[str, Ref]
    border: Sequence[Any] = ()  #: of a nested graph: how names cross it; see `Border`
    previous: Mapping[str, Ref] = field(default_factory=dict)
    #: output name -> value that stands; the report says which outputs differ from it
    outputs: Mapping[str, Ref] = field(default_factory=dict)  #: of kind "compare"
    parts: Mapping[str, str] = field(default_factory=dict)  #: of kind "map"; see `MapSpec.parts`


class Border(NamedTuple):
    """How names cross the border of a nested graph that is carried out as one task."""

    inputs: Mapping[str, str]  #: outer input name -> inner
    outputs: Mapping[str, str]  #: inner output name -> outer
    mapped: Sequence[str] = ()  #: outer names that are mapped over
    mode: str = "zip"
    error_handling: str = "raise"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a task."""

    outputs: Mapping[str, Ref] = field(default_factory=dict)
    changed: Sequence[str] | None = None
    decision: Sequence[str] | None = None
    error: Ref | None = None  #: the packed failure
    text: str = ""  #: of the error, for people; stays when the values have gone
    worker: str = ""
    started_ms: int = 0  #: by the worker's clock; for people only
    took_us: int = 0
    items: Sequence[Any] = ()  #: of a mapped node that was gathered: its `ItemCount`
    inside: Sequence[Any] | None = None
    #: of a nested graph that ran as one piece: what became of it, see `runners.nested`; [] where
    #: the outputs say it all
    kind: str = ""  #: class of the error, with its module; for people, as the rest
    message: str = ""  #: the error's own text
    events: bytes = b""  #: of an observed piece: what was to be seen inside; see `events.wire`


class ItemCount(NamedTuple):
    """What became of the items of a mapped node, for people."""

    done: int  #: failed ones included
    failed: int
    busy_us: int  #: time they took together
    errors: Sequence[tuple[int, str]] = ()  #: item and text of the first failures


@dataclass(frozen=True, slots=True)
class Crash:
    """What a task or an item fails with that has killed too many workers."""

    unit: str  #: the task or the map that the process was in; "?" when nobody knows
    item: int  #: of the map; -1 for a task, and when nobody knows
    failure: bytes  #: packed


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended."""

    results: Mapping[str, Ref] = field(default_factory=dict)  #: those to give back
    error: Ref | None = None
    broken: Mapping[str, Any] | None = None  #: a rule of the plan was broken; see plan.Broken
    text: str = ""
    by: str = ""  #: who cancelled it, or why
    nested: bool = False  #: nested graphs have results too; the journal has them


@dataclass(frozen=True, slots=True)
class Question:
    """What a paused run waits for."""

    path: str  #: of the interrupt, joined by "/"
    output: str  #: what the answer becomes, in the interrupt's graph
    value: Ref | None = None  #: what to show to whoever answers

    @property
    def key(self) -> str:
        """The name under which the answer is given: ``decision``, or ``outer.inner.decision``."""
        return ".".join([*self.path.split("/")[:-1], self.output])


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answered."""

    key: str
    value: Ref


@dataclass(frozen=True, slots=True)
class MapSpec:
    """What a worker has to know to carry out items of a map."""

    graph: str  #: digest of the packed graph
    mapped: Sequence[str]  #: names whose values come in pages, one column each
    broadcast: Mapping[str, Ref]  #: names whose value is the same for every item
    select: Sequence[str] | None = None
    max_iterations: int | None = None
    stops: bool = True  #: whether the first failure ends the map
    path: str = ""  #: of the mapped node, joined by "/"; "" for a map of its own
    chunk: int = 0  #: items per claim; 0: as many as suit their cost
    parts: Mapping[str, str] = field(default_factory=dict)
    #: of a graph with nodes on several queues: queue, without tag -> digest of the graph as the
    #: workers of that queue need it; see `graph.placement`


_RECORDS: dict[type[Any], str] = {
    Start: "start",
    Order: "task",
    Report: "commit",
    Crash: "crash",
    End: "end",
    MapSpec: "map",
    Question: "pause",
    Answer: "answer",
}


class Sealer:
    """Seals and opens the records of one namespace."""

    def __init__(self, signer: Signer, namespace: str) -> None:
        self._signer = signer
        self._namespace = namespace

    def seal(self, record: Any, *context: str | int) -> bytes:
        """Return a record as signed bytes, tied to `context` (run, task, ...)."""
        kind = _RECORDS[type(record)]
        wire = [getattr(record, name) for name in type(record).__slots__]
        return self.seal_bytes(kind, bytes(msgpack.packb(wire, default=dict)), *context)

    def open(self, cls: type[Any], sealed: bytes, *context: str | int) -> Any:
        """Return the record that was sealed with the same context.

        Raises:
            UntrustedPayload: The signature does not fit the bytes and the context.
        """
        return cls(*msgpack.unpackb(self.open_bytes(_RECORDS[cls], sealed, *context)))

    def open_crash(self, sealed: bytes, run_id: str, unit: str, item: int = -1) -> bytes:
        """Return the packed failure of a task, or of an item of a map.

        Raises:
            UntrustedPayload: It was not sealed for this task or item.
        """
        crash: Crash = self.open(Crash, sealed, run_id)
        if (crash.unit, crash.item) != (unit, item) and crash.unit != "?":
            about = f"crash/{self._namespace}/{run_id}/{unit}"
            raise UntrustedPayload(f"it was sealed for {crash.unit}", about)
        return crash.failure

    def seal_bytes(self, kind: str, data: bytes, *context: str | int) -> bytes:
        """Return `data` signed as `kind` with its context."""
        return self._signer.seal(kind, (self._namespace, *context), data)

    def open_bytes(self, kind: str, sealed: bytes, *context: str | int) -> bytes:
        """Return what `seal_bytes` signed."""
        return self._signer.open(kind, (self._namespace, *context), sealed)
