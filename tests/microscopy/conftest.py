"""Synthetic maps and map files whose content is known exactly."""

import numpy as np
import pytest

from cpml.crystallography.rotations import quaternion_to_euler, random_quaternions
from support.maps import nearest_seeds, square_map
from support.nickel import nickel_field


@pytest.fixture(scope="session")
def make_map():
    """The maker of maps from label images."""
    return square_map


@pytest.fixture(scope="session")
def nickel(mirror):
    """Grains and registered field of the nickel data of DefDAP."""
    return nickel_field(mirror)


@pytest.fixture(scope="session")
def voronoi():
    """The maker of label images."""
    return nearest_seeds


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
