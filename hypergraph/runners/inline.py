"""Run a graph here and now, in the calling thread, over and over.

Theory of operation
===================

:func:`prepare` does once per graph what does not depend on values; the :class:`Prepared` it
returns is run once per run, map item or visit of a nested graph. There are two kinds.

A :class:`Line` is a graph whose supersteps data cannot change. It is laid out beforehand as a row
of *steps*, functions that read their arguments from the dict of values of the run and write their
outputs into it. Bindings and fixed defaults lie in that dict from the start, under keys that are
nobody's name. Nothing is decided while it runs.

A :class:`Loop` is any other graph. It carries out what :func:`hypergraph.plan.decide` says.

Both are sequential: graph order within a superstep, and the first failure ends the run. Neither
keeps anything of a run, so one object serves all threads. An observer belongs around the steps
when they are laid out, not into them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from hypergraph.errors import ConflictError, InfiniteLoopError
from hypergraph.graph import Graph
from hypergraph.nodes import FunctionNode, GateNode, GraphNode, HyperNode
from hypergraph.nodes.function import CallableNode
from hypergraph.plan import (
    Decision,
    Phase,
    Plan,
    PlanNode,
    RunState,
    Started,
    Succeeded,
    compile_plan,
    decide,
    static_schedule,
)
from hypergraph.plan.inputs import feed
from hypergraph.plan.items import split
from hypergraph.runners.call import caller, decision_of, outputs_of, spare_for
from hypergraph.runners.result import MapResult, RunResult, RunStatus, new_run_id
from hypergraph.runners.state import differs

MAX_ITERATIONS = 1000  #: supersteps after which a run is taken for endless

#: What became of nested graphs: node name -> result.
Nested = dict[str, RunResult | MapResult]
#: The values of a run: by name, and what else its steps need, by keys that are no strings.
Values = dict[Any, Any]
Step = Callable[[Values], object]

_NESTED = object()  #: key of the nested results among the values of a run


class Outcome:
    """What became of one run.

    Attributes:
        values: Output name -> value, of the selected outputs that have one.
        error: What the run failed with, or None.
        path: Names from the root to the node that raised; see `annotate`.
        nested: Node name -> what became of the nested graph.
    """

    __slots__ = ("error", "nested", "path", "values")

    def __init__(
        self,
        values: dict[str, Any],
        nested: Nested,
        error: BaseException | None = None,
        path: tuple[str, ...] = (),
    ) -> None:
        self.values = values
        self.nested = nested
        self.error = error
        self.path = path

    def as_result(self, index: int | None = None) -> RunResult:
        """Return it as users see it, under a new run id."""
        status = RunStatus.COMPLETED if self.error is None else RunStatus.FAILED
        return RunResult(
            self.values, status, new_run_id(), None, self.error, None, self.nested, index
        )


class Prepared(Protocol):
    """A graph that is ready to run, given values for certain names."""

    selected: tuple[str, ...]  #: what comes back, where it has a value
    certain: frozenset[str]  #: what comes back whenever the run completes

    def run(self, values: Mapping[str, Any]) -> Outcome:
        """Run the graph.

        An exception that a node raises comes back in the outcome. What is no `Exception`, as
        `KeyboardInterrupt`, passes through.

        Args:
            values: A value for each of the names it was prepared for, and no others.
        """
        ...


def prepare(
    graph: Graph,
    provided: Iterable[str],
    *,
    select: Iterable[str] | None = None,
    max_iterations: int | None = None,
) -> Prepared:
    """Return `graph` ready to run. The same arguments give the same object.

    Args:
        graph: The graph. Whether it can start with these names is not checked.
        provided: Names of the values that each run will be given. Dotted names lead into
            nested graphs.
        select: What to give back; by default the graph's selection, or all its outputs.
        max_iterations: Supersteps after which a run has failed; by default `MAX_ITERATIONS`.

    Raises:
        ValueError: A dotted name leads nowhere.
    """
    names = frozenset(provided)
    chosen = None if select is None else tuple(dict.fromkeys(select))
    key: Any = ("inline", names, chosen, max_iterations)
    prepared: Prepared | None = graph._cache.get(key)
    if prepared is None:
        plan = feed(compile_plan(graph), names)
        if chosen is None:
            chosen = graph.outputs if graph.selected is None else graph.selected
        limit = max_iterations or MAX_ITERATIONS
        schedule = static_schedule(plan, names)
        if schedule is None or len(schedule) > limit:
            prepared = Loop(graph, plan, names, chosen, limit)
        else:
            order = [index for step in schedule for index in step]
            prepared = Line(graph, plan, names, chosen, order)
        graph._cache[key] = prepared
    return prepared


class NodeFailure(Exception):
    """A nested run failed. Never leaves this file.

    Attributes:
        error: What it failed with.
        path: Names from the graph node to the node that raised.
    """

    def __init__(self, error: BaseException, path: tuple[str, ...]) -> None:
        super().__init__(error, path)
        self.error = error
        self.path = path


class Line:
    """A graph whose nodes run in an order that is known beforehand. See :class:`Prepared`."""

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        provided: frozenset[str],
        selected: tuple[str, ...],
        order: Iterable[int],
    ) -> None:
        self.selected = selected
        self._fixed: Values = {}  #: what every run begins with
        self._has_nested = False
        self._names: dict[Step, str] = {}
        self._steps: list[Step] = []
        present = set(provided)
        certain = set(provided)
        for index in order:
            node, planned = graph._nodes[index], plan.nodes[index]
            step, sure = self._lay(node, planned, graph.inputs.bound, present)
            unsure = [name for name in planned.needs if name not in certain]
            if unsure:
                step = _only_with(unsure, step)
            else:
                certain.update(sure)
            present.update(planned.outputs)
            self._names[step] = node.name
            self._steps.append(step)
        self.certain = frozenset(certain.intersection(selected))

    def run(self, values: Mapping[str, Any]) -> Outcome:
        """Run the graph. See :meth:`Prepared.run`."""
        state = {**self._fixed, **values}
        nested: Nested = {}
        if self._has_nested:
            state[_NESTED] = nested
        step: Step | None = None
        try:
            for step in self._steps:
                step(state)
        except NodeFailure as failure:
            return Outcome(_pick(self.selected, state), nested, failure.error, failure.path)
        except Exception as error:
            assert step is not None
            return Outcome(_pick(self.selected, state), nested, error, (self._names[step],))
        return Outcome(_pick(self.selected, state), nested)

    def _lay(
        self, node: HyperNode, planned: PlanNode, bound: Mapping[str, Any], present: set[str]
    ) -> tuple[Step, Collection[str]]:
        """Return a node's step, and the outputs it is sure to write if it succeeds."""
        if isinstance(node, GraphNode):
            self._has_nested = True
            visit = _visiting(node, planned, bound, [n for n in planned.inputs if n in present])
            return _visit_step(visit), visit.certain
        assert isinstance(node, FunctionNode)
        keys: list[Any] = []
        refills = []
        for name in node.inputs:
            if name in present:
                keys.append(name)
                continue
            key, spare = object(), spare_for(node, name, bound)
            keys.append(key)
            if spare.is_fixed:
                self._fixed[key] = spare.value
            else:
                refills.append((key, spare.take))
        step = _call_step(node, keys)
        return (_refilled(refills, step) if refills else step), node.outputs


def _call_step(node: FunctionNode, keys: list[Any]) -> Step:
    call = caller(node, keys)
    if not node.outputs:
        # A function of its own: a step is known by its identity.
        return lambda values: call(values)
    if len(node.outputs) > 1:
        return lambda values: values.update(outputs_of(node, call(values)))
    (output,) = node.outputs

    def step(values: Values) -> None:
        values[output] = call(values)

    return step


def _refilled(refills: list[tuple[Any, Callable[[], Any]]], step: Step) -> Step:
    """Give a step fresh copies of its defaults each time."""

    def refill(values: Values) -> None:
        for key, take in refills:
            values[key] = take()
        step(values)

    return refill


def _only_with(names: list[str], step: Step) -> Step:
    """Leave a step out when a nested graph before it did not write what it reads."""

    def guarded(values: Values) -> None:
        if all(name in values for name in names):
            step(values)

    return guarded


def _visit_step(visit: _Visit) -> Step:
    return lambda values: values.update(visit(values, values[_NESTED]))


class Loop:
    """A graph whose nodes run as `decide` says. See :class:`Prepared`."""

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        provided: frozenset[str],
        selected: tuple[str, ...],
        limit: int,
    ) -> None:
        self.selected = selected
        self.certain = frozenset(provided.intersection(selected))
        self._plan = plan
        self._limit = limit
        bound = graph.inputs.bound
        self._carry_out = [
            _carrying_out(node, planned, bound)
            for node, planned in zip(graph._nodes, plan.nodes, strict=True)
        ]

    def run(self, values: Mapping[str, Any]) -> Outcome:
        """Run the graph. See :meth:`Prepared.run`."""
        state, nested = dict(values), Nested()
        decision = decide(self._plan, RunState(), Started(tuple(values), self._limit))
        while decision.due:
            ended: list[_Ended] = []
            error: BaseException | None = None
            path: tuple[str, ...] = ()
            try:
                # Nobody writes to `state` before all have read from it.
                for index in decision.due:
                    ended.append((index, *self._carry_out[index](state, nested)))
            except NodeFailure as failure:
                error, path = failure.error, failure.path
            except Exception as raised:
                error, path = raised, (self._plan.nodes[decision.due[len(ended)]].name,)
            decision = self._settle(state, decision, ended)
            if error is not None:
                return Outcome(_pick(self.selected, state), nested, error, path)
        return Outcome(_pick(self.selected, state), nested, self._broken_rule(decision.state))

    def _settle(self, state: Values, decision: Decision, ended: list[_Ended]) -> Decision:
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


#: Index of a node that returned, its outputs, and what it chose if it is a gate.
_Ended = tuple[int, dict[str, Any], tuple[str, ...] | None]
_CarryOut = Callable[[Values, Nested], tuple[dict[str, Any], tuple[str, ...] | None]]


def _carrying_out(node: HyperNode, planned: PlanNode, bound: Mapping[str, Any]) -> _CarryOut:
    if isinstance(node, GraphNode):
        return _carrying_out_graph(node, planned, bound)
    assert isinstance(node, CallableNode), "interrupts and foreign nodes are refused beforehand"
    call = caller(node, node.inputs)
    complete = _completing(node, planned, bound)
    if isinstance(node, GateNode):
        return lambda state, nested: ({}, decision_of(node, call(complete(state))))
    return lambda state, nested: (outputs_of(node, call(complete(state))), None)


def _completing(
    node: CallableNode, planned: PlanNode, bound: Mapping[str, Any]
) -> Callable[[Values], Values]:
    """Return a function that adds what a run's values lack of a node's inputs."""
    spares = [(n, spare_for(node, n, bound)) for n in node.inputs if n not in planned.needs]
    if not spares:
        return lambda state: state
    return lambda state: {**state, **{n: s.take() for n, s in spares if n not in state}}


def _carrying_out_graph(node: GraphNode, planned: PlanNode, bound: Mapping[str, Any]) -> _CarryOut:
    visits: dict[tuple[str, ...], _Visit] = {}

    def carry_out(state: Values, nested: Nested) -> tuple[dict[str, Any], None]:
        present = tuple(name for name in planned.inputs if name in state)
        visit = visits.get(present)
        if visit is None:
            visit = visits[present] = _visiting(node, planned, bound, present)
        return visit(state, nested), None

    return carry_out


class _Visit:
    """Runs a nested graph with values of the run around it, and returns what comes out.

    Args:
        node: The graph node.
        planned: The same, in the plan of the run around it.
        bound: Bindings of the graph around it.
        present: Those of its inputs that have a value in the run around it.
    """

    certain: Collection[str] = ()  #: outputs that are there whenever it succeeds

    def __init__(
        self,
        node: GraphNode,
        planned: PlanNode,
        bound: Mapping[str, Any],
        present: Collection[str],
    ) -> None:
        assert planned.nested is not None
        self.node = node
        self.nested = planned.nested
        self._given = [(self.nested.inputs[name], name) for name in present]
        self._spares = [
            (self.nested.inputs[name], spare_for(node, name, bound))
            for name in planned.inputs
            if name not in present and self._must_be_given(name, bound)
        ]
        self.names = [inner for inner, _ in (*self._given, *self._spares)]

    def _must_be_given(self, name: str, bound: Mapping[str, Any]) -> bool:
        """Whether an input without a value is not just left to the nested graph.

        A seed begins a loop with its value, and a list that is mapped over is taken apart here.
        """
        inner = self.nested.inputs[name]
        return name in bound or inner in self.node.graph.inputs.seeds or name in self.nested.mapped

    def enter(self, values: Values) -> dict[str, Any]:
        """Return the inputs of the nested run, by inner name."""
        inputs = {inner: values[name] for inner, name in self._given}
        for inner, spare in self._spares:
            inputs[inner] = spare.take()
        return inputs

    def leave(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs of the nested run, by outer name."""
        return {o: results[inner] for inner, o in self.nested.outputs.items() if inner in results}

    def leave_mapped(self, results: MapResult) -> dict[str, Any]:
        """Return one list per output, with None for an item that has none."""
        columns = [r.values if r.status is RunStatus.COMPLETED else {} for r in results]
        return {
            outer: [values.get(inner) for values in columns]
            for inner, outer in self.nested.outputs.items()
        }

    def __call__(self, values: Values, nested: Nested) -> dict[str, Any]:
        """Run the nested graph and keep its result in `nested`.

        Raises:
            NodeFailure: It failed.
        """
        raise NotImplementedError


def _visiting(
    node: GraphNode, planned: PlanNode, bound: Mapping[str, Any], present: Collection[str]
) -> _Visit:
    nested = planned.nested
    assert nested is not None
    if nested.alone:
        return _VisitElsewhere(node, planned, bound, present)
    if nested.mapped:
        return _VisitMapped(node, planned, bound, present)
    return _VisitOnce(node, planned, bound, present)


class _VisitOnce(_Visit):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._prepared = prepare(self.node.graph, self.names)
        outputs = self.nested.outputs
        self.certain = [outputs[name] for name in self._prepared.certain if name in outputs]

    def __call__(self, values: Values, nested: Nested) -> dict[str, Any]:
        outcome = self._prepared.run(self.enter(values))
        name = self.node.name
        nested[name] = outcome.as_result()
        if outcome.error is not None:
            raise NodeFailure(outcome.error, (name, *outcome.path))
        return self.leave(outcome.values)


class _VisitMapped(_Visit):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._prepared = prepare(self.node.graph, self.names)
        self.certain = list(self.nested.outputs.values())

    def __call__(self, values: Values, nested: Nested) -> dict[str, Any]:
        over = [self.nested.inputs[name] for name in self.nested.mapped]
        items = split(self.enter(values), over, self.nested.mode)
        name = self.node.name
        nested[name] = results = MapResult(outputs=self.nested.outputs)
        for index, item in enumerate(items):
            outcome = self._prepared.run(item)
            results.append(outcome.as_result(index))
            if outcome.error is not None and self.nested.error_handling == "raise":
                raise NodeFailure(outcome.error, (f"{name}[{index}]", *outcome.path))
        return self.leave_mapped(results)


class _VisitElsewhere(_Visit):
    """Hands the nested graph to the runner that its node brought along."""

    def __call__(self, values: Values, nested: Nested) -> dict[str, Any]:
        name, runner, graph = self.node.name, self.node.runner, self.node.graph
        given = self.enter(values)
        if self.nested.mapped:
            nested[name] = results = runner.map(
                graph,
                given,
                map_over=[self.nested.inputs[mapped] for mapped in self.nested.mapped],
                map_mode=self.nested.mode,
                error_handling=self.nested.error_handling,
            )
            return self.leave_mapped(results)
        nested[name] = result = runner.run(graph, given, error_handling="continue")
        if result.error is not None:
            raise NodeFailure(result.error, (name,))
        return self.leave(result.values)


def _pick(names: Iterable[str], values: Values) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}
