"""A run with its nested runs, folded from what happened to its tasks.

Theory of operation
===================

`decide` speaks of one graph. A distributed run is a tree of them: a node of kind ``graph`` opens a
nested run inside the same root run, whose tasks go to the workers like any other. This file holds
the tree. It is as pure as `decide`: values are *references* that it hands on and never looks at,
so whoever holds the journal of a run can fold it, whether or not they hold the user's code.

Task ids follow from the fold: node names from the root joined by ``/``; from the second time a
node falls due in its run, ``.n`` is appended. Whoever folds the same journal gets the same ids.

A mapped graph node is one task (``kind`` "graph"): what it fans out into is not the tree's affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hypergraph.plan.decide import decide
from hypergraph.plan.events import Event, Failed, Started, Succeeded
from hypergraph.plan.plan import Plan, PlanNode
from hypergraph.plan.state import Phase, RunState

#: A reference to a value: whatever the shell uses to find it again.
Ref = Any


@dataclass(frozen=True, slots=True)
class Due:
    """A task to carry out."""

    task: str  #: its id, stable over attempts
    path: tuple[str, ...]  #: names of the nested graphs from the root, and the node's own
    node: PlanNode
    inputs: dict[str, Ref]  #: input name -> value, for every input but those left to defaults


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task whose commit stands."""

    task: str
    outputs: Mapping[str, Ref] = field(default_factory=dict)  #: output name -> value
    changed: tuple[str, ...] | None = None  #: outputs that differ from before; None: all of them
    decision: tuple[str, ...] | None = None  #: of a gate
    error: Any = None  #: what it failed with; None: it succeeded


@dataclass(frozen=True, slots=True)
class Broken:
    """A run failed by a rule, not by a node: it took too many supersteps, or two nodes clashed."""

    path: str  #: of the graph, "" for the root
    max_iterations: int = 0  #: 0: a conflict
    output: str = ""
    nodes: tuple[str, ...] = ()


class Frame:
    """One graph's run within the tree."""

    def __init__(self, tree: RunTree, plan: Plan, parent: tuple[Frame, int] | None, prefix: str):
        self.tree = tree
        self.plan = plan
        self.parent = parent
        self.prefix = prefix  #: what its task ids begin with; "" at the root
        self.path: tuple[str, ...] = ()
        if parent is not None:
            self.path = (*parent[0].path, parent[0].plan.nodes[parent[1]].name)
        self.state = RunState()
        self.values: dict[str, Ref] = {}
        self.writers: dict[str, int] = {}  #: value name -> the node that wrote it
        self.errors: dict[int, Any] = {}  #: node -> what it failed with
        self.nested: dict[str, Frame] = {}  #: node name -> its latest nested run
        self.closed = False  #: its end was reported to the run around it

    @property
    def bound(self) -> Mapping[str, Ref]:
        """The graph's own bindings."""
        return self.tree.bound.get("/".join(self.path), {})

    @property
    def error(self) -> Any:
        """What the run failed with, or None: a task's error, or a broken rule of the plan's own."""
        culprit = self.state.culprit
        if culprit is not None:
            return self.errors[culprit]
        if self.state.phase is Phase.EXHAUSTED:
            return Broken("/".join(self.path), max_iterations=self.state.max_iterations)
        conflict = self.state.conflict
        if conflict is not None:
            names = tuple(self.plan.nodes[index].name for index in conflict.nodes)
            return Broken("/".join(self.path), output=conflict.output, nodes=names)
        return None

    def results(self) -> dict[str, Ref]:
        """Return the values that stand, those the caller supplied included."""
        return {
            name: ref
            for name, ref in self.values.items()
            if name not in self.writers or self.state.counts(self.writers[name])
        }


class RunTree:
    """A root run and the nested runs in it. See the module's docstring."""

    def __init__(
        self,
        plan: Plan,
        bound: Mapping[str, Mapping[str, Ref]] | None = None,
    ) -> None:
        """Make the tree of a run that has not started.

        Args:
            plan: The root graph's plan.
            bound: Path of a graph, joined by "/" ("" for the root) -> its bindings.
        """
        self.bound = bound or {}
        self.root = Frame(self, plan, None, "")
        self._open: dict[str, tuple[Frame, int]] = {}

    @property
    def phase(self) -> Phase:
        """How the root run goes on."""
        return self.root.state.phase

    @property
    def open_tasks(self) -> frozenset[str]:
        """Ids of the tasks that fell due and have not ended."""
        return frozenset(self._open)

    def path_of(self, task: str) -> tuple[str, ...] | None:
        """Return the path of an open task's node, as in `Due.path`; None if it is not open."""
        found = self._open.get(task)
        if found is None:
            return None
        frame, index = found
        return (*frame.path, frame.plan.nodes[index].name)

    def start(self, inputs: Mapping[str, Ref], max_iterations: int = 1000) -> list[Due]:
        """Begin the root run and return what is due."""
        due: list[Due] = []
        self._start(self.root, inputs, max_iterations, due)
        return due

    def apply(self, ended: TaskEnded) -> list[Due]:
        """Let a task's end count, and return what fell due by it. Old news changes nothing."""
        found = self._open.pop(ended.task, None)
        due: list[Due] = []
        if found is not None:
            self._settle(*found, ended, due)
        return due

    def frames(self) -> Iterator[Frame]:
        """Yield the root run and every nested one, outer before inner."""
        stack = [self.root]
        while stack:
            frame = stack.pop()
            yield frame
            stack.extend(frame.nested.values())

    def _start(
        self, frame: Frame, inputs: Mapping[str, Ref], max_iterations: int, due: list[Due]
    ) -> None:
        frame.values.update(inputs)
        self._decide(frame, Started(tuple(inputs), max_iterations), due)

    def _settle(self, frame: Frame, node: int, ended: TaskEnded, due: list[Due]) -> None:
        if ended.error is not None:
            frame.errors[node] = ended.error
            self._decide(frame, Failed(node), due)
            return
        for name, ref in ended.outputs.items():
            frame.values[name] = ref
            frame.writers[name] = node
        changed = tuple(ended.outputs) if ended.changed is None else ended.changed
        self._decide(frame, Succeeded(node, changed, ended.decision), due)

    def _decide(self, frame: Frame, event: Event, due: list[Due]) -> None:
        frame.state, ready = decide(frame.plan, frame.state, event)
        for index in ready:
            self._open_node(frame, frame.plan.nodes[index], due)
        if frame.state.phase is not Phase.RUNNING and not frame.closed:
            # A nested run without tasks ends while it is opened, and gets here twice.
            frame.closed = True
            if frame.parent is not None:
                self._close(frame, frame.parent, due)

    def _open_node(self, frame: Frame, node: PlanNode, due: list[Due]) -> None:
        times = frame.state.starts[node.index]
        label = quote(node.name, safe="")
        task = f"{frame.prefix}{label}" if times == 1 else f"{frame.prefix}{label}.{times}"
        inputs = {name: ref for name in node.inputs if (ref := self._find(frame, name)) is not None}
        nested = node.nested
        if nested is None or nested.mapped or nested.alone:
            self._open[task] = (frame, node.index)
            due.append(Due(task, (*frame.path, node.name), node, inputs))
            return
        child = Frame(self, nested.plan, (frame, node.index), f"{task}/")
        frame.nested[node.name] = child
        # Ends at once when it has nothing to do, and then settles its node from within.
        given = {nested.inputs[name]: ref for name, ref in inputs.items()}
        self._start(child, given, 1000, due)

    def _find(self, frame: Frame, name: str) -> Ref | None:
        found = frame.values.get(name)
        return frame.bound.get(name) if found is None else found

    def _close(self, child: Frame, parent: tuple[Frame, int], due: list[Due]) -> None:
        frame, index = parent
        node = frame.plan.nodes[index]
        assert node.nested is not None
        task = child.prefix[:-1]
        if child.state.phase is not Phase.COMPLETED:
            self._settle(frame, index, TaskEnded(task, error=child.error), due)
            return
        results = child.results()
        outputs = {
            outer: results[inner]
            for inner, outer in node.nested.outputs.items()
            if inner in results
        }
        self._settle(frame, index, TaskEnded(task, outputs), due)
