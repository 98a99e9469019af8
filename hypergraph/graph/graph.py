"""A graph: nodes wired by the names of their inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hypergraph.graph.checks import check
from hypergraph.graph.input_spec import InputSpec, classify
from hypergraph.graph.structure import Structure
from hypergraph.nodes import GraphNode, HyperNode, InterruptNode
from hypergraph.wording import did_you_mean, quoted


class Graph:
    """Nodes, wired by name. Immutable: what seems to change it returns a new graph.

    Args:
        nodes: The nodes. Their order decides ties: which of several ready nodes runs
            first, which error of a superstep is raised.
        name: Needed to use the graph as a node, and useful in events.
        strict_types: Whether the types at both ends of every data edge must fit.

    Raises:
        GraphConfigError: The nodes do not make a graph; the message says why.
        TypeError: Something in `nodes` is not a node.
    """

    name: str | None
    strict_types: bool

    _nodes: tuple[HyperNode, ...]  #: the nodes in list order, for other layers to read
    _cache: dict[str, Any]  #: what other layers derive from this very graph, by their key
    _structure: Structure
    _bound: dict[str, Any]
    _selected: tuple[str, ...] | None
    _inputs: InputSpec | None

    def __init__(
        self, nodes: Iterable[HyperNode], *, name: str | None = None, strict_types: bool = False
    ) -> None:
        self.name = name
        self.strict_types = strict_types
        self._bound = {}
        self._selected = None
        self._wire(_only_nodes(nodes))
        check(self._structure, name)
        if strict_types:
            from hypergraph.graph.typing import check_edges  # only strict graphs pay for it

            check_edges(self._structure)

    def _wire(self, nodes: tuple[HyperNode, ...]) -> None:
        self._nodes = nodes
        self._structure = Structure(nodes)
        self._inputs = None
        self._cache = {}

    @property
    def nodes(self) -> dict[str, HyperNode]:
        """Node name -> node, in list order. A fresh dict each time."""
        return dict(self._structure.by_name)

    @property
    def inputs(self) -> InputSpec:
        """What the graph wants from its caller."""
        if self._inputs is None:
            self._inputs = classify(self._structure, self._bound)
        return self._inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """All output names in node order, each once."""
        return self._structure.outputs

    @property
    def leaf_outputs(self) -> tuple[str, ...]:
        """The outputs of nodes from which no edge leads on, each once."""
        forward = self._structure.successors
        leaves = (node for number, node in enumerate(self._nodes) if not forward[number])
        return tuple(dict.fromkeys(output for node in leaves for output in node.outputs))

    @property
    def selected(self) -> tuple[str, ...] | None:
        """The outputs chosen with `select`, or `None`."""
        return self._selected

    @property
    def has_cycles(self) -> bool:
        """Whether data and control edges lead from some node back to it."""
        return self._structure.has_cycles

    @property
    def has_async_nodes(self) -> bool:
        """Whether the graph needs a runner that supports async nodes.

        A nested graph with such a runner of its own does not count.
        """
        return self._structure.has_async_nodes

    @property
    def has_interrupts(self) -> bool:
        """Whether a run may pause: an `InterruptNode` here or in a nested graph."""
        return self._structure.has_interrupts

    @property
    def interrupt_nodes(self) -> list[InterruptNode]:
        """The `InterruptNode`s of this graph itself, in list order."""
        return [node for node in self._nodes if isinstance(node, InterruptNode)]

    @property
    def sole_producers(self) -> dict[str, str]:
        """Output name -> name of its producer, for outputs that have only one."""
        return {
            output: self._nodes[producers[0]].name
            for output, producers in self._structure.producers.items()
            if len(producers) == 1
        }

    @property
    def controlled_by(self) -> dict[str, list[str]]:
        """Target name -> names of the gates that target it, in list order."""
        return {name: list(gates) for name, gates in self._structure.controlled_by.items()}

    @property
    def definition_hash(self) -> str:
        """Sha256 (64 hex digits) of the nodes' definitions and the edges between them.

        Order of the nodes, bindings, selection and graph name do not matter.
        """
        return self._structure.definition_hash

    @property
    def nx_graph(self) -> Any:
        """The graph as a `networkx.DiGraph`, built on first use.

        Nodes carry ``hypernode``; edges carry ``edge_type``, ``"data"`` or
        ``"control"``, and data edges ``value_names``, a list.

        Raises:
            ImportError: networkx is not installed.
        """
        if "nx_graph" not in self._cache:
            from hypergraph.graph.picture import as_networkx

            self._cache["nx_graph"] = as_networkx(self._structure)
        return self._cache["nx_graph"]

    def producers_of(self, name: str) -> tuple[HyperNode, ...]:
        """Return the nodes that output `name`, in list order."""
        return tuple(self._nodes[n] for n in self._structure.producers.get(name, ()))

    def consumers_of(self, name: str) -> tuple[HyperNode, ...]:
        """Return the nodes that read `name`, in list order."""
        return tuple(self._nodes[n] for n in self._structure.consumers.get(name, ()))

    def bind(self, /, **values: Any) -> Graph:
        """Return a graph in which these inputs have values; they become optional.

        Nodes are given the bound objects themselves, never copies. `None` is a value.

        Raises:
            ValueError: A name is made inside the graph, or is no input of it.
        """
        for key in values:
            self._check_bindable(key)
        return self._derived(bound={**self._bound, **values})

    def unbind(self, *names: str) -> Graph:
        """Return a graph without these bindings. Unknown names are ignored."""
        return self._derived(bound={k: v for k, v in self._bound.items() if k not in names})

    def select(self, *names: str) -> Graph:
        """Return a graph that gives back only these outputs. Everything still runs.

        Raises:
            ValueError: A name is no output of the graph, or occurs twice.
        """
        outputs = self.outputs
        unknown = [name for name in names if name not in self._structure.producers]
        if unknown:
            raise ValueError(
                f"Cannot select {quoted(unknown)}: not graph outputs."
                f"{did_you_mean(unknown[0], outputs)} Outputs: {quoted(outputs) or 'none'}."
            )
        if len(set(names)) != len(names):
            raise ValueError(f"select needs unique output names; got {quoted(names)}.")
        return self._derived(selected=names)

    def as_node(self, *, name: str | None = None, runner: Any = None) -> GraphNode:
        """Return the graph as a node.

        Args:
            name: Name of the node; by default the graph's.
            runner: Runs this graph; by default whichever runner runs the outer one.

        Raises:
            ValueError: There is no name, or it contains ``.`` or ``/``.
        """
        return GraphNode(self, name, runner=runner)

    def _check_bindable(self, key: str) -> None:
        if self._structure.travels(key):
            producer = self.producers_of(key)[0].name
            raise ValueError(
                f"Cannot bind {key!r}: output of node {producer!r}, which would overwrite it. "
                f"Pass a starting value to run() instead, or rename the output."
            )
        if key not in self.inputs.all:
            names = self.inputs.all
            raise ValueError(
                f"Cannot bind {key!r}: not a graph input.{did_you_mean(key, names)} "
                f"Inputs: {quoted(names) or 'none'}."
            )

    def _derived(self, **changes: Any) -> Graph:
        """Return a graph of the same nodes with other bindings or another selection."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        if "bound" in changes:
            copy._bound = changes["bound"]
            copy._inputs = None
        if "selected" in changes:
            copy._selected = changes["selected"]
        copy._cache = {}
        return copy

    def _with_nodes(self, nodes: Iterable[HyperNode]) -> Graph:
        """Return a graph of other nodes that are wired as these are."""
        copy = self._derived()
        copy._wire(tuple(nodes))
        return copy

    def __getstate__(self) -> dict[str, Any]:
        """Travel as nodes and settings; what follows from them is worked out again."""
        kept = dict(self.__dict__)
        for derived in ("_structure", "_inputs", "_cache"):
            del kept[derived]
        return kept

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Wire the nodes again. They were a valid graph when they left."""
        self.__dict__.update(state)
        self._wire(self._nodes)

    def __repr__(self) -> str:
        """Show name, nodes, what goes in and what comes out."""
        name = f"{self.name!r}, " if self.name is not None else ""
        nodes = _listed([node.name for node in self._nodes])
        parts = [f"nodes=[{nodes}]", f"inputs=({_listed(self._input_words())})"]
        parts.append(f"outputs=({_listed(self.outputs)})")
        if self._selected is not None:
            parts.append(f"selected=({_listed(self._selected)})")
        return f"Graph({name}{', '.join(parts)})"

    def _input_words(self) -> list[str]:
        spec = self.inputs
        optional = [f"{n} (bound)" if n in spec.bound else f"{n}=…" for n in spec.optional]
        return [*spec.required, *optional, *(f"{n} (seed)" for n in spec.seeds)]


def _only_nodes(nodes: Iterable[HyperNode]) -> tuple[HyperNode, ...]:
    nodes = tuple(nodes)
    for node in nodes:
        if isinstance(node, HyperNode):
            continue
        if isinstance(node, Graph):
            raise TypeError("A Graph holds nodes, not graphs: pass graph.as_node(name=...).")
        hint = " Decorate it with @node(output_name=...)." if callable(node) else ""
        raise TypeError(f"A Graph holds nodes; got {node!r}, a {type(node).__name__}.{hint}")
    return nodes


def _listed(names: Iterable[str], most: int = 12) -> str:
    names = list(names)
    shown = names if len(names) <= most else [*names[:most], f"… {len(names) - most} more"]
    return ", ".join(shown)
