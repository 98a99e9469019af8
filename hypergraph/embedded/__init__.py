"""A Redis of one's own, for runs that need no other: started on first use, gone with its owner."""

from hypergraph.embedded.redis import EmbeddedRedis

__all__ = ["EmbeddedRedis"]
