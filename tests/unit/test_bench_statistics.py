"""The benchmark's arithmetic: what it says about numbers it was given. Nothing is timed here."""

from __future__ import annotations

import pytest

from scripts.benchmarks.contenders.ours import OURS
from scripts.benchmarks.figures import FIGURES, Figure, Verdict, is_reached, verdicts
from scripts.benchmarks.host import Report, Task
from scripts.benchmarks.imports import IMPORT
from scripts.benchmarks.report import to_markdown, to_text
from scripts.benchmarks.results import Results
from scripts.benchmarks.summary import Summary, best, number, ratio, summarise
from scripts.benchmarks.workloads import Samples, Size


def results_of(*rounds: Report) -> Results:
    results = Results({"cpu": "abacus"})
    for number_, report in enumerate(rounds):
        results.add(number_, "a contender", report)
    return results


def report_of(workload: str, **rows: float) -> Report:
    return Report([Samples(workload, row, "", [value]) for row, value in rows.items()])


def verdict_on(title: str, results: Results) -> Verdict:
    return next(verdict for verdict in verdicts(results) if verdict.title == title)


def test_a_round_speaks_with_its_median_however_many_samples_it_has() -> None:
    summary = summarise([[1.0, 100.0, 2.0], [3.0] * 50, [4.0]])

    assert summary == Summary(median=3.0, low=2.0, high=4.0, rounds=3)


@pytest.mark.parametrize("rounds", [[], [[1.0], []]], ids=["no round", "an empty round"])
def test_nothing_is_not_summarised(rounds: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        summarise(rounds)


def test_a_machine_that_slows_down_changes_no_ratio() -> None:
    ours = {0: [1.0], 1: [10.0], 2: [1.0]}
    theirs = {0: [2.0], 1: [20.0], 2: [2.0]}

    assert ratio(ours, theirs) == Summary(median=0.5, low=0.5, high=0.5, rounds=3)


def test_a_ratio_takes_only_rounds_that_both_sides_finished() -> None:
    assert ratio({0: [1.0], 2: [3.0]}, {0: [4.0], 1: [1.0]}) == Summary(0.25, 0.25, 0.25, 1)
    assert ratio({0: [1.0]}, {1: [1.0]}) is None


@pytest.mark.parametrize(("higher", "expected"), [(True, "fast"), (False, "slow")])
def test_the_best_variant_is_best_by_median_and_not_by_luck(higher: bool, expected: str) -> None:
    variants = {
        "fast": {0: [5.0], 1: [5.0], 2: [5.0]},
        "slow": {0: [99.0], 1: [1.0], 2: [1.0]},
    }

    assert best(variants, higher_is_better=higher) == expected


def test_a_row_stands_for_its_best_variant() -> None:
    samples = [Samples("map", "Dask bag", f"{n} partitions", [n * 1.0]) for n in (4, 16, 8)]
    row = results_of(Report(samples)).row("map", "Dask bag")

    assert row is not None
    assert (row.variant, row.summary.median) == ("16 partitions", 16.0)


@pytest.mark.parametrize(
    ("figure", "measured", "reached"),
    [
        pytest.param(Figure("", "hot", "Dask", most=0.3), 0.3, True, id="at most, just reached"),
        pytest.param(Figure("", "hot", "Dask", most=0.3), 0.31, False, id="at most, missed"),
        pytest.param(Figure("", "map", "Dask", least=50), 50, True, id="at least, just reached"),
        pytest.param(Figure("", "map", "Dask", least=50), 49.9, False, id="at least, missed"),
    ],
)
def test_a_promise_is_kept_up_to_its_limit(figure: Figure, measured: float, reached: bool) -> None:
    assert is_reached(figure, measured) is reached


def test_every_promise_has_exactly_one_limit() -> None:
    assert all((figure.most is None) != (figure.least is None) for figure in FIGURES)


def test_a_promise_is_judged_by_the_ratio_to_its_contender() -> None:
    verdict = verdict_on("one-node run, hot", results_of(report_of("hot", Dask=10.0, **{OURS: 2})))

    assert (verdict.measured, verdict.reached) == ("0.2 (0.2 .. 0.2)", True)


def test_a_promise_without_a_contender_is_neither_kept_nor_broken() -> None:
    verdict = verdict_on("one-node run, hot", results_of(report_of("hot", **{OURS: 2.0})))

    assert (verdict.measured, verdict.reached) == ("not measured", None)


@pytest.mark.parametrize(
    ("asyncio", "ours", "limit", "reached"),
    [
        pytest.param(50.0, 130.0, "<= 120 ms", True, id="asyncio is fast: the milliseconds count"),
        pytest.param(50.0, 131.0, "<= 120 ms", False, id="and are a limit"),
        pytest.param(110.0, 260.0, "<= 250 ms", True, id="asyncio is slow: the ratio counts"),
    ],
)
def test_the_import_may_take_the_larger_of_its_two_limits(
    asyncio: float, ours: float, limit: str, reached: bool
) -> None:
    rows = {"bare Python": 10.0, "import asyncio": asyncio, "import hypergraph": ours}
    verdict = verdict_on("import, over bare Python", results_of(report_of(IMPORT, **rows)))

    assert (verdict.required, verdict.reached) == (limit, reached)


def test_wrong_answers_failures_and_absentees_are_in_the_text() -> None:
    report = Report(unavailable="not installed", wrong=["2 + 2 = 5"], failed={"map": "Broken"})
    text = to_text(results_of(report))

    assert "a contender: not installed" in text
    assert "2 + 2 = 5" in text
    assert "round 1: a contender failed at map: Broken" in text


def test_tables_fit_eighty_columns() -> None:
    samples = [
        Samples("map", "process pool, one task per item", "", [11_100.0]),
        Samples("map", "Dask bag", "100 partitions", [1_234_567.0]),
        Samples("map", OURS, "", [123_456.0]),
        Samples("chain", "Dask", "futures, submitted ahead", [5.81234]),
        Samples("chain", OURS, "", [0.0123456]),
    ]
    text = to_text(results_of(Report(samples), Report(samples)))

    assert max(map(len, text.splitlines())) <= 80


def test_markdown_has_a_line_per_row_and_a_column_per_workload() -> None:
    report = Report([Samples("hot", "Dask", "", [10.0]), Samples("map", "Dask bag", "4", [9.0])])

    assert to_markdown(results_of(report)).splitlines()[:4] == [
        "|  | hot, ms | map, items/s |",
        "| --- | ---: | ---: |",
        "| Dask | 10 (10 .. 10) |  |",
        "| Dask bag |  | 9 (9 .. 9), 4 |",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0000345, "0.000034"),
        (0.0213, "0.0213"),
        (10.72, "10.7"),
        (999.6, "1,000"),
        (3.0, "3"),
        (6.73e6, "6,730,000"),
    ],
)
def test_numbers_are_short_and_have_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_tasks_and_reports_survive_the_way_to_their_process_and_back() -> None:
    task = Task("dask", ["hot"], Size(calls=3), "report.json")
    report = Report([Samples("hot", "Dask", "", [1.5])], wrong=["no"], failed={"map": "why"})

    assert Task.from_json(task.to_json()) == task
    assert Report.from_json(report.to_json()) == report
