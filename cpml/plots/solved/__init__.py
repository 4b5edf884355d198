"""Solved maps and volumes: where stress and slip are high, and what a depth leaves open."""
