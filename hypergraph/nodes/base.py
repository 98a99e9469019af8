"""What every node has in common."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Self

from hypergraph.nodes.rename import RenameEntry, RenameKind, entries, renamed


class HyperNode(ABC):
    """A named unit with input names and output names. Wiring is by name only.

    Abstract. Nodes compare and hash by identity, and nothing in this library
    changes one: ``with_name``, ``with_inputs`` and ``with_outputs`` return copies.
    Every method that takes a name takes the current one, after renames.
    """

    name: str  #: settable; checked by `Graph(...)`, not here
    inputs: tuple[str, ...]  #: current names, in signature order
    outputs: tuple[str, ...] = ()  #: current names, in the order of declaration
    queue: str | None = None  #: where workers run it; None: nobody has said

    _renames: tuple[RenameEntry, ...] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse to make a plain `HyperNode`."""
        if cls is HyperNode:
            raise TypeError(
                "HyperNode is abstract. Make a FunctionNode with @node, or another kind of node."
            )
        return super().__new__(cls)

    @property
    def definition_hash(self) -> str:
        """Sha256 (64 hex digits) of what the node is; here of its class and names."""
        parts = (type(self).__name__, self.name, self.inputs, self.outputs)
        return sha256(repr(parts).encode()).hexdigest()

    @property
    def is_async(self) -> bool:
        """Whether only a runner that supports async nodes can run it."""
        return False

    @property
    def is_generator(self) -> bool:
        """Whether it yields its values."""
        return False

    @property
    def cache(self) -> bool:
        """Whether its results may be cached. Nothing is cached here."""
        return False

    def has_default_for(self, param: str) -> bool:
        """Whether input `param` can do without a value."""
        return False

    def get_default_for(self, param: str) -> Any:
        """Return the default of input `param`, the very object.

        Raises:
            KeyError: It has none, or there is no such input.
        """
        raise KeyError(f"No default for {param!r}")

    def get_input_type(self, param: str) -> Any:
        """Return the annotation of input `param`, or `None`."""
        return None

    def get_output_type(self, output: str) -> Any:
        """Return the type of output `output`, or `None`."""
        return None

    def map_inputs_to_params(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return `inputs` under the names the node itself uses. Unknown names stay."""
        return inputs

    def with_name(self, name: str) -> Self:
        """Return a copy called `name`."""
        copy = self._copy()
        copy.name = name
        copy._renames = entries({self.name: name}, "name", self._renames)
        return copy

    def with_inputs(self, mapping: Mapping[str, str] | None = None, /, **kwargs: str) -> Self:
        """Return a copy whose inputs are renamed, current name -> new name.

        Raises:
            RenameError: A key is no current input, or two inputs would share a name.
        """
        return self._with_renamed("inputs", {**(mapping or {}), **kwargs})

    def with_outputs(self, mapping: Mapping[str, str] | None = None, /, **kwargs: str) -> Self:
        """Return a copy whose outputs are renamed, current name -> new name.

        Raises:
            RenameError: A key is no current output, or two outputs would share a name.
        """
        return self._with_renamed("outputs", {**(mapping or {}), **kwargs})

    def _with_renamed(self, kind: RenameKind, mapping: Mapping[str, str]) -> Self:
        names = self.inputs if kind == "inputs" else self.outputs
        names = renamed(names, mapping, kind, self._renames, self.name)
        copy = self._copy()
        copy._renames = entries(mapping, kind, self._renames)
        if kind == "inputs":
            copy._rename_inputs(names, mapping)
        else:
            copy._rename_outputs(names)
        return copy

    def _rename_inputs(self, names: tuple[str, ...], mapping: Mapping[str, str]) -> None:
        """Take the new input names, in the old order. For a copy nobody has seen yet."""
        self.inputs = names

    def _rename_outputs(self, names: tuple[str, ...]) -> None:
        """Take the new output names, in the old order. For a copy nobody has seen yet."""
        self.outputs = names

    def _copy(self) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def __repr__(self) -> str:
        """Name the class, the node and what it is wired by."""
        return f"{type(self).__name__}({self.name!r}, inputs={self.inputs}, outputs={self.outputs})"
