"""Nodes that choose which other nodes may run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from hypergraph.nodes.function import CallableNode
from hypergraph.wording import quoted


class _Sentinel(type):
    def __repr__(cls) -> str:
        return "END"

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("END cannot be instantiated; use it as it is: return END")


class END(metaclass=_Sentinel):
    """The target that is no node: the gate activates nothing.

    A class used as a value, so that ``-> str | type[END]`` is an annotation.
    """


Target: TypeAlias = "str | type[END]"
Decision: TypeAlias = "Target | list[Target] | None"


class GateNode(CallableNode):
    """A node without outputs whose function decides which targets may run.

    Attributes:
        targets: Names of nodes, or `END`, in the order given.
        descriptions: What is known about targets or answers, for pictures.
        default_open: Whether the targets may run before the first decision.
    """

    targets: list[Any]
    descriptions: dict[Any, str]
    default_open: bool

    def _wrap_gate(
        self,
        func: Callable[..., Any],
        name: str | None,
        rename_inputs: Mapping[str, str] | None,
        cache: bool,
        default_open: bool,
    ) -> None:
        self._wrap(func, name, rename_inputs, cache)
        self.outputs = ()
        self.default_open = default_open
        callee = self._callee
        if callee.is_generator:
            raise TypeError(f"Gate {self.name!r} cannot be a generator: it returns one decision.")
        if callee.is_async:
            raise TypeError(
                f"Gate {self.name!r} cannot be async: decisions are taken between nodes. Do the "
                "waiting in a node and let the gate read its output."
            )

    def decision_of(self, returned: Any) -> Decision:
        """Return the decision to record for what the function returned.

        Raises:
            TypeError: It is not of a type this gate may return.
            ValueError: It names something that is not a target.
        """
        raise NotImplementedError


class RouteNode(GateNode):
    """A gate whose function returns the name of the target to activate.

    Args:
        func: The routing function; neither async nor a generator.
        targets: Names of nodes and `END`, or a mapping from them to descriptions.
        fallback: The target that `None` stands for; added to the targets if missing.
        multi_target: Whether the function returns a list of targets instead of one.
        default_open: Whether the targets may run before the first decision.
        cache: Whether decisions may be cached by a runner that has a cache.
        name: Name of the node; by default the function's.
        rename_inputs: Parameter name -> input name.

    Raises:
        TypeError: The function is async or a generator, or a target is no name.
        ValueError: No targets, the string ``"END"`` among them, or a fallback
            together with `multi_target`.
        RenameError: `rename_inputs` names unknown parameters.
    """

    fallback: Any
    multi_target: bool

    def __init__(
        self,
        func: Callable[..., Any],
        targets: Sequence[Target] | Mapping[Any, str],
        *,
        fallback: Target | None = None,
        multi_target: bool = False,
        default_open: bool = False,
        cache: bool = False,
        name: str | None = None,
        rename_inputs: Mapping[str, str] | None = None,
    ) -> None:
        self._wrap_gate(func, name, rename_inputs, cache, default_open)
        if isinstance(targets, str):
            raise TypeError(
                f"targets of gate {self.name!r} must be a list; write targets=[{targets!r}]."
            )
        self.targets = list(dict.fromkeys(targets))
        self.descriptions = dict(targets) if isinstance(targets, Mapping) else {}
        if not self.targets:
            raise ValueError(f"Gate {self.name!r} needs at least one target, a node name or END.")
        if fallback is not None and fallback not in self.targets:
            self.targets.append(fallback)
        for target in self.targets:
            _refuse_odd_target(target, self.name)
        if fallback is not None and multi_target:
            raise ValueError(
                f"Gate {self.name!r} cannot have both fallback and multi_target: an empty list "
                "already says that nothing was chosen."
            )
        self.fallback = fallback
        self.multi_target = multi_target

    def decision_of(self, returned: Any) -> Decision:
        """Return the decision to record: a target, a list of targets, or `None`.

        Raises:
            TypeError: A list without `multi_target`, or no list with it.
            ValueError: A target that is not among `targets`.
        """
        if returned is None:
            return self.fallback  # type: ignore[no-any-return]
        if not self.multi_target:
            if isinstance(returned, list):
                raise TypeError(
                    f"Gate {self.name!r} has multi_target=False but returned a list: "
                    f"{returned!r}. Return one target, or declare multi_target=True."
                )
            self._refuse_unknown(returned)
            return returned  # type: ignore[no-any-return]
        if not isinstance(returned, list):
            raise TypeError(
                f"Gate {self.name!r} has multi_target=True but returned "
                f"{type(returned).__name__}: {returned!r}. Return a list of targets."
            )
        for target in returned:
            self._refuse_unknown(target)
        return list(returned)

    def _refuse_unknown(self, target: Any) -> None:
        if any(target is known or _same_name(target, known) for known in self.targets):
            return
        hint = ""
        if isinstance(target, str) and target == "END" and END in self.targets:
            hint = " Return the sentinel: `from hypergraph import END`."
            warnings.warn(
                f"Gate {self.name!r} returned the string 'END' instead of the sentinel END.",
                UserWarning,
                stacklevel=3,
            )
        raise ValueError(
            f"Gate {self.name!r} returned an invalid target {target!r}. "
            f"Targets: {quoted(self.targets)}.{hint}"
        )

    def __repr__(self) -> str:
        """Name the function, the gate if it is called otherwise, and the targets."""
        shown = [str(target) for target in self.targets]
        return f"RouteNode({self._label()}, targets={shown})"


class IfElseNode(GateNode):
    """A gate whose function returns `True` or `False`.

    Args:
        func: The deciding function; neither async nor a generator.
        when_true: Target to activate on `True`, a node name or `END`.
        when_false: Target to activate on `False`.
        default_open: Whether the targets may run before the first decision.
        cache: Whether decisions may be cached by a runner that has a cache.
        name: Name of the node; by default the function's.
        rename_inputs: Parameter name -> input name.

    Raises:
        TypeError: The function is async or a generator, or a target is no name.
        ValueError: Both targets are equal, or one is the string ``"END"``.
        RenameError: `rename_inputs` names unknown parameters.
    """

    when_true: Any
    when_false: Any

    def __init__(
        self,
        func: Callable[..., Any],
        when_true: Target,
        when_false: Target,
        *,
        default_open: bool = False,
        cache: bool = False,
        name: str | None = None,
        rename_inputs: Mapping[str, str] | None = None,
    ) -> None:
        self._wrap_gate(func, name, rename_inputs, cache, default_open)
        self.targets = [when_true, when_false]
        for target in self.targets:
            _refuse_odd_target(target, self.name)
        if when_true == when_false:
            raise ValueError(
                f"Gate {self.name!r} has the same target for both branches: {when_true!r}. Then "
                "there is nothing to decide; drop the gate or change a branch."
            )
        self.when_true = when_true
        self.when_false = when_false
        self.descriptions = {True: "True", False: "False"}

    def decision_of(self, returned: Any) -> Decision:
        """Return the target that `returned` stands for.

        Raises:
            TypeError: It is neither `True` nor `False`.
        """
        if returned is True:
            return self.when_true  # type: ignore[no-any-return]
        if returned is False:
            return self.when_false  # type: ignore[no-any-return]
        raise TypeError(
            f"Gate {self.name!r} must return bool, True or False; it returned "
            f"{type(returned).__name__}: {returned!r}. Wrap the condition in bool(...)."
        )

    def __repr__(self) -> str:
        """Name the function, the gate if it is called otherwise, and both branches."""
        return f"IfElseNode({self._label()}, true={self.when_true}, false={self.when_false})"


def route(
    targets: Sequence[Target] | Mapping[Any, str],
    *,
    fallback: Target | None = None,
    multi_target: bool = False,
    default_open: bool = False,
    cache: bool = False,
    name: str | None = None,
    rename_inputs: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Any]], RouteNode]:
    """Make a :class:`RouteNode` of the decorated function.

    >>> @route(targets=["shout", END])
    ... def long_enough(words: list[str]) -> str | type[END]:
    ...     return "shout" if len(words) >= 2 else END
    >>> long_enough
    RouteNode(long_enough, targets=['shout', 'END'])
    """

    def decorate(func: Callable[..., Any]) -> RouteNode:
        return RouteNode(
            func,
            targets,
            fallback=fallback,
            multi_target=multi_target,
            default_open=default_open,
            cache=cache,
            name=name,
            rename_inputs=rename_inputs,
        )

    return decorate


def ifelse(
    when_true: Target,
    when_false: Target,
    *,
    default_open: bool = False,
    cache: bool = False,
    name: str | None = None,
    rename_inputs: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Any]], IfElseNode]:
    """Make an :class:`IfElseNode` of the decorated function.

    >>> @ifelse(when_true="shout", when_false=END)
    ... def is_loud(words: list[str]) -> bool:
    ...     return len(words) >= 2
    >>> is_loud
    IfElseNode(is_loud, true=shout, false=END)
    """

    def decorate(func: Callable[..., Any]) -> IfElseNode:
        return IfElseNode(
            func,
            when_true,
            when_false,
            default_open=default_open,
            cache=cache,
            name=name,
            rename_inputs=rename_inputs,
        )

    return decorate


def _same_name(target: Any, known: Any) -> bool:
    return isinstance(target, str) and isinstance(known, str) and target == known


def _refuse_odd_target(target: Any, gate: str) -> None:
    if target is END:
        return
    if not isinstance(target, str):
        raise TypeError(
            f"Gate {gate!r} has the target {target!r}; a target is the name of a node, or END."
        )
    if target == "END":
        raise ValueError(
            f"Gate {gate!r} has 'END' as a string target. Use the sentinel: "
            "`from hypergraph import END`."
        )
