"""Deformation paths: strain increments of a polycrystal with hardening, texture,
grain shape and twin reorientation.

Step k: solve the mean field at the present state, dt = increment / |D_control|, then (1) twins (fractions,
PTR), (2) orientations, (3) mean grain shape, (4) strengths: all explicit, with the rates of the solution. Row
k of the result is the state solved after k increments, so there are steps + 1 rows. With checkpoint=True a
step keeps its state and its solution for the backward pass and recomputes the rest.

| symbol | meaning | unit | shape |
|---|---|---|---|
| strain | von Mises strain: sum of (Sigma:D)/sigma_vM dt | | (N,) |
| activity | share of each family (slip, twin, climb) in the total of |rates| | | (N, K) |
| twin_fraction | accumulated <gamma>/S of each twin family; reoriented: weight of the grains turned by PTR | | (N, K) |
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_matrices
from cpml.plasticity.laws.hardening import NoHardening
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.reorientation import Reorientation
from cpml.plasticity.paths.stepping import CONTROLS, PathSolver
from cpml.plasticity.polycrystal.eshelby import QUADRATURE
from cpml.plasticity.polycrystal.response import MeanField, normalised
from cpml.plasticity.polycrystal.schemes import RELAXED, SCHEMES, check_shape


@dataclass(frozen=True)
class Path:
    """Rows of a path (module docstring); tensors carry gradients where a parameter asks for them."""

    families: tuple[str, ...]
    strain: Tensor  # (N,)
    time: Tensor  # (N,) s
    control: Tensor  # (N,) accumulated control strain
    stress: Tensor  # (N, 5) deviator, MPa
    von_mises: Tensor  # (N,)
    rate: Tensor  # (N, 5) 1/s
    cauchy: np.ndarray | None  # (N, 3, 3) where the pressure is known
    taylor_factor: Tensor  # (N,) mean shear per von Mises strain (work conjugate)
    activity: Tensor  # (N, K)
    strength: Tensor  # (N, K) mean over grains and systems, MPa; NaN for climb
    twin_fraction: np.ndarray  # (N, K)
    reoriented: np.ndarray  # (N, K)
    orientations: Tensor  # (G, 3, 3) crystal_to_sample after the last row's strain
    grain_strength: Tensor  # (G, S) MPa
    shape: np.ndarray | None  # (3, 3) mean ellipsoid, None without update
    first: MeanField
    last: MeanField
    twin_count: np.ndarray  # (G,) reorientations of each grain
    state: dict  # of the hardening law
    n_iter: np.ndarray  # (N,) passes over the grains
    newton_iterations: np.ndarray  # (N,) per grain, all passes
    converged: np.ndarray  # (N,) bool

    def table(self):
        """Rows as a pandas DataFrame with units in the names."""
        import pandas as pd

        columns = {
            "strain": self.strain,
            "stress_mpa": self.von_mises,
            "time_s": self.time,
            "taylor_factor": self.taylor_factor,
        }
        for k, name in enumerate(self.families):
            columns |= {f"activity_{name}": self.activity[:, k]}
            if bool(torch.isfinite(self.strength[:, k].detach()).all()):
                columns |= {f"strength_{name}_mpa": self.strength[:, k]}
            if np.any(self.twin_fraction[:, k] > 0):
                columns |= {
                    f"twin_fraction_{name}": self.twin_fraction[:, k],
                    f"reoriented_{name}": self.reoriented[:, k],
                }
        return pd.DataFrame(
            {key: np.asarray(v.detach() if isinstance(v, Tensor) else v) for key, v in columns.items()}
        )


def deform(
    law: PowerLaw,
    hardening,
    orientations,
    *,
    loading,
    weights=None,
    increment,
    steps: int,
    control: str = "von_mises",
    scheme: str = "taylor",
    n_eff: float | None = None,
    relaxed=RELAXED,
    lateral: str = "axisymmetric",
    reorientation: Reorientation | None = None,
    shape=None,
    update_shape: bool = False,
    update_texture: bool = True,
    temperature: float | None = None,
    rate_insensitive: bool = False,
    tol: float = 1e-9,
    quadrature=QUADRATURE,
    threads: int = 1,
    checkpoint: bool = False,
    engine: str = "numba",
    device=None,
) -> Path:
    """Deform a polycrystal.

    Parameters
    ----------
    law : PowerLaw, ThermalGlide, or Together of one of them with climb; its strengths (ThermalGlide: passing
        stresses) are the initial ones
    hardening : Voce, Saturation, KocksMecking, TwinFraction, NoHardening or any record with start
        and harden; None = no hardening
    orientations, weights, scheme, n_eff, relaxed, lateral, tol, quadrature, threads,
        engine, device : as in mean_field
    loading : Conditions, Load or strain rate; or a function of the step number that returns one
    increment, steps, control : strain per step (one number, or one for each step) of the control component
        ("von_mises", or "11", "22", "33", "23", "13", "12": a tensor component of D), and number of steps
    reorientation : rules of twin reorientation; None only accumulates the fractions
    shape, update_shape : initial mean ellipsoid (3, 3) and whether it follows the strain
    temperature : K, for laws that depend on it
    rate_insensitive : reference rate = Frobenius norm of D, so that stresses do not depend on the rate
    checkpoint : recompute each step in the backward pass in place of storing it (the solution itself is kept)

    Raises
    ------
    ParameterError : as mean_field; a control component that does not move; an increment that is not positive
    """
    sizes = np.asarray(increment, float)
    if (
        not (isinstance(steps, int) and steps >= 0)
        or not np.all(np.isfinite(sizes) & (sizes > 0))
        or (sizes.ndim and sizes.shape != (steps,))
    ):
        raise ParameterError(
            f"increment = {increment} must be positive, one number or one for each of steps = {steps}, a "
            "whole number"
        )
    if control not in CONTROLS and control != "von_mises":
        raise ParameterError(f"control = {control!r}: choose von_mises, {', '.join(CONTROLS)}")
    if scheme == "sachs" or scheme not in SCHEMES:
        raise ParameterError(
            f"scheme {scheme!r} has no path; choose from {', '.join(s for s in SCHEMES if s != 'sachs')}"
        )
    run = PathSolver(
        law,
        hardening or NoHardening(),
        normalised(weights, len(as_matrices(orientations).reshape(-1, 3, 3))),
        scheme,
        n_eff,
        relaxed,
        lateral,
        reorientation,
        update_shape,
        update_texture,
        temperature,
        rate_insensitive,
        tol,
        quadrature,
        threads,
        checkpoint,
        engine,
        device,
    )
    return Path(**run(orientations, loading, np.broadcast_to(sizes, (steps,)), control, check_shape(shape)))
