"""Answer a run that waits for somebody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypergraph.coordinator.reconcile import Coordinator
from hypergraph.errors import AlreadyAnswered, ResultExpired
from hypergraph.store.records import Answer, Question
from hypergraph.values.codec import encode
from hypergraph.values.digest import digest
from hypergraph.values.ship import Ship


def answer_run(
    coordinator: Coordinator, run_id: str, answers: Mapping[str, Any], ship: Ship = "auto"
) -> None:
    """Give the answer that a paused run waits for.

    Args:
        coordinator: Knows its Redis and the secret, and lets it go on.
        run_id: The run.
        answers: Response key -> answer. There is one pause at a time, so there is one.
        ship: How code inside the answer travels.

    Raises:
        AlreadyAnswered: The run does not wait any more. The first answer stands.
        ResultExpired: There is no such run.
        ValueError: The run waits for something else.
    """
    store, sealer = coordinator.store, coordinator.sealer
    meta = store.get_meta(run_id)
    if not meta:
        raise ResultExpired(run_id)
    given = ", ".join(answers)
    found = store.wait_end(run_id, 0.0)
    if meta["status"] != b"paused" or found is None or found[0] != "paused":
        raise AlreadyAnswered(run_id, given)
    question: Question = sealer.open(Question, found[1], run_id)
    if set(answers) != {question.key}:
        raise ValueError(f"run {run_id} waits for {question.key!r}, and was given {given!r}")
    data = encode(answers[question.key], where=f"$.{question.key}", ship=ship)
    key = digest(data)
    epoch = meta["epoch"].decode()
    sealed = sealer.seal(Answer(question.key, [key, len(data)]), run_id, epoch)
    if store.answer(run_id, epoch, sealed, key, data) != "paused":
        raise AlreadyAnswered(run_id, question.key)
    coordinator.look_at(run_id)
