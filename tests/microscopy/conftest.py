"""Synthetic maps and map files whose content is known exactly."""

import numpy as np
import pytest

from cpml.crystallography.rotations import (
    axis_angle_to_quaternion,
    quaternion_multiply,
    quaternion_to_euler,
    random_quaternions,
)
from cpml.microscopy.maps.ebsd_map import EbsdMap, MapPhase

FCC = MapPhase("Nickel", "432", "fcc", 3.57, 3.57, 3.57)
MG = MapPhase("Magnesium", "622", "hcp", 3.209, 3.209, 5.2101, 90, 90, 120)


def small_rotations(n, rms_deg, rng):
    """(n, 4) rotations whose angle has the rms given, about random axes."""
    vector = rng.standard_normal((n, 3)) * np.radians(rms_deg) / np.sqrt(3)
    return axis_angle_to_quaternion(vector, np.linalg.norm(vector, axis=1))


@pytest.fixture(scope="session")
def make_map():
    """make_map(label image, grain quaternions (G, 4), ...) -> EbsdMap with label k + 1 oriented as row k;
    label 0 is not indexed."""

    def make(
        label, quaternions, *, phase=FCC, phase_of_grain=None, phases=None, step=0.5, noise_deg=0.0, seed=0
    ):
        label = np.asarray(label)
        rows, cols = label.shape
        flat = label.ravel()
        q = np.asarray(quaternions, float)[np.maximum(flat, 1) - 1]
        if noise_deg:
            q = quaternion_multiply(q, small_rotations(len(q), noise_deg, np.random.default_rng(seed)))
        of_grain = np.ones(len(quaternions), int) if phase_of_grain is None else np.asarray(phase_of_grain)
        phase_id = np.where(flat > 0, of_grain[np.maximum(flat, 1) - 1], 0).astype(np.int32)
        row, col = np.divmod(np.arange(rows * cols), cols)
        return EbsdMap(
            "synthetic",
            np.where((flat > 0)[:, None], q, np.nan),
            phase_id,
            phases or {1: phase},
            np.stack([step * col, step * row], axis=1),
            "square",
            (rows, cols),
            (step, step),
            {},
        )

    return make


@pytest.fixture(scope="session")
def voronoi():
    """voronoi(rows, cols, n, seed) -> label image 1..n of nearest seeds."""

    def make(rows, cols, n, seed=0):
        from scipy.spatial import cKDTree

        rng = np.random.default_rng(seed)
        points = rng.uniform(size=(n, 2)) * [rows, cols]
        return (
            cKDTree(points)
            .query(np.stack(np.mgrid[:rows, :cols], axis=-1).reshape(-1, 2))[1]
            .reshape(rows, cols)
            + 1
        )

    return make


@pytest.fixture(scope="session")
def ctf_text():
    """ctf_text(q, rows, cols, ...) -> text of a .ctf file of crystal_to_sample quaternions (N, 4)
    in row order.
    """

    def make(
        q,
        rows,
        cols,
        *,
        step=0.5,
        phase_lines=("3.57;3.57;3.57\t90;90;90\tNickel\t11\t225\t\t\tmade up",),
        phase=None,
        error=None,
        extra=(),
        column_major=False,
        comma=False,
    ):
        euler = np.degrees(quaternion_to_euler(np.nan_to_num(q, nan=0.5)))
        phase = np.ones(len(q), int) if phase is None else phase
        error = np.zeros(len(q), int) if error is None else error
        order = np.arange(rows * cols)
        order = order.reshape(rows, cols).T.ravel() if column_major else order
        lines = [
            "Channel Text File",
            "Prj\ttest",
            "Author\t",
            "JobMode\tGrid",
            f"XCells\t{cols}",
            f"YCells\t{rows}",
            f"XStep\t{step}",
            f"YStep\t{step}",
            "AcqE1\t0",
            "AcqE2\t0",
            "AcqE3\t0",
            "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t400",
            f"Phases\t{len(phase_lines)}",
            *phase_lines,
            "\t".join(
                ["Phase", "X", "Y", "Bands", "Error", "Euler1", "Euler2", "Euler3", "MAD", "BC", "BS", *extra]
            ),
        ]
        for n in order:
            e = euler[n] if phase[n] else np.zeros(3)
            lines.append(
                f"{phase[n]}\t{n % cols * step:.4f}\t{n // cols * step:.4f}\t8\t{error[n]}\t"
                f"{e[0]:.5f}\t{e[1]:.5f}\t{e[2]:.5f}\t0.5000\t{n % 251}\t200" + f"\t{n}" * len(extra)
            )
        text = "\r\n".join(lines) + "\r\n"
        return text.replace(".", ",") if comma else text

    return make


@pytest.fixture
def some_orientations():
    """(60, 4) random orientations for a map of 6 rows and 10 columns."""
    return random_quaternions(60, np.random.default_rng(5))


@pytest.fixture(scope="session")
def damaged():
    """damaged(data, kind, place, junk) -> bytes: "cut" at any byte, "bytes" overwritten, a digit replaced by
    a long "number", or "noise" after the first bytes; place from 0 to 1.
    """

    def make(data, kind, place, junk):
        at = int(place * len(data))
        if kind == "cut":
            return data[:at]
        if kind == "bytes":
            return data[:at] + junk + data[at + len(junk) :]
        if kind == "number":
            digits = [i for i in range(at, min(at + 2000, len(data))) if data[i : i + 1].isdigit()]
            return data[: digits[0]] + b"987654321987" + data[digits[0] + 1 :] if digits else data[:at]
        return data[: min(at, 512)] + junk * 50

    return make
