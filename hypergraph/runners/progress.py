"""What a user sees while a run or map is under way: one bar, or now and then a line."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

#: Where there is no terminal, a line is written at most this often.
LINE_EVERY_S = 5.0


class Progress:
    """A display of items done, fed by whoever reads the journal.

    With a terminal or a notebook it is a bar of rich; without, it is plain lines. Errors of the
    display are its own affair and never reach the run.

    Args:
        shows: True or False, or None for: if somebody can see it.
        name: What is run.
        delay_s: Nothing is shown before this time has passed.
    """

    def __init__(self, shows: bool | None, name: str, *, delay_s: float = 0.2) -> None:
        self._name = name
        self._began = time.monotonic()
        self._show_at = self._began + delay_s
        self._lines_at = self._began + LINE_EVERY_S
        self._live: Any = None
        self._bar: Any = None
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
        if self._live is not None:
            self._draw()
            self._live.stop()
        elif self._lines_at > self._began + LINE_EVERY_S:
            self._write_line()

    def see_map(self, done: int, failed: int, uploaded: int, total: int) -> None:
        """Take note of where a map stands. `total` is -1 as long as nobody knows it."""
        self.update(done, failed, total if total >= 0 else -1)
        del uploaded

    def update(self, done: int, failed: int, total: int) -> None:
        """Take note of how many items there are, and what became of them."""
        if not self.is_wanted:
            return
        self._last = (done, failed, total)
        now = time.monotonic()
        if now < self._show_at:
            return
        self._show_at = now + 0.05
        if self._live is None and not self._begin():
            if now >= self._lines_at:
                self._lines_at = now + LINE_EVERY_S
                self._write_line()
            return
        self._draw()

    def _begin(self) -> bool:
        """Begin to draw, if there is something to draw on."""
        if self._lines_at > self._began + LINE_EVERY_S:
            return False
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Live

        console = Console(stderr=True)
        if not (console.is_terminal or console.is_jupyter):
            return False
        self._live = Live(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failures]}"),
            console=console,
            transient=False,
        )
        self._bar = self._live.add_task(self._name, total=None, rate="", failures="")
        self._live.start()
        return True

    def _draw(self) -> None:
        done, failed, total = self._last
        self._live.update(
            self._bar,
            completed=done,
            total=total if total >= 0 else None,
            rate=f"{self._rate():,.0f}/s",
            failures=f"[red]{failed:,} failed[/red]" if failed else "",
        )

    def _rate(self) -> float:
        return self._last[0] / max(time.monotonic() - self._began, 1e-6)

    def _write_line(self) -> None:
        done, failed, total = self._last
        of = f"/{total:,}" if total >= 0 else ""
        left = f", {(total - done) / self._rate():.0f} s left" if 0 <= done < total and done else ""
        bad = f", {failed:,} failed" if failed else ""
        print(
            f"{self._name}: {done:,}{of} items, {self._rate():,.0f}/s{left}{bad}", file=sys.stderr
        )
