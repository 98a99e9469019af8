"""Run the part of a graph that belongs on one queue, and let another worker go on from there.

Theory of operation
===================

An item of a map runs in one piece, unless its graph has nodes on several queues. Then a worker
runs it, one node after the other, until a body falls due that belongs on another queue. There it
stops, with a `Hop`, and what goes to that queue are the item's inputs and its *journey*: what each
body has answered so far, in the order in which they were called.

The worker that goes on begins anew, with the same inputs. What the journey knows is not called
again; its answer is taken from there. So the run comes to the place where it stopped, on the same
way, and goes on from it. There is no second way to run a graph, and nothing of a run's state has to
travel but what its bodies have said.

Rule 1: whatever the way of a run depends on is in the journey: functions, gates, whether a value of
a loop has changed. Nobody could find that out again for objects that do not equal their copies.

Rule 2: elements of a mapped graph inside the item have journeys of their own, within its own. One
that has to hop does not hold up the others: they all go as far as they can, and hop together.

Rule 3: a journey travels in one pickle with the inputs, so what was one object stays one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from hypergraph.nodes import HyperNode
from hypergraph.nodes.absent import absent
from hypergraph.nodes.function import CallableNode
from hypergraph.nodes.queue import DEFAULT_QUEUE
from hypergraph.runners.call import Call, caller, outputs_of
from hypergraph.runners.run import Values
from hypergraph.runners.waiting import Going, InTurn, Step, Way
from hypergraph.values.codec import decode
from hypergraph.values.failure import Decode, describe_failure, pack_failure, unpack_failure
from hypergraph.values.luggage import ELEMENTS

T = TypeVar("T")

#: One answer: name of the node, what it returned, and the packed failure if it raised. Under the
#: name `ELEMENTS`, a list of answers for each element of a mapped graph.
Answer = tuple[str, Any, bytes | None]


class Hop(BaseException):
    """The item goes on on another queue. No `Exception`, so that no node swallows it."""

    def __init__(self, queue: str) -> None:
        super().__init__(queue)
        self.queue = queue


class Journey:
    """What the bodies of one item have answered.

    Args:
        answers: Those of earlier stages.
        decode: The process's way to decode what bodies have raised.
    """

    def __init__(self, answers: Sequence[Answer] = (), decode: Decode = decode) -> None:
        self.answers = answers if isinstance(answers, list) else list(answers)
        self._decode = decode
        self._place = 0

    def branch(self) -> Callable[[int], Journey]:
        """Return what gives the journeys of the elements of a mapped graph, by index."""
        if not self.is_known:
            self.answers.append((ELEMENTS, [], None))
        _, branches, _ = self.answers[self._place]
        self._place += 1

        def element(index: int) -> Journey:
            branches.extend([] for _ in range(len(branches), index + 1))
            return Journey(branches[index], self._decode)

        return element

    def ask(self, name: str, function: Callable[..., T], *args: Any) -> T:
        """Call a function and write down what it answers."""
        try:
            got = function(*args)
        except Exception as error:
            packed = pack_failure(error, node=name, item=None, worker="", attempt=1)
            self._write((name, None, packed))
            raise
        self._write((name, got, None))
        return got

    def _write(self, answer: Answer) -> None:
        self.answers.append(answer)
        self._place += 1

    @property
    def is_known(self) -> bool:
        """Whether the next answer is known."""
        return self._place < len(self.answers)

    def repeat(self, name: str) -> Any:
        """Return the next answer again, or raise it."""
        known, got, packed = self.answers[self._place]
        assert known == name, f"{known!r} was called, and now {name!r}: this is a bug in hypergraph"
        self._place += 1
        if packed is not None:
            raise _restored(packed, self._decode)
        return got


def _restored(packed: bytes, decode: Decode) -> BaseException:
    """Return a failure of an earlier stage. Where it happened is told when the item has ended."""
    error = unpack_failure(packed, decode)
    error.__notes__[-1] = f"On an earlier queue:\n{describe_failure(packed)['traceback'].rstrip()}"
    return error


_under_way = threading.local()


class Placed(InTurn):
    """One after the other, as far as they belong on one queue. See the module's docstring.

    Args:
        queue: The queue.
        settle: Waits for what an async node has returned.
    """

    def __init__(self, queue: str, settle: Callable[[Any], Any]) -> None:
        self.queue = queue
        self._settle = settle

    def go(
        self, run: Callable[[Mapping[str, Any]], T], values: Mapping[str, Any], journey: Journey
    ) -> T:
        """Run an item as far as it belongs here.

        Args:
            run: Runs it; prepared for this way.
            values: Its inputs.
            journey: What is known of it. What is learnt of it is added.

        Raises:
            Hop: It goes on elsewhere.
        """
        _under_way.journey = journey
        try:
            return run(values)
        finally:
            del _under_way.journey

    def calling(self, node: CallableNode, keys: Sequence[Any]) -> Call:
        """See :class:`Way`."""
        if node.queue != self.queue:
            return self.keeping(node, absent)
        call = self._calling(node, keys)
        return self.keeping(node, call if node.outputs else _dropping(call))

    def _calling(self, node: CallableNode, keys: Sequence[Any]) -> Call:
        call, settle = caller(node, keys), self._settle
        return (lambda values: settle(call(values))) if node.is_async else call

    def storing(self, node: CallableNode, keys: Sequence[Any]) -> Step:
        """See :class:`Way`."""
        call = self.calling(node, keys)

        def step(values: Values) -> None:
            values.update(outputs_of(node, call(values)))

        return step

    def each(
        self, begin: Callable[[Any], Any], items: Iterable[Any], stops: bool, width: int | None
    ) -> Going[list[Any]]:
        """See :class:`Way`."""
        around: Journey = _under_way.journey
        element = around.branch()
        done: list[Any] = []
        hop: Hop | None = None
        try:
            for index, item in enumerate(items):
                _under_way.journey = element(index)
                try:
                    got = begin(item)
                except Hop as waits:
                    hop = hop or waits
                    continue
                done.append(got)
                if stops and got.error is not None:
                    break
        finally:
            _under_way.journey = around
        if hop is not None:
            raise hop
        return done
        yield  # nobody is waited for

    def keeping(self, node: HyperNode | None, function: Callable[..., T]) -> Callable[..., T]:
        """See :class:`Way`."""
        here = self.queue
        queue = here if node is None else node.queue or DEFAULT_QUEUE
        name = "" if node is None else node.name

        def kept(*args: Any) -> T:
            journey: Journey = _under_way.journey
            if journey.is_known:
                got: T = journey.repeat(name)
                return got
            if queue != here:
                raise Hop(queue)
            return journey.ask(name, function, *args)

        return kept

    def cross(self, inner: Way, begin: Callable[[], Any], node: HyperNode) -> Any:
        """See :class:`Way`."""
        return self.keeping(node, super().cross)(inner, begin, node)

    def call_runner(
        self, call: Callable[[], Any], is_async: bool, is_here: bool, node: HyperNode
    ) -> Any:
        """See :class:`Way`."""
        return self.keeping(node, super().call_runner)(call, is_async, is_here, node)


def _dropping(call: Call) -> Call:
    """Let go of a result that nobody reads, and that may not travel."""

    def dropping(values: Mapping[Any, Any]) -> None:
        call(values)

    return dropping


#: The same queue gives the same way, so that a graph is prepared for it once.
placed_on = cache(Placed)
