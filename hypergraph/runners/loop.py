"""Graphs in which data decides what runs next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypergraph.errors import ConflictError, InfiniteLoopError
from hypergraph.nodes import GateNode, GraphNode
from hypergraph.nodes.function import CallableNode
from hypergraph.plan import Decision, Phase, RunState, Started, Succeeded, decide
from hypergraph.runners.call import caller, decision_of, outputs_of, spare_for
from hypergraph.runners.outcome import Draft, Nested, NodeFailure, Outcome, Values, pick
from hypergraph.runners.state import differs
from hypergraph.runners.visit import Visit, visiting

#: Runs one node and returns its outputs, and what it chose if it is a gate.
CarryOut = Callable[[Values, Nested], tuple[dict[str, Any], tuple[str, ...] | None]]
#: Index of a node that returned, and what it returned.
Ended = tuple[int, dict[str, Any], tuple[str, ...] | None]


class Loop:
    """A graph whose nodes run as `decide` says. See :class:`Prepared`.

    Args:
        draft: The graph.
        limit: Supersteps after which a run has failed.
    """

    def __init__(self, draft: Draft, limit: int) -> None:
        self.selected = draft.selected
        self.certain = draft.provided.intersection(draft.selected)
        self._plan = draft.plan
        self._limit = limit
        self._carry_out = [_carrying_out(draft, node.index) for node in draft.plan.nodes]

    def run(self, values: Mapping[str, Any]) -> Outcome:
        """Run the graph. See :meth:`Prepared.run`."""
        state: Values = dict(values)
        nested: Nested = {}
        decision = decide(self._plan, RunState(), Started(tuple(values), self._limit))
        while decision.due:
            ended: list[Ended] = []
            try:
                # Nobody writes to `state` before all of the superstep have read from it.
                for index in decision.due:
                    ended.append((index, *self._carry_out[index](state, nested)))
            except NodeFailure as failure:
                self._settle(state, decision, ended)
                return Outcome(pick(self.selected, state), nested, failure.error, failure.path)
            except Exception as error:
                path = (self._plan.nodes[decision.due[len(ended)]].name,)
                self._settle(state, decision, ended)
                return Outcome(pick(self.selected, state), nested, error, path)
            decision = self._settle(state, decision, ended)
        return Outcome(pick(self.selected, state), nested, self._broken_rule(decision.state))

    def _settle(self, state: Values, decision: Decision, ended: list[Ended]) -> Decision:
        """Let the outputs of a superstep count, in graph order."""
        for index, outputs, chosen in ended:
            changed = tuple(
                name
                for name, value in outputs.items()
                if name not in state or differs(state[name], value)
            )
            for name in changed:
                state[name] = outputs[name]
            decision = decide(self._plan, decision.state, Succeeded(index, changed, chosen))
        return decision

    def _broken_rule(self, state: RunState) -> BaseException | None:
        if state.phase is Phase.EXHAUSTED:
            return InfiniteLoopError(self._limit)
        if state.conflict is not None:
            names = tuple(self._plan.nodes[index].name for index in state.conflict.nodes)
            return ConflictError(state.conflict.output, names)
        return None


def _carrying_out(draft: Draft, index: int) -> CarryOut:
    node = draft.graph._nodes[index]
    if isinstance(node, GraphNode):
        return _carrying_out_graph(draft, index)
    assert isinstance(node, CallableNode), "interrupts and foreign nodes are refused beforehand"
    call = caller(node, node.inputs)
    complete = _completing(draft, node, index)
    if isinstance(node, GateNode):
        return lambda state, nested: ({}, decision_of(node, call(complete(state))))
    return lambda state, nested: (outputs_of(node, call(complete(state))), None)


def _completing(draft: Draft, node: CallableNode, index: int) -> Callable[[Values], Values]:
    """Return a function that adds what a run's values lack of a node's inputs."""
    needs = draft.plan.nodes[index].needs
    spares = [(n, spare_for(node, n, draft.bound)) for n in node.inputs if n not in needs]
    if not spares:
        return lambda state: state
    return lambda state: {**state, **{n: s.take() for n, s in spares if n not in state}}


def _carrying_out_graph(draft: Draft, index: int) -> CarryOut:
    inputs = draft.plan.nodes[index].inputs
    visits: dict[tuple[str, ...], Visit] = {}

    def carry_out(state: Values, nested: Nested) -> tuple[dict[str, Any], None]:
        present = tuple(name for name in inputs if name in state)
        visit = visits.get(present)
        if visit is None:
            visit = visits[present] = visiting(draft, index, present)
        return visit(state, nested), None

    return carry_out
