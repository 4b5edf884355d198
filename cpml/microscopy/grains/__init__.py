"""Grains and the network of their boundaries: shapes, types, geometry, junctions, slip transfer."""
