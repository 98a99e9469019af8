"""A waiting main thread hears every signal, whichever thread the kernel gives it to."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from hypergraph.worker.signals import NUDGE, Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = signal.getsignal(signal.SIGUSR1)
    caught = Signals()
    caught.catch([signal.SIGUSR1])
    yield caught
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGUSR1, before)


def test_signals_that_came_before_the_wait_are_heard_one_by_one(signals: Signals) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)

    assert [signals.wait(0.0) for _ in range(3)] == [signal.SIGUSR1, signal.SIGUSR1, None]


def test_a_signal_that_another_thread_gets_is_heard(signals: Signals) -> None:
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    assert other.ident is not None
    signal.pthread_kill(other.ident, signal.SIGUSR1)

    assert signals.wait(5.0) == signal.SIGUSR1
    done.set()
    other.join()


def test_a_nudge_ends_the_wait(signals: Signals) -> None:
    other = threading.Thread(target=signals.nudge)
    other.start()

    assert signals.wait(5.0) == NUDGE
    other.join()
