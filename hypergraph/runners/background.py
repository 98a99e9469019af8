"""Blocking calls for async code: each in a thread of its own, and ended when its task is cancelled.

Not in the event loop's pool of threads: that one is small, so calls that wait for each other's runs
would not get a thread, and it is joined when the loop ends, for as long as its calls take.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Left(BaseException):
    """Nobody waits for this call any more. Never leaves its thread."""


class Leash:
    """Holds what a call has begun and nobody else would end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[Callable[[], object]] = []
        self.pulled = False  #: nobody waits any more

    def hold(self, end: Callable[[], object]) -> None:
        """Have `end` called when the leash is pulled, or now if it was."""
        with self._lock:
            if not self.pulled:
                self._ends.append(end)
                return
        end()

    def pull(self) -> None:
        """End everything."""
        with self._lock:
            self.pulled = True
            ends, self._ends = self._ends, []
        for end in ends:
            end()


_leash: ContextVar[Leash | None] = ContextVar("hypergraph_leash", default=None)


def hold(end: Callable[[], object]) -> None:
    """Have `end` called when the task that waits for the caller is cancelled."""
    if (leash := _leash.get()) is not None:
        leash.hold(end)


def check_awaited() -> None:
    """Leave a call for which nobody waits any more."""
    leash = _leash.get()
    if leash is not None and leash.pulled:
        raise Left


async def beside(call: Callable[[], T]) -> T:
    """Make a blocking call without blocking the event loop.

    When the task is cancelled, what the call has asked to `hold` is ended before this returns. The
    call itself goes on until it notices.
    """
    leash = Leash()
    try:
        return await _in_thread(call, leash)
    except asyncio.CancelledError:
        with suppress(asyncio.CancelledError):  # once more: the first one is on its way already
            await asyncio.shield(_in_thread(leash.pull, None))
        raise


def _in_thread(call: Callable[[], T], leash: Leash | None) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = copy_context()
    context.run(_leash.set, leash)

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(call)
        except BaseException as raised:
            # A future takes no StopIteration, and makes its task end with it.
            error = RuntimeError(repr(raised)) if isinstance(raised, StopIteration) else raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="hypergraph call", daemon=True).start()
    return future
