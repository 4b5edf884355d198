"""Polycrystalline volumes: grains in space, their crystals, their response, and what a plane cut shows."""
