from __future__ import annotations

import copyreg
import dataclasses
import enum
import functools
import math
import pickle
import socket
import threading
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypergraph.errors import (
    CorruptPayload,
    MissingModule,
    PayloadTooLarge,
    UnserializableInput,
    UnserializableResult,
    UntrustedPayload,
)
from hypergraph.values.codec import decode, encode, encode_many, encode_parts
from hypergraph.values.digest import digest

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
)
hashable = scalars | st.tuples(scalars, scalars) | st.frozensets(scalars, max_size=3)
nested = st.recursive(
    hashable | st.sets(hashable, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


@given(nested)
def test_builtin_values_come_back_equal_and_of_the_same_type(value: Any) -> None:
    back = decode(encode(value))

    assert back == value
    assert repr(back) == repr(value) or isinstance(value, set | frozenset | dict | list | tuple)


@given(st.lists(nested, max_size=5))
def test_many_values_come_back_in_their_order(values: list[Any]) -> None:
    assert decode(encode_many(values)) == values


@given(nested, st.data())
def test_cut_bytes_are_corrupt_and_never_half_a_value(value: Any, data: st.DataObject) -> None:
    whole = encode(value)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]

    with pytest.raises(CorruptPayload):
        decode(cut)


def test_the_first_byte_is_the_format() -> None:
    assert encode(1)[0] == 0x80
    assert encode({"a": 1})[0] == 0x80
    assert encode(np.zeros(10_000))[0] == 0x01


def test_an_unknown_format_is_corrupt() -> None:
    with pytest.raises(CorruptPayload, match="first byte 123"):
        decode(b"{}")


def test_subclasses_of_scalars_keep_their_class() -> None:
    back = decode(encode(Celsius(21.5)))

    assert type(back) is Celsius
    assert back == 21.5


class Celsius(float):
    pass


# --- buffers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.arange(3), id="small, inside the pickle"),
        pytest.param(np.arange(100_000), id="large, outside"),
        pytest.param(np.arange(100_000).reshape(100, 1000).T, id="not in C order"),
        pytest.param(np.arange(100_000)[::3], id="not contiguous"),
        pytest.param(np.zeros(10_000, dtype="datetime64[s]"), id="dates"),
    ],
)
def test_arrays_come_back_equal_and_writable(array: np.ndarray[Any, Any]) -> None:
    back = decode(encode(array))

    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable
    assert back.flags.aligned
    back[0] = back[-1]


def test_a_read_only_array_stays_read_only() -> None:
    array = np.arange(100_000)
    array.flags.writeable = False

    assert not decode(encode(array)).flags.writeable


def test_large_buffers_are_not_copied_into_parts() -> None:
    array = np.arange(100_000)
    parts = encode_parts({"a": array})

    assert any(isinstance(part, memoryview) for part in parts)
    assert digest(parts) == digest(encode({"a": array}))


def test_arrays_share_memory_with_a_bytearray_and_with_nothing_else() -> None:
    data = bytearray(encode(np.zeros(10_000)))
    shared, own = decode(data), decode(bytes(data))
    data[-8:] = b"\x01" * 8

    assert shared[-1] != 0
    assert own[-1] == 0
    assert shared.flags.aligned


def test_several_buffers_keep_their_order() -> None:
    arrays = [np.full(1000 + size, size) for size in range(9)]

    back = decode(encode(arrays))

    assert [(len(array), array[0]) for array in back] == [(1000 + n, n) for n in range(9)]


@given(st.integers(0, 16_500))
def test_a_cut_frame_is_corrupt(length: int) -> None:
    whole = encode(np.zeros(2048))

    with pytest.raises(CorruptPayload):
        decode(whole[: min(length, len(whole) - 1)])


# --- what cannot travel -------------------------------------------------------------


class Model:
    def __init__(self, part: Any) -> None:
        self._part = part

    def use(self) -> None: ...


class Slotted:
    __slots__ = ("__dict__", "part")

    def __init__(self, part: Any) -> None:
        self.part = part


class Forgetful:
    """Leaves its lock out, and has something else that does not pickle."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lines = (line for line in "ab")

    def __getstate__(self) -> dict[str, Any]:
        return {"lines": self.lines}


class Circle:
    def __init__(self) -> None:
        self.parent = self
        self.child = Model(self)
        self.child.lock = threading.Lock()  # type: ignore[attr-defined]


class Stubborn:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("not today")


def closure_over(part: Any) -> Any:
    def inner() -> Any:
        return part

    return inner


def defaulting_to(part: Any) -> Any:
    def inner(part: Any = part) -> Any:
        return part

    return inner


LOCK = threading.Lock()

CULPRITS = [
    pytest.param(lambda: LOCK, "$", "_thread.lock", id="the value itself"),
    pytest.param(lambda: Model(LOCK), "$._part", "_thread.lock", id="attribute"),
    pytest.param(lambda: Slotted(LOCK), "$.part", "_thread.lock", id="slot"),
    pytest.param(lambda: {"a": [1, (2, LOCK)]}, "$['a'][1][1]", "_thread.lock", id="containers"),
    pytest.param(lambda: {1: {LOCK}}, "$[1]{...}", "_thread.lock", id="set"),
    pytest.param(lambda: {LOCK: 1}, "$ key _thread.lock", "_thread.lock", id="key"),
    pytest.param(lambda: closure_over(LOCK), "$ closure 'part'", "_thread.lock", id="closure"),
    pytest.param(lambda: defaulting_to(LOCK), "$ default", "_thread.lock", id="default"),
    pytest.param(
        lambda: [closure_over(Model(LOCK))], "$[0] closure 'part'._part", "_thread.lock", id="deep"
    ),
    pytest.param(lambda: functools.partial(print, LOCK), "$.args[0]", "_thread.lock", id="partial"),
    pytest.param(lambda: Model(LOCK).use, "$.__self__._part", "_thread.lock", id="method"),
    pytest.param(lambda: Forgetful(), "$.lines", "generator", id="not what __getstate__ omits"),
    pytest.param(lambda: Circle(), "$.child.lock", "_thread.lock", id="in a circle"),
    pytest.param(lambda: {"s": socket}, "", "", id="a module of Python's is fine"),
    pytest.param(lambda: [Stubborn()], "$[0]", f"{__name__}.Stubborn", id="raises by itself"),
    pytest.param(
        lambda: np.array([1, LOCK], dtype=object), "$.flat[1]", "_thread.lock", id="object array"
    ),
]


@pytest.mark.parametrize(("make", "path", "kind"), CULPRITS)
def test_a_refusal_names_the_path_and_the_type(make: Any, path: str, kind: str) -> None:
    value = make()
    if not path:
        decode(encode(value))
        return
    with pytest.raises(UnserializableInput) as caught:
        encode(value)

    assert (caught.value.path, caught.value.kind) == (path, kind)
    assert caught.value.reason


def test_the_caller_chooses_the_error_and_the_root() -> None:
    error = functools.partial(UnserializableResult, node="load", item=3)

    with pytest.raises(UnserializableResult, match=r"node 'load' \(item 3\).*model\._part"):
        encode(Model(LOCK), where="model", error=error)


def test_a_large_value_with_one_bad_element_is_searched_quickly() -> None:
    value = [*range(5_000), LOCK]

    with pytest.raises(UnserializableInput) as caught:
        encode(value)

    assert caught.value.path == "$[5000]"


def test_a_value_nested_too_deeply_is_refused_with_a_short_path() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(UnserializableInput) as caught:
        encode(value)

    assert caught.value.reason == "it is nested too deeply"
    assert caught.value.path.startswith("$[0][0]")
    assert len(caught.value.path) < 250


def test_a_value_that_contains_itself_comes_back_so() -> None:
    value: list[Any] = [1]
    value.append(value)

    back = decode(encode(value))

    assert back[1] is back


def test_a_file_made_for_the_pickler_is_blamed_on_its_owner() -> None:
    class Wrapper:
        def __reduce__(self) -> Any:
            return list, ([threading.Lock()],)

    with pytest.raises(UnserializableInput) as caught:
        encode({"w": Wrapper()})

    assert (caught.value.path, caught.value.kind) == ("$['w']", "_thread.lock")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        pytest.param(b"x" * 2000, "$", id="the value itself"),
        pytest.param({"a": 1, "b": {"c": np.zeros(10_000)}}, "$['b']['c']", id="one large part"),
        pytest.param([b"x" * 600, b"y" * 600], "$", id="no part is to blame"),
    ],
)
def test_a_value_over_the_limit_is_refused_with_its_largest_part(value: Any, path: str) -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        encode(value, limit_bytes=1000)

    assert caught.value.path == path
    assert caught.value.size_bytes > 1000
    assert caught.value.limit_bytes == 1000


def test_a_value_at_the_limit_passes() -> None:
    data = encode([1, 2, 3])

    assert encode([1, 2, 3], limit_bytes=len(data)) == data


# --- code inside values -------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0

    class Nested:
        pass


Number = typing.TypeVar("Number", int, float)
UserId = typing.NewType("UserId", int)


@functools.lru_cache(maxsize=7)
def squared(x: int) -> int:
    return x * x


def test_in_one_process_classes_keep_their_identity() -> None:
    back = decode(encode([Point(1), Colour.RED, Point.Nested(), Point, Colour]))

    assert back[0] == Point(1)
    assert back[1] is Colour.RED
    assert type(back[2]) is Point.Nested
    assert back[3:] == [Point, Colour]


def test_loading_leaves_the_classes_of_this_process_alone() -> None:
    before = dict(vars(Point))
    data = encode(Point(1))

    decode(data)
    decode(data, prefer="shipped")

    assert dict(vars(Point)) == before


def test_lambdas_and_local_classes_travel() -> None:
    class Local:
        def __init__(self, n: int) -> None:
            self.n = n

    function, local = decode(encode([lambda x: x + 1, Local(3)]))

    assert function(1) == 2
    assert local.n == 3


@pytest.mark.parametrize("value", [Number, UserId])
def test_names_for_types_travel(value: Any) -> None:
    assert decode(encode(value)).__name__ == value.__name__


def test_a_cached_function_of_the_users_travels_with_an_empty_cache() -> None:
    squared(3)

    back = decode(encode(squared))

    assert back(4) == 16
    assert back.cache_parameters() == {"maxsize": 7, "typed": False}
    assert back.cache_info().currsize == 1


def test_reducers_registered_later_are_used() -> None:
    class Handle:
        pass

    encode(1.5)
    copyreg.pickle(Handle, lambda handle: (str, ("handle",)))  # type: ignore[arg-type,return-value]
    try:
        assert decode(encode([Handle()])) == ["handle"]
    finally:
        copyreg.dispatch_table.pop(Handle)


def test_by_reference_no_code_leaves() -> None:
    with pytest.raises(UnserializableInput, match="ship='reference'"):
        encode(lambda: 1, ship="reference")

    assert b"Point" in encode(Point, ship="reference")
    assert len(encode(Point, ship="reference")) < 100


def test_what_is_missing_where_it_is_loaded_is_named() -> None:
    data = pickle.dumps(Point, protocol=2)

    with pytest.raises(MissingModule, match=r"'no_such_module_at_all'"):
        decode(data.replace(__name__.encode(), b"no_such_module_at_all"))
    with pytest.raises(MissingModule, match=r"test_values_codec\.Pixel"):
        decode(data.replace(b"Point", b"Pixel"))


@pytest.mark.parametrize("error", [AttributeError("mine"), ImportError("mine"), ValueError("mine")])
def test_what_a_class_raises_while_it_is_restored_passes_through(error: Exception) -> None:
    data = encode(Restoring(error))

    with pytest.raises(type(error), match="mine"):
        decode(data)


class Restoring:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise state["error"]


# --- workers that run only some modules ---------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([1, "a", {"b": {2.5}}, b"c", None, range(3), 1j], id="builtins"),
        pytest.param(np.arange(5), id="a small array"),
        pytest.param(np.arange(5_000), id="a large array"),
        pytest.param(np.float64(1.5), id="a NumPy scalar"),
        pytest.param(ValueError("x"), id="an exception of Python's"),
        pytest.param(UnserializableInput("$"), id="an exception of ours"),
        pytest.param(enum.auto, id="a name of an allowed module"),
    ],
)
def test_data_passes_the_gate(value: Any) -> None:
    decode(encode(value), allow_modules=["enum"])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda: 1, id="a function by value"),
        pytest.param(Point(1), id="a class by value"),
        pytest.param(eval, id="eval"),
        pytest.param(getattr(__import__("os"), "system"), id="os.system"),  # noqa: B009
        pytest.param(getattr(Point(1), "__repr__"), id="a method"),  # noqa: B009
        pytest.param(threading, id="a module"),
        pytest.param(decode, id="our own decode"),
        pytest.param(np.load, id="a function of NumPy's"),
        pytest.param(functools.partial(int), id="partial"),
    ],
)
def test_everything_else_is_stopped_at_the_gate(value: Any) -> None:
    with pytest.raises(UntrustedPayload, match="this worker runs only what lies in enum"):
        decode(encode(value), allow_modules=["enum"])


def test_a_name_inside_an_allowed_module_is_no_way_out() -> None:
    # As pickle writes a dotted name: `enum.sys.exit`
    crafted = b"\x80\x05\x8c\x04enum\x8c\x08sys.exit\x93."

    with pytest.raises(UntrustedPayload):
        decode(crafted, allow_modules=["enum"])


@given(nested)
def test_plain_data_passes_the_gate_unchanged(value: Any) -> None:
    assert decode(encode(value), allow_modules=[]) == value


def test_equal_values_have_equal_bytes_in_one_process() -> None:
    def make() -> Iterator[bytes]:
        yield encode({"a": [1, 2.5, "x"], "b": Point(1, 2)})

    assert next(make()) == next(make())


def test_not_a_number_comes_back_as_one() -> None:
    assert math.isnan(decode(encode(math.nan)))
