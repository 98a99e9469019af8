"""A post that loses tickets, delivers others five times, and in any order.

    python -m tests.faults.unruly     a supervisor whose children use it as well

Of each run and queue the first ticket is lost, and of the others one in three. What a run needs
must not depend on any of that.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable
from typing import Any

from hypergraph.transport.tickets import Tickets

Commands = Callable[[Tickets, str, str, int], list[tuple[Any, ...]]]

COPIES = 5


def make_unruly(commands: Commands, seed: int) -> Commands:
    """Return `Tickets.commands` as it is with such a post."""
    chance = random.Random(seed)
    known: set[tuple[str, str]] = set()

    def unruly(self: Tickets, run_id: str, queue: str, count: int) -> list[tuple[Any, ...]]:
        is_first = (run_id, queue) not in known
        known.add((run_id, queue))
        if is_first or chance.random() < 1 / 3:
            return []
        sent: list[tuple[Any, ...]] = []
        for _ in range(COPIES):
            for command, key, *rest in commands(self, run_id, queue, count):
                if command == "RPUSH":
                    # To the front or to the back: past other runs' tickets.
                    sent += [(chance.choice(["LPUSH", "RPUSH"]), key, ticket) for ticket in rest]
                else:
                    sent.append((command, key, *rest))
        return sent

    return unruly


def main(*arguments: str) -> int:
    seed = int(arguments[0]) if arguments else 0
    unruly = make_unruly(Tickets.commands, seed)
    Tickets.commands = unruly  # type: ignore[method-assign,assignment]
    if arguments:
        from hypergraph.worker import child

        child.main()
    from hypergraph.worker.config import WorkerConfig
    from hypergraph.worker.supervisor import Supervisor

    logging.basicConfig(level=logging.INFO)
    config = WorkerConfig.from_line(sys.stdin.buffer.readline().decode())
    command = [sys.executable, "-m", "tests.faults.unruly", str(random.randrange(1 << 30))]
    return Supervisor(config, command=command).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
