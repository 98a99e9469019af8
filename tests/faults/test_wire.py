"""A reply that is lost after its command was carried out changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from hypergraph import Graph, node
from tests.faults.bodies import DIAMOND, SQUARES
from tests.faults.conftest import MakeRig
from tests.faults.ledger import Ledger, check_map, check_run
from tests.faults.proxy import LossyWire
from tests.redis_server import RedisServer

ITEMS = 400


@node(output_name="total")
def add_up(square: list[int], ledger: Ledger) -> int:
    with ledger.call("add_up"):
        return sum(square)


FANNED = Graph([SQUARES.as_node().map_over("item"), add_up], name="fanned")


def test_one_reply_in_thirty_may_be_lost(
    make_redis: Callable[..., RedisServer], make_rig: MakeRig, ledger: Ledger
) -> None:
    # Given a wire that loses replies, for hosts and clients alike
    redis = make_redis(tcp=True)
    with LossyWire(redis.url, 0.0, seed=1) as wire:
        rig = make_rig(wire.url)
        rig.start_host(processes=2)
        runner = rig.runner()
        wire.loss = 1 / 30

        # When runs and maps go over it
        runs = [Ledger(f"{ledger.path}.run{n}") for n in range(12)]
        handles = [runner.submit(DIAMOND, x=n, ledger=of) for n, of in enumerate(runs)]
        items = Ledger(f"{ledger.path}.items")
        map_ = runner.submit_map(SQUARES, item=range(ITEMS), ledger=items, map_over="item", chunk=5)
        fed = Ledger(f"{ledger.path}.fed")
        results = runner.map(SQUARES, item=range(ITEMS), ledger=fed, map_over="item", chunk=5)
        fanned = Ledger(f"{ledger.path}.fanned")
        total = runner.run(FANNED, item=list(range(100)), ledger=fanned)["total"]

        # Then everything is executed once, and committed once
        squares = [n * n for n in range(ITEMS)]
        assert [handle.result(timeout=30)["total"] for handle in handles] == [
            5 * (n + 1) for n in range(12)
        ]
        assert map_.result(timeout=30)["square"] == squares
        assert results["square"] == squares
        assert total == sum(squares[:100])
        wire.loss = 0.0
        for handle, of in zip(handles, runs, strict=True):
            check_run(of, rig.store, handle.run_id)
        check_map(items, rig.store, map_.run_id, ITEMS)
        assert set(fed.executions().values()) == {1}
        assert set(fanned.executions().values()) == {1}
        print(f"measured: {wire.lost} replies were lost")
        assert wire.lost > 5
        rig.close()
