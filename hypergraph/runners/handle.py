"""A submitted run, held by whoever wants its result."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hypergraph.coordinator.ids import inner_run_id
from hypergraph.errors import (
    ConflictError,
    InfiniteLoopError,
    ResultExpired,
    RunCancelled,
)
from hypergraph.plan import Frame, Nested, Phase, TaskEnded, task_of
from hypergraph.runners.background import beside
from hypergraph.runners.nested import Errors, restore_one
from hypergraph.runners.notes import annotate, locate
from hypergraph.runners.result import MapResult, PauseInfo, RunResult, RunStatus
from hypergraph.runners.session import Session
from hypergraph.store.depot import read_values
from hypergraph.store.records import End, Question, Ref, Report
from hypergraph.values.codec import decode
from hypergraph.values.digest import Buffer

#: How a run's status is called in Redis -> in results.
STATUSES = {
    "running": RunStatus.RUNNING,
    "completed": RunStatus.COMPLETED,
    "partial": RunStatus.PARTIAL,
    "failed": RunStatus.FAILED,
    "cancelled": RunStatus.CANCELLED,
    "paused": RunStatus.PAUSED,
}


@contextmanager
def telling_how_to_attach(run_id: str) -> Iterator[None]:
    """Say how to come back to a run that goes on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"Run {run_id} goes on. Come back with runner.attach({run_id!r}).", file=sys.stderr)
        raise


_STATUS_OF = {Phase.COMPLETED: RunStatus.COMPLETED, Phase.PAUSED: RunStatus.PAUSED}


class RunHandle:
    """A run that was submitted, here or elsewhere. Await it, or ask for its `result`."""

    def __init__(
        self, session: Session, run_id: str, *, raises: bool = True, once: bool = False
    ) -> None:
        """Hold a run.

        Args:
            session: The way to its Redis.
            run_id: The run.
            raises: Whether `result` raises what the run failed with.
            once: The result is read once: its values then leave Redis.
        """
        self.run_id = run_id
        self._session = session
        self._raises = raises
        self._once = once
        self._result: RunResult | None = None

    def __repr__(self) -> str:
        return f"RunHandle({self.run_id!r})"

    @property
    def status(self) -> RunStatus:
        """Where the run stands now.

        Raises:
            ResultExpired: Its record has been dropped, or there never was such a run.
        """
        if self._result is not None:
            return self._result.status
        meta = self._session.store.get_meta(self.run_id)
        if not meta:
            raise ResultExpired(self.run_id)
        status = STATUSES[meta["status"].decode()]
        if status is RunStatus.RUNNING and meta["seq"] == b"1" and not self._is_taken():
            return RunStatus.QUEUED
        return status

    def _is_taken(self) -> bool:
        return bool(self._session.store.inspect(self.run_id).slots)

    def result(self, timeout: float | None = None) -> RunResult:
        """Wait for the run to end, and return its result.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: The run has not ended by then. It goes on.
            RunCancelled: Somebody cancelled it.
            ResultExpired: Its values have been dropped.
            Exception: What a node raised, unless the run was submitted with ``continue``.
        """
        if self._result is None:
            self._check_kept()
        with telling_how_to_attach(self.run_id):
            result = self.wait(timeout)
        if result.error is not None and self._raises:
            raise result.error
        return result

    def cancel(self) -> None:
        """End the run if it has not ended. Afterwards no node starts and no result counts."""
        self._session.cancel(self.run_id)
        self._forget()

    def end(self) -> None:
        """Do what `cancel` does, without waiting for what is under way."""
        self._session.coordinator.cancel(self.run_id, self._session.id)
        self._forget()

    def __await__(self) -> Generator[Any, None, RunResult]:
        return beside(self.result).__await__()

    def wait(
        self, timeout: float | None = None, seen: Callable[[], None] | None = None
    ) -> RunResult:
        """Wait for the run to end, and return its result, failed or not.

        Args:
            timeout: Seconds to wait at most.
            seen: Called about once a second meanwhile.
        """
        if self._result is not None:
            return self._result
        result = self._await_end(timeout, seen)
        if not result.paused:  # an answer lets it go on
            self._result = result
        return result

    def _await_end(self, timeout: float | None, seen: Callable[[], None] | None) -> RunResult:
        session = self._session
        deadline = None if timeout is None else time.monotonic() + timeout
        most = session.reconciler.every_s
        while True:
            left = most if deadline is None else min(most, deadline - time.monotonic())
            ended = session.store.wait_end(self.run_id, max(left, 0.0))
            if ended is not None:
                return self._read(*ended)
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"run {self.run_id} has not ended after {timeout} s; it goes on")
            if seen is not None:
                seen()
            session.look_after(self.run_id)

    def _check_kept(self) -> None:
        if not self._session.store.get_meta(self.run_id):
            raise ResultExpired(self.run_id)

    def _read(self, status: str, note: bytes) -> RunResult:
        """Return the result of the run, given how it ended."""
        session = self._session
        if status == "cancelled":
            self._forget()
            raise RunCancelled(self.run_id)
        reader = RunReader(session, self.run_id)
        if status == "paused":
            return reader.read_paused(session.sealer.open(Question, note, self.run_id))
        end: End = session.sealer.open(End, note, self.run_id)
        result = reader.read(end, status)
        self._forget()
        return result

    def _forget(self) -> None:
        """Let the values leave Redis, if nobody is to read them again."""
        if self._once:
            self._session.store.forget(self.run_id)


class RunReader:
    """Reads the values of a run that has ended, or is paused."""

    def __init__(self, session: Session, run_id: str) -> None:
        self._session = session
        self._run_id = run_id
        self._data: dict[str, Buffer] = {}
        self._unpack = Errors()

    def read(self, end: End, status: str) -> RunResult:
        """Return the run's result."""
        more = [] if end.error is None else [end.error]
        if end.nested:
            result = self._read_story(more)
        else:
            self._fetch([*end.results.values(), *more])
            values = {name: decode(self._data[ref[0]]) for name, ref in end.results.items()}
            result = RunResult(values, RunStatus.COMPLETED, self._run_id)
        if status == "failed":
            result.status = RunStatus.FAILED
            result.error = self._error_of(end)
            annotate(result.error, run_id=self._run_id)
        return result

    def read_paused(self, question: Question) -> RunResult:
        """Return what there is so far, and what the run waits for."""
        shown = question.value
        result = self._read_story([] if shown is None else [shown])
        value = None if shown is None else decode(self._data[shown[0]])
        result.status = RunStatus.PAUSED
        result.pause = PauseInfo(question.path, question.output, value)
        return result

    def _read_story(self, more: list[Ref]) -> RunResult:
        """Return the values of the run and of nested ones; fetch `more` along the way."""
        fold = self._session.fold_of(self._run_id)
        found = {id(frame): fold.results(frame) for frame in fold.tree.frames()}
        refs = [ref for values in found.values() for ref in values.values()]
        for frame in fold.tree.frames():
            if isinstance(frame.error, Report) and frame.error.error is not None:
                refs.append(frame.error.error)
            for piece in frame.pieces.values():
                refs += [piece.inside] if piece.inside else piece.outputs.values()
        self._fetch([*refs, *more])
        result = self._read_frame(fold.tree.root, found)
        result.run_id = self._run_id
        return result

    def _read_frame(self, frame: Frame, found: Mapping[int, Mapping[str, Ref]]) -> RunResult:
        values = {name: decode(self._data[ref[0]]) for name, ref in found[id(frame)].items()}
        result = RunResult(values, _STATUS_OF.get(frame.state.phase, RunStatus.FAILED))
        result.run_id = inner_run_id(self._run_id, frame.prefix[:-1])  # as observers are told
        if isinstance(frame.error, Report) and frame.error.error is not None:
            result.error = self._unpack(bytes(self._data[frame.error.error[0]]))
        for name, inner in frame.nested.items():
            result.nested[name] = self._read_frame(inner, found)
        for index, piece in frame.pieces.items():
            node = frame.plan.nodes[index]
            assert node.nested is not None
            ran = self._read_piece(node.nested, piece, values)
            self._name_runs(ran, task_of(frame, index))
            result.nested[node.name] = ran
        return result

    def _name_runs(self, found: RunResult | MapResult, task: str) -> None:
        """Give the runs that a task consisted of the ids that observers are told."""
        if isinstance(found, RunResult):
            found.run_id = inner_run_id(self._run_id, task)
            return
        for item in found:
            item.run_id = inner_run_id(self._run_id, f"{task}[{item.index}]")

    def _read_piece(
        self, nested: Nested, piece: TaskEnded, values: Mapping[str, Any]
    ) -> RunResult | MapResult:
        """Return the result of a nested graph that ran as one piece."""
        if piece.inside:
            return restore_one(decode(self._data[piece.inside[0]]), self._unpack)
        inner = {
            name: values[outer] if outer in values else decode(self._data[piece.outputs[outer][0]])
            for name, outer in nested.outputs.items()
            if outer in piece.outputs
        }
        if not nested.mapped:
            return RunResult(inner, RunStatus.COMPLETED)
        names = tuple(inner)
        items = (
            RunResult(dict(zip(names, row, strict=True)), RunStatus.COMPLETED, index=index)
            for index, row in enumerate(zip(*inner.values(), strict=True))
        )
        return MapResult(items, names)

    def _fetch(self, refs: list[Ref]) -> None:
        try:
            self._data.update(read_values(self._session.store, self._run_id, refs))
        except KeyError:
            raise ResultExpired(self._run_id) from None

    def _error_of(self, end: End) -> BaseException:
        if end.error is not None:
            return self._unpack(bytes(self._data[end.error[0]]))
        broken = end.broken or {}
        if "crash" in broken:
            sealer = self._session.sealer
            packed = sealer.open_crash(broken["p"], self._run_id, broken["crash"])
            error = self._unpack(packed)
            locate(error, node=broken["path"])
            return error
        if broken.get("output"):
            return ConflictError(broken["output"], broken["nodes"])
        return InfiniteLoopError(broken.get("max_iterations", 0))
