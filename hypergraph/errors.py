"""Every error hypergraph raises on purpose, by whose fault it is.

The tree::

    HypergraphError
    ├── GraphError          the graph itself is wrong; raised while building it
    │   ├── GraphConfigError
    │   └── RenameError
    ├── RunError            the graph is fine; this run of it is not
    │   ├── MissingInputError, IncompatibleRunnerError, InfiniteLoopError, ConflictError
    │   └── RunCancelled, AlreadyAnswered, RemoteError
    ├── WorkerError         the process that ran a node, or should have, let us down
    │   ├── WorkerCrashed, NodeExited, NodeTimeout
    │   └── NoWorker, MissingModule (CodeDiffers), IncompatibleWorker
    ├── PayloadError        a value cannot travel, or did not arrive as it was sent
    │   ├── UnserializableInput, UnserializableResult, PayloadTooLarge
    │   └── CorruptPayload, UntrustedPayload (ForbiddenCode)
    └── StoreError          the outside world failed us
        └── StoreUnavailable, UnsafeRedisConfig, StoreFull, StateLost, ResultExpired

    PauseExecution          a BaseException: a signal between our own functions

Catch ``GraphError`` around construction and ``RunError`` around ``run()``.

Errors cross processes. So an error is a dataclass: it keeps its arguments as
attributes and makes its text from them in ``__str__``. An argument whose name
ends in ``_s`` is in seconds, in ``_at`` seconds since the epoch, in ``_bytes``
bytes; `item` is the index of a map item from 0, or `None` outside a map.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from hypergraph import wording
from hypergraph.wording import a_kind, because, doing, on, quoted


class HypergraphError(Exception):
    """The root of the tree. Survives pickle and copy with attributes, notes and text."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with `args`, which loses keyword-only arguments.
        return _rebuilt, (type(self), self.args, dict(self.__dict__))


def _rebuilt(
    cls: type[HypergraphError], args: tuple[Any, ...], attributes: Mapping[str, Any]
) -> HypergraphError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class GraphError(HypergraphError):
    """A graph or a node is wrong. Raised while it is built, before anything runs."""


class GraphConfigError(GraphError):
    """`Graph(...)` refused its nodes. The message names them and the way out."""


class RenameError(GraphError):
    """A rename names something the node does not have, or makes two names equal."""


class RunError(HypergraphError):
    """The graph is fine; this run of it is not."""


class MissingInputError(RunError):
    """The run was started without inputs it cannot do without.

    Attributes:
        missing: Names of the missing inputs, sorted.
        provided: Names that were given, in the caller's order.
        message: The text; made from the names unless one was passed in.
    """

    def __init__(
        self,
        missing: Iterable[str],
        provided: Iterable[str] | None = None,
        message: str | None = None,
    ) -> None:
        self.missing = sorted(missing)
        self.provided = list(provided or ())
        self.message = message or wording.missing_inputs(self.missing, self.provided)
        super().__init__(self.missing, self.provided, self.message)

    def __str__(self) -> str:
        return self.message


@dataclass(eq=False)
class IncompatibleRunnerError(RunError):
    """This runner cannot run this graph; another one can."""

    message: str
    _: KW_ONLY
    node_name: str | None = None  #: the first node that asks for more than the runner has
    capability: str | None = None  #: field of `RunnerCapabilities` that is missing

    def __str__(self) -> str:
        return self.message


@dataclass(eq=False)
class InfiniteLoopError(RunError):
    """The run used up its supersteps and still had work to do."""

    max_iterations: int  #: the limit, in supersteps
    message: str = ""  #: the text; made from the limit unless one was passed in

    def __post_init__(self) -> None:
        self.message = self.message or (
            f"The run did not end within max_iterations={self.max_iterations} supersteps: a "
            "cycle keeps producing new values. Check the gate that should choose END, or pass a "
            "higher max_iterations."
        )

    def __str__(self) -> str:
        return self.message


@dataclass(eq=False)
class ConflictError(RunError):
    """Two nodes were about to write one output in the same superstep. Neither ran."""

    output: str  #: the output both write
    nodes: Sequence[str]  #: names of the nodes, in graph order

    def __post_init__(self) -> None:
        self.nodes = tuple(self.nodes)

    def __str__(self) -> str:
        return (
            f"Nodes {quoted(self.nodes)} would all write {self.output!r} in the same superstep, "
            "and only one value can stand. Let a single gate choose between them, or rename "
            "one output with .with_outputs(...)."
        )


@dataclass(eq=False)
class RunCancelled(RunError):
    """The run was cancelled, so there is no result."""

    run_id: str  #: the run
    _: KW_ONLY
    done: int | None = None  #: items or nodes that finished before, or `None` if nobody counted
    skipped: int | None = None  #: items or nodes that never started, or `None`

    def __str__(self) -> str:
        counts = wording.counted(finished=self.done, skipped=self.skipped)
        return f"Run {self.run_id} was cancelled{counts}."


@dataclass(eq=False)
class AlreadyAnswered(RunError):
    """Somebody else answered this pause first. The first answer stands."""

    run_id: str  #: the paused run
    key: str  #: the response key that was answered

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} already has an answer for {self.key!r}; the first one stands. "
            "Attach to the run to see what became of it."
        )


@dataclass(eq=False)
class RemoteError(RunError):
    """Stands in for an exception that could not be brought back from a worker."""

    error_type: str  #: module-qualified name of the original class
    message: str  #: `str()` of the original
    _: KW_ONLY
    traceback: str = ""  #: its formatted traceback; empty if there was none
    reason: str = ""  #: why the original did not travel; empty if unknown

    def __str__(self) -> str:
        why = f" (the exception itself could not travel: {self.reason})" if self.reason else ""
        return f"{self.error_type}: {self.message}{why}"


class WorkerError(HypergraphError):
    """The process that ran a node, or should have, let us down."""

    node: str | None = None  #: path of the node, as in ``outer/inner``
    item: int | None = None  #: index of the map item
    worker: str | None = None  #: who ran it, as in ``host:pid``


@dataclass(eq=False)
class WorkerCrashed(WorkerError):
    """A worker process died under a node, as often as is allowed."""

    signal: int | None = None  #: number of the signal that killed the process, or `None`
    exit_code: int | None = None  #: its exit code if no signal did, or `None`
    node: str | None = None
    item: int | None = None
    worker: str | None = None
    attempts: int = 1  #: how often the node was executed

    def __str__(self) -> str:
        times = "once" if self.attempts == 1 else f"{self.attempts} times"
        return (
            f"The worker process{on(self.worker)} died {times} while it ran "
            f"{doing(self.node, self.item)}: {wording.death(self.signal, self.exit_code)}. "
            "The body brings its process down; run it with SyncRunner on this input to see why."
        )


@dataclass(eq=False)
class NodeExited(WorkerError):
    """A node's body ended its process (`sys.exit`, `os._exit`), which is a failure."""

    exit_code: int | str | None  #: what it exited with
    node: str | None = None
    item: int | None = None
    worker: str | None = None

    def __str__(self) -> str:
        return (
            f"{doing(self.node, self.item)} ended its worker process{on(self.worker)} with exit "
            f"code {self.exit_code!r}. A node returns a value or raises an exception; it must not "
            "exit."
        )


@dataclass(eq=False)
class NodeTimeout(WorkerError):
    """A node ran longer than it may and was stopped."""

    node: str
    item: int | None = None
    limit_s: float | None = None  #: the limit in seconds
    _: KW_ONLY
    worker: str | None = None
    stack: str = ""  #: where it was when it was stopped; empty if unknown

    def __str__(self) -> str:
        return wording.timed_out(
            doing(self.node, self.item), on(self.worker), self.limit_s, self.stack
        )


@dataclass(eq=False)
class NoWorker(WorkerError):
    """No live worker serves the queue, so nothing would ever run."""

    queue: str  #: name of the queue
    url: str = ""  #: where workers were looked for, without its password

    def __str__(self) -> str:
        return wording.no_worker(self.queue, self.url)


@dataclass(eq=False)
class MissingModule(WorkerError):
    """The graph's code lives in a module that no live worker can import."""

    module: str  #: the module
    workers: Sequence[str] = ()  #: workers that were asked
    node: str | None = None

    def __post_init__(self) -> None:
        self.workers = tuple(self.workers)

    def __str__(self) -> str:
        return wording.missing_module(self.module, self.node, self.workers)


@dataclass(eq=False)
class CodeDiffers(MissingModule):
    """No live worker has the module as the client has it. Nobody ran the other code."""

    name: str = ""  #: what was to be called, with its module
    client: str = ""  #: version and code there, as in ``version 2.1.0, code 3fa9c1d2``
    worker: str = ""  #: version and code here

    def __str__(self) -> str:
        return wording.code_differs(
            self.name, self.node, self.workers, self.module, self.client, self.worker
        )


@dataclass(eq=False)
class IncompatibleWorker(WorkerError):
    """Client and workers speak different versions; refused before anything is unpickled."""

    client: str  #: what this side is, as in ``python 3.12, wire 1``
    workers: Mapping[str, str] = field(default_factory=dict)  #: worker -> what it is

    def __str__(self) -> str:
        return wording.incompatible_worker(self.client, self.workers)


class PayloadError(HypergraphError):
    """A value cannot travel, or did not arrive as it was sent."""


@dataclass(eq=False)
class UnserializableInput(PayloadError):
    """A function or an input cannot be sent to a worker. Nothing was stored."""

    path: str  #: where it sits, as in ``fetch.<closure>.lock``
    kind: str = ""  #: type of the object that cannot travel
    reason: str = ""  #: what the serialiser said

    def __str__(self) -> str:
        return (
            f"{self.path}{a_kind(self.kind)} cannot be sent to a worker{because(self.reason)}. "
            "Make it inside the node, or pass what is needed to make it."
        )


@dataclass(eq=False)
class UnserializableResult(PayloadError):
    """A node returned something that cannot leave its worker."""

    path: str  #: where it sits in the result, as in ``$.model._lock``
    kind: str = ""  #: type of the object that cannot travel
    node: str | None = None  #: path of the node, or `None`
    item: int | None = None  #: index of the map item, or `None`
    reason: str = ""  #: what the serialiser said

    def __str__(self) -> str:
        return (
            f"The result of {doing(self.node, self.item)} cannot leave its worker: {self.path}"
            f"{a_kind(self.kind)} does not serialise{because(self.reason)}. Return plain data, or "
            "give the class a __getstate__ that leaves this part out."
        )


@dataclass(eq=False)
class PayloadTooLarge(PayloadError):
    """A value is larger than may be sent."""

    size_bytes: int  #: its size
    limit_bytes: int  #: what is allowed
    path: str = ""  #: what it is, as in an input's name or a node's result

    def __str__(self) -> str:
        return (
            f"{self.path or 'A value'} has {self.size_bytes:,} bytes; {self.limit_bytes:,} are "
            "allowed. Store it in a file or an object store and pass its name, or raise the limit."
        )


@dataclass(eq=False)
class CorruptPayload(PayloadError):
    """Bytes came back different from what was stored."""

    key: str  #: where they were read
    expected: str = ""  #: digest or size that was stored
    got: str = ""  #: digest or size that was read

    def __str__(self) -> str:
        compared = f" (expected {self.expected}, got {self.got})" if self.expected else ""
        return (
            f"The bytes under {self.key} are damaged{compared}. They were not unpickled. Check "
            "the storage behind Redis or the blob directory, then run again."
        )


@dataclass(eq=False)
class UntrustedPayload(PayloadError):
    """A signature is missing or wrong, so nothing was unpickled."""

    reason: str  #: what did not match
    key: str = ""  #: where the bytes were read; empty if unknown
    foreign: bool = False  #: another secret may fit, so it is not for us to say that it is forged

    def __str__(self) -> str:
        where = f" under {self.key}" if self.key else ""
        return (
            f"The payload{where} is not signed by our secret: {self.reason}. It was not unpickled. "
            "Give client and workers the same HYPERGRAPH_SECRET; if they have it, somebody else "
            "writes to this Redis."
        )


@dataclass(eq=False)
class ForbiddenCode(UntrustedPayload):
    """A worker that was started with ``--allow-modules`` was asked to run other code.

    Here `reason` is what the code uses.
    """

    allowed: Sequence[str] = ()  #: modules whose code the worker runs

    def __str__(self) -> str:
        return wording.forbidden_code(self.reason, self.allowed)


class StoreError(HypergraphError):
    """The place where runs live failed us, or no longer has what was asked for."""


@dataclass(eq=False)
class StoreUnavailable(StoreError):
    """Redis cannot be reached. Nothing was stored, so the call can be repeated."""

    url: str  #: where it was looked for, without its password
    reason: str = ""  #: what the driver said
    waited_s: float | None = None  #: how long we tried

    def __str__(self) -> str:
        tried = "" if self.waited_s is None else f" after {self.waited_s:.1f} s"
        return (
            f"Redis at {self.url} cannot be reached{tried}{because(self.reason)}. Check that it "
            "runs and that the URL is right: `hypergraph doctor --url ...` says more."
        )


@dataclass(eq=False)
class UnsafeRedisConfig(StoreError):
    """Redis is set up so that it may forget a run."""

    setting: str  #: name of the setting
    value: str  #: what it is
    wanted: str  #: what it must be
    fix: str = ""  #: a command that sets it

    def __post_init__(self) -> None:
        self.fix = self.fix or f"redis-cli CONFIG SET {self.setting} {self.wanted}"

    def __str__(self) -> str:
        return (
            f"Redis has {self.setting}={self.value}, which can lose runs; it must be "
            f"{self.wanted}. Fix: {self.fix}"
        )


@dataclass(eq=False)
class StoreFull(StoreError):
    """Redis has no memory left for a new run. What runs already goes on."""

    used_bytes: int | None = None  #: memory in use, or `None` if unknown
    limit_bytes: int | None = None  #: Redis's `maxmemory`, or `None`
    largest: Mapping[str, int] = field(default_factory=dict)  #: the largest runs, run id -> bytes

    def __str__(self) -> str:
        return wording.store_full(self.used_bytes, self.limit_bytes, self.largest)


@dataclass(eq=False)
class StateLost(StoreError):
    """Redis no longer knows a run it had accepted (`FLUSHALL`, wrong database, lost disk)."""

    run_id: str  #: the run

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} has vanished from Redis: it was flushed, restored from an older "
            "copy, or this is another database. Submit the run again."
        )


@dataclass(eq=False)
class ResultExpired(StoreError):
    """The run ended so long ago that its values are gone."""

    run_id: str  #: the run
    expired_at: float | None = None  #: when they went; `None` if unknown
    keep_s: float | None = None  #: how long they were kept, in seconds, or `None`

    def __str__(self) -> str:
        kept = "" if self.keep_s is None else f"; they were kept for {self.keep_s:g} s"
        return (
            f"The values of run {self.run_id} have expired{kept}. Fetch results earlier, or keep "
            "them longer with DistributedRunner(keep_s=...)."
        )


class PauseExecution(BaseException):
    """A run stops at an interrupt. A signal between our own functions.

    Not an `Exception`, so that no `except Exception` in a node swallows it.

    Attributes:
        pause_info: The `PauseInfo` that the paused result will carry.
    """

    def __init__(self, pause_info: Any) -> None:
        self.pause_info = pause_info
        super().__init__(pause_info)
