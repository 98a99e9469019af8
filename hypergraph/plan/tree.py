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

Where data decides, somebody has to say whether a value that a node writes differs from the one that
stands. For a task its worker says so: `Due.previous` names what to compare with. What a nested run
hands to the run around it is nobody's task, so comparing becomes one, with the id ``<task>/=``.

An interrupt without a handler is no task either. The fold pauses there, and goes on when an answer
is folded. One pause is open at a time: the first in graph order.

Whoever wants to tell what happens, and not only what is due, hands over a list that takes a
:class:`Note` of everything, in order. Nothing is decided by notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from hypergraph.plan.decide import decide
from hypergraph.plan.events import Event, Failed, Paused, Resumed, Started, Succeeded
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
    previous: dict[str, Ref] = field(default_factory=dict)
    #: output name -> value that stands, for outputs whose novelty decides what runs next
    outputs: dict[str, Ref] | None = None  #: given: do nothing but compare these with `previous`


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task whose commit stands."""

    task: str
    outputs: Mapping[str, Ref] = field(default_factory=dict)  #: output name -> value
    changed: tuple[str, ...] | None = None  #: outputs that differ from before; None: all of them
    decision: tuple[str, ...] | None = None  #: of a gate
    error: Any = None  #: what it failed with; None: it succeeded
    inside: Any = None  #: of a nested graph that ran as one piece: what became of it, for readers


@dataclass(frozen=True, slots=True)
class Broken:
    """A run failed by a rule, not by a node: it took too many supersteps, or two nodes clashed."""

    path: str  #: of the graph, "" for the root
    max_iterations: int = 0  #: 0: a conflict
    output: str = ""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """What a paused run waits for."""

    path: tuple[str, ...]  #: of the interrupt
    output: str  #: name of the value that the answer becomes, in the interrupt's graph
    value: Ref | None  #: what to show to whoever answers


class Note(NamedTuple):
    """Something that happened in the tree, for whoever tells of it."""

    what: Literal["begun", "due", "entered", "ended", "paused", "over"]
    #: of a run: begun (or gone on with), over (or at a pause). Of a node: due as a task, entered
    #: without one, ended, waiting for an answer
    frame: Frame
    node: int = -1  #: its index; -1: of the run
    task: str = ""  #: of what is due or entered: the task's id, or what it would be
    ended: TaskEnded | None = None


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
        self.pieces: dict[int, TaskEnded] = {}  #: the same for those that ran as one piece
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
        seeds: Mapping[str, Mapping[str, Ref]] | None = None,
        notes: list[Note] | None = None,
    ) -> None:
        """Make the tree of a run that has not started.

        Args:
            plan: The root graph's plan.
            bound: Path of a graph, joined by "/" ("" for the root) -> its bindings.
            seeds: Path of a nested graph -> defaults of its seeds: a loop begins with a value.
            notes: Takes a note of everything that happens; None: nobody wants to know.
        """
        self._notes = notes
        self.bound = bound or {}
        self.seeds = seeds or {}
        self.root = Frame(self, plan, None, "")
        self._open: dict[str, tuple[Frame, int]] = {}
        self._handed: dict[str, dict[str, Ref]] = {}  # outputs of nested runs, being compared

    @property
    def phase(self) -> Phase:
        """How the root run goes on."""
        return self.root.state.phase

    @property
    def pause(self) -> Pause | None:
        """What the run waits for, if it is paused."""
        found = self._find_pause(self.root)
        return None if found is None else found[2]

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
            if (handed := self._handed.pop(ended.task, None)) is not None:
                ended = replace(ended, outputs=handed)
            self._settle(*found, ended, due)
        return due

    def answer(self, ref: Ref) -> list[Due]:
        """Let the open pause be answered, and return what falls due by it."""
        found = self._find_pause(self.root)
        if found is None:
            return []
        frame, index, pause = found
        due: list[Due] = []
        self._resume(self.root)
        ended = TaskEnded("", {pause.output: ref})
        self._settle(frame, index, ended, due)
        return due

    def _note(
        self,
        what: Literal["begun", "due", "entered", "ended", "paused", "over"],
        frame: Frame,
        node: int = -1,
        task: str = "",
        ended: TaskEnded | None = None,
    ) -> None:
        if self._notes is not None:
            self._notes.append(Note(what, frame, node, task, ended))

    def _find_pause(self, frame: Frame) -> tuple[Frame, int, Pause] | None:
        if frame.state.phase is not Phase.PAUSED:
            return None
        index = min(frame.state.paused)
        node = frame.plan.nodes[index]
        if node.nested is not None:
            return self._find_pause(frame.nested[node.name])
        shown = self._find(frame, node.inputs[0])
        return frame, index, Pause((*frame.path, node.name), node.outputs[0], shown)

    def _resume(self, frame: Frame) -> None:
        """Let the first of the nodes that wait go on, here and inside it; the others wait again."""
        first, *others = sorted(frame.state.paused)
        frame.closed = False
        self._note("begun", frame)
        self._note("entered", frame, first, task_of(frame, first))
        frame.state, _ = decide(frame.plan, frame.state, Resumed())
        for index in others:
            frame.state, _ = decide(frame.plan, frame.state, Paused(index))
            self._note("entered", frame, index, task_of(frame, index))
            self._note("paused", frame, index)
        node = frame.plan.nodes[first]
        if node.nested is not None:
            self._resume(frame.nested[node.name])

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
        self._note("begun", frame)
        self._decide(frame, Started(tuple(inputs), max_iterations), due)

    def _settle(self, frame: Frame, node: int, ended: TaskEnded, due: list[Due]) -> None:
        self._note("ended", frame, node, ended=ended)
        if ended.inside is not None:
            frame.pieces[node] = ended
        if ended.error is not None:
            frame.errors[node] = ended.error
            self._decide(frame, Failed(node), due)
            return
        changed = tuple(ended.outputs) if ended.changed is None else ended.changed
        for name in changed:  # where the new value equals the one that stands, that one stays
            frame.values[name] = ended.outputs[name]
            frame.writers[name] = node
        self._decide(frame, Succeeded(node, changed, ended.decision), due)

    def _decide(self, frame: Frame, event: Event, due: list[Due]) -> None:
        frame.state, ready = decide(frame.plan, frame.state, event)
        # All inputs first: a node that ends at once must not show its outputs to its siblings.
        opening = [
            (frame.plan.nodes[i], self._inputs_of(frame, frame.plan.nodes[i])) for i in ready
        ]
        for node, inputs in opening:
            self._open_node(frame, node, inputs, due)
        if frame.state.phase is not Phase.RUNNING and not frame.closed:
            # A nested run without tasks ends while it is opened, and gets here twice.
            frame.closed = True
            self._note("over", frame)
            if frame.parent is not None:
                self._close(frame, frame.parent, due)

    def _inputs_of(self, frame: Frame, node: PlanNode) -> dict[str, Ref]:
        return {name: ref for name in node.inputs if (ref := self._find(frame, name)) is not None}

    def _open_node(
        self, frame: Frame, node: PlanNode, inputs: dict[str, Ref], due: list[Due]
    ) -> None:
        task = task_of(frame, node.index)
        nested = node.nested
        if node.kind == "interrupt" and not self._asks_worker(frame, node, task, due):
            return
        if nested is None or nested.mapped or nested.alone:
            self._note("due", frame, node.index, task)
            self._open[task] = (frame, node.index)
            previous = self._previous(frame, node.outputs)
            due.append(Due(task, (*frame.path, node.name), node, inputs, previous))
            return
        self._note("entered", frame, node.index, task)
        child = Frame(self, nested.plan, (frame, node.index), f"{task}/")
        frame.nested[node.name] = child
        # Ends at once when it has nothing to do, and then settles its node from within.
        given = dict(self.seeds.get("/".join(child.path), {}))
        given.update((nested.inputs[name], ref) for name, ref in inputs.items())
        self._start(child, given, 1000, due)

    def _asks_worker(self, frame: Frame, node: PlanNode, task: str, due: list[Due]) -> bool:
        """Carry out an interrupt that needs nobody, or pause at it. True: it has a handler."""
        output = node.outputs[0]
        is_given = output in frame.values and output not in frame.writers  # by the caller
        if not is_given and node.has_handler:
            return True
        self._note("entered", frame, node.index, task)
        if is_given:
            passed = TaskEnded("", {output: frame.values[output]}, changed=())
            self._settle(frame, node.index, passed, due)
        else:
            self._note("paused", frame, node.index)
            self._decide(frame, Paused(node.index), due)
        return False

    def _previous(self, frame: Frame, names: Iterable[str]) -> dict[str, Ref]:
        if frame.state.levels is not None:
            return {}
        return {name: frame.values[name] for name in names if name in frame.values}

    def _find(self, frame: Frame, name: str) -> Ref | None:
        found = frame.values.get(name)
        return frame.bound.get(name) if found is None else found

    def _close(self, child: Frame, parent: tuple[Frame, int], due: list[Due]) -> None:
        frame, index = parent
        node = frame.plan.nodes[index]
        assert node.nested is not None
        task = child.prefix[:-1]
        if child.state.phase is Phase.PAUSED:
            self._decide(frame, Paused(index), due)
            return
        if child.state.phase is not Phase.COMPLETED:
            self._settle(frame, index, TaskEnded(task, error=child.error), due)
            return
        results = child.results()
        outputs = {
            outer: results[inner]
            for inner, outer in node.nested.outputs.items()
            if inner in results
        }
        previous = self._previous(frame, outputs)
        if previous:
            task = f"{task}/="
            self._open[task] = (frame, index)
            self._handed[task] = outputs
            due.append(Due(task, (*frame.path, node.name), node, {}, previous, outputs))
            return
        self._settle(frame, index, TaskEnded(task, outputs), due)


def task_of(frame: Frame, node: int) -> str:
    """Return the id of a node's latest execution as a task."""
    times = frame.state.starts[node]
    label = quote(frame.plan.nodes[node].name, safe="")
    return f"{frame.prefix}{label}" if times == 1 else f"{frame.prefix}{label}.{times}"
