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
    │   └── NoWorker, MissingModule, IncompatibleWorker
    ├── PayloadError        a value cannot travel, or did not arrive as it was sent
    │   ├── UnserializableInput, UnserializableResult, PayloadTooLarge
    │   └── CorruptPayload, UntrustedPayload
    └── StoreError          the outside world failed us
        └── StoreUnavailable, UnsafeRedisConfig, StoreFull, StateLost, ResultExpired

    PauseExecution          a BaseException: a signal between our own functions

Catch ``GraphError`` around construction and ``RunError`` around ``run()``.

Errors cross processes. So an error keeps its arguments as attributes and makes
its text from them in ``__str__``; nothing passes a finished message upwards.
An argument whose name ends in ``_s`` is in seconds, in ``_at`` seconds since the
epoch, in ``_bytes`` bytes; `item` is the index of a map item from 0, or `None`
outside a map.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "AlreadyAnswered",
    "ConflictError",
    "CorruptPayload",
    "GraphConfigError",
    "GraphError",
    "HypergraphError",
    "IncompatibleRunnerError",
    "IncompatibleWorker",
    "InfiniteLoopError",
    "MissingInputError",
    "MissingModule",
    "NoWorker",
    "NodeExited",
    "NodeTimeout",
    "PauseExecution",
    "PayloadError",
    "PayloadTooLarge",
    "RemoteError",
    "RenameError",
    "ResultExpired",
    "RunCancelled",
    "RunError",
    "StateLost",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "UnsafeRedisConfig",
    "UnserializableInput",
    "UnserializableResult",
    "UntrustedPayload",
    "WorkerCrashed",
    "WorkerError",
]


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


# --- the graph itself ---------------------------------------------------------------


class GraphError(HypergraphError):
    """A graph or a node is wrong. Raised while it is built, before anything runs."""


class GraphConfigError(GraphError):
    """`Graph(...)` refused its nodes. The message names them and the way out."""


class RenameError(GraphError):
    """A rename names something the node does not have, or makes two names equal."""


# --- this run -----------------------------------------------------------------------


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
        self.message = message if message is not None else _about_missing(self)
        super().__init__(self.missing, self.provided, self.message)

    def __str__(self) -> str:
        return self.message


def _about_missing(error: MissingInputError) -> str:
    lines = [f"Missing required inputs: {quoted(error.missing)}"]
    lines.append(f"  Provided: {quoted(error.provided) or 'nothing'}")
    guesses = [(name, near) for name in error.missing if (near := nearest(name, error.provided))]
    if guesses:
        hints = ", ".join(f"{given!r} -> {name!r}" for name, given in guesses)
        lines.append(f"  Did you mean: {hints}?")
    lines.append("  Pass them to run(), or give them a value with graph.bind(...).")
    return "\n".join(lines)


class IncompatibleRunnerError(RunError):
    """This runner cannot run this graph; another one can.

    Attributes:
        message: The text.
        node_name: The first node that asks for more than the runner has, or `None`.
        capability: Field of `RunnerCapabilities` that is missing, or `None`.
    """

    def __init__(
        self, message: str, *, node_name: str | None = None, capability: str | None = None
    ) -> None:
        self.message = message
        self.node_name = node_name
        self.capability = capability
        super().__init__(message)

    def __str__(self) -> str:
        return self.message


class InfiniteLoopError(RunError):
    """The run used up its supersteps and still had work to do.

    Attributes:
        max_iterations: The limit, in supersteps.
        message: The text.
    """

    def __init__(self, max_iterations: int, message: str | None = None) -> None:
        self.max_iterations = max_iterations
        self.message = message if message is not None else (
            f"The run did not end within max_iterations={max_iterations} supersteps: a cycle "
            "keeps producing new values. Check the gate that should choose END, or pass a "
            "higher max_iterations."
        )
        super().__init__(max_iterations, self.message)

    def __str__(self) -> str:
        return self.message


class ConflictError(RunError):
    """Two nodes were about to write one output in the same superstep. Neither ran.

    Attributes:
        output: The output both write.
        nodes: Names of the nodes, in graph order.
    """

    def __init__(self, output: str, nodes: Iterable[str]) -> None:
        self.output = output
        self.nodes = tuple(nodes)
        super().__init__(output, self.nodes)

    def __str__(self) -> str:
        return (
            f"Nodes {quoted(self.nodes)} would all write {self.output!r} in the same superstep, "
            "and only one value can stand. Let a single gate choose between them, or rename "
            "one output with .with_outputs(...)."
        )


class RunCancelled(RunError):
    """The run was cancelled, so there is no result.

    Attributes:
        run_id: The run.
        done: Items or nodes that finished before, or `None` if nobody counted.
        skipped: Items or nodes that never started, or `None`.
    """

    def __init__(self, run_id: str, *, done: int | None = None, skipped: int | None = None) -> None:
        self.run_id = run_id
        self.done = done
        self.skipped = skipped
        super().__init__(run_id)

    def __str__(self) -> str:
        counts = [
            f"{count} {word}"
            for count, word in ((self.done, "finished"), (self.skipped, "skipped"))
            if count is not None
        ]
        text = f"Run {self.run_id} was cancelled"
        return f"{text} ({', '.join(counts)})." if counts else f"{text}."


class AlreadyAnswered(RunError):
    """Somebody else answered this pause first. The first answer stands.

    Attributes:
        run_id: The paused run.
        key: The response key that was answered.
    """

    def __init__(self, run_id: str, key: str) -> None:
        self.run_id = run_id
        self.key = key
        super().__init__(run_id, key)

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} already has an answer for {self.key!r}; the first one stands. "
            "Attach to the run to see what became of it."
        )


class RemoteError(RunError):
    """Stands in for an exception that could not be brought back from a worker.

    Attributes:
        error_type: Module-qualified name of the original class.
        message: `str()` of the original.
        traceback: Its formatted traceback; empty if there was none.
        reason: Why the original did not travel; empty if unknown.
    """

    def __init__(
        self, error_type: str, message: str, *, traceback: str = "", reason: str = ""
    ) -> None:
        self.error_type = error_type
        self.message = message
        self.traceback = traceback
        self.reason = reason
        super().__init__(error_type, message)

    def __str__(self) -> str:
        why = f" (the exception itself could not travel: {self.reason})" if self.reason else ""
        return f"{self.error_type}: {self.message}{why}"


# --- the process that runs nodes ----------------------------------------------------


class WorkerError(HypergraphError):
    """The process that ran a node, or should have, let us down.

    Attributes:
        node: Path of the node, as in ``outer/inner``, or `None`.
        item: Index of the map item, or `None`.
        worker: Who ran it, as in ``host:pid``, or `None`.
    """

    node: str | None = None
    item: int | None = None
    worker: str | None = None


class WorkerCrashed(WorkerError):
    """A worker process died under a node, as often as is allowed.

    Attributes:
        signal: Number of the signal that killed the process, or `None`.
        exit_code: Its exit code if no signal did, or `None`.
        attempts: How often the node was executed.
    """

    def __init__(
        self,
        signal: int | None = None,
        exit_code: int | None = None,
        node: str | None = None,
        item: int | None = None,
        worker: str | None = None,
        attempts: int = 1,
    ) -> None:
        self.signal = signal
        self.exit_code = exit_code
        self.node = node
        self.item = item
        self.worker = worker
        self.attempts = attempts
        super().__init__(signal, exit_code, node, item, worker, attempts)

    def __str__(self) -> str:
        times = "once" if self.attempts == 1 else f"{self.attempts} times"
        return (
            f"The worker process{_by(self.worker)} died {times} while it ran "
            f"{_what(self.node, self.item)}: {_death(self.signal, self.exit_code)}. "
            "The body brings its process down; run it with SyncRunner on this input to see why."
        )


def _death(signal: int | None, exit_code: int | None) -> str:
    if signal is not None:
        from signal import Signals

        name = Signals(signal).name if signal in set(Signals) else f"signal {signal}"
        hint = "; often out of memory" if name == "SIGKILL" else ""
        return f"killed by {name} ({signal}){hint}"
    return f"exit code {exit_code}" if exit_code is not None else "cause unknown"


class NodeExited(WorkerError):
    """A node's body ended its process (`sys.exit`, `os._exit`), which is a failure.

    Attributes:
        exit_code: What it exited with.
    """

    def __init__(
        self,
        exit_code: int | str | None,
        node: str | None = None,
        item: int | None = None,
        worker: str | None = None,
    ) -> None:
        self.exit_code = exit_code
        self.node = node
        self.item = item
        self.worker = worker
        super().__init__(exit_code, node, item, worker)

    def __str__(self) -> str:
        return (
            f"{_what(self.node, self.item)} ended its worker process{_by(self.worker)} with exit "
            f"code {self.exit_code!r}. A node returns a value or raises an exception; it must not "
            "exit."
        )


class NodeTimeout(WorkerError):
    """A node ran longer than it may and was stopped.

    Attributes:
        limit_s: The limit in seconds.
        stack: Where it was when it was stopped; empty if unknown.
    """

    def __init__(
        self,
        node: str,
        item: int | None = None,
        limit_s: float | None = None,
        *,
        worker: str | None = None,
        stack: str = "",
    ) -> None:
        self.node = node
        self.item = item
        self.limit_s = limit_s
        self.worker = worker
        self.stack = stack
        super().__init__(node, item, limit_s)

    def __str__(self) -> str:
        limit = "its time limit" if self.limit_s is None else f"its limit of {self.limit_s:g} s"
        where = f"\nIt was here:\n{self.stack}" if self.stack else ""
        return (
            f"{_what(self.node, self.item)} ran longer than {limit}{_by(self.worker)} and was "
            f"stopped. Raise the limit, or make the node do less.{where}"
        )


class NoWorker(WorkerError):
    """No live worker serves the queue, so nothing would ever run.

    Attributes:
        queue: Name of the queue.
        url: Where workers were looked for, without its password.
    """

    def __init__(self, queue: str, url: str = "") -> None:
        self.queue = queue
        self.url = url
        super().__init__(queue, url)

    def __str__(self) -> str:
        at = f" at {self.url}" if self.url else ""
        url = f" --url {self.url}" if self.url else ""
        return (
            f"No live worker serves queue {self.queue!r}{at}; nothing was stored. Start one with "
            f"`hypergraph worker{url}`, or queue the run all the same with submit()."
        )


class MissingModule(WorkerError):
    """The graph's code lives in a module that no live worker can import.

    Attributes:
        module: The module.
        workers: Workers that were asked.
    """

    def __init__(self, module: str, workers: Iterable[str] = (), node: str | None = None) -> None:
        self.module = module
        self.workers = tuple(workers)
        self.node = node
        super().__init__(module, self.workers, node)

    def __str__(self) -> str:
        who = quoted(self.workers) if self.workers else "no live worker"
        verb = "cannot import" if self.workers else "can import"
        use = f" (node {self.node!r})" if self.node else ""
        return (
            f"Module {self.module!r}{use} is missing on the workers: {who} {verb} it. Install it "
            "there, put it on their PYTHONPATH, or ship the code by value with ship=\"value\"."
        )


class IncompatibleWorker(WorkerError):
    """Client and workers speak different versions; refused before anything is unpickled.

    Attributes:
        client: What this side is, as in ``python 3.12, wire 1``.
        workers: Worker -> what it is.
    """

    def __init__(self, client: str, workers: Mapping[str, str] | None = None) -> None:
        self.client = client
        self.workers = dict(workers or {})
        super().__init__(client, self.workers)

    def __str__(self) -> str:
        table = "".join(f"\n  {name}: {what}" for name, what in self.workers.items())
        return (
            f"This client is {self.client}, and no worker matches it:{table or ' none is alive.'}\n"
            "Functions do not survive a change of Python's minor version. Start a worker with the "
            "client's version, or run the client with the workers'."
        )


# --- values on their way ------------------------------------------------------------


class PayloadError(HypergraphError):
    """A value cannot travel, or did not arrive as it was sent."""


class UnserializableInput(PayloadError):
    """A function or an input cannot be sent to a worker. Nothing was stored.

    Attributes:
        path: Where it sits, as in ``fetch.<closure>.lock``.
        kind: Type of the object that cannot travel.
        reason: What the serialiser said.
    """

    def __init__(self, path: str, kind: str = "", reason: str = "") -> None:
        self.path = path
        self.kind = kind
        self.reason = reason
        super().__init__(path, kind, reason)

    def __str__(self) -> str:
        return (
            f"{self.path}{_of(self.kind)} cannot be sent to a worker{_because(self.reason)}. "
            "Make it inside the node, or pass what is needed to make it."
        )


class UnserializableResult(PayloadError):
    """A node returned something that cannot leave its worker.

    Attributes:
        path: Where it sits in the result, as in ``$.model._lock``.
        kind: Type of the object that cannot travel.
        node: Path of the node, or `None`.
        item: Index of the map item, or `None`.
        reason: What the serialiser said.
    """

    def __init__(
        self,
        path: str,
        kind: str = "",
        node: str | None = None,
        item: int | None = None,
        reason: str = "",
    ) -> None:
        self.path = path
        self.kind = kind
        self.node = node
        self.item = item
        self.reason = reason
        super().__init__(path, kind, node, item, reason)

    def __str__(self) -> str:
        return (
            f"The result of {_what(self.node, self.item)} cannot leave its worker: {self.path}"
            f"{_of(self.kind)} does not serialise{_because(self.reason)}. Return plain data, or "
            "give the class a __getstate__ that leaves this part out."
        )


class PayloadTooLarge(PayloadError):
    """A value is larger than may be sent.

    Attributes:
        size_bytes: Its size.
        limit_bytes: What is allowed.
        path: What it is, as in an input's name or a node's result.
    """

    def __init__(self, size_bytes: int, limit_bytes: int, path: str = "") -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        self.path = path
        super().__init__(size_bytes, limit_bytes, path)

    def __str__(self) -> str:
        return (
            f"{self.path or 'A value'} has {self.size_bytes:,} bytes; {self.limit_bytes:,} are "
            "allowed. Store it in a file or an object store and pass its name, or raise the limit."
        )


class CorruptPayload(PayloadError):
    """Bytes came back different from what was stored.

    Attributes:
        key: Where they were read.
        expected: Digest or size that was stored.
        got: Digest or size that was read.
    """

    def __init__(self, key: str, expected: str = "", got: str = "") -> None:
        self.key = key
        self.expected = expected
        self.got = got
        super().__init__(key, expected, got)

    def __str__(self) -> str:
        compared = f" (expected {self.expected}, got {self.got})" if self.expected else ""
        return (
            f"The bytes under {self.key} are damaged{compared}. They were not unpickled. Check "
            "the storage behind Redis or the blob directory, then run again."
        )


class UntrustedPayload(PayloadError):
    """A signature is missing or wrong, so nothing was unpickled.

    Attributes:
        reason: What did not match.
        key: Where the bytes were read; empty if unknown.
    """

    def __init__(self, reason: str, key: str = "") -> None:
        self.reason = reason
        self.key = key
        super().__init__(reason, key)

    def __str__(self) -> str:
        where = f" under {self.key}" if self.key else ""
        return (
            f"The payload{where} is not signed by our secret: {self.reason}. It was not unpickled. "
            "Give client and workers the same HYPERGRAPH_SECRET; if they have it, somebody else "
            "writes to this Redis."
        )


# --- the outside world --------------------------------------------------------------


class StoreError(HypergraphError):
    """The place where runs live failed us, or no longer has what was asked for."""


class StoreUnavailable(StoreError):
    """Redis cannot be reached. Nothing was stored, so the call can be repeated.

    Attributes:
        url: Where it was looked for, without its password.
        reason: What the driver said.
        waited_s: How long we tried.
    """

    def __init__(self, url: str, reason: str = "", waited_s: float | None = None) -> None:
        self.url = url
        self.reason = reason
        self.waited_s = waited_s
        super().__init__(url, reason, waited_s)

    def __str__(self) -> str:
        tried = "" if self.waited_s is None else f" after {self.waited_s:.1f} s"
        return (
            f"Redis at {self.url} cannot be reached{tried}{_because(self.reason)}. Check that it "
            "runs and that the URL is right: `hypergraph doctor --url ...` says more."
        )


class UnsafeRedisConfig(StoreError):
    """Redis is set up so that it may forget a run.

    Attributes:
        setting: Name of the setting.
        value: What it is.
        wanted: What it must be.
        fix: A command that sets it.
    """

    def __init__(self, setting: str, value: str, wanted: str, fix: str = "") -> None:
        self.setting = setting
        self.value = value
        self.wanted = wanted
        self.fix = fix or f"redis-cli CONFIG SET {setting} {wanted}"
        super().__init__(setting, value, wanted, self.fix)

    def __str__(self) -> str:
        return (
            f"Redis has {self.setting}={self.value}, which can lose runs; it must be "
            f"{self.wanted}. Fix: {self.fix}"
        )


class StoreFull(StoreError):
    """Redis has no memory left for a new run. What runs already goes on.

    Attributes:
        used_bytes: Memory in use, or `None` if unknown.
        limit_bytes: Redis's `maxmemory`, or `None`.
        largest: The largest runs, run id -> bytes.
    """

    def __init__(
        self,
        used_bytes: int | None = None,
        limit_bytes: int | None = None,
        largest: Mapping[str, int] | None = None,
    ) -> None:
        self.used_bytes = used_bytes
        self.limit_bytes = limit_bytes
        self.largest = dict(largest or {})
        super().__init__(used_bytes, limit_bytes, self.largest)

    def __str__(self) -> str:
        known = self.used_bytes is not None and self.limit_bytes is not None
        numbers = f" ({self.used_bytes:,} of {self.limit_bytes:,} bytes)" if known else ""
        runs = ", ".join(f"{run_id}: {size:,} bytes" for run_id, size in self.largest.items())
        biggest = f" Largest runs: {runs}." if runs else ""
        return (
            f"Redis is full{numbers}, so nothing new was stored.{biggest} Raise maxmemory, wait "
            "for runs to finish, or keep results for less time with keep_s=."
        )


class StateLost(StoreError):
    """Redis no longer knows a run it had accepted (`FLUSHALL`, wrong database, lost disk).

    Attributes:
        run_id: The run.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(run_id)

    def __str__(self) -> str:
        return (
            f"Run {self.run_id} has vanished from Redis: it was flushed, restored from an older "
            "copy, or this is another database. Submit the run again."
        )


class ResultExpired(StoreError):
    """The run ended so long ago that its values are gone.

    Attributes:
        run_id: The run.
        expired_at: When they went, in seconds since the epoch, or `None` if unknown.
        keep_s: How long they were kept, in seconds, or `None`.
    """

    def __init__(
        self, run_id: str, expired_at: float | None = None, keep_s: float | None = None
    ) -> None:
        self.run_id = run_id
        self.expired_at = expired_at
        self.keep_s = keep_s
        super().__init__(run_id, expired_at, keep_s)

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


# --- words shared by messages -------------------------------------------------------


def quoted(names: Iterable[object]) -> str:
    """Return the names as messages list them.

    >>> quoted(["a", "b"])
    "'a', 'b'"
    """
    return ", ".join(repr(name) for name in names)


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return the name that was probably meant, or `None`.

    >>> nearest("qeury", ["query", "limit"])
    'query'
    """
    from difflib import get_close_matches  # slow to import, and only messages need it

    close = get_close_matches(name, [n for n in names if n != name], n=1)
    return close[0] if close else None


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return `` Did you mean 'x'?``, or nothing when no name is near."""
    near = nearest(name, names)
    return f" Did you mean {near!r}?" if near else ""


def _what(node: str | None, item: int | None) -> str:
    what = f"node {node!r}" if node is not None else "a node"
    return what if item is None else f"{what} (item {item})"


def _by(worker: str | None) -> str:
    return f" on {worker}" if worker else ""


def _of(kind: str) -> str:
    return f" (a {kind})" if kind else ""


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
