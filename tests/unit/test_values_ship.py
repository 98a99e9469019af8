from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NewType

import click
import numpy as np
import pytest

from hypergraph import Graph, node
from hypergraph.errors import (
    PayloadTooLarge,
    UnserializableInput,
)
from hypergraph.nodes import FunctionNode, InterruptNode, ifelse, route
from hypergraph.values.ship import Loader, Packed, Packer
from tests.values_project import Project, project_in


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The user's project, for this test."""
    yield from project_in(tmp_path, monkeypatch)


def stored(*packed: Packed) -> dict[str, bytes]:
    return {blob.digest: blob.data for each in packed for blob in (each, *each.parts)}


def sent(made: Any, **options: Any) -> Any:
    """Return a node as a worker would load it."""
    packed = Packer(**options).pack_node(made)
    return Loader(stored(packed).__getitem__).load_node(packed.digest)


@node(output_name="y")
def plus_one(x: int) -> int:
    return x + 1


@node(output_name="z")
def doubled(y: int) -> int:
    return 2 * y


def multiplier(factor: int) -> Any:
    @node(output_name="y")
    def times(x: int) -> int:
        return x * factor

    return times


# --- nodes --------------------------------------------------------------------------


def test_a_node_arrives_with_names_renames_and_settings() -> None:
    made = (
        FunctionNode(plus_one, output_name="a", cache=True)
        .with_name("n")
        .with_inputs(x="q")
        .with_outputs(a="b")
    )

    back = sent(made)

    assert (back.name, back.inputs, back.outputs, back.cache) == ("n", ("q",), ("b",), True)
    assert back.map_inputs_to_params({"q": 1}) == {"x": 1}
    assert back.definition_hash == made.definition_hash or back._callee._hash is None
    assert back(1) == 2


def test_gates_and_interrupts_arrive() -> None:
    @route(["a", "b"], fallback="b")
    def pick(x: int) -> str:
        return "a"

    @ifelse("a", "b")
    def decide(x: int) -> bool:
        return x > 0

    pause = InterruptNode(
        "ask", input_param="x", output_param="y", handler=lambda shown: shown + "!"
    )

    assert sent(pick).targets == ["a", "b"]
    assert sent(pick)(1) == "a"
    assert sent(decide)(1) is True
    assert sent(pause).handler("well") == "well!"


def test_bound_methods_and_callable_objects_arrive() -> None:
    class Model:
        def __init__(self, bias: int) -> None:
            self.bias = bias

        def predict(self, x: int) -> int:
            return x + self.bias

        def __call__(self, x: int) -> int:
            return x - self.bias

    assert sent(FunctionNode(Model(3).predict, output_name="y"))(1) == 4
    assert sent(FunctionNode(Model(3), "call", "y"))(1) == -2


def test_a_recursive_node_arrives() -> None:
    @node(output_name="y")
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * int(factorial(n - 1))

    assert sent(factorial)(5) == 120


@pytest.mark.parametrize("made", [plus_one, multiplier(3), FunctionNode(lambda x: x, "l", "y")])
def test_packed_twice_the_bytes_are_the_same(made: FunctionNode) -> None:
    assert Packer().pack_node(made) == Packer().pack_node(made)


def test_equal_closures_made_twice_have_the_same_bytes() -> None:
    assert Packer().pack_node(multiplier(3)) == Packer().pack_node(multiplier(3))
    assert Packer().pack_node(multiplier(3)) != Packer().pack_node(multiplier(4))


def test_running_a_function_does_not_change_its_bytes() -> None:
    before = Packer().pack_node(plus_one)
    for _ in range(100):
        plus_one(1)

    assert Packer().pack_node(plus_one) == before


def test_nodes_made_from_one_function_share_it_where_they_are_loaded() -> None:
    packer = Packer()
    one = packer.pack_node(plus_one.with_name("one"))
    two = packer.pack_node(plus_one.with_name("two"))
    loader = Loader(stored(one, two).__getitem__)

    assert one.digest != two.digest
    assert loader.load_node(one.digest).func is loader.load_node(two.digest).func


# --- what goes by value, and what by name -------------------------------------------


def test_only_what_a_worker_must_import_is_listed() -> None:
    def uses_much(x: Any) -> Any:
        return np.linalg.norm(x), click.echo, json_dumps(x), Packer

    from json import dumps as json_dumps

    packed = Packer().pack_node(FunctionNode(uses_much, output_name="y"))

    assert set(packed.modules) == {"click", "numpy"}
    assert Packer().pack_node(plus_one).modules == ()


def test_functions_of_the_users_modules_go_by_value(project: Project) -> None:
    module = project("mine", "K = 3\ndef help(x): return x * K\ndef f(x): return help(x)\n")
    packed = Packer().pack_node(FunctionNode(module.f, output_name="y"))
    del sys.modules["mine"]

    assert packed.modules == ()
    assert Loader(stored(packed).__getitem__).load_node(packed.digest).func(2) == 6


def test_by_reference_a_node_is_small_and_names_its_module(project: Project) -> None:
    module = project(
        "named", "from hypergraph import node\n@node(output_name='y')\ndef f(x): return x\n"
    )
    packed = Packer("reference").pack_node(module.f)
    loaded = Loader(stored(packed).__getitem__).load_node(packed.digest)

    assert packed.modules == ("named",)
    assert loaded.func is module.f.func


@pytest.mark.parametrize("made", [multiplier(3), FunctionNode(lambda x: x, "l", "y")])
def test_by_reference_what_has_no_name_is_refused(made: FunctionNode) -> None:
    with pytest.raises(UnserializableInput, match=r"\.func.*ship='reference' sends no code"):
        Packer("reference").pack_node(made)


def test_by_value_the_package_of_the_function_goes_along() -> None:
    made = FunctionNode(click.style, output_name="y")

    assert Packer("auto").pack_node(made).modules == ("click",)
    packed = Packer("value").pack_node(made)
    assert "click" not in packed.modules
    back = Loader(stored(packed).__getitem__).load_node(packed.digest)
    assert back.func is not click.style
    assert back.func("x", fg="red") == click.style("x", fg="red")


def test_an_unknown_way_to_ship_is_refused() -> None:
    with pytest.raises(ValueError, match="'auto', 'value' or 'reference', not 'copy'"):
        Packer("copy")  # type: ignore[arg-type]


WITH_A_LOCK = """
    import threading
    from hypergraph import node
    lock = threading.Lock()
    def guarded(x):
        with lock:
            return x + 1
    def plain(x): return x + 2
    class Guarded:
        lock = threading.Lock()
        def work(self, x): return x + 3
    """


@pytest.mark.parametrize(
    ("body", "named"),
    [
        pytest.param("guards.guarded(x)", r"user\.func global 'guards'\.", id="a module"),
        pytest.param("guarded(x)", r"user\.func global 'guarded' global 'lock'", id="a function"),
        pytest.param("Guarded().work(x)", r"user\.func global 'Guarded'\.lock", id="a class"),
    ],
)
def test_a_module_that_does_not_pickle_goes_by_name_with_one_warning(
    project: Project, body: str, named: str
) -> None:
    project("guards", WITH_A_LOCK)
    module = project(
        "uses_guards",
        f"""
        import guards
        from guards import Guarded, guarded
        from hypergraph import node
        @node(output_name="y")
        def user(x): return {body}
        """,
    )
    packer = Packer()

    with pytest.warns(UserWarning, match=named + r".*module 'guards'") as warned:
        packed = packer.pack_node(module.user)
        packer.pack_node(module.user.with_name("again"))

    assert len(warned) == 1
    assert packed.modules == ("guards",)
    back = Loader(stored(packed).__getitem__).load_node(packed.digest)
    assert back.func(1) == module.user.func(1)


def test_a_module_that_pickles_is_dragged_along_without_a_word(project: Project) -> None:
    project("tools", "import tools_too\nlimit = 3\ndef clip(x): return tools_too.low(x, limit)\n")
    module = project("uses_tools", "import tools\ndef f(x): return tools.clip(x)\n")
    packed = Packer().pack_node(FunctionNode(module.f, output_name="y"))
    for name in ("tools", "tools_too", "uses_tools"):
        del sys.modules[name]

    assert packed.modules == ()
    assert Loader(stored(packed).__getitem__).load_node(packed.digest).func(9) == 3


@pytest.fixture(autouse=True)
def tools_too(tmp_path: Path) -> None:
    # Two modules that refer to each other.
    (tmp_path / "tools_too.py").write_text("import tools\ndef low(x, y): return min(x, y)\n")


def test_by_value_nothing_falls_back_to_its_name(project: Project) -> None:
    module = project("guards", WITH_A_LOCK)

    with pytest.raises(UnserializableInput, match=r"guarded\.func global 'lock'"):
        Packer("value").pack_node(FunctionNode(module.guarded, output_name="y"))


def test_a_closure_over_a_lock_is_refused_with_its_cell() -> None:
    lock = threading.Lock()

    @node(output_name="y")
    def guarded(x: int) -> int:
        with lock:
            return x

    with pytest.raises(UnserializableInput) as caught:
        Packer().pack_node(guarded)

    assert caught.value.path == "guarded.func closure 'lock'"
    assert caught.value.kind == "_thread.lock"


def test_a_bound_value_that_does_not_pickle_is_refused_with_its_name() -> None:
    graph = Graph([plus_one], name="g").bind(x=threading.Lock())

    with pytest.raises(UnserializableInput, match=r"g\._bound\['x'\] \(a _thread\.lock\)"):
        Packer().pack_graph(graph)


UserId = NewType("UserId", int)


def test_odd_annotations_do_not_keep_a_function_from_travelling() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")

        def odd(x: threading.Lock(), y: int, z: UserId) -> int:  # type: ignore[valid-type]
            return 1

        odd.__annotations__["x"] = threading.Lock()
        back = sent(FunctionNode(odd, output_name="r"))

    assert back.func(1, 2, 3) == 1
    assert back.func.__annotations__["y"] in (int, "int")
    assert not warned


def test_a_large_node_is_refused_with_its_size() -> None:
    table = np.zeros(10_000)

    @node(output_name="y")
    def look_up(x: int) -> float:
        return float(table[x])

    with pytest.raises(PayloadTooLarge) as caught:
        Packer(limit_bytes=1_000).pack_node(look_up)
    assert caught.value.size_bytes > 80_000
    assert caught.value.path == "look_up.func closure 'table'"
    assert sent(look_up).func(3) == 0.0


# --- graphs -------------------------------------------------------------------------


def test_a_graph_arrives_whole_and_each_function_crosses_once() -> None:
    inner = Graph([plus_one], name="inner").bind(x=4)
    more = plus_one.with_name("more").with_inputs(x="w").with_outputs(y="v")
    graph = Graph([inner.as_node(), doubled, more])

    packed = Packer().pack_graph(graph)
    back = Loader(stored(packed).__getitem__).load_graph(packed.digest)

    assert list(back.nodes) == ["inner", "doubled", "more"]
    assert back.nodes["inner"].graph.inputs.bound == {"x": 4}  # type: ignore[attr-defined]
    assert back.definition_hash == graph.definition_hash
    assert len(packed.parts) == 3
    assert len(packed.data) < 1_000
    assert back.nodes["doubled"](3) == 6  # type: ignore[operator]


def test_graphs_that_share_nodes_share_blobs() -> None:
    one = Packer().pack_graph(Graph([plus_one, doubled]))
    two = Packer().pack_graph(Graph([plus_one]))

    assert set(stored(two)) - set(stored(one)) == {two.digest}


def test_a_graph_lists_what_its_nodes_need() -> None:
    @node(output_name="y")
    def norm(x: Any) -> Any:
        return np.linalg.norm(x)

    packed = Packer().pack_graph(Graph([norm]).bind(x=click.Path))

    assert set(packed.modules) == {"numpy", "click"}
