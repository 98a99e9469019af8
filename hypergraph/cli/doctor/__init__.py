"""``hypergraph doctor``: is everything as it must be, and if not, which command puts it right.

`redis` looks at the server, `surroundings` at workers, runs, secret and this machine; `command`
prints.
"""
