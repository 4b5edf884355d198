"""An Abaqus input of a sample: a mesh of bricks, a set of elements and an orientation for every grain, the
load.

Lengths in um, stresses in MPa. An orientation is given by the crystal's x and y axes in sample coordinates.
The material is *ELASTIC alone (engineering constants of the crystal): a crystal-plasticity user material goes
in its place. Tension and compression move one face against its opposite, which slides; the lateral faces are
free.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.design.decks.sample import Sample, uniaxial
from cpml.errors import ParameterError
from cpml.files import write_atomic

_CUBIC = "D1111, D1122, D2222, D1133, D2233, D3333, D1212, D1313, D2323"


def write_input(sample: Sample, folder: Path, *, strain: float, increments: int) -> list[Path]:
    """model.inp in a folder; its path.

    Raises
    ------
    ParameterError : a load that is not along a sample axis, a material without elastic constants
    """
    text = "\n".join([*_mesh(sample), *_sections(sample), *_step(sample, strain, increments)]) + "\n"
    return [write_atomic(folder / "model.inp", lambda p: p.write_text(text, encoding="ascii"))]


def _mesh(sample: Sample) -> list[str]:
    nz, ny, nx = sample.grain_index.shape
    z, y, x = np.meshgrid(np.arange(nz + 1), np.arange(ny + 1), np.arange(nx + 1), indexing="ij")
    places = np.stack([x, y, z], -1).reshape(-1, 3) * np.asarray(sample.step)
    lines = [f"** {sample.name}: {sample.material.title}, {len(sample.quaternions)} grains", "*NODE"]
    lines += [f"{k}, {a:.6g}, {b:.6g}, {c:.6g}" for k, (a, b, c) in enumerate(places.tolist(), 1)]
    number = np.arange((nz + 1) * (ny + 1) * (nx + 1)).reshape(nz + 1, ny + 1, nx + 1) + 1
    corners = [
        number[dz : nz + dz, dy : ny + dy, dx : nx + dx].ravel()
        for dz, dy, dx in (
            (0, 0, 0),
            (0, 0, 1),
            (0, 1, 1),
            (0, 1, 0),
            (1, 0, 0),
            (1, 0, 1),
            (1, 1, 1),
            (1, 1, 0),
        )
    ]
    lines.append("*ELEMENT, TYPE=C3D8R, ELSET=ALL")
    lines += [
        ", ".join(map(str, row)) for row in np.column_stack([np.arange(nx * ny * nz) + 1, *corners]).tolist()
    ]
    ends = {"X0": number[:, :, 0], "X1": number[:, :, -1], "Y0": number[:, 0], "Y1": number[:, -1]}
    ends |= {"Z0": number[0], "Z1": number[-1], "CORNER": number[:1, :1, :1], "EDGE": number[:1, :1, -1:]}
    for name, nodes in ends.items():
        lines += [f"*NSET, NSET={name}", *_rows(nodes.ravel())]
    return lines


def _sections(sample: Sample) -> list[str]:
    lines, index = [], sample.grain_index.ravel()
    axes = quaternion_to_matrix(sample.quaternions)  # columns: crystal axes in the sample
    order = np.argsort(index, kind="stable")
    ends = np.searchsorted(index[order], np.arange(len(axes) + 1))
    for k, (first, last) in enumerate(pairwise(ends), 1):
        if first == last:
            continue
        a, b = axes[k - 1][:, 0], axes[k - 1][:, 1]
        lines += [f"*ELSET, ELSET=GRAIN_{k}", *_rows(order[first:last] + 1)]
        lines += [f"*ORIENTATION, NAME=O_{k}", ", ".join(f"{v:.9g}" for v in (*a, *b)), "1, 0."]
        lines += [f"*SOLID SECTION, ELSET=GRAIN_{k}, MATERIAL=CRYSTAL, ORIENTATION=O_{k}", ","]
    return lines


def _step(sample: Sample, strain: float, increments: int) -> list[str]:
    material, load = sample.material, sample.load
    if not material.elastic:
        raise ParameterError(
            f"material {material.name!r} has no elastic constants, which an Abaqus input needs"
        )
    pulled = uniaxial(load)
    if pulled is None:
        raise ParameterError("an Abaqus input is written for tension or compression along a sample axis")
    k, rate = pulled
    c = {key: float(v) for key, v in material.elastic.items()}
    c33, c13 = c.get("C33", c["C11"]), c.get("C13", c["C12"])
    c66 = (c["C11"] - c["C12"]) / 2 if material.lattice == "hcp" else c["C44"]
    constants = [c["C11"], c["C12"], c["C11"], c13, c13, c33, c66, c["C44"], c["C44"]]
    length = sample.grain_index.shape[2 - k] * sample.step[k]
    moved = length * strain * np.sign(rate)
    face, period = "XYZ"[k], strain / load.rate
    rows = [", ".join(f"{v:.9g}" for v in constants[:8]), f"{constants[8]:.9g}"]
    return [
        "*MATERIAL, NAME=CRYSTAL",
        f"** {_CUBIC}; put a user material for crystal plasticity here",
        "*ELASTIC, TYPE=ORTHOTROPIC",
        *rows,
        "*STEP, NLGEOM=YES",
        "*STATIC",
        f"{period / increments:.9g}, {period:.9g}, {1e-6 * period:.9g}, {period / increments:.9g}",
        "*BOUNDARY",
        f"{face}0, {k + 1}, {k + 1}, 0.",
        f"{face}1, {k + 1}, {k + 1}, {moved:.9g}",
        "CORNER, 1, 3, 0.",
        *[f"EDGE, {i + 1}, {i + 1}, 0." for i in (1, 2) if i != k],
        "*OUTPUT, FIELD, FREQUENCY=1",
        "*ELEMENT OUTPUT",
        "S, LE",
        "*END STEP",
    ]


def _rows(numbers: np.ndarray) -> list[str]:
    """Sixteen numbers a line."""
    flat = numbers.tolist()
    return [", ".join(map(str, flat[i : i + 16])) for i in range(0, len(flat), 16)]
