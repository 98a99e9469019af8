"""Two records of what happened, and what they must say together.

The *ledger* is a file that bodies append to (`O_APPEND`): what was executed. The run's *journal*
in Redis, or that of its map, is the other: what was committed. Neither knows of the other.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hypergraph.store.redis import RedisStore

K = TypeVar("K", str, int)

#: A node, and the item it was called for; -1 for none.
Place = tuple[str, int]


class Call(NamedTuple):
    """One line of a ledger."""

    at_s: float  #: by the machine's monotonic clock, which all processes share
    run: str
    node: str
    item: int
    pid: int
    word: str  #: "begin" or "end"

    @property
    def place(self) -> Place:
        """The node and the item."""
        return self.node, self.item


@dataclass(frozen=True)
class Ledger:
    """A ledger. Bodies get it as an input; it travels as its path.

    A test may hold a call: the body then waits, after it has begun, until the test releases it.
    """

    path: str
    run: str = "run"

    # -- what bodies do -----------------------------------------------------------------------

    @contextmanager
    def call(self, node: str, item: int = -1) -> Iterator[int]:
        """Write down that a body begins and, unless it raises, that it ends. Gives its number.

        The first execution of a node or item is number 1.
        """
        self._write(node, item, "begin")
        number = len(self.begun(node, item))
        gate = self._gate(node, item, number)
        while os.path.exists(gate):
            time.sleep(0.005)
        yield number
        self._write(node, item, "end")

    def _write(self, node: str, item: int, word: str) -> None:
        line = f"{time.monotonic_ns()},{self.run},{node},{item},{os.getpid()},{word}\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    # -- what tests do --------------------------------------------------------------------------

    def hold(self, node: str, item: int = -1, number: int = 1) -> None:
        """Let the n-th call of a body wait for `release`."""
        Path(self._gate(node, item, number)).touch()

    def release(self, node: str, item: int = -1, number: int = 1) -> None:
        """Let a call that was held go on."""
        Path(self._gate(node, item, number)).unlink()

    def read(self) -> list[Call]:
        """Return all lines so far, in the order in which they were written."""
        return list(map(_parse, self._lines()))

    def _lines(self) -> list[str]:
        try:
            text = Path(self.path).read_text()
        except FileNotFoundError:
            return []
        # Who reads while another process writes may see the beginning of a line.
        return text[: text.rfind("\n") + 1].splitlines()

    def begun(self, node: str, item: int = -1) -> list[Call]:
        """Return when and where a body has begun so far."""
        about = f",{self.run},{node},{item},"
        return [_parse(x) for x in self._lines() if x.endswith("begin") and about in x]

    def wait_for(self, node: str, item: int = -1, number: int = 1, timeout_s: float = 20.0) -> Call:
        """Wait until a body begins for the n-th time."""
        give_up_at = time.monotonic() + timeout_s
        while len(begun := self.begun(node, item)) < number:
            assert time.monotonic() < give_up_at, f"{node}[{item}] #{number} never began"
            time.sleep(0.005)
        return begun[number - 1]

    def executions(self) -> Counter[Place]:
        """Return how often each body has begun."""
        return Counter(call.place for call in self.read() if call.word == "begin")

    def _gate(self, node: str, item: int, number: int) -> str:
        return f"{self.path}.{node.replace('/', '+')}.{item}.{number}"


def _parse(line: str) -> Call:
    at_ns, run, node, item, pid, word = line.split(",")
    return Call(int(at_ns) / 1e9, run, node, int(item), int(pid), word)


# -- what was committed -------------------------------------------------------------------------


class Committed(NamedTuple):
    """A commit that stands."""

    kind: str  #: "done", "fail" or "crash"
    attempt: int  #: from 1
    slot: str  #: whose it was


def read_commits(store: RedisStore, run_id: str) -> dict[str, list[Committed]]:
    """Return all commits of a run's tasks, by task."""
    found: dict[str, list[Committed]] = {}
    for entry in store.read_journal(run_id, 0, count=100_000):
        if entry.kind in ("done", "fail", "crash"):
            fields = {name: entry.fields[name].decode() for name in ("task", "a", "w")}
            commit = Committed(entry.kind, int(fields["a"]), fields["w"])
            found.setdefault(fields["task"], []).append(commit)
    return found


def read_item_commits(
    store: RedisStore, run_id: str, map_: str = "map"
) -> dict[int, list[Committed]]:
    """Return all commits of a map's items, by item."""
    key = store.keys.run(run_id, f"m:{map_}:journal")
    found: dict[int, list[Committed]] = {}
    entries: Any = store.link.client.xrange(key)
    for _, fields in entries:
        if fields[b"k"] == b"range":
            start, items = int(fields[b"s"]), int(fields[b"n"])
            commit = Committed("range", int(fields[b"a"]), fields[b"w"].decode())
            for item in range(start, start + items):
                found.setdefault(item, []).append(commit)
    return found


# -- what both must say together ------------------------------------------------------------------


def check_run(
    ledger: Ledger, store: RedisStore, run_id: str, again: Mapping[str, int] | None = None
) -> None:
    """Check that a run that has ended was executed and committed as promised.

    Its tasks are named like the nodes in the ledger.

    Args:
        ledger: What was executed.
        store: Where the run lives.
        run_id: The run.
        again: Task -> faults that hit it: executions beyond the first that are no waste.
    """
    _check_journal(store, run_id)
    executed = Counter(call.node for call in ledger.read() if call.word == "begin")
    commits = {task: len(found) for task, found in read_commits(store, run_id).items()}

    assert commits == dict.fromkeys(executed, 1), "each task is committed once"
    _check_waste(executed, again or {})


def check_map(
    ledger: Ledger,
    store: RedisStore,
    run_id: str,
    total: int,
    again: Mapping[int, int] | None = None,
) -> None:
    """Check that a map that has ended was executed and committed as promised.

    Args:
        ledger: What was executed.
        store: Where the map lives.
        run_id: The map.
        total: Its items, numbered from 0 in the ledger.
        again: Item -> faults that hit it.
    """
    _check_journal(store, run_id)
    commits = {item: len(found) for item, found in read_item_commits(store, run_id).items()}

    assert commits == dict.fromkeys(range(total), 1), "each item is committed once"
    executed = Counter(call.item for call in ledger.read() if call.word == "begin")
    assert set(executed) == set(range(total)), "each item is executed"
    _check_waste(executed, again or {})


def _check_journal(store: RedisStore, run_id: str) -> None:
    entries = store.read_journal(run_id, 0, count=100_000)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    kinds = [entry.kind for entry in entries]
    assert (kinds[0], kinds[-1]) == ("start", "end")
    assert (kinds.count("start"), kinds.count("end")) == (1, 1)


def _check_waste(executed: Mapping[K, int], again: Mapping[K, int]) -> None:
    wasted = {k: n for k, n in executed.items() if n > 1 + again.get(k, 0)}
    assert not wasted, f"executed more often than faults explain: {wasted}"
