"""What a caller gives to a run: put together, checked, and led to nested graphs.

Theory of operation
===================

An input of a nested graph can be given by its path: ``rag.top_k`` is `top_k` of the graph behind
node ``rag``. Such a name is a value name like any other. It is kept in the run's values under its
dotted name, and :func:`feed` rewires the plan so that the graph node reads that name instead of
the undotted one. Nothing else in the package knows about dots, except who crosses a border: a
dotted name loses its first part when it enters the nested graph, as `Nested.inputs` says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypergraph.errors import MissingInputError
from hypergraph.plan.plan import Nested, Plan, PlanNode, compile_plan
from hypergraph.wording import did_you_mean

if TYPE_CHECKING:
    from hypergraph.graph import Graph


def merge(values: Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs given as a mapping and as keywords in one dict.

    Raises:
        ValueError: A name occurs in both.
    """
    if values is None:
        return dict(keywords)
    twice = [name for name in keywords if name in values]
    if twice:
        raise ValueError(
            f"given twice, in values and as a keyword: {', '.join(map(repr, twice))}; "
            "leave one of them out"
        )
    return {**values, **keywords}


def check(graph: Graph, provided: Collection[str]) -> tuple[str, ...]:
    """Check that a run of `graph` can start with the names in `provided`.

    Returns:
        The names that are neither inputs nor answers to an interrupt, in the caller's order:
        misspelt, superfluous, or values that the graph makes itself. They deserve a warning.

    Raises:
        MissingInputError: A required input or a seed is missing, and some node that is
            not bypassed reads it.
        ValueError: A dotted name leads nowhere.
    """
    plan = compile_plan(graph)
    missing = find_missing(graph, feed(plan, provided), provided)
    if missing:
        raise MissingInputError(missing, list(provided))
    known = {*graph.inputs.all, *_answers(plan), *_dotted(plan, provided)}
    return tuple(name for name in provided if name not in known)


def find_missing(graph: Graph, plan: Plan, provided: Collection[str]) -> list[str]:
    """Return the inputs of `graph` that nobody gave and that cannot be done without.

    Args:
        graph: The graph.
        plan: Its plan, fed with `provided`.
        provided: The names that were given.
    """
    given = frozenset(provided)
    bypassed = _find_bypassed(plan, given)
    # A name that nobody reads any more was given by its path, everywhere.
    read = {name for node in plan.nodes if node.index not in bypassed for name in node.inputs}
    spec = graph.inputs
    return [name for name in (*spec.required, *spec.seeds) if name in read and name not in given]


def _find_bypassed(plan: Plan, given: frozenset[str]) -> set[int]:
    """Return the nodes whose work the caller has done, by giving all that others read of it."""
    read = {name for node in plan.nodes for name in node.inputs}
    bypassed = set()
    for node in plan.nodes:
        consumed = [name for name in node.outputs if name in read]
        if consumed and given.issuperset(consumed):
            bypassed.add(node.index)
    if bypassed:
        bypassed.update(n.index for n in plan.nodes if n.outputs and given.issuperset(n.outputs))
    return bypassed


def feed(plan: Plan, provided: Iterable[str]) -> Plan:
    """Return `plan` with its graph nodes reading the dotted names among `provided`.

    `plan` itself comes back when there are none.

    Raises:
        ValueError: A dotted name leads nowhere.
    """
    dotted = _dotted(plan, provided)
    if not dotted:
        return plan
    paths = dict.fromkeys(_paths(plan))
    for name in dotted:
        if name not in paths:
            raise _leads_nowhere(name, list(paths))
    return _rewire(plan, dotted)


def _rewire(plan: Plan, dotted: Iterable[str]) -> Plan:
    rests: dict[str, list[str]] = {}
    for name in dotted:
        head, dot, rest = name.partition(".")
        if dot:
            rests.setdefault(head, []).append(rest)
    nodes = [_rewire_node(n, rests[n.name]) if n.name in rests else n for n in plan.nodes]
    return replace(plan, nodes=tuple(nodes), _schedules={}) if rests else plan


def _dotted(plan: Plan, provided: Iterable[str]) -> list[str]:
    # Nobody is kept from renaming an input to something with a dot.
    return [name for name in provided if "." in name and name not in plan.names]


def _rewire_node(node: PlanNode, rests: list[str]) -> PlanNode:
    nested = node.nested
    assert nested is not None
    inner = _rewire(nested.plan, rests)
    read = {name for within in inner.nodes for name in within.inputs}
    dotted = {f"{node.name}.{rest}": rest for rest in rests}
    renamed = {rest: name for name, rest in dotted.items()}
    kept = {
        name: within
        for name, within in nested.inputs.items()
        if within in read and within not in renamed
    }
    return replace(
        node,
        inputs=(*(n for n in node.inputs if n in kept), *dotted),
        needs=(*(n for n in node.needs if n in kept), *dotted),
        watches=(*(n for n in node.watches if n in kept), *dotted),
        nested=replace(
            nested,
            plan=inner,
            inputs={**kept, **dotted},
            mapped=tuple(renamed.get(nested.inputs[name], name) for name in nested.mapped),
        ),
    )


def _enterable(nested: Nested) -> dict[str, None]:
    """Return the names a caller may give to a nested graph: its inputs and its answers."""
    return dict.fromkeys((*nested.inputs.values(), *_answers(nested.plan)))


def _answers(plan: Plan) -> list[str]:
    return [name for node in plan.nodes if node.kind == "interrupt" for name in node.outputs]


def _paths(plan: Plan) -> Iterator[str]:
    for node in plan.nodes:
        if node.nested is not None:
            yield from (f"{node.name}.{name}" for name in _enterable(node.nested))
            yield from (f"{node.name}.{path}" for path in _paths(node.nested.plan))


def _leads_nowhere(name: str, paths: list[str]) -> ValueError:
    if not paths:
        return ValueError(f"{name!r} leads nowhere: this graph has no nested graphs")
    return ValueError(
        f"{name!r} leads to no input of a nested graph.{did_you_mean(name, paths)} "
        f"Possible: {', '.join(paths)}"
    )
