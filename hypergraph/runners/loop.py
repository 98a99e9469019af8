"""Graphs in which data decides what runs next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypergraph.errors import ConflictError, InfiniteLoopError, PauseExecution
from hypergraph.events.types import RouteDecisionEvent
from hypergraph.nodes import GateNode, GraphNode, HyperNode, InterruptNode
from hypergraph.nodes.function import CallableNode
from hypergraph.plan import (
    Decision,
    Event,
    Failed,
    Paused,
    Phase,
    RunState,
    Started,
    Succeeded,
    decide,
)
from hypergraph.runners.ask import asking
from hypergraph.runners.call import caller, chosen_by, outputs_of, spare_for
from hypergraph.runners.outcome import Draft, Outcome, Prepared, conclude
from hypergraph.runners.result import PauseInfo
from hypergraph.runners.run import RUN, NodeFailure, Run, Values
from hypergraph.runners.state import differs
from hypergraph.runners.visit import Visit, visiting
from hypergraph.runners.waiting import Going, Raised, Soon, start, then
from hypergraph.runners.watch import Watch, watched

#: What a node returned: its outputs, and what it chose if it is a gate.
Ended = tuple[dict[str, Any], tuple[str, ...] | None]
#: Runs one node, with the values of the run and the id of the node's span, if it has one. Returns
#: an `Ended`, soon.
CarryOut = Callable[..., Any]


class Loop(Prepared):
    """A graph whose nodes run as `decide` says. See :class:`Prepared`.

    Args:
        draft: The graph.
        limit: Supersteps after which a run has failed.
    """

    def __init__(self, draft: Draft, limit: int) -> None:
        self.name = draft.graph.name
        self.selected = draft.selected
        self.certain = draft.provided.intersection(draft.selected)
        self._way = draft.way
        self._plan = draft.plan
        self._limit = limit
        self._differs = draft.way.keeping(None, differs)
        self._carry_out: list[CarryOut] = []
        for node in draft.plan.nodes:
            carry_out = _carrying_out(draft, node.index)
            self._carry_out.append(
                watched(node.name, carry_out) if draft.is_observed else carry_out
            )

    def _start(self, values: Mapping[str, Any], watch: Watch | None) -> Soon[Outcome]:
        return start(self._go(values, watch))

    def _go(self, values: Mapping[str, Any], watch: Watch | None) -> Going[Outcome]:
        state: Values = {**values, RUN: Run({}, watch)}
        broken: dict[int, BaseException] = {}
        pauses: dict[int, PauseInfo] = {}
        done: list[Any] = []
        got: Any = None
        decision = decide(self._plan, RunState(), Started(tuple(values), self._limit))
        while decision.due:
            # Nobody writes to `state` before all of the superstep have read from it.
            due = decision.due
            done = yield from self._way.all([self._carry_out[index] for index in due], state)
            for index, got in zip(due, done, strict=False):
                event = self._settle(state, index, got, broken, pauses)
                decision = decide(self._plan, decision.state, event)
            if broken:
                # In turn, those behind the failed node never began, and `decide` waits for them.
                break
        try:
            return self._outcome(state, decision, broken, pauses)
        finally:
            done.clear()
            broken.clear()
            got = None

    def _settle(
        self,
        state: Values,
        index: int,
        got: Ended | Raised,
        broken: dict[int, BaseException],
        pauses: dict[int, PauseInfo],
    ) -> Event:
        """Let what a node did count, and return it as the plan wants to know it."""
        if isinstance(got, Raised):
            if isinstance(got.error, PauseExecution):
                pauses[index] = got.error.pause_info
                return Paused(index)
            broken[index] = got.error
            return Failed(index)
        outputs, chosen = got
        changed = []
        for name, value in outputs.items():
            if name not in state or self._differs(state[name], value):
                state[name] = value
                changed.append(name)
        return Succeeded(index, tuple(changed), chosen)

    def _outcome(
        self,
        state: Values,
        decision: Decision,
        broken: dict[int, BaseException],
        pauses: dict[int, PauseInfo],
    ) -> Outcome:
        culprit = decision.state.culprit
        if culprit is not None:
            error = broken[culprit]
            if isinstance(error, NodeFailure):
                return conclude(self.selected, state, error.error, error.path)
            return conclude(self.selected, state, error, (self._plan.nodes[culprit].name,))
        if decision.state.phase is Phase.PAUSED:
            return conclude(self.selected, state, pause=pauses[min(pauses)])
        return conclude(self.selected, state, self._broken_rule(decision.state))

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
    complete = _completing(draft, node, index)
    if isinstance(node, InterruptNode):
        return asking(node, complete, is_answered=node.output_param in draft.provided)
    assert isinstance(node, CallableNode), "foreign nodes are refused beforehand"
    if isinstance(node, GateNode):
        return _carrying_out_gate(draft, node, complete)
    call = draft.way.calling(node, node.inputs)
    if not draft.way.waits:
        return lambda values, span_id=None: (outputs_of(node, call(complete(values))), None)
    return lambda values, span_id=None: then(
        call(complete(values)), lambda got: (outputs_of(node, got), None)
    )


def _completing(draft: Draft, node: HyperNode, index: int) -> Callable[[Values], Values]:
    """Return a function that adds what a run's values lack of a node's inputs."""
    needs = draft.plan.nodes[index].needs
    spares = [(n, spare_for(node, n, draft.bound)) for n in node.inputs if n not in needs]
    if not spares:
        return lambda values: values
    return lambda values: {**values, **{n: s.take() for n, s in spares if n not in values}}


def _carrying_out_gate(
    draft: Draft, gate: GateNode, complete: Callable[[Values], Values]
) -> CarryOut:
    # A gate takes no slot and is never waited for, whatever the way.
    call = draft.way.keeping(gate, caller(gate, gate.inputs))
    if not draft.is_observed:
        return lambda values: ({}, chosen_by(gate.decision_of(call(complete(values)))))

    def go(values: Values) -> Going[Ended]:
        try:
            decision = gate.decision_of(call(complete(values)))
        except Exception as error:
            # A StopIteration must not cross a generator; see `hypergraph.runners.waiting`.
            raise NodeFailure(error, (gate.name,)) from None
        watch: Watch = values[RUN].watch
        yield from watch.say(
            RouteDecisionEvent(
                watch.run_id,
                parent_span_id=watch.span_id,
                node_name=gate.name,
                graph_name=watch.graph_name,
                decision=decision,
            )
        )
        return {}, chosen_by(decision)

    return lambda values, span_id: start(go(values))


def _carrying_out_graph(draft: Draft, index: int) -> CarryOut:
    inputs = draft.plan.nodes[index].inputs
    visits: dict[tuple[str, ...], Visit] = {}

    def carry_out(values: Values, span_id: str | None = None) -> Any:
        present = tuple(name for name in inputs if name in values)
        visit = visits.get(present)
        if visit is None:
            visit = visits[present] = visiting(draft, index, present)
        return then(visit(values, span_id), lambda outputs: (outputs, None))

    return carry_out
