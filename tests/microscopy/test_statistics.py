"""Frequencies with intervals: published Wilson values, coverage, clusters, classes."""

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography.slip_systems import systems
from cpml.errors import ParameterError
from cpml.microscopy import bootstrap_interval, boundary_type, footprint_frequency, with_schmid

FCC = systems("fcc", families=["octahedral", "twin"])


def test_clusters_widen_the_interval():
    """25 copies of each of 40 values: drawn as clusters the interval is that of 40, drawn as rows
    five times narrower.
    """
    value = np.random.default_rng(1).standard_normal(40)
    rows, grain = np.repeat(value, 25), np.repeat(np.arange(40), 25)
    width = [np.subtract(*bootstrap_interval(rows, clusters=c)[::-1]) for c in (grain, None)]
    assert width[0] == pytest.approx(2 * 1.96 * value.std() / np.sqrt(40), rel=0.15)
    assert width[0] / width[1] == pytest.approx(5, rel=0.15)


def test_frequency_against_a_number_and_a_name():
    """Counts by hand; missing observations do not count; empty classes have no share and
    the full interval.
    """
    table = pd.DataFrame(
        {
            "grain_id": [1, 1, 2, 2, 3],
            "observed": [1, 0, 1, np.nan, 0],
            "x": [0.1, 0.2, 0.4, 0.4, 0.5],
            "kind": list("aabbb"),
        }
    )
    found = footprint_frequency(table, "x", bins=[0.0, 0.3, 0.5, 0.9], n_draws=50)
    assert (
        found["n"].tolist() == [2, 1, 1]
        and found["hits"].tolist() == [1, 1, 0]
        and found["n_clusters"].tolist() == [1, 1, 1]
    )
    names = footprint_frequency(table, "kind", n_draws=50)
    assert names["kind"].tolist() == ["a", "b"] and names["share"].tolist() == [0.5, 0.5]
    assert footprint_frequency(table, "x", bins=2, n_draws=50)["n"].sum() == 4
    empty = footprint_frequency(table, "x", bins=[2.0, 3.0])
    assert empty["n"][0] == 0 and np.isnan(empty["share"][0]) and empty["wilson_high"][0] == 1


@pytest.mark.parametrize("change", [{"against": "y"}, {"bins": [1.0, 0.0]}])
def test_impossible_tables(change):
    """A column that is not there, edges that fall."""
    table = pd.DataFrame({"grain_id": [1], "observed": [1.0], "x": [0.1]})
    with pytest.raises(ParameterError):
        footprint_frequency(table, **({"against": "x"} | change))


def test_schmid_of_targets():
    """Cube crystal pulled along x: 0.4082 on every {111}, twins signed; the grain size comes along."""
    parents = pd.DataFrame(
        {
            "grain_id": [1],
            "qw": [1.0],
            "qx": [0.0],
            "qy": [0.0],
            "qz": [0.0],
            "equivalent_diameter_um": [7.0],
        }
    )
    names = [FCC.plane_names[0], FCC.names[0], FCC.names[-1], "unknown"]
    labels = pd.DataFrame({"grain_id": 1, "target": names, "observed": 1.0})
    found = with_schmid(labels, parents, FCC, np.diag([1.0, 0, 0]))
    assert found["schmid"][0] == pytest.approx(1 / np.sqrt(6)) and np.isnan(found["schmid"][3])
    turned = with_schmid(labels, parents, FCC, -np.diag([1.0, 0, 0]))
    assert turned["schmid"][2] == pytest.approx(-found["schmid"][2]) and turned["schmid"][0] == pytest.approx(
        found["schmid"][0]
    )
    assert found["equivalent_diameter_um"].tolist() == [7.0] * 4


def test_names_of_boundaries():
    """Low angle before twin before CSL before random."""
    table = pd.DataFrame(
        {"angle_deg": [5.0, 60.0, 60.0, 40.0], "csl": [0, 3, 3, 0], "twin_type": ["", "", "twin", ""]}
    )
    assert boundary_type(table).tolist() == ["low angle", "CSL 3", "twin", "random"]
