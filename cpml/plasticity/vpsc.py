"""Reference cases of VPSC8 as this package's input, and the comparison of a case with our solution.

A case is a folder with case.json (crystal, process, scheme), steps.csv (one row per solved state), texture_final.csv
and, where written, grains_first.csv and dislocation_density.csv; textures are Bunge angles in degrees, sample to crystal.

What is compared, and how closely (relative to the reference unless said):

| group | quantity | bound |
|---|---|---|
| full constraint | von Mises stress, strengths of the families | 1e-6 |
| | accumulated and reoriented twin fractions | 1e-6 (absolute) |
| | final orientations | 0.01 deg |
| self-consistent | first row: stress and grain stresses (of the largest component) | 1e-5 |
| | path: stress, strengths, twin fractions | 1e-4 |
| elastic | all components, of the largest one | 1e-4 |
| dislocation density | stress, strengths | 1e-4 |
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cpml.crystallography import euler_to_quaternion, quaternion_to_matrix, systems
from cpml.plasticity.basis import to_matrix
from cpml.plasticity.boundary import Loading
from cpml.plasticity.elasticity import polycrystal_stiffness, to_mandel
from cpml.plasticity.eshelby import MANDEL, VPSC
from cpml.plasticity.hardening import Voce
from cpml.plasticity.kocks_mecking import KocksMecking
from cpml.plasticity.law import PowerLaw
from cpml.plasticity.path import deform
from cpml.plasticity.reorientation import Reorientation

FAMILY = {
    "prism_a": "prismatic",
    "basal_a": "basal",
    "pyr_ca": "pyramidal1_ca",
    "tt1012": "twin_1012",
    "ct1122": "twin_1122",
    "fcc111_110": "octahedral",
    "bcc110_111": "110",
    "bcc112_111": "112",
    "bcc123_111": "123",
}
SCHEME = {"FC": "taylor", "neff": "n_eff"}
COMPONENTS = ("11", "22", "33", "23", "13", "12")


@dataclass(frozen=True)
class Compared:
    """One quantity of a case: reference and our value at the place of the largest deviation, and its bound."""

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


def case_names(folder: Path) -> tuple[str, ...]:
    """Cases in a folder, sorted."""
    return tuple(sorted(path.parent.name for path in Path(folder).glob("*/case.json")))


def _texture(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    table = pd.read_csv(path)
    return euler_to_quaternion(np.deg2rad(table[["phi1", "Phi", "phi2"]].to_numpy())), table[
        "weight"
    ].to_numpy()


def case_loading(process: dict) -> Loading:
    """Mixed conditions of a case's process."""
    gradient, stress = np.array(process["velocity_gradient"]), process.get("cauchy_stress", np.zeros((3, 3)))
    rates = np.array(process["velocity_gradient_imposed_flags"], bool)
    stresses = np.array(process["cauchy_stress_imposed_flags"], bool)
    return Loading.mixed(
        np.where(rates, gradient, np.nan), np.where(stresses, np.array(stress, float), np.nan)
    )


def _crystal(case: dict, name: str):
    """Systems, flow law, hardening, PTR rules or None."""
    crystal = case["crystal"]
    if "modes" not in crystal:
        return (*_dislocations(crystal), None)
    modes = crystal["modes"]
    lattice = "hcp" if crystal["symmetry"] == "hexagonal" else ("bcc" if "bcc" in modes[0]["key"] else "fcc")
    found = systems(
        lattice,
        families=[FAMILY[m["key"]] for m in modes],
        c_over_a=crystal["cell_a_b_c_alpha_beta_gamma"][2],
    )
    rows = [m["hardening"] for m in modes]
    values = {key: np.array([r[key] for r in rows], float) for key in ("tau0", "tau1", "theta0", "theta1")}
    law = PowerLaw(found, values["tau0"], modes[0]["rate_exponent_n"], modes[0]["gamma0"])
    hardening = Voce(
        found,
        values["tau1"],
        values["theta0"],
        values["theta1"],
        np.array([r["latent_row"] for r in rows], float),
    )
    twins = [m for m in modes if m["kind"] == "twin"]
    if not twins:
        return law, hardening, None
    shear = np.array([m.get("twin_shear", 1.0) for m in modes])
    about = "direction" if twins[0]["twin_type"] == 2 else "normal"
    return (
        law,
        hardening,
        Reorientation(
            found,
            (twins[0]["thres1"], twins[0]["thres2"]),
            shear,
            about,
            twins[0]["secondary_twinning_allowed"],
            "vpsc",
            0.5,
        ),
    )


def _dislocations(crystal: dict) -> tuple[PowerLaw, KocksMecking]:
    found, p = systems("fcc", families=["octahedral"]), crystal["parameters"]
    mandel = np.einsum("aij,sij->sa", MANDEL, found.schmid)
    stiffness = to_mandel(np.array(crystal["stiffness_voigt_11_22_33_23_13_12"], float))
    law = KocksMecking(
        found,
        tau0=p["tau0_T"][0],
        k1=p["k1"],
        drag=p["D_drag_MPa"],
        activation=p["g_normalised_activation"],
        shear_modulus=np.einsum("sa,ab,sb->s", mandel, stiffness, mandel),
        burgers=p["b"],
        density=p["rho_system_0"],
        chi=p["chi_forest"],
        rate0=p["edot0"],
        debris=p["rho_debris_0"],
        chi_debris=p["chi_sub"],
        debris_factor=p["f_debris"][0],
    )
    return PowerLaw(
        found, law.start(torch.zeros(1, 12, dtype=torch.float64))["strength"][0].numpy(), p["n"], 1.0
    ), law


def solve_case(folder: Path, name: str, *, order: str = "vpsc", **options):
    """The Path of a case with its own time integration; `order` of the twin visits, further options for deform."""
    case = json.loads((folder / name / "case.json").read_text())
    law, hardening, rules = _crystal(case, name)
    orientations, weights = _texture(folder / name / case["texture"])
    process, scheme = case["process"], case["scheme"]
    interaction = SCHEME.get(scheme["interaction"], scheme["interaction"])
    if rules is not None:
        rules = Reorientation(
            rules.systems,
            rules.threshold,
            rules.twin_shear,
            rules.about,
            rules.secondary,
            order,
            rules.soften,
        )
    options = {"quadrature": VPSC, **options}
    return deform(
        law,
        hardening,
        orientations,
        weights=weights,
        loading=case_loading(process),
        increment=process["strain_increment_of_control_component"],
        steps=process["nsteps"],
        control=process["control_component"],
        scheme=interaction,
        reorientation=rules,
        n_eff=scheme["n_eff"] if interaction == "n_eff" else None,
        update_shape=scheme.get("update_grain_shape", False),
        temperature=process["temperature_K"],
        rate_insensitive="modes" not in case["crystal"],
        **options,
    )


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
    relative = ours @ quaternion_to_matrix(_texture(path)[0]).swapaxes(1, 2)
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
    orientations, weights = _texture(folder / name / case["texture"])
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
