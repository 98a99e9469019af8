"""Turn values and code into bytes and back. The one place that pickles and unpickles.

The way of a value, there and back::

    value --codec--> bytes --sign--> sealed bytes   ~ Redis ~
    sealed bytes --sign--> bytes --codec--> value

Rule 1: nothing is unpickled here that was not checked first. `sign` opens a seal,
`digest` compares content with the name it is stored under; only then `codec` looks
at the bytes.

Rule 2: a name in a pickle is a promise. What `rebuild` defines is called by pickles
that other processes wrote, so it keeps its names and arguments.

Rule 3: no identity is a digest of a pickle made elsewhere. Two processes pickle one
value to different bytes. A digest names bytes; :mod:`code_id` names code.

Nothing in here is imported by ``import hypergraph``.
"""
