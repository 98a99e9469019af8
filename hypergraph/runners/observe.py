"""Observe a distributed run: by processors, as an iterator, or as an asynchronous one.

All three read the run's record. None of them is in the way of the run: its nodes are on workers,
and what a reader has not read stays where it is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import Self

from hypergraph.coordinator.follow import Follower, write_cursor
from hypergraph.errors import HypergraphError
from hypergraph.events import Event, EventDispatcher, EventProcessor
from hypergraph.runners.background import beside
from hypergraph.runners.handle import RunHandle
from hypergraph.runners.result import RunResult
from hypergraph.runners.session import Session
from hypergraph.store.sights import watch

logger = logging.getLogger("hypergraph.runners")

#: After the end of a run, its processors have this long to take what is left, before the caller
#: gets the result. They go on behind its back.
LINGER_S = 5.0


class Watching:
    """The events of one run, as they happen and from the beginning. Can be iterated over once.

    It ends with the run. A pause does not end it: it waits for the answer, too.

    Args:
        session: The way to the run's Redis.
        run_id: The run or map.
        after: The `cursor` of an iterator that has had a part of them; "" for all.

    Raises:
        ResultExpired: There is no such run, or no more.
        ValueError: `after` is no cursor.
    """

    def __init__(self, session: Session, run_id: str, after: str = "") -> None:
        self.run_id = run_id
        self.cursor = (
            after  #: names the latest event that was given; the next watch may begin there
        )
        self._session = session
        self._follower = Follower(session.coordinator, run_id, after)
        watch(session.store, run_id)
        self._events = self._follow()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """Stop watching. The run goes on."""
        self._events.close()

    def _follow(self) -> Generator[Event, None, None]:
        while True:
            for position, event in self._follower.read():
                self.cursor = write_cursor(position)
                yield event
            if self._follower.is_over:
                return
            self._follower.wait(self._session.reconciler.every_s)
            self._session.look_after(self.run_id)


class Observation:
    """Feeds processors with the events of a run, in a thread of its own, until it ends or pauses.

    Used around whatever waits for the run. Leaving it gives the processors `LINGER_S`.

    Args:
        session: The way to the run's Redis.
        run_id: The run or map.
        processors: Who wants to know. With none of them, nothing is read.
    """

    def __init__(
        self, session: Session, run_id: str, processors: Iterable[EventProcessor] | None
    ) -> None:
        self._session = session
        self._run_id = run_id
        self._dispatcher = EventDispatcher(processors)
        self._thread: threading.Thread | None = None
        self._left_at: float | None = None  #: when the caller had its result

    def __enter__(self) -> Self:
        if self._dispatcher.active:
            name = f"events of {self._run_id}"
            self._thread = threading.Thread(target=self._feed, name=name, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is None:
            return
        self._left_at = time.monotonic()
        self._thread.join(LINGER_S)
        if self._thread.is_alive():
            logger.warning(
                "Run %s has ended, and its event processors are still busy with it after %g s.",
                self._run_id,
                LINGER_S,
            )

    def _feed(self) -> None:
        try:
            self._follow()
        except HypergraphError as error:
            logger.warning("Run %s cannot be observed any more: %s", self._run_id, error)
        finally:
            self._dispatcher.shutdown()

    def _follow(self) -> None:
        follower = Follower(self._session.coordinator, self._run_id)
        while True:
            for _, event in follower.read():
                self._dispatcher.emit(event)
            if follower.is_over or follower.is_paused or self._has_waited():
                return
            follower.wait(self._session.reconciler.every_s)

    def _has_waited(self) -> bool:
        """Whether the caller has left, and the end of the run does not come."""
        return self._left_at is not None and time.monotonic() - self._left_at > LINGER_S


class RunEvents:
    """Runs a graph on workers, and gives its events one by one. Can be iterated over once.

    Leaving it early cancels the run. Used as a context manager it does not leave that to chance.

    Args:
        session: Opens the session, in a thread.
        submit: Stores the run, in a thread.
        raises: Whether the iteration ends with what the run failed with.
    """

    def __init__(
        self, session: Callable[[], Session], submit: Callable[[], RunHandle], *, raises: bool
    ) -> None:
        self._session = session
        self._submit = submit
        self._raises = raises
        self._handle: RunHandle | None = None
        self._follower: Follower | None = None
        self._events: deque[Event] = deque()
        self._result: RunResult | None = None

    @property
    def result(self) -> RunResult:
        """The result of the run.

        Raises:
            RuntimeError: The run has not ended.
            Exception: What the run failed with, unless ``error_handling="continue"``.
        """
        if self._result is None:
            raise RuntimeError("the run has not ended; iterate over its events first")
        if self._raises and self._result.error is not None:
            raise self._result.error
        return self._result

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._result is not None:
                raise StopAsyncIteration
            await beside(self._go_on)
            if self._result is not None and not self._events:
                _ = self.result  # raises what the run failed with, once
        return self._events.popleft()

    def _go_on(self) -> None:
        """Read what there is; begin before, wait if there is nothing, take the result behind."""
        if self._handle is None:
            self._handle = self._submit()
        if self._follower is None:
            self._follower = Follower(self._session().coordinator, self._handle.run_id)
        self._events.extend(event for _, event in self._follower.read())
        if self._events:
            return
        if self._follower.is_over or self._follower.is_paused:
            self._result = self._handle.wait()
            return
        session = self._session()
        self._follower.wait(session.reconciler.every_s)
        session.look_after(self._handle.run_id)

    async def aclose(self) -> None:
        """Cancel the run if it is still under way."""
        handle, self._handle = self._handle, None
        if handle is not None and self._result is None:
            await beside(handle.cancel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
