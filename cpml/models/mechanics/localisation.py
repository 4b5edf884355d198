"""From the macroscopic load to the stress of a grain that nobody measured.

A grain's stress follows from the load, from the law in all other grains, and from what is left unexplained:

    sigma_gk = Sigma + lambda (s_g(xi) - Sigma) + sum_i c_i T_gi + s_eta eta_k

s_g(xi) is the grain's mean stress under one scheme of `cpml.plasticity`: "sachs" (Sigma itself), "taylor",
"affine" (self-consistent), or "full_field", which solves equilibrium on the measured map and so contains the
collective effect of all neighbours and boundaries. It is linearised in the log strengths about a point x0 of
a fixed grid and solved again where training arrives, so that the iterations of training cost no mechanics and
the folds of a cross-validation share it:

    s_g(xi) = s_g(x0) + sum_k J_gk (log xi_k - x0_k)

lambda (1: believe the scheme, 0: Sachs) and c_i are learned. The T_gi are tensors that neighbours h with
boundary share w_gh and in-plane boundary normal nu exert, built from tensors and invariants only, so that
turning everything turns them too; their mean over the specimen is zero exactly:

    T_1 = sum_h w_gh (s_h - s_g)                              T_2 = sum_h w_gh dev sym((s_h - s_g) nu x nu)
    T_3 = sum_h w_gh (d_h - d_g)                              T_4 = sum_h w_gh sum_su m'_su a_hu sgn(tau_gs) P_gs

The scatter eta_k ~ N(0, I) in the 5-dimensional deviator space is stress that nothing explains; without it
the strengths absorb it and come out wrong by tens of percent. Its draws are quasi-random and fixed, so
training is deterministic, and turn with the specimen (load axis, surface normal).

| symbol | meaning | unit | shape |
|---|---|---|---|
| s_g, Sigma | deviatoric stress of a grain, of the specimen | mean stress along the load | (G, 5) |
| Gamma_g | total shear of a grain over the specimen's mean | - | (G,) |
| P_s | Schmid tensor in the sample frame | - | (G, S, 5) |
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc
from torch import Tensor

from cpml.crystallography.rotations import quaternion_multiply, quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.crystallography.tensors import rotation_5x5, to_vector
from cpml.errors import CpmlError, ParameterError
from cpml.models.mechanics.neighbourhood import EXPONENT, PULLS, pulls

SCHEMES = ("sachs", "taylor", "affine", "full_field")
STEP = 0.15  # of a log strength in the difference quotients J: wide enough to average over kinks of the law
SPACING = 0.2  # of the grid of log strengths on which the scheme is solved; the linear law bridges half of it
IDLE = 1e-3  # share of the shear below which a family does not move the stress of the grains
FIELD_TOL = 1e-3  # of the full field's power: grain stresses to about 2 %, far below the scatter
MEMO_SIZE = 64

_memo: OrderedDict = OrderedDict()


@dataclass(frozen=True)
class GrainState:
    """Mean stress of every grain over the mean stress along the load, and log of
    its total shear over the mean.
    """

    stress: NDArray  # (G, 5)
    log_total: NDArray  # (G,)
    family_share: NDArray  # (K,) share of all shear
    taylor: float = np.nan  # mean total shear per macroscopic von Mises strain
    start: NDArray | None = None  # strain-rate field of a nearby full-field problem
    converged: bool = True


def grain_state(specimen, strengths: NDArray, scheme: str, start: NDArray | None = None) -> GrainState:
    """Stress and total shear of every grain of a `Specimen` under one scheme
    (remembered for equal questions).

    Parameters
    ----------
    strengths : (K,) of the families, any common unit

    Raises
    ------
    ParameterError : an unknown scheme; CpmlError : "full_field" for a specimen without a map
    """
    if scheme not in SCHEMES:
        raise ParameterError(f"scheme {scheme!r} is not available; choose from {', '.join(SCHEMES)}")
    relative = np.asarray(strengths) / np.exp(np.mean(np.log(strengths)))
    # whatever the answer depends on: also the lattice (names hide c/a) and the areas behind the mean
    parts = [
        specimen.quaternions,
        specimen.systems.schmid5,
        specimen.weights,
        specimen.load.stress,
        specimen.raster,
        relative.round(6),
    ]
    key = (
        scheme,
        specimen.systems.names,
        *(None if p is None else np.ascontiguousarray(p).tobytes() for p in parts),
    )
    if key not in _memo:
        _memo[key] = _solve(specimen, relative, scheme, start)
        while len(_memo) > MEMO_SIZE:
            _memo.popitem(last=False)
    return _memo[key]


def _solve(specimen, strengths, scheme, start) -> GrainState:
    from cpml.plasticity import PowerLaw, full_field, mean_field

    macro = to_vector(specimen.load.stress)
    macro, weights = macro / np.linalg.norm(macro), specimen.weights
    # symmetry copies are one crystal: the same copy is solved whichever is given, so
    # that answers agree to rounding
    quaternions = canonical_copies(specimen.quaternions, specimen.systems.lattice)
    if scheme == "sachs":
        return GrainState(
            np.tile(macro, (len(specimen), 1)), np.zeros(len(specimen)), np.zeros(len(strengths))
        )
    law = PowerLaw(
        specimen.systems, torch.as_tensor(strengths), n=EXPONENT, reference_rate=specimen.load.rate
    )
    if scheme == "full_field":
        if specimen.raster is None:
            raise CpmlError(
                f"specimen {specimen.name!r} has no map: the full field needs one; use scheme 'affine'"
            )
        field = full_field(
            law, specimen.raster, quaternions, loading=specimen.load, tol=FIELD_TOL, start=start
        )
        converged = field.converged
        shear, begin = np.abs(field.shear_rate).reshape(-1, len(specimen.systems)), field.rate
        total = field.grain_mean(shear.sum(1).reshape(field.grain_index.shape))
        stress, total = _fill(specimen, strengths, field.grain_mean(field.stress), total)
    else:
        with torch.no_grad():
            solved = mean_field(law, quaternions, weights=weights, loading=specimen.load, scheme=scheme)
        converged = bool(solved.converged.all())
        shear, begin = np.abs(solved.shear_rate.numpy()), None
        stress, total = solved.grain_stress.numpy(), shear.sum(1)
    family = np.bincount(specimen.systems.family, shear.sum(0), minlength=len(strengths)) / shear.sum()
    mean = weights @ (stress @ macro)
    relative = np.log(np.maximum(total / (weights @ total), 1e-3))
    return GrainState(
        stress / mean, relative, family, float(weights @ total) / specimen.load.rate, begin, converged
    )


def _fill(specimen, strengths, stress, total):
    """Grains too small for a cell of the raster get the self-consistent answer, scaled to the field's mean."""
    found = np.full((len(specimen), 5), np.nan), np.full(len(specimen), np.nan)
    found[0][: len(total)], found[1][: len(total)] = stress, total
    lost = np.flatnonzero(~np.isfinite(found[1]))
    if len(lost):
        other = grain_state(specimen, strengths, "affine")
        known = np.isfinite(found[1])
        macro = to_vector(specimen.load.stress)
        scale = np.mean(found[0][known] @ macro) / np.linalg.norm(macro)
        found[0][lost] = other.stress[lost] * scale
        found[1][lost] = np.exp(other.log_total[lost]) * np.mean(found[1][known])
    return found


def canonical_copies(quaternions: NDArray, lattice: str) -> NDArray:
    """(G, 4) symmetry copy of every crystal that is nearest to the sample axes."""
    copies = quaternion_multiply(quaternions[:, None, :], proper_group(group_of_lattice(lattice)))
    best = np.abs(copies[..., 0]).argmax(1)
    chosen = np.take_along_axis(copies, best[:, None, None], 1)[:, 0]
    return chosen * np.where(chosen[:, :1] < 0, -1.0, 1.0)


def grid_point(strengths: NDArray) -> NDArray:
    """(K,) log strengths relative to their mean, rounded to the grid on which the schemes are solved."""
    log_x = np.log(np.asarray(strengths, float))
    return SPACING * np.round((log_x - log_x.mean()) / SPACING)


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


def schmid_vectors(systems: Systems, quaternions: NDArray) -> NDArray:
    """(G, S, 5) Schmid tensors of every grain in the sample frame."""
    turn = rotation_5x5(quaternion_to_matrix(quaternions))
    return np.einsum("gij,sj->gsi", turn, systems.schmid5)


@dataclass(frozen=True)
class Medium:
    """The linearised localisation of one specimen, as tensors."""

    schmid: Tensor  # (G, S, 5)
    twin: Tensor  # (S,) bool
    macro: Tensor  # (5,) direction of the macroscopic stress, length 1
    centre: Tensor  # (K,) log strengths of the linearisation
    stress: Tensor  # (G, 5)
    stress_slope: Tensor  # (K, G, 5)
    log_total: Tensor  # (G,)
    total_slope: Tensor  # (K, G)
    pulls: Tensor  # (C, G, 5)
    draws: Tensor  # (D, 5), or (G, D, 5) where every grain has its own
    frame: Tensor  # (5, 5) turns standard draws with the specimen
    taylor: float  # mean total shear per macroscopic strain
    free_surface: bool = False
    converged: bool = True  # of the scheme, at its point and beside it
    log_weight: Tensor | None = None  # (G, D) of draws that are not from the prior

    @classmethod
    def of(
        cls, specimen, strengths, *, scheme: str, n_draws: int, seed: int, free_surface: bool = False
    ) -> "Medium":
        """Solve the scheme at the point of the grid nearest to ``strengths``
        (K,), and beside it for the slopes.
        """
        log_x = grid_point(strengths)
        base = grain_state(specimen, np.exp(log_x), scheme)
        stress_slope, total_slope = (
            np.zeros((len(log_x), *base.stress.shape)),
            np.zeros((len(log_x), len(specimen))),
        )
        converged = base.converged
        for k in np.flatnonzero(base.family_share > IDLE):
            shift = STEP * np.eye(len(log_x))[k]
            moved = grain_state(specimen, np.exp(log_x + shift), scheme, base.start)
            converged &= moved.converged
            stress_slope[k] = (moved.stress - base.stress) / STEP
            total_slope[k] = (moved.log_total - base.log_total) / STEP
        macro = to_vector(specimen.load.stress)
        turn = rotation_5x5(specimen_frame(specimen.load.stress))
        schmid = schmid_vectors(specimen.systems, specimen.quaternions)
        force = pulls(specimen, schmid, base.stress, np.exp(log_x)[specimen.systems.family])
        tensors = (schmid, specimen.systems.twin, macro / np.linalg.norm(macro), log_x, base.stress, stress_slope,
                   base.log_total, total_slope, force, stress_draws(n_draws, seed) @ turn.T, turn)  # fmt: skip
        return cls(
            *(torch.tensor(np.ascontiguousarray(t)) for t in tensors), base.taylor, free_surface, converged
        )

    def local_stress(self, theta: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Drawn stresses (G, D, 5) of every grain in units of the mean stress,
        and log of its total shear (G,).

        Parameters
        ----------
        theta : log_strength (K,), amplitude, scatter, and the coefficients named in `neighbourhood.PULLS`
        """
        # a common factor changes nothing: measured from the mean of the families, as the grid is
        shift = theta["log_strength"] - theta["log_strength"].mean() - self.centre
        scheme = self.stress + torch.einsum("k,kgi->gi", shift, self.stress_slope)
        total = self.log_total + torch.einsum("k,kg->g", shift, self.total_slope)
        stress = self.macro + theta["amplitude"] * (scheme - self.macro)
        stress = stress + sum(theta[name] * part for name, part in zip(PULLS, self.pulls, strict=True))
        drawn = stress[:, None, :] + theta["scatter"] * self.draws
        if (
            self.free_surface
        ):  # no traction on the surface: sigma_xz = sigma_yz = 0, the third and fourth component
            drawn = drawn * torch.tensor([1.0, 1.0, 0.0, 0.0, 1.0], dtype=drawn.dtype)
        return drawn, theta["amplitude"] * total
