"""An ODF as text for other programs: values on a grid of Bunge angles, and weighted orientations.

    % MTEX ODF                               phi1_deg,Phi_deg,phi2_deg,weight
    % crystal symmetry: 432                  112.50000,35.26400,45.00000,0.01250000
    % specimen symmetry: 1
    % phi1    Phi     phi2    value
    0.00000 0.00000 0.00000 1.23456

MTEX reads the grid by

    odf = SO3Fun.load(file, cs, 'interface', 'generic', 'ColumnNames', ...
                      {'Euler 1' 'Euler 2' 'Euler 3' 'weight'}, 'Columns', [1 2 3 4])

where cs is the crystal symmetry with X along a (and Z along c), as here. Angles are in degrees and turn the
sample axes of this project (x right, y down, z into the specimen) onto those of the crystal.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.odf import Odf
from cpml.crystallography.rotations import quaternion_to_euler
from cpml.files import write_atomic


def write_mtex(odf: Odf, path: str | Path, *, step_deg: float = 5.0) -> Path:
    """Write f on the regular grid of `Odf.grid`, in multiples of a random distribution; returns the path."""
    angles, values = odf.on_grid(step_deg)
    header = [
        "% MTEX ODF",
        f"% crystal symmetry: {odf.group}",
        "% specimen symmetry: 1",
        "% phi1    Phi     phi2    value",
    ]
    rows = np.column_stack([angles.reshape(-1, 3), values.ravel()])
    return _write(Path(path), header, rows, "%.5f %.5f %.5f %.5f")


def write_orientations(odf: Odf, path: str | Path) -> Path:
    """Write the orientations of the estimate with their weights, which add up to 1; returns the path."""
    return write_weighted(odf.quaternions, odf.weights, path)


def write_weighted(quaternions: NDArray, weights: NDArray, path: str | Path) -> Path:
    """Write orientations (N, 4) with weights (N,) that add up to 1; returns the path."""
    rows = np.column_stack([np.degrees(quaternion_to_euler(quaternions)), weights])
    return _write(Path(path), ["phi1_deg,Phi_deg,phi2_deg,weight"], rows, "%.5f,%.5f,%.5f,%.8g")


def _write(path: Path, header: list[str], rows: np.ndarray, pattern: str) -> Path:
    lines = [*header, *(pattern % tuple(row) for row in rows.tolist())]
    write_atomic(path, lambda p: p.write_text("\n".join(lines) + "\n", encoding="ascii"))
    return path
