"""What a worker host can be told by environment variables, where there is no command line of ours.

The URL and the secret have variables that clients read too. An empty variable is one that is not
set: deployment files are easier to write that way.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

URL = "HYPERGRAPH_REDIS_URL"  #: of the Redis
NAMESPACE = "HYPERGRAPH_NAMESPACE"  #: which runs and queues of it
QUEUES = "HYPERGRAPH_QUEUES"  #: names with commas between
NAME = "HYPERGRAPH_NAME"  #: shown to people
LABELS = "HYPERGRAPH_LABELS"  #: key=value with commas between, shown to people
LOG_FORMAT = "HYPERGRAPH_LOG_FORMAT"  #: text, or json: an object per line
BLOBS = "HYPERGRAPH_BLOBS"  #: directory of large values, as clients have it
ALLOW_MODULES = "HYPERGRAPH_ALLOW_MODULES"  #: names with commas between; if set, no code by value


def read_url() -> str:
    """Return the URL of the Redis.

    Raises:
        ValueError: There is none.
    """
    if url := read(URL):
        return url
    raise ValueError(f"Which Redis? Set {URL}, as in redis://queue-host:6379.")


def read(name: str, default: str = "") -> str:
    """Return a variable without the blanks around it, or `default` where it is empty."""
    return os.environ.get(name, "").strip() or default


def read_names(name: str, default: Sequence[str] = ()) -> tuple[str, ...]:
    """Return names with commas between, or `default` where there are none."""
    names = (part.strip() for part in os.environ.get(name, "").split(","))
    return tuple(filter(None, names)) or tuple(default)
