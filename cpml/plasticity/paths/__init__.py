"""Deformation paths: steps in time, calibration to a curve, regimes, derived properties."""
