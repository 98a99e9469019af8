"""What a graph wants from its caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hypergraph.graph.structure import Structure


@dataclass(frozen=True)
class InputSpec:
    """The names that enter a graph, by how they may be left out.

    Each name is in one of the tuples, in order of first appearance over the
    nodes and their inputs.
    """

    required: tuple[str, ...]  #: without a value there is no run
    optional: tuple[str, ...]  #: bound, or some reader has a default
    seeds: tuple[str, ...]  #: on a data cycle: the first turn needs a value
    bound: dict[str, Any]  #: this graph's own bindings, name -> value
    internal: tuple[str, ...] = ()  #: made inside and read inside; not for callers

    @cached_property
    def all(self) -> tuple[str, ...]:
        """Return required, optional and seeds, in this order."""
        return self.required + self.optional + self.seeds


def classify(structure: Structure, bound: Mapping[str, Any]) -> InputSpec:
    """Sort every input name of `structure` into an `InputSpec`."""
    required: list[str] = []
    optional: list[str] = []
    seeds: list[str] = []
    internal: list[str] = []
    nodes = structure.nodes
    for name, readers in structure.consumers.items():
        if name in structure.producers:
            (seeds if name in structure.seeds else internal).append(name)
        elif name in bound or any(nodes[n].has_default_for(name) for n in readers):
            optional.append(name)
        else:
            required.append(name)
    return InputSpec(tuple(required), tuple(optional), tuple(seeds), dict(bound), tuple(internal))
