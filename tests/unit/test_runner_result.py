"""What comes back from runs and maps."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest

from hypergraph.runners import (
    GraphState,
    MapResult,
    NodeExecution,
    PauseInfo,
    RunResult,
    RunStatus,
)
from hypergraph.runners.notes import annotate
from hypergraph.runners.state import differs


def completed(index: int | None = None, **values: Any) -> RunResult:
    return RunResult(values, RunStatus.COMPLETED, index=index)


def failed(index: int, error: Exception, **values: Any) -> RunResult:
    return RunResult(values, RunStatus.FAILED, error=error, index=index)


def test_a_result_reads_like_its_values() -> None:
    result = completed(a=1, b=None)

    assert (result["a"], result.get("b", 5), result.get("c", 5)) == (1, None, 5)
    assert "b" in result
    assert "c" not in result
    assert not result.paused
    with pytest.raises(KeyError, match="c"):
        result["c"]


def test_run_ids_are_unique_and_16_characters_long() -> None:
    ids = {completed().run_id for _ in range(2000)}

    assert len(ids) == 2000
    assert all(re.fullmatch("run-[0-9a-f]{12}", run_id) for run_id in ids)


def test_a_result_can_be_made_by_hand() -> None:
    pause = PauseInfo("ask", "answer", "?")
    result = RunResult({}, RunStatus.PAUSED, "run-0", "wf", None, pause)

    assert result.paused
    assert (result.run_id, result.workflow_id, result.pause) == ("run-0", "wf", pause)
    assert result.nested == {}
    assert result.index is None


def test_nested_results_are_reached_by_name_and_by_path() -> None:
    items = MapResult([completed(0, answer=1), completed(1, answer=2)])
    rag = RunResult({"answer": 42}, RunStatus.COMPLETED, nested={"inner": completed(deep=7)})
    result = RunResult({"x": 1}, RunStatus.COMPLETED, nested={"rag": rag, "each": items})

    assert result["rag"] is rag
    assert result["rag.answer"] == 42
    assert result["rag.inner.deep"] == 7
    assert result["each.answer"] == [1, 2]
    assert result.values == {"x": 1}
    assert {"rag", "rag.answer", "rag.inner.deep", "each.answer"} <= {
        name
        for name in ("rag", "rag.answer", "rag.inner.deep", "each.answer", "rag.no", "each.no")
        if name in result
    }
    assert "rag.no" not in result
    assert "each.no" not in result
    assert result.get("rag.no") is None


def test_an_output_hides_a_nested_result_of_the_same_name() -> None:
    result = RunResult({"rag": 1}, RunStatus.COMPLETED, nested={"rag": completed()})

    assert result["rag"] == 1


def test_results_survive_pickle_and_copy() -> None:
    result = RunResult({"a": 1}, RunStatus.FAILED, error=ValueError("boom"))
    results = MapResult([completed(0, a=1), failed(1, ValueError("boom"))], ["a"])

    assert pickle.loads(pickle.dumps(result)).run_id == result.run_id
    for again in (pickle.loads(pickle.dumps(results)), copy.copy(results)):
        assert again["a"] == [1, None]
        assert again.outputs == ("a",)
        assert again.status is RunStatus.PARTIAL


def test_a_result_shows_what_there_is_to_know() -> None:
    result = RunResult({"a": 1}, RunStatus.COMPLETED, "run-0", index=3)

    assert repr(result) == "RunResult(COMPLETED, 'run-0', index=3, values={'a': 1})"
    assert "boom" in repr(failed(0, ValueError("boom")))


def test_the_items_of_a_map_are_a_list() -> None:
    first, second = completed(0, y=1), completed(1, y=2)
    results = MapResult([first, second])

    assert isinstance(results, list)
    assert results == [first, second]
    assert results[0] is first
    assert results[-1:] == [second]
    assert results[:1]["y"] == [1]
    assert len(MapResult()) == 0


def test_a_column_holds_none_for_what_failed() -> None:
    results = MapResult([completed(0, y=1), failed(1, ValueError(), y=9), completed(2)])

    assert results.values_of("y") == results["y"] == [1, None, None]
    assert results.failed == [results[1]]


def test_a_column_that_cannot_be_is_an_error() -> None:
    with pytest.raises(KeyError, match="z"):
        MapResult([completed(0, y=1)])["z"]
    with pytest.raises(KeyError, match="z"):
        MapResult([], ["y"])["z"]


def test_a_column_of_nothing_is_no_error() -> None:
    assert MapResult([completed(0)], ["y"])["y"] == [None]
    assert MapResult([failed(0, ValueError())])["y"] == [None]
    assert MapResult()["y"] == []
    assert MapResult([completed(0, y=None)])["y"] == [None]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("", "COMPLETED"),
        ("COMPLETED COMPLETED", "COMPLETED"),
        ("COMPLETED FAILED", "PARTIAL"),
        ("FAILED FAILED", "FAILED"),
        ("COMPLETED CANCELLED FAILED", "CANCELLED"),
    ],
)
def test_the_status_of_a_map_follows_from_its_items(statuses: str, expected: str) -> None:
    results = MapResult(RunResult({}, RunStatus[name]) for name in statuses.split())

    assert results.status is RunStatus[expected]


def test_the_summary_is_one_line() -> None:
    results = MapResult([completed(0), failed(1, ValueError("bad\nline")), completed(2)])

    assert results.summary() == (
        "3 items: 2 completed, 1 failed (first: item 1: ValueError: bad line)"
    )
    assert MapResult([completed(0)]).summary() == "1 item: 1 completed"
    assert MapResult().summary() == "0 items"


def test_the_answer_to_a_pause_has_a_dotted_name() -> None:
    assert PauseInfo("ask", "answer", 1).response_key == "answer"
    assert PauseInfo("outer/inner/ask", "answer", 1).response_key == "outer.inner.answer"


class Odd:
    """Cannot say whether it differs."""

    def __ne__(self, other: object) -> bool:
        raise TypeError("no idea")


NAN = float("nan")
ODD = Odd()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(1, 1.0, False, id="equal"),
        pytest.param([1], [2], True, id="unequal"),
        pytest.param(NAN, NAN, False, id="the same NaN"),
        pytest.param(NAN, float("nan"), True, id="another NaN"),
        pytest.param(np.zeros(2), np.zeros(2), True, id="equal arrays cannot say"),
        pytest.param(np.zeros(2), np.zeros(3), True, id="arrays of other shapes"),
        pytest.param(ODD, ODD, False, id="the same odd object"),
        pytest.param(ODD, Odd(), True, id="another odd object"),
        pytest.param(None, 0, True, id="nothing and zero"),
    ],
)
def test_what_counts_as_a_newer_value(old: object, new: object, expected: bool) -> None:
    assert differs(old, new) is expected

    state = GraphState()
    state.update_value("x", old)
    state.update_value("x", new)
    assert state.get_version("x") == 1 + expected


def test_the_first_value_is_version_1() -> None:
    state = GraphState()
    assert state.get_version("x") == 0

    state.update_value("x", None)

    assert state.get_version("x") == 1
    assert state == GraphState({"x": None}, {"x": 1}, {}, {})


def test_a_copied_state_shares_values_and_nothing_else() -> None:
    value = [1]
    done = NodeExecution("f", {"x": 1}, {"y": value})
    state = GraphState({"x": value}, {"x": 1}, {"f": done}, {"g": "f"})

    other = state.copy()
    assert other == state
    other.update_value("x", 2)
    other.node_executions["f"].outputs["z"] = 1
    other.node_executions["f"].input_versions["x"] = 2
    other.routing_decisions.clear()

    assert state.values["x"] is value
    assert state.get_version("x") == 1
    assert done == NodeExecution("f", {"x": 1}, {"y": value})
    assert state.routing_decisions == {"g": "f"}


def test_an_error_gets_each_note_once() -> None:
    error = ValueError("boom")

    for _ in range(2):
        annotate(error, run_id="run-0", path=("embed[3]", "clean"), item=7)
    annotate(error)

    assert error.__notes__ == ["Raised by node 'embed[3]/clean' in run run-0, item 7"]


def test_an_error_that_takes_no_notes_stays_as_it_is() -> None:
    class Sealed(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError("sealed")

    annotate(Sealed(), run_id="run-0")
