"""Who takes part. The order is the order of a round and of the table's rows."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.benchmarks.contenders.base import Contender
from scripts.benchmarks.contenders.dask_cluster import Dask, EagerDask
from scripts.benchmarks.contenders.ours import Distributed, InProcess
from scripts.benchmarks.contenders.plain import PlainPython
from scripts.benchmarks.contenders.process_pool import ProcessPool

#: Name for `--only` -> contender.
CONTENDERS: Mapping[str, type[Contender]] = {
    "hypergraph": Distributed,
    "in-process": InProcess,
    "plain": PlainPython,
    "pool": ProcessPool,
    "dask": Dask,
    "dask-eager": EagerDask,
}
