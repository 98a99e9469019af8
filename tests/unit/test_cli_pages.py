"""What the commands print fits 80 columns, whatever there is to tell, and says what matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from hypergraph.cli import screen
from hypergraph.cli.doctor import command as doctor
from hypergraph.cli.doctor.check import bad, ok, warn
from hypergraph.cli.runs import page
from hypergraph.cli.runs.table import runs_table
from hypergraph.cli.workers import show as show_workers
from hypergraph.coordinator.account import (
    Holding,
    Items,
    Loss,
    Node,
    Problem,
    Refusal,
    RunSummary,
    Story,
)
from hypergraph.transport.tags import TAG, tagged
from hypergraph.worker.registry import RunningBody, WorkerInfo

LONG = "a-rather-long-name-such-as-people-give-to-things"
NOW = 1_800_000_000.0

STORY = Story(
    run_id="run-0123456789ab",
    kind="run",
    graph="batch",
    status="running",
    now=NOW,
    created_at=NOW - 65,
    ended_at=None,
    expires_at=None,
    origin="nightly.py on db1, pid 4242",
    tag=TAG,
    max_concurrency=None,
    client_lives=None,
    results=True,
    cancelled_by="",
    items=None,
    nodes=(),
    problems=(),
    losses=(),
    running=(),
    waiting={},
    refusals=(),
)

NODE = Node("fetch", "function", 0, 0, 1, 0, 0, 1, 0, 0.25, NOW, ("db1-7-9f3a/c1/0",))

WORKER = WorkerInfo(
    id="db1-7-9f3a",
    host="db1",
    pid=7,
    name="",
    labels=(),
    queues=(tagged("default"),),
    tag=TAG,
    python="3.11.4",
    version="0.1.0",
    processes=2,
    threads=1,
    draining=False,
    started_at=NOW - 7200,
    beat_at=NOW - 0.4,
    children={"c1": 8, "c2": 9},
    running=(),
    modules=None,
)

SUMMARY = RunSummary(
    run_id="run-0123456789ab",
    kind="map",
    graph="survey",
    status="partial",
    done=298,
    failed=2,
    total=300,
    lost=0,
    created_at=NOW,
    ended_at=NOW + 1.3,
    took_s=1.3,
    age_s=3700,
    origin="",
)


def printed(show: Callable[[Console], object]) -> str:
    """Return what is printed on 80 columns; no line is longer or ends with blanks."""
    file = StringIO()
    show(Console(file=file, width=80, highlight=False))
    text = file.getvalue()
    for line in text.splitlines():
        assert len(line) <= 80, line
        assert line == line.rstrip(), line
    return text


def shown(story: Story, *workers: WorkerInfo) -> str:
    return printed(lambda c: page.show(c, story, workers, "DistributedRunner()", "hypergraph ..."))


def words(text: str) -> str:
    return " ".join(text.split())


# -- the list of runs -----------------------------------------------------------------------------


def listed(*runs: RunSummary) -> list[str]:
    return printed(
        lambda console: screen.put(console, runs_table(runs, console.width))
    ).splitlines()


def test_a_run_is_a_line() -> None:
    assert [line.split() for line in listed(SUMMARY)] == [
        ["run", "status", "kind", "graph", "done", "failed", "age", "took"],
        ["run-0123456789ab", "partial", "map", "survey", "298/300", "2", "1", "h", "1.3", "s"],
    ]


def test_the_longest_line_keeps_its_id_and_its_numbers() -> None:
    huge = replace(
        SUMMARY, status="completed", graph=LONG, done=99_999, total=123_456_789, failed=99_999
    )
    head, line = listed(huge)

    assert "run-0123456789ab" in line
    assert "99,999/123M" in line
    assert "a-rather" in line
    assert "…" in line
    assert head.split()[-1] == "took"


def test_a_graph_without_a_name_and_a_total_nobody_knows() -> None:
    assert listed(replace(SUMMARY, graph="", total=None))[1].split()[3:5] == ["-", "298"]


# -- one run --------------------------------------------------------------------------------------


def test_a_run_in_which_all_went_well_is_a_heading_and_its_nodes() -> None:
    story = replace(STORY, status="completed", ended_at=NOW, expires_at=NOW + 3600, nodes=(NODE,))
    text = shown(story)

    assert text.startswith("run-0123456789ab  completed  run of batch\n")
    assert "by nightly.py on db1, pid 4242" in text
    assert text.splitlines()[-2].split() == ["node", "state", "done", "mean", "total", "worker"]
    assert words(text.splitlines()[-1]) == "fetch done 1 250 ms 250 ms db1-7-9f3a/c1"
    assert "Failures" not in text


def test_columns_come_with_what_stands_in_them() -> None:
    again = replace(NODE, failed=1, done=0, attempts=3, lost=2)
    head = next(
        line for line in shown(replace(STORY, nodes=(again,))).splitlines() if "mean" in line
    )

    assert head.split() == [
        "node",
        "state",
        "done",
        "failed",
        "attempts",
        "lost",
        "mean",
        "total",
        "worker",
    ]


@pytest.mark.parametrize(
    ("node", "state"),
    [
        (replace(NODE, open=1, running=1), "running"),
        (replace(NODE, open=1), "due"),
        (replace(NODE, open=1, items=Items(9, 9, 3, 0, 5, 1.0)), "mapping"),
        (replace(NODE, failed=1), "failed"),
        (NODE, "done"),
        (replace(NODE, done=0, attempts=0), "-"),
    ],
)
def test_the_state_of_a_node(node: Node, state: str) -> None:
    assert shown(replace(STORY, nodes=(node,))).splitlines()[-1].split()[1] == state


def test_everything_at_once_with_the_longest_names() -> None:
    path = f"{LONG}/{LONG}/{LONG}"
    slot = f"{LONG}-{LONG}-123456-9f3a/c123/0"
    items = Items(123_456_789, 123_456_789, 99_999_999, 999_999, 100_999_998, 1e6)
    node = Node(path, "map", 1, 1, 9999, 999, 1, 99_999, 9_999, 99_999.0, NOW, (slot,), items)
    story = replace(
        STORY,
        graph=LONG * 3,
        status="cancelled",
        ended_at=NOW,
        expires_at=NOW + 86_400,
        origin=f"{LONG} on {LONG}, pid 123456",
        cancelled_by=f"{LONG}@{LONG}",
        items=items,
        nodes=(node, NODE),
        problems=tuple(
            Problem(path, i, f"{LONG}: {LONG} {LONG}", slot, 2, NOW, LONG * 9) for i in range(40)
        ),
        losses=tuple(Loss(NOW, path, i, 1, slot, "killed by SIGKILL (9)") for i in range(40)),
        running=tuple(Holding(slot, LONG, path, path, 2, i, i + 9) for i in range(40)),
        waiting={f"{LONG}.{TAG}": 123_456},
        refusals=(Refusal(path, slot, LONG),),
        unread=f"it was sealed with another secret {LONG} {LONG}",
    )
    text = shown(story)

    assert "99,999,999 of 123,456,789 done, 999,999 failed" in words(text)
    assert text.count("and 30 more") == 2


def test_where_a_slot_is_at_this_moment() -> None:
    holding = Holding("db1-7-9f3a/c1/0", "db1-7-9f3a", "map", "", 1, 100, 199)
    body = RunningBody("c1", 8, STORY.run_id, "map", "", 142, 0.3)
    text = shown(replace(STORY, running=(holding,)), replace(WORKER, running=(body,)))

    assert "db1-7-9f3a/c1 items 100 to 199 at item 142, 300 ms" in words(text)


def test_a_silent_host_is_named() -> None:
    holding = Holding("db2-7-9f3a/c1/0", "db2-7-9f3a", "fetch", "fetch", 2)

    assert "fetch, attempt 2 its host is silent" in words(
        shown(replace(STORY, running=(holding,)), WORKER)
    )


def test_what_waits_for_nobody_comes_with_the_command_that_helps() -> None:
    waits = replace(STORY, status="queued", waiting={tagged("gpu"): 3})

    assert "3 tasks in queue gpu" in shown(waits, WORKER)
    assert "hypergraph worker --url ... --queues gpu" in words(shown(waits, WORKER))
    assert "Nobody" not in shown(waits, replace(WORKER, queues=(tagged("gpu"),)))


def test_items_that_nobody_claims_are_told() -> None:
    story = replace(STORY, kind="map", items=Items(10, 10, 0, 0, 0, 0.0))

    assert "Nobody serves them" in shown(story)
    assert "10 items not claimed yet" in shown(story, WORKER)
    assert "Nobody" not in shown(story, WORKER)


def test_texts_of_users_cannot_speak_to_the_terminal() -> None:
    evil = "\x1b[2J\x1b]0;title\x07[bold]no[/bold]\r"
    story = replace(
        STORY,
        graph=evil,
        origin=evil,
        nodes=(replace(NODE, path=evil),),
        problems=(Problem(evil, 1, evil, "w", 1, traceback=evil),),
        losses=(Loss(NOW, evil, 1, 1, "w", evil),),
    )
    text = shown(story)

    assert not {"\x1b", "\x07", "\r"} & set(text)
    assert "[bold]no[/bold]" in text


def test_a_long_traceback_shows_its_end() -> None:
    traceback = "\n".join(f"line {n}" for n in range(100))
    text = shown(replace(STORY, problems=(Problem("f", None, "E: x", "", 1, traceback=traceback),)))

    assert "line 99" in text
    assert "line 50" not in text
    assert "84 lines" in text


# -- workers --------------------------------------------------------------------------------------


def workers_shown(*workers: WorkerInfo) -> str:
    return printed(lambda console: show_workers(console, workers, NOW))


def test_what_a_host_was_started_with_is_told() -> None:
    text = workers_shown(replace(WORKER, threads=4, allow_modules=("ours", "theirs")))

    assert "4 threads per child\n" in text
    assert "runs only code of ours, theirs\n" in text


def test_a_host_is_told_with_pids_versions_and_what_it_runs() -> None:
    body = RunningBody("c1", 8, STORY.run_id, "fetch", "outer/fetch", None, 12.3)
    text = workers_shown(replace(WORKER, running=(body,), labels=("gpu=a100",)))

    assert "1 live worker, 1 of 2 slots busy" in text
    assert "db1-7-9f3a  heard of 400 ms ago" in text
    assert "host db1, pid 7" in text
    assert f"python 3.11.4, hypergraph 0.1.0 ({TAG})" in text
    assert "queue default\n" in text
    assert "labels gpu=a100" in text
    assert "c1 8 run-0123456789ab outer/fetch 12 s" in words(text)
    assert "c2 9 idle" in words(text)


@pytest.mark.parametrize(
    ("unit", "path", "item", "told"),
    [
        ("map", "", 7, "item 7"),
        ("outer/inner", "outer/inner", 1234, "outer/inner[1234]"),
        ("f", "f", None, "f"),
        ("f", "", None, "f"),
    ],
)
def test_what_a_child_runs(unit: str, path: str, item: int | None, told: str) -> None:
    body = RunningBody("c1", 8, STORY.run_id, unit, path, item, 1.0)

    assert f"{STORY.run_id} {told} 1.0 s" in words(workers_shown(replace(WORKER, running=(body,))))


def test_a_host_of_another_version_does_nothing_for_this_client() -> None:
    assert "does nothing for clients of" in workers_shown(replace(WORKER, tag="py399w1"))


def test_many_hosts_with_long_names() -> None:
    body = RunningBody("c1", 1234567, STORY.run_id, LONG, f"{LONG}/{LONG}/{LONG}", 123, 99_999.0)
    host = replace(
        WORKER,
        id=f"{LONG}{LONG}-1234567-9f3a",
        host=LONG * 2,
        queues=tuple(tagged(f"{LONG}{n}") for n in range(5)),
        labels=(f"{LONG}={LONG}",) * 3,
        running=(body,),
        draining=True,
    )

    assert "draining" in workers_shown(*[host] * 3)


# -- doctor ---------------------------------------------------------------------------------------


def test_a_diagnosis_ends_with_commands_that_a_shell_reads_as_one() -> None:
    command = (
        f"redis-cli -s /tmp/{LONG}/redis.sock --askpass CONFIG SET maxmemory-policy noeviction"
    )
    checks = [
        ok("redis", LONG + " " + LONG),
        warn("version", "it does not say", fix="It must be 6.2 or newer."),
        bad("eviction", "allkeys-lru", command),
    ]
    text = printed(lambda console: doctor.show(console, checks))

    assert "warn  version" in text
    assert text.replace("\\\n", "").partition("  eviction\n")[2].split() == command.split()


def test_nothing_to_put_right_is_not_mentioned() -> None:
    assert "put it right" not in printed(lambda console: doctor.show(console, [ok("redis", "yes")]))


# -- JSON -----------------------------------------------------------------------------------------


def test_json_has_what_records_know_of_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    screen.print_json(replace(STORY, nodes=(NODE,)))
    told: dict[str, Any] = json.loads(capsys.readouterr().out)

    assert told["took_s"] == 65
    assert told["nodes"][0]["mean_s"] == 0.25
    assert told["nodes"][0]["workers"] == ["db1-7-9f3a/c1/0"]
