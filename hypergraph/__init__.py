"""Graphs of plain Python functions, run in one process or on many machines.

>>> from hypergraph import Graph, node
>>> @node(output_name="total")
... def add(a: int, b: int = 1) -> int:
...     return a + b
>>> Graph([add])
Graph(nodes=[add], inputs=(a, b=…), outputs=(total))

Building graphs needs little, and ``import hypergraph`` loads no more than that.
Runners and events come with the first use of their names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypergraph.errors import (
    AlreadyAnswered,
    CodeDiffers,
    ConflictError,
    CorruptPayload,
    ForbiddenCode,
    GraphConfigError,
    GraphError,
    HypergraphError,
    IncompatibleRunnerError,
    IncompatibleWorker,
    InfiniteLoopError,
    MissingInputError,
    MissingModule,
    NodeExited,
    NodeTimeout,
    NoWorker,
    PayloadError,
    PayloadTooLarge,
    RemoteError,
    RenameError,
    ResultExpired,
    RunCancelled,
    RunError,
    StateLost,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UnsafeRedisConfig,
    UnserializableInput,
    UnserializableResult,
    UntrustedPayload,
    WorkerCrashed,
    WorkerError,
)
from hypergraph.graph import Graph, InputSpec
from hypergraph.nodes import (
    END,
    FunctionNode,
    GateNode,
    GraphNode,
    HyperNode,
    IfElseNode,
    InterruptNode,
    RouteNode,
    ifelse,
    node,
    route,
)

if TYPE_CHECKING:
    from hypergraph.events import (
        AsyncEventProcessor,
        BaseEvent,
        Event,
        EventDispatcher,
        EventProcessor,
        InterruptEvent,
        NodeEndEvent,
        NodeErrorEvent,
        NodeStartEvent,
        RouteDecisionEvent,
        RunEndEvent,
        RunStartEvent,
        StopRequestedEvent,
        TypedEventProcessor,
    )
    from hypergraph.events.rich_progress import RichProgressProcessor
    from hypergraph.runners import (
        AsyncRunner,
        BaseRunner,
        MapResult,
        PauseInfo,
        RunResult,
        RunStatus,
        SyncRunner,
    )
    from hypergraph.runners.distributed import DistributedRunner
    from hypergraph.runners.handle import RunHandle
    from hypergraph.runners.map_call import MapHandle

__version__ = "0.1.0"

_LATE = {
    "BaseRunner": "hypergraph.runners",
    "SyncRunner": "hypergraph.runners",
    "AsyncRunner": "hypergraph.runners.async_",
    "RunResult": "hypergraph.runners",
    "RunStatus": "hypergraph.runners",
    "PauseInfo": "hypergraph.runners",
    "MapResult": "hypergraph.runners",
    "DistributedRunner": "hypergraph.runners.distributed",
    "RunHandle": "hypergraph.runners.handle",
    "AsyncEventProcessor": "hypergraph.events",
    "BaseEvent": "hypergraph.events",
    "Event": "hypergraph.events",
    "EventDispatcher": "hypergraph.events",
    "EventProcessor": "hypergraph.events",
    "InterruptEvent": "hypergraph.events",
    "NodeEndEvent": "hypergraph.events",
    "NodeErrorEvent": "hypergraph.events",
    "NodeStartEvent": "hypergraph.events",
    "RouteDecisionEvent": "hypergraph.events",
    "RunEndEvent": "hypergraph.events",
    "RunStartEvent": "hypergraph.events",
    "StopRequestedEvent": "hypergraph.events",
    "TypedEventProcessor": "hypergraph.events",
    "RichProgressProcessor": "hypergraph.events.rich_progress",
    "MapHandle": "hypergraph.runners.map_call",
}  #: name -> module that is imported when the name is first used

__all__ = [
    "END",
    "AlreadyAnswered",
    "AsyncEventProcessor",
    "AsyncRunner",
    "BaseEvent",
    "BaseRunner",
    "CodeDiffers",
    "ConflictError",
    "CorruptPayload",
    "DistributedRunner",
    "Event",
    "EventDispatcher",
    "EventProcessor",
    "ForbiddenCode",
    "FunctionNode",
    "GateNode",
    "Graph",
    "GraphConfigError",
    "GraphError",
    "GraphNode",
    "HyperNode",
    "HypergraphError",
    "IfElseNode",
    "IncompatibleRunnerError",
    "IncompatibleWorker",
    "InfiniteLoopError",
    "InputSpec",
    "InterruptEvent",
    "InterruptNode",
    "MapHandle",
    "MapResult",
    "MissingInputError",
    "MissingModule",
    "NoWorker",
    "NodeEndEvent",
    "NodeErrorEvent",
    "NodeExited",
    "NodeStartEvent",
    "NodeTimeout",
    "PauseInfo",
    "PayloadError",
    "PayloadTooLarge",
    "RemoteError",
    "RenameError",
    "ResultExpired",
    "RichProgressProcessor",
    "RouteDecisionEvent",
    "RouteNode",
    "RunCancelled",
    "RunEndEvent",
    "RunError",
    "RunHandle",
    "RunResult",
    "RunStartEvent",
    "RunStatus",
    "StateLost",
    "StopRequestedEvent",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "SyncRunner",
    "TypedEventProcessor",
    "UnsafeRedisConfig",
    "UnserializableInput",
    "UnserializableResult",
    "UntrustedPayload",
    "WorkerCrashed",
    "WorkerError",
    "__version__",
    "ifelse",
    "node",
    "route",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        value = getattr(import_module(_LATE[name]), name)
    elif name in ("events", "runners"):
        value = import_module(f"hypergraph.{name}")
    else:
        raise AttributeError(f"module 'hypergraph' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
