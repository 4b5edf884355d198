"""Activity, visibility and what is expected of an outlier, against sums written out by hand."""

import pytest
import torch

from cpml.models.coupled.likelihood import (
    Detection,
    activity,
    seen_probability,
    token_share,
)


def test_share_is_a_partition_and_activity_grows_with_it():
    """Shares of all tokens add up to one; at the limit a token is active half the time;
    a missed trace is not recorded.
    """
    share = torch.softmax(torch.tensor([[[0.0, 1.0, 2.0, -50.0]]]), -1)
    share = token_share(share, torch.tensor([0, 0, 1, 2]), 3)
    assert float(share.sum()) == pytest.approx(1.0)
    limit = float(share[0, 0, 0])
    rates = Detection(*(torch.tensor(v) for v in (limit, 0.1, 3.0, 2.0, 0.8, 0.1, 0.0)))
    active = activity(share, torch.zeros(1), torch.zeros(3), 2, rates)[0, 0]
    assert float(active[0]) == pytest.approx(0.5) and active[1] > active[0] and float(active[2]) < 1e-12
    assert float(seen_probability(active, 2, rates, (0.5, 0.5))[1]) == pytest.approx(0.8 * float(active[1]))
    more = activity(share, torch.ones(1), torch.zeros(3), 2, rates)[0, 0]
    assert (more[:2] > active[:2]).all()  # a grain that shears more than the mean
