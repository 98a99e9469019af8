"""A node at which a run waits for a person."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from keyword import iskeyword
from typing import Any, Self

from hypergraph.nodes.base import HyperNode


class InterruptNode(HyperNode):
    """Shows one value to a person and takes the answer into the data flow.

    Args:
        name: Name of the node.
        input_param: Name of the value to show.
        output_param: Name under which the answer travels on.
        response_type: Type of the answer, for strict graphs and for user interfaces.
        handler: Called with the shown value to answer in place of a person; may be async.

    Raises:
        ValueError: `input_param` or `output_param` is not a usable identifier.
    """

    response_type: Any
    handler: Callable[[Any], Any] | None

    def __init__(
        self,
        name: str,
        *,
        input_param: str,
        output_param: str,
        response_type: Any = None,
        handler: Callable[[Any], Any] | None = None,
    ) -> None:
        for argument, given in (("input_param", input_param), ("output_param", output_param)):
            _refuse_odd(argument, given)
        self.name = name
        self.inputs = (input_param,)
        self.outputs = (output_param,)
        self.response_type = response_type
        self.handler = handler

    @property
    def input_param(self) -> str:
        """Current name of the value to show."""
        return self.inputs[0]

    @property
    def output_param(self) -> str:
        """Current name of the answer."""
        return self.outputs[0]

    @property
    def definition_hash(self) -> str:
        """Sha256 (64 hex digits) of name, inputs, outputs and response type; not the handler."""
        parts = ("InterruptNode", self.name, self.inputs, self.outputs, repr(self.response_type))
        return sha256(repr(parts).encode()).hexdigest()

    def get_output_type(self, output: str) -> Any:
        """Return the response type for the answer, else `None`."""
        return self.response_type if output in self.outputs else None

    def with_handler(self, handler: Callable[[Any], Any] | None) -> Self:
        """Return a copy that `handler` answers; `None` asks a person again."""
        copy = self._copy()
        copy.handler = handler
        return copy


def _refuse_odd(argument: str, given: Any) -> None:
    if isinstance(given, str) and given.isidentifier() and not iskeyword(given):
        return
    raise ValueError(
        f"{argument}={given!r} cannot be the name of a value: it must be a valid Python "
        "identifier and not a keyword."
    )
