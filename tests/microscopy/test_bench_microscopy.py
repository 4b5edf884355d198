"""The benchmark of maps runs on a small map: its files are read, its stages give times and memory."""

import numpy as np

from benchmarks import bench_microscopy as bench
from cpml.microscopy import read_map, segment


def test_small_benchmark(tmp_path):
    """A map of 60 rows is read and segmented; a larger one repeats its block of 512; the peer's absence
    is no error.
    """
    bench.write_synthetic(tmp_path / "m.ctf", 60)
    ebsd_map = read_map(tmp_path / "m.ctf")
    assert ebsd_map.shape == (60, 60) and 0.97 < ebsd_map.indexed.mean() < 1
    assert 2 <= segment(ebsd_map, min_pixels=10).n_grains <= 20
    assert np.all(np.array(bench.time_ours(tmp_path / "m.ctf")) > 0)
    assert all(seconds > 0 for seconds in bench.outline_times(tmp_path / "m.ctf"))
    seconds, memory = bench.large_map(tmp_path / "m.ctf")
    assert 0 < seconds < 60 and 0 < memory < 4
