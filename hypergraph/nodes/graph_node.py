"""A graph used as a node of another graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from hypergraph.nodes.base import HyperNode
from hypergraph.wording import did_you_mean, quoted

if TYPE_CHECKING:
    from hypergraph.graph import Graph

MapMode = Literal["zip", "product"]
ErrorHandling = Literal["raise", "continue"]

RESERVED_IN_GRAPH_NAMES = "./"  #: they separate the parts of a path to a nested node


class GraphNode(HyperNode):
    """Runs a whole graph in the place of one node.

    Its inputs are all inputs of the graph, its outputs the graph's selected ones,
    or all. Normally made with ``graph.as_node()``.

    Args:
        graph: The graph to wrap. It is kept as it is, not copied.
        name: Name of the node; by default the graph's.
        runner: Runs the inner graph; by default whichever runner runs the outer one.

    Attributes:
        param_of: Current input name -> input name of the inner graph.
        output_of: Output name of the inner graph -> current output name.

    Raises:
        ValueError: There is no name, or it contains ``.`` or ``/``.
    """

    graph: Graph
    runner: Any
    param_of: dict[str, str]
    output_of: dict[str, str]

    _mapping: tuple[tuple[str, ...], MapMode, ErrorHandling] | None

    def __init__(self, graph: Graph, name: str | None = None, *, runner: Any = None) -> None:
        self.name = _usable(name or graph.name)
        self.graph = graph
        self.runner = runner
        self.inputs = graph.inputs.all
        self.outputs = graph.outputs if graph.selected is None else graph.selected
        self.param_of = dict(zip(self.inputs, self.inputs, strict=True))
        self.output_of = dict(zip(self.outputs, self.outputs, strict=True))
        self._mapping = None

    @property
    def definition_hash(self) -> str:
        """The inner graph's hash. No rename changes it."""
        return self.graph.definition_hash

    @property
    def is_async(self) -> bool:
        """Whether the inner graph has async nodes."""
        return self.graph.has_async_nodes

    @property
    def brings_async_runner(self) -> bool:
        """Whether a runner of its own takes care of async nodes inside."""
        return self.runner is not None and bool(self.runner.capabilities.supports_async_nodes)

    @property
    def map_config(self) -> tuple[list[str], MapMode, ErrorHandling] | None:
        """Current names mapped over, mode and error handling; `None` without `map_over`."""
        if self._mapping is None:
            return None
        params, mode, error_handling = self._mapping
        return list(params), mode, error_handling

    @property
    def output_annotation(self) -> dict[str, Any]:
        """Output name -> type, `None` where unknown; a list of it when mapping."""
        types = {out: self._inner_output_type(inner) for inner, out in self.output_of.items()}
        return types if self._mapping is None else {o: _list_of(t) for o, t in types.items()}

    def get_output_type(self, output: str) -> Any:
        """Return the type of output `output`, or `None`."""
        return self.output_annotation.get(output)

    def get_input_type(self, param: str) -> Any:
        """Return the type of input `param`, or `None`; a list of it when mapped over."""
        if param not in self.param_of:
            return None
        inner = self.param_of[param]
        types = (node.get_input_type(inner) for node in self.graph.consumers_of(inner))
        found = next((t for t in types if t is not None), None)
        mapped = self._mapping is not None and param in self._mapping[0]
        return _list_of(found) if mapped and found is not None else found

    def has_default_for(self, param: str) -> bool:
        """Whether the inner graph binds the input, or one of its readers has a default."""
        if param not in self.param_of:
            return False
        inner = self.param_of[param]
        if inner in self.graph.inputs.bound:
            return True
        return any(node.has_default_for(inner) for node in self.graph.consumers_of(inner))

    def get_default_for(self, param: str) -> Any:
        """Return the bound value, else the default of the first inner reader that has one.

        Raises:
            KeyError: There is neither, or there is no such input.
        """
        if not self.has_default_for(param):
            raise KeyError(f"No default for {param!r} of node {self.name!r}")
        inner = self.param_of[param]
        if inner in self.graph.inputs.bound:
            return self.graph.inputs.bound[inner]
        readers = self.graph.consumers_of(inner)
        return next(n.get_default_for(inner) for n in readers if n.has_default_for(inner))

    def map_inputs_to_params(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return `inputs` under the inner graph's names. Unknown names stay."""
        return {self.param_of.get(name, name): value for name, value in inputs.items()}

    def with_runner(self, runner: Any) -> Self:
        """Return a copy whose inner graph runs on `runner`; `None` inherits again."""
        copy = self._copy()
        copy.runner = runner
        return copy

    def map_over(
        self, *params: str, mode: MapMode = "zip", error_handling: ErrorHandling = "raise"
    ) -> Self:
        """Return a copy that runs the graph once per item of the lists in `params`.

        Each output becomes a list with one entry per item, in order. Other inputs
        are given to every item as they are.

        Args:
            params: Current names of the inputs that will hold lists, at least one.
            mode: ``zip``: lists of one length n make n items. ``product``: every
                combination, the last name running fastest.
            error_handling: ``raise``: the first failed item fails this node.
                ``continue``: a failed item leaves `None` in every output list.

        Raises:
            ValueError: No params, an unknown one, one given twice, or an unknown option.
        """
        self._check_map(params, mode, error_handling)
        copy = self._copy()
        copy._mapping = (params, mode, error_handling)
        return copy

    def _check_map(self, params: tuple[str, ...], mode: str, error_handling: str) -> None:
        if not params:
            raise ValueError(
                f"map_over of {self.name!r} needs at least one parameter: {quoted(self.inputs)}."
            )
        for param in params:
            if param not in self.param_of:
                raise ValueError(
                    f"Cannot map {self.name!r} over {param!r}: not an input."
                    f"{did_you_mean(param, self.inputs)} Inputs: {quoted(self.inputs) or 'none'}."
                )
        if len(set(params)) != len(params):
            raise ValueError(f"map_over of {self.name!r} names an input twice: {quoted(params)}.")
        if mode not in ("zip", "product"):
            raise ValueError(f"mode must be 'zip' or 'product', not {mode!r}.")
        if error_handling not in ("raise", "continue"):
            raise ValueError(
                f"error_handling must be 'raise' or 'continue', not {error_handling!r}."
            )

    def _inner_output_type(self, inner: str) -> Any:
        return self.graph.producers_of(inner)[0].get_output_type(inner)

    def _rename_inputs(self, names: tuple[str, ...], mapping: Mapping[str, str]) -> None:
        self.inputs = names
        self.param_of = dict(zip(names, self.param_of.values(), strict=True))
        if self._mapping is not None:
            params, mode, error_handling = self._mapping
            params = tuple(mapping.get(param, param) for param in params)
            self._mapping = (params, mode, error_handling)

    def _rename_outputs(self, names: tuple[str, ...]) -> None:
        self.outputs = names
        self.output_of = dict(zip(self.output_of, names, strict=True))


def _usable(name: str | None) -> str:
    if not name:
        raise ValueError(
            "GraphNode requires a name. Name the graph, Graph([...], name='rag'), or the node, "
            "graph.as_node(name='rag')."
        )
    for char in RESERVED_IN_GRAPH_NAMES:
        if char in name:
            raise ValueError(
                f"GraphNode name {name!r} cannot contain {char!r}: it is reserved for paths to "
                f"nested nodes and inputs. Try {name.replace(char, '_')!r}."
            )
    return name


def _list_of(item: Any) -> Any:
    return list if item is None else list[item]
