"""Grains followed from one map of a specimen to another, and what happened to each between them."""
