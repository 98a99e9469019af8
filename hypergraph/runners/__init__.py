"""The shells around the plan: runners, and what comes back from them."""

from hypergraph.errors import PauseExecution
from hypergraph.runners.base import BaseRunner, RunnerCapabilities
from hypergraph.runners.result import MapResult, PauseInfo, RunResult, RunStatus
from hypergraph.runners.state import GraphState, NodeExecution
from hypergraph.runners.sync import SyncRunner

__all__ = [
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
