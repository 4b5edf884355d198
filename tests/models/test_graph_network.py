"""The graph network: what it depends on and what it does not."""

from dataclasses import replace

import numpy as np
import pytest

from cpml.crystallography.rotations import quaternion_multiply
from cpml.crystallography.symmetry import proper_group
from cpml.models import GraphNetwork, Prevalence, observed


@pytest.fixture(scope="module")
def network(specimen):
    """Trained once, two layers."""
    return GraphNetwork(max_epochs=60).fit([specimen])


def rewired(specimen):
    """The same grains with other neighbours."""
    order = np.random.default_rng(0).permutation(len(specimen))
    return replace(specimen, neighbours=order[specimen.neighbours])


def test_neighbours_matter_only_through_layers(specimen, network):
    """Other neighbours change the output of two layers, and nothing at all without layers."""
    assert (network.predict(specimen)["p"] - network.predict(rewired(specimen))["p"]).abs().max() > 1e-3
    blind = GraphNetwork(n_layers=0, max_epochs=20).fit([specimen])
    assert blind.predict(specimen)["p"].equals(blind.predict(rewired(specimen))["p"])


def test_symmetry_copies_only_permute_tokens(specimen, network):
    """Multiplying crystals by symmetry operations permutes the tokens of a
    grain; probabilities agree to 1e-10.
    """
    rng, group = np.random.default_rng(1), proper_group("622")
    q = quaternion_multiply(specimen.quaternions, group[rng.integers(len(group), size=len(specimen))])
    grains = specimen.grains.assign(**dict(zip(("qw", "qx", "qy", "qz"), q.T, strict=True)))
    n_tokens, slip = len(specimen.tokens), (specimen.tokens["mechanism"] == "slip").to_numpy()
    before, after = (
        network.predict(s)["p"].to_numpy().reshape(-1, n_tokens)
        for s in (specimen, replace(specimen, grains=grains))
    )
    for part in (slip, ~slip):
        np.testing.assert_allclose(np.sort(after[:, part]), np.sort(before[:, part]), rtol=0, atol=1e-10)


def test_same_seed_same_network_and_a_lonely_grain(specimen, network):
    """Training repeats to the last digit; a grain without neighbours gets a finite probability."""
    again = GraphNetwork(max_epochs=60).fit([specimen])
    assert again.n_epochs_ == network.n_epochs_
    assert again.predict(specimen)["p"].equals(network.predict(specimen)["p"])
    none = replace(specimen, neighbours=np.empty((0, 2), int), edge_length=np.empty(0))
    assert network.predict(none)["p"].between(0, 1).all()


def test_learns_what_carries_over(build):
    """Trained on one specimen of 100 grains, it predicts another better than the prevalence does."""
    train, test = build(100, seed=0)[0], build(100, seed=1)[0]
    y = observed(test)
    seen = np.isfinite(y)
    losses = []
    for model in (GraphNetwork(), Prevalence()):
        p = model.fit([train]).predict(test)["p"].to_numpy().reshape(y.shape)[seen]
        losses.append(-np.mean(np.where(y[seen] == 1, np.log(p), np.log1p(-p))))
    assert losses[0] < 0.95 * losses[1]
