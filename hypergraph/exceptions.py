"""The errors under their shorter, older address. They live in :mod:`hypergraph.errors`."""

from __future__ import annotations

from hypergraph import errors as _errors
from hypergraph.errors import *  # noqa: F403

__all__ = list(_errors.__all__)
