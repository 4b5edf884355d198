"""Synthetic specimens keep what they promise, and hard labels are hard."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.hard_labels import pick_max_schmid
from benchmarks.synthetic import ALPHA_TITANIUM, Microscope, synthetic_material, synthetic_specimen
from cpml.crystallography import load_material
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.crystallography.tensors import to_vector
from cpml.errors import ParameterError
from cpml.microscopy.labels.rows import CANDIDATES, LABELS, TRACES
from cpml.models.mechanics.features import schmid_of_tokens

EXACT = Microscope(noise_deg=1e-6, missed=0.0, false_rate=0.0)


def plane_shares(made):
    """(G, P) share of the grain's shear on every slip plane."""
    specimen = made.specimen
    return np.stack(
        [made.share[:, specimen.token == t].sum(1) for t in range(len(specimen.slip_planes))], axis=1
    )


@pytest.mark.parametrize("law", ["gaussian", "student"])
def test_scatter_is_relative_to_the_length_of_the_deviator(law):
    """Components of the local stress deviate by 15 % of |Sigma|: 5 x 3000 draws give 1
    % (normal), t3 has wide tails.
    """
    made = synthetic_specimen(3000, law=law, labelled=False)
    mean = to_vector(made.specimen.load.stress)
    deviation = (made.stress - mean) / np.linalg.norm(mean)
    assert deviation.std() == pytest.approx(0.15, rel=0.02 if law == "gaussian" else 0.15)
    assert (np.abs(deviation) > 4 * 0.15).mean() == pytest.approx(
        0 if law == "gaussian" else 0.006, abs=0.002
    )


def test_without_scatter_the_largest_schmid_factor_over_strength_wins():
    """s = 0: the plane with most shear holds the system of largest |m| / xi."""
    made = synthetic_specimen(50, scatter=0.0, labelled=False)
    specimen = made.specimen
    strength = np.array([ALPHA_TITANIUM[f] for f in specimen.systems.family_names])[specimen.systems.family]
    best = (np.abs(specimen.cp["schmid"]) / strength).argmax(1)
    assert (made.share.argmax(1) == best).all()


def test_exact_microscope_records_what_is_visible():
    """No noise: every steep plane above the limit leaves a line at its own angle, and no other plane does."""
    made = synthetic_specimen(80, microscope=EXACT)
    specimen, geometry = made.specimen, slip_traces(made.specimen.quaternions, made.specimen.systems)
    wanted = (plane_shares(made) > EXACT.visible_share) & (
        geometry.inclination_deg >= EXACT.min_inclination_deg
    )
    found = specimen.traces
    assert len(found) == wanted.sum() > 60
    for g, angle in zip(specimen.position(found["grain_id"]), found["angle_deg"], strict=True):
        assert np.abs(line_difference(angle, geometry.angle_deg[g][wanted[g]])).min() < 1e-3


def test_recorded_rates():
    """800 grains: angles err by 2 deg, 15 % of the lines are missed, 3 % of the grains have a false one."""
    exact, noisy = (synthetic_specimen(800, microscope=m).specimen.traces for m in (EXACT, Microscope()))
    assert len(noisy) == pytest.approx(0.85 * len(exact) + 0.03 * 800, rel=0.05)
    single = [
        t.drop_duplicates("grain_id", keep=False).set_index("grain_id")["angle_deg"] for t in (exact, noisy)
    ]
    error = line_difference(*(s.loc[single[0].index.intersection(single[1].index)] for s in single))
    assert error[np.abs(error) < 8].std() == pytest.approx(2.0, rel=0.1)


def test_label_table_is_that_of_a_real_map():
    """Columns of notebook 02; an imaged grain without a line has zeros, not missing labels."""
    specimen = synthetic_specimen(100).specimen
    assert specimen.labels.columns.tolist() == list(LABELS)
    assert specimen.traces.columns.tolist() == list(TRACES)
    assert specimen.candidates.columns.tolist() == list(CANDIDATES)
    blank = np.setdiff1d(specimen.grain_ids, specimen.traces["grain_id"])
    rows = specimen.labels[specimen.labels["grain_id"].isin(blank) & specimen.labels["observed"].notna()]
    assert len(blank) and (rows["observed"] == 0).all() and specimen.imaged.all()


def test_literature_is_drawn_about_the_truth():
    """Over 400 draws ln(prior / truth) has the file's spread; the reference family keeps its strength."""
    rng, file = np.random.default_rng(0), load_material("titanium_cp")
    drawn = [synthetic_material("titanium_cp", ALPHA_TITANIUM, prior_error=1.0, rng=rng) for _ in range(400)]
    strength = np.array([[m.families[f].strength for f in ALPHA_TITANIUM] for m in drawn])
    assert (strength[:, 0] == file.families["prismatic"].strength).all()
    error = np.log(strength[:, 2] / strength[:, 0] / ALPHA_TITANIUM["pyramidal1_ca"])
    assert error.std() == pytest.approx(file.families["pyramidal1_ca"].log_spread, rel=0.1)
    plain = synthetic_material("titanium_cp", ALPHA_TITANIUM, prior_error=0.0, rng=rng)
    assert plain.families == {f: p for f, p in file.families.items() if f in ALPHA_TITANIUM}


def test_same_seed_same_specimen_and_strange_input():
    """Footprints repeat with the seed; an unknown law or family is one clear error."""
    first, again, other = (synthetic_specimen(40, seed=s).specimen.labels for s in (3, 3, 4))
    assert first.equals(again) and not first.equals(other)
    with pytest.raises(ParameterError, match="choose one of gaussian, student"):
        synthetic_specimen(4, law="cauchy")
    with pytest.raises(ParameterError, match="octahedral"):
        synthetic_specimen(4, ratios={"octahedral": 1.0})


def test_picked_labels_have_one_candidate_of_largest_schmid_factor():
    """Every line lies on one plane; among what were its candidates, none has a larger Schmid factor."""
    soft = synthetic_specimen(200).specimen
    hard, schmid = pick_max_schmid(soft), schmid_of_tokens(soft)
    names = soft.tokens["target"].tolist()
    fitting, chosen = (s.candidates[s.candidates["probability"] > 0] for s in (soft, hard))
    assert len(chosen) == len(hard.traces)
    picked = chosen.groupby("grain_id")["target"].agg(set)
    for (_, grain), own in fitting.groupby(["trace_id", "grain_id"]):
        g = soft.position([grain])[0]
        assert max(own["target"], key=lambda t, g=g: schmid[g, names.index(t)]) in picked[grain]
    assert set(hard.labels.loc[hard.labels["observed"] == 1, "level"]) == {"plane"}


def test_picking_keeps_twins_and_grains_that_nobody_imaged(specimen):
    """Variant rows are untouched; a grain without slip labels stays without any."""
    is_kept = (specimen.labels["grain_id"] > 30) | (specimen.labels["mechanism"] == "twin")
    half = replace(specimen.with_labels_of(range(31, 61)), labels=specimen.labels[is_kept])
    picked = pick_max_schmid(half)
    variants = [s.labels[s.labels["level"] == "variant"].reset_index(drop=True) for s in (half, picked)]
    assert variants[0].equals(variants[1])
    assert (picked.imaged == half.imaged).all()
