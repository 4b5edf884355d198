"""Reference cases of VPSC8 as this package's input: crystal, texture, process and scheme
of a folder, solved as a path.

A case is a folder with case.json (crystal, process, scheme), steps.csv (one row per solved state),
texture_final.csv and, where written, grains_first.csv and dislocation_density.csv; textures are Bunge angles
in degrees, sample to crystal.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cpml.crystallography import euler_to_quaternion, systems
from cpml.crystallography.elasticity import MANDEL, to_mandel
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.strength.hardening import Voce
from cpml.plasticity.laws.strength.kocks_mecking import KocksMecking
from cpml.plasticity.laws.twins.reorientation import Reorientation
from cpml.plasticity.paths.deform import deform
from cpml.plasticity.polycrystal.eshelby import VPSC

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


def case_names(folder: Path) -> tuple[str, ...]:
    """Cases in a folder, sorted."""
    return tuple(sorted(path.parent.name for path in Path(folder).glob("*/case.json")))


def texture(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Orientations (G, 4) and weights (G,) of a case's table of Bunge angles in degrees."""
    import pandas as pd

    table = pd.read_csv(path)
    euler = np.deg2rad(table[["phi1", "Phi", "phi2"]].to_numpy())
    return euler_to_quaternion(euler), table["weight"].to_numpy()


def case_loading(process: dict) -> Conditions:
    """Mixed conditions of a case's process."""
    gradient, stress = np.array(process["velocity_gradient"]), process.get("cauchy_stress", np.zeros((3, 3)))
    rates = np.array(process["velocity_gradient_imposed_flags"], bool)
    stresses = np.array(process["cauchy_stress_imposed_flags"], bool)
    return Conditions.mixed(
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
    thresholds, secondary = (twins[0]["thres1"], twins[0]["thres2"]), twins[0]["secondary_twinning_allowed"]
    return law, hardening, Reorientation(found, thresholds, shear, about, secondary, soften=0.5)


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
    """The Path of a case with its own time integration; `order` of the twin
    visits, further options for deform.
    """
    case = json.loads((folder / name / "case.json").read_text())
    law, hardening, rules = _crystal(case, name)
    orientations, weights = texture(folder / name / case["texture"])
    process, scheme = case["process"], case["scheme"]
    interaction = SCHEME.get(scheme["interaction"], scheme["interaction"])
    if rules is not None:
        rules = replace(rules, order=order)
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
        n_eff=scheme.get("n_eff") if interaction == "n_eff" else None,  # None: 10, as in `mean_field`
        update_shape=scheme.get("update_grain_shape", False),
        temperature=process["temperature_K"],
        rate_insensitive="modes" not in case["crystal"],
        **options,
    )
