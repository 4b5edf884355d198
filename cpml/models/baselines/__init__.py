"""Each half alone, stacked, and a graph network."""
