"""A map that a client holds: fed and read here, or submitted and read by whoever attaches."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from typing import Any

from hypergraph.coordinator.ids import inner_run_id
from hypergraph.errors import ResultExpired, RunCancelled, StateLost
from hypergraph.runners.background import beside
from hypergraph.runners.handle import STATUSES, telling_how_to_attach
from hypergraph.runners.mapping import BOARD, Feeder, MapReader
from hypergraph.runners.nested import Errors, restore_run
from hypergraph.runners.notes import annotate, locate
from hypergraph.runners.progress import Progress
from hypergraph.runners.result import MapResult, RunResult, RunStatus
from hypergraph.runners.session import Session
from hypergraph.store.contract import Fed
from hypergraph.values.results import Row

#: Told (items done, failed, in all or -1).
Seen = Callable[[int, int, int], None]


def read_row(run_id: str, index: int, row: Row) -> RunResult:
    """Return what became of an item, as users see it."""
    item_id = inner_run_id(run_id, f"{BOARD}[{index}]")  # as it is told to observers
    if row.failure is None and not row.nested:
        return RunResult(row.values, RunStatus.COMPLETED, item_id, index=index)
    result = restore_run((row.values, row.failure, row.nested), Errors(), index)
    result.run_id = item_id
    if result.error is not None:
        locate(result.error, item=index)
        annotate(result.error, run_id=run_id, item=index)
    return result


class MapCall:
    """A map that this client feeds and reads, and that ends when the client leaves it."""

    def __init__(
        self,
        session: Session,
        run_id: str,
        queue: str,
        feeder: Feeder,
        *,
        raises: bool,
        total: int = -1,
    ) -> None:
        """Hold a map.

        Args:
            session: The way to its Redis.
            run_id: The map.
            queue: Where tickets for its items go.
            feeder: Has its inputs.
            raises: Whether the first failure ends it and is raised.
            total: Items in all, where that is known beforehand.
        """
        self._session = session
        self.run_id = self._run_id = run_id
        self._queue = queue
        self._feeder = feeder
        self._raises = raises
        self._total = total

    def read_all(self, seen: Seen) -> list[RunResult]:
        """Return the results of all items, in the order of the inputs.

        Raises:
            Exception: What the lowest failing item failed with, if failures are raised.
        """
        results = list(self._results(seen, count=True))
        results.sort(key=_index_of)
        self._finish(results)
        return results

    def iterate(
        self, order: str, shows: bool | None, name: str
    ) -> Generator[RunResult, None, None]:
        """Yield each result as it is done, or in the order of the inputs."""
        waiting: dict[int, RunResult] = {}
        failed: list[RunResult] = []
        following = 0
        with Progress(shows, name) as bar:
            for result in self._results(bar.update, count=False):
                if result.error is not None and self._raises:
                    failed.append(result)
                    self._reader.consumed += 1
                elif order == "completion":
                    yield result
                    self._reader.consumed += 1
                else:
                    waiting[_index_of(result)] = result
                while following in waiting:
                    yield waiting.pop(following)
                    self._reader.consumed += 1
                    following += 1
        self._finish(sorted(failed, key=_index_of))

    def abandon(self) -> None:
        """Cancel the map if it was not read to its end."""
        if self._session.disown(self._run_id):
            self._session.coordinator.cancel(self._run_id, self._session.id)
            self._session.store.forget(self._run_id)

    def _results(self, seen: Seen, *, count: bool) -> Iterator[RunResult]:
        run_id = self._run_id

        def see(done: int, failed: int, total: int) -> None:
            seen(done, failed, self._total if total < 0 else total)

        reader = self._reader = MapReader(
            self._session, run_id, self._queue, self._feeder, seen=see
        )
        try:
            for index, row in reader.rows():
                if count:
                    reader.consumed += 1
                yield read_row(run_id, index, row)
            self._session.disown(run_id)
        finally:
            self.abandon()
        if reader.status == "cancelled":
            raise RunCancelled(run_id)
        if reader.status == "gone":
            raise StateLost(run_id)

    def _finish(self, results: Sequence[RunResult]) -> None:
        """Let the values leave Redis; raise the first error among `results`."""
        self._session.store.forget(self._run_id)
        if self._raises:
            for result in results:
                if result.error is not None:
                    raise result.error


class MapIterator:
    """The results of a map as they come. A plain or an asynchronous iterator."""

    def __init__(self, call: MapCall | None, results: Generator[RunResult, None, None]) -> None:
        self._call = call
        self._results = results

    def __iter__(self) -> Iterator[RunResult]:
        return self

    def __next__(self) -> RunResult:
        return next(self._results)

    def close(self) -> None:
        """End the map; what is under way counts no more."""
        if self._call is not None:
            self._call.abandon()  # a generator that was never begun does nothing when it is closed
        # A thread may be waiting for its next result; it will hear of it.
        with contextlib.suppress(ValueError):
            self._results.close()

    def __del__(self) -> None:
        # Not with contextlib: as the interpreter ends, modules go before objects do.
        try:  # noqa: SIM105
            self.close()
        except Exception:
            pass

    def __aiter__(self) -> AsyncIterator[RunResult]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[RunResult]:
        try:
            while (result := await beside(lambda: next(self._results, None))) is not None:
                yield result
        finally:
            await beside(self.close)


def no_results() -> Generator[RunResult, None, None]:
    """Yield nothing: the results of a map without items."""
    yield from ()


class MapHandle:
    """A map that was submitted, here or elsewhere. Iterate over it, await it, or ask for `result`.

    Results stay in Redis for as long as the record is kept, so any number of readers may have them.
    """

    def __init__(self, session: Session, run_id: str) -> None:
        self.run_id = run_id
        self._session = session
        self._result: MapResult | None = None

    def __repr__(self) -> str:
        return f"MapHandle({self.run_id!r})"

    @property
    def status(self) -> RunStatus:
        """Where the map stands now.

        Raises:
            ResultExpired: Its record has been dropped, or there never was such a map.
        """
        status = STATUSES[self._meta()["status"].decode()]
        if status is RunStatus.RUNNING and self._look().cursor == 0:
            return RunStatus.QUEUED
        return status

    @property
    def done(self) -> int:
        """Items that are done, failed ones included."""
        return self._look().done

    @property
    def total(self) -> int:
        """Items in all."""
        return int(self._meta()["total"])

    def result(self, timeout: float | None = None) -> MapResult:
        """Wait for the map to end, and return all results in the order of the inputs.

        Raises:
            TimeoutError: It has not ended by then. It goes on.
            RunCancelled: Somebody cancelled it.
            ResultExpired: Its results have been dropped.
            Exception: What the lowest failing item failed with, if it was submitted with ``raise``.
        """
        if self._result is None:
            meta = self._meta()
            with telling_how_to_attach(self.run_id):
                results = sorted(self._read(timeout), key=_index_of)
            if meta["raises"] == b"1":
                for result in results:
                    if result.error is not None:
                        raise result.error
            self._result = MapResult(results, json.loads(meta["outputs"]))
        return self._result

    def cancel(self) -> None:
        """End the map if it has not ended. Afterwards no item starts and no result counts."""
        self._session.cancel(self.run_id)

    def __iter__(self) -> Iterator[RunResult]:
        return self._read(None)

    def __await__(self) -> Generator[Any, None, MapResult]:
        return beside(self.result).__await__()

    def _read(self, timeout: float | None) -> Iterator[RunResult]:
        """Yield results in order of completion."""
        meta = self._meta()
        if "forgotten" in meta:
            raise ResultExpired(self.run_id)
        deadline = None if timeout is None else time.monotonic() + timeout
        reader = MapReader(self._session, self.run_id, "", None, keep=True, deadline=deadline)
        for index, row in reader.rows():
            yield read_row(self.run_id, index, row)
        if reader.status == "cancelled":
            raise RunCancelled(self.run_id)
        if reader.status == "gone":
            was_running = meta["status"] == b"running"
            raise StateLost(self.run_id) if was_running else ResultExpired(self.run_id)

    def _meta(self) -> dict[str, bytes]:
        meta = self._session.store.get_meta(self.run_id)
        if not meta:
            raise ResultExpired(self.run_id)
        return meta

    def _look(self) -> Fed:
        return self._session.store.feed(self.run_id, BOARD, 0, 0, b"")


def _index_of(result: RunResult) -> int:
    assert result.index is not None
    return result.index
