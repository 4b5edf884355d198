"""HR-DIC displacement fields: reading, displacement gradient, strain measures, registration to an EBSD map.

    H = grad u (2x2, pixel frame, v positive down),  F = 1 + H,  E = (F^T F - 1)/2

| measure | definition | fully in-plane slip gamma |
|---|---|---|
| max_shear (DefDAP) | sqrt(((E_xx - E_yy)/2)^2 + E_xy^2) | gamma/2 |
| effective_strain (SSLIP) | sqrt((H_xx - H_yy)^2/2 + (H_xy + H_yx)^2/2) | gamma/sqrt 2 |

References: Atkinson et al., DefDAP, doi 10.5281/zenodo.3688096; Vermeij et al. 2022, Acta Mater. 243:118502.
"""

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import MapFileError, ParameterError
from cpml.microscopy.ebsd_map import EbsdMap
from cpml.microscopy.readers.common import check_count, check_size, read_table
from cpml.microscopy.storage import MAX_BYTES

HEADER = re.compile(r"#\s*DaVis\s+\S+\s+2D-vector\s+(\S+)\s+(\S+)\s+(\S+)")


@dataclass(frozen=True)
class DicField:
    """Displacement vectors on a grid: u to the right, v down, and x, y, all in pixels of the image, (rows,
    columns).

    step is the distance of vectors in pixels; scale_um the size of an image pixel, None where nobody said.
    """

    name: str
    x: NDArray
    y: NDArray
    u: NDArray
    v: NDArray
    step: float
    scale_um: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of vectors."""
        return self.u.shape

    @property
    def displacement_gradient(self) -> NDArray:
        """H (rows, columns, 2, 2): H[..., 0, 1] = du/dy; central differences, one-sided on the rim."""
        gradient = [[np.gradient(c, self.step, axis=axis) for axis in (1, 0)] for c in (self.u, self.v)]
        return np.stack([np.stack(row, axis=-1) for row in gradient], axis=-2)


def max_shear(gradient: ArrayLike) -> NDArray:
    """Maximum in-plane shear (...) of the Green-Lagrange strain of H (..., 2, 2); in-plane slip gamma gives
    gamma/2.
    """
    f = np.asarray(gradient, float) + np.eye(2)
    e = (np.swapaxes(f, -1, -2) @ f - np.eye(2)) / 2
    return np.hypot((e[..., 0, 0] - e[..., 1, 1]) / 2, e[..., 0, 1])


def effective_strain(gradient: ArrayLike) -> NDArray:
    """E_eff (...) of SSLIP from H (..., 2, 2); in-plane slip gamma gives gamma / sqrt 2."""
    h = np.asarray(gradient, float)
    return np.hypot(h[..., 0, 0] - h[..., 1, 1], h[..., 0, 1] + h[..., 1, 0]) / np.sqrt(2)


def read_dic(path: str | Path, *, scale_um: float | None = None) -> DicField:
    """A displacement field from DaVis text ("#DaVis 8.4.0 2D-vector step columns rows ...", lines x y u v) or
    an
    .npz with arrays x, y, u, v of one (rows, columns) shape.

    Raises
    ------
    MapFileError : the file is missing, of another format, cut off, or its vectors are no grid
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise MapFileError(f"{path}: cannot be opened ({error.strerror}); check the path") from error
    if start.startswith(b"PK"):
        x, y, u, v = _read_npz(path)
    else:
        x, y, u, v = _read_davis(path, start.decode("latin-1").splitlines()[:1])
    step = float(x[0, 1] - x[0, 0]) if x.shape[1] > 1 else 0.0
    regular = (
        step > 0
        and np.allclose(np.diff(x, axis=1), step, rtol=1e-3)
        and np.allclose(np.diff(y, axis=0), step, rtol=1e-3)
    )
    if not regular:
        raise MapFileError(
            f"{path}: the vectors are no square grid in rows, x then y growing; export them unrotated"
        )
    return DicField(path.stem, x, y, u, v, step, scale_um)


def _read_davis(path: Path, first: list[str]) -> tuple[NDArray, ...]:
    found = HEADER.match(first[0]) if first else None
    if not found or not all(word.isdigit() and int(word) > 0 for word in found.groups()):
        raise MapFileError(
            f"{path}, line 1: not a DaVis header '#DaVis version 2D-vector step rows columns ...'; "
            "export the field from DaVis as text, or as .npz with x, y, u, v"
        )
    counts = int(found[2]), int(found[3])
    n = counts[0] * counts[1]
    check_size(path, n, 4, f"line 1: {counts[0]} x {counts[1]}")
    data = read_table(path, 1, ["x", "y", "u", "v"], n_required=4)
    check_count(path, len(data["x"]), n, f"line 1: {counts[0]} x {counts[1]}")
    # versions differ in which of the two counts comes first: the data tell how long a row is
    turn = np.flatnonzero(np.diff(data["y"]) != 0)
    cols = int(turn[0]) + 1 if len(turn) else n
    if cols not in counts or n % cols:
        raise MapFileError(
            f"{path}: line 1 announces {counts[0]} x {counts[1]} vectors, the first row has {cols}; "
            "export the field again"
        )
    return tuple(data[k].reshape(n // cols, cols) for k in "xyuv")


def _read_npz(path: Path) -> tuple[NDArray, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_BYTES:
                raise MapFileError(
                    f"{path}: unpacks to more than {MAX_BYTES:,} bytes; this is no displacement field"
                )
        with np.load(path, allow_pickle=False) as data:
            arrays = tuple(np.asarray(data[k], float) for k in "xyuv")
    except (
        KeyError,
        ValueError,
        TypeError,
        OSError,
        EOFError,
        RuntimeError,
        MemoryError,
        SyntaxError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise MapFileError(f"{path}: not an .npz with numeric arrays x, y, u, v ({error})") from error
    if any(a.ndim != 2 or a.shape != arrays[0].shape or not np.isfinite(a[:2]).all() for a in arrays):
        raise MapFileError(f"{path}: x, y, u, v must be arrays of one (rows, columns) shape")
    return arrays


@dataclass(frozen=True)
class Affine:
    """p' = matrix p + offset in pixel coordinates (column, row); residual: rms distance of the points,
    pixels.
    """

    matrix: NDArray
    offset: NDArray
    residual: float

    def __call__(self, points: ArrayLike) -> NDArray:
        """Points (..., 2) mapped."""
        return np.asarray(points, float) @ self.matrix.T + self.offset

    def turn_lines(self, angle_deg: ArrayLike) -> NDArray:
        """On-screen angles of lines after the map, deg in [0, 180)."""
        angle = np.radians(np.asarray(angle_deg, float))
        direction = np.stack([np.cos(angle), -np.sin(angle)], axis=-1) @ self.matrix.T
        return np.degrees(np.arctan2(-direction[..., 1], direction[..., 0])) % 180.0


def fit_affine(points_from: ArrayLike, points_to: ArrayLike) -> Affine:
    """Least-squares affine map between homologous points (n, 2), at least three and not on one line.

    Raises
    ------
    ParameterError : fewer than three points, unequal numbers, or points on one line
    """
    p, q = np.asarray(points_from, float), np.asarray(points_to, float)
    if p.ndim != 2 or p.shape[1:] != (2,) or p.shape != q.shape or len(p) < 3:
        raise ParameterError(
            f"homologous points have shapes {p.shape} and {q.shape}: two equal lists of three or "
            "more [column, row] pairs are needed"
        )
    design = np.c_[p, np.ones(len(p))]
    solution, _, rank, _ = np.linalg.lstsq(design, q, rcond=None)
    if rank < 3:
        raise ParameterError("the homologous points lie on one line: choose one beside it")
    residual = np.sqrt(np.mean(np.sum((design @ solution - q) ** 2, axis=1)))
    return Affine(solution[:2].T, solution[2], float(residual))


def label_of_vectors(field: DicField, dic_to_ebsd: Affine, ebsd_map: EbsdMap, label: NDArray) -> NDArray:
    """Label (rows, columns) of each vector: that of the map pixel it falls on, 0 outside.

    Parameters
    ----------
    dic_to_ebsd : from vector indices (column, row) to map pixels (column, row)
    label : (N,) grain or parent of each map pixel
    """
    row, col = np.mgrid[: field.shape[0], : field.shape[1]]
    target = np.rint(dic_to_ebsd(np.stack([col, row], axis=-1))).astype(int)
    picture = np.nan_to_num(ebsd_map.image(label)).astype(int)
    inside = ((target >= 0) & (target < picture.shape[::-1])).all(axis=-1)
    out = np.zeros(field.shape, int)
    out[inside] = picture[target[inside][:, 1], target[inside][:, 0]]
    return out
