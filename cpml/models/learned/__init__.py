"""Learned mechanics: what the neighbours in a map do to a grain, and what they leave open."""
