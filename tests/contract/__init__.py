"""The contract of the graph model and of the in-process runners, promise by promise."""
