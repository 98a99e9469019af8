"""The worker, started by Dramatiq's own command, from a checkout or an image::

    export HYPERGRAPH_REDIS_URL=redis://queue-host:6379
    export HYPERGRAPH_SECRET_FILE=/etc/hypergraph/secret
    dramatiq workers.main --processes 8 --threads 1

It serves the same queues with the same guarantees as ``hypergraph worker``, for who has tools
around Dramatiq's command. Besides the two above it reads ``HYPERGRAPH_NAMESPACE``,
``HYPERGRAPH_QUEUES``, ``HYPERGRAPH_NAME``, ``HYPERGRAPH_LABELS``, ``HYPERGRAPH_ALLOW_MODULES``,
``HYPERGRAPH_BLOBS`` and ``HYPERGRAPH_LOG_FORMAT``.
Give ``--threads`` 1, unless nodes wait most of the time: Dramatiq's default is 8.

**Its recovery is slower.** When a process dies, by a segmentation fault or for want of memory,
Dramatiq's master stops all the others, and then itself. What the dead process held goes back to
other hosts at once; but this host does nothing until something starts the command again (systemd,
Kubernetes), and nodes that run on take as long as they take. ``hypergraph worker`` replaces the one
process within a second. Here the error of a node that kills its worker does not name the signal
either. On SIGTERM nothing more is claimed; Dramatiq waits for what runs, up to
``--worker-shutdown-timeout`` (ms; ten minutes), and ends up to a second after it.
"""

from hypergraph.worker.application import make_broker

broker = make_broker()
