"""How an interrupt is answered: by the caller, by its handler, or later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from hypergraph.errors import PauseExecution
from hypergraph.events.types import InterruptEvent
from hypergraph.nodes import InterruptNode
from hypergraph.runners.result import PauseInfo
from hypergraph.runners.run import RUN, Values
from hypergraph.runners.waiting import Going, start
from hypergraph.runners.watch import Watch, text_of


def asking(
    node: InterruptNode, complete: Callable[[Values], Values], *, is_answered: bool
) -> Callable[..., Any]:
    """Return a function that carries out an interrupt.

    Args:
        node: The interrupt.
        complete: Adds what the values of a run lack of its input.
        is_answered: Whether the caller of the run gave the answer.
    """
    shown, answer = node.input_param, node.output_param

    def go(values: Values) -> Going[tuple[dict[str, Any], None]]:
        if is_answered:
            return {answer: values[answer]}, None
        value = complete(values)[shown]
        if node.handler is None:
            watch: Watch | None = values[RUN].watch
            if watch is not None:
                yield from watch.say(_event(node, value, watch))
            raise PauseExecution(PauseInfo(node.name, answer, value))
        try:
            got = node.handler(value)
            if isawaitable(got):
                got = yield _awaited(got)
        except Exception as error:
            raise RuntimeError(
                f"The handler of interrupt {node.name!r} raised {type(error).__name__}: "
                f"{text_of(error)}"
            ) from error
        return {answer: got}, None

    return lambda values, span_id=None: start(go(values))


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _event(node: InterruptNode, value: Any, watch: Watch) -> InterruptEvent:
    return InterruptEvent(
        watch.run_id,
        parent_span_id=watch.span_id,
        node_name=node.name,
        graph_name=watch.graph_name,
        value=value,
        response_param=node.output_param,
    )
