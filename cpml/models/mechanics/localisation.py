"""From the macroscopic load to the stress of a grain that nobody measured.

A grain's stress follows from the load, from the law in all other grains, and from what is left unexplained:

    sigma_gk = Sigma + lambda (s_g(xi) - Sigma) + sum_i c_i T_gi + s_eta eta_k

s_g(xi) is the grain's mean stress under one scheme of `cpml.models.mechanics.grain_stress`. Mean fields
are solved at every step of the training, with the analytic gradient of `cpml.plasticity`. Schemes that know
the map are too slow for that: they are linearised in the log strengths about a point x0 of a fixed grid, and
solved again where training arrives, so that iterations cost no mechanics and the folds of a cross-validation
share it:

    s_g(xi) = s_g(x0) + sum_k J_gk (log xi_k - x0_k),    J_gk difference quotients

lambda (1: believe the scheme, 0: Sachs) and c_i are learned. The T_gi are tensors that neighbours h with
boundary share w_gh and in-plane boundary normal nu exert, built from tensors and invariants only, so that
turning everything turns them too; their mean over the specimen is zero exactly. They are built at x0:

    T_1 = sum_h w_gh (s_h - s_g)              T_2 = sum_h w_gh dev sym((s_h - s_g) nu x nu)
    T_3 = sum_h w_gh (d_h - d_g)              T_4 = sum_h w_gh sum_su m'_su a_hu sgn(tau_gs) P_gs

The scatter eta_k ~ N(0, I) in the 5-dimensional deviator space is stress that nothing explains; without it
the strengths absorb it and come out wrong by tens of percent. Its draws are quasi-random and fixed, so
training is deterministic, and turn with the specimen (load axis, surface normal). A scheme that says itself
how far it may be wrong, by a covariance C_g of every grain's stress, has its own scatter in place of it:

    sigma_gk = Sigma + lambda (s_g(xi) - Sigma) + sum_i c_i T_gi + t C_g^1/2 eta_k

with t near 1, learned: how far the scheme's own spread may be trusted (larger: it is too sure).

| symbol | meaning | unit | shape |
|---|---|---|---|
| s_g, Sigma | deviatoric stress of a grain, of the specimen | mean stress along the load | (G, 5) |
| C_g | covariance of s_g by the scheme's own account | (mean stress)^2 | (G, 5, 5) |
| Gamma_g | total shear of a grain over the specimen's mean | - | (G,) |
| P_s | Schmid tensor in the sample frame | - | (G, S, 5) |
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc
from torch import Tensor

from cpml.crystallography.tensors import rotation_5x5
from cpml.models.mechanics.crystals import load_direction, mean_field_motion, solve_mean_field
from cpml.models.mechanics.grain_stress import DIFFERENTIABLE, GrainState, grain_state, relative_to_mean
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


def _variation(schmid: NDArray, turn: NDArray, numerics: Numerics) -> NDArray:
    """(G, J, S) resolved shear of standard normal deviators zeta_j, which turn with the specimen; the same
    for every seed, because they stand for the inside of a grain and not for what is unknown of it.
    """
    zeta = stress_draws(int(numerics.points_within), 0) @ turn.T
    return np.einsum("gsi,ji->gjs", schmid, zeta)


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
class Answer:
    """What a scheme says of every grain at some strengths, differentiable in their logarithms.

    Units are those of :class:`~cpml.models.mechanics.grain_stress.GrainState`. Motion is None unless asked
    for; covariances are None where the scheme claims to know.
    """

    stress: Tensor  # (G, 5)
    log_total: Tensor  # (G,) natural log of the total shear
    rate: Tensor | None = None  # (G, 5) strain rate
    spin: Tensor | None = None  # (G, 3) of the lattice
    root: Tensor | None = None  # (G, 5, 5) symmetric root of the covariance of the stress
    inverse_root: Tensor | None = None  # (G, 5, 5) of root
    rate_covariance: Tensor | None = None  # (G, 5, 5)
    spin_covariance: Tensor | None = None  # (G, 3, 3)


class Response(Protocol):
    """One specimen's scheme as a function of the log strengths; a common factor changes nothing."""

    def __call__(self, log_strength: Tensor, *, motion: bool = False) -> Answer:
        """The answer at log strengths (K,), with the grains' motion where that is asked for."""

    def converged(self, log_strength: Tensor) -> bool:
        """Whether the solution at log strengths (K,) did."""


def symmetric_root(covariance: NDArray) -> NDArray:
    """Symmetric roots (..., n, n) of covariances: they turn with the specimen, triangular ones would not."""
    value, vector = np.linalg.eigh(covariance)
    return (vector * np.sqrt(np.maximum(value, 0.0))[..., None, :]) @ np.swapaxes(vector, -1, -2)


@dataclass(frozen=True)
class LinearResponse:
    """Answers of a scheme, linear in the log strengths about one point; its covariances are those there."""

    centre: Tensor  # (K,) log strengths of the linearisation, mean zero
    base: Answer  # at the centre, with its motion
    slopes: Answer  # (K, ...) of stress, log_total, rate and spin
    all_converged: bool  # of the scheme, at the centre and beside it

    @classmethod
    def of(
        cls, specimen: Specimen, centre: NDArray, scheme: str, base: GrainState, numerics: Numerics = STANDARD
    ) -> "LinearResponse":
        """Slopes by difference quotients from ``base``, the state at the
        centre, for every family that shears.
        """
        names = ("stress", "log_total", "rate", "spin")
        slopes = {name: np.zeros((len(centre), *getattr(base, name).shape)) for name in names}
        converged = base.converged
        for k in np.flatnonzero(base.family_share > numerics.idle):
            beside = centre + numerics.step * np.eye(len(centre))[k]
            moved = grain_state(specimen, beside, scheme, numerics=numerics, start=base.start)
            converged &= moved.converged
            for name, slope in slopes.items():
                slope[k] = (getattr(moved, name) - getattr(base, name)) / numerics.step
        known = {name: torch.tensor(getattr(base, name)) for name in names}
        if base.scatter is not None:
            root = symmetric_root(base.scatter.stress)
            known |= {"root": torch.tensor(root), "inverse_root": torch.tensor(np.linalg.pinv(root))}
            known["rate_covariance"] = torch.tensor(base.scatter.rate)
            known["spin_covariance"] = torch.tensor(base.scatter.spin)
        return cls(
            centre=torch.tensor(centre),
            base=Answer(**known),
            slopes=Answer(**{name: torch.tensor(slope) for name, slope in slopes.items()}),
            all_converged=converged,
        )

    def __call__(self, log_strength: Tensor, *, motion: bool = False) -> Answer:
        """As :class:`Response`."""
        shift = log_strength - log_strength.mean() - self.centre

        def moved(name: str) -> Tensor:
            slope = getattr(self.slopes, name)
            return getattr(self.base, name) + torch.einsum("k,k...->...", shift, slope)

        return replace(
            self.base,
            stress=moved("stress"),
            log_total=moved("log_total"),
            rate=moved("rate") if motion else None,
            spin=moved("spin") if motion else None,
        )

    def converged(self, log_strength: Tensor) -> bool:
        """Whether the solutions behind the line did, wherever it is asked."""
        return self.all_converged


@dataclass(frozen=True)
class SachsResponse:
    """The load's stress in every grain, whatever the strengths; only its motion depends on them."""

    specimen: Specimen
    base: GrainState
    numerics: Numerics = STANDARD

    def __call__(self, log_strength: Tensor, *, motion: bool = False) -> Answer:
        """As :class:`Response`."""
        answer = Answer(torch.tensor(self.base.stress), torch.tensor(self.base.log_total))
        if not motion:
            return answer
        solved = solve_mean_field(self.specimen, log_strength - log_strength.mean(), "sachs", self.numerics)
        rate, spin = mean_field_motion(self.specimen, solved)
        return replace(answer, rate=rate, spin=spin)

    def converged(self, log_strength: Tensor) -> bool:
        """Always: nothing is solved."""
        return True


@dataclass(frozen=True)
class MeanFieldResponse:
    """Answers of a mean field, solved at every question, with its analytic gradient."""

    specimen: Specimen
    scheme: str  # of grain_stress.DIFFERENTIABLE
    start: Any  # a nearby solution
    numerics: Numerics = STANDARD

    def __call__(self, log_strength: Tensor, *, motion: bool = False) -> Answer:
        """As :class:`Response`."""
        solved = self._solved(log_strength)
        total = solved.shear_rate.abs().sum(1)
        stress, log_total = relative_to_mean(self.specimen, solved.grain_stress, total, self.numerics)
        rate, spin = mean_field_motion(self.specimen, solved) if motion else (None, None)
        return Answer(stress, log_total, rate, spin)

    def converged(self, log_strength: Tensor) -> bool:
        """Whether the solution at log strengths (K,) did."""
        return bool(self._solved(log_strength.detach()).converged.all())

    def _solved(self, log_strength: Tensor) -> MeanField:
        relative = log_strength - log_strength.mean()
        return solve_mean_field(self.specimen, relative, self.scheme, self.numerics, self.start)


@dataclass(frozen=True)
class Localisation:
    """The stresses of one specimen's grains as a function of the model's parameters, as tensors."""

    centre: Tensor  # (K,) log strengths of the grid near which it is used
    response: Response
    schmid: Tensor  # (G, S, 5)
    is_polar: Tensor  # (S,) bool
    macro: Tensor  # (5,) direction of the macroscopic stress, length 1
    pulls: Tensor  # (C, G, 5)
    variation: Tensor  # (G, J, S) resolved standard normal deviators, at points within a grain
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
        if scheme == "sachs":
            response = SachsResponse(specimen, base, numerics)
        elif scheme in DIFFERENTIABLE:
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
            variation=torch.tensor(_variation(schmid, turn, numerics)),
            draws=torch.tensor(stress_draws(n_draws, seed) @ turn.T),
            frame=torch.tensor(turn),
            taylor=base.taylor,
            free_surface=free_surface,
            numerics=numerics,
        )

    def local_stress(
        self, answer: Answer, amplitude: Tensor, coefficients: Tensor, scatter: Tensor, trust: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Drawn stresses (G, D, 5) of every grain in units of the mean stress,
        and log of its total shear (G,).

        Parameters
        ----------
        answer : of the response; amplitude : lambda; coefficients : (C,) of `neighbourhood.PULLS`
        scatter : s_eta, of schemes without a covariance; trust : t, of those with one
        """
        stress = self.macro + amplitude * (answer.stress - self.macro)
        stress = stress + torch.einsum("c,cgi->gi", coefficients, self.pulls)
        apart = scatter * self.draws if answer.root is None else trust * (self.draws @ answer.root.mT)
        drawn = stress[:, None, :] + apart
        if self.free_surface:
            drawn = drawn * torch.tensor(SURFACE, dtype=drawn.dtype)
        return drawn, amplitude * answer.log_total
