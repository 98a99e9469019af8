"""Decide what a run does next.

Theory of operation
===================

A run is a fold over events. Each event is applied to the state, and what falls due is returned;
a shell carries it out and reports the next events:

    state, event --decide--> state', due --shell--> event ...

Rule 1: what a run does next is decided in this file and nowhere else. The in-process runners, the
coordinator of distributed runs and the inline run of a map item are shells around it.

Rule 2: this file reads no clock, draws no random number, touches no network and sees no value.
The same events in the same order give the same decisions on every machine.

Rule 3: late and repeated events change nothing. An event about a node that is not running is old
news. So a shell that is unsure whether it reported something reports it again.

Rule 4: supersteps are the semantics. A superstep is the set of nodes that are activated, have all
their inputs and need to run; it ends when all of them have ended; then outputs count, in graph
order, and the next one is looked for among the nodes that something has *touched* since: readers
of a changed name, targets of a gate that decided. Nodes nothing touched cannot have become ready.

Rule 5: where data cannot change the supersteps (`Plan.levels`), nobody waits for a superstep to
end. A node falls due when its last input arrives. After a failure, nodes of later supersteps are
not started, nodes of earlier ones and siblings still run, and the first failure in the earliest
superstep is the run's. The outcome is the same, and a straggler holds up only its descendants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hypergraph.plan.events import Event, Failed, Paused, Resumed, Started, Succeeded
from hypergraph.plan.plan import Plan, PlanNode
from hypergraph.plan.state import Conflict, Phase, RunState


class Decision(NamedTuple):
    """The run after an event."""

    state: RunState
    due: tuple[int, ...]  #: nodes to carry out now, in graph order


def decide(plan: Plan, state: RunState, event: Event) -> Decision:
    """Apply one event to a run.

    Args:
        plan: The compiled graph.
        state: The run before the event. It is handed over: go on with the one returned.
        event: What happened. Late and repeated events are welcome.

    Returns:
        The run after the event, and the nodes that fell due by it.
    """
    if isinstance(event, Started):
        return _start(plan, state, event)
    if isinstance(event, Resumed):
        return _resume(state)
    if state.phase is not Phase.RUNNING or event.node not in state.running:
        return Decision(state, ())
    state.running.remove(event.node)
    if isinstance(event, Failed):
        state.failed.append(event.node)
    if state.levels is not None:
        return _go_on(plan, state, event)
    state.settled[event.node] = event
    if state.running:
        return Decision(state, ())
    return _end_superstep(plan, state)


def _start(plan: Plan, state: RunState, event: Started) -> Decision:
    if state.versions or state.starts:
        return Decision(state, ())
    state.max_iterations = event.max_iterations
    state.versions = dict.fromkeys(event.provided, 1)
    state.levels = plan.levels(event.provided)
    # A chain longer than the limit must fail as it would superstep by superstep.
    if state.levels is not None and max(state.levels, default=-1) < event.max_iterations:
        state.missing = [
            sum(1 for name in dict.fromkeys(node.needs) if name not in state.versions)
            for node in plan.nodes
        ]
        return _open(plan, state, [i for i, level in enumerate(state.levels) if level == 0])
    state.levels = None
    state.touched = set(range(len(plan.nodes)))
    return _begin_superstep(plan, state)


def _resume(state: RunState) -> Decision:
    """Go back to where the nodes that wait were running. Nothing falls due by it."""
    if state.phase is Phase.PAUSED:
        state.phase = Phase.RUNNING
        state.running.update(state.paused)
        state.paused.clear()
    return Decision(state, ())


def _go_on(plan: Plan, state: RunState, event: Succeeded | Failed | Paused) -> Decision:
    """Rule 5: count down the inputs of the readers."""
    levels = state.levels
    assert levels is not None
    if isinstance(event, Failed):
        level = levels[event.node]
        state.horizon = level if state.horizon is None else min(level, state.horizon)
        return _open(plan, state, ())
    assert isinstance(event, Succeeded), "a plan with levels has no pauses"
    ready: list[int] = []
    # Not all its outputs: a nested graph leaves out what its gates did not choose.
    for name in event.changed:
        for reader in plan.needers.get(name, ()):
            state.missing[reader] -= 1
            if state.missing[reader] == 0:
                ready.append(reader)
    ready.sort()
    return _open(plan, state, ready)


def _open(plan: Plan, state: RunState, ready: Iterable[int]) -> Decision:
    due = tuple(node for node in ready if state.counts(node))
    state.running.update(due)
    for node in due:
        state.starts[node] = 1
    if not state.running:
        state.phase = Phase.FAILED if state.failed else Phase.COMPLETED
    return Decision(state, due)


def _end_superstep(plan: Plan, state: RunState) -> Decision:
    """Let the outputs of a superstep count, in graph order, and begin the next one."""
    for index in sorted(state.settled):
        event = state.settled[index]
        if isinstance(event, Succeeded):
            for name in event.changed:
                state.versions[name] = state.versions.get(name, 0) + 1
                state.touched.update(plan.readers.get(name, ()))
            if plan.nodes[index].kind == "gate":
                state.decisions[index] = event.decision
                state.touched.update(plan.controls.get(index, ()))
        elif isinstance(event, Paused):
            state.paused.append(index)
    state.settled.clear()
    if state.failed:
        state.phase = Phase.FAILED
        return Decision(state, ())
    if state.paused:
        state.phase = Phase.PAUSED
        return Decision(state, ())
    return _begin_superstep(plan, state)


def _begin_superstep(plan: Plan, state: RunState) -> Decision:
    nodes, versions = plan.nodes, state.versions
    # Node -> what it would read, of the touched nodes that have not read it yet.
    stale: dict[int, tuple[int, ...]] = {}
    for index in sorted(state.touched):
        read = _read_versions(nodes[index], versions)
        if state.consumed.get(index) != read:
            stale[index] = read
            # Before readiness is looked at: a decision made on old inputs must not start anything.
            if index in state.decisions:
                del state.decisions[index]
    ready = [index for index in stale if _can_run(plan, nodes[index], state)]
    if not ready:
        state.phase = Phase.COMPLETED
        return Decision(state, ())
    if state.superstep >= state.max_iterations:
        state.phase = Phase.EXHAUSTED
        return Decision(state, ())
    pauses = [i for i in ready if nodes[i].kind == "interrupt"] if plan.may_pause else []
    due = tuple(pauses[:1] or ready)
    if plan.has_shared_outputs:
        state.conflict = _find_conflict(plan, due)
        if state.conflict is not None:
            state.phase = Phase.CONFLICT
            return Decision(state, ())
    # What waits behind a pause is looked at again; what runs now is touched by what it reads.
    state.touched = set(ready).difference(due) if pauses else set()
    state.superstep += 1
    for index in due:
        state.consumed[index] = stale[index]
        state.starts[index] = state.starts.get(index, 0) + 1
    state.running.update(due)
    return Decision(state, due)


def _can_run(plan: Plan, node: PlanNode, state: RunState) -> bool:
    versions = state.versions
    for name in node.needs:
        if name not in versions:
            return False
    return not node.gates or _is_activated(plan, node, state)


def _is_activated(plan: Plan, node: PlanNode, state: RunState) -> bool:
    for gate in node.gates:
        if gate in state.decisions:
            chosen = state.decisions[gate]
            if chosen is not None and node.name in chosen:
                return True
        elif plan.nodes[gate].default_open and gate not in state.consumed:
            return True
    return False


def _read_versions(node: PlanNode, versions: Mapping[str, int]) -> tuple[int, ...]:
    """Return the versions of what the node watches. It needs to run if they are not those it read.

    A node that never ran has read nothing, not even an empty tuple.
    """
    watches = node.watches
    if len(watches) == 1:  # what most nodes of a cycle watch
        return (versions.get(watches[0], 0),)
    return tuple([versions.get(name, 0) for name in watches])


def _find_conflict(plan: Plan, due: tuple[int, ...]) -> Conflict | None:
    writer: dict[str, int] = {}
    for index in due:
        for output in plan.nodes[index].outputs:
            if output in writer:
                return Conflict(output, (writer[output], index))
            writer[output] = index
    return None
