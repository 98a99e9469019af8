"""How the nodes of a superstep run side by side in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeVar

from hypergraph.errors import PauseExecution
from hypergraph.nodes import HyperNode
from hypergraph.nodes.function import CallableNode
from hypergraph.runners.call import Call, caller, outputs_of
from hypergraph.runners.run import Values
from hypergraph.runners.waiting import Going, Raised, Step, Way, then

A = TypeVar("A")
T = TypeVar("T")

#: Results that stand for values still to come.
_LAZY = frozenset({CoroutineType, GeneratorType, AsyncGeneratorType})


class Budget:
    """How many function bodies may be in flight in a call tree."""

    def __init__(self, limit: int) -> None:
        self._slots = asyncio.Semaphore(limit)

    async def spend(self, body: Callable[[], Any]) -> Any:
        """Wait for a slot, and hold it until `body` has returned its result.

        What the body itself begins, as by calling a runner, runs on that one slot: there may be
        no other, and the body would wait for itself.
        """
        async with self._slots:
            token = _budget.set(Budget(1))
            try:
                return await result_of(body())
            finally:
                _budget.reset(token)


_budget: ContextVar[Budget | None] = ContextVar("hypergraph_budget", default=None)


@contextmanager
def limited(limit: int | None) -> Iterator[None]:
    """Let at most `limit` bodies be in flight inside. A limit that is in force already stays.

    Raises:
        ValueError: The limit is less than 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"max_concurrency={limit}: at least 1 is needed, or None for no limit")
    if limit is None or _budget.get() is not None:
        yield
        return
    token = _budget.set(Budget(limit))
    try:
        yield
    finally:
        _budget.reset(token)


class Together:
    """Side by side. Whoever has begun finishes, whatever becomes of the others."""

    waits = True

    def calling(self, node: CallableNode, keys: Sequence[Any]) -> Call:
        """See :class:`Way`."""
        func = caller(node, keys)

        def call(values: Any) -> Any:
            budget = _budget.get()
            if budget is not None:
                return budget.spend(lambda: func(values))
            result = func(values)
            return result_of(result) if type(result) in _LAZY else result

        return call

    def storing(self, node: CallableNode, keys: Sequence[Any]) -> Step:
        """See :class:`Way`."""
        call = self.calling(node, keys)
        if len(node.outputs) != 1:
            return lambda values: then(
                call(values), lambda got: values.update(outputs_of(node, got))
            )
        (output,) = node.outputs
        func, get_budget = caller(node, keys), _budget.get

        # The usual case, without calls in between.
        def step(values: Values) -> Any:
            got = func(values) if get_budget() is None else call(values)
            if type(got) in _LAZY:
                return then(result_of(got), partial(values.__setitem__, output))
            values[output] = got
            return None

        return step

    def keeping(self, node: HyperNode | None, function: Callable[..., T]) -> Callable[..., T]:
        """See :class:`Way`."""
        return function

    def all(self, steps: Sequence[Callable[[A], Any]], argument: A) -> Going[list[Any]]:
        """See :class:`Way`."""
        done: list[Any] = []
        waits = False
        for step in steps:
            try:
                got = step(argument)
            except (Exception, PauseExecution) as error:
                done.append(Raised(error))
            else:
                waits = waits or type(got) is CoroutineType
                done.append(got)
        if waits:
            yield from _replace_pending(done)
        return done

    def each(
        self, begin: Callable[[Any], Any], items: Iterable[Any], stops: bool, width: int | None
    ) -> Going[list[Any]]:
        """See :class:`Way`."""
        if width is None:
            done = [begin(item) for item in items]
            yield from _replace_pending(done)
        else:
            done = yield _pull(begin, items, stops, width)
        for got in done:
            if type(got) is Raised:
                raise got.error
        return done

    def cross(self, inner: Way, begin: Callable[[], Any], node: HyperNode) -> Any:
        """See :class:`Way`."""
        budget = _budget.get()
        if inner.waits or budget is None:
            return begin()
        # Nothing in there can wait for a slot, so all of it is one body.
        return budget.spend(begin)

    def call_runner(
        self, call: Callable[[], Any], is_async: bool, is_here: bool, node: HyperNode
    ) -> Any:
        """See :class:`Way`."""
        return call() if is_async or is_here else asyncio.to_thread(call)


TOGETHER = Together()


def drive(begin: Callable[[], Any]) -> Any:
    """Run a coroutine to its end from code that cannot await it, and return its result.

    A thread can run one event loop. Where one is running already, another thread lends its own.

    Args:
        begin: Returns the coroutine, or the result. Called in the event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_begun(begin))
    with ThreadPoolExecutor(1, "hypergraph-loop") as pool:
        return pool.submit(copy_context().run, asyncio.run, _begun(begin)).result()


async def _begun(begin: Callable[[], Any]) -> Any:
    if _budget.get() is not None:
        # Slots belong to one event loop. The caller is a body, whose slot serves for all of this.
        _budget.set(Budget(1))
    got = begin()
    return await got if type(got) is CoroutineType else got


async def result_of(result: Any) -> Any:
    """Return the value that a node's result stands for."""
    kind = type(result)
    if kind is CoroutineType:
        return await result
    if kind is GeneratorType:
        return list(result)
    if kind is AsyncGeneratorType:
        return [value async for value in result]
    return result


def _replace_pending(done: list[Any]) -> Going[None]:
    """Wait for the coroutines in a list, and put their results in their places."""
    pending = [number for number, got in enumerate(done) if type(got) is CoroutineType]
    if pending:
        ended = yield _gather([done[number] for number in pending])
        for number, got in zip(pending, ended, strict=True):
            done[number] = got


async def _gather(coroutines: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Return the results of all coroutines, `Raised` among them."""
    if len(coroutines) == 1:
        return [await _caught(coroutines[0])]
    tasks = [asyncio.ensure_future(_caught(coroutine)) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        # The run was cancelled, or a node was. What it began must not outlive it.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _caught(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (Exception, PauseExecution) as error:
        return Raised(error)


async def _pull(
    begin: Callable[[Any], Any], items: Iterable[Any], stops: bool, width: int
) -> list[Any]:
    """Let `width` pullers take items from one line, until it ends or one fails that stops."""
    line = iter(enumerate(items))
    outcomes: dict[int, Any] = {}
    failed = False

    async def pull() -> None:
        nonlocal failed
        # Looked at before an item is taken: one that is taken is run.
        while not failed:
            number, item = next(line, (-1, None))
            if number < 0:
                return
            got = begin(item)
            if type(got) is CoroutineType:
                got = await got
            outcomes[number] = got
            if stops and got.error is not None:
                failed = True

    for ended in await _gather([pull() for _ in range(width)]):
        if type(ended) is Raised:
            raise ended.error
    return [outcomes[number] for number in sorted(outcomes)]
