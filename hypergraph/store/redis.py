"""Runs in Redis. Every change of a run is one script; see `lua/` and the table in `keys`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypergraph.store.contract import (
    Advance,
    Claim,
    Collected,
    Commit,
    Cycled,
    Entry,
    Fed,
    MapStart,
    MapView,
    RangeClaim,
    RangeCommit,
    Ranged,
    RunView,
    TaskRecord,
)
from hypergraph.store.link import script_command
from hypergraph.store.namespace import NamespaceStore, flat, pairs_of, text_of


def _entries(raw: Iterable[Any]) -> list[Entry]:
    """Read what XRANGE returns through a script (flat fields) or redis-py (a dict)."""
    entries = []
    for entry_id, fields in raw:
        named = (
            {text_of(k): v for k, v in fields.items()}
            if isinstance(fields, dict)
            else pairs_of(fields)
        )
        entries.append(Entry(int(text_of(entry_id).partition("-")[0]), named))
    return entries


class RedisStore(NamespaceStore):
    """Holds runs, maps and worker registrations of one namespace.

    Every method may be called again with the same arguments when its caller does not know whether
    it happened: the second call changes nothing and answers the same.
    """

    # -- runs -------------------------------------------------------------------------------

    def create(
        self,
        run_id: str,
        *,
        token: str,
        meta: Mapping[str, str | int | bytes],
        start: bytes,
        values: Mapping[str, bytes],
        blobs: Sequence[str] = (),
        tasks: Sequence[TaskRecord] = (),
        map_: MapStart | None = None,
        end: tuple[str, bytes] | None = None,
        now_ms: int = 0,
        tickets: Sequence[tuple[Any, ...]] = (),
    ) -> bool:
        """Store a run with everything it starts with, list it, and announce it.

        It is put on the list of runs to look after first. Should the client die in between, a
        reconciler finds either nothing, and takes the name off the list, or a run, and sees that it
        goes on.

        Args:
            run_id: Chosen by the client.
            token: Random, of this one creation: a repeat of it succeeds, another's does not.
            meta: Fields of the run's `meta` beside those that every run has.
            start: The sealed first entry of the journal.
            values: Digest -> bytes of the inputs.
            blobs: Digests of large inputs, which lie elsewhere.
            tasks: What is due at the start.
            map_: The run is a map.
            end: The run is over at once.
            now_ms: When it was created, by the client's clock; for people.
            tickets: Commands that send tickets for what it begins with.

        Returns:
            False when the id is taken.
        """
        args: list[Any] = [token, len(meta), *flat(meta.items()), start]
        args += [len(values), *flat(values.items())]
        args += [len(blobs), *blobs]
        args += [len(tasks), *flat((task.task, task.to_bytes()) for task in tasks)]
        if map_ is None:
            args += [""]
        else:
            args += [map_.map, map_.queue, map_.total, map_.window, int(map_.stops), map_.spec]
        args += [""] if end is None else [end[0], end[1]]
        listing = [
            ("ZADD", self.keys.runs, now_ms, run_id),
            ("ZADD", self.keys.active, now_ms + 1000, run_id),
        ]
        create = script_command("create", self.keys.run(run_id), *args)
        # Listed again behind it: a reconciler may have looked for it too early.
        replies = self.link.pipeline([*listing, create, *listing, *tickets])
        return int(replies[len(listing)]) == 1

    def cycle(
        self,
        run_id: str,
        *,
        slot: str,
        epoch: str,
        call: int,
        want: int,
        queue: str,
        after: int,
        commits: Sequence[Commit] = (),
        advance: Advance | None = None,
        before: Sequence[tuple[Any, ...]] = (),
    ) -> Cycled:
        """Commit what `slot` has finished, give back the rest, add what follows, claim the next.

        Args:
            slot: Who calls. A slot is one thread of one process and never reused.
            epoch: The epoch of what is committed; "" takes the current one.
            call: Number of this call. The same number again is a repeat of it.
            want: Tasks to claim at most.
            after: The journal has been read up to this entry; 500 more come with the answer.
            before: Commands to send ahead of it in the same round trip; see `hold`.
        """
        args: list[Any] = [slot, epoch, call, want, queue, after, len(commits)]
        for commit in commits:
            args += [commit.task, commit.attempt, commit.kind, commit.payload]
            args += [len(commit.values), *flat(commit.values.items())]
        if advance is None:
            args.append("")
        else:
            args += [advance.start, *_advance_args(advance)]
        if before:
            command = script_command("cycle", self.keys.run(run_id), *args)
            answer = self.link.pipeline([*before, command])[-1]
        else:
            answer = self.link.script("cycle", self.keys.run(run_id), *args)
        status = text_of(answer[0])
        if status != "ok":
            return Cycled(status, text_of(answer[1]) if len(answer) > 1 else "")
        _, epoch_, seq, applied, accepted, advanced, replayed, others, ready, *found = answer
        claims, log, maps, watched = found
        return Cycled(
            status,
            text_of(epoch_),
            int(seq),
            int(applied),
            int(accepted),
            bool(advanced),
            bool(replayed),
            int(others),
            int(ready),
            [Claim(text_of(c[0]), text_of(c[1]), c[2], c[3], bool(watched)) for c in claims],
            _entries(log),
            [text_of(m) for m in maps],
        )

    def advance(self, run_id: str, advance: Advance) -> bool:
        """Add what a coordinator decided. False: another one was faster."""
        args: list[Any] = [advance.start, *_advance_args(advance)]
        return int(self.link.script("advance", self.keys.run(run_id), *args)) == 1

    def get_applied(self, run_id: str) -> int:
        """Return how far a run's journal has been decided on; -1 if it is not in progress."""
        key = self.keys.run(run_id)
        status, applied = self.link.pipeline([("HMGET", key, "status", "applied")])[0]
        return int(applied) if status == b"running" else -1

    def read_journal(self, run_id: str, after: int, count: int = 500) -> list[Entry]:
        """Return entries of a run's journal behind number `after`."""
        key = self.keys.run(run_id, "journal")
        raw = self.link.pipeline([("XRANGE", key, f"{after + 1}-0", "+", "COUNT", count)])[0]
        return _entries(raw)

    def wait_end(self, run_id: str, timeout_s: float) -> tuple[str, bytes] | None:
        """Wait until a run has ended. Returns its status and sealed note, or None."""
        found = self.link.read_stream(self.keys.run(run_id, "end"), "0", timeout_s)
        if not found:
            return None
        fields = _entries(found)[0].fields
        return fields["status"].decode(), fields["p"]

    def wait_map(self, run_id: str, map_: str, after: str, timeout_s: float) -> str:
        """Wait until something happens to a map, or its run ends.

        Args:
            after: What the call before returned; "0" at first.

        Returns:
            Where to wait from next; "end" when the run has ended.
        """
        journal, end = self.keys.run(run_id, f"m:{map_}:journal"), self.keys.run(run_id, "end")
        found = self.link.read_streams({journal: after, end: "0"}, timeout_s)
        if end in found:
            return "end"
        return found[journal][-1] if journal in found else after

    def get_values(self, run_id: str, digests: Sequence[str]) -> list[bytes | None]:
        """Return values of a run by digest; None for what is gone."""
        if not digests:
            return []
        key = self.keys.run(run_id, "values")
        return list(self.link.pipeline([("HMGET", key, *digests)])[0])

    def put_values(self, run_id: str, values: Mapping[str, bytes]) -> None:
        """Add values to a run that has not ended."""
        key = self.keys.run(run_id, "values")
        self.link.pipeline([("HSET", key, digest, data) for digest, data in values.items()])

    def inspect(self, run_id: str) -> RunView:
        """Return what a reconciler has to see of a run."""
        answer = self.link.script("inspect", self.keys.run(run_id))
        status = text_of(answer[0])
        if status == "gone":
            return RunView(status)
        _, seq, applied, ready, slots, maps, owner = answer
        return RunView(
            status,
            int(seq),
            int(applied),
            {name: int(n) for name, n in pairs_of(ready).items()},
            [text_of(slot) for slot in slots],
            [
                MapView(text_of(maps[i]), int(maps[i + 1]), text_of(maps[i + 2]), int(maps[i + 3]))
                for i in range(0, len(maps), 4)
            ],
            text_of(owner),
        )

    def end(
        self, run_id: str, status: str, note: bytes, values: Mapping[str, bytes] | None = None
    ) -> str:
        """End a run that has not ended. Returns the status it had, or "gone".

        Args:
            status: How it ends: "cancelled", or "failed" if it can never go on.
            note: The sealed End.
            values: Digest -> bytes of what the note refers to.
        """
        pairs = flat((values or {}).items())
        return text_of(self.link.script("end", self.keys.run(run_id), status, note, *pairs)[0])

    def answer(self, run_id: str, epoch: str, payload: bytes, digest: str, value: bytes) -> str:
        """Let a paused run go on. Returns the status it had: "paused" if this answer won.

        It is put on the list of runs to look after, which it left when it paused: should the client
        die, a reconciler sees that it goes on. Twice, because a reconciler may look too early.
        """
        listing = ("ZADD", self.keys.active, 0, run_id)
        key = self.keys.run(run_id)
        answer = script_command("answer", key, epoch, payload, digest, value)
        return text_of(self.link.pipeline([listing, answer, listing])[1][0])

    def set_free(self, run_id: str, total: int) -> None:
        """Let a map of `total` items go on without the client that fed it."""
        self.link.script("free", self.keys.run(run_id), total)

    def forget(self, run_id: str) -> None:
        """Drop the values of a run that has ended."""
        self.link.script("forget", self.keys.run(run_id))
        self.blobs.forget(run_id)

    def refuse(
        self,
        run_id: str,
        *,
        slot: str,
        epoch: str,
        worker: str,
        task: str,
        attempt: str,
        module: str,
        live: Sequence[str],
    ) -> bool:
        """Note that a worker cannot load a task. Returns whether some other worker still may."""
        key = self.keys.run(run_id)
        args = (slot, epoch, worker, task, attempt, module, *live)
        return text_of(self.link.script("refuse", key, *args)) == "back"

    def reap(
        self, run_id: str, prefix: str, guilty: str, item: int, limit: int, payload: bytes
    ) -> tuple[int, int]:
        """Take away what slots hold whose names begin with `prefix`; their process is dead.

        Args:
            guilty: The task or map the process was in; "" for none, "?" when nobody knows.
            item: With a map: the item.
            limit: At this many deaths the guilty one fails.
            payload: What it fails with: a sealed failure.

        Returns:
            What was reaped, and how much of it failed for good.
        """
        key = self.keys.run(run_id)
        answer = self.link.script("reap", key, prefix, guilty, item, limit, payload)
        if text_of(answer[0]) != "running":
            return 0, 0
        reaped, dead = int(answer[1]), int(answer[2])
        for map_ in dict.fromkeys(view.map for view in self.inspect(run_id).maps):
            args = (map_, prefix, guilty, item, limit, payload)
            reaped += int(self.link.script("reap_map", key, *args)[1])
        return reaped, dead

    # -- maps -------------------------------------------------------------------------------

    def range(
        self,
        run_id: str,
        map_: str,
        *,
        slot: str,
        epoch: str,
        call: int,
        want: int,
        page: str,
        queue: str = "",
        commits: Sequence[RangeCommit] = (),
    ) -> Ranged:
        """Commit ranges of a map, give back the rest, claim the next. See `cycle`.

        Args:
            page: The page of inputs the caller has at hand; it does not travel again.
            queue: What the caller serves; by default the map's own.
            commits: In order, if several are of one range.
        """
        args: list[Any] = [map_, slot, epoch, call, want, page, queue, len(commits)]
        for commit in commits:
            args += [commit.range, commit.attempt, commit.upto, commit.to, commit.size]
            args += [commit.payload]
            args += [commit.failures, commit.first_failed, commit.busy_us, commit.errors]
            args.append(commit.events)
            args += [len(commit.values), *flat(commit.values.items())]
        answer = self.link.script("range", self.keys.run(run_id), *args)
        status = text_of(answer[0])
        if status == "over":
            return Ranged(status, accepted=int(answer[2]), home=text_of(answer[3]))
        if status != "ok":
            return Ranged(status)
        _, epoch_, accepted, left, slots, claim, watched = answer
        claimed = None
        if claim:
            start, stop, attempt, page_, data = claim
            where = int(start), int(stop), text_of(attempt), text_of(page_)
            claimed = RangeClaim(*where, data, bool(watched))
        return Ranged(status, text_of(epoch_), int(accepted), int(left), int(slots), claimed)

    def open_map(
        self,
        run_id: str,
        map_: str,
        *,
        slot: str,
        epoch: str,
        attempt: str,
        gather: TaskRecord,
        total: int,
        stops: bool,
        spec: bytes,
        pages: Sequence[tuple[int, bytes]],
    ) -> bool:
        """Turn a task that `slot` holds into a map over its inputs."""
        args: list[Any] = [map_, slot, epoch, map_, attempt, gather.to_bytes(), gather.queue]
        args += [total, int(stops), spec, len(pages), *flat(pages)]
        return int(self.link.script("open_map", self.keys.run(run_id), *args)) == 1

    def map_spec(self, run_id: str, map_: str) -> bytes | None:
        """Return the sealed MapSpec of a map."""
        key = self.keys.run(run_id, f"m:{map_}:state")
        found: bytes | None = self.link.pipeline([("HGET", key, "spec")])[0]
        return found

    def feed(
        self, run_id: str, map_: str, start: int, items: int, data: bytes, total: int | None = None
    ) -> Fed:
        """Add a page of `items` inputs that begins at item `start`."""
        key = self.keys.run(run_id)
        args = (map_, start, items, data, "" if total is None else total)
        answer = self.link.script("feed", key, *args)
        if len(answer) == 1:
            return Fed(text_of(answer[0]))
        return Fed(text_of(answer[0]), *(int(n or 0) for n in answer[1:]))

    def collect(
        self,
        run_id: str,
        map_: str,
        *,
        start: int = 0,
        count: int = 100,
        forget: int = 0,
        read: int = 0,
    ) -> Collected:
        """Return results of a map in order of completion.

        Positions count from the first range that was ever completed.

        Args:
            start: Position to read from.
            count: Ranges at most.
            forget: Drop the ranges before this position first: their reader has them.
            read: How many items the reader is through with; the window follows.
        """
        key = self.keys.run(run_id)
        answer = self.link.script("collect", key, map_, start, count, forget, read)
        if len(answer) == 1:
            return Collected(text_of(answer[0]))
        status, out, *numbers = answer
        ranges = [
            (int(out[i]), out[i + 1]) for i in range(0, len(out), 2) if out[i + 1] is not None
        ]
        return Collected(text_of(status), ranges, *(int(n or 0) for n in numbers))


def _advance_args(advance: Advance) -> list[Any]:
    end = ("", b"") if advance.end is None else advance.end
    tasks = flat((task.task, task.to_bytes()) for task in advance.tasks)
    return [advance.to, len(advance.tasks), *tasks, *end]
