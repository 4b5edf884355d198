"""Benchmarks (`bench_*.py`, run by `tasks.py bench`), comparisons with other codes, and makers of known answers."""
