"""Nodes run on the queue that they, or the runner, name."""

from __future__ import annotations

from typing import Any

import pytest

from hypergraph import END, Graph, SyncRunner, node, route
from hypergraph.errors import IncompatibleRunnerError
from hypergraph.graph.placement import home_of, place, queues_of, seen_from
from hypergraph.nodes import FunctionNode, GraphNode
from hypergraph.plan import compile_plan
from hypergraph.values.loader import Loader
from hypergraph.values.ship import Packer


@node(output_name="a")
def load(x: int) -> int:
    return x + 1


@node(output_name="b", queue="gpu")
def embed(a: int, scale: int = 2) -> int:
    return a * scale


@node(output_name="c")
def store(b: int) -> int:
    return b - 1


GRAPH = Graph([load, embed, store], name="pipeline")
NESTED = Graph([GRAPH.as_node(name="inner"), store.with_name("last").with_outputs(c="d")])


def queue_of(graph: Graph, path: str) -> str | None:
    *graphs, name = path.split("/")
    for outer in graphs:
        inner = graph.nodes[outer]
        assert isinstance(inner, GraphNode)
        graph = inner.graph
    return graph.nodes[name].queue


@pytest.mark.parametrize("queue", ["", "g p u", "gpu.a100", "a,b", "gpu:1", "a\n", "täglich"])
def test_a_queue_is_named_with_letters_digits_underscores_and_dashes(queue: str) -> None:
    with pytest.raises(ValueError, match="queue's name: use letters"):
        FunctionNode(load.func, queue=queue, output_name="a")


@pytest.mark.parametrize("queue", ["DQ", "gpuXQ"])
def test_a_queue_is_not_called_like_those_of_dramatiq(queue: str) -> None:
    with pytest.raises(ValueError, match="Dramatiq"):
        node(output_name="a", queue=queue)(load.func)


def test_a_queue_is_a_string() -> None:
    with pytest.raises(TypeError, match="is a string; got 7"):
        FunctionNode(load.func, output_name="a", queue=7)  # type: ignore[arg-type]


def test_renames_keep_the_queue() -> None:
    renamed = embed.with_name("e").with_inputs(a="y").with_outputs(b="z")

    assert renamed.queue == "gpu"
    assert load.queue is None


def test_a_node_made_from_a_node_takes_only_its_function() -> None:
    assert FunctionNode(embed, output_name="b").queue is None


def test_runners_in_this_process_pay_no_heed() -> None:
    assert SyncRunner().run(GRAPH, x=1).values == {"a": 2, "b": 4, "c": 3}


def test_a_graph_in_which_nothing_is_placed_stays_the_same() -> None:
    plain = Graph([load, store])

    assert place(plain, {}) is plain
    assert place(plain, {"nobody": "gpu"}) is plain


def test_what_is_not_placed_runs_on_the_default_queue() -> None:
    placed = place(GRAPH, {})

    assert [placed.nodes[name].queue for name in placed.nodes] == ["default", "gpu", "default"]
    assert [planned.queue for planned in compile_plan(placed).nodes] == [
        "default",
        "gpu",
        "default",
    ]
    assert queues_of(placed) == {"default", "gpu"}


def test_a_placed_graph_is_made_once() -> None:
    assert place(GRAPH, {"load": "cpu"}) is place(GRAPH, {"load": "cpu"})


def test_the_graph_itself_is_not_changed() -> None:
    place(GRAPH, {"load": "cpu"})

    assert [node.queue for node in GRAPH._nodes] == [None, "gpu", None]


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        pytest.param({}, "default gpu default default", id="the node's own word"),
        pytest.param({"embed": "tpu"}, "default tpu default default", id="a name, anywhere"),
        pytest.param({"inner/embed": "tpu"}, "default tpu default default", id="a path"),
        pytest.param(
            {"inner/embed": "tpu", "embed": "cpu"}, "default tpu default default", id="path first"
        ),
        pytest.param({"inner": "cpu"}, "cpu cpu cpu default", id="a graph means all inside"),
        pytest.param(
            {"inner": "cpu", "load": "disk"}, "disk cpu cpu default", id="the most specific first"
        ),
        pytest.param({"embed": "default"}, "default default default default", id="back again"),
    ],
)
def test_the_runners_word_wins_and_the_most_specific_one_counts(
    queues: dict[str, str], expected: str
) -> None:
    placed = place(NESTED, queues)
    paths = ("inner/load", "inner/embed", "inner/store", "last")

    assert " ".join(str(queue_of(placed, path)) for path in paths) == expected


def test_where_all_workers_serve_all_queues_nothing_is_placed() -> None:
    assert queues_of(place(NESTED, None)) == {"default"}


def test_a_nested_graph_runs_where_its_first_node_does() -> None:
    first_on_gpu = Graph([store, embed.with_inputs(a="x")], name="inner")

    assert home_of(place(first_on_gpu, {})) == "gpu"
    assert home_of(place(GRAPH, {})) == "default"
    assert queue_of(place(Graph([first_on_gpu.as_node()]), {}), "inner") == "gpu"


@route(targets=["embed", END])
def choose(a: int) -> Any:
    return "embed"


def test_gates_go_with_the_functions_if_these_are_all_in_one_place() -> None:
    gated = Graph([load, choose, embed])

    assert queue_of(place(gated, {}), "choose") == "default"
    assert queue_of(place(gated, {"load": "gpu"}), "choose") == "gpu"
    assert queue_of(place(gated, {"load": "gpu", "choose": "cpu"}), "choose") == "cpu"


def test_a_piece_with_a_runner_of_its_own_is_not_torn_apart() -> None:
    outer = Graph([GRAPH.as_node(name="piece", runner=SyncRunner())])

    with pytest.raises(IncompatibleRunnerError, match=r"'piece' .* 'default', 'gpu'.*queues={'pi"):
        place(outer, {})
    assert queue_of(place(outer, {"piece": "gpu"}), "piece") == "gpu"


# -- what workers of one queue need -------------------------------------------------------------


def test_workers_of_a_queue_get_the_functions_of_that_queue_only() -> None:
    seen = seen_from(place(GRAPH, {}), "default")

    assert SyncRunner().run(Graph([seen.nodes["load"]]), x=1)["a"] == 2
    with pytest.raises(AssertionError, match="on other workers"):
        SyncRunner().run(Graph([seen.nodes["embed"]]), a=1)


def test_what_is_absent_is_wired_and_planned_alike() -> None:
    inner = GRAPH.as_node(name="in").with_inputs(x="y").with_outputs(a="A", b="B", c="C")
    placed = place(Graph([load, choose, embed, inner]), {})
    seen = seen_from(placed, "nowhere")

    assert compile_plan(seen).to_wire() == compile_plan(placed).to_wire()
    assert seen.inputs == placed.inputs


@pytest.mark.parametrize("allow", [None, ["tests.unit.test_placement"]])
def test_what_is_absent_travels(allow: list[str] | None) -> None:
    packed = Packer("auto" if allow is None else "reference").pack_graph(
        seen_from(place(GRAPH, {}), "default")
    )
    blobs = {part.digest: part.data for part in (packed, *packed.parts)}
    arrived = Loader(blobs.__getitem__, allow_modules=allow).load_graph(packed.digest)

    assert compile_plan(arrived).to_wire() == compile_plan(place(GRAPH, {})).to_wire()
    assert arrived.nodes["embed"].get_default_for("scale") == 2


def test_bindings_that_only_absent_nodes_read_stay_at_home() -> None:
    bound = place(GRAPH.bind(scale=7), {})

    assert seen_from(bound, "default").inputs.bound == {"scale": None}
    assert seen_from(bound, "default", keep=["scale"]).inputs.bound == {"scale": 7}
    assert seen_from(bound, "gpu").inputs.bound == {"scale": 7}


def test_lists_that_a_nested_graph_is_mapped_over_stay() -> None:
    inner = Graph([embed], name="inner").bind(a=[1, 2])
    mapped = place(Graph([inner.as_node().map_over("a"), load]), {})
    seen = seen_from(mapped, "default").nodes["inner"]

    assert isinstance(seen, GraphNode)
    assert seen.graph.inputs.bound == {"a": [1, 2]}
