"""What holds for the plan of any graph, whatever the nodes return and in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from hypergraph.plan import (
    END_NAME,
    Event,
    Failed,
    Phase,
    Plan,
    PlanNode,
    RunState,
    Started,
    Succeeded,
    decide,
)

PROVIDED = ("x", "y")


@dataclass
class Graphs:
    """Draws plans. Names of values are few, so that nodes meet."""

    draw: st.DrawFn

    def some(self, names: list[str], most: int = 3) -> tuple[str, ...]:
        chosen = st.lists(st.sampled_from(names), unique=True, max_size=most)
        return tuple(self.draw(chosen)) if names else ()


@st.composite
def acyclic_plans(draw: st.DrawFn) -> Plan:
    """A plan of up to 7 nodes without gates and cycles, listed in any order."""
    graphs = Graphs(draw)
    known = list(PROVIDED)
    made: list[PlanNode] = []
    for number in range(draw(st.integers(1, 7))):
        outputs = tuple(f"v{number}{letter}" for letter in "ab"[: draw(st.integers(1, 2))])
        reads = graphs.some(known)
        made.append(PlanNode(0, f"n{number}", "function", reads, outputs, reads, reads))
        known.extend(outputs)
    listed = [replace(n, index=at) for at, n in enumerate(draw(st.permutations(made)))]
    return Plan(None, tuple(listed), (), None, frozenset())


@st.composite
def any_plans(draw: st.DrawFn) -> Plan:
    """A plan of up to 6 nodes: gates, cycles, defaults and shared outputs as they come."""
    graphs = Graphs(draw)
    size = draw(st.integers(1, 6))
    values = [*PROVIDED, "p", "q", "r"]
    gates = [at for at in range(size) if draw(st.integers(0, 2)) == 0]
    targets = {gate: graphs.some([f"n{at}" for at in range(size) if at != gate]) for gate in gates}
    writes = [() if at in gates else graphs.some(["p", "q", "r"], most=2) for at in range(size)]
    written = [name for names in writes for name in names]
    nodes = []
    for at in range(size):
        reads = graphs.some(values)
        defaulted = graphs.some(list(reads), most=1)
        by = tuple(gate for gate in gates if f"n{at}" in targets[gate])
        own = [name for name in writes[at] if written.count(name) == 1]
        nodes.append(
            PlanNode(
                at,
                f"n{at}",
                "gate" if at in gates else "function",
                reads,
                writes[at],
                tuple(name for name in reads if name not in defaulted),
                reads if by else tuple(name for name in reads if name not in own),
                by,
                targets.get(at, ()),
                default_open=draw(st.booleans()),
            )
        )
    return Plan(None, tuple(nodes), (), None, frozenset())


@dataclass
class Naive:
    """The supersteps of the contract, letter by letter: every node is looked at every time."""

    plan: Plan
    versions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PROVIDED, 1))
    consumed: dict[int, dict[str, int]] = field(default_factory=dict)
    decisions: dict[int, tuple[str, ...] | None] = field(default_factory=dict)

    def version(self, name: str) -> int:
        return self.versions.get(name, 0)

    def needs_execution(self, node: PlanNode) -> bool:
        last = self.consumed.get(node.index)
        return last is None or any(last[name] != self.version(name) for name in node.watches)

    def is_activated(self, node: PlanNode) -> bool:
        if not node.gates:
            return True
        for gate in node.gates:
            if node.name in (self.decisions.get(gate) or ()):
                return True
            if self.plan.nodes[gate].default_open and gate not in self.consumed:
                return True
        return False

    def ready(self) -> tuple[int, ...]:
        for gate in list(self.decisions):
            if self.needs_execution(self.plan.nodes[gate]):
                del self.decisions[gate]
        return tuple(
            node.index
            for node in self.plan.nodes
            if self.is_activated(node)
            and all(name in self.versions for name in node.needs)
            and self.needs_execution(node)
        )

    def begin(self, due: tuple[int, ...]) -> None:
        for at in due:
            node = self.plan.nodes[at]
            self.consumed[at] = {name: self.version(name) for name in node.watches}

    def end(self, events: list[Succeeded]) -> None:
        for event in sorted(events, key=lambda e: e.node):
            for name in event.changed:
                self.versions[name] = self.version(name) + 1
            if self.plan.nodes[event.node].kind == "gate":
                self.decisions[event.node] = event.decision


def conflicts(plan: Plan, due: tuple[int, ...]) -> bool:
    written = [name for at in due for name in plan.nodes[at].outputs]
    return len(set(written)) < len(written)


def any_success(node: PlanNode, luck: Random) -> Succeeded:
    changed = tuple(name for name in node.outputs if luck.random() < 0.7)
    if node.kind != "gate" or luck.random() < 0.1:
        return Succeeded(node.index, changed)
    chosen = luck.sample((*node.targets, END_NAME), luck.randint(1, len(node.targets) + 1))
    return Succeeded(node.index, changed, tuple(chosen))


@settings(max_examples=80, deadline=None)
@given(any_plans(), st.randoms(use_true_random=False))
def test_looking_at_what_was_touched_finds_what_looking_at_every_node_finds(
    plan: Plan, luck: Random
) -> None:
    # A gate nobody needs keeps the supersteps, which this is about.
    gate = PlanNode(len(plan.nodes), "gate", "gate", (), (), (), ())
    plan = Plan(None, (*plan.nodes, gate), (), None, frozenset())
    naive = Naive(plan)
    decision = decide(plan, RunState(), Started(PROVIDED))

    for _ in range(10):
        due = naive.ready()
        if not due:
            assert decision.state.phase is Phase.COMPLETED
            return
        if conflicts(plan, due):
            assert decision.state.phase is Phase.CONFLICT
            return
        assert decision.due == due
        naive.begin(due)
        events = [any_success(plan.nodes[at], luck) for at in due]
        naive.end(events)
        for event in luck.sample(events, len(events)):
            decision = decide(plan, decision.state, event)


@dataclass(frozen=True)
class Fates:
    """What will become of each node, whenever it runs."""

    failing: frozenset[int]
    left_out: frozenset[str]  #: outputs that are not written

    def of(self, node: PlanNode) -> Event:
        if node.index in self.failing:
            return Failed(node.index)
        return Succeeded(node.index, tuple(n for n in node.outputs if n not in self.left_out))


@st.composite
def fates(draw: st.DrawFn, plan: Plan) -> Fates:
    outputs = sorted(name for node in plan.nodes for name in node.outputs)
    return Fates(
        draw(st.frozensets(st.sampled_from(range(len(plan.nodes))), max_size=2)),
        draw(st.frozensets(st.sampled_from(outputs), max_size=2)),
    )


def run_to_the_end(plan: Plan, fate: Fates, luck: Random) -> tuple[RunState, set[int]]:
    """Run in an order that luck draws, telling old news again; return who succeeded too."""
    state, due = decide(plan, RunState(), Started(PROVIDED))
    running, told = list(due), [Started(PROVIDED)]
    while running:
        at = running.pop(luck.randrange(len(running)))
        for event in (fate.of(plan.nodes[at]), luck.choice(told)):
            state, due = decide(plan, state, event)
            running.extend(due)
            told.append(event)  # type: ignore[arg-type]
    succeeded = set(state.starts).difference(state.failed)
    return state, {at for at in succeeded if state.counts(at)}


def in_supersteps(plan: Plan) -> Plan:
    """Return the plan with a gate that does nothing: a gate keeps the supersteps."""
    gate = PlanNode(len(plan.nodes), "gate", "gate", (), (), (), ())
    return Plan(None, (*plan.nodes, gate), (), None, frozenset())


@settings(max_examples=80, deadline=None)
@given(st.data(), acyclic_plans(), st.randoms(use_true_random=False))
def test_a_run_without_barriers_ends_like_one_superstep_by_superstep(
    data: st.DataObject, plan: Plan, luck: Random
) -> None:
    fate = data.draw(fates(plan))

    loose, stands = run_to_the_end(plan, fate, luck)
    strict, expected = run_to_the_end(in_supersteps(plan), fate, luck)

    assert loose.levels is not None
    assert strict.levels is None
    assert loose.phase is strict.phase
    assert loose.culprit == strict.culprit
    assert stands == expected - {len(plan.nodes)}


@settings(max_examples=40, deadline=None)
@given(st.data(), acyclic_plans(), st.randoms(), st.randoms())
def test_order_and_repetition_do_not_matter(
    data: st.DataObject, plan: Plan, luck: Random, other_luck: Random
) -> None:
    fate = data.draw(fates(plan))

    first, stands = run_to_the_end(plan, fate, luck)
    second, also_stands = run_to_the_end(plan, fate, other_luck)

    assert (first.phase, first.culprit) == (second.phase, second.culprit)
    assert stands == also_stands


@settings(max_examples=20, deadline=None)
@given(acyclic_plans(), st.randoms(use_true_random=False))
def test_without_failures_every_node_starts_at_most_once(plan: Plan, luck: Random) -> None:
    state, stands = run_to_the_end(plan, Fates(frozenset(), frozenset()), luck)

    assert set(state.starts.values()) <= {1}
    assert stands == set(range(len(plan.nodes)))
