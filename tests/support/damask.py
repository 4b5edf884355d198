"""Reference cases of DAMASK: what went in, as records of the package (MPa, our systems), and the results.

| symbol | meaning | shape |
|---|---|---|
| orientations | crystal_to_sample of every entry of `material` | (G, 3, 3) |
| grain_id | row of the orientations in every voxel, axes x, y, z | (nx, ny, nz) |
| slip, twin | column of DAMASK's slip or twin system for each of ours | (S_slip,), (S_twin,) |
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography import systems
from cpml.crystallography.elasticity import crystal_stiffness
from cpml.crystallography.interactions import interaction_matrix
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems, direction_vector, plane_normal
from cpml.plasticity import ElasticCrystal, Phenopowerlaw, PowerLaw, Saturation, TwinFraction
from cpml.plasticity.laws.strength.hardening import Hardening
from cpml.safe_yaml import read_yaml

_PA = 1e-6  # MPa
_LATTICES = {"cF": "fcc", "hP": "hcp"}
_SLIP = {
    "cF": ("octahedral",),
    "hP": ("basal", "prismatic", "pyramidal1_a", "pyramidal1_ca", "pyramidal2_ca"),
}
_TWIN = {"cF": ("twin",), "hP": ("twin_1012", "twin_1121", "twin_1011", "twin_1122")}
_FCC_TYPES = ("self", "coplanar", "collinear", "hirth", "glissile", "glissile_reverse", "lomer")


@dataclass(frozen=True)
class LoadStep:
    """One load step; NaN where the other condition holds."""

    kind: str  # "dot_F" or "L"
    rate: NDArray  # (3, 3) 1/s
    stress: NDArray  # (3, 3) first Piola-Kirchhoff, MPa
    time: float  # s
    increments: int
    stored_every: int

    @property
    def dt(self) -> float:
        """Length of an increment, s."""
        return self.time / self.increments

    def gradients(self) -> NDArray:
        """(N, 3, 3) F at the ends of the increments; NaN where stresses are prescribed (of dot_F loads)."""
        if self.kind == "L":  # stepped explicitly
            step = np.eye(3) + self.dt * self.rate
            return np.array([np.linalg.matrix_power(step, k + 1) for k in range(self.increments)])
        return np.eye(3) + self.dt * np.arange(1, self.increments + 1)[:, None, None] * self.rate


@dataclass(frozen=True)
class Case:
    """One reference case (module docstring)."""

    folder: Path
    crystal: ElasticCrystal
    hardening: Hardening
    orientations: NDArray
    grain_id: NDArray
    size: NDArray
    steps: tuple[LoadStep, ...]

    @property
    def law(self) -> PowerLaw:
        """Flow law with the initial strengths."""
        return self.crystal.law

    @property
    def systems(self) -> Systems:
        """Slip systems, then twins."""
        return self.law.systems

    @cached_property
    def result(self) -> dict[str, NDArray]:
        """Arrays of result.npz as they are: Pa, DAMASK's order of the systems."""
        with np.load(self.folder / "result.npz") as file:
            return dict(file)

    def of_systems(self, name: str) -> NDArray:
        """(..., S) `name`_sl and `name`_tw in our order, e.g. "gamma", "last_gamma" or "xi" (MPa);
        "gamma_mean" for the means.
        """
        stem, mean = (name.removesuffix("_mean"), "_mean") if name.endswith("_mean") else (name, "")
        slip = self.result[f"{stem}_sl{mean}"][..., self._order("systems_sl", self.systems.slip)]
        parts = [slip]
        if self.systems.twin.any():
            parts.append(self.result[f"{stem}_tw{mean}"][..., self._order("systems_tw", self.systems.twin)])
        return np.concatenate(parts, axis=-1) * (_PA if "xi" in stem else 1.0)

    def stress(self, name: str) -> NDArray:
        """A stress of the result, e.g. "P", "last_P" or "sigma_mean", MPa."""
        return self.result[name] * _PA

    def _order(self, key: str, mask: NDArray) -> NDArray:
        """Column of DAMASK's system for each of ours: the same dyad, of slip up to its sign."""
        theirs = np.array([self._dyad(text) for text in self.result[key]])
        match = np.einsum("sij,tij->st", self.systems.dyad[mask], theirs)
        match = match if self.systems.twin[mask].all() else np.abs(match)
        order = match.argmax(axis=1)
        assert np.allclose(match.max(axis=1), 1, atol=1e-6) and len(set(order)) == len(order)
        return order

    def _dyad(self, text: str) -> NDArray:
        direction, plane = (
            [int(i) for i in part.split()] for part in re.fullmatch(r"\[(.*)\]\((.*)\)", text).groups()
        )
        lattice, ratio = self.systems.lattice, self.systems.c_over_a
        b, n = direction_vector(direction, lattice, ratio), plane_normal(plane, lattice, ratio)
        return np.outer(b / np.linalg.norm(b), n / np.linalg.norm(n))


def read_case(folder: Path) -> Case:
    """A case folder: material.yaml, geometry.npz, load.yaml; result.npz when it is asked for."""
    material, load = read_yaml(folder / "material.yaml"), read_yaml(folder / "load.yaml")
    (phase,) = material["phase"].values()
    elastic, plastic = phase["mechanical"]["elastic"], phase["mechanical"]["plastic"]
    used, law = _law(phase["lattice"], phase.get("c/a"), plastic)
    stiffness = crystal_stiffness(
        {k.replace("_", ""): v * _PA for k, v in elastic.items() if k.startswith("C_")}
    )
    with np.load(folder / "geometry.npz") as file:
        grain_id, size, quaternion = file["grain_id"], file["size"], file["quaternion"]
    return Case(
        folder,
        ElasticCrystal(law, stiffness),
        _hardening(law, plastic, used),
        quaternion_to_matrix(quaternion),
        grain_id,
        size,
        tuple(_step(step) for step in load["loadstep"]),
    )


def _law(lattice: str, c_over_a: float | None, plastic: dict) -> tuple[dict, PowerLaw]:
    """Positions of the families in DAMASK's lists, and the flow law."""
    used = {
        "sl": [i for i, count in enumerate(plastic["N_sl"]) if count],
        "tw": [i for i, count in enumerate(plastic.get("N_tw", [])) if count],
    }
    names = [_SLIP[lattice][i] for i in used["sl"]] + [_TWIN[lattice][i] for i in used["tw"]]
    rates = {plastic[f"dot_gamma_0_{kind}"][i] for kind in used for i in used[kind]}
    exponents = {plastic[f"n_{kind}"][i] for kind in used for i in used[kind]}
    assert len(rates) == len(exponents) == 1, "one exponent and one reference rate for all systems"
    strength = [plastic[f"xi_0_{kind}"][i] * _PA for kind in used for i in used[kind]]
    chosen = systems(_LATTICES[lattice], families=names, c_over_a=c_over_a)
    return used, PowerLaw(chosen, strength, exponents.pop(), rates.pop())


def _hardening(law: PowerLaw, plastic: dict, used: dict) -> Hardening:
    chosen, count = law.systems, len(law.systems)
    has_twins = bool(used["tw"])

    def families(key: str, scale: float = 1.0, twins: float = 1.0) -> list[float]:
        return [plastic[key][i] * scale for i in used["sl"]] + [twins] * len(used["tw"])

    def same(key: str) -> float:
        (value,) = set(plastic[key])  # other matrices by type are not in these cases
        return value

    types = plastic["h_sl-sl"]
    latent = np.full((count, count), types[0])
    if chosen.lattice == "fcc":
        latent = interaction_matrix(chosen, dict(zip(_FCC_TYPES, types, strict=True)))
    else:
        latent[:] = same("h_sl-sl")
    saturations = set(plastic["f_sat_sl-tw"][i] for i in used["sl"]) if has_twins else {0.0}
    slip = Saturation(
        chosen,
        families("h_0_sl-sl", _PA, twins=0.0),
        families("xi_inf_sl", _PA),
        families("a_sl"),
        latent,
        twin_saturation=saturations.pop() * _PA,
    )
    if not has_twins:
        return slip
    (h0_by_slip,), (h0_by_twin,) = plastic["h_0_tw-sl"], plastic["h_0_tw-tw"]
    pheno = Phenopowerlaw(
        chosen,
        slip,
        slip_by_twin=same("h_sl-tw") * _PA,
        twin_by_slip=h0_by_slip * same("h_tw-sl") * _PA,
        twin_by_twin=h0_by_twin * same("h_tw-tw") * _PA,
    )
    return TwinFraction(chosen, pheno, float(law.n), slip=False)


def _step(step: dict) -> LoadStep:
    conditions, times = step["boundary_conditions"]["mechanical"], step["discretization"]
    kind = "L" if "L" in conditions else "dot_F"
    free = [["x"] * 3] * 3
    return LoadStep(
        kind,
        _numbers(conditions[kind]),
        _numbers(conditions.get("P", free)) * _PA,
        float(times["t"]),
        int(times["N"]),
        int(step.get("f_out", 1)),
    )


def _numbers(rows: list[list]) -> NDArray:
    return np.array([[np.nan if value == "x" else float(value) for value in row] for row in rows])
