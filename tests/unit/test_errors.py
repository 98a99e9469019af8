"""Errors name the culprit and the way out, and cross processes whole."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

import hypergraph
from hypergraph import errors, exceptions
from hypergraph.errors import (
    AlreadyAnswered,
    CodeDiffers,
    ConflictError,
    CorruptPayload,
    ForbiddenCode,
    GraphConfigError,
    GraphError,
    HypergraphError,
    IncompatibleRunnerError,
    IncompatibleWorker,
    InfiniteLoopError,
    MissingInputError,
    MissingModule,
    NodeExited,
    NodeTimeout,
    NoWorker,
    PauseExecution,
    PayloadError,
    PayloadTooLarge,
    RemoteError,
    RenameError,
    ResultExpired,
    RunCancelled,
    RunError,
    StateLost,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UnsafeRedisConfig,
    UnserializableInput,
    UnserializableResult,
    UntrustedPayload,
    WorkerCrashed,
    WorkerError,
)

#: one of each, with what its text must mention
EXAMPLES: list[tuple[HypergraphError, list[str]]] = [
    (GraphConfigError("Duplicate node name: 'a'"), ["'a'"]),
    (RenameError("'x' not found"), ["'x'"]),
    (MissingInputError(["b", "a"], ["c"]), ["'a', 'b'", "'c'", "bind"]),
    (
        IncompatibleRunnerError("no async", node_name="fetch", capability="supports_async_nodes"),
        ["no async"],
    ),
    (InfiniteLoopError(7), ["7", "max_iterations", "END"]),
    (ConflictError("x", ("a", "b")), ["'x'", "'a', 'b'", "gate"]),
    (RunCancelled("run-1", done=3, skipped=4), ["run-1", "3 finished", "4 skipped"]),
    (AlreadyAnswered("run-1", "outer.answer"), ["run-1", "'outer.answer'"]),
    (RemoteError("lib.Odd", "boom", traceback="...", reason="no class"), ["lib.Odd: boom"]),
    (
        WorkerCrashed(9, None, "outer/f", 3, "host:12", 3),
        ["SIGKILL", "outer/f", "item 3", "3 times"],
    ),
    (WorkerCrashed(exit_code=3, node="f"), ["exit code 3", "once"]),
    (WorkerCrashed(signal=250), ["signal 250"]),
    (NodeExited(2, "f", worker="host:12"), ["'f'", "2", "host:12"]),
    (NodeTimeout("f", 5, 1.5, stack="line 3"), ["'f'", "item 5", "1.5 s", "line 3"]),
    (NoWorker("gpu.py311", "redis://q"), ["'gpu.py311'", "hypergraph worker --url redis://q"]),
    (MissingModule("mine", ("w1",), node="f"), ["'mine'", "'w1'", "'f'", "PYTHONPATH"]),
    (
        CodeDiffers("shop", ("w1",), "total", "shop.total", "version 2", "version 1"),
        ["shop.total", "'total'", "'w1'", "version 2", "version 1", "restart", "ship='value'"],
    ),
    (IncompatibleWorker("python 3.12", {"w1": "python 3.11"}), ["3.12", "w1: python 3.11"]),
    (UnserializableInput("f.<closure>.lock", "lock", "cannot"), ["f.<closure>.lock", "a lock"]),
    (UnserializableResult("$.m", "lock", "f", 2, "cannot"), ["'f'", "item 2", "$.m", "a lock"]),
    (PayloadTooLarge(2_000_000, 1_000_000, "input 'doc'"), ["2,000,000", "1,000,000", "'doc'"]),
    (CorruptPayload("hg:k", "aa", "bb"), ["hg:k", "aa", "bb"]),
    (UntrustedPayload("wrong run", "hg:k"), ["wrong run", "hg:k", "HYPERGRAPH_SECRET"]),
    (
        ForbiddenCode("os.system", allowed=["ours"]),
        ["--allow-modules", "os.system", "lies in ours", "ship='reference'"],
    ),
    (StoreUnavailable("redis://q", "refused", 5.0), ["redis://q", "refused", "5.0 s"]),
    (
        UnsafeRedisConfig("maxmemory-policy", "allkeys-lru", "noeviction"),
        ["maxmemory-policy=allkeys-lru", "CONFIG SET maxmemory-policy noeviction"],
    ),
    (StoreFull(9, 10, {"run-1": 5}), ["9 of 10 bytes", "run-1: 5 bytes", "maxmemory"]),
    (StateLost("run-1"), ["run-1"]),
    (ResultExpired("run-1", 1.0, 86400), ["run-1", "86400 s", "keep_s"]),
]
IDS = [f"{type(error).__name__}-{number}" for number, (error, _) in enumerate(EXAMPLES)]

TREE: dict[type[HypergraphError], set[str]] = {
    GraphError: {"GraphConfigError", "RenameError"},
    RunError: {
        "MissingInputError",
        "IncompatibleRunnerError",
        "InfiniteLoopError",
        "ConflictError",
        "RunCancelled",
        "AlreadyAnswered",
        "RemoteError",
    },
    WorkerError: {
        "WorkerCrashed",
        "NodeExited",
        "NodeTimeout",
        "NoWorker",
        "MissingModule",
        "IncompatibleWorker",
    },
    PayloadError: {
        "UnserializableInput",
        "UnserializableResult",
        "PayloadTooLarge",
        "CorruptPayload",
        "UntrustedPayload",
    },
    StoreError: {
        "StoreUnavailable",
        "UnsafeRedisConfig",
        "StoreFull",
        "StateLost",
        "ResultExpired",
    },
}


def by_pickle(error: BaseException) -> BaseException:
    again: BaseException = pickle.loads(pickle.dumps(error))
    return again


@pytest.mark.parametrize(("error", "words"), EXAMPLES, ids=IDS)
def test_the_text_names_culprit_and_remedy(error: HypergraphError, words: list[str]) -> None:
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize("again", [by_pickle, copy.copy, copy.deepcopy])
@pytest.mark.parametrize(("error", "words"), EXAMPLES, ids=IDS)
def test_an_error_survives_the_wire_with_attributes_notes_and_text(
    error: HypergraphError, words: list[str], again: Callable[[BaseException], BaseException]
) -> None:
    error = copy.copy(error)
    error.add_note("in run run-1")
    other = again(error)

    assert type(other) is type(error)
    assert vars(other) == vars(error)
    assert str(other) == str(error)
    assert other.args == error.args


def test_a_subclass_with_its_own_constructor_survives_the_wire() -> None:
    other = by_pickle(Stubborn(code=3))

    assert isinstance(other, Stubborn)
    assert other.code == 3


class Stubborn(GraphConfigError):
    def __init__(self, *, code: int) -> None:
        super().__init__("stubborn")
        self.code = code


def test_every_error_hangs_where_the_tree_says() -> None:
    for branch, names in TREE.items():
        assert branch.__bases__ == (HypergraphError,)
        assert {
            cls.__name__ for cls in branch.__subclasses__() if cls.__module__ == errors.__name__
        } == names


def test_every_error_has_an_example_here() -> None:
    shown = {type(error).__name__ for error, _ in EXAMPLES}

    assert set().union(*TREE.values()) <= shown


def test_a_graph_config_error_is_no_value_error() -> None:
    assert not issubclass(GraphConfigError, ValueError)


def test_both_addresses_and_the_top_level_give_the_same_classes() -> None:
    for name in exceptions.__all__:
        assert getattr(exceptions, name) is getattr(errors, name)
        if name != "PauseExecution":
            assert getattr(hypergraph, name) is getattr(errors, name)


def test_missing_inputs_are_sorted_and_a_typo_is_guessed() -> None:
    error = MissingInputError(["query", "limit"], ["qeury"])

    assert error.missing == ["limit", "query"]
    assert error.provided == ["qeury"]
    assert error.message == str(error)
    assert "Did you mean: 'qeury' -> 'query'?" in str(error)


def test_a_message_of_ones_own_is_kept() -> None:
    assert str(MissingInputError(["x"], message="mine")) == "mine"
    assert str(InfiniteLoopError(3, "mine")) == "mine"
    assert InfiniteLoopError(3).max_iterations == 3


def test_no_except_exception_swallows_a_pause() -> None:
    pause = PauseExecution("info")

    assert not isinstance(pause, Exception)
    assert pause.pause_info == "info"
