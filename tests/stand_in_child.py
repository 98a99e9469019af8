"""A child that does as it is told, to see what its supervisor makes of it.

    python -m tests.stand_in_child BEHAVIOUR LEDGER RUN

It appends what happens to it to LEDGER, one line each: its name, its pid, a word.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from itertools import count
from types import FrameType

from hypergraph.store.link import Link
from hypergraph.store.redis import RedisStore
from hypergraph.worker import lifeline
from hypergraph.worker.config import WorkerConfig
from hypergraph.worker.mark import Mark

BEHAVIOUR, LEDGER, RUN = sys.argv[1:]


class StandIn:
    """Claims the run's one task, and has its body run until it is told to stop."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.name = config.child
        self.slot = f"{config.worker_id}/{config.child}/0"
        self.store = RedisStore(Link(config.url), config.namespace)
        self.mark = Mark.attach(config.mark_path, config.threads)
        self.asked = threading.Event()
        self.calls = count(1)

    def say(self, word: str, pid: int = 0) -> None:
        with open(LEDGER, "a") as ledger:
            ledger.write(f"{self.name} {pid or os.getpid()} {word}\n")

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.say("asked")
        if BEHAVIOUR != "deaf":
            self.asked.set()

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self.stop)
        self.say("started")
        if BEHAVIOUR == "broken":
            return 3
        if BEHAVIOUR != "idle":
            self.work()
        self.asked.wait()
        if BEHAVIOUR != "idle":
            self.give_back()
        self.say("left")
        return 0

    def work(self) -> None:
        self.note("SADD")
        while not self.cycle(want=1) and not self.asked.wait(0.02):
            pass
        if BEHAVIOUR != "between":
            place = self.mark.slot(0)
            place.enter(RUN, "double", "double")
        if BEHAVIOUR == "parent":
            program = [sys.executable, "-c", "import time; time.sleep(60)"]
            self.say("subprocess", subprocess.Popen(program).pid)
        if BEHAVIOUR == "exit":
            os._exit(0)
        self.say("began")

    def give_back(self) -> None:
        self.cycle(want=0)
        self.note("SREM")
        self.mark.slot(0).leave()

    def cycle(self, want: int) -> int:
        """Give back what the slot holds, and claim so many tasks. Returns how many there were."""
        queue, call = self.config.full_queues[0], next(self.calls)
        answer = self.store.cycle(
            RUN, slot=self.slot, epoch="", call=call, want=want, queue=queue, after=0
        )
        return len(answer.claims)

    def note(self, command: str) -> None:
        """Add the run to those in which the host may hold something, or drop it."""
        key = self.store.keys.held(self.config.worker_id)
        self.store.link.pipeline([(command, key, f"{self.slot} {RUN}")])


if __name__ == "__main__":
    told = WorkerConfig.from_line(sys.stdin.buffer.readline().decode())
    lifeline.watch(sys.stdin.buffer, lambda: os._exit(1))
    sys.exit(StandIn(told).run())
