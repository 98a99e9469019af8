"""How one text serves runners that wait and runners that never do.

Theory of operation
===================

What a run does is written once, as generators. Where a generator has to wait it yields a
coroutine, and is sent what came of it. :func:`start` sets it going:

    start(going) -> the result, if there was nothing to wait for
                 -> else a coroutine that will return it

In a `SyncRunner` nothing waits, so it is done when `start` returns. An `AsyncRunner` awaits what
it gets. How the nodes of a superstep share the time is the one thing in which the two differ, and
is said by a :class:`Way`: :class:`InTurn` here, `Together` in :mod:`hypergraph.runners.together`,
which knows of asyncio.

Rule 1: what passes between generators is never a user's value bare. So a coroutine there is ours.

Rule 2: an error of the user's crosses no generator as it is, because Python would turn a
`StopIteration` into something else. It is caught beside its call, or travels in a `NodeFailure`.

Rule 3: a frame that a node was called from lets go of the node's error before it returns. The
error's traceback holds the frame, and both would hold the values of the run until the next
garbage collection.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from types import CoroutineType
from typing import Any, Protocol, TypeAlias, TypeVar

from hypergraph.errors import PauseExecution
from hypergraph.nodes import HyperNode
from hypergraph.nodes.function import CallableNode
from hypergraph.runners.call import Call, caller, outputs_of
from hypergraph.runners.run import Values

T = TypeVar("T")
A = TypeVar("A")

#: Yields what is to be waited for, and returns a T.
Going = Generator[Coroutine[Any, Any, Any], Any, T]
#: A T, or what will return one.
Soon: TypeAlias = T | Coroutine[Any, Any, T]

#: Runs one node: reads its inputs from the values of a run and writes its outputs to them.
#: Returns None, or a coroutine if there is something to wait for.
Step = Callable[[Values], Any]

_PACKAGE = "hypergraph."


def start(going: Going[T]) -> Soon[T]:
    """Go on until there is something to wait for, or to the end. See the module's docstring."""
    try:
        awaited = going.send(None)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]
    return _finish(going, awaited)


async def _finish(going: Going[T], awaited: Coroutine[Any, Any, Any]) -> T:
    while True:
        try:
            try:
                got = await awaited
            except BaseException as error:  # whatever it is, the generator is the one to know
                awaited = going.throw(error)
            else:
                awaited = going.send(got)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]


def then(got: Any, go_on: Callable[[Any], T]) -> Soon[T]:
    """Return ``go_on(got)``, or, if `got` has to be waited for, a coroutine that will."""
    return _then(got, go_on) if type(got) is CoroutineType else go_on(got)


async def _then(coroutine: Coroutine[Any, Any, Any], go_on: Callable[[Any], T]) -> T:
    return go_on(await coroutine)


class Raised:
    """What a step raised, in the place of its result."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        # The frames between the runner and the user's function say nothing to the user.
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            if not traceback.tb_frame.f_globals.get("__name__", "").startswith(_PACKAGE):
                break
            traceback = traceback.tb_next
        self.error = error.with_traceback(traceback)


class Way(Protocol):
    """How the steps of a superstep, and the items of a map, share the time."""

    waits: bool  #: whether it can wait for nodes

    def calling(self, node: CallableNode, keys: Sequence[Any]) -> Call:
        """Return a function that calls a node with the values that a mapping holds.

        On a way that waits it returns a coroutine where the result is not there at once.

        Args:
            node: The node.
            keys: For each input of the node, in order, the key of its value in the mapping.
        """
        ...

    def storing(self, node: CallableNode, keys: Sequence[Any]) -> Step:
        """Return a step that calls a node and stores its outputs. Arguments as for `calling`."""
        ...

    def keeping(self, node: HyperNode | None, function: Callable[..., T]) -> Callable[..., T]:
        """Return what to call instead of a function whose answer decides how the run goes on.

        Args:
            node: The gate or nested graph whose function it is; None if it is ours.
            function: Neither async nor a generator.
        """
        ...

    def all(self, steps: Sequence[Callable[[A], Any]], argument: A) -> Going[list[Any]]:
        """Call every step of a superstep.

        Returns:
            What they returned, in order, a `Raised` where one raised. It is shorter than `steps`
            where the first failure keeps the rest from being called.

        A step that has been called before may return its `Raised` again.
        """
        ...

    def each(
        self, begin: Callable[[Any], Any], items: Iterable[Any], stops: bool, width: int | None
    ) -> Going[list[Any]]:
        """Begin a run for every item of a map.

        Args:
            begin: Begins one, and returns its `Outcome`, soon.
            items: What to begin runs with.
            stops: Whether no item is begun any more once one has failed. A way that begins all of
                them at the same moment lets them all finish.
            width: How many may be under way; None for all.

        Returns:
            The outcomes, in the order of the items, of those that were begun.
        """
        ...

    def cross(self, inner: Way, begin: Callable[[], Any], node: HyperNode) -> Any:
        """Begin the nested run of `node`, that goes its own way, and return its result, soon."""
        ...

    def call_runner(
        self, call: Callable[[], Any], is_async: bool, is_here: bool, node: HyperNode
    ) -> Any:
        """Call a runner of which nothing else is known, and return its result, soon.

        Args:
            call: Calls it.
            is_async: Whether it returns a coroutine.
            is_here: Whether it works in this thread. One that does not would only block it.
            node: Whose nested graph it runs.
        """
        ...


class InTurn:
    """One after the other. The first failure ends the superstep."""

    waits = False

    def calling(self, node: CallableNode, keys: Sequence[Any]) -> Call:
        """See :class:`Way`."""
        return caller(node, keys)

    def storing(self, node: CallableNode, keys: Sequence[Any]) -> Step:
        """See :class:`Way`."""
        call = caller(node, keys)
        if len(node.outputs) != 1:
            return lambda values: values.update(outputs_of(node, call(values)))
        (output,) = node.outputs

        # The usual case, without a dict in between.
        def step(values: Values) -> None:
            values[output] = call(values)

        return step

    def keeping(self, node: HyperNode | None, function: Callable[..., T]) -> Callable[..., T]:
        """See :class:`Way`."""
        return function

    def all(self, steps: Sequence[Callable[[A], Any]], argument: A) -> Going[list[Any]]:
        """See :class:`Way`."""
        done: list[Any] = []
        for step in steps:
            try:
                got = step(argument)
                if type(got) is CoroutineType:
                    got = yield got  # an observer that wants to be awaited, in a runner that can
            except (Exception, PauseExecution) as error:
                done.append(Raised(error))
            else:
                done.append(got)
            if type(done[-1]) is Raised:
                break
        return done

    def each(
        self, begin: Callable[[Any], Any], items: Iterable[Any], stops: bool, width: int | None
    ) -> Going[list[Any]]:
        """See :class:`Way`."""
        done: list[Any] = []
        for item in items:
            got = begin(item)
            if type(got) is CoroutineType:
                got = yield got  # as above
            done.append(got)
            has_failed = got.error is not None
            del got  # rule 3; whoever gets the list empties it
            if stops and has_failed:
                break
        return done

    def cross(self, inner: Way, begin: Callable[[], Any], node: HyperNode) -> Any:
        """See :class:`Way`."""
        if not inner.waits:
            return begin()
        from hypergraph.runners.together import drive  # only who needs asyncio loads it

        return drive(begin)

    def call_runner(
        self, call: Callable[[], Any], is_async: bool, is_here: bool, node: HyperNode
    ) -> Any:
        """See :class:`Way`."""
        if not is_async:
            return call()
        from hypergraph.runners.together import drive

        return drive(call)


IN_TURN = InTurn()
