"""Comparison of the reference cases of VPSC8 (benchmarks.vpsc_cases) with our solution.

What is compared, and how closely (relative to the reference unless said):

| group | quantity | bound |
|---|---|---|
| full constraint | von Mises stress, strengths of the families | 1e-6 |
| | shares of the families, accumulated and reoriented twin fractions | 1e-6 (absolute) |
| | final orientations | 0.01 deg |
| self-consistent | first row: stress and grain stresses (of the largest component) | 1e-5 |
| | path: stress, strengths, shares, twin fractions | 1e-4 |
| elastic | all components, of the largest one | 1e-4 |
| dislocation density | stress, strengths | 1e-4 |
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.vpsc_cases import solve_case, texture
from cpml.crystallography import quaternion_to_matrix
from cpml.crystallography.tensors import to_matrix
from cpml.plasticity.polycrystal.stiffness import polycrystal_stiffness

COMPONENTS = ("11", "22", "33", "23", "13", "12")


@dataclass(frozen=True)
class Compared:
    """One quantity of a case: reference and our value where they deviate most, and the bound."""

    case: str
    quantity: str
    reference: float
    ours: float
    deviation: float
    bound: float

    @property
    def passed(self) -> bool:
        """Within the bound."""
        return bool(self.deviation <= self.bound)


def compare_case(folder: Path, name: str, **options) -> list[Compared]:
    """Solve a case and compare it with its reference (bounds in the module docstring)."""
    import pandas as pd

    folder = Path(folder)
    case = json.loads((folder / name / "case.json").read_text())
    if "results" in case:
        return _compare_elastic(folder, name, case)
    path, steps = solve_case(folder, name, **options), pd.read_csv(folder / name / "steps.csv")
    is_taylor = case["scheme"]["interaction"] == "FC"
    bound = 1e-4 if "modes" not in case["crystal"] else (1e-6 if is_taylor else 1e-4)
    found = [
        _relative(name, "stress, path", steps["sig_vm"].to_numpy(), path.von_mises.numpy(), bound),
        _relative(
            name, "strength, path", steps.filter(like="crss_").to_numpy(), path.strength.numpy(), bound
        ),
    ]
    for key, ours in (("twfr", path.twin_fraction), ("effr", path.reoriented)):
        columns = [
            (k, f"{key}_{m['key']}")
            for k, m in enumerate(case["crystal"].get("modes", ()))
            if f"{key}_{m['key']}" in steps
        ]
        for k, column in columns:
            found.append(_absolute(name, column, steps[column].to_numpy(), ours[:, k], bound))
    shares = steps[[f"activity_{m['key']}" for m in case["crystal"].get("modes", ())]].to_numpy(float)
    if shares.size:
        found.append(_absolute(name, "activity, path", shares, path.activity.numpy(), bound))
    if not is_taylor:
        found.append(
            _relative(
                name,
                "stress, first row",
                steps["sig_vm"].to_numpy()[:1],
                path.von_mises.numpy()[:1],
                1e-5 if "modes" in case["crystal"] else 1e-4,
            )
        )
    if (folder / name / "grains_first.csv").exists():
        grains = pd.read_csv(folder / name / "grains_first.csv")[[f"sdev{c}" for c in COMPONENTS]].to_numpy()
        ours = _six(to_matrix(path.first.grain_stress.numpy()))
        largest = np.abs(grains).max()
        found.append(
            _absolute(
                name, "grain stress, first row", grains / largest, ours / largest, 1e-6 if is_taylor else 1e-5
            )
        )
    angle = _angles(path.orientations.detach().numpy(), folder / name / "texture_final.csv")
    found.append(_absolute(name, "final orientations, deg", np.zeros(len(angle)), angle, 0.01))
    return found


def _six(matrix: np.ndarray) -> np.ndarray:
    return np.stack([matrix[:, int(c[0]) - 1, int(c[1]) - 1] for c in COMPONENTS], -1)


def _angles(ours: np.ndarray, path: Path) -> np.ndarray:
    """Rotation angles (deg) between orientations, accurate near zero (files have 5 decimals)."""
    relative = ours @ quaternion_to_matrix(texture(path)[0]).swapaxes(1, 2)
    return np.rad2deg(
        2 * np.arcsin(np.minimum(1, np.linalg.norm(relative - np.eye(3), axis=(1, 2)) / np.sqrt(8)))
    )


def _relative(case, quantity, reference, ours, bound) -> Compared:
    deviation = np.abs(ours / reference - 1).ravel()
    worst = int(np.argmax(deviation))
    return Compared(
        case,
        quantity,
        float(reference.ravel()[worst]),
        float(ours.ravel()[worst]),
        float(deviation[worst]),
        bound,
    )


def _absolute(case, quantity, reference, ours, bound) -> Compared:
    deviation = np.abs(ours - reference).ravel()
    worst = int(np.argmax(deviation))
    return Compared(
        case,
        quantity,
        float(reference.ravel()[worst]),
        float(ours.ravel()[worst]),
        float(deviation[worst]),
        bound,
    )


def _compare_elastic(folder: Path, name: str, case: dict) -> list[Compared]:
    orientations, weights = texture(folder / name / case["texture"])
    axes, found = case.get("grain_ellipsoid_axes_sample_frame"), []
    for average, result in case["results"].items():
        if not isinstance(result, dict) or "C" not in result:
            continue
        ours = polycrystal_stiffness(
            np.array(case["crystal"]["stiffness_voigt_11_22_33_23_13_12"], float),
            orientations,
            weights=weights,
            average=average,
            shape=None if axes is None else np.diag(axes),
        )
        reference = np.array(result["C"], float)
        largest = np.abs(reference).max()
        one = _absolute(name, f"stiffness, {average}", reference / largest, ours / largest, 1e-4)
        found.append(
            Compared(name, one.quantity, one.reference * largest, one.ours * largest, one.deviation, 1e-4)
        )
    return found
