"""`hypergraph worker --log-format json` says everything as objects, one per line."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

from hypergraph import DistributedRunner, Graph, node
from hypergraph.store.link import Link
from hypergraph.store.redis import RedisStore
from hypergraph.worker.registry import live_workers
from tests.processes import wait_until

SECRET = "a secret of somebody who logs"


@node(output_name="y")
def speak(x: int) -> int:
    print(f"x is {x}")
    logging.getLogger("mine").warning("of %s", "weight", extra={"weight": x})
    return x


def test_host_and_nodes_speak_json(redis_url: str, namespace: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hypergraph.cli.main", "worker", "--processes", "1"]
    variables = {
        "HYPERGRAPH_REDIS_URL": redis_url,
        "HYPERGRAPH_SECRET": SECRET,
        "HYPERGRAPH_LOG_FORMAT": "json",
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [*command, "--namespace", namespace],
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
        )
    try:
        link = Link(redis_url)
        store = RedisStore(link, namespace)
        assert wait_until(lambda: live_workers(store), 20.0), log.read_text()
        with DistributedRunner(redis_url, namespace=namespace, secret=SECRET) as runner:
            run_id = runner.run(Graph([speak]), x=3).run_id
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
        link.close()
    finally:
        worker.kill()
        worker.wait()

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    by_message = {line["message"]: line for line in lines}
    printed, said = by_message["x is 3"], by_message["of weight"]
    body = {"run": run_id, "node": "speak", "attempt": 1}
    assert {name: printed[name] for name in body} == body
    assert {name: said[name] for name in body} == body
    assert (printed["logger"], said["logger"], said["weight"]) == ("stdout", "mine", 3)
    assert {line["logger"] for line in lines} == {"stdout", "mine", "hypergraph.worker"}
    assert any(message.endswith("has stopped.") for message in by_message)
