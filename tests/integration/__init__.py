"""Several parts together, with real processes and a real Redis."""
