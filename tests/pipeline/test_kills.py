"""Killed in the middle, the same command goes on; the long form is `tasks.py bench --suite kills`."""

import os

import pytest

from benchmarks.bench_kills import Chain, kill_repeatedly


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9")
def test_what_killed_chains_leave_is_finished_to_the_same_results(toy, tmp_path):
    """Two kills at random moments: recovered, no file differs from an undisturbed run's, no litter."""
    dataset = toy / "data" / "tiny" / "dataset.yml"
    chain, reference = (Chain(dataset, "02", tmp_path / name) for name in ("killed", "undisturbed"))
    told = kill_repeatedly(chain, reference, 2, seed=1)
    assert told["kills"] == told["recoveries"] == 2 and told["failures"] == 0
    assert told["files"] > 5 and told["different"] == told["temporary"] == 0
