"""Dislocation lines in the likelihood of F: against sums written out, counted once, and what they teach."""

import numpy as np
import pandas as pd
import pytest
import torch

from cpml.errors import CpmlError
from cpml.microscopy import one_a_line
from cpml.microscopy.labels.rows import label_rows
from cpml.models import CoupledClassifier
from cpml.models.coupled.reports import ReportRates, Reports
from cpml.models.specimen.reports import check_targets, further_reports
from cpml.pipeline.findings import footprint_table
from cpml.pipeline.found import count_footprints
from models.conftest import make_specimen
from models.test_reports import QUICK, told

FALSE = 0.1
RATES = ReportRates(torch.tensor(0.2, dtype=torch.float64), torch.tensor(FALSE, dtype=torch.float64))
N_DRAWS = 3


def line(grain, probabilities, name="4.1"):
    """Rows of one line: systems by name, and their probabilities."""
    return [(grain, "slip", "line", s, 1, p, f"ecci {name}") for s, p in probabilities.items()]


def logs_of(specimen, by_system, *lines):
    """(G, K) of the reports about these lines; activities play no part, so there are none."""
    reports = Reports.of(told(specimen, [row for rows in lines for row in rows]))
    active = torch.full((*by_system.shape[:2], len(specimen.tokens)), torch.nan, dtype=torch.float64)
    return reports.per_draw(active, by_system, torch.zeros(0, by_system.shape[1]), RATES)


@pytest.fixture(scope="module")
def shares(specimen):
    """(G, K, S) shares of shear, made up; twins have some of it."""
    rng = np.random.default_rng(3)
    return torch.tensor(rng.dirichlet(np.ones(len(specimen.systems)), (len(specimen), N_DRAWS)))


def slip_of(specimen):
    """Numbers of the slip systems."""
    return np.flatnonzero(specimen.systems.slip)


def test_a_certain_line_is_the_share_of_its_system(specimen, shares):
    """Of the shear by slip, twins aside; F takes it for wrong as often as it claims what does not act."""
    slip = slip_of(specimen)
    s = slip[5]
    logs = logs_of(specimen, shares, line(4, {specimen.systems.names[s]: 1.0})).numpy()
    share = shares[4].numpy()
    expected = (1 - FALSE) * share[:, s] / share[:, slip].sum(1) + FALSE / len(slip)
    np.testing.assert_allclose(logs[4], np.log(expected), rtol=1e-9)
    assert not np.delete(logs, 4, axis=0).any()  # nothing was said of the others
    # a line on a system that takes all the shear, and on one that takes none
    alone = torch.zeros_like(shares)
    alone[..., s] = 1.0
    logs = logs_of(specimen, alone, line(4, {specimen.systems.names[s]: 1.0})).numpy()
    np.testing.assert_allclose(logs[4], np.log(1 - FALSE + FALSE / len(slip)))
    logs = logs_of(specimen, alone, line(4, {specimen.systems.names[slip[0]]: 1.0})).numpy()
    np.testing.assert_allclose(logs[4], np.log(FALSE / len(slip)), rtol=1e-6)


@pytest.mark.parametrize("sum_of_all", [1.0, 0.4])
def test_a_line_that_may_be_any_says_nothing(specimen, shares, sum_of_all):
    """One over the number of systems, whatever the shears, and it is what chance says as well."""
    names = [specimen.systems.names[s] for s in slip_of(specimen)]
    rows = line(4, dict.fromkeys(names, sum_of_all / len(names)))
    np.testing.assert_allclose(logs_of(specimen, shares, rows)[4], -np.log(len(names)), rtol=1e-9)
    chance = Reports.of(told(specimen, rows)).chance
    assert float(chance[4]) == pytest.approx(-np.log(len(names))) and float(chance.sum()) == float(chance[4])


def test_what_may_be_climb_is_a_guess(specimen, shares):
    """0.2 and 0.4 on two systems, 0.4 that it does not glide: w' = 0.6 (1 - f), the rest by chance."""
    slip = slip_of(specimen)
    a, b = slip[1], slip[7]
    logs = logs_of(
        specimen, shares, line(2, {specimen.systems.names[a]: 0.2, specimen.systems.names[b]: 0.4})
    )
    share = shares[2].numpy()
    within = (share[:, a] / 3 + 2 * share[:, b] / 3) / share[:, slip].sum(1)
    sure = 0.6 * (1 - FALSE)
    np.testing.assert_allclose(logs[2], np.log(sure * within + (1 - sure) / len(slip)), rtol=1e-9)


def test_lines_of_a_grain_multiply(specimen, shares):
    """Two lines of one grain are two observations, even on the same systems; names tell them apart."""
    names = [specimen.systems.names[s] for s in slip_of(specimen)[:2]]
    first, second = {names[0]: 0.7, names[1]: 0.2}, {names[0]: 0.1, names[1]: 0.9}
    both = logs_of(specimen, shares, line(4, first, "4.1"), line(4, second, "4.2"))
    apart = [logs_of(specimen, shares, line(4, each)) for each in (first, second)]
    np.testing.assert_allclose(both, apart[0] + apart[1], rtol=1e-12)
    twice = logs_of(specimen, shares, line(4, first, "4.1"), line(4, first, "4.2"))
    np.testing.assert_allclose(twice, 2 * apart[0], rtol=1e-12)
    turned = logs_of(specimen, shares, line(4, second, "4.2"), line(4, first, "4.1")[::-1])
    np.testing.assert_allclose(both, turned, rtol=1e-12)


def test_a_line_is_no_report_on_a_system(specimen):
    """It neither says that a system acts visibly nor takes the place of a missing trace."""
    name = specimen.systems.names[slip_of(specimen)[0]]
    of_line = Reports.of(told(specimen, line(4, {name: 1.0})))
    of_person = Reports.of(told(specimen, [(4, "slip", "system", name, 1, 1.0, "ecci 4.1")]))
    assert [len(rows) for rows in (of_line.tokens, of_line.systems, of_line.directions)] == [0, 0, 1]
    assert [len(rows) for rows in (of_person.tokens, of_person.systems, of_person.directions)] == [0, 1, 0]
    assert float(of_line.covered.sum()) == 0 and float(of_person.covered.sum()) == 1
    assert of_line.count == 1 and of_line.planes.numpy().tolist() == [specimen.systems.slip.tolist()]


def test_gradients_are_finite(specimen, shares):
    """Where the named system has no share at all, and where nothing but twins shears."""
    slip = slip_of(specimen)
    twins_only = shares.clone()
    twins_only[..., slip] = 0.0
    none = shares.clone()
    none[..., slip[0]] = 0.0
    rows = told(specimen, line(4, {specimen.systems.names[slip[0]]: 1.0}))
    active = torch.ones((*shares.shape[:2], len(specimen.tokens)), dtype=torch.float64)
    for start in (shares, none, twins_only):
        given = start.clone().requires_grad_()
        false = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
        rates = ReportRates(RATES.missed, false)
        logs = Reports.of(rows).per_draw(active, given, torch.zeros(0, N_DRAWS), rates)
        logs.sum().backward()
        assert torch.isfinite(logs).all() and torch.isfinite(given.grad).all() and torch.isfinite(false.grad)
        assert given.grad[4].abs().sum() > 0 and not given.grad[:4].any()


def test_targets_of_lines_are_systems(specimen):
    """A plane is no target of a line; two alternatives of one line are no contradiction."""
    names = [specimen.systems.names[s] for s in slip_of(specimen)[:2]]
    rows = told(specimen, line(4, {names[0]: 0.7, names[1]: 0.2})).reports
    check_targets(rows, specimen.systems, "s")
    pd.testing.assert_frame_equal(further_reports(rows, specimen.labels, "s"), rows)
    for target in (specimen.tokens.loc[0, "target"], "twin", names[0][:-1]):
        with pytest.raises(CpmlError, match="slip has no line "):
            check_targets(rows.assign(target=target), specimen.systems, "s")


# --- counting

ALTERNATIVES = label_rows(
    [1, 1, 1, 1, 2, 2],
    ["a", "b", "a", "c", "a", "b"],
    level="line",
    observed=1.0,
    weight=[0.3, 0.6, 0.5, 0.2, 0.4, 0.4],
    source=["ecci 1.1", "ecci 1.1", "ecci 1.2", "ecci 1.2", "ecci 1.1", "ecci 1.1"],
)
"""Lines 1.1 and 1.2 of grain 1, and one of grain 2 that has the name of the first."""


def test_the_likeliest_alternative_stands_for_its_line():
    """The first of equally likely ones; other rows, and their order, stay."""
    others = label_rows([1, 3], ["p", "q"], observed=[1.0, np.nan], weight=0.5, source="ecci x")
    found = one_a_line(pd.concat([others, ALTERNATIVES], ignore_index=True))
    pd.testing.assert_frame_equal(found.iloc[:2], others)
    lines = found.iloc[2:]
    assert lines["grain_id"].tolist() == [1, 1, 2] and lines["target"].tolist() == ["b", "a", "a"]
    assert lines["weight"].tolist() == [0.6, 0.5, 0.4] and lines["source"].tolist() == ["ecci"] * 3
    assert len(one_a_line(label_rows([], []))) == 0


def test_a_line_is_counted_once():
    """As a footprint, and in the table of them, whatever its alternatives are."""
    labels = label_rows([1], "p", observed=1.0, source="traces")
    candidates = pd.DataFrame({"trace_id": [], "mechanism": [], "probability": []})
    every = pd.concat([labels, ALTERNATIVES])
    assert count_footprints(labels, candidates) == 1
    assert count_footprints(labels, candidates, reports=every) == 1 + 3
    table = footprint_table(every).set_index("footprint of")
    assert table["by"].to_dict() == {"slip, planes": "traces", "slip, dislocation lines": "ecci"}
    assert table["seen"].str.strip("*").tolist() == ["1", "3"]
    assert table["looked for, not seen"].tolist() == ["0", "0"]


# --- learning


@pytest.fixture(scope="module")
def blank():
    """40 grains of magnesium of which nothing was seen."""
    return make_specimen(40, seed=3)[0].with_labels_of([])


def learned(blank, probabilities):
    """F from one line in each of 30 grains."""
    rows = [row for g in range(30) for row in line(g, probabilities, f"{g}.1")]
    return CoupledClassifier(**QUICK, max_iter=30).fit([told(blank, rows)])


def test_thirty_lines_move_the_share_of_their_system(blank):
    """All lines on one prismatic system, each certain: its share, low before, rises in nearly all grains,
    those without a line too, and prismatic slip gets easier. Lines that may be any system leave the strengths
    where the literature has them.
    """
    systems = blank.systems
    of_slip = [systems.names[s] for s in slip_of(blank)]
    alike = learned(blank, dict.fromkeys(of_slip, 1 / len(of_slip)))
    number = next(s for s in slip_of(blank) if systems.family_names[systems.family[s]] == "prismatic")
    certain = learned(blank, {systems.names[number]: 1.0})
    assert (blank.token == blank.token[number]).sum() == 1  # its plane has no other system
    plane = blank.tokens["target"][blank.token[number]]
    tables = (model.predict(blank) for model in (alike, certain))
    before, after = (table.loc[table["target"] == plane, "share"].to_numpy() for table in tables)
    assert after.mean() > before.mean() + 0.05
    assert (after > before).mean() > 0.9
    assert after[30:].mean() > before[30:].mean()  # no line was seen there
    ratio = certain.strengths_.set_index("family")
    assert ratio.loc["prismatic", "ratio"] < 0.7 * ratio.loc["prismatic", "prior_ratio"]
    same = alike.strengths_
    np.testing.assert_allclose(same["ratio"], same["prior_ratio"], rtol=0.02)  # the optimiser's tolerance
