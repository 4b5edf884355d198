"""A fitted model that is told a wrong material file, load or frame, and says so."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bench_checks import without
from benchmarks.synthetic import synthetic_specimen
from cpml.crystallography import schmid_factors, systems
from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.load import Load
from cpml.models import CoupledClassifier, LatentLoad, check_fit
from cpml.models.checks.families import absent_families, chance_of_directions, twin_relations
from cpml.models.checks.information import check_information, informative
from cpml.models.checks.loads import compare_frames, compared
from cpml.models.checks.predictive import check_counts
from cpml.models.checks.variants import turned, with_family
from cpml.models.coupled.loads import other_loads, turned_load
from cpml.models.coupled.stand_in import quick_fit, unexplained

RATIOS = {"prismatic": 1.0, "basal": 1.3, "pyramidal1_ca": 2.0}


@pytest.fixture(scope="module")
def titanium():
    """100 grains in tension along x; prismatic, basal and pyramidal slip."""
    return synthetic_specimen(100, ratios=RATIOS, n=12.0, seed=3).specimen


@pytest.fixture(scope="module")
def plain(titanium):
    """The stand-in, fitted; only asked."""
    return quick_fit(CoupledClassifier(), [titanium])


@pytest.fixture(scope="module")
def checked(titanium, plain):
    """Everything, of a specimen that is as it was declared."""
    return check_fit(plain, titanium)


def test_nothing_is_said_of_a_good_fit(checked):
    """No warning, and the declared load and frame are clearly better than every confusion."""
    assert checked.warnings == ()
    assert checked.loads.is_supported and checked.frames.is_supported
    assert checked.loads.table["weight"].iloc[0] > 0.99 and checked.information.is_enough
    assert not checked.family_table["is_missing"].any()
    assert all(isinstance(value, float) for value in checked.numbers.values())


def test_a_missing_family_is_named_with_its_strength(titanium):
    """Without basal its traces lie along nothing; basal is named, nearly as strong as it is, and the false
    rate alone says nothing of it.
    """
    fewer = without(titanium, "basal")
    checked = check_fit(quick_fit(CoupledClassifier(), [fewer]), fewer, loads=False, frames=False)
    (missing,) = (a for a in checked.families if a.is_missing)
    assert missing.family == "basal" and missing.gain_nats > 50
    # 100 grains fix a ratio within about 15 % at two standard deviations
    assert missing.ratio == pytest.approx(RATIOS["basal"], rel=0.15)
    assert checked.warnings[0].startswith("**Basal slip is missing in the material file** (titanium_cp)")


def test_lines_at_any_angle_speak_for_no_family(titanium):
    """Directions drawn anew are as near to the planes of one grain as to those of another."""
    rng = np.random.default_rng(1)
    traces = titanium.traces.assign(angle_deg=180 * rng.random(len(titanium.traces)))
    chances = [
        chance_of_directions(replace(titanium, traces=traces), "pyramidal2_ca", np.ones(len(traces)), seed=s)
        for s in range(3)
    ]
    assert min(chances) > 0.01
    assert np.isnan(chance_of_directions(titanium, "pyramidal2_ca", np.zeros(len(traces))))


def test_families_of_the_same_planes_are_no_candidates(titanium):
    """Traces cannot tell pyramidal I <a> from <c+a>; twins are asked apart."""
    slip, twins = absent_families(titanium)
    assert slip == ["pyramidal2_ca"] and len(twins) == 4
    assert len(with_family(titanium, "pyramidal2_ca").slip_planes) == len(titanium.slip_planes) + 6


def test_unexplained_traces(titanium, plain):
    """A trace on a plane is explained; turned to where no plane is, it is not."""
    doubt = unexplained(plain, titanium)
    best = titanium.trace_density.max(1)
    assert ((doubt >= 0) & (doubt <= 1)).all()
    assert np.mean(doubt[best > 0.1]) < 0.1  # some lie on planes that are hardly loaded
    far = titanium.candidates.assign(likelihood=0.0)
    assert unexplained(plain, replace(titanium, candidates=far)) == pytest.approx(1.0)


def test_twins_of_a_type_that_nobody_looked_for(titanium):
    """Every fourth grain becomes the twin of its neighbour: pairs in the relation are counted, those of other
    types are not.
    """
    normal = systems("hcp", families=["twin_1011"], c_over_a=titanium.material.c_over_a).plane[0]
    q = titanium.quaternions.copy()
    q[1::4] = twin_crystal_to_sample(q[0::4], normal)
    grains = titanium.grains.assign(**dict(zip(("qw", "qx", "qy", "qz"), q.T, strict=True)))
    twinned = replace(titanium, grains=grains)
    found = {family: twin_relations(twinned, family) for family in absent_families(titanium)[1]}
    assert found["twin_1011"].p_value < 1e-6 and found["twin_1011"].explains == pytest.approx(25, abs=5)
    assert min(a.p_value for f, a in found.items() if f != "twin_1011") > 0.01
    lamellae = titanium.grains.assign(twin_fraction=np.r_[np.full(10, 0.1), np.zeros(len(titanium) - 10)])
    joined = twin_relations(replace(titanium, grains=lamellae), "twin_1012")
    assert joined.p_value < 1e-6 and joined.explains == pytest.approx(10, abs=1)


def test_a_wrong_load_is_contradicted(titanium, plain):
    """Declared along y, the specimen is better explained by a pull along x."""
    wrong = replace(titanium, load=turned_load(titanium.load, np.pi / 2))
    checked = compared(quick_fit(plain, [wrong]), wrong, {"x": titanium}, declared="y")
    assert checked.is_contradicted and not checked.is_supported
    assert checked.best["choice"] == "x" and checked.best["weight"] > 0.99


def test_other_loads(titanium, specimen):
    """Five turns and the normal; a load along the normal has axes in the map as rivals; the sense is asked of
    twins; a rolled sheet is turned as a tensor.
    """
    assert len(other_loads(titanium)) == 6
    assert "tension at 120° in the map" in other_loads(titanium)
    along_z = replace(titanium, load=Load.from_dict({"kind": "tension", "axis": "z"}))
    assert len(other_loads(along_z)) == 6 and not any("normal" in name for name in other_loads(along_z))
    assert "compression along the same axis" in other_loads(specimen)
    rolled = replace(titanium, load=Load.from_dict({"kind": "rolling", "axis": "x"}))
    (across,) = (v for k, v in other_loads(rolled).items() if "90°" in k)
    assert across.stress[1, 1] == pytest.approx(rolled.load.stress[0, 0], rel=1e-9)


def test_half_a_turn_about_the_normal_changes_nothing(titanium):
    """Lines and an axis in the map have no sense: planes lie along the same lines and are loaded alike."""
    own, half = turned(titanium), turned(titanium, after=np.array([0.0, 0.0, 0.0, 1.0]))
    assert np.abs(half.trace_density - own.trace_density).max() < 1e-9
    factors = (schmid_factors(s.systems, s.quaternions, s.load.stress) for s in (own, half))
    assert np.abs(np.subtract(*factors)).max() < 1e-12
    quarter = turned(titanium, after=np.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]))
    assert np.abs(quarter.trace_density - own.trace_density).max() > 0.1


def test_a_wrong_frame_is_contradicted(titanium):
    """Crystals turned by 90 deg about the normal: turning them back is named."""
    wrong = turned(titanium, after=np.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]))
    frames = compare_frames(quick_fit(CoupledClassifier(), [wrong]), wrong)
    assert frames.is_contradicted and "z90" in frames.best["choice"]


def test_counts_of_a_part_that_nobody_drew(titanium):
    """A corner whose traces are lost, though it counts as looked at, has fewer than expected; the other way
    round nothing stands out.
    """
    place = titanium.grains[["x_um", "y_um"]].rank() < len(titanium) / 2
    lost = titanium.grains.loc[place.all(axis=1), "grain_id"]
    traces = titanium.traces[~titanium.traces["grain_id"].isin(lost)]
    candidates = titanium.candidates[titanium.candidates["trace_id"].isin(traces["trace_id"])]
    less = replace(titanium, traces=traces, candidates=candidates)
    counts = check_counts(quick_fit(CoupledClassifier(), [less]), less)
    parts = counts[counts["mechanism"] == "all"]
    assert len(parts) == 4 and parts["stands_out"].any()
    corner = parts.loc[(parts["seen"] - parts["expected"]).idxmin()]
    assert corner["stands_out"] and corner["where"].startswith("x 0 to")


def test_too_few_footprints(titanium):
    """Five grains teach nothing and none teach less: the literature speaks alone, and nothing is compared."""
    few = titanium.with_labels_of(titanium.grain_ids[:5])
    model = quick_fit(CoupledClassifier(), [few])
    assert 0 < informative(few) < 10
    information = check_information(model, [few])
    assert not information.is_enough and not information.table["learned"].any()
    checked = check_fit(model, few)
    assert checked.loads is None and checked.families == ()
    assert checked.warnings[0].startswith("**The literature speaks alone**")
    blank = titanium.with_labels_of([])
    checked = check_fit(quick_fit(CoupledClassifier(), [blank]), blank)
    assert len(checked.warnings) == 1 and checked.counts.empty


def test_a_declared_load_weighs_more(titanium):
    """Without a footprint the weights are those before: the recorded axis has its share, an assumed one has
    none.
    """
    blank = titanium.with_labels_of([])
    recorded = replace(blank, load=Load.from_dict({"kind": "tension", "axis": [0.8, 0.6, 0.0]}))
    part = CoupledClassifier(scheme="sachs", residual=False, n_draws=8)
    model = LatentLoad(part, n_axes=2, declared=0.7).fit([recorded])
    assert model.weights_["weight"].tolist() == pytest.approx([0.7, 0.1, 0.1, 0.1])
    assert model.declared_ == 0 and len(model.axes_) == 4
    guess = replace(recorded, load=replace(recorded.load, assumed=True))
    model = LatentLoad(part, n_axes=2).fit([guess])
    assert model.declared_ is None and model.weights_["weight"].tolist() == pytest.approx([1 / 3] * 3)
