"""From the macroscopic load to the stress of a grain that nobody measured.

A grain's stress follows from the load, from the law in all other grains, and from what is left unexplained:

    sigma_gk = Sigma + lambda (s_g(xi) - Sigma) + sum_i c_i T_gi + s_eta eta_k

s_g(xi) is the grain's mean stress under one scheme of `cpml.models.mechanics.grain_stress`. Mean fields
are solved at every step of the training, with the analytic gradient of `cpml.plasticity`. The full field
is too slow for that and has no gradient: it is linearised in the log strengths about a point x0 of a
fixed grid, and solved again where training arrives, so that iterations cost no mechanics and the folds
of a cross-validation share it:

    s_g(xi) = s_g(x0) + sum_k J_gk (log xi_k - x0_k),    J_gk difference quotients

lambda (1: believe the scheme, 0: Sachs) and c_i are learned. The T_gi are tensors that neighbours h with
boundary share w_gh and in-plane boundary normal nu exert, built from tensors and invariants only, so that
turning everything turns them too; their mean over the specimen is zero exactly. They are built at x0:

    T_1 = sum_h w_gh (s_h - s_g)              T_2 = sum_h w_gh dev sym((s_h - s_g) nu x nu)
    T_3 = sum_h w_gh (d_h - d_g)              T_4 = sum_h w_gh sum_su m'_su a_hu sgn(tau_gs) P_gs

The scatter eta_k ~ N(0, I) in the 5-dimensional deviator space is stress that nothing explains; without it
the strengths absorb it and come out wrong by tens of percent. Its draws are quasi-random and fixed, so
training is deterministic, and turn with the specimen (load axis, surface normal).

| symbol | meaning | unit | shape |
|---|---|---|---|
| s_g, Sigma | deviatoric stress of a grain, of the specimen | mean stress along the load | (G, 5) |
| Gamma_g | total shear of a grain over the specimen's mean | - | (G,) |
| P_s | Schmid tensor in the sample frame | - | (G, S, 5) |
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc
from torch import Tensor

from cpml.crystallography.tensors import rotation_5x5
from cpml.models.mechanics.grain_stress import (
    DIFFERENTIABLE,
    GrainState,
    grain_state,
    load_direction,
    relative_to_mean,
    solve_mean_field,
)
from cpml.models.mechanics.neighbourhood import pulls
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.polycrystal.motion import schmid_vectors
from cpml.plasticity.polycrystal.response import MeanField

SURFACE = (
    1.0,
    1.0,
    0.0,
    0.0,
    1.0,
)  # no traction on it: sigma_xz = sigma_yz = 0, the third and fourth component


def grid_point(log_strength: NDArray, numerics: Numerics = STANDARD) -> NDArray:
    """(K,) log strengths relative to their mean, rounded to the grid on which the schemes are solved."""
    log_x = np.asarray(log_strength, float)
    return numerics.spacing * np.round((log_x - log_x.mean()) / numerics.spacing)


def stress_draws(n_draws: int, seed: int) -> NDArray:
    """(K, 5) quasi-random normal deviates, mean zero exactly (antithetic pairs)."""
    half = qmc.MultivariateNormalQMC(mean=np.zeros(5), rng=np.random.default_rng(seed)).random(n_draws // 2)
    return np.concatenate([half, -half])


def specimen_frame(stress: NDArray) -> NDArray:
    """Rotation (3, 3) whose columns are: main stress axis, its partner, and the axis
    closest to the surface normal.

    For a load along z any in-plane axis serves; x is taken.
    """
    value, vector = np.linalg.eigh(stress)
    first = vector[:, np.abs(value - np.trace(stress) / 3).argmax()]
    first = first * np.sign(first[np.abs(first).argmax()])
    surface = np.array([0.0, 0.0, 1.0]) if abs(first[2]) < 0.99 else np.array([1.0, 0.0, 0.0])
    third = surface - (surface @ first) * first
    third /= np.linalg.norm(third)
    return np.column_stack([first, np.cross(third, first), third])


@dataclass(frozen=True)
class LinearResponse:
    """Stress and total shear of every grain, linear in the log strengths about one point."""

    centre: Tensor  # (K,) log strengths of the linearisation, mean zero
    stress: Tensor  # (G, 5)
    stress_slope: Tensor  # (K, G, 5)
    log_total: Tensor  # (G,)
    total_slope: Tensor  # (K, G)
    all_converged: bool  # of the scheme, at the centre and beside it

    @classmethod
    def of(
        cls, specimen: Specimen, centre: NDArray, scheme: str, base: GrainState, numerics: Numerics = STANDARD
    ) -> "LinearResponse":
        """Slopes by difference quotients from ``base``, the state at the
        centre, for every family that shears.
        """
        stress_slope = np.zeros((len(centre), *base.stress.shape))
        total_slope = np.zeros((len(centre), len(specimen)))
        converged = base.converged
        for k in np.flatnonzero(base.family_share > numerics.idle):
            beside = centre + numerics.step * np.eye(len(centre))[k]
            moved = grain_state(specimen, beside, scheme, numerics=numerics, start=base.start)
            converged &= moved.converged
            stress_slope[k] = (moved.stress - base.stress) / numerics.step
            total_slope[k] = (moved.log_total - base.log_total) / numerics.step
        return cls(
            centre=torch.tensor(centre),
            stress=torch.tensor(base.stress),
            stress_slope=torch.tensor(stress_slope),
            log_total=torch.tensor(base.log_total),
            total_slope=torch.tensor(total_slope),
            all_converged=converged,
        )

    def __call__(self, log_strength: Tensor) -> tuple[Tensor, Tensor]:
        """Stress (G, 5) and log of the total shear (G,) at log strengths (K,); a
        common factor changes nothing.
        """
        shift = log_strength - log_strength.mean() - self.centre
        stress = self.stress + torch.einsum("k,kgi->gi", shift, self.stress_slope)
        return stress, self.log_total + torch.einsum("k,kg->g", shift, self.total_slope)

    def converged(self, log_strength: Tensor) -> bool:
        """Whether the solutions behind the line did, wherever it is asked."""
        return self.all_converged


@dataclass(frozen=True)
class MeanFieldResponse:
    """Stress and total shear of every grain in a mean field, solved at every
    question, with its analytic gradient.
    """

    specimen: Specimen
    scheme: str  # of grain_stress.DIFFERENTIABLE
    start: Any  # a nearby solution
    numerics: Numerics = STANDARD

    def __call__(self, log_strength: Tensor) -> tuple[Tensor, Tensor]:
        """Stress (G, 5) and log of the total shear (G,) at log strengths (K,); a
        common factor changes nothing.
        """
        solved = self._solved(log_strength)
        total = solved.shear_rate.abs().sum(1)
        return relative_to_mean(self.specimen, solved.grain_stress, total, self.numerics)

    def converged(self, log_strength: Tensor) -> bool:
        """Whether the solution at log strengths (K,) did."""
        return bool(self._solved(log_strength.detach()).converged.all())

    def _solved(self, log_strength: Tensor) -> MeanField:
        relative = log_strength - log_strength.mean()
        return solve_mean_field(self.specimen, relative, self.scheme, self.numerics, self.start)


Response = LinearResponse | MeanFieldResponse


@dataclass(frozen=True)
class Localisation:
    """The stresses of one specimen's grains as a function of the model's parameters, as tensors."""

    centre: Tensor  # (K,) log strengths of the grid near which it is used
    response: Response
    schmid: Tensor  # (G, S, 5)
    is_polar: Tensor  # (S,) bool
    macro: Tensor  # (5,) direction of the macroscopic stress, length 1
    pulls: Tensor  # (C, G, 5)
    draws: Tensor  # (D, 5), or (G, D, 5) where every grain has its own
    frame: Tensor  # (5, 5) turns standard draws with the specimen
    taylor: float  # mean total shear per macroscopic strain
    free_surface: bool = False
    log_weight: Tensor | None = None  # (G, D) of draws that are not from the prior
    numerics: Numerics = STANDARD

    @classmethod
    def of(
        cls,
        specimen: Specimen,
        log_strength: NDArray,
        *,
        scheme: str,
        n_draws: int,
        seed: int,
        free_surface: bool = False,
        numerics: Numerics = STANDARD,
    ) -> "Localisation":
        """Solve the scheme at the point of the grid nearest to ``log_strength`` (K,), and beside it."""
        centre = grid_point(log_strength, numerics)
        base = grain_state(specimen, centre, scheme, numerics=numerics)
        turn = rotation_5x5(specimen_frame(specimen.load.stress))
        schmid = schmid_vectors(specimen.systems, specimen.quaternions)
        strength = np.exp(centre)[specimen.systems.family]
        response: Response
        if scheme in DIFFERENTIABLE:
            response = MeanFieldResponse(specimen, scheme, base.start, numerics)
        else:
            response = LinearResponse.of(specimen, centre, scheme, base, numerics)
        return cls(
            centre=torch.tensor(centre),
            response=response,
            schmid=torch.tensor(schmid),
            is_polar=torch.tensor(specimen.systems.twin),
            macro=torch.tensor(load_direction(specimen)),
            pulls=torch.tensor(pulls(specimen, schmid, base.stress, strength, numerics)),
            draws=torch.tensor(stress_draws(n_draws, seed) @ turn.T),
            frame=torch.tensor(turn),
            taylor=base.taylor,
            free_surface=free_surface,
            numerics=numerics,
        )

    def local_stress(
        self, log_strength: Tensor, amplitude: Tensor, coefficients: Tensor, scatter: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Drawn stresses (G, D, 5) of every grain in units of the mean stress,
        and log of its total shear (G,).

        Parameters
        ----------
        log_strength : (K,); amplitude : lambda; coefficients : (C,) of `neighbourhood.PULLS`; scatter : s_eta
        """
        scheme, total = self.response(log_strength)
        stress = self.macro + amplitude * (scheme - self.macro)
        stress = stress + torch.einsum("c,cgi->gi", coefficients, self.pulls)
        drawn = stress[:, None, :] + scatter * self.draws
        if self.free_surface:
            drawn = drawn * torch.tensor(SURFACE, dtype=drawn.dtype)
        return drawn, amplitude * total
