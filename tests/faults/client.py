"""A client for tests to kill.

    python -m tests.faults.client WHAT URL NAMESPACE LEDGER

It says in a line of JSON what the test has to know, and goes on. WHAT is one of

    submit      a diamond; says its run id
    map         a map over an endless stream
    map-sized   a map over a list that is uploaded at once, and then waits for its results
    embedded    a diamond, on a Redis and workers of its own; says where these are
"""

from __future__ import annotations

import json
import sys
import time
from itertools import count
from typing import Any

from hypergraph import DistributedRunner
from tests.faults.bodies import DIAMOND, SQUARES
from tests.faults.ledger import Ledger
from tests.faults.rig import SECRET, QuickRunner


class HastyRunner(QuickRunner):
    """A client that is missed after three seconds."""

    lease_s = 0.5


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def main(what: str, url: str, namespace: str, path: str) -> None:
    ledger = Ledger(path)
    if what == "embedded":
        runner = DistributedRunner(workers=2, progress=False)
        handle = runner.submit(DIAMOND, {"x": 1, "ledger": ledger})
        assert runner._cluster is not None
        say(url=runner._cluster.url, run_id=handle.run_id)
        time.sleep(600)
    runner = HastyRunner(url, namespace=namespace, secret=SECRET, progress=False)
    if what == "submit":
        say(run_id=runner.submit(DIAMOND, {"x": 1, "ledger": ledger}).run_id)
        time.sleep(600)
    items: Any = list(range(200)) if what == "map-sized" else count()
    say()
    runner.map(SQUARES, {"item": items, "ledger": ledger}, map_over="item", chunk=10)


if __name__ == "__main__":
    main(*sys.argv[1:])
