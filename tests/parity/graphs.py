"""Random graphs, and how to call them: what hypothesis draws for the parity tests.

Every body is a pure function of its inputs whose result is drawn from a small set of values, equal,
unequal and odd ones, so that the runners have something to agree about: lists of any length where a
nested graph maps, bodies that fail on some inputs, values given in the place of nodes.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from hypergraph import AsyncRunner, Graph, GraphNode, SyncRunner
from hypergraph.nodes import FunctionNode, HyperNode
from tests.ledger import Ledger

#: What a body returns, by kind of output.
SCALAR, LIST = "scalar", "list"


class Misfortune(Exception):
    """A body did not like its inputs."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(name, number)
        self.name = name
        self.number = number

    def __str__(self) -> str:
        return f"{self.name} does not like {self.number}"


def number_of(*parts: Any) -> int:
    """Return a number that depends on nothing but `parts`."""
    return zlib.crc32(repr(parts).encode())


def make_value(kind: str, number: int) -> Any:
    """Return one of a few values, by its number."""
    if kind == LIST:
        return [make_value(SCALAR, number // 5 + item) for item in range(number % 5)]
    odd = (None, True, 1, 1.0, "a", (1, None), float("nan"), [1], {"k": 1}, b"b", frozenset({1}))
    return odd[number % 29] if number % 29 < len(odd) else number % 1000


def compute(
    ledger: Ledger | None, name: str, kinds: tuple[str, ...], fails: int, *args: Any
) -> Any:
    """Do what a body does.

    Args:
        ledger: Where it notes that it has begun.
        name: The node's.
        kinds: Of its outputs; one that begins with ``*`` is a generator's.
        fails: 0: never; otherwise it fails on every `fails`-th input.
        args: Its inputs.
    """
    if ledger is not None:
        ledger.note(name)
    number = number_of(name, args)
    if fails and number % fails == 0:
        raise Misfortune(name, number % 1000)
    values = tuple(make_value(kind, number_of(number, at)) for at, kind in enumerate(kinds))
    return values if len(values) != 1 else values[0]


def make_function(
    ledger: Ledger | None,
    name: str,
    params: int,
    defaults: dict[int, Any],
    kinds: tuple[str, ...],
    fails: int,
    yields: bool,
) -> Callable[..., Any]:
    """Return a function with parameters ``p0``, ``p1`` ... as a user would have written it."""
    order = sorted(range(params), key=lambda at: at in defaults)
    signature = ", ".join(f"p{at}=d{at}" if at in defaults else f"p{at}" for at in order)
    arguments = "".join(f", p{at}" for at in range(params))
    call = f"compute(ledger, name, kinds, fails{arguments})"
    text = f"    yield from {call}" if yields else f"    return {call}"
    space: dict[str, Any] = {
        "compute": compute,
        "ledger": ledger,
        "name": name,
        "kinds": kinds,
        "fails": fails,
        **{f"d{at}": value for at, value in defaults.items()},
    }
    exec(f"def {name}({signature}):\n{text}", space)
    made: Callable[..., Any] = space[name]
    return made


@dataclass
class Call:
    """A graph, and how it is called."""

    graph: Graph
    values: dict[str, Any]
    options: dict[str, Any]
    is_map: bool

    def on(self, runner: Any, **options: Any) -> Any:
        """Make the call."""
        method = runner.map if self.is_map else runner.run
        return method(self.graph, self.values, **self.options, **options)

    def on_async(self) -> Any:
        """Make the call on the runner for asynchronous code."""
        runner = AsyncRunner()
        method: Any = runner.map if self.is_map else runner.run
        return asyncio.run(method(self.graph, self.values, **self.options))

    def __repr__(self) -> str:
        verb = "map" if self.is_map else "run"
        return f"{verb}({self.values}, {self.options}) of\n{_picture(self.graph)}"


def _picture(graph: Graph, indent: str = "  ") -> str:
    lines = []
    for node in graph.nodes.values():
        detail = ""
        if isinstance(node, GraphNode):
            own = " with a runner of its own" if node.runner else ""
            detail = f" map {node.map_config}" if node.map_config else ""
            detail += own + "\n" + _picture(node.graph, indent + "  ")
        elif isinstance(node, FunctionNode):
            space = node.func.__globals__
            detail = f" kinds {space['kinds']} fails {space['fails']} defaults {node.defaults}"
        lines.append(f"{indent}{node.name}: {node.inputs} -> {node.outputs}{detail}")
    bound = f"{indent}bound {graph.inputs.bound}\n" if graph.inputs.bound else ""
    selected = f"{indent}selected {graph.selected}\n" if graph.selected is not None else ""
    return bound + selected + "\n".join(lines)


@dataclass
class Draft:
    """A graph while it is drawn."""

    kinds: dict[str, str] = field(default_factory=dict)  #: of each value name
    closed: set[str] = field(default_factory=set)  #: names that nobody else may read
    read: set[str] = field(default_factory=set)  #: names that somebody reads
    nodes: list[HyperNode] = field(default_factory=list)


class Drawing:
    """Draws graphs of one example; names are never used twice, but for what is shared."""

    def __init__(self, draw: st.DrawFn, ledger: Ledger | None) -> None:
        self._draw = draw
        self._ledger = ledger
        self._numbers = iter(range(10_000))
        self._graphs: list[tuple[Graph, dict[str, str]]] = []

    def chance(self, of: int) -> bool:
        """Return True once in so many times; False is the simple case."""
        return self._draw(st.integers(0, of - 1)) == of - 1

    def pick(self, options: list[Any]) -> Any:
        """Return one of several."""
        return self._draw(st.sampled_from(options))

    def name(self, prefix: str) -> str:
        """Return a name that nothing has yet."""
        return f"{prefix}{next(self._numbers)}"

    def call(self) -> Call:
        """Draw a graph and a call of it."""
        graph, kinds = self.graph(3, self._draw(st.integers(1, 12)))
        values = {
            name: self.value(kinds[name])
            for name in (*graph.inputs.required, *graph.inputs.optional)
            if name in graph.inputs.required or self.chance(3)
        }
        self._give_by_path(graph, values)
        options: dict[str, Any] = {"error_handling": self.pick(["continue", "raise"])}
        if self.chance(4) and graph.outputs:
            options["select"] = self._some(list(graph.outputs))
        if self.chance(6) and graph.outputs:
            output = self.pick(list(graph.outputs))
            values[output] = self.value(kinds.get(output, SCALAR))
        mapped = [name for name in values if self.chance(4)]
        if not mapped:
            return Call(graph, values, options, False)
        over = mapped[: self._draw(st.integers(1, 2))]
        mode = self.pick(["zip", "product"])
        size = self._draw(st.integers(0, 6))
        for name in over:
            length = size if mode == "zip" else self._draw(st.integers(0, 3))
            values[name] = [self.value(kinds.get(name, SCALAR)) for _ in range(length)]
        options.update(map_over=over, map_mode=mode)
        return Call(graph, values, options, True)

    def value(self, kind: str) -> Any:
        """Draw the value of an input."""
        return make_value(kind, self._draw(st.integers(0, 200)))

    def _give_by_path(self, graph: Graph, values: dict[str, Any]) -> None:
        for node in graph.nodes.values():
            if isinstance(node, GraphNode) and node.map_config is None and self.chance(6):
                inner = [n for n in node.graph.inputs.all if n in values or self.chance(2)]
                if inner and node.runner is None:
                    values[f"{node.name}.{self.pick(inner)}"] = self.value(SCALAR)

    def graph(self, depth: int, size: int) -> tuple[Graph, dict[str, str]]:
        """Draw a graph. Returns it with the kinds of its inputs and outputs."""
        draft = Draft()
        for _ in range(size):
            if depth > 1 and self.chance(4):
                self._add_nested(draft, depth)
            else:
                self._add_function(draft)
        nodes = self._draw(st.permutations(draft.nodes)) if self.chance(3) else draft.nodes
        graph = Graph(nodes, name=self.name("g"))
        for name in graph.inputs.all:
            if self.chance(8):
                graph = graph.bind(**{name: self.value(draft.kinds[name])})
        if self.chance(5) and graph.outputs:
            graph = graph.select(*self._some(list(graph.outputs)))
        return graph, draft.kinds

    def _some(self, names: list[str]) -> list[str]:
        return self._draw(st.lists(st.sampled_from(names), unique=True, min_size=1))

    def _read(self, draft: Draft, kind: str, *, alone: bool = False) -> str:
        """Return the name of a value to read: of a node before, or an input of the graph."""
        names = [
            name
            for name, found in draft.kinds.items()
            if found == kind and name not in draft.closed and not (alone and name in draft.read)
        ]
        if not names or self.chance(4):
            name = self.name("l" if kind == LIST else "x")
            draft.kinds[name] = kind
        else:
            name = self.pick(names)
        draft.read.add(name)
        if alone:  # others would have to have the same default
            draft.closed.add(name)
        return name

    def _add_function(self, draft: Draft) -> None:
        name = self.name("f")
        params = self._draw(st.integers(0, 3))
        defaults = {
            at: make_value(SCALAR, self._draw(st.integers(0, 40)))
            for at in range(params)
            if self.chance(4)
        }
        yields = self.chance(6)
        if yields:
            kinds: tuple[str, ...] = (LIST,)
        else:
            kinds = tuple(
                self.pick([SCALAR, SCALAR, LIST]) for _ in range(self.pick([1, 1, 1, 2, 3, 0]))
            )
        fails = self.pick([*[0] * 12, 3, 1])
        function = make_function(self._ledger, name, params, defaults, kinds, fails, yields)
        reads = [
            self._read(draft, SCALAR, alone=True)
            if at in defaults
            else self._read(draft, self.pick([SCALAR, LIST]))
            for at in range(params)
        ]
        if len(set(reads)) < len(reads):  # one name cannot be two parameters
            reads = [self._new(draft, SCALAR) for _ in range(params)]
        writes = tuple(self.name("v") for _ in kinds)
        outputs: Any = writes if len(writes) != 1 else writes[0]
        node = FunctionNode(function, output_name=outputs or None)
        node = node.with_inputs({f"p{at}": read for at, read in enumerate(reads)})
        if len(writes) == 2 and self.chance(3):
            node = node.with_outputs({writes[0]: writes[1], writes[1]: writes[0]})
        draft.nodes.append(node)
        draft.kinds.update(zip(node.outputs, kinds, strict=True))

    def _new(self, draft: Draft, kind: str) -> str:
        """Return the name of an input that nobody else reads."""
        name = self.name("x")
        draft.kinds[name] = kind
        draft.closed.add(name)
        return name

    def _add_nested(self, draft: Draft, depth: int) -> None:
        if self._graphs and self.chance(3):
            graph, kinds = self.pick(self._graphs)  # the same one again
        else:
            graph, kinds = self.graph(depth - 1, self._draw(st.integers(1, 3)))
            self._graphs.append((graph, kinds))
        node = graph.as_node(name=self.name("n"))
        mapped: list[str] = []
        if graph.inputs.all and self.chance(2):
            mapped = self._some(list(graph.inputs.all))[:2]
            # Two lists of a zip are of one length only by luck.
            mode = "product" if len(mapped) > 1 else self.pick(["zip", "product"])
            handling = self.pick(["raise", "continue"])
            node = node.map_over(*mapped, mode=mode, error_handling=handling)
        elif self.chance(6):
            node = node.with_runner(SyncRunner())
        names: dict[str, str] = {}
        for name in graph.inputs.all:
            kind = LIST if name in mapped else kinds.get(name, SCALAR)
            if name in mapped and kinds.get(name) == LIST:
                kind = "list of lists"
            alone = node.has_default_for(name)
            read = self._read(draft, kind, alone=alone)
            if read in names.values():
                read = self._new(draft, kind)
            names[name] = read
        renamed = {name: self.name("v") for name in node.outputs}
        if renamed and len(renamed) > 1 and self.chance(4):
            first, second, *_ = renamed
            renamed[first], renamed[second] = renamed[second], renamed[first]
        draft.nodes.append(node.with_inputs(names).with_outputs(renamed))
        for inner, outer in renamed.items():
            draft.kinds[outer] = "list of any" if mapped else kinds.get(inner, SCALAR)


@st.composite
def calls(draw: st.DrawFn, ledger: Ledger | None = None) -> Call:
    """Draw a graph and how it is called."""
    return Drawing(draw, ledger).call()
