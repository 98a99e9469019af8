"""Tickets over Dramatiq: "run R has work on queue Q". Nothing a run depends on is in a message."""
