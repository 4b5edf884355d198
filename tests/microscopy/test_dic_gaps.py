"""Missing vectors: zeros that a program wrote for them, and NaN anywhere in an .npz."""

import numpy as np
import pytest

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy import read_dic

Y, X = np.mgrid[:20, :24] * 12.0
U, V = 5 + 0.01 * X, 3 + 0.005 * Y
PLACES = {
    "block": np.s_[5:9, 5:9],
    "corner": np.s_[:2, :3],
    "column at the rim": np.s_[:, -1],
    "band at the rim": np.s_[:4],
    "row inside": np.s_[7],
    "half": np.s_[:, :12],
    "one": np.s_[11, 3],
}


def save(path, u, v, x=X, y=Y):
    """The field as .npz, or as DaVis text with four decimals."""
    if path.suffix == ".npz":
        np.savez(path, x=x, y=y, u=u, v=v)
        return path
    head = f'#DaVis 8.4.0 2D-vector 12 {u.shape[0]} {u.shape[1]} "" "pixel" "" "pixel" "displacement" "pixel"'
    rows = zip(*(a.ravel() for a in (x, y, u, v)), strict=True)
    path.write_text("\n".join([head, *("{:g}\t{:g}\t{:.4f}\t{:.4f}".format(*row) for row in rows)]) + "\n")
    return path


def zeroed(place, u=U, v=V):
    u, v = u.copy(), v.copy()
    u[place] = v[place] = 0
    return u, v


@pytest.mark.parametrize("file", ["a.txt", "a.npz"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_masked_vectors_are_gaps(tmp_path, file, place):
    """Zeros inside or at the rim of a moving field: missing, counted, and no strain beside them."""
    field = read_dic(save(tmp_path / file, *zeroed(place)))
    expected = np.zeros(U.shape, bool)
    expected[place] = True
    np.testing.assert_array_equal(np.isnan(field.u) & np.isnan(field.v), expected)
    assert field.note == (f"{expected.sum()} vectors of exactly 0, 0 are masked ones: missing",)
    # printed to 1e-4 of 24 pixels, central differences
    assert np.nanmax(np.abs(field.displacement_gradient)) < 0.01 + 1e-5


def noise(seed=0):
    """A field of about nothing: noise of 0.02 pixels on a slope that is far below it."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.02, U.shape) + 1e-4 * (X - X.mean()), rng.normal(0, 0.02, U.shape)


@pytest.mark.parametrize("file", ["a.txt", "a.npz"])
def test_masks_in_noise_about_zero(tmp_path, file):
    """Zeros side by side do not happen in noise, one alone may."""
    assert np.isnan(read_dic(save(tmp_path / file, *zeroed(np.s_[9:13, 9:13], *noise()))).u).sum() == 16
    assert not np.isnan(read_dic(save(tmp_path / file, *zeroed(np.s_[9, 9], *noise()))).u).any()


DISPLACEMENTS = {
    "nothing moved": (0 * X, 0 * X),
    "sheared from the first row on": (0.1 * Y, 0 * X),
    "sheared about a column": (0.1 * (X - X[0, 10]), 0 * X),
    "turned about a vector": (0.01 * (Y - 120), -0.01 * (X - 120)),
    "held up to a line": (np.maximum(0, 0.01 * (X - 100)), 0 * X),
    "bent from a line on": (np.maximum(0, 1e-4 * (X - 100)) ** 2, 0 * X),
    "printed as zero": (1e-5 * X, 0 * X),
    "no motion along x": (0 * X, V),
    "a smooth band": (0.35 * (1 + np.tanh((X - 100) / 6)), 0 * X),
}


@pytest.mark.parametrize("file", ["a.txt", "a.npz"])
@pytest.mark.parametrize("field", DISPLACEMENTS.values(), ids=DISPLACEMENTS.keys())
def test_zeros_that_are_displacements(tmp_path, file, field):
    """A displacement that goes through zero, or is zero over a region that its surroundings lead to."""
    found = read_dic(save(tmp_path / file, *field))
    assert not np.isnan(found.u).any() and not found.note
    np.testing.assert_allclose(found.u, field[0], atol=1e-4)


def test_rigid_halves(tmp_path):
    """Two blocks, one of which stands still: a made-up field of plateaus in an .npz; DaVis writes masks so,
    and needs to be told.
    """
    step = np.where(X > 100, 1.0, 0.0), 0 * X
    assert not np.isnan(read_dic(save(tmp_path / "a.npz", *step)).u).any()
    text = save(tmp_path / "a.txt", *step)
    assert np.isnan(read_dic(text).u).sum() == (step[0] == 0).sum()
    assert not np.isnan(read_dic(text, zeros="values").u).any()
    with pytest.raises(ParameterError, match="zeros 'holes'"):
        read_dic(text, zeros="holes")


@pytest.mark.parametrize(
    "place", [np.s_[0, 0], np.s_[:2], np.s_[:, -3:], np.s_[7], np.s_[0], np.s_[4:6, 2:9]]
)
@pytest.mark.parametrize("positions", [False, True])
def test_npz_with_nan_anywhere(tmp_path, place, positions):
    """A corner, whole rows and columns, with and without their positions."""
    x, y, u, v = (a.copy() for a in (X, Y, U, V))
    for values in (x, y, u, v) if positions else (u, v):
        values[place] = np.nan
    field = read_dic(save(tmp_path / "a.npz", u, v, x, y))
    np.testing.assert_allclose(field.x, X, atol=1e-9)
    np.testing.assert_allclose(field.y, Y, atol=1e-9)
    np.testing.assert_array_equal(field.u, u)
    known = np.isfinite(field.displacement_gradient).all(axis=(-1, -2))
    assert known.sum() > 0.5 * known.size
    np.testing.assert_allclose(field.displacement_gradient[known][:, 0, 0], 0.01)


@pytest.mark.parametrize("known", [0, 2])
def test_npz_without_a_grid(tmp_path, known):
    """Two positions tell no grid, no displacement no field."""
    x = np.full(X.shape, np.nan)
    x.ravel()[:known] = X.ravel()[:known]
    with pytest.raises(MapFileError, match=r"a\.npz.*finite positions x"):
        read_dic(save(tmp_path / "a.npz", U, V, x, Y))
    with pytest.raises(MapFileError, match=r"a\.npz.*no vector has a displacement"):
        read_dic(save(tmp_path / "a.npz", U * np.nan, V))


def test_npz_seen_from_other_sides(tmp_path):
    """Rows and columns exchanged in the arrays, or y counted upwards: the same field."""
    turned = read_dic(save(tmp_path / "a.npz", U.T, V.T, X.T, Y.T))
    upwards = read_dic(save(tmp_path / "b.npz", U, -V, X, Y.max() - Y))
    for field in (turned, upwards):
        np.testing.assert_allclose(field.u, U)
        np.testing.assert_allclose(field.v, V)
