"""A second worker application, to be copied: one process per GPU, on a queue of its own::

    dramatiq workers.gpu --processes 1 --threads 1

It takes what is placed on the queue ``gpu`` and nothing else::

    @node(output_name="vector", queue="gpu")
    def embed(text): ...

Nodes of one process share what they load: a model in a module's global variable, or behind
`functools.cache`, is loaded once per process. The same without Dramatiq's command is
``hypergraph worker --queues gpu --processes 1 --label kind=gpu``.
"""

from hypergraph.worker.application import make_broker

broker = make_broker(queues=("gpu",), labels=("kind=gpu",))
