"""Machines that have nothing in common but a Redis: directories of one, or network namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import hypergraph

#: What the README writes, where a test has something else.
README_URL = "redis://:password@queue-host:6379"
README_SECRET = "/etc/hypergraph/secret"


class Machine:
    """A place with a home, a working directory, a secret and the installed package of its own.

    Args:
        directory: For all of it; it is made.
        secret: What its file of the signing secret holds.
        url: What it knows Redis by.
        prefix: What its commands begin with, such as those that enter a network namespace.
    """

    def __init__(
        self, directory: Path, secret: str, url: str, prefix: tuple[str, ...] = ()
    ) -> None:
        self.directory = directory / "work"
        self._prefix = prefix
        self._replaced = {README_URL: url, README_SECRET: str(directory / "secret")}
        for part in ("work", "home", "installed"):
            (directory / part).mkdir(parents=True)
        (directory / "secret").write_text(f"{secret}\n")
        (directory / "secret").chmod(0o600)
        # Only the package: a checkout has more beside it.
        (directory / "installed" / "hypergraph").symlink_to(Path(hypergraph.__file__).parent)
        self._environment = {
            "HOME": str(directory / "home"),
            "LC_ALL": "C.UTF-8",
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": str(directory / "installed"),
        }

    def start(self, script: str, log: Path) -> subprocess.Popen[bytes]:
        """Start what a user would type into a shell here."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [*self._prefix, "bash", "-euc", self._here(script)],
                cwd=self.directory,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def run(self, script: str) -> str:
        """Do what a user would type into a shell here, and return what it prints."""
        done = subprocess.run(
            [*self._prefix, "bash", "-euc", self._here(script)],
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _here(self, script: str) -> str:
        for readme, mine in self._replaced.items():
            script = script.replace(readme, mine)
        return script


@contextmanager
def network(names: list[str]) -> Iterator[dict[str, tuple[str, ...]]]:
    """Give network namespaces on one bridge, with addresses 10.207.83.1, .2, ... in their order.

    Yields:
        Name -> the command that what is to run there follows.

    Raises:
        OSError: This user cannot make any, or this machine has no `ip`.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise OSError("network namespaces need root and iproute2")
    tag = f"hg{os.getpid()}"
    hub = f"{tag}-hub"
    with ExitStack() as undo:
        # The bridge has a namespace as well: nothing of it is seen in this machine's own network.
        for name in ["hub", *names]:
            _ip(f"netns add {tag}-{name}")
            undo.callback(_ip, f"netns delete {tag}-{name}")
        _ip(f"-n {hub} link add bridge type bridge")
        _ip(f"-n {hub} link set bridge up")
        for number, name in enumerate(names, 1):
            here = f"{tag}-{name}"
            _ip(f"-n {hub} link add v{number} type veth peer name eth0 netns {here}")
            _ip(f"-n {hub} link set v{number} master bridge up")
            _ip(f"-n {here} address add 10.207.83.{number}/24 dev eth0")
            _ip(f"-n {here} link set eth0 up")
            _ip(f"-n {here} link set lo up")
        yield {name: ("ip", "netns", "exec", f"{tag}-{name}") for name in names}


def _ip(arguments: str) -> None:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {arguments}: {done.stderr.strip()}")
