"""Decide which code travels by value, and which only by name."""

from __future__ import annotations

import sys
from typing import Any, Literal

from hypergraph.values.code_id import MAIN_MODULES, Origin, origin_of

Ship = Literal["auto", "value", "reference"]


class Policy:
    """Which modules travel by value, and a record of those that do not.

    Args:
        ship: ``auto``: the user's own modules by value, all others by name.
            ``value``: also the packages in `also`. ``reference``: everything by name.
        also: Installed top-level packages to send by value.
    """

    def __init__(self, ship: Ship = "auto", also: frozenset[str] = frozenset()) -> None:
        if ship not in ("auto", "value", "reference"):
            raise ValueError(f"ship must be 'auto', 'value' or 'reference', not {ship!r}.")
        self.ship = ship
        self.also = also
        self.pinned: set[str] = set()  #: the user's modules that go by name all the same
        self.needed: dict[str, None] = {}  #: top-level modules a reader must have, in order
        self.plain_annotations = False  #: whether odd annotations become text
        self.packs_code = False  #: it is for nodes and graphs, not for values
        self.bodies: frozenset[int] = frozenset()  #: ids of what the node at hand calls

    def by_value(self, module: str | None) -> bool:
        """Whether code of `module` travels by value."""
        if module is None:
            return self.ship != "reference"
        origin = origin_of(module)
        if origin is Origin.USER:
            return self.ship != "reference" and module not in self.pinned
        return origin is Origin.INSTALLED and module.partition(".")[0] in self.also

    def vouches_for(self, thing: Any) -> bool:
        """Whether what goes by name has to be the same code where it arrives.

        That is so for what a node calls, and for whatever of the user's own code goes by name.
        What it uses of installed packages is not its user's to keep the same.
        """
        if id(thing) in self.bodies:
            return origin_of(thing.__module__) in (Origin.USER, Origin.INSTALLED)
        return self.packs_code and origin_of(thing.__module__ or "") is Origin.USER

    def give_way(self, module: str | None, is_annotation: bool) -> bool:
        """Change the policy after something of `module` did not pickle.

        Odd annotations become text; nothing runs differently for it. Otherwise the
        module goes by name from now on, if it has one.

        Returns:
            Whether another attempt may succeed.
        """
        if is_annotation and not self.plain_annotations:
            self.plain_annotations = True
            return True
        if self.ship != "auto" or module is None or module in MAIN_MODULES:
            return False
        if not self.by_value(module) or getattr(sys.modules.get(module), "__spec__", None) is None:
            return False
        self.pinned.add(module)
        return True

    def need(self, module: str | None) -> None:
        """Note that whoever reads this must be able to import `module`."""
        if module is not None and origin_of(module) in (Origin.USER, Origin.INSTALLED):
            self.needed[module.partition(".")[0]] = None
