"""Workers of a client's own say on its terminal what they print, and end when it ends."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path

import psutil
import pytest

from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.local import LocalWorkers, local_config
from hypergraph.worker.process import module_command
from tests.processes import is_alive, wait_until

ROOT = Path(__file__).parents[2]

#: Stands in for a supervisor: says things, and waits for the end of its client.
SUPERVISOR = """
import os, signal, sys
from hypergraph.worker.config import WorkerConfig

config = WorkerConfig.from_line(sys.stdin.readline())
print("out", config.worker_id, os.getcwd(), flush=True)
print("err \\u00e4", file=sys.stderr, flush=True)
os.write(1, b"no newline")
if sys.argv[1:] == ["deaf"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.read()
"""

#: A client, which says who its workers are.
CLIENT = """
import os, sys, time
import psutil
from hypergraph.values.secret import load_secret
from hypergraph.worker.local import LocalWorkers, local_config

url, namespace = sys.argv[1:]
secret, _ = load_secret("a secret for tests", url)
workers = LocalWorkers(local_config(url, namespace=namespace, secret=secret, processes=2))
workers.start()
supervisor = psutil.Process(workers.pid)
while len(supervisor.children()) < 2:
    time.sleep(0.01)
print(workers.pid, *(child.pid for child in supervisor.children()), flush=True)
"""


@pytest.fixture
def config(redis_url: str, namespace: str) -> WorkerConfig:
    return local_config(redis_url, namespace=namespace, secret=b"secret")


@pytest.fixture
def start(config: WorkerConfig) -> Iterator[Callable[..., LocalWorkers]]:
    with ExitStack() as started:

        def start_(*arguments: str) -> LocalWorkers:
            command = [sys.executable, "-c", SUPERVISOR, *arguments]
            workers = LocalWorkers(config, command=command)
            started.callback(workers.stop, 0.0)
            workers.start()
            return workers

        yield start_


@pytest.fixture
def start_client(
    redis_url: str, namespace: str
) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], list[int]]]]:
    clients: list[subprocess.Popen[str]] = []

    def start_(then: str) -> tuple[subprocess.Popen[str], list[int]]:
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT + textwrap.dedent(then), redis_url, namespace],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            start_new_session=True,
        )
        clients.append(client)
        assert client.stdout is not None
        return client, [int(pid) for pid in client.stdout.readline().split()]

    yield start_
    for client in clients:
        client.kill()
        client.communicate()


def test_lines_reach_the_streams_of_the_client_as_they_are_then(
    start: Callable[..., LocalWorkers], config: WorkerConfig
) -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        workers = start()
        assert wait_until(lambda: "out" in out.getvalue() and "err" in err.getvalue(), 5.0)
        assert out.getvalue() == f"out {config.worker_id} {os.getcwd()}\n"
        workers.stop(0.0)

    assert err.getvalue() == "err ä\n"
    assert out.getvalue().endswith("no newline"), "what stands without a newline comes at the end"


def test_stopping_asks_first_and_kills_in_the_end(start: Callable[..., LocalWorkers]) -> None:
    workers = start("deaf")
    pid = workers.pid
    assert pid is not None
    assert workers.alive()

    workers.stop(0.2)
    workers.stop()

    assert not workers.alive()
    assert not is_alive(pid)


def test_a_supervisor_that_has_died_is_not_alive(start: Callable[..., LocalWorkers]) -> None:
    workers = start()
    assert workers.pid is not None
    os.kill(workers.pid, signal.SIGKILL)

    assert wait_until(lambda: not workers.alive())


def test_ctrl_c_at_the_terminal_does_not_reach_the_workers(
    start: Callable[..., LocalWorkers],
) -> None:
    workers = start()
    assert workers.pid is not None

    assert os.getsid(workers.pid) == workers.pid


def test_the_secret_is_neither_on_the_command_line_nor_in_the_environment(
    start_client: Callable[[str], tuple[subprocess.Popen[str], list[int]]],
) -> None:
    _, family = start_client("time.sleep(60)")

    for pid in family:
        process = psutil.Process(pid)
        seen = " ".join([*process.cmdline(), *process.environ().values()]).lower()
        assert "a secret for tests" not in seen
        assert b"a secret for tests".hex() not in seen


@pytest.mark.parametrize(
    ("then", "end"),
    [
        pytest.param("workers.stop()", None, id="stopped"),
        pytest.param("pass", None, id="exit"),
        pytest.param("raise SystemExit(3)", None, id="exception"),
        pytest.param("os._exit(0)", None, id="hard exit"),
        pytest.param("time.sleep(60)", signal.SIGKILL, id="kill -9"),
        pytest.param("time.sleep(60)", signal.SIGINT, id="ctrl-c"),
    ],
)
def test_nothing_is_left_when_the_client_has_ended(
    start_client: Callable[[str], tuple[subprocess.Popen[str], list[int]]],
    then: str,
    end: signal.Signals | None,
) -> None:
    client, family = start_client(then)
    assert len(family) == 3, "a supervisor and two children"
    if end is not None:
        client.send_signal(end)
    client.wait(10)

    assert wait_until(lambda: not any(map(is_alive, family)))


def test_a_fork_of_the_client_neither_stops_the_workers_nor_keeps_them(
    start_client: Callable[[str], tuple[subprocess.Popen[str], list[int]]],
) -> None:
    # Given a client with a fork that outlives it
    client, family = start_client(
        """
        if not (fork := os.fork()):
            alive = workers.alive()
            workers.stop()
            print("fork", alive, flush=True)
            os.close(1)
            time.sleep(60)
        os.waitpid(fork, os.WNOHANG)
        sys.stdin.readline()
        print(workers.alive(), fork, flush=True)
        """
    )
    assert client.stdin is not None
    assert client.stdout is not None
    assert client.stdout.readline() == "fork False\n"

    # When the client goes on, and ends
    client.stdin.write("\n")
    client.stdin.flush()
    alive, fork = client.stdout.readline().split()
    client.wait(10)

    # Then its workers were there until then, and no longer
    assert alive == "True"
    assert wait_until(lambda: not any(map(is_alive, family)))
    os.kill(int(fork), signal.SIGKILL)


def test_workers_see_the_world_as_their_client_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "lib", "/opt/lib"])
    config = local_config("redis://localhost", secret=b"s", processes=3)

    assert config.cwd == str(tmp_path)
    assert config.sys_path == (str(tmp_path), str(tmp_path / "lib"), "/opt/lib")
    assert (config.local, config.processes) == (True, 3)


def test_a_module_of_the_users_does_not_pass_for_one_that_a_supervisor_needs(
    tmp_path: Path,
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    supervisor = subprocess.run(
        module_command("hypergraph.worker.supervisor"),
        input="no configuration\n",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )

    assert supervisor.returncode == 2
    assert "hypergraph worker" in supervisor.stderr, "it says how workers are started"
