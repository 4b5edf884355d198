"""DREAM.3D stacks of EBSD slices (.h5ebsd): one group a slice, with the columns of the vendor's file.

| place | meaning |
|---|---|
| Manufacturer | TSL (EDAX: rad, 4 pi and ci = -1 not indexed) or HKL (Oxford: deg, phase 0 not indexed) |
| Max X Points, Max Y Points, X, Y, Z Resolution, ZStartIndex, ZEndIndex | the stack, um |
| <k>/Data/Phi1, Phi, Phi2, PhaseData, Confidence Index ... | TSL; HKL: Euler1 .. 3, Phase, MAD ... |
| <k>/Header/Phases/<n> | TSL: MaterialName, Symmetry, LatticeConstants; HKL: PhaseName, LaueGroup |
| EulerTransformationAxis, Angle; SampleTransformationAxis, Angle | how DREAM.3D turns Euler axes and pixels |

DREAM.3D turns the axes of the Euler frame by R_E and moves the pixels by R_S. Here pixels stay, so that the
turn that the file declares, offered as euler_to_sample="declared", is

    v_pixel = R_S^-1 R_E^-1 v_euler                (EDAX: 90 deg <001>, 180 deg <010>: the preset edax2)

Reference: Jackson et al. 2014, IMMI 3:44, doi 10.1186/2193-9772-3-4.
"""

from pathlib import Path
from typing import TypeAlias

import numpy as np

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply
from cpml.crystallography.symmetry import LAUE_NUMBER
from cpml.microscopy.io.readers.ang import GROUP_OF_SYMMETRY, group_of_edax
from cpml.microscopy.io.readers.common import RawMap, make_phase
from cpml.microscopy.io.readers.edax import phase_of_edax
from cpml.microscopy.io.readers.hdf import Hdf, opened
from cpml.microscopy.io.readers.slices import choose
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.microscopy.maps.grids import Grid

Columns: TypeAlias = tuple[np.ndarray, np.ndarray, dict[int, MapPhase], dict[str, np.ndarray]]
"""Angles (n, 3), phase (n,), phases, properties."""
TSL_NAMES = {"Confidence Index": "ci", "Fit": "fit", "Image Quality": "iq", "SEM Signal": "sem"}
HKL_NAMES = {"MAD": "mad", "BC": "bc", "BS": "bs", "Bands": "bands", "Error": "error"}


def read(path: Path, *, slice: int | None = None) -> RawMap:
    """One slice of a stack; `slice` counts from 0 in the order of the slice numbers."""
    with opened(path) as hdf:
        number = choose(path, _numbers(hdf), slice)
        maker = hdf.text("Manufacturer")
        if maker not in ("TSL", "HKL"):
            raise hdf.fail("Manufacturer", f"{maker!r} is neither TSL nor HKL")
        rows, cols = (hdf.number(f"Max {k} Points", kind=int) for k in "YX")
        pixel_um = hdf.number("X Resolution"), hdf.number("Y Resolution")
        euler, phase_id, phases, properties = (_tsl if maker == "TSL" else _hkl)(
            hdf, str(number), rows * cols
        )
        declared = _declared(hdf)
        z_um = (number - _numbers(hdf)[0]) * hdf.number("Z Resolution")
    return RawMap(
        name=f"{path.stem} slice {number}",
        euler=euler,
        phase_id=phase_id,
        phases=phases,
        grid=Grid.full((rows, cols), pixel_um),
        properties=properties,
        usual_hex_x_axis="a" if maker == "TSL" else "a*",
        angles="radians" if maker == "TSL" else "degrees",
        note=(f"slice {number} of the stack, z = {z_um:g} um",),
        declared=declared,
    )


def n_slices(path: Path) -> int:
    """Number of slices of a stack."""
    with opened(path) as hdf:
        return len(_numbers(hdf))


def _numbers(hdf: Hdf) -> list[int]:
    """Numbers of the slices from first to last; each must be there."""
    first, last = (int(hdf.value(k)) for k in ("ZStartIndex", "ZEndIndex"))
    if not 0 <= first <= last < first + 1_000_000:
        raise hdf.fail("ZStartIndex", f"slices {first} to {last}")
    there = [k for k in range(first, min(last, first + 10_000) + 1) if hdf.has(f"{k}/Data")]
    if len(there) != last - first + 1:
        raise hdf.fail("ZEndIndex", f"slices {first} to {last} are announced, {len(there)} were found")
    return there


def _tsl(hdf: Hdf, base: str, n: int) -> Columns:
    euler = hdf.stacked(f"{base}/Data", ("Phi1", "Phi", "Phi2"), n)
    properties = hdf.columns(f"{base}/Data", TSL_NAMES, n)
    phases = {}
    for i in hdf.integer_keys(f"{base}/Header/Phases"):
        place = f"{base}/Header/Phases/{i}"
        code = str(hdf.number(f"{place}/Symmetry", kind=int))
        group = group_of_edax(code)
        if group is None:
            raise hdf.fail(f"{place}/Symmetry", f"{code}; known: {', '.join(GROUP_OF_SYMMETRY)}")
        phases[i] = make_phase(hdf.text(f"{place}/MaterialName", ""), _cell(hdf, place), group)
    file_phase = hdf.array(f"{base}/Data/PhaseData", (n,), whole=True).astype(np.int32)
    phase_id, phases, _ = phase_of_edax(file_phase, phases)
    return euler, phase_id, phases, properties


def _hkl(hdf: Hdf, base: str, n: int) -> Columns:
    euler = np.radians(hdf.stacked(f"{base}/Data", ("Euler1", "Euler2", "Euler3"), n))
    properties = hdf.columns(f"{base}/Data", HKL_NAMES, n)
    phases = {}
    for i in hdf.integer_keys(f"{base}/Header/Phases"):
        place = f"{base}/Header/Phases/{i}"
        laue = hdf.number(f"{place}/LaueGroup", kind=int)
        if laue not in LAUE_NUMBER:
            raise hdf.fail(f"{place}/LaueGroup", f"{laue} is not from 1 to 11")
        space_group = int(hdf.value(f"{place}/SpaceGroup")) if hdf.has(f"{place}/SpaceGroup") else None
        phases[i] = make_phase(
            hdf.text(f"{place}/PhaseName", ""), _cell(hdf, place), LAUE_NUMBER[laue], space_group
        )
    phase_id = hdf.array(f"{base}/Data/Phase", (n,), whole=True).astype(np.int32)
    return euler, phase_id, phases, properties


def _cell(hdf: Hdf, place: str) -> np.ndarray:
    return np.round(hdf.array(f"{place}/LatticeConstants", (6,)).astype(float), 6)


def _declared(hdf: Hdf) -> np.ndarray:
    """Turn (4,) from the Euler axes to the pixel axes that the file declares."""
    turns = []
    for name in ("Sample", "Euler"):
        angle, axis = (
            np.radians(hdf.value(f"{name}TransformationAngle")),
            hdf.array(f"{name}TransformationAxis", (3,)).astype(float),
        )
        if not np.isfinite(axis).all() or (angle and not axis.any()):
            raise hdf.fail(f"{name}TransformationAxis", f"{axis} is no axis")
        turns.append(axis_angle_to_quaternion(axis if axis.any() else [0, 0, 1], -angle))
    return quaternion_multiply(*turns)
