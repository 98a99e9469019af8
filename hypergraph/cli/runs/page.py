"""One run on a page of 80 columns: what it is, how far it is, what went wrong, who is at it.

What is not the case takes no room: a run in which nothing failed and nothing was lost is told in a
heading and a table of its nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hypergraph.cli import figures, screen
from hypergraph.cli.runs.table import progress
from hypergraph.coordinator.account import Holding, Items, Loss, Node, Problem, Story
from hypergraph.transport.tags import describe_tag
from hypergraph.worker.registry import WorkerInfo

#: Lines of each kind; JSON has all of them.
_MOST = 10

#: Lines of a traceback, the last ones: where it happened.
_MOST_TRACEBACK = 16


def show(
    console: Console, story: Story, workers: Sequence[WorkerInfo], attach: str, cancel: str
) -> None:
    """Print a run.

    Args:
        console: Where to.
        story: The run.
        workers: The live hosts.
        attach: Python that gets a handle on the run.
        cancel: The command that ends it.
    """
    _heading(console, story)
    screen.put(console, _about(story, attach, cancel))
    if story.nodes:
        console.print()
        screen.put(console, _nodes_table(story.nodes))
    _section(console, "Running now", list(_running(story, workers)))
    _section(console, "Waiting", list(_waiting(story, workers)))
    _section(console, _counted("Failures", story.problems), list(_problems(story.problems)))
    _section(console, _counted("Lost with their process", story.losses), _losses(story.losses))


def _heading(console: Console, story: Story) -> None:
    what = f"{story.kind} of {figures.one_line(story.graph)}" if story.graph else story.kind
    line = Text.assemble((story.run_id, "bold"), "  ", screen.status_text(story.status), "  ", what)
    screen.put(console, line)


def _about(story: Story, attach: str, cancel: str) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _facts(story, attach, cancel):
        table.add_row(f"  {name}", Text(text))
    return table


def _facts(story: Story, attach: str, cancel: str) -> Iterator[tuple[str, str]]:
    ago = figures.age(story.now - story.created_at)
    when = f"{_clock(story.created_at)} ({ago if ago == 'now' else f'{ago} ago'})"
    yield "submitted", f"{when} by {figures.one_line(story.origin) or 'an unknown client'}"
    if story.ended_at is None:
        yield "took", f"{figures.duration(story.took_s)} so far"
    else:
        yield "took", f"{figures.duration(story.took_s)}, until {_clock(story.ended_at)}"
    if story.pause is not None:
        since = "" if story.pause.since is None else f" since {_clock(story.pause.since)}"
        node = figures.one_line(story.pause.node)
        yield "waits", f"for an answer{since}, at node {node}, as {story.pause.key!r}"
    if story.cancelled_by:
        yield "cancelled", f"by {figures.one_line(story.cancelled_by)}"
    if story.items is not None:
        yield "items", items_line(story.items, story.took_s)
    if story.max_concurrency:
        yield (
            "limit",
            f"at most {figures.plural(story.max_concurrency, 'body', 'bodies')} at a time",
        )
    if story.ended_at is None:
        yield "needs", f"workers of {describe_tag(story.tag)}{_and_client(story)}"
    elif story.expires_at is not None:
        values = "results too" if story.results else "its results were fetched"
        yield "kept", f"until {_clock(story.expires_at)}, {values}"
    if story.unread:
        yield "unread", figures.one_line(story.unread)
    if story.ended_at is None or (story.results and story.status != "cancelled"):
        yield "attach", attach
    if story.ended_at is None:
        yield "cancel", cancel


def _and_client(story: Story) -> str:
    if story.client_lives is None:
        return ""
    return ", and its client" + ("" if story.client_lives else ", which is gone")


def items_line(items: Items, took_s: float) -> str:
    """Return how far a map has come, in words."""
    of = "" if items.total is None else f" of {items.total:,}"
    parts = [f"{items.done:,}{of} done"]
    if items.failed:
        parts.append(f"{items.failed:,} failed")
    if items.total is None:
        parts.append(f"{items.uploaded:,} fed so far")
    if items.ended:
        parts.append(f"{figures.duration(items.busy_s / items.ended)} each")
        parts.append(f"{items.ended / max(took_s, 1e-3):,.0f}/s")
    return ", ".join(parts)


# -- nodes --------------------------------------------------------------------------------------


def _nodes_table(nodes: Sequence[Node]) -> Table:
    """Return the nodes as a table. Columns in which nothing would stand are left out."""
    failed = any(node.failed or (node.items and node.items.failed) for node in nodes)
    lost = any(node.lost for node in nodes)
    again = any(node.attempts > node.done + node.failed for node in nodes)
    table = screen.make_table()
    table.add_column("node", overflow="fold", min_width=12)
    screen.add_columns(table, "state", ">done")
    if failed:
        screen.add_columns(table, ">failed")
    if again:
        screen.add_columns(table, ">attempts")
    if lost:
        screen.add_columns(table, ">lost")
    screen.add_columns(table, ">mean", ">total")
    table.add_column("worker", overflow="ellipsis", no_wrap=True, max_width=24)
    for node in nodes:
        row = [Text(figures.one_line(node.path)), _state(node), _done(node)]
        if failed:
            count = node.items.failed if node.items else node.failed
            row.append(Text(f"{count:,}" if count else "", "red"))
        if again:
            row.append(Text(f"{node.attempts:,}" if node.attempts else ""))
        if lost:
            row.append(Text(f"{node.lost:,}" if node.lost else "", "yellow"))
        row += [Text(figures.duration(node.mean_s)), Text(_total(node)), Text(_workers(node))]
        table.add_row(*row)
    return table


def _state(node: Node) -> Text:
    if node.running:
        return Text("running", "cyan")
    if node.items and node.open:
        return Text("mapping", "cyan")
    if node.open:
        return Text("due", "cyan")
    if node.failed:
        return Text("failed", "red")
    return Text("done", "green") if node.done else Text("-", "dim")


def _done(node: Node) -> Text:
    if node.items is not None:
        return Text(progress(node.items.done, node.items.total))
    return Text(f"{node.done:,}" if node.done else "")


def _total(node: Node) -> str:
    return figures.duration(node.total_s) if node.mean_s is not None else ""


def _workers(node: Node) -> str:
    if node.items is not None:
        return ""  # its items were everywhere; what stands here has gathered them
    return figures.listed(list(dict.fromkeys(map(_child, node.workers))), 1)


def _child(slot: str) -> str:
    """Return the process of a slot: its host and child, without the thread."""
    return slot.rpartition("/")[0] if slot.count("/") == 2 else slot


# -- now ----------------------------------------------------------------------------------------


def _running(story: Story, workers: Sequence[WorkerInfo]) -> Iterator[Text]:
    live = {worker.id: worker for worker in workers}
    for holding in story.running[:_MOST]:
        text = Text.assemble((_child(holding.slot), "bold"), "  ", _held(holding))
        if holding.attempt > 1:
            text.append(f", attempt {holding.attempt}", "yellow")
        if holding.worker in live:
            text.append(_seen(holding, live[holding.worker]), "dim")
        else:
            text.append("  its host is silent; others take it within seconds", "yellow")
        yield text
    if len(story.running) > _MOST:
        yield Text(f"and {len(story.running) - _MOST:,} more", "dim")


def _seen(holding: Holding, worker: WorkerInfo) -> str:
    """Return what the host says that the slot executes, if it has said so by now."""
    child = holding.slot.split("/")[1] if "/" in holding.slot else ""
    for body in worker.running:
        if body.child == child and body.unit == holding.unit:
            at = "" if holding.first == holding.last else f"at item {body.item}, "
            return f"  {at}{figures.duration(body.seconds)}"
    return ""


def _held(holding: Holding) -> str:
    node = figures.one_line(holding.node)
    if holding.first is None:
        return node
    items = f"item {holding.first:,}"
    if holding.last != holding.first:
        items = f"items {holding.first:,} to {holding.last:,}"
    return f"{node}, {items}" if node else items


def _waiting(story: Story, workers: Sequence[WorkerInfo]) -> Iterator[Text]:
    for queue, count in story.waiting.items():
        name = queue.removesuffix(f".{story.tag}")
        yield Text(f"{figures.plural(count, 'task')} in queue {name} ({describe_tag(story.tag)})")
        if not any(queue in worker.queues for worker in workers):
            queues = "" if name == "default" else f" --queues {name}"
            yield Text(
                f"  Nobody serves it. With that version: hypergraph worker --url ...{queues}", "red"
            )
    if story.ended_at is None and story.items is not None and not story.waiting:
        left = story.items.uploaded - story.items.claimed
        if left > 0:
            yield Text(figures.plural(left, "item") + " not claimed yet")
            if not any(worker.tag == story.tag and worker.queues for worker in workers):
                yield Text(
                    f"  Nobody serves them. With {describe_tag(story.tag)}: "
                    "hypergraph worker --url ...",
                    "red",
                )
    for refusal in story.refusals[:_MOST]:
        what = figures.one_line(refusal.node) or "the map"
        yield Text(f"{refusal.worker} cannot do {what}: it lacks module {refusal.module}", "yellow")


# -- what went wrong ----------------------------------------------------------------------------


def _problems(problems: Sequence[Problem]) -> Iterator[Text]:
    for problem in problems[:_MOST]:
        where = [] if problem.item is None else [f"item {problem.item:,}"]
        where += [f"node {figures.one_line(problem.node)}"] if problem.node else []
        where += [f"attempt {problem.attempt}"] if problem.attempt > 1 else []
        where += [f"on {_child(problem.worker)}"] if problem.worker else []
        text = Text(", ".join(where) + ": " if where else "")
        text.append(figures.printable(problem.text).strip(), "red")
        yield text
        yield from _traceback(problem.traceback)
    if len(problems) > _MOST:
        yield Text(f"and {len(problems) - _MOST:,} more", "dim")


def _traceback(text: str) -> Iterator[Text]:
    """Yield the end of a traceback, where it happened; the error itself has been told."""
    lines = figures.printable(text).rstrip().splitlines()
    if len(lines) > _MOST_TRACEBACK:
        yield Text(f"    ... {len(lines) - _MOST_TRACEBACK} lines; --json has them", "dim")
    for line in lines[-_MOST_TRACEBACK:]:
        yield Text(f"    {line}", "dim")


def _losses(losses: Sequence[Loss]) -> list[Text]:
    lines = []
    for loss in losses[-_MOST:]:
        when = f"{_clock(loss.at)}  " if loss.at is not None else ""
        what = f"node {figures.one_line(loss.node)}" if loss.node else ""
        if loss.item is not None:
            what = ", ".join(filter(None, (what, f"item {loss.item:,}")))
        cause = Text(figures.one_line(loss.cause), "yellow")
        lines.append(
            Text.assemble(f"{when}{what}, attempt {loss.attempt} on {_child(loss.worker)}: ", cause)
        )
    return lines


# -- layout -------------------------------------------------------------------------------------


def _section(console: Console, title: str, lines: Sequence[Text]) -> None:
    if not lines:
        return
    console.print()
    screen.put(console, Text(title, "dim"))
    for line in lines:
        screen.put(console, line, indent=2)


def _counted(title: str, things: Sequence[object]) -> str:
    return f"{title} ({len(things):,})" if len(things) > 1 else title


def _clock(at: float) -> str:
    """Return a time of the machine that shows it: today's without its date."""
    time = datetime.fromtimestamp(at)
    today = datetime.now().date() == time.date()
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")
