"""A process that runs nodes it has never seen: the smallest worker there can be.

It knows hypergraph and nothing of its caller. Both sides talk in lines of JSON over
pipes; bytes travel in base64. There is no queue and no signature: that is for others
to test.

    with Worker(tmp_path) as worker:
        worker.call(node, x=1)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hypergraph import Graph, SyncRunner
from hypergraph.errors import HypergraphError
from hypergraph.nodes import HyperNode
from hypergraph.values.codec import decode, encode
from hypergraph.values.failure import pack_failure, unpack_failure
from hypergraph.values.ship import Loader, Packed, Packer

REPOSITORY = Path(__file__).resolve().parent.parent


class Worker:
    """The caller's side.

    Args:
        directory: Working directory of the process.
        path: Directories that it can import from besides hypergraph's.
        allow_modules: Passed on to its `Loader`.
    """

    def __init__(
        self, directory: Path, *, path: tuple[Path, ...] = (), allow_modules: str | None = None
    ) -> None:
        options = [] if allow_modules is None else [allow_modules]
        search = os.pathsep.join(map(str, (REPOSITORY, *path)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.values_worker", *options],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": search, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def call(self, node: HyperNode | Graph, *, ship: Any = "auto", **inputs: Any) -> Any:
        """Run a node, or a whole graph, over there; return its result or raise its error."""
        packer = Packer(ship)
        packed = packer.pack_graph(node) if isinstance(node, Graph) else packer.pack_node(node)
        return self.run(packed, inputs, ship=ship, is_graph=isinstance(node, Graph))

    def run(
        self, packed: Packed, inputs: dict[str, Any], *, ship: Any = "auto", is_graph: bool = False
    ) -> Any:
        """Run what was packed before."""
        answer = self._ask(
            graph=is_graph,
            digest=packed.digest,
            blobs={p.digest: b64encode(p.data).decode() for p in (packed, *packed.parts)},
            inputs=b64encode(encode(inputs, ship=ship)).decode(),
        )
        data = b64decode(answer["data"])
        if answer["failed"]:
            raise unpack_failure(data)
        return decode(data)

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the worker died"
        answer: dict[str, Any] = json.loads(line)
        return answer


def main(allow_modules: list[str]) -> None:
    """Answer requests until the caller closes the pipe."""
    blobs: dict[str, bytes] = {}
    loader = Loader(
        blobs.__getitem__, allow_modules=allow_modules[0].split(",") if allow_modules else None
    )
    for line in sys.stdin:
        request = json.loads(line)
        blobs.update({name: b64decode(data) for name, data in request["blobs"].items()})
        print(json.dumps(_answer(loader, request)), flush=True)


def _answer(loader: Loader, request: dict[str, Any]) -> dict[str, Any]:
    try:
        data = encode(_result(loader, request))
        return {"failed": False, "data": b64encode(data).decode()}
    except (Exception, SystemExit) as error:
        node = "" if isinstance(error, HypergraphError) else "node"
        data = pack_failure(error, node=node, item=None, worker="worker:1", attempt=1)
        return {"failed": True, "data": b64encode(data).decode()}


def _result(loader: Loader, request: dict[str, Any]) -> Any:
    if request["graph"]:
        graph = loader.load_graph(request["digest"])
        return SyncRunner().run(graph, loader.decode(b64decode(request["inputs"]))).values
    node = loader.load_node(request["digest"])
    return node.func(**loader.decode(b64decode(request["inputs"])))


if __name__ == "__main__":
    main(sys.argv[1:])
