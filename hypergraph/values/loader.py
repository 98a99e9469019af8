"""Load nodes and graphs from the blobs that :mod:`ship` packs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from hypergraph.errors import CorruptPayload, IncompatibleWorker
from hypergraph.graph import Graph
from hypergraph.nodes import HyperNode
from hypergraph.values.digest import Buffer, digest
from hypergraph.values.recent import Recent
from hypergraph.values.unpickler import decode

TAG = 0x02
VERSION = 1
#: How every code blob begins.
HEADER = bytes([TAG, VERSION, sys.version_info.major, sys.version_info.minor])


class Loader:
    """Loads nodes and graphs by digest, and keeps what was used last. For several threads.

    Nodes come out of the cache as they are: in one process one digest is one object.

    Args:
        fetch: Returns the bytes stored under a digest.
        allow_modules: If given, only functions of these modules are loaded, by name;
            code by value is refused.
        cache_size: Keep at most this many nodes, and as many graphs.
        cache_bytes: Keep at most this many bytes of blobs, nodes and graphs each.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        *,
        allow_modules: Sequence[str] | None = None,
        cache_size: int = 1_000,
        cache_bytes: int = 256_000_000,
    ) -> None:
        self._fetch = fetch
        self._allow_modules = None if allow_modules is None else frozenset(allow_modules)
        self._nodes: Recent[HyperNode] = Recent(cache_size, cache_bytes)
        self._graphs: Recent[Graph] = Recent(cache_size, cache_bytes)

    def load_node(self, digest: str) -> Any:
        """Return the node of the blob `digest`.

        Args:
            digest: From a record whose signature was verified.

        Raises:
            CorruptPayload: The bytes under it, read twice, have another digest.
            MissingModule: It needs a module that cannot be imported here.
            UntrustedPayload: `allow_modules` does not admit it.
            IncompatibleWorker: It was packed under another version of Python.
        """
        return self._load(digest, self._nodes, None)

    def load_graph(self, digest: str) -> Graph:
        """Return the graph of the blob `digest`. Arguments and errors as for a node."""
        graph: Graph = self._load(digest, self._graphs, self.load_node)
        return graph

    def decode(self, data: Buffer) -> Any:
        """Return the value of verified bytes, under the rules of a process that executes."""
        return decode(data, prefer="shipped", allow_modules=self._allow_modules)

    def _load(self, name: str, cache: Recent[Any], part: Callable[[str], Any] | None) -> Any:
        known = cache.get(name)
        if known is not None:
            return known
        data = self._verified(name)
        loaded = decode(
            memoryview(data)[len(HEADER) :],
            prefer="shipped",
            allow_modules=self._allow_modules,
            part=part,
        )
        return cache.keep(name, loaded, len(data))

    def _verified(self, name: str) -> bytes:
        data = self._fetch(name)
        if digest(data) != name:
            data = self._fetch(name)  # damage on the way does not happen twice
            if digest(data) != name:
                raise CorruptPayload(f"code {name}", name, digest(data))
        if data[: len(HEADER)] != HEADER:
            raise _foreign(data)
        return data


def _foreign(data: bytes) -> Exception:
    if len(data) < len(HEADER) or data[0] != TAG:
        return CorruptPayload("a code blob", "a header", data[: len(HEADER)].hex())
    theirs, ours = (f"python {head[2]}.{head[3]}, code format {head[1]}" for head in (data, HEADER))
    return IncompatibleWorker(theirs, {"this worker": ours})
