"""Pole figures, inverse pole figures, sections of an ODF, disorientations of random crystals."""
