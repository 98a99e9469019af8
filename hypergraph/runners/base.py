"""What every runner can be asked, and what is checked before any of them starts."""

from __future__ import annotations

import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypergraph.errors import IncompatibleRunnerError
from hypergraph.graph import Graph
from hypergraph.nodes import GraphNode, HyperNode, InterruptNode
from hypergraph.plan import inputs
from hypergraph.runners.result import RunResult, RunStatus
from hypergraph.wording import quoted

_PACKAGE = "hypergraph."

#: Options of `run` and of `map` on any runner. On none of them is such a keyword an input, so that
#: a program may change its runner without changing its calls.
RUN_OPTIONS = frozenset(
    {"select", "max_iterations", "max_concurrency", "error_handling", "event_processors"}
    | {"progress"}
)
MAP_OPTIONS = RUN_OPTIONS | {"map_over", "map_mode", "chunk"}


@dataclass
class RunnerCapabilities:
    """What kinds of graphs a runner can run."""

    supports_cycles: bool = True
    supports_async_nodes: bool = False
    supports_streaming: bool = False
    returns_coroutine: bool = False
    supports_interrupts: bool = False


class BaseRunner(ABC):
    """Runs graphs. Keeps nothing of a run, so one object serves any number of them."""

    #: classes of nodes it can carry out; their subclasses included
    supported_node_types: set[type[HyperNode]]

    @property
    @abstractmethod
    def capabilities(self) -> RunnerCapabilities:
        """What kinds of graphs it can run."""

    @abstractmethod
    def run(self, graph: Graph, values: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Run a graph once."""

    @abstractmethod
    def map(
        self,
        graph: Graph,
        values: Mapping[str, Any] | None = None,
        *,
        map_over: str | Sequence[str],
        **kwargs: Any,
    ) -> Any:
        """Run a graph once per item of the lists in `values` that `map_over` names."""


def gather(
    values: Mapping[str, Any] | None, keywords: Mapping[str, Any], options: Collection[str]
) -> dict[str, Any]:
    """Return the inputs of a call, given as a mapping and as keywords, in one dict.

    Args:
        values: What the caller gave as a mapping.
        keywords: What the caller gave by name, without the options that the call knows.
        options: What is no input on any runner.

    Raises:
        TypeError: A keyword is an option, but not of the runner that was called.
        ValueError: A name occurs in both.
    """
    for name in keywords:
        if name in options:
            raise TypeError(
                f"{name!r} is an option that this runner does not have. If an input is meant, "
                f"give it in values: {{{name!r}: ...}}"
            )
    return inputs.merge(values, keywords)


def check_error_handling(error_handling: str) -> None:
    """Refuse what is neither ``raise`` nor ``continue``, with a ValueError."""
    if error_handling not in ("raise", "continue"):
        raise ValueError(f"error_handling must be 'raise' or 'continue', not {error_handling!r}")


def check_graph(runner: BaseRunner, graph: Graph) -> None:
    """Check that `runner` can run `graph`, and every runner a nested graph brings along its own.

    Raises:
        IncompatibleRunnerError: The graph asks for a capability that the runner lacks.
        TypeError: A node is of a class that the runner cannot carry out.
    """
    key: Any = ("fits", type(runner))
    if key in graph._cache:
        return
    able = runner.capabilities
    if not able.supports_async_nodes:
        found = [path for path, node in _walk(graph) if _is_async(node)]
        _refuse(runner, found, "supports_async_nodes", "is async")
    if not able.supports_cycles and graph.has_cycles:
        raise IncompatibleRunnerError(
            f"{type(runner).__name__} runs no graphs with cycles, and this one has some",
            capability="supports_cycles",
        )
    if not able.supports_interrupts:
        _refuse_interrupts(runner, graph, "run")
    supported = tuple(runner.supported_node_types)
    for path, node in _walk(graph):
        if isinstance(node, GraphNode) and isinstance(node.runner, BaseRunner):
            check_graph(node.runner, node.graph)
        if not isinstance(node, supported):
            raise TypeError(
                f"{type(runner).__name__} cannot carry out node {'/'.join(path)!r}: it does not "
                f"know the class {type(node).__name__}"
            )
    graph._cache[key] = True


def check_map(runner: BaseRunner, graph: Graph) -> None:
    """Check that `runner` can map `graph`. Errors as in :func:`check_graph`."""
    check_graph(runner, graph)
    if graph.has_interrupts:
        _refuse_interrupts(runner, graph, "map")


def check_inputs(graph: Graph, provided: Collection[str]) -> tuple[str, ...]:
    """Do what :func:`hypergraph.plan.inputs.check` does, once for each set of names."""
    key: Any = ("inputs", frozenset(provided))
    unknown: tuple[str, ...] | None = graph._cache.get(key)
    if unknown is None:
        unknown = graph._cache[key] = inputs.check(graph, provided)
    return unknown


def _is_async(node: HyperNode) -> bool:
    return node.is_async and not isinstance(node, GraphNode)


def _walk(
    graph: Graph, above: tuple[str, ...] = (), *, everywhere: bool = False
) -> Iterator[tuple[tuple[str, ...], HyperNode]]:
    """Yield every node with its path, those of nested graphs behind their graph node.

    Args:
        graph: The graph.
        above: Path of the graph itself.
        everywhere: Whether to look into graphs that bring a runner along, too.
    """
    for node in graph._nodes:
        path = (*above, node.name)
        yield path, node
        if isinstance(node, GraphNode) and (everywhere or node.runner is None):
            yield from _walk(node.graph, path, everywhere=everywhere)


def _refuse_interrupts(runner: BaseRunner, graph: Graph, verb: str) -> None:
    # Also those on a runner of their own, that could pause: the run around it could not.
    nodes = _walk(graph, everywhere=True)
    found = [path for path, node in nodes if isinstance(node, InterruptNode)]
    _refuse(runner, found, "supports_interrupts", "is an InterruptNode", verb)


def _refuse(
    runner: BaseRunner,
    found: list[tuple[str, ...]],
    capability: str,
    trouble: str,
    verb: str = "run",
) -> None:
    """Refuse a graph if nodes were found that ask for too much."""
    if found:
        names = quoted("/".join(path) for path in found)
        raise IncompatibleRunnerError(
            f"{type(runner).__name__} cannot {verb} this graph: {names} {trouble}",
            node_name=found[0][0],
            capability=capability,
        )


def warn_of_unknown(names: Iterable[str]) -> None:
    """Warn the caller of a runner of names that are no inputs."""
    warn(
        f"These are no inputs of the graph, but internal parameters or unknown: {quoted(names)}. "
        "A value that the graph makes itself is replaced when its node runs",
    )


def warn_of_lacking(names: Iterable[str], results: Iterable[RunResult]) -> None:
    """Warn the caller of a runner of selected outputs that have no value."""
    completed = [r.values for r in results if r.status is RunStatus.COMPLETED]
    lacking = [name for name in names if any(name not in values for values in completed)]
    if lacking:
        warn(
            f"Requested outputs not found: {quoted(lacking)}. Their nodes did not run, or no node "
            "has such an output",
        )


def warn(message: str) -> None:
    """Warn, at the line of the user's that called the runner."""
    warnings.warn(message, UserWarning, stacklevel=_depth_of_caller())


def _depth_of_caller() -> int:
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame, depth = frame.f_back, depth + 1
    return depth
