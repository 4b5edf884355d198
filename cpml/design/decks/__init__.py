"""Decks of a sampled microstructure for other programs: DAMASK, Abaqus, VTK, MTEX."""
