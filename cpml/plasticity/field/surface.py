"""Free surfaces: a map or a volume with a gap, and the traction that is left on its surface.

A periodic cell has no surface, unless some of its voxels are empty (``no_grain="empty"``): the solid ends at
both sides of the gap and its periodic copy begins behind it. Velocities stay free of divergence in the gap as
well, which holds its volume and fills it with a pressure p that nothing else opposes: equilibrium of the
corners inside the gap makes p one constant, and that constant is the zero of ``Field.pressure``. So the
traction vanishes, and the gap needs corners of its own:

- one layer has none. Its pressure is then a film between the two faces, which may slide but not part
  (traction of 0.2 of the mean stress); two layers or more are a free surface, and their number changes
  nothing;
- an even number of layers of the cell lets p alternate from one corner to the next (0.002 of the mean
  stress, without resultant); an odd number along the normal of the gap does not.

A thick gap costs voxels, not local answers, and makes the conjugate gradients shorter.

Each gap has one pressure: of two gaps that solid separates, or of pores, only the mean is zero, and a pore
keeps its volume. A tension across the gap is a compression of the solid along its faces, which differs from
it by a pressure.

| symbol | meaning | unit | shape |
|---|---|---|---|
| t | force of the solid on the corners of its surface, over the face of a voxel | MPa | (3, *face) |
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from cpml.errors import ParameterError
from cpml.plasticity.field.full_field import Field

_LEAST = 2  # layers of a gap: one plane of corners inside
_USUAL = 3


def with_gap(grain_index: NDArray, *, axis: str = "z", layers: int | None = None) -> NDArray:
    """The map or volume with empty layers (-1) at its end along an axis: two free surfaces.

    Parameters
    ----------
    grain_index : (rows, columns) or (slices, rows, columns) int
    axis : normal of the surface: "x" (columns), "y" (rows), "z" (slices; volumes only, see `slab`)
    layers : at least 2; None: at least 3, to an odd number of layers that transforms fast

    Raises
    ------
    ParameterError : an axis that the grid does not have, a gap of less than two layers

    Examples
    --------
    >>> with_gap(np.zeros((1, 4), int), axis="y", layers=2)
    array([[ 0,  0,  0,  0],
           [-1, -1, -1, -1],
           [-1, -1, -1, -1]])
    """
    grain_index = _grid(grain_index)
    number = _axis(grain_index.ndim, axis)
    solid = grain_index.shape[number]
    if layers is None:
        layers = _odd_fast(solid + _USUAL) - solid
    if layers < _LEAST:
        raise ParameterError(
            f"a gap of {layers} layers is no free surface: its pressure ties the two faces together; "
            f"take {_LEAST} or more"
        )
    width = [(0, layers if k == number else 0) for k in range(grain_index.ndim)]
    return np.pad(grain_index, width, constant_values=-1)


def slab(grain_index: NDArray, depth: int, *, gap: int | None = None) -> NDArray:
    """A map as the surface of a plate of columns: (depth + gap, rows, columns), slice 0 the measured one.

    The grains go straight down, which a map does not know better. The far side is a free surface as well, so
    that ``depth`` should reach two grain sizes.

    Parameters
    ----------
    grain_index : (rows, columns) int
    depth : slices of the solid
    gap : empty slices, as ``layers`` of `with_gap`

    Raises
    ------
    ParameterError : no map, no slice
    """
    grain_index = _grid(grain_index)
    if grain_index.ndim != 2 or depth < 1:
        raise ParameterError(f"a slab needs a map and depth >= 1, not {grain_index.ndim} axes and {depth}")
    return with_gap(np.repeat(grain_index[None], depth, axis=0), axis="z", layers=gap)


def surface_corners(grain_index: NDArray, axis: str = "z") -> tuple[NDArray, NDArray]:
    """Planes of corners (numbers along the axis) where a flat gap ends and the solid begins, and the reverse.

    Raises
    ------
    ParameterError : no layer that is empty as a whole, or empty voxels outside such layers' planes
    """
    grain_index = _grid(grain_index)
    number = _axis(grain_index.ndim, axis)
    others = tuple(k for k in range(grain_index.ndim) if k != number)
    is_empty = (grain_index < 0).all(axis=others)
    if not is_empty.any() or is_empty.all():
        raise ParameterError(f"the grid has no gap across {axis}: no layer of it is empty (see with_gap)")
    before = np.roll(is_empty, 1)  # corner k lies between the layers k - 1 and k
    return np.flatnonzero(before & ~is_empty), np.flatnonzero(~before & is_empty)


def traction(field: Field, axis: str = "z") -> NDArray:
    """Force of the solid on the corners of its free surface, per face of a voxel, MPa.

    It is what the solution makes zero, up to its tolerance. The stress in the first voxels has a traction of
    its own, sigma n, which is not that of the surface but that of half a voxel below it: it vanishes with the
    step.

    Returns
    -------
    (3, P, *face) for the P planes of `surface_corners` one after the other; face is (columns,) of a map with
    a gap along y, (rows, columns) of a volume with a gap along z
    """
    first, last = surface_corners(field.grain_index, axis)
    stress = np.where((field.grain_index >= 0)[..., None, None], field.cauchy, 0.0)
    force = field.grid.force(stress.reshape(-1, 3, 3)).reshape(3, *field.grain_index.shape)
    edges = dict(zip("xyz", field.grid.step, strict=True))
    face = float(np.prod([h for name, h in edges.items() if name != axis]))
    number = _axis(field.grain_index.ndim, axis)
    planes = np.take(force, np.concatenate([first, last]), axis=number + 1)
    # B^T sigma is a force over the volume of a voxel
    return np.moveaxis(planes, number + 1, 1) * float(np.prod(field.grid.step)) / face


def _grid(grain_index: NDArray) -> NDArray:
    grain_index = np.asarray(grain_index)
    if grain_index.ndim not in (2, 3) or not np.issubdtype(grain_index.dtype, np.integer):
        raise ParameterError(
            f"grain_index must be a (rows, columns) or (slices, rows, columns) array of whole numbers, not "
            f"{grain_index.dtype} of shape {grain_index.shape}"
        )
    return grain_index


def _axis(ndim: int, axis: str) -> int:
    names = "zyx"[3 - ndim :]
    if len(axis) != 1 or axis not in names:
        raise ParameterError(f"axis = {axis!r}: choose from {', '.join(names)} of a grid of {ndim} axes")
    return names.index(axis)


def _odd_fast(least: int) -> int:
    """The next odd length that transforms fast."""
    length = next_fast_len(least)
    while length % 2 == 0:
        length = next_fast_len(length + 1)
    return int(length)
