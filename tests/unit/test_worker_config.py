"""A worker's configuration travels whole, in one line, and shows nobody the secret."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from hypergraph.transport.tags import TAG, describe_tag, make_tag, tagged
from hypergraph.worker.config import WorkerConfig, new_worker_id

CONFIG = WorkerConfig(
    url="redis://:hidden-password@queue-host:6379",
    namespace="test",
    secret=b"\x00\xffsecret\n",
    previous=(b"older\n", b"oldest"),
    worker_id="host-1-ab12",
    queues=("default", "gpu"),
    threads=2,
    processes=3,
    labels=("a100",),
    allow_modules=("ours",),
    sys_path=("/srv/ünïcode", "/a path"),
    cwd="/tmp",
    local=True,
)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(CONFIG, id="everything"),
        pytest.param(WorkerConfig(url="u", secret=b"s", worker_id="w"), id="defaults"),
        pytest.param(replace(CONFIG, allow_modules=()), id="no module allowed is not any module"),
        pytest.param(CONFIG.for_child("c7", "/dev/fd/9"), id="a child's"),
    ],
)
def test_a_configuration_survives_its_line(config: WorkerConfig) -> None:
    line = config.to_line()

    assert "\n" not in line
    assert WorkerConfig.from_line(line + "\n") == config


def test_a_configuration_shows_no_secret() -> None:
    shown = repr(CONFIG) + str(CONFIG)

    assert "secret=" not in shown
    assert "older" not in shown
    assert "hidden-password" not in shown


@pytest.mark.parametrize("line", ["", "{}", "[]", "null", '{"secret": "abc"}', "secret: 616263"])
def test_another_line_is_refused_without_being_repeated(line: str) -> None:
    with pytest.raises(ValueError, match="hypergraph worker") as caught:
        WorkerConfig.from_line(line)

    assert "616263" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("queue", ["", "a b", "a,b", "a/b", "a:b", ".hidden", "a\n"])
def test_a_queue_with_a_name_that_keys_cannot_hold_is_refused(queue: str) -> None:
    with pytest.raises(ValueError, match="queue's name"):
        replace(CONFIG, queues=(queue,))


@pytest.mark.parametrize("option", ["threads", "processes"])
def test_a_host_that_could_do_nothing_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}=0"):
        replace(CONFIG, **{option: 0})  # type: ignore[arg-type]


def test_the_full_names_of_queues_carry_the_tag() -> None:
    assert CONFIG.full_queues == (f"default.{TAG}", f"gpu.{TAG}")
    assert tagged("default") == f"default.{WorkerConfig.queue_tag()}"
    assert f"py{sys.version_info.major}{sys.version_info.minor}w" in TAG


def test_a_tag_can_be_put_in_words() -> None:
    assert describe_tag(make_tag(3, 14, 2)) == "python 3.14, wire 2"
    assert describe_tag("of another kind") == "of another kind"


@pytest.mark.parametrize("name", ["", "big one", "a/b:c,d e", "Ünïcode", "x" * 200])
def test_a_worker_id_fits_into_keys_and_lists(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,90}", new_worker_id(name))


def test_no_two_worker_ids_are_the_same() -> None:
    assert len({new_worker_id("x") for _ in range(20)}) > 1


def test_a_supervisor_starts_children_before_it_loads_what_takes_long() -> None:
    heavy = ("redis", "dramatiq", "cloudpickle", "msgpack", "asyncio", "numpy")
    program = f"""
import subprocess
import sys
import hypergraph.worker.local, hypergraph.worker.supervisor
print(*(name for name in {heavy!r} if name in sys.modules))
"""
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert loaded.stdout.split() == []
