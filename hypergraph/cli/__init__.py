"""The command line: ``hypergraph demo | worker | workers | runs | doctor``."""
