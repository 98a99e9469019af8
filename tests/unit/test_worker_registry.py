"""Hosts say what they are, and whoever asks is told who can do the work, or why nobody can."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hypergraph.errors import IncompatibleWorker, MissingModule, NoWorker
from hypergraph.transport.tags import TAG
from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.registry import (
    RunningBody,
    WorkerInfo,
    check_modules,
    check_queue,
    describe_host,
    describe_now,
    find_modules,
    read_info,
)

CONFIG = WorkerConfig(
    url="redis://localhost",
    secret=b"s",
    worker_id="big-1-ab12",
    name="big",
    queues=("default", "gpu"),
    labels=("a100", "spot"),
    processes=2,
)
BODY = RunningBody("c1", 12, "run-1", "outer/embed.2", "outer/embed", 7, 1.5)


def said(*, draining: bool = False) -> dict[str, str]:
    told = describe_host(CONFIG, "0.1.0", 1000.5)
    told |= describe_now(CONFIG, {"c1": 12, "c2": 13}, [BODY], draining=draining)
    return {"beat_ms": "2000500", **{name: str(value) for name, value in told.items()}}


def worker(**more: str) -> WorkerInfo:
    return read_info(CONFIG.worker_id, {**said(), **more})


def test_what_a_host_says_comes_back_as_it_was() -> None:
    info = worker(modules="json,numpy")

    assert (info.id, info.name, info.version) == ("big-1-ab12", "big", "0.1.0")
    assert (info.labels, info.processes, info.threads) == (("a100", "spot"), 2, 1)
    assert (info.started_at, info.beat_at) == (1000.5, 2000.5)
    assert info.children == {"c1": 12, "c2": 13}
    assert info.running == (BODY,)
    assert info.tag == TAG
    assert not info.draining


def test_a_host_that_has_said_next_to_nothing_can_be_listed() -> None:
    info = read_info("w", {"beat_ms": "5"})

    assert (info.queues, info.running, info.modules) == ((), (), None)


def test_a_host_says_whose_code_it_runs() -> None:
    some, none = (replace(CONFIG, allow_modules=modules) for modules in (("a", "b"), ()))
    said = [
        {name: str(value) for name, value in describe_host(config, "1", 0.0).items()}
        for config in (CONFIG, some, none)
    ]

    assert [read_info("w", of).allow_modules for of in said] == [None, ("a", "b"), ()]


def test_a_host_serves_its_queues_until_it_drains() -> None:
    assert worker().serves("gpu")
    assert not worker().serves("cpu")
    assert not read_info("w", said(draining=True)).serves("gpu")


def test_a_host_has_the_modules_it_names_and_any_as_long_as_it_names_none() -> None:
    assert worker(modules="json,numpy").has_module("numpy.linalg")
    assert not worker(modules="json,numpy").has_module("torch")
    assert worker().has_module("torch")


def test_a_queue_that_nobody_serves_is_named() -> None:
    with pytest.raises(NoWorker, match="'cpu' at redis://host"):
        check_queue([worker()], "cpu", url="redis://host")


def test_workers_of_another_version_are_named_with_their_versions() -> None:
    other = worker(tag="py39w7", queues="default.py39w7")
    with pytest.raises(IncompatibleWorker, match=r"big-1-ab12: python 3\.9, wire 7"):
        check_queue([other], "default")

    check_queue([other, worker()], "default")


def test_a_module_that_no_fitting_worker_has_is_named() -> None:
    fitting = worker(modules="json")
    other = worker(modules="json,torch", tag="py39w7", queues="default.py39w7")
    check_modules([fitting, other], "default", ["json"])

    with pytest.raises(MissingModule) as caught:
        check_modules([fitting, other], "default", ["json", "torch"])
    assert (caught.value.module, caught.value.workers) == ("torch", ("big-1-ab12",))


def test_modules_are_found_without_being_imported(tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text("raise SystemExit")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("raise SystemExit")
    (tmp_path / "not-a-module.py").touch()

    found = find_modules([str(tmp_path), *sys.path, "/no/such/directory"])

    assert {"deadly", "package", "json", "sys", "pytest"} <= set(found)
    assert "not-a-module" not in found
    assert found == sorted(found)
