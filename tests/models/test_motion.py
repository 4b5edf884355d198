"""Rotations and strains of the grains as evidence: closed forms, what is unseen, what is learned."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import to_matrix, to_vector
from cpml.errors import CpmlError
from cpml.load import Load
from cpml.models import CoupledClassifier, measured_motions, motion_scores
from cpml.models.coupled.motion import IN_PLANE, Measured, MotionRates
from cpml.models.mechanics.grain_stress import SCHEMES, UNCERTAIN, Scatter, grain_state
from cpml.models.mechanics.localisation import Answer, LinearResponse, Localisation
from cpml.models.numerics import STANDARD
from cpml.models.protocol import held_out_motions
from cpml.models.specimen.motions import ROTATIONS, STRAINS, check_motions
from cpml.pipeline.answers import predicted_motions
from cpml.pipeline.found import count_footprints
from cpml.plasticity import PowerLaw, deform
from cpml.plasticity.laws.spin import axial

STRAIN, ERROR_DEG = 0.05, 0.05


def tensor(values):
    return torch.tensor(np.asarray(values, float))


RATES, ONE = MotionRates(tensor(0.8), tensor(0.3)), tensor(1.0)


def table_of(grain_ids, values, *, kind="rotation", se=ERROR_DEG, strain=STRAIN):
    """Table of motions from values (G, 3) in the units of the components."""
    names = ROTATIONS if kind == "rotation" else STRAINS
    return pd.DataFrame(
        {
            "grain_id": np.repeat(grain_ids, 3),
            "kind": kind,
            "component": np.tile(names, len(grain_ids)),
            "value": np.ravel(values),
            "se": se,
            "strain": strain,
        }
    )


def turned(specimen, strengths, *, rng, error=ERROR_DEG):
    """The specimen with rotations, read with an error, of the affine scheme under these strengths."""
    spin = grain_state(specimen, np.log(strengths), "affine").spin
    noise = error * rng.normal(size=spin.shape)
    return replace(
        specimen, motions=table_of(specimen.grain_ids, np.degrees(STRAIN * spin) + noise, se=error)
    )


def random_answer(n, rng, *, covariances=False):
    root_rate, root_spin = 0.2 * rng.normal(size=(n, 5, 5)), 0.2 * rng.normal(size=(n, 3, 3))
    roots = {"rate_covariance": root_rate, "spin_covariance": root_spin}
    own = {name: root @ np.swapaxes(root, 1, 2) for name, root in roots.items()}
    return Answer(
        tensor(rng.normal(size=(n, 5))),
        tensor(np.zeros(n)),
        tensor(rng.normal(size=(n, 5))),
        tensor(rng.normal(size=(n, 3))),
        **({name: tensor(value) for name, value in own.items()} if covariances else {}),
    )


@pytest.mark.parametrize("kind", ["rotation", "strain"])
@pytest.mark.parametrize("covariances", [False, True])
def test_two_grains_tell_their_difference(specimen, kind, covariances):
    """Normal errors, common part integrated out: the density of the difference of the two grains."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 3))
    two = replace(
        specimen, motions=table_of(specimen.grain_ids[[3, 5]], values, kind=kind, se=[0.1, 0.2] * 3)
    )
    (measured,) = Measured.of(two)
    answer = random_answer(len(specimen), rng, covariances=covariances)
    terms = measured.log_likelihood(answer, RATES, tensor(1.3), tails=np.inf).numpy()
    if kind == "rotation":
        unit, mean, rows = np.radians(1.0), answer.spin.numpy(), np.eye(3)
        own = answer.spin_covariance
    else:
        unit, mean, rows = 0.01, answer.rate.numpy() @ IN_PLANE.T, IN_PLANE
        own = answer.rate_covariance
    spread = 0.3**2 * np.eye(rows.shape[1]) if own is None else 1.3**2 * own.numpy()[[3, 5]]
    spread = np.broadcast_to(rows @ spread @ rows.T, (2, 3, 3)).sum(0)
    errors = (unit * np.reshape([0.1, 0.2] * 3, (2, 3))) ** 2
    expected = multivariate_normal(
        0.8 * STRAIN * (mean[3] - mean[5]), STRAIN**2 * spread + np.diag(errors.sum(0))
    ).logpdf(unit * (values[0] - values[1]))
    assert terms.sum() == pytest.approx(expected, abs=1e-6)  # variances have a floor of 1e-12
    assert not np.delete(terms, [3, 5]).any()


def test_what_all_grains_share_tells_nothing(specimen):
    """A rigid rotation of the specimen, and of the law's answer, changes no term."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(len(specimen), 3))
    answer = random_answer(len(specimen), rng)
    (one,), (other,) = (
        Measured.of(replace(specimen, motions=table_of(specimen.grain_ids, values + shift)))
        for shift in (0.0, [3.0, -2.0, 7.0])
    )
    moved = replace(answer, spin=answer.spin + tensor([0.4, 0.1, -0.2]))
    first = one.log_likelihood(answer, RATES, ONE)
    assert torch.allclose(first, other.log_likelihood(answer, RATES, ONE), rtol=0, atol=1e-9)
    assert torch.allclose(first, one.log_likelihood(moved, RATES, ONE), rtol=0, atol=1e-9)
    assert (
        float((first - one.log_likelihood(replace(answer, spin=2 * answer.spin), RATES, ONE)).abs().max())
        > 0.1
    )


def test_strain_out_of_the_plane_is_unseen(specimen):
    rng = np.random.default_rng(2)
    answer = random_answer(len(specimen), rng)
    table = table_of(specimen.grain_ids, rng.normal(size=(len(specimen), 3)), kind="strain")
    (measured,) = Measured.of(replace(specimen, motions=table))
    first = measured.log_likelihood(answer, RATES, ONE)
    for (i, j), is_seen in {(0, 2): False, (1, 2): False, (0, 1): True}.items():
        shear = np.zeros((3, 3))
        shear[i, j] = shear[j, i] = 1.0
        more = tensor(rng.normal(size=(len(specimen), 1)) * to_vector(shear))
        other = measured.log_likelihood(replace(answer, rate=answer.rate + more), RATES, ONE)
        assert torch.allclose(first, other, rtol=0, atol=1e-9) != is_seen
    rows = [to_matrix(answer.rate.numpy())[:, i, j] for i, j in ((0, 0), (1, 1), (0, 1))]
    assert np.allclose(answer.rate.numpy() @ IN_PLANE.T, np.transpose(rows))


def test_a_grain_that_was_tracked_wrongly_moves_nothing(specimen):
    """With heavy tails the common part, and so all other grains, hardly feel one at 40 degrees."""
    rng = np.random.default_rng(3)
    values = 0.1 * rng.normal(size=(len(specimen), 3))
    answer = random_answer(len(specimen), rng)
    small = MotionRates(tensor(1e-6), tensor(0.05))
    (right,) = Measured.of(replace(specimen, motions=table_of(specimen.grain_ids, values)))
    values[0] += 40.0
    (wrong,) = Measured.of(replace(specimen, motions=table_of(specimen.grain_ids, values)))
    change = (right.log_likelihood(answer, small, ONE) - wrong.log_likelihood(answer, small, ONE)).abs()
    normal = right.log_likelihood(answer, small, ONE, tails=np.inf)
    normal = (normal - wrong.log_likelihood(answer, small, ONE, tails=np.inf)).abs()
    assert change[1:].max() < 0.2 < 1.0 < normal[1:].max()


@pytest.mark.parametrize("scheme", ["sachs", "taylor", "affine"])
def test_motion_has_the_slope_of_its_scheme(specimen, scheme):
    """State and answer agree; the gradient by the strengths is that of central differences."""
    log_strength = np.log(specimen.material.strengths)
    response = Localisation.of(specimen, log_strength, scheme=scheme, n_draws=2, seed=0).response
    moved = torch.tensor(log_strength + np.array([0.3, -0.2, 0.1, 0.0]), requires_grad=True)
    answer, state = response(moved, motion=True), grain_state(specimen, moved.detach().numpy(), scheme)
    # the medium is solved to 1e-9 from another start
    assert np.allclose(answer.rate.detach(), state.rate, rtol=0, atol=1e-6)
    assert np.allclose(answer.spin.detach(), state.spin, rtol=0, atol=1e-6)
    assert response(moved).spin is None
    rng = np.random.default_rng(0)
    weight = [torch.tensor(rng.normal(size=x.shape)) for x in (answer.rate, answer.spin)]

    def total(answer):
        return (weight[0] * answer.rate).sum() + (weight[1] * answer.spin).sum()

    (slope,) = torch.autograd.grad(total(answer), moved)
    with torch.no_grad():
        for k, step in enumerate(1e-4 * torch.eye(4, dtype=torch.float64)):
            ends = [float(total(response(moved + sign * step, motion=True))) for sign in (1, -1)]
            assert (ends[0] - ends[1]) / 2e-4 == pytest.approx(float(slope[k]), rel=1e-3, abs=1e-3)


def test_a_linear_response_moves_like_its_scheme(specimen):
    """Half a grid step away spins are within a tenth of their spread, and closer than without slopes."""
    centre = np.log(specimen.material.strengths)
    centre = centre - centre.mean()
    base = grain_state(specimen, centre, "affine")
    moved = centre + np.array([0.08, -0.08, 0.05, -0.05])
    linear = LinearResponse.of(specimen, centre, "affine", base)(torch.tensor(moved), motion=True)
    exact = grain_state(specimen, moved, "affine").spin
    error = np.linalg.norm(linear.spin.numpy() - exact)
    assert error < 0.1 * np.linalg.norm(exact)
    assert error < 0.5 * np.linalg.norm(base.spin - exact)


def test_lattices_turn_as_tracked_maps_say(specimen):
    """A small step of a deformation path: log(q_after q_before*) is strain times spin, sign included."""
    strengths, strain = specimen.material.strengths, 1e-4
    law = PowerLaw(specimen.systems, strengths, n=STANDARD.exponent, reference_rate=specimen.load.rate)
    path = deform(
        law,
        None,
        specimen.quaternions,
        weights=specimen.weights,
        loading=specimen.load,
        increment=strain,
        steps=1,
        scheme="affine",
        lateral="free",
    )
    after = np.einsum("gij,gkj->gik", path.orientations.numpy(), quaternion_to_matrix(specimen.quaternions))
    spin = grain_state(specimen, np.log(strengths), "affine").spin
    turned = axial(after) / strain
    # a step counts the von Mises strain, a load the strain along itself: of a free specimen a little less
    part = (turned * spin).sum() / (turned**2).sum()
    assert part == pytest.approx(1, abs=0.02)
    # to the second order of the strain
    assert np.allclose(part * turned, spin, rtol=0, atol=1e-3 * np.abs(spin).max())


def test_strengths_are_learned_from_rotations_alone(build):
    """No trace, no twin: ratios come back within their intervals, and far narrower than the literature's."""
    truth = np.array([10.0, 30.0, 45.0, 25.0])
    blind, _ = build(90, seed=4, labelled=False)
    made = turned(blind, truth, rng=np.random.default_rng(5))
    model = CoupledClassifier(scheme="affine", n_draws=8).fit([made])
    table = model.strengths_.assign(truth=truth / truth[0])
    table = table[table["family"] != "basal"]
    assert model.converged_ and model.gate_ == 0.0
    prismatic = table.set_index("family").loc["prismatic"]
    assert prismatic["ratio_low"] < prismatic["truth"] < prismatic["ratio_high"]
    assert prismatic["by_data"] > 0.75  # of the variance of the literature, 20 % are what the model may miss
    assert ((table["ratio_low"] < table["truth"]) & (table["truth"] < table["ratio_high"])).mean() > 0.6
    assert {"rotation_gain", "rotation_scatter"} < set(model.theta_)
    assert model.theta_["rotation_gain"] == pytest.approx(1.0, abs=0.1)
    assert model.theta_["rotation_scatter"] < 0.1  # nothing but the error of the reading is left

    predicted = model.predict_motion(made)
    scores = motion_scores(predicted, made.motions, n_boot=50).set_index("component")
    assert (scores["rank_correlation"] > 0.95).all() and (scores["learned_gain"] > 0).all()
    assert scores["coverage"].between(0.8, 1.0).all()
    assert set(predicted["component"]) == set(ROTATIONS)
    told = predicted_motions(scores.reset_index())
    assert told.count("(law alone") == 3 and "rotation_z" in told
    assert predicted_motions(motion_scores(predicted, None)) == ""
    assert count_footprints(made.labels, made.candidates, made.motions) == len(made)


def test_what_is_held_out_plays_no_part(specimen):
    """Motions of held-out grains may be anything; a model learns from those of the others."""

    class Halves:
        folds = (0,)

        def train(self, fold):
            return specimen.grain_ids[specimen.chequerboard() == bool(fold)]

        def test(self, fold):
            return specimen.grain_ids[specimen.chequerboard() != bool(fold)]

    made = turned(specimen, specimen.material.strengths, rng=np.random.default_rng(0))
    is_known = np.isin(made.motions["grain_id"], Halves().train(0))
    rows = np.arange(len(made.motions))
    changed = (
        replace(made, motions=made.motions.assign(value=made.motions["value"] + np.sin(rows) * which))
        for which in (~is_known, is_known)
    )
    model = CoupledClassifier(scheme="sachs", residual=False, n_draws=4, max_iter=4)
    first, hidden, known = (held_out_motions(model, s, Halves()) for s in (made, *changed))
    assert len(first) == 3 * len(Halves().test(0))
    assert first.equals(hidden) and not first.equals(known)
    assert held_out_motions(model, specimen, Halves()).empty


def test_a_scheme_of_its_own_spread_draws_from_it(specimen):
    """Drawn stresses have t^2 times the given covariance, whatever s_eta; without one, s_eta^2 I."""
    rng, centre = np.random.default_rng(6), np.zeros(4)
    base = grain_state(specimen, centre, "affine")
    root = 0.2 * rng.normal(size=(len(specimen), 5, 5))
    covariance = root @ np.swapaxes(root, 1, 2)
    known = replace(
        base,
        scatter=Scatter(covariance, covariance, covariance[:, :3, :3], np.zeros(len(specimen))),
    )
    local = Localisation.of(specimen, centre, scheme="affine", n_draws=4096, seed=0)
    response = LinearResponse.of(specimen, centre, "affine", known)
    nothing = torch.zeros(len(local.pulls), dtype=torch.float64)
    for answer, expected in (
        (response(tensor(centre)), 1.5**2 * covariance),
        (local.response(tensor(centre)), 0.1**2 * np.eye(5)),
    ):
        drawn, _ = local.local_stress(answer, ONE, nothing, tensor(0.1), tensor(1.5))
        mean = drawn.mean(1)
        apart = (drawn - mean[:, None]).numpy()
        found = np.einsum("gki,gkj->gij", apart, apart) / apart.shape[1]
        # pairs of opposite draws: the mean is exact; second moments of 4096 quasi-random ones to some percent
        assert np.allclose(mean, answer.stress, atol=1e-12)
        assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_trust_is_a_parameter_only_where_a_scheme_has_a_spread(specimen, monkeypatch):
    """A scheme with a spread has ``trust`` in place of ``scatter``, and is told where it is too sure."""
    assert set(UNCERTAIN) < set(SCHEMES)
    assert grain_state(specimen, np.zeros(4), "learned").scatter is not None
    plain = CoupledClassifier(scheme="sachs", residual=False, n_draws=8).fit([specimen])
    assert "trust" not in plain.theta_ and "scatter" in plain.theta_

    sigma = 0.1

    def with_spread(asked, log_strength, scheme, **rest):
        n = len(asked)
        own = Scatter(*(sigma**2 * np.tile(np.eye(k), (n, 1, 1)) for k in (5, 5, 3)), np.zeros(n))
        return replace(grain_state(asked, log_strength, "affine", **rest), scatter=own)

    monkeypatch.setattr("cpml.models.mechanics.localisation.grain_state", with_spread)
    monkeypatch.setattr("cpml.models.mechanics.localisation.DIFFERENTIABLE", ())
    monkeypatch.setattr("cpml.models.coupled.coupled.UNCERTAIN", ("affine",))
    strengths = specimen.material.strengths
    spin = grain_state(specimen, np.log(strengths), "affine").spin
    off = 2 * sigma * np.random.default_rng(7).normal(size=spin.shape)
    table = table_of(specimen.grain_ids, np.degrees(STRAIN * (spin + off)), se=1e-3)
    quiet = replace(specimen.with_labels_of([]), motions=table)
    model = CoupledClassifier(scheme="affine", residual=False, n_draws=8).fit([quiet])
    assert not {"scatter", "rotation_scatter", "amplitude", "pull_stress"} & set(model.theta_)
    # to where the prior ends: three of its widths, e^0.3
    assert 1.25 < model.theta_["trust"] < 1.36
    assert model.explain(quiet)["scatter"].gt(0).all()


def test_what_was_learned_of_motion_is_stored(specimen, tmp_path):
    made = turned(specimen, specimen.material.strengths, rng=np.random.default_rng(8))
    model = CoupledClassifier(scheme="sachs", residual=False, n_draws=4, max_iter=5).fit([made])
    model.save(tmp_path / "model.json")
    again = CoupledClassifier.load(tmp_path / "model.json", specimen.material)
    assert again.theta_ == model.theta_ and {"rotation_gain", "rotation_scatter"} < set(again.prior_.further)
    assert again.predict_motion(made).equals(model.predict_motion(made))
    # a later fit without motions goes on from what both have
    later = again.set_params(warm_start=True, max_iter=1).fit([specimen.with_labels_of([])])
    assert not {"rotation_gain", "rotation_scatter"} & set(later.theta_)
    assert later.theta_["strength_basal_mpa"] == model.theta_["strength_basal_mpa"]


def test_the_last_known_state_is_taken(specimen):
    """Unknown strains and errors are left out, and strains against the load."""
    n = 12
    rotations = pd.DataFrame(
        {"grain_id": np.arange(n), "rotation_se_deg": 0.1} | dict.fromkeys(ROTATIONS, 1.0)
    )
    rotations.loc[0, "rotation_se_deg"] = np.nan
    steps = [rotations.assign(step=s, strain=e) for s, e in (("a", 0.01), ("b", 0.04), ("c", np.nan))]
    gradients = pd.DataFrame(
        {"grain_id": np.arange(n), "step": "a", "strain": 0.02, "e_xx_percent": 2.0, "e_yy_percent": -1.0}
        | {"e_xy_percent": 0.0, "e_xx_se_percent": 0.1, "e_yy_se_percent": 0.1, "e_xy_se_percent": 0.1}
    )
    tension, compression = (Load.from_dict({"kind": k, "axis": "x"}) for k in ("tension", "compression"))
    table = measured_motions(pd.concat(steps), gradients, load=tension)
    counts = table.groupby("kind").agg(n=("value", "size"), strain=("strain", "first"))
    assert counts.loc["rotation"].tolist() == [3 * (n - 1), 0.04]
    assert counts.loc["strain"].tolist() == [3 * n, 0.02]
    check_motions(table, "s")
    assert set(measured_motions(pd.concat(steps), gradients, load=compression)["kind"]) == {"rotation"}
    assert measured_motions().empty and specimen.motions is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop(columns="se"), "no column 'se'"),
        (lambda t: t.assign(kind="twist"), "kind 'twist'; known: rotation, strain"),
        (lambda t: t.iloc[1:], "needs each once of rotation_x_deg"),
        (lambda t: pd.concat([t, t]), "needs each once of rotation_x_deg"),
        (lambda t: t.assign(se=-1.0), "motion of grain 1: value, se and strain"),
        (lambda t: t.assign(value=np.nan), "motion of grain 1: value, se and strain"),
    ],
)
def test_a_table_that_is_none_of_motions_is_told(change, told):
    with pytest.raises(CpmlError, match="specimen 's'") as caught:
        check_motions(change(table_of([1, 2], np.ones((2, 3)))), "s")
    assert told in str(caught.value)


def test_an_unknown_strain_is_told(fitted, specimen):
    assert specimen.load.strain is None
    with pytest.raises(CpmlError, match=r"strain of the load is unknown"):
        fitted.predict_motion(specimen)
    table = fitted.predict_motion(specimen, strain=0.1)
    assert len(table) == 6 * len(specimen)
    half = fitted.predict_motion(specimen, strain={"strain": 0.05})
    own = table[table["component"].isin(STRAINS)]
    assert np.allclose(2 * half["value"], own["value"]) and (own["low"] < own["high"]).all()
    # the mean strain is that of the load
    mean = np.average(own.loc[own["component"] == "e_xx_percent", "value"], weights=specimen.weights)
    assert mean == pytest.approx(10.0, rel=0.02)
