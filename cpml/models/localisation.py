"""From the macroscopic load to the stress of a grain that nobody measured.

Every grain sits in an isotropic medium that lets it deviate from the mean; one learned number w says how much:

    w (D_g(s_g) - D) + (1 - w) (s_g / S - Sigma) = 0,        D_g = sum_s P_s |tau_s / x_s|^(n-1) tau_s / x_s

w = 1 is Taylor (every grain strains like the specimen), w = 0 is Sachs (every grain carries the same stress); D and
Sigma are the directions of the macroscopic strain rate and stress, S the mean stress along Sigma. What remains is
scatter that no neighbour-blind law explains: sigma_gk = s_g / S + s_eta eta_k with eta_k ~ N(0, I) in the 5-dimensional
deviator space. Without it the strengths absorb the scatter and come out wrong by tens of percent. The draws eta_k are
quasi-random and fixed, so training is deterministic, and turn with the specimen (load axis, surface normal), so that
rotating everything leaves every prediction unchanged.

Gradients are those of the converged solution (implicit function theorem), not of its iterations.

| symbol | meaning | unit | shape |
|---|---|---|---|
| s_g | deviatoric stress of a grain | strength unit | (G, 5) |
| x_s | strength relative to a reference | - | (S,) |
| P_s | Schmid tensor in the sample frame | - | (G, S, 5) |
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import qmc
from torch import Tensor

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.systems import Systems
from cpml.plasticity.basis import rotation_5x5, to_vector

MAX_ITERATIONS = 80
TOLERANCE = 1e-9
STEP = 0.3  # largest change of any tau / x in one Newton step, relative to the largest tau / x of the grain


def stress_draws(n_draws: int, seed: int) -> np.ndarray:
    """(K, 5) quasi-random normal deviates, mean zero exactly (antithetic pairs)."""
    half = qmc.MultivariateNormalQMC(mean=np.zeros(5), rng=np.random.default_rng(seed)).random(n_draws // 2)
    return np.concatenate([half, -half])


def specimen_frame(stress: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) whose columns are: main stress axis, its partner, and the axis closest to the surface normal.

    For a load along z any in-plane axis serves; x is taken.
    """
    value, vector = np.linalg.eigh(stress)
    first = vector[:, np.abs(value - np.trace(stress) / 3).argmax()]
    first = first * np.sign(first[np.abs(first).argmax()])
    surface = np.array([0.0, 0.0, 1.0]) if abs(first[2]) < 0.99 else np.array([1.0, 0.0, 0.0])
    third = surface - (surface @ first) * first
    third /= np.linalg.norm(third)
    return np.column_stack([first, np.cross(third, first), third])


def schmid_vectors(systems: Systems, quaternions: np.ndarray) -> np.ndarray:
    """(G, S, 5) Schmid tensors of every grain in the sample frame."""
    turn = rotation_5x5(quaternion_to_matrix(quaternions))
    return np.einsum("gij,sj->gsi", turn, systems.schmid5)


@dataclass(frozen=True)
class Medium:
    """What the localisation of one specimen needs, as tensors."""

    schmid: Tensor  # (G, S, 5)
    twin: Tensor  # (S,) bool
    rate: Tensor  # (5,) direction of the macroscopic strain rate, length 1
    stress: Tensor  # (5,) direction of the macroscopic stress, length 1
    weight: Tensor  # (G,) area fractions, sum 1
    draws: Tensor  # (K, 5)

    @classmethod
    def of(cls, specimen, *, n_draws: int, seed: int) -> "Medium":
        """Tensors of a `Specimen` (its load and areas)."""
        stress, rate = to_vector(specimen.load.stress), to_vector(specimen.load.rate_direction)
        turn = rotation_5x5(specimen_frame(specimen.load.stress))
        area = specimen.grains["n_pixels"].to_numpy(dtype=float)
        return cls(
            torch.tensor(schmid_vectors(specimen.systems, specimen.quaternions)),
            torch.tensor(specimen.systems.twin),
            torch.tensor(rate / np.linalg.norm(rate)),
            torch.tensor(stress / np.linalg.norm(stress)),
            torch.tensor(area / area.sum()),
            torch.tensor(stress_draws(n_draws, seed) @ turn.T),
        )

    def grain_stress(self, log_strength: Tensor, n: Tensor, w: Tensor) -> tuple[Tensor, bool]:
        """Stress of every grain over the mean stress, (G, 5), differentiable, and whether the solver converged.

        Parameters
        ----------
        log_strength : (S,) log x_s
        n, w : exponent, and interaction between Sachs (0) and Taylor (1)
        """
        with torch.no_grad():
            stress, mean, converged = self._solve(log_strength, n, w)
        residual, jacobian = self._residual(stress, mean, log_strength, n, w)
        jacobian = jacobian.detach()
        # implicit derivative with the mean stress as one more unknown: value unchanged, gradient exact
        step = -torch.linalg.solve(jacobian, residual)
        pull = torch.linalg.solve(jacobian, -(1 - w.detach()) * stress / mean**2)
        shift = self._along(step) / (1 + self._along(pull))
        stress = stress + step - pull * shift
        return stress / (mean + shift), converged

    def local_stress(
        self, log_strength: Tensor, n: Tensor, w: Tensor, scatter: Tensor
    ) -> tuple[Tensor, bool]:
        """Drawn stresses (G, K, 5) of every grain, in units of the mean stress."""
        stress, converged = self.grain_stress(log_strength, n, w)
        return stress[:, None, :] + scatter * self.draws, converged

    def _along(self, stress: Tensor) -> Tensor:
        """Mean over grains of the component along the macroscopic stress."""
        return self.weight @ (stress @ self.stress)

    def _residual(self, stress, mean, log_strength, n, w):
        x = torch.einsum("gsi,gi->gs", self.schmid, stress) * torch.exp(-log_strength)
        x = torch.where(self.twin, x.clamp(min=0.0), x)
        slope = x.abs() ** (n - 1)
        rate = torch.einsum("gs,gsi->gi", slope * x, self.schmid)
        residual = w * (rate - self.rate) + (1 - w) * (stress / mean - self.stress)
        tangent = torch.einsum(
            "gs,gsi,gsj->gij", n * slope * torch.exp(-log_strength), self.schmid, self.schmid
        )
        # a small share of the trace keeps crystals with fewer than five loaded systems solvable
        soft = (1 - w) / mean + 1e-9 * (1 + tangent.diagonal(dim1=1, dim2=2).sum(1))
        return residual, w * tangent + soft[:, None, None] * torch.eye(5, dtype=stress.dtype)

    def _solve(self, log_strength, n, w):
        """Damped Newton per grain from a stress of the right size, mean stress updated after each step."""
        stress = self._first_guess(log_strength, n)
        mean = self._along(stress)
        for _ in range(MAX_ITERATIONS):
            residual, jacobian = self._residual(stress, mean, log_strength, n, w)
            if residual.abs().max() < TOLERANCE:
                return stress, mean, True
            step = -torch.linalg.solve(jacobian, residual)
            x, dx = (
                torch.einsum("gsi,gi->gs", self.schmid, v) * torch.exp(-log_strength) for v in (stress, step)
            )
            largest = x.abs().amax(1).clamp(min=0.5)
            damping = (STEP * largest / dx.abs().amax(1).clamp(min=1e-12)).clamp(max=1.0)
            stress = stress + damping[:, None] * step
            mean = self._along(stress).clamp(min=0.05)
        return stress, mean, False

    def _first_guess(self, log_strength, n):
        """The macroscopic stress direction, scaled in each grain so that the law's power is that of the mean strain."""
        direction = self.stress.expand(len(self.schmid), 5)
        x = torch.einsum("gsi,gi->gs", self.schmid, direction) * torch.exp(-log_strength)
        x = torch.where(self.twin, x.clamp(min=0.0), x).abs()
        largest = x.amax(1, keepdim=True).clamp(min=1e-6)
        # |x|^(n+1) in units of its largest member: no overflow whatever the strengths
        power = ((x / largest) ** (n + 1) * torch.exp(log_strength)).sum(1)
        wanted = (self.stress @ self.rate).clamp(min=1e-3)
        scale = (wanted / power.clamp(min=1e-12)) ** (1 / n) * largest[:, 0] ** (-(n + 1) / n)
        return direction * scale.clamp(1e-3, 1e3)[:, None]
