"""Activity, visibility and what is expected of an outlier, against sums written out by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.microscopy import naming_probability, scored_labels
from cpml.microscopy.labels.planes import NAMED
from cpml.models import CoupledClassifier
from cpml.models.coupled.likelihood import (
    LOG_AREA_SD,
    Detection,
    Turned,
    TwinArea,
    activity,
    seen_probability,
    token_share,
)
from cpml.models.coupled.posterior import Forward
from cpml.models.mechanics.localisation import Localisation


def test_share_is_a_partition_and_activity_grows_with_it():
    """Shares of all tokens add up to one; at the limit a token is active half the time;
    a missed trace is not recorded.
    """
    share = torch.softmax(torch.tensor([[[0.0, 1.0, 2.0, -50.0]]]), -1)
    share = token_share(share, torch.tensor([0, 0, 1, 2]), 3)
    assert float(share.sum()) == pytest.approx(1.0)
    limit = float(share[0, 0, 0])
    rates = Detection(*(torch.tensor(v) for v in (limit, 0.1, 1.0, 0.0, 3.0, 2.0, 0.8, 0.1, 0.0)))
    active = activity(share, torch.zeros(1), torch.zeros(3), 2, rates)[0, 0]
    assert float(active[0]) == pytest.approx(0.5) and active[1] > active[0] and float(active[2]) < 1e-12
    seen = seen_probability(active[None], None, 2, rates, (0.5, 0.5))[0]
    assert float(seen[1]) == pytest.approx(0.8 * float(active[1]))
    more = activity(share, torch.ones(1), torch.zeros(3), 2, rates)[0, 0]
    assert (more[:2] > active[:2]).all()  # a grain that shears more than the mean


def test_small_grains_hide_thin_twins():
    """At the limit a variant is found half the time: g0 + w / d, a tenth and one pixel in five; planes and
    what is active know no pixels, and a grain without a map hides nothing.
    """
    rates = Detection(*(torch.tensor(v) for v in (0.01, 0.1, 1.0, 0.0, 3.0, 2.0, 0.8, 0.1, 0.0)))
    share = torch.tensor([0.01, 0.3]).expand(3, 1, 2)
    diameter = torch.tensor([5.0, 2.0, torch.inf])
    found = activity(share, torch.zeros(3), torch.zeros(2), 1, rates, diameter)[:, 0]
    active = activity(share, torch.zeros(3), torch.zeros(2), 1, rates)[:, 0]
    assert found[:, 0].tolist() == pytest.approx([0.5] * 3)
    assert found[:, 1].tolist() == pytest.approx([0.5, 1 / (1 + (0.6 / 0.3) ** 2), 0.9])
    assert active[:, 1].tolist() == pytest.approx([0.9] * 3)  # 1 / (1 + (0.1 / 0.3)^2)


def test_a_twin_beyond_half_of_its_grain_passes_for_the_parent():
    """By hand: at half the volume T is 1/2 over 3/4 + 1/2; what is left of the parent is found half the time
    where its 0.3 are the limit, and only there the variant is recorded.
    """
    rates = Detection(*(torch.tensor(v) for v in (0.01, 0.1, 1.0, 1.0, 3.0, 2.0, 0.8, 0.1, 0.0)))
    of_parents = torch.log(torch.tensor([[0.5], [1e-9]]))
    turned = Turned.of(of_parents, torch.tensor([0.75, 1.0]), rates, torch.tensor([5.0, 5.0]))
    assert turned.share.tolist() == pytest.approx([0.4, 0.0])
    assert turned.rest_found.tolist() == pytest.approx([0.5, 0.5])
    law, frequency = torch.tensor([[0.3, 0.2], [0.3, 0.2]]), (0.1, 0.05)
    recorded = turned.recorded(law, frequency)
    assert recorded[0].tolist() == pytest.approx([0.6 * 0.3 + 0.4 * 0.1, 0.6 * 0.2 + 0.4 * 0.5])
    assert recorded[1].tolist() == pytest.approx(law[1].tolist())
    seen = seen_probability(law, turned, 1, rates, frequency)[0]
    assert seen.tolist() == pytest.approx([0.6 * 0.8 * 0.3 + 0.4 * 0.1, 0.6 * 0.2 + 0.4 * 0.5])


def test_what_is_left_of_a_parent_tells_of_it(build):
    """A rest that is seen, on the variant across whose plane the parent would lie, makes the parent more
    doubtful than its absence. Where nobody took parts of a map for grains, nothing is known.
    """
    specimen = build(40, load="compression")[0]
    mapped = replace(specimen, raster=np.zeros((2, 2), int), grains=specimen.grains.assign(n_pixels=900.0))
    model = CoupledClassifier(scheme="sachs", residual=False, n_draws=8, max_iter=3).fit([mapped])
    before = model.parents(mapped)
    assert before["p_outgrown"].between(0, 1).all()
    assert before["p_outgrown"].max() > 0.01
    doubtful = before.loc[before["p_outgrown"].idxmax()]
    here = (mapped.labels["grain_id"] == doubtful["grain_id"]) & (
        mapped.labels["target"] == doubtful["parent_across"]
    )
    assert here.sum() == 1

    def with_rest(seen: float) -> float:
        labels = mapped.labels.assign(observed=mapped.labels["observed"].mask(here, seen))
        found = model.parents(replace(mapped, labels=labels)).set_index("grain_id")
        return float(found.loc[doubtful["grain_id"], "p_outgrown"])

    assert with_rest(1.0) > with_rest(0.0)
    assert model.parents(specimen)["p_outgrown"].isna().all()


def test_parents_lie_across_the_planes_of_their_twins(build):
    """Variant v of the crystal across its plane is loaded the other way; across the same plane once more lies
    the grain itself.
    """
    specimen = build(12, load="compression")[0]
    mapped = replace(specimen, raster=np.zeros((2, 2), int))
    where = Localisation.of(mapped, np.log(mapped.material.strengths), scheme="sachs", n_draws=4, seed=0)
    twins = np.flatnonzero(mapped.systems.twin)
    own = (where.schmid @ where.macro).numpy()
    found = Forward.of(mapped, where).parents.numpy()
    assert found.shape == (12, len(twins), len(mapped.systems))
    assert np.allclose(found[:, np.arange(len(twins)), twins], -own[:, twins])
    q = twin_crystal_to_sample(mapped.quaternions, mapped.systems.plane[twins[0]])
    grains = mapped.grains.assign(**dict(zip(("qw", "qx", "qy", "qz"), q.T, strict=True)))
    across = replace(mapped, grains=grains)
    again = Localisation.of(across, np.log(mapped.material.strengths), scheme="sachs", n_draws=4, seed=0)
    assert np.allclose(Forward.of(across, again).parents.numpy()[:, 0], own)
    assert Forward.of(specimen, where).parents is None  # nobody took parts of a map for grains


def test_twins_carry_the_area_that_they_cover():
    """Two grains of known twins, areas 3 and 1: the mean of 1 - exp(-fraction seen) is compared in the log;
    the third grain was not indexed.
    """
    area = TwinArea(torch.tensor([0.75, 0.25, 0.0]), float(np.log(0.1)))
    fraction = torch.tensor([[[0.3, 0.1]], [[0.0, 0.0]], [[5.0, 5.0]]])
    active = torch.tensor([[[1.0, 0.5]], [[1.0, 1.0]], [[1.0, 1.0]]])
    found = area.log_likelihood(fraction, active, torch.ones(3, 1))
    expected = 0.75 * (1 - np.exp(-0.35))
    apart = np.log(expected / 0.1) / LOG_AREA_SD
    assert float(found) == pytest.approx(-0.5 * apart**2, rel=1e-6)


def test_area_of_twins_is_that_of_grains_with_labels(build):
    """Labels that are hidden hide the area as well; none without twins, or without their area."""
    specimen = build(30, load="compression")[0]
    assert TwinArea.of(specimen) is None  # nobody measured it
    twinned = specimen.twin_observed.max(axis=1) > 0
    share = np.where(twinned, 0.2, 0.0)
    specimen = replace(specimen, grains=specimen.grains.assign(twin_fraction=share))
    area = TwinArea.of(specimen)
    weights = specimen.weights
    assert np.exp(area.log_share) == pytest.approx(0.2 * weights[twinned].sum() / weights.sum())
    seen = TwinArea.of(specimen.with_labels_of(specimen.grain_ids[twinned]))
    assert np.exp(seen.log_share) == pytest.approx(0.2)
    assert TwinArea.of(specimen.with_labels_of(specimen.grain_ids[~twinned])) is None


def test_rows_are_learned_where_a_line_names_its_plane(specimen):
    """What is learned and scored row by row misses planes beside others; lines, twins and who was looked at
    stay, and a copy without labels asks nothing.
    """
    chance = naming_probability(specimen.quaternions, specimen.systems)
    planes = chance.shape[1]
    assert np.isnan(specimen.observed[:, :planes][chance < NAMED]).all() and (chance < NAMED).any()
    seen = specimen.labels.assign(level="plane")
    seen = seen[seen["mechanism"] == "slip"].pivot(index="grain_id", columns="target", values="observed")
    every = seen.reindex(specimen.grain_ids)[specimen.tokens["target"][:planes]].to_numpy()
    kept = chance >= NAMED
    assert np.array_equal(specimen.observed[:, :planes][kept], every[kept], equal_nan=True)
    assert np.array_equal(specimen.observed[:, planes:], specimen.twin_observed)
    told = scored_labels(specimen.labels, specimen.traces, specimen.grains, specimen.systems)
    pd.testing.assert_frame_equal(told, specimen.scored_labels)
    assert specimen.imaged.all()
    nothing = specimen.with_labels_of([])
    assert np.isnan(nothing.observed).all() and nothing.distinct.all()
