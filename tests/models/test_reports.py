"""What was said of a grain, as part of the likelihood: against sums written out, and what must not change."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from cpml.crystallography import load_material
from cpml.errors import CpmlError
from cpml.load import Load
from cpml.microscopy.labels.rows import LABELS, label_rows
from cpml.models import CoupledClassifier
from cpml.models.coupled.likelihood import per_draw
from cpml.models.coupled.outputs import all_levels
from cpml.models.coupled.reports import ReportRates, Reports, report_probability
from cpml.models.coupled.slow_laws import Learned, SlowLaws, both_active, stress_in_crystal, transfer
from cpml.models.specimen.reports import check_targets, further_reports

RATES = ReportRates(torch.tensor(0.2, dtype=torch.float64), torch.tensor(0.1, dtype=torch.float64))
QUICK = {"residual": False, "n_draws": 8, "scheme": "sachs"}


def told(specimen, rows):
    """The specimen with these reports: (grain row, mechanism, level, target, observed, weight, source)."""
    names = ("grain_id", "mechanism", "level", "target", "observed", "weight", "source")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    columns["grain_id"] = specimen.grain_ids[list(columns["grain_id"])]
    return replace(specimen, reports=label_rows(**columns))


def logs_of(specimen, active, by_system, alone=None):
    """(G, K) of the reports of a specimen."""
    reports = Reports.of(specimen)
    alone = torch.zeros((len(reports.systems), active.shape[1])) if alone is None else alone
    return reports.per_draw(active, by_system, alone, RATES).numpy()


@pytest.fixture(scope="module")
def drawn(specimen):
    """Activities (G, 3, T) and shares (G, 3, S) that are made up."""
    rng = np.random.default_rng(0)
    active = rng.random((len(specimen), 3, len(specimen.tokens)))
    return torch.tensor(active), torch.tensor(rng.dirichlet(np.ones(len(specimen.systems)), active.shape[:2]))


def test_who_knows_and_who_guesses():
    """Sure: 1 - m of what acts, f of what does not; a guess says one half of everything."""
    acts = torch.tensor([[0.0, 1.0, 0.5]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    sure = report_probability(acts, one, one, RATES)
    assert np.allclose(sure, [[0.1, 0.8, 0.45]])
    assert np.allclose(report_probability(acts, 0 * one, one, RATES), 1 - sure)
    assert np.allclose(report_probability(acts, one, 0 * one, RATES), 0.5)


def test_planes_families_and_any(specimen, drawn):
    """The log-likelihood of three rows is the sum of their logs, each with its own tokens."""
    active, by_system = drawn
    tokens = specimen.tokens
    basal = (tokens["family"] == "basal").to_numpy()
    twin = (tokens["mechanism"] == "twin").to_numpy()
    plane = tokens.loc[1, "target"]
    rows = [
        (4, "slip", "plane", plane, 0, 1.0, "A"),
        (4, "slip", "family", "basal", 1, 0.5, "A"),
        (4, "twin", "any", "twin", 1, 1.0, "B"),
    ]
    logs = logs_of(told(specimen, rows), active, by_system)
    a = active[4].numpy()
    family, any_twin = (1 - np.prod(1 - a[:, mask], axis=1) for mask in (basal, twin))
    chances = (
        1 - (0.8 * a[:, 1] + 0.1 * (1 - a[:, 1])),
        0.5 * (0.8 * family + 0.1 * (1 - family)) + 0.25,
        0.8 * any_twin + 0.1 * (1 - any_twin),
    )
    assert np.allclose(logs[4], np.sum(np.log(chances), axis=0))
    assert not np.delete(logs, 4, axis=0).any()  # nothing was said of the others


def test_a_system_alone_has_its_own_limit(specimen, fitted):
    """A system that a person names is as probable as `predict_levels` says."""
    name = specimen.systems.names[2]
    data, theta = fitted.forward(told(specimen, [(0, "slip", "system", name, 1, 1.0, "user")]))
    with torch.no_grad():
        logs = data.told(data.at(theta), theta)[0]
    levels = all_levels(specimen, data, [theta])
    first = (levels["grain_id"] == specimen.grain_ids[0]) & (levels["target"] == name)
    p = float(levels.loc[first, "p"].iloc[0])
    rates = theta.reports
    expected = (1 - rates.missed) * p + rates.false * (1 - p)
    assert float(logs.exp().mean()) == pytest.approx(float(expected), rel=1e-9)


def test_directions_of_lines_say_which_system_of_the_plane(specimen, drawn):
    """From the source of the lines: the plane has been counted, the row adds the share of the system in it;
    what it excludes on the same plane adds nothing more.
    """
    active, by_system = drawn
    line, systems = specimen.traces.iloc[0], specimen.systems
    grain = int(specimen.position([line["grain_id"]])[0])
    column = int(np.flatnonzero(specimen.covered[grain])[0])
    inside = np.flatnonzero(systems.slip & (systems.plane_id == specimen.slip_planes[column]))
    named, other = systems.names[inside[0]], [systems.names[s] for s in inside[1:]]
    rows = [(grain, "slip", "system", named, 1, 0.96, line["source"])]
    excluded = [(grain, "slip", "system", name, 0, 0.99, line["source"]) for name in other]
    logs = logs_of(told(specimen, rows), active, by_system)
    assert np.array_equal(logs, logs_of(told(specimen, rows + excluded), active, by_system))
    share = by_system[grain].numpy()
    within = share[:, inside[0]] / share[:, inside].sum(1)
    sure = 0.96 * (1 - 0.1)
    assert np.allclose(logs[grain], np.log(sure * within + (1 - sure) / len(inside)))
    left = logs_of(told(specimen, excluded), active, by_system)  # all but one are excluded: that one is left
    sure = 0.99 * (1 - 0.1)
    assert np.allclose(left[grain], np.log(sure * within + (1 - sure) / len(inside)))


def test_guesses_order_and_repetitions_change_nothing(specimen, fitted):
    """Rows of weight 0 are no rows at all; the order of others does not matter."""
    planes = specimen.tokens["target"]
    rows = [(g, "slip", "plane", planes[g % 4], g % 2, 0.9, "user") for g in range(12)]
    some = told(specimen, rows)
    before = fitted.log_likelihood(specimen)
    assert fitted.log_likelihood(replace(some, reports=some.reports.assign(weight=0.0))) == before
    turned = replace(some, reports=some.reports.iloc[::-1])
    assert fitted.log_likelihood(some) == pytest.approx(fitted.log_likelihood(turned), rel=1e-12)
    assert fitted.log_likelihood(some) != before
    twice = pd.concat([some.reports, some.reports])
    once = further_reports(twice, specimen.labels, "s")
    pd.testing.assert_frame_equal(once, some.reports)


def test_rows_of_the_lines_are_counted_there(specimen):
    """`all_labels` holds the rows of lines and twins as well; they are no further reports, nor are rows that
    say nothing.
    """
    empty = label_rows(specimen.grain_ids, "", mechanism="climb", level="grain", source="nobody")
    assert further_reports(pd.concat([specimen.labels, empty]), specimen.labels, "s") is None
    seen = specimen.labels[specimen.labels["observed"] == 1].head(3)
    other = seen.assign(source="user")  # another person says it as well: that is more
    both = pd.concat([specimen.labels, other])
    assert further_reports(both, specimen.labels, "s")["grain_id"].tolist() == seen["grain_id"].tolist()


def posterior_activity(specimen, fitted):
    """(G, K, T) activities of the draws and (G, K) their weights by all that is known of each grain."""
    data, theta = fitted.forward(specimen)
    with torch.no_grad():
        sheared = data.at(theta)
        logs, more = per_draw(sheared.active, data.evidence, theta.rates), data.told(sheared, theta)
        weight = torch.softmax(logs if more is None else logs + more, dim=1)
    return sheared.active.numpy(), weight.numpy()


@pytest.mark.parametrize("state", [1, 0])
def test_a_labelled_plane_in_its_grain(specimen, fitted, state):
    """Said to act: its own probability and its family's rise in that grain, drawn or not; said not to: they
    fall. Grains of which nothing is said stay.
    """
    tokens = specimen.tokens
    active, before = posterior_activity(specimen, fitted)
    for column in (0, 2):
        rows = [
            (g, "slip", "plane", tokens.loc[column, "target"], state, 1.0, "user")
            for g in range(0, len(specimen), 2)
        ]
        _, after = posterior_activity(told(specimen, rows), fitted)
        own = active[..., column]
        mates = (tokens["family"] == tokens.loc[column, "family"]).to_numpy()
        family = 1 - np.prod(1 - active[..., mates], axis=-1)
        for value in (own, family):
            change = ((after - before) * value).sum(1)
            assert (change[::2] * (1 if state else -1) > -1e-9).all() and np.abs(change[::2]).max() > 1e-6
            assert not change[1::2].any()


def test_a_label_takes_the_place_of_a_missing_line(specimen, fitted):
    """A steep plane of an imaged grain without a line: once somebody has seen it, the absence of its line
    says nothing any more, as if the plane were covered.
    """
    absent = specimen.imaged[:, None] & specimen.visible & ~specimen.covered
    grain, column = (int(v[0]) for v in np.nonzero(absent))
    name = specimen.tokens.loc[column, "target"]
    for weight in (0.4, 1.0):
        data, _ = fitted.forward(told(specimen, [(grain, "slip", "plane", name, 1, weight, "user")]))
        assert float(data.evidence.covered[grain, column]) == weight
        assert float(data.evidence.covered.sum()) == pytest.approx(specimen.covered.sum() + weight)
    data, _ = fitted.forward(told(specimen, [(grain, "slip", "plane", name, 0, 1.0, "user")]))
    assert float(data.evidence.covered.sum()) == specimen.covered.sum()


@pytest.mark.parametrize(
    "changed, expected",
    [
        (
            {"observed": 0.0},
            "grain 1, slip 'basal .0001.' by 'user' has observed 1, but 0 in .*report 7; keep",
        ),
        ({"weight": 0.5}, "has weight 1, but 0.5 in"),
    ],
)
def test_a_source_that_contradicts_itself(specimen, changed, expected):
    """One error with both places and the remedy; two sources may differ."""
    rows = label_rows([1], ["basal (0001)"], observed=1.0, source="user")
    first = rows.assign(**changed).set_axis([7])
    with pytest.raises(CpmlError, match=expected):
        further_reports(pd.concat([first, rows]), specimen.labels, "s")
    assert len(further_reports(pd.concat([first.assign(source="B"), rows]), specimen.labels, "s")) == 2


def test_reports_that_are_none(specimen):
    """Unknown targets, states, weights and missing columns: one error each."""
    rows = label_rows([1], ["basal (0001)"], observed=1.0, source="user")
    for change, expected in (
        ({"observed": 0.5}, "must be 0 or 1"),
        ({"weight": 1.5}, "second from 0 to 1"),
    ):
        with pytest.raises(CpmlError, match=expected):
            further_reports(rows.assign(**change), specimen.labels, "s")
    with pytest.raises(CpmlError, match="no column 'weight'"):
        further_reports(rows.drop(columns="weight"), specimen.labels, "s")
    for change in ({"target": "basal (1)"}, {"level": "family"}, {"mechanism": "creep"}):
        with pytest.raises(CpmlError, match=r"has no (plane|family)"):
            check_targets(rows.assign(**change), specimen.systems, "s")
    assert list(rows) == list(LABELS)


def test_strengths_from_labels_alone(build, tmp_path):
    """No line, no twin map: families that a person saw in 40 grains move the ratios to the truth; the errors
    of the person are parameters, and the file keeps them.
    """
    specimen, share = build(40, seed=3, ratios=(1.0, 2.2, 4.0, 2.2))
    blank, tokens = specimen.with_labels_of([]), specimen.tokens
    names = dict.fromkeys(zip(tokens["mechanism"], tokens["family"], strict=True))
    family = np.array(specimen.systems.family_names)[specimen.systems.family]
    rows = [
        (g, mechanism, "family", name, float(share[g, family == name].sum() > 0.2), 1.0, "TEM")
        for g in range(len(specimen))
        for mechanism, name in names
    ]
    fitted = CoupledClassifier(**QUICK, max_iter=40).fit([told(blank, rows)])
    table = fitted.strengths_.set_index("family")
    off = np.log(table[["ratio", "prior_ratio"]].div([1.0, 2.2, 4.0, 2.2], axis=0)).abs()
    assert off["ratio"].sum() < 0.5 * off["prior_ratio"].sum()
    assert table["by_data"].drop(table["reference"].iloc[0]).max() > 0.5
    assert {"report_missed", "report_false"} <= set(fitted.theta_) and fitted.theta_["report_missed"] < 0.5
    fitted.save(tmp_path / "f.json")
    read = CoupledClassifier.load(tmp_path / "f.json", specimen.material)
    assert read.theta_ == fitted.theta_ and read.slow_laws_ == fitted.slow_laws_ == {}


@pytest.fixture(scope="module")
def copper(build_copper):
    """Copper at 300 K and low stress whose energy of cross-slip is given 2 spreads too high by the
    literature; looks at half the grains, a fifth of the pairs overlooked; with whether each pair truly
    cross-slips.
    """
    specimen, fitted, literature = build_copper
    data, theta = fitted.forward(specimen)
    with torch.no_grad():
        sheared = data.at(theta)
        stress = stress_in_crystal(specimen, data, theta, sheared)
    slow = SlowLaws.of(specimen)
    law, temperature = slow.cross_slip[0]
    acts = both_active(specimen, slow.pairs, sheared.active.numpy()) * transfer(
        law, slow.pairs, stress, temperature, specimen.load.rate
    )
    rng = np.random.default_rng(1)
    truth = rng.random((len(specimen), len(slow.pairs))) < acts[:, 0]  # the stress of a grain is one draw
    seen = truth & (rng.random(truth.shape) > 0.2)
    looked = specimen.chequerboard()
    reports = label_rows(
        specimen.grain_ids[looked][:, None],
        slow.pairs["target"].to_numpy(),
        mechanism="cross_slip",
        level="pair",
        observed=seen[looked].astype(float),
        source="user",
    )
    return replace(specimen, material=literature, reports=reports), truth, looked


@pytest.fixture(scope="module")
def build_copper():
    """Specimen with true energy, F fitted to its lines, and the material that errs."""
    from models.conftest import make_specimen

    specimen, _ = make_specimen(64, material="copper", ratios=(1.0,), seed=2)
    curve = pd.DataFrame({"true_strain": [0.0, 0.05], "true_stress_mpa": [20.0, 90.0]})
    load = Load.from_dict({"kind": "tension", "axis": "x", "temperature": 300.0})
    block = {"energy_ev": 1.0, "activation_volume_b3": 280, "onset_mpa": 30, "log_spread": 0.4}
    right = replace(specimen.material, cross_slip=block)
    wrong = replace(right, cross_slip=block | {"energy_ev": float(np.exp(2 * 0.4))})
    specimen = replace(specimen, material=right, load=load, curve=curve)
    return specimen, CoupledClassifier(**QUICK).fit([specimen]), wrong


def pair_loss(model, specimen, truth, grains):
    """Log-loss of the pairs of some grains."""
    levels = model.predict_levels(specimen)
    p = (
        levels.loc[levels["level"] == "pair", "p"]
        .to_numpy()
        .reshape(truth.shape)[grains]
        .clip(1e-3, 1 - 1e-3)
    )
    return -np.mean(np.where(truth[grains], np.log(p), np.log(1 - p)))


def test_cross_slip_learns_its_energy(copper, build_copper, tmp_path):
    """An energy that is wrong by two spreads comes back to within three standard errors of less than half the
    spread, predictions of the other grains are nearly as good as with the true energy, and the file keeps
    what was learned.
    """
    specimen, truth, looked = copper
    right, ignorant, _ = build_copper
    learned = CoupledClassifier(**QUICK).fit([specimen])
    known = learned.slow_laws_["cross_slip"]
    assert known.n_reports == len(specimen.reports) and "climb" not in learned.slow_laws_
    assert abs(known.shift + 2 * 0.4) < 3 * known.spread and known.spread < 0.5 * 0.4
    wrong, best = (pair_loss(ignorant, s, truth, ~looked) for s in (specimen, right))
    assert pair_loss(learned, specimen, truth, ~looked) < best + 0.25 * (wrong - best)
    learned.save(tmp_path / "f.json")
    read = CoupledClassifier.load(tmp_path / "f.json", specimen.material)
    pd.testing.assert_frame_equal(read.predict_levels(specimen), learned.predict_levels(specimen))
    content = json.loads((tmp_path / "f.json").read_text())
    for value, told_of in (
        ([9.0, 0.1, 3], r"slow_laws.cross_slip\[0\]"),
        ([0.0, 0.1], "slow_laws.cross_slip"),
    ):
        content["slow_laws"]["cross_slip"] = value
        (tmp_path / "f.json").write_text(json.dumps(content))
        with pytest.raises(CpmlError, match=told_of):
            CoupledClassifier.load(tmp_path / "f.json", specimen.material)


def test_no_reports_no_lesson(copper, build_copper):
    """Without reports, or without a temperature, the literature speaks, with its own interval."""
    specimen, _, _ = copper
    _, ignorant, _ = build_copper
    assert ignorant.slow_laws_ == {}
    law, t = SlowLaws.of(specimen).cross_slip[1]
    energy = SlowLaws.of(specimen).cross_slip[0][0].energy
    assert law.energy == pytest.approx(energy * np.exp(1.6449 * 0.4), rel=1e-3) and t == 300.0
    assert SlowLaws.of(specimen, {"cross_slip": Learned(0.1, 0.0)}).cross_slip[2][0].energy == pytest.approx(
        energy * np.exp(0.1)
    )
    cold = replace(specimen, load=Load.from_dict({"kind": "tension", "axis": "x"}))
    assert CoupledClassifier(**QUICK).fit([cold]).slow_laws_ == {}


def test_climb_learns_its_rate(build_copper):
    """All grains of a hot specimen climb although the literature's rate is too low by two spreads: the rate
    rises, and is left open upwards.
    """
    specimen, _, _ = build_copper
    material = load_material("copper")
    hot = replace(specimen.load, temperature=850.0)
    rows = label_rows(
        specimen.grain_ids[:20], "", mechanism="climb", level="grain", observed=1.0, source="foil"
    )
    slow = {**material.diffusion, "d0_m2_per_s": float(material.diffusion["d0_m2_per_s"]) * 1e-3}
    crystal = replace(specimen.material, diffusion=slow)
    some = replace(specimen, material=crystal, load=hot, reports=rows)
    known = CoupledClassifier(**QUICK).fit([some]).slow_laws_["climb"]
    assert known.shift > 0 and 0 < known.spread < 1.0 and known.n_reports == 20
