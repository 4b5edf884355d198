"""Crystals of a grid along the strain path of a sheet in tension, each on its own: what goals are linear in.

Under Taylor every crystal has the strain rate rate diag(1, -q, q - 1) of the sheet, q = r/(1 + r), whatever
the texture. So its stress, strengths, lattice and twins follow from its orientation alone, and averages over
a texture are linear in its weights:

    stress at a strain     <s11 - (s22 + s33)/2>         twin fraction <f>,   grains that twinned <f > 5 %>
    free edges             <s22 - s33> = 0, averaged over the path

| symbol | meaning | shape |
|---|---|---|
| eps | axial strains of the path, from 0 | (N,) |
| stress, edge | of every crystal, MPa | (N, G) |
| twins | twinned fraction of every crystal | (N, G) |
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.crystallography.elasticity import crystal_stiffness, rotation_6x6, to_mandel
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import to_matrix, to_vector, von_mises_rate
from cpml.design.goals import OTHER_LOADS, Goal
from cpml.design.properties import strain_rate
from cpml.errors import CpmlError
from cpml.plasticity.crystal.single_crystal import single_crystal
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.shifted import with_state
from cpml.plasticity.laws.spin import slip_spin, turn
from cpml.plasticity.laws.strength.hardening import Hardening

TWINNED = 0.05
"""Twinned fraction above which a grain counts as one that twins."""
STEP = 0.005
"""Axial strain of an increment, at most."""


@dataclass(frozen=True)
class CrystalPaths:
    """Crystals along the path at one q (module docstring)."""

    strain: NDArray
    stress: NDArray
    edge: NDArray
    twins: NDArray

    def row(self, goal: Goal) -> NDArray:
        """(G,) what a goal averages."""
        if goal.key == "yield_stress_mpa":
            return self.stress[0]
        values = {
            "stress_mpa": self.stress,
            "twin_fraction": self.twins,
            "twinned_grains": self.twins > TWINNED,
        }
        rows = np.asarray(values[goal.key], float)
        k = np.clip(np.searchsorted(self.strain, goal.strain), 1, len(self.strain) - 1)
        share = (goal.strain - self.strain[k - 1]) / (self.strain[k] - self.strain[k - 1])
        return (1 - share) * rows[k - 1] + share * rows[k]

    @property
    def free_edge(self) -> NDArray:
        """(G,) s22 - s33 averaged over the path, MPa."""
        if len(self.strain) == 1:
            return self.edge[0]
        return np.trapezoid(self.edge, self.strain, axis=0) / self.strain[-1]


def crystal_paths(
    law: PowerLaw,
    hardening: Hardening,
    quaternions: NDArray,
    q: float,
    *,
    strain: float,
    temperature: float,
) -> CrystalPaths:
    """Solve crystals (G, 4) to an axial strain; 0: the start alone.

    Raises
    ------
    CpmlError : crystals that do not converge
    """
    steps = int(np.ceil(strain / STEP)) if strain > 0 else 0
    rate = strain_rate(q) * float(law.reference_rate)
    matrices = torch.as_tensor(quaternion_to_matrix(quaternions))
    state = hardening.start(law.system_strength.expand(len(matrices), len(law.systems)))
    twin, axes = law.systems.twin, slip_spin(law.systems)
    per_shear = np.where(twin, 1 / np.where(twin, law.systems.twin_shear, 1.0), 0.0)
    fraction, start, rows = np.zeros(len(matrices)), None, []
    dt = strain / max(steps, 1) / float(law.reference_rate)
    size = float(von_mises_rate(torch.as_tensor(to_vector(rate))))
    still = torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        for k in range(steps + 1):
            solved = single_crystal(with_state(law, state), rate, matrices, start=start, tol=1e-8)
            if not bool(solved.converged.all()):
                raise CpmlError(
                    f"{int((~solved.converged).sum())} of {len(matrices)} crystals did not converge at "
                    f"q = {q:.3f}: a family that shortens the c axis may be missing"
                )
            start, s = solved.stress, to_matrix(solved.stress).numpy()
            rows.append(
                (s[:, 0, 0] - (s[:, 1, 1] + s[:, 2, 2]) / 2, s[:, 1, 1] - s[:, 2, 2], fraction.copy())
            )
            if k == steps:
                break
            shear = solved.shear_rate * dt
            fraction = np.minimum(fraction + shear.numpy() @ per_shear, 1.0)
            state = hardening.harden(state, solved.shear_rate, dt, rate=size, temperature=temperature)
            matrices = turn(matrices, solved.shear_rate, axes, still, None, None, dt)
    stress, edge, twins = (np.array(column) for column in zip(*rows, strict=True))
    return CrystalPaths(np.linspace(0.0, strain, steps + 1), stress, edge, twins)


def apart_yield(law: PowerLaw, quaternions: NDArray, goal: Goal) -> NDArray:
    """(G,) stress of crystals, MPa, under the axisymmetric rate of another load than tension along x. How it
    changes with orientation matters: paths correct the rest.
    """
    axis, sign = OTHER_LOADS[goal.key]
    rate = sign * np.where(np.arange(3) == axis, 1.0, -0.5) * float(law.reference_rate)
    matrices = torch.as_tensor(quaternion_to_matrix(quaternions))
    with torch.no_grad():
        stress = to_matrix(single_crystal(law, np.diag(rate), matrices, tol=1e-8).stress).numpy()
    normal = np.diagonal(stress, axis1=1, axis2=2)
    return sign * (1.5 * normal[:, axis] - 0.5 * normal.sum(1))


def crystal_moduli(elastic: Mapping[str, float], quaternions: NDArray) -> NDArray:
    """(G,) Young's modulus of free crystals along x, GPa, of constants in MPa."""
    turn = rotation_6x6(quaternion_to_matrix(quaternions))
    stiffness = turn @ to_mandel(crystal_stiffness(elastic)) @ turn.swapaxes(-1, -2)
    return 1e-3 / np.linalg.inv(stiffness)[:, 0, 0]
