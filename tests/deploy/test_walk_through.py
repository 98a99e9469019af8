"""The README's walk-through of several machines is walked through, by what is written there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deploy.files import DEPLOY, ROOT
from tests.deploy.machines import Machine, network
from tests.processes import wait_until
from tests.redis_server import AOF, RedisServer, real_server

PASSWORD = "9f2d"

#: A project on the client's machine, and nowhere else.
PROJECT = {
    "cleaning.py": """
        STOP = frozenset({"the", "a"})

        def clean(text):
            return [word for word in text.lower().split() if word not in STOP]
        """,
    "pipeline.py": """
        import importlib.util
        import os

        from cleaning import clean
        from hypergraph import Graph, node

        @node(output_name="words")
        def split(text):
            return clean(text)

        @node(output_name="count")
        def count(words):
            return len(words)

        @node(output_name="place")
        def look_around(words):
            known = importlib.util.find_spec("pipeline") is not None
            return {"directory": os.getcwd(), "knows the project": known}

        graph = Graph([split, count, look_around], name="counting")
        """,
    "client.py": """
        import json

        from hypergraph import DistributedRunner
        from pipeline import graph

        {runner}
        with runner:
            one = runner.run(graph, text="The cat sat")
            texts = ["a dog", "the end of a day", "stop"]
            many = runner.map(graph, {{"text": texts}}, map_over="text")
        print(json.dumps({{"one": one["count"], "many": many["count"], "place": one["place"]}}))
        """,
}


class WalkThrough(NamedTuple):
    """What the README says to type."""

    everywhere: str  #: on every machine
    worker: str  #: where nodes run
    runner: str  #: in Python
    look: list[str]  #: commands that show how things are


def read_readme() -> WalkThrough:
    text = (ROOT / "README.md").read_text()
    (section,) = re.findall(r"^## Workers on other machines\n(.*?)^## ", text, re.M | re.S)
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.M | re.S)
    everywhere, worker, runner, look = (block for _, block in blocks)
    assert [language for language, _ in blocks] == ["sh", "sh", "", "sh"]
    # Eight processes are for a larger machine than the one that runs tests.
    assert "--processes 8" in worker
    worker = worker.replace("--processes 8", "--processes 1")
    commands = [line.partition("#")[0].strip() for line in look.splitlines()]
    return WalkThrough(everywhere, worker, runner.strip(), commands)


README = read_readme()


def write_project(directory: Path) -> None:
    for name, source in PROJECT.items():
        text = textwrap.dedent(source)
        (directory / name).write_text(
            text.format(runner=README.runner) if name == "client.py" else text
        )


def walk(client: Machine, host: Machine, log: Path) -> None:
    """Do what the README says, and see that it does what it says."""
    write_project(client.directory)
    worker = host.start(f"{README.everywhere}\nexec {README.worker}", log)
    try:
        # Given a worker on one machine, and a project on another
        assert wait_until(lambda: " serves default." in log.read_text(), 30.0), log.read_text()

        # When a client of the project runs a graph of its functions
        said = json.loads(client.run(f"{README.everywhere}\npython client.py").splitlines()[-1])

        # Then they have run on the worker's machine, which has never seen them
        assert (said["one"], said["many"]) == (2, [1, 3, 1])
        assert said["place"] == {"directory": str(host.directory), "knows the project": False}

        # And the commands that the README shows tell of it
        workers, runs, doctor = (client.run(f"{README.everywhere}\n{c}") for c in README.look)
        assert workers.startswith("1 live worker")
        assert runs.count("counting") == 2
        assert "noeviction" in doctor

        # And the worker stops when it is told to
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(30) == 0
        assert "has stopped" in log.read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def test_on_two_machines_that_share_only_a_redis(
    make_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    redis = make_redis(AOF, tcp=True)
    client = Machine(tmp_path / "a", "a shared secret", redis.url)
    host = Machine(tmp_path / "b", "a shared secret", redis.url)

    walk(client, host, tmp_path / "log")


@contextmanager
def network_or_skip(names: list[str]) -> Iterator[dict[str, tuple[str, ...]]]:
    with ExitStack() as stack:
        try:
            prefixes = stack.enter_context(network(names))
        except OSError as error:
            pytest.skip(str(error))
        yield prefixes


@contextmanager
def deployed_redis(prefix: tuple[str, ...], directory: Path) -> Iterator[None]:
    """A Redis with deploy/redis.conf, as it listens to other machines."""
    data = directory / "data"
    data.mkdir()
    configuration = data / "redis.conf"
    text = (DEPLOY / "redis.conf").read_text()
    configuration.write_text(text.replace("\ndir /data\n", f"\ndir {data}\n"))
    log = data / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*prefix, real_server(), str(configuration), "--requirepass", PASSWORD],
            stdout=output,
            stderr=output,
            env={**os.environ, "LC_ALL": "C"},
        )
    try:
        ready = "eady to accept connections"
        assert wait_until(lambda: ready in log.read_text(), 10.0), log.read_text()
        yield
    finally:
        server.kill()
        server.wait()


def test_on_machines_of_a_network_with_the_redis_of_deploy(tmp_path: Path) -> None:
    with (
        network_or_skip(["queue", "a", "b"]) as prefixes,
        deployed_redis(prefixes["queue"], tmp_path),
    ):
        url = f"redis://:{PASSWORD}@10.207.83.1:6379/0"
        client = Machine(tmp_path / "a", "a shared secret", url, prefixes["a"])
        host = Machine(tmp_path / "b", "a shared secret", url, prefixes["b"])

        walk(client, host, tmp_path / "log")
