"""What is due: the role that advances runs. See :mod:`hypergraph.coordinator.fold`."""
