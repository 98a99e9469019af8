"""What reconcilers notice, whoever else has lost sight of it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
import warnings

import pytest

from hypergraph import Graph, WorkerCrashed, node
from tests.faults.bodies import DIAMOND
from tests.faults.ledger import Ledger, check_run
from tests.faults.rig import Rig
from tests.faults.test_clients import StartClient, start_client
from tests.processes import wait_until

__all__ = ["start_client"]


@node(output_name="y")
def end_host(item: int, ledger: Ledger) -> int:
    with ledger.call("end_host", item):
        if item == 2:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        return item


DEADLY = Graph([end_host], name="deadly")


def test_work_that_loses_three_hosts_fails_and_says_where(rig: Rig, ledger: Ledger) -> None:
    # Given enough hosts, which vanish with what they are told to do
    for _ in range(9):
        rig.start_host(ready=False, lease_s=0.6, beat_s=0.1)
    assert wait_until(lambda: len(rig.store.workers(60.0)) == 9, 20.0)
    runner = rig.runner()

    # When a run and a map do just that
    of_run, of_map = Ledger(f"{ledger.path}.run"), Ledger(f"{ledger.path}.map")
    run = runner.submit(DEADLY, item=2, ledger=of_run, error_handling="continue")
    map_ = runner.submit_map(
        DEADLY, item=range(6), ledger=of_map, map_over="item", error_handling="continue"
    )

    # Then they take no more than three each, or four where items were held together
    error = run.result(timeout=30).error
    assert isinstance(error, WorkerCrashed)
    assert (error.node, error.item, error.attempts) == ("end_host", None, 3)
    results = map_.result(timeout=30)
    error = results[2].error
    assert isinstance(error, WorkerCrashed)
    assert (error.item, error.attempts) == (2, 3)
    assert error.worker is not None
    assert error.worker in str(error)
    assert results.values_of("y") == [0, 1, None, 3, 4, 5]
    assert of_run.executions()["end_host", 2] == 3
    assert of_map.executions()["end_host", 2] <= 4


def test_a_lease_of_a_host_that_is_on_no_list_is_reaped(rig: Rig, ledger: Ledger) -> None:
    # Given a host that was buried in the moment in which it claimed
    ledger.hold("go_left")
    host = rig.start_host()
    handle = rig.runner().submit(DIAMOND, {"x": 1, "ledger": ledger})
    ledger.wait_for("go_left")
    host.freeze()
    rig.store.bury(host.id)

    # When it vanishes
    host.kill()
    rig.start_host()

    # Then what it held is found all the same
    assert handle.result(timeout=10)["total"] == 10
    check_run(ledger, rig.store, handle.run_id, again={"go_left": 1})


def test_a_client_whose_clock_is_ahead_waits_no_longer_than_others(
    rig: Rig, ledger: Ledger
) -> None:
    # Given a run that is to be looked at in an hour, by the client's clock, and no tickets
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        handle = rig.runner().submit(DIAMOND, {"x": 1, "ledger": ledger})
    redis = rig.store.link.client
    redis.delete(*redis.keys(f"{rig.store.keys.dramatiq}:*"), "nothing")
    redis.zadd(rig.store.keys.active, {handle.run_id: (time.time() + 3600) * 1000})

    # Then hosts find it
    rig.start_host()
    ledger.wait_for("join", timeout_s=10)
    assert handle.result(timeout=10)["total"] == 10


def test_clients_that_were_silent_because_redis_was_away_are_not_dead(
    rig: Rig, ledger: Ledger, start_client: StartClient
) -> None:
    # Given a map that its client feeds, and that client out of touch
    rig.start_host()
    ledger.hold("square", 150)
    client = start_client("map-sized")
    ledger.wait_for("square", 150)
    os.kill(client.process.pid, signal.SIGSTOP)
    redis = rig.store.link.client

    # When nobody was in touch for a while, as after an outage
    pipe = redis.pipeline()
    pipe.hset(rig.store.keys.tick, "last", 0)
    pipe.delete(*redis.keys(f"hg:{rig.namespace}:client:*"))
    pipe.execute()
    time.sleep(0.5)
    os.kill(client.process.pid, signal.SIGCONT)

    # Then the client has the time to come back
    ledger.release("square", 150)
    assert client.process.wait(20) == 0


def test_a_long_call_that_holds_the_interpreter_lock_is_not_taken_for_dead(
    rig: Rig, ledger: Ledger
) -> None:
    rig.start_host()
    rig.start_host()

    result = rig.runner().run(HOLDING, {"ledger": ledger})

    assert result["slept"] == 3.0
    assert ledger.executions() == {("hold_the_lock", -1): 1}


@node(output_name="slept")
def hold_the_lock(ledger: Ledger) -> float:
    with ledger.call("hold_the_lock"):
        ctypes.PyDLL(None).usleep(3_000_000)  # three leases
    return 3.0


HOLDING = Graph([hold_the_lock], name="holding")


@pytest.mark.parametrize("what", ["task", "item"])
def test_a_process_that_dies_of_loading_its_inputs_counts_as_well(
    rig: Rig, ledger: Ledger, what: str
) -> None:
    rig.start_host(processes=2)
    values = {"given": Deadly(ledger)}
    runner = rig.runner()

    if what == "task":
        error = runner.run(TAKING, values, error_handling="continue").error
    else:
        handle = runner.submit_map(
            TAKING, {"given": [*values.values()]}, map_over="given", error_handling="continue"
        )
        error = handle.result(timeout=30)[0].error

    assert isinstance(error, WorkerCrashed)
    assert error.signal == signal.SIGKILL
    assert ledger.executions()["load", -1] <= 4


class Deadly:
    """Kills who loads it, but for the process that made it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.pid = os.getpid()

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        if os.getpid() != self.pid:
            with self.ledger.call("load"):
                os.kill(os.getpid(), signal.SIGKILL)


@node(output_name="taken")
def take(given: Deadly) -> int:
    return 1


TAKING = Graph([take], name="taking")
