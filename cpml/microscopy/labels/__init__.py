"""Footprints as label rows: traces, directions, cross-slip, user tables; what could be seen; how often."""
