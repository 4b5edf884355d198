"""The full field on a specimen's map, its hot spots and its comparisons, against what was constructed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import to_vector
from cpml.errors import CpmlError, ParameterError
from cpml.microscopy import mean_gradients
from cpml.models import (
    beside_mean_field,
    beside_measured,
    expected_rotations,
    expected_strains,
    hot_spot_numbers,
    hot_spots,
    mean_ranks,
    solve_map,
    unlike_mean_field,
)
from cpml.models.mechanics.hot_spots import Cells, boundary_distance, junction_distance
from cpml.plasticity import PowerLaw, mean_field
from models.conftest import make_specimen

TILES, WIDE = (5, 6), 6  # grains along y and x, points along the edge of a grain
STEP_UM = 0.5


def tiled(tiles=TILES, wide=WIDE):
    """(rows, columns) numbers of square grains."""
    rows, columns = tiles
    return np.kron(np.arange(rows * columns).reshape(tiles), np.ones((wide, wide), int))


def points_of(specimen, label):
    """Points of a map with one row of `label` to each row of points."""
    y, x = np.divmod(np.arange(label.size), label.shape[1])
    return STEP_UM * np.stack([x, y], axis=1), specimen.grain_ids[label.ravel()]


def law_of(specimen):
    return PowerLaw(specimen.systems, specimen.material.strengths, 10.0, specimen.load.rate)


@pytest.fixture(scope="module")
def specimen():
    """30 magnesium grains."""
    return make_specimen(30)[0]


@pytest.fixture(scope="module")
def solved(specimen):
    """They as square tiles."""
    return solve_map(specimen, law_of(specimen), points_of(specimen, tiled()), cells=36)


@pytest.fixture(scope="module")
def affine(specimen):
    return mean_field(law_of(specimen), specimen.quaternions, loading=specimen.load, scheme="affine")


# the field -------------------------------------------------------------------------------------------------


def test_grains_together_are_the_load(solved, specimen):
    """Means over the grains, weighted by their cells, are those of the specimen: the stress lies along that
    of the load, to the root of the tolerance of the power; the strain rate along the axis is the applied one.
    """
    cells = solved.grain_table["n_cells"] / solved.grain_index.size
    stress = np.einsum("g,gi->i", cells, solved.grain_stress)
    macro = to_vector(specimen.load.stress)
    assert stress / np.linalg.norm(stress) == pytest.approx(macro / np.linalg.norm(macro), abs=0.03)
    assert np.einsum("g,gij->ij", cells, solved.grain_gradient)[0, 0] == pytest.approx(1.0, abs=1e-6)
    assert solved.shear.mean() == pytest.approx(1.0) and solved.field.converged
    assert float(cells @ solved.grain_table["shear"]) == pytest.approx(1.0)


def test_one_orientation_has_no_hot_spot(specimen):
    """A map of equal crystals is uniform, whatever its outlines are."""
    quaternion = specimen.grains.loc[0, ["qw", "qx", "qy", "qz"]].to_numpy(float)
    alike = make_specimen(30)[0]
    alike.grains[["qw", "qx", "qy", "qz"]] = quaternion
    field = solve_map(alike, law_of(alike), points_of(alike, tiled()), cells=24)
    assert field.stress == pytest.approx(1.0, abs=1e-3) and field.shear == pytest.approx(1.0, abs=1e-3)
    assert len(set(field.family.ravel())) == 1
    assert field.grain_table["scatter"].max() < 1e-3


def test_the_map_has_its_place_and_its_grains(solved, specimen):
    """Cells lie on the map's extent, and the rows of the table are the grains of the specimen."""
    assert solved.extent == (0.0, 17.5, 14.5, 0.0)
    assert solved.grain_table["grain_id"].tolist() == specimen.grain_ids.tolist()
    assert solved.grain_index[0, 0] == 0 and solved.grain_index[-1, -1] == 29
    assert solved.diameter_um == pytest.approx(np.sqrt(4 * 17.5 * 14.5 / 30 / np.pi))
    near_edge = solved.cells.chosen[:2].any() or solved.cells.chosen[:, -2:].any()
    assert solved.cells.chosen.any() and not near_edge


def test_grains_without_cells_are_unknown(specimen):
    """A grain that no cell shows has no numbers, and nothing is said of it."""
    label = np.minimum(tiled(), 27)
    field = solve_map(specimen, law_of(specimen), points_of(specimen, label), cells=36)
    gone = field.grain_table.iloc[28:]
    assert (gone["n_cells"] == 0).all() and gone[["stress", "scatter"]].isna().all(axis=None)
    assert gone["family"].isna().all() and np.isnan(field.grain_gradient[28:]).all()
    assert len(beside_mean_field(field, zero_mean(field))) == 28


@pytest.mark.parametrize("shape", [(1, 30), (30, 1), (1, 1)])
def test_a_line_of_points_is_a_map(specimen, shape):
    """Its width is unknown and does not matter; there are no triple points."""
    label = np.arange(shape[0] * shape[1]).reshape(shape) // 10
    field = solve_map(specimen, law_of(specimen), points_of(specimen, label), cells=16)
    assert np.isfinite(field.stress).all() and np.isinf(field.cells.junction_um).all()
    assert not len(hot_spots(field.stress, field.cells))


def test_a_map_without_its_grains_is_an_error(specimen):
    xy, _ = points_of(specimen, tiled())
    with pytest.raises(CpmlError, match="no grain on the map"):
        solve_map(specimen, law_of(specimen), (xy, np.zeros(len(xy), int)))
    with pytest.raises(ParameterError, match="cells = 1 "):
        solve_map(specimen, law_of(specimen), (xy, specimen.grain_ids[tiled().ravel()]), cells=1)


# distances -------------------------------------------------------------------------------------------------


def test_distances_in_a_constructed_map():
    """Three grains that meet in one corner: distances are those of rulers along x and y, cells not square."""
    grain = np.zeros((4, 6), int)
    grain[:, 3:], grain[2:, :3] = 1, 2
    x, y = np.meshgrid(2.0 * (np.arange(6) + 0.5), 1.0 * (np.arange(4) + 0.5))
    junction = np.hypot(x - 6.0, y - 2.0)
    assert junction_distance(grain, (2.0, 1.0)) == pytest.approx(junction)
    level = np.where(x < 6.0, np.abs(y - 2.0), junction)
    assert boundary_distance(grain, (2.0, 1.0)) == pytest.approx(np.minimum(np.abs(x - 6.0), level))
    assert np.isinf(junction_distance(grain[:2], (2.0, 1.0))).all()
    assert np.isinf(boundary_distance(np.zeros((3, 3), int), (1.0, 1.0))).all()


def square_cells(tiles=(6, 6), wide=12):
    grain, size = tiled(tiles, wide), (1.0, 1.0)
    distances = boundary_distance(grain, size), junction_distance(grain, size)
    return Cells(grain, *distances, width_um=1.0, diameter_um=float(wide))


def test_hot_boundaries_are_found_whatever_the_grains_are():
    """Cells beside boundaries have twice, at triple points four times the value inside; grains differ by
    factors up to 20, which must not show, and so no interval has a width.
    """
    cells = square_cells()
    factor = np.exp(np.random.default_rng(0).uniform(0, 3, 36))[cells.grain]
    hot = np.where(cells.boundary_um < 1, 2.0, 1.0) * np.where(cells.junction_um < 1, 2.0, 1.0)
    found = hot_spots(factor * hot, cells, n_boot=20)
    by = {near: rows.reset_index(drop=True) for near, rows in found.groupby("near")}
    assert by["triple point"]["mean"].tolist() == pytest.approx([4.0] + [2.0] * 5)
    assert by["triple point"]["decile"].tolist() == pytest.approx([4.0] + [2.0] * 5)
    n_boundary = 4 * 12 - 4  # cells beside the edge of an inner grain, 4 of them at triple points
    assert by["boundary"]["mean"][0] == pytest.approx(2 * (n_boundary + 4) / n_boundary, abs=0.1)
    assert by["boundary"]["mean"][1:].tolist() == pytest.approx([1.0, 1.0])
    assert by["inside"][["mean", "decile"]].iloc[0].tolist() == pytest.approx([1.0, 1.0])
    assert (by["triple point"]["mean_high"] - by["triple point"]["mean_low"]).max() < 1e-9


def test_intervals_are_those_of_grains():
    """Boundaries of half the grains at 3, of the others at 1, all inside at 1: their mean is 2 with a
    standard error of 1 / sqrt(G), to the 15 % that 400 resamples leave.
    """
    cells = square_cells()
    is_hot = (np.arange(36) % 2 == 0)[cells.grain] & (cells.boundary_um < 1)
    first = hot_spots(np.where(is_hot, 3.0, 1.0), cells, n_boot=400).query("near == 'boundary'").iloc[0]
    assert first["mean"] == pytest.approx(2.0, abs=0.02)
    assert (first["mean_high"] - first["mean_low"]) / 2 == pytest.approx(1.645 / 6, rel=0.15)
    assert first["decile"] == pytest.approx(3.0) and first["n_grains"] == 36


def test_nothing_is_said_of_few_grains():
    """Nine grains, or grains without an inside: no row; the numbers are None."""
    assert not len(hot_spots(np.ones((36, 36)), square_cells((3, 3))))
    cells = square_cells((6, 6), 2)
    empty = hot_spots(np.ones(cells.grain.shape), cells).assign(quantity="shear")
    numbers = hot_spot_numbers(empty)
    assert not len(empty) and set(numbers.values()) == {None} and len(numbers) == 18
    with pytest.raises(ParameterError, match="one shape"):
        hot_spots(np.ones((2, 2)), cells)


# beside the mean field -------------------------------------------------------------------------------------


def zero_mean(field):
    """A mean field whose grains all bear the stress of the mean."""
    grains, systems = len(field.specimen), len(field.specimen.systems)
    macro = field.field.stress.reshape(-1, 5).mean(0)
    return SimpleNamespace(
        grain_stress=torch.tensor(np.tile(macro, (grains, 1))),
        von_mises=torch.tensor(field.field.von_mises),
        shear_rate=torch.ones(grains, systems),
    )


def same_mean(field):
    """A mean field that says of every grain what the full field says."""
    shear = field.field.grain_mean(np.abs(field.field.shear_rate))
    return SimpleNamespace(
        grain_stress=torch.tensor(field.grain_stress * field.field.von_mises),
        von_mises=torch.tensor(field.field.von_mises),
        shear_rate=torch.tensor(shear),
    )


def test_a_mean_field_that_is_right_explains_all_and_the_mean_nothing(solved):
    same, none = (unlike_mean_field(solved, make(solved)) for make in (same_mean, zero_mean))
    assert same["explained_by_mean_field"] == pytest.approx(1.0) and same[
        "stress_correlation"
    ] == pytest.approx(1)
    assert same["family_changes"] == same["target_changes"] == 0
    assert none["explained_by_mean_field"] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(none["stress_correlation"]) and same["n_grains"] == 30


def test_variance_inside_and_between_grains_is_all_of_it(solved):
    """Law of total variance, computed cell by cell."""
    cells = solved.field.stress.reshape(-1, 5) / solved.field.von_mises
    own = cells - solved.grain_stress[solved.grain_index.ravel()]
    share = (own**2).sum() / ((cells - cells.mean(0)) ** 2).sum()
    assert unlike_mean_field(solved, same_mean(solved))["inside_grains"] == pytest.approx(share)
    assert 0.05 < share < 0.95


# beside measured strains -----------------------------------------------------------------------------------


def test_columns_share_the_strain_along_the_depth(solved, affine):
    """Of a plane that is continued along z, in-plane strains of every grain have one sum; the affine scheme
    knows no plane.
    """
    by = {
        name: t["e_xx_percent"] + t["e_yy_percent"]
        for name, t in expected_strains(solved, affine).groupby("scheme")
    }
    assert np.ptp(by["full_field"]) < 1e-6 < 1 < np.ptp(by["affine"])


def test_expected_and_measured_gradients_are_read_alike(solved, affine, specimen):
    """Components and the sign of the turn are those of `mean_gradients` for a field of the same gradients."""
    expected = expected_strains(solved, affine).query("scheme == 'full_field'")
    label = solved.grain_index + 1
    field = solved.grain_gradient[solved.grain_index][..., :2, :2]
    measured = mean_gradients(field, label)
    for name in ("e_xx_percent", "e_yy_percent", "e_xy_percent", "turn_deg"):
        assert expected[name].to_numpy() == pytest.approx(measured[name].to_numpy(), rel=1e-9, abs=1e-9)
    assert expected["turn_deg"].abs().max() > 1


def test_grains_at_the_edge_are_left_out(solved, affine, specimen):
    edge = specimen.grain_ids[:7]
    specimen.grains["on_edge"] = specimen.grains["grain_id"].isin(edge)
    try:
        assert not set(expected_strains(solved, affine)["grain_id"]) & set(edge)
    finally:
        specimen.grains["on_edge"] = False


def measured_of(expected, change):
    own = expected[expected["scheme"] == "full_field"].drop(columns="scheme")
    names = ["e_xx_percent", "e_yy_percent", "e_xy_percent", "turn_deg"]
    errors = {"_se_".join(name.rsplit("_", 1)): 0.0 for name in names}
    return own.assign(**{name: change(own[name]) for name in names}, **errors, step="last", strain=0.05)


def test_ranks_of_what_was_expected_and_of_its_opposite(solved, affine):
    """Any rising function of the expected strain ranks alike: 1 without an interval; a falling one: -1."""
    expected = expected_strains(solved, affine)
    for change, rank in ((lambda v: 0.05 * v**3 + 2, 1.0), (lambda v: -v, -1.0)):
        table = beside_measured(expected, measured_of(expected, change), n_boot=20).query(
            "scheme == 'full_field'"
        )
        assert table[["rank_correlation", "low", "high"]].to_numpy() == pytest.approx(rank)
        assert table["component"].tolist() == ["e_xx", "e_yy", "e_xy", "turn"]
        assert (table["signal"] == 1).all() and (table["n_grains"] == 30).all()
        assert mean_ranks(table) == pytest.approx({"full_field": rank})


def test_ranks_of_chance_and_shares_of_error(solved, affine):
    """A measurement that is drawn has intervals about zero; half of its variance is error where the error
    says so; affine turns are not known and not compared.
    """
    expected, rng = expected_strains(solved, affine), np.random.default_rng(1)
    drawn = measured_of(expected, lambda v: rng.permutation(len(v)).astype(float))
    drawn = drawn.assign(e_xx_se_percent=drawn["e_xx_percent"].std() / np.sqrt(2))
    table = beside_measured(expected, drawn)
    assert (table["low"] < 0).mean() > 0.5 and (table["high"] > 0).mean() > 0.5
    assert table.query("component == 'e_xx'")["signal"].tolist() == pytest.approx([0.5, 0.5])
    assert len(table) == 7 and not len(table.query("scheme == 'affine' and component == 'turn'"))


def test_without_measured_strains_nothing_is_compared(solved, affine):
    expected = expected_strains(solved, affine)
    few = measured_of(expected, lambda v: v).head(9)
    assert not len(beside_measured(expected, few)) and mean_ranks(beside_measured(expected, few)) == {}
    assert not len(beside_measured(expected, pd.DataFrame(few[:0])))


def test_rotations_of_a_short_path_are_those_of_its_first_instant(solved, specimen):
    """After 0.2 % a grain's lattice has turned by the spin of the material less that of its slip, to 1 % of
    the largest rotation; rotations measured so rank with 1; strains that are not known ask for no path.
    """
    strain, systems = 0.002, specimen.systems
    expected = expected_rotations(solved, law_of(specimen), [np.nan, strain], increment=strain)
    turn = quaternion_to_matrix(specimen.quaternions)
    slip = np.einsum("gia,sa,sb,gjb->gsij", turn, systems.direction, systems.plane, turn)
    shear = solved.field.grain_mean(solved.field.shear_rate) / specimen.load.rate
    lattice = solved.grain_gradient - np.einsum("gs,gsij->gij", shear, slip)
    vector = np.stack([lattice[:, 2, 1], lattice[:, 0, 2], lattice[:, 1, 0]], axis=1)
    vector -= np.stack([lattice[:, 1, 2], lattice[:, 2, 0], lattice[:, 0, 1]], axis=1)
    rotations = expected[["rotation_x_deg", "rotation_y_deg", "rotation_z_deg"]].to_numpy()
    assert np.abs(rotations).max() > 0.05
    first = np.degrees(strain * vector / 2)
    assert rotations == pytest.approx(first, abs=0.01 * np.abs(rotations).max())
    table = beside_measured(expected, expected.assign(step="a", rotation_se_deg=0.0), n_boot=10)
    assert table["component"].tolist() == ["rotation_x", "rotation_y", "rotation_z"]
    assert table["rank_correlation"].to_numpy() == pytest.approx(1.0)
    assert not len(expected_rotations(solved, law_of(specimen), [np.nan]))
