"""The event loop of a worker process, for nodes that are async functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from hypergraph.runners.together import result_of


class NodeLoop:
    """An event loop in a thread of its own, started on first use. Slots hand it what must wait.

    All async nodes of a process share it, as they would in a program of the user's: clients and
    locks that belong to a loop stay usable from one node to the next.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, begin: Callable[[], Any]) -> Any:
        """Call `begin` in the loop, and return its result, awaited if it is a coroutine.

        Raises:
            BaseException: What it raises, `SystemExit` included.
        """

        async def go() -> tuple[Any, BaseException | None]:
            try:
                got = begin()
                return (await got if isinstance(got, CoroutineType) else got), None
            except BaseException as error:  # a loop would end by some of them
                return None, error

        result, error = asyncio.run_coroutine_threadsafe(go(), self._started()).result()
        if error is not None:
            raise error
        return result

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._serve, name="async nodes", daemon=True)
                thread.start()
            return self._loop

    def _serve(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        while True:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                continue  # from a task that a node had begun; the node has been told


#: The loop of this process.
NODE_LOOP = NodeLoop()


def settle(result: Any) -> Any:
    """Return the value of what a plain function returned: awaited or drained, if it is such."""
    if isinstance(result, CoroutineType | GeneratorType | AsyncGeneratorType):
        return NODE_LOOP.run(lambda: result_of(result))
    return result
