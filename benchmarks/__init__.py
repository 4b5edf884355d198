"""Benchmarks (`bench_*.py`, run by `tasks.py bench`), other codes beside us, makers of known answers."""
