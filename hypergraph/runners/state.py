"""The values of a run with their versions, and when a value counts as new."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def differs(old: Any, new: Any) -> bool:
    """Whether storing `new` over `old` makes a newer version.

    Equal values do not. The same object never does, not even a NaN. Where two objects cannot say
    whether they differ, as with most arrays, they do.
    """
    if old is new:
        return False
    try:
        return bool(old != new)
    except Exception:  # `!=` is the user's code, and arrays refuse to be one truth value
        return True


@dataclass
class NodeExecution:
    """One execution of a node."""

    node_name: str
    input_versions: dict[str, int]  #: input name -> the version it was given
    outputs: dict[str, Any]


@dataclass
class GraphState:
    """What a run holds: values, how often each has changed, and what nodes did last."""

    values: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)  #: value name -> times it changed
    node_executions: dict[str, NodeExecution] = field(default_factory=dict)  #: by node name
    routing_decisions: dict[str, Any] = field(default_factory=dict)  #: gate name -> its choice

    def update_value(self, name: str, value: Any) -> None:
        """Store a value. An equal one changes nothing; another one makes a newer version."""
        if name in self.versions and not differs(self.values[name], value):
            return
        self.values[name] = value
        self.versions[name] = self.get_version(name) + 1

    def get_version(self, name: str) -> int:
        """Return how often the value has changed; 0 if it was never stored."""
        return self.versions.get(name, 0)

    def copy(self) -> GraphState:
        """Return a state with dicts and executions of its own, and the same values in them."""
        return GraphState(
            dict(self.values),
            dict(self.versions),
            {
                name: NodeExecution(done.node_name, dict(done.input_versions), dict(done.outputs))
                for name, done in self.node_executions.items()
            },
            dict(self.routing_decisions),
        )
