"""``hypergraph runs``: the latest runs, one of them in full, and an end to it.

`command` asks, `table` and `page` show. What they show is gathered in `hypergraph.coordinator`.
"""
