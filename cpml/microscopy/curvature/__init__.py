"""Gradients of orientation: KAM, GROD, curvature, GND densities, weighted Burgers vectors."""
