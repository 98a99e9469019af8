"""What a user sees while a run or map is under way: one bar, or now and then a line."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from hypergraph.coordinator.reconcile import Coordinator

#: Where there is no terminal, a line is written at most this often.
LINE_EVERY_S = 5.0

#: Held by the one bar that is drawn: two would draw over each other.
_screen = threading.Lock()


class Progress:
    """A display of items done, fed by whoever reads the journal.

    With a terminal or a notebook it is a bar of rich; without, it is plain lines. Errors of the
    display are its own affair and never reach the run: after the first one nothing is shown.

    Args:
        shows: True or False, or None for: if somebody can see it.
        name: What is run.
        delay_s: Nothing is shown before this time has passed.
    """

    def __init__(self, shows: bool | None, name: str, *, delay_s: float = 0.2) -> None:
        self._name = name
        self._began = time.monotonic()
        self._show_at = self._began + delay_s
        self._lines_at = self._began + max(LINE_EVERY_S, delay_s)
        self._has_written = False
        self._bar: _Bar | None = None
        self._last = (0, 0, -1)
        self.is_wanted = shows is not False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is None and not self._has_written:
            return  # nothing was shown, and as the interpreter ends nothing can be
        with self.forgiving():
            if self._bar is not None:
                self._bar.draw(*self._last, self._rate())
            elif self._has_written:
                self._write_line()
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()

    def update(self, done: int, failed: int, total: int) -> None:
        """Take note of how many items there are, and what became of them.

        Args:
            done: Items that are done, failed ones included.
            failed: How many of them have failed.
            total: Items in all; -1 as long as nobody knows.
        """
        if not self.is_wanted:
            return
        self._last = (done, failed, total)
        now = time.monotonic()
        if now < self._show_at:
            return
        self._show_at = now + 0.05
        with self.forgiving():
            self._show(now)

    def _show(self, now: float) -> None:
        if self._bar is None and _has_screen():
            self._bar = _Bar.begin(self._name)
        elif self._bar is None and now >= self._lines_at:
            self._lines_at = now + LINE_EVERY_S
            self._write_line()
        if self._bar is not None:
            self._bar.draw(*self._last, self._rate())

    @contextlib.contextmanager
    def forgiving(self) -> Iterator[None]:
        """Let no error out, and show nothing any more after the first."""
        try:
            yield
        except Exception:  # a closed stream, a terminal that went away, whatever a notebook does
            self.is_wanted = False

    def _rate(self) -> float:
        return self._last[0] / max(time.monotonic() - self._began, 1e-6)

    def _write_line(self) -> None:
        done, failed, total = self._last
        rate = self._rate()
        of = f"/{total:,}" if total >= 0 else ""
        left = f", {(total - done) / rate:.0f} s left" if 0 < done < total else ""
        bad = f", {failed:,} failed" if failed else ""
        self._has_written = True
        print(f"{self._name}: {done:,}{of} done, {rate:,.0f}/s{left}{bad}", file=sys.stderr)


class RunWatch:
    """Shows where a run stands, from its journal, each time it is called.

    What is counted are tasks and, of mapped nodes, items. There are at least as many tasks as
    nodes; loops have more.
    """

    def __init__(self, coordinator: Coordinator, run_id: str, bar: Progress) -> None:
        self._coordinator = coordinator
        self._run_id = run_id
        self._bar = bar
        self._fold = coordinator.new_fold(run_id)
        self._maps: dict[str, tuple[int, int, int]] = {}  # done, failed, total

    def __call__(self) -> None:
        """Look, and show."""
        if self._bar.is_wanted:
            with self._bar.forgiving():
                self._look()

    def _look(self) -> None:
        fold, store = self._fold, self._coordinator.store
        self._coordinator.catch_up(fold)
        for name, (_, failed, total) in self._maps.items():
            self._maps[name] = (total, failed, total)  # unless it is still open
        for map_ in store.inspect(self._run_id).maps:
            fed = store.feed(self._run_id, map_.map, 0, 0, b"")
            self._maps[map_.map] = (fed.done, fed.failed, map_.total)
        counts = [(0, 0, 0), *self._maps.values()]
        done, failed, total = (sum(column) for column in zip(*counts, strict=True))
        tasks = max(len(fold.spec.nodes), fold.ended + len(fold.tree.open_tasks))
        self._bar.update(fold.ended + done, fold.failures + failed, tasks + total)


class _Bar:
    """The bar of rich."""

    def __init__(self, name: str) -> None:
        # On a bare terminal only: importing it takes longer than most runs.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Live

        self._live = Live(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failures]}", style="red"),
            console=Console(stderr=True),
        )
        self._task = self._live.add_task(name, total=None, rate="", failures="")
        self._live.start()

    @classmethod
    def begin(cls, name: str) -> _Bar | None:
        """Return a bar, or None while another one is drawn."""
        if not _screen.acquire(blocking=False):
            return None
        try:
            return cls(name)
        except BaseException:
            _screen.release()
            raise

    def draw(self, done: int, failed: int, total: int, rate: float) -> None:
        """Show where things stand."""
        self._live.update(
            self._task,
            completed=done,
            total=total if total >= 0 else None,
            rate=f"{rate:,.0f}/s",
            failures=f"{failed:,} failed" if failed else "",
        )

    def stop(self) -> None:
        """Leave it as it is on the screen."""
        try:
            with contextlib.suppress(Exception):
                self._live.stop()
        finally:
            _screen.release()


def _has_screen() -> bool:
    """Whether there is something to draw on: a terminal, or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules
