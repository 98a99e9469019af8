"""Phrases that messages share. Knows nothing of graphs or runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def quoted(names: Iterable[object]) -> str:
    """Return the names as messages list them.

    >>> quoted(["a", "b"])
    "'a', 'b'"
    """
    return ", ".join(repr(name) for name in names)


def nearest(name: str, names: Sequence[str]) -> str | None:
    """Return the name that was probably meant, or `None`.

    >>> nearest("qeury", ["query", "limit"])
    'query'
    """
    from difflib import get_close_matches  # slow to import, and only messages need it

    close = get_close_matches(name, [n for n in names if n != name], n=1)
    return close[0] if close else None


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return `` Did you mean 'x'?``, or nothing when no name is near."""
    near = nearest(name, names)
    return f" Did you mean {near!r}?" if near else ""


def missing_inputs(missing: Sequence[str], provided: Sequence[str]) -> str:
    """Say which inputs a run lacks, what it was given and what was probably meant."""
    near = [(name, close) for name in missing if (close := nearest(name, provided))]
    hints = ", ".join(f"{close!r} -> {name!r}" for name, close in near)
    return "\n".join(
        [
            f"Missing required inputs: {quoted(missing)}",
            f"  Provided: {quoted(provided) or 'nothing'}",
            *([f"  Did you mean: {hints}?"] if hints else []),
            "  Pass them to run(), or give them a value with graph.bind(...).",
        ]
    )


def doing(node: str | None, item: int | None) -> str:
    """Return the words for a node, with its map item if it has one."""
    what = f"node {node!r}" if node is not None else "a node"
    return what if item is None else f"{what} (item {item})"


def on(worker: str | None) -> str:
    """Return the words for where it ran, or nothing."""
    return f" on {worker}" if worker else ""


def a_kind(kind: str) -> str:
    """Return the words for an object's type, or nothing."""
    return f" (a {kind})" if kind else ""


def because(reason: str) -> str:
    """Return the words for a reason, or nothing."""
    return f": {reason.rstrip('.')}" if reason else ""


def death(signal: int | None, exit_code: int | None) -> str:
    """Return what ended a process, by the number of its signal or its exit code."""
    if signal is not None:
        from signal import Signals

        name = Signals(signal).name if signal in set(Signals) else f"signal {signal}"
        hint = "; often out of memory" if name == "SIGKILL" else ""
        return f"killed by {name} ({signal}){hint}"
    return f"exit code {exit_code}" if exit_code is not None else "cause unknown"


def counted(**counts: int | None) -> str:
    """Return the numbers that are known, in brackets, or nothing.

    >>> counted(finished=3, skipped=None)
    ' (3 finished)'
    """
    known = [f"{count} {word}" for word, count in counts.items() if count is not None]
    return f" ({', '.join(known)})" if known else ""


def code_differs(
    name: str, node: str | None, workers: Sequence[str], module: str, client: str, worker: str
) -> str:
    """Say whose code differs, in which module, what both have, and how to mend it."""
    use = f", which node {node!r} needs," if node else ""
    found = f" ({quoted(workers)})" if workers else ""
    package = module.partition(".")[0]
    return (
        f"The code of {name}{use} is not the same on client and workers{found}: module {module!r} "
        f"differs. The client has {client}, the worker {worker}. Nothing was run. Install the same "
        f"{package!r} on both and restart the workers, or the client if its is the older one; or "
        "send the code along with ship='value'."
    )


def forbidden_code(what: str, allowed: Sequence[str]) -> str:
    """Say what a worker does not run, what it does run, and how to get there."""
    modules = ", ".join(allowed) or "no module at all"
    return (
        f"It uses {what}, and this worker runs only what lies in {modules}, by name: it was "
        "started with --allow-modules. Nothing was run. Define the nodes there and submit with "
        "ship='reference', or start a worker without --allow-modules."
    )


def store_full(used_bytes: int | None, limit_bytes: int | None, largest: Mapping[str, int]) -> str:
    """Say how full Redis is, with what, and how to make room."""
    known = used_bytes is not None and limit_bytes is not None
    numbers = f" ({used_bytes:,} of {limit_bytes:,} bytes)" if known else ""
    runs = ", ".join(f"{run_id}: {size:,} bytes" for run_id, size in largest.items())
    biggest = f" Largest runs: {runs}." if runs else ""
    return (
        f"Redis is full{numbers}, so nothing new was stored.{biggest} Raise maxmemory, wait for "
        "runs to finish, or keep results for less time with keep_s=."
    )


def timed_out(what: str, where: str, limit_s: float | None, stack: str) -> str:
    """Say what took too long, and where it was by then."""
    limit = "its time limit" if limit_s is None else f"its limit of {limit_s:g} s"
    here = f"\nIt was here:\n{stack}" if stack else ""
    return (
        f"{what} ran longer than {limit}{where} and was stopped. Raise the limit, or make the node "
        f"do less.{here}"
    )


def no_worker(queue: str, url: str) -> str:
    """Say which queue nobody serves, and how to start somebody who does."""
    at = f" at {url}" if url else ""
    options = f" --url {url}" if url else ""
    if queue != "default":
        options += f" --queues {queue}"
    return (
        f"No live worker serves queue {queue!r}{at}; nothing was stored. Start one with "
        f"`hypergraph worker{options}`, or queue the run all the same with submit()."
    )


def missing_module(module: str, node: str | None, workers: Sequence[str]) -> str:
    """Say which module nobody has, for what, who was asked, and how to bring it there."""
    use = f", which node {node!r} needs" if node else ""
    asked = f" Asked: {quoted(workers)}." if workers else ""
    return (
        f"No live worker can import module {module!r}{use}.{asked} Install it there, put it on "
        "their PYTHONPATH, or ship the code by value with ship='value'."
    )


def incompatible_worker(client: str, workers: Mapping[str, str]) -> str:
    """Say what this side is, what the workers are, and that they have to be the same."""
    table = "".join(f"\n  {name}: {what}" for name, what in workers.items())
    return (
        f"This client is {client}, and no worker matches it:{table or ' none is alive.'}\n"
        "Functions do not survive a change of Python's minor version. Start a worker with the "
        "client's version, or run the client with the workers'."
    )
