"""The shells around the plan: runners, and what comes back from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypergraph.errors import PauseExecution
from hypergraph.runners.base import BaseRunner, RunnerCapabilities
from hypergraph.runners.result import MapResult, PauseInfo, RunResult, RunStatus
from hypergraph.runners.state import GraphState, NodeExecution
from hypergraph.runners.sync import SyncRunner

if TYPE_CHECKING:
    from hypergraph.runners.async_ import AsyncRunner

__all__ = [
    "AsyncRunner",
    "BaseRunner",
    "GraphState",
    "MapResult",
    "NodeExecution",
    "PauseExecution",
    "PauseInfo",
    "RunResult",
    "RunStatus",
    "RunnerCapabilities",
    "SyncRunner",
]


def __getattr__(name: str) -> Any:
    if name != "AsyncRunner":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Only who runs async code loads asyncio.
    from hypergraph.runners.async_ import AsyncRunner

    globals()[name] = AsyncRunner
    return AsyncRunner
