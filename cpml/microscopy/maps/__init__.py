"""An EBSD map in memory: its grid, frame, neighbours, means of orientations, orix objects."""
