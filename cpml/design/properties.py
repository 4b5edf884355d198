"""Yield stress and r-value of textures under Taylor: linear in the weights at a given lateral strain ratio.

Tension along x of a sheet with width y and normal z; q shares the lateral strain:

    D(q) = rate diag(1, -q, -(1-q)),      r = d_width / d_thickness = q / (1-q)
    yield stress = <s11> - (<s22> + <s33>)/2        free edges: <s22> = <s33>, <s12> = <s13> = <s23> = 0

s_g(q) is the stress of crystal g at D(q), independent of the texture, so each condition is linear in
the weights. With orthotropic copies the shear conditions hold identically. W(q) = <s_g : D(q)> is
convex and its minimum is the free edge.

References: Hosford & Backofen 1964; Adams et al. 2001, J. Mech. Phys. Solids 49:1639
(hulls of single-crystal points).
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import rotation_5x5, to_matrix, to_vector
from cpml.errors import CpmlError, ParameterError
from cpml.load import Load
from cpml.plasticity.crystal.single_crystal import single_crystal
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.mean_field import mean_field
from cpml.plasticity.polycrystal.taylor import yield_vertices

Q_RANGE = (1e-3, 1 - 1e-3)  # r from 0.001 to 999


def strain_rate(q: float) -> NDArray:
    """(3, 3) strain rate of unit axial rate with lateral share q."""
    return np.diag([1.0, -q, q - 1.0])


def q_of_r(r: float) -> float:
    """Lateral share q = r / (1 + r)."""
    return r / (1 + r)


@dataclass
class CrystalPoints:
    """Single-crystal stresses on a grid for any q, each solved once, from the stresses of the last one."""

    law: PowerLaw
    quaternions: NDArray  # (G, 4)
    sample_symmetry: str = "orthotropic"
    _last: torch.Tensor | None = field(default=None, init=False)
    _known: dict[float, tuple[NDArray, NDArray]] = field(default_factory=dict, init=False)

    def stress(self, q: float) -> NDArray:
        """(G, 3, 3) deviatoric stress, MPa, at an axial rate equal to the reference rate of the law."""
        rate = strain_rate(q) * float(self.law.reference_rate)
        solved = single_crystal(self.law, rate, self.quaternions, start=self._last)
        if not bool(solved.converged.all()):
            raise CpmlError(
                f"{int((~solved.converged).sum())} of {len(self.quaternions)} crystals did not converge at "
                f"q = {q:.3f}: a family that shortens the c axis may be missing"
            )
        self._last = solved.stress.detach()
        return to_matrix(self._last).numpy()

    def rows(self, q: float) -> tuple[NDArray, NDArray]:
        """Yield stress (G,) and the conditions (m, G) that must average to zero, MPa."""
        if q not in self._known:
            self._known[q] = self._solve_rows(q)
        return self._known[q]

    def _solve_rows(self, q: float) -> tuple[NDArray, NDArray]:
        s = self.stress(q)
        conditions = [s[:, 1, 1] - s[:, 2, 2]]
        if self.sample_symmetry == "triclinic":
            conditions += [s[:, 1, 2], s[:, 0, 2], s[:, 0, 1]]
        return s[:, 0, 0] - (s[:, 1, 1] + s[:, 2, 2]) / 2, np.array(conditions)


def texture_properties(
    law: PowerLaw, quaternions: NDArray, weights: NDArray | None = None
) -> dict[str, float]:
    """yield_stress_mpa and r_value of an orthotropic texture (G, 4) by the free edge
    <s22> = <s33>, solved for q.

    Raises
    ------
    CpmlError : no free edge for r between 0.001 and 999
    """
    points, count = CrystalPoints(law, quaternions), len(quaternions)
    shares = np.full(count, 1 / count) if weights is None else weights / np.sum(weights)

    def lateral(q: float) -> float:
        return float(points.rows(q)[1][0] @ shares)

    low, high = lateral(Q_RANGE[0]), lateral(Q_RANGE[1])
    if low * high > 0:
        raise CpmlError(
            "this texture has no free edge with r between 0.001 and 999: its r-value is outside the range"
        )
    q = brentq(lateral, *Q_RANGE, xtol=1e-13)
    return {"yield_stress_mpa": float(points.rows(q)[0] @ shares), "r_value": q / (1 - q)}


def free_edge_properties(law: PowerLaw, quaternions: NDArray) -> dict[str, float]:
    """Yield stress and r-value of equal grains by mean_field with all lateral
    conditions free (shears included).
    """
    load = Load.from_dict({"kind": "tension", "axis": "x", "rate": float(law.reference_rate)})
    field = mean_field(law, quaternions, loading=load, lateral="free")
    rate = to_matrix(field.rate).numpy()
    return {"yield_stress_mpa": float(field.von_mises), "r_value": float(rate[1, 1] / rate[2, 2])}


def rate_independent_properties(law: PowerLaw, quaternions: NDArray) -> dict[str, float]:
    """The same two numbers in the limit n -> infinity: minimum over q of the exact
    plastic work (linear programmes).
    """
    strength = law.system_strength.detach().numpy()
    if strength.ndim != 1:
        raise ParameterError("strengths per grain are not supported here: give one per family")
    vertices = yield_vertices(law.systems, strength)
    turn = rotation_5x5(quaternion_to_matrix(quaternions))

    def work(q: float) -> float:
        return float(((to_vector(strain_rate(q)) @ turn) @ vertices.T).max(axis=1).mean())

    best = minimize_scalar(work, bounds=Q_RANGE, method="bounded", options={"xatol": 1e-8})
    return {"yield_stress_mpa": float(best.fun), "r_value": float(best.x / (1 - best.x))}
