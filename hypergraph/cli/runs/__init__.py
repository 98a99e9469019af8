"""``hypergraph runs``: the latest runs, one of them in full or as it happens, an answer, an end.

`command` asks; `table`, `page` and `events` show what `hypergraph.coordinator` gathers.
"""
