"""Deformation paths: strain increments of a polycrystal with hardening, texture, grain shape and twin reorientation.

Step k: solve the mean field at the present state, dt = increment / |D_control|, then (1) twins (fractions, PTR),
(2) orientations, (3) mean grain shape, (4) strengths: all explicit, with the rates of the solution. Row k of the result
is the state solved after k increments, so there are steps + 1 rows. With checkpoint=True a step keeps its state and its
solution for the backward pass and recomputes the rest.

| symbol | meaning | unit | shape |
|---|---|---|---|
| strain | von Mises strain: sum of (Sigma:D)/sigma_vM dt | | (N,) |
| activity | share of each family (slip, twin, climb) in the total of |rates| | | (N, K) |
| twin_fraction | accumulated <gamma>/S of each twin family; reoriented: weight of the grains turned by PTR | | (N, K) |
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute

from cpml.errors import ParameterError
from cpml.plasticity.basis import to_matrix, von_mises_rate, von_mises_stress
from cpml.plasticity.boundary import Loading
from cpml.plasticity.eshelby import QUADRATURE, directions
from cpml.plasticity.general import glide_of
from cpml.plasticity.hardening import NoHardening
from cpml.plasticity.law import PowerLaw
from cpml.plasticity.mean_field import (
    RELAXED,
    SCHEMES,
    as_grains,
    check_scheme,
    check_shape,
    conditions,
    exponent,
    linearisation,
    parameters,
    respond,
)
from cpml.plasticity.medium import solve_medium
from cpml.plasticity.modes import Modes
from cpml.plasticity.orientation import as_matrices, as_tensor
from cpml.plasticity.reorientation import Reorientation
from cpml.plasticity.response import MeanField, normalised
from cpml.plasticity.texture import axial, turn

CONTROLS = {"11": (0, 0), "22": (1, 1), "33": (2, 2), "23": (1, 2), "13": (0, 2), "12": (0, 1)}


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


@dataclass(frozen=True)
class _Now:
    """State between two steps."""

    matrices: Tensor
    hardening: dict
    shape: np.ndarray | None
    twins: object
    strain: Tensor
    time: Tensor


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
    law : PowerLaw, ThermalGlide, or Together of one of them with climb; its strengths (ThermalGlide: passing stresses)
        are the initial ones
    hardening : Voce, Saturation, KocksMecking, TwinFraction, NoHardening or any record with start and harden; None = no
        hardening
    orientations, weights, scheme, n_eff, relaxed, lateral, tol, quadrature, threads, engine, device : as in mean_field
    loading : Loading, Load or strain rate; or a function of the step number that returns one
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
    run = _Run(
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
    return run(orientations, loading, np.broadcast_to(sizes, (steps,)), control, check_shape(shape))


@dataclass
class _Run:
    law: object
    hardening: object
    weights: Tensor
    scheme: str
    n_eff: float | None
    relaxed: tuple[str, ...]
    lateral: str
    reorientation: Reorientation | None
    update_shape: bool
    update_texture: bool
    temperature: float | None
    rate_insensitive: bool
    tol: float
    quadrature: object
    threads: int
    checkpoint: bool
    engine: str
    device: object

    def __call__(self, orientations, loading, increments: np.ndarray, control: str, shape) -> Path:
        glide = glide_of(self.law)
        self.modes = Modes.of(self.law)
        self.line = linearisation(self.scheme, exponent(self.law), self.n_eff, self.relaxed)
        self.reference = as_tensor(getattr(self.law, "reference_rate", 1.0))
        self.control, self.warm = control, None
        matrices, none = as_matrices(orientations).reshape(-1, 3, 3), torch.zeros((), dtype=torch.float64)
        strength = glide.system_strength.expand(len(matrices), len(glide.systems))
        self.rules = self.reorientation or Reorientation(glide.systems)
        now = _Now(
            matrices, self.hardening.start(strength), shape, self.rules.start(len(matrices)), none, none
        )
        is_function = isinstance(loading, Callable) and not isinstance(loading, Loading)
        same = None if is_function else conditions(loading, self.lateral).relaxed(self.line.relaxed)
        rows, fields = [], []
        for k, increment in enumerate([*increments.tolist(), None]):
            load = conditions(loading(k), self.lateral).relaxed(self.line.relaxed) if is_function else same
            if k == 0:
                check_scheme(self.scheme, self.n_eff, "axisymmetric", load, self.law)
            row, field, then = self.step(now, load, increment)
            rows.append(row | {"control": torch.as_tensor(float(increments[:k].sum()))})
            fields = [*fields[:1], field]
            now = then
        return self.collect(rows, fields, now)

    def step(self, now: _Now, load: Loading, increment: float | None):
        """Row, response and next state; under checkpoint its graph is made again in the backward pass."""
        solved = []
        if self.checkpoint and torch.is_grad_enabled():
            return recompute(self.step_of, now, load, increment, solved, use_reentrant=False)
        return self.step_of(now, load, increment, solved)

    def step_of(self, now: _Now, load: Loading, increment: float | None, solved: list):
        field = self.solve(now, load, solved)
        work_rate = (field.stress @ field.rate) / field.von_mises
        row = self.row(field, now, load, work_rate)
        return row, field, now if increment is None else self.advance(now, field, load, work_rate, increment)

    def solve(self, now: _Now, load: Loading, solved: list) -> MeanField:
        """The response; what was solved before (`solved`) is not solved again."""
        sphere = directions(now.shape, self.quadrature)
        theta = parameters(self.law, now.matrices, self.weights, now.hardening["strength"])
        if not solved:
            for _ in range(20 if self.rate_insensitive else 1):
                theta = self.at_reference(theta)
                medium = solve_medium(
                    as_grains(theta, self.law, self.line, self.engine, self.device),
                    load,
                    self.line,
                    *sphere,
                    start=self.warm,
                    tol=self.tol,
                    threads=self.threads,
                )
                self.warm = medium.start
                size = float(np.linalg.norm(medium.rate))
                if not self.rate_insensitive or abs(size / self.reference.item() - 1) < 1e-9:
                    break
                self.reference = torch.as_tensor(size, dtype=torch.float64)
            solved.extend([medium, theta.reference_rate])
        medium = solved[0]
        theta = theta if theta.law is not None else replace(theta, reference_rate=solved[1])
        return respond(medium, theta, now.matrices, self.law, load, self.line, sphere, self.scheme)

    def at_reference(self, theta):
        return theta if theta.law is not None else replace(theta, reference_rate=self.reference)

    def advance(
        self, now: _Now, field: MeanField, load: Loading, work_rate: Tensor, increment: float
    ) -> _Now:
        dt = increment / _control_rate(field.rate, self.control)
        step, glide = dt.item(), field.shear_rate[:, : self.modes.gliding]
        matrices, hardening = now.matrices, dict(now.hardening)
        twins, grains, system = self.twin(now, (glide.detach() * step).numpy())
        if len(grains):
            half_turn = torch.eye(3, dtype=torch.float64).repeat(len(matrices), 1, 1)
            half_turn[grains] = torch.as_tensor(self.rules.rotation(system))
            matrices = matrices @ half_turn
            if self.rules.soften != 1.0:
                factor = torch.ones_like(hardening["strength"])
                factor[grains, system] = self.rules.soften
                hardening["strength"] = hardening["strength"] * factor
        rate, shape = field.rate.detach().numpy(), now.shape
        spin = load.spin(rate)
        if self.update_texture:
            deviation = None
            if self.line.has_medium or self.line.relaxed is not None:
                deviation = self.modes.strain_rate(now.matrices, field.shear_rate) - field.rate
            matrices = turn(
                matrices, glide, self.modes.spin, torch.as_tensor(axial(spin)), deviation, field.spin, dt
            )
        if self.update_shape:
            shape = (np.eye(3) + (to_matrix(rate) + spin) * step) @ (np.eye(3) if shape is None else shape)
        size = float(von_mises_rate(field.rate.detach()))
        hardening = self.hardening.harden(hardening, glide, dt, rate=size, temperature=self.temperature)
        return _Now(matrices, hardening, shape, twins, now.strain + work_rate * dt, now.time + dt)

    def twin(self, now: _Now, shear: np.ndarray):
        """Fractions after shears (G, S) of a step; grains to be reoriented and the twin system of each."""
        weights = self.weights.detach().numpy()
        if self.reorientation is None:
            return self.rules.accumulate(now.twins, shear, weights), (), ()
        return self.rules.advance(now.twins, shear, weights)

    def row(self, field: MeanField, now: _Now, load: Loading, work_rate: Tensor) -> dict:
        slip = self.weights @ field.shear_rate.abs()
        by_family = self.modes.sum_by_family(slip)
        return {
            "strain": now.strain,
            "time": now.time,
            "stress": field.stress,
            "rate": field.rate,
            "activity": by_family / by_family.sum(),
            "taylor": slip.sum() / work_rate,
            "strength": self.modes.mean_by_family(self.weights @ now.hardening["strength"]),
            "twin": self.modes.pad(now.twins.accumulated),
            "effective": self.modes.pad(now.twins.effective),
            "cauchy": load.cauchy(field.stress.detach().numpy()),
            "n_iter": field.medium.n_iter,
            "newton": field.medium.newton_iterations / len(self.weights),
            "converged": field.medium.converged,
        }

    def collect(self, rows: list[dict], fields: list[MeanField], now: _Now) -> Path:
        s = {
            key: torch.stack([r[key] for r in rows])
            for key in ("strain", "time", "control", "stress", "rate", "activity", "strength", "taylor")
        }
        plain = {
            key: np.array([r[key] for r in rows])
            for key in ("twin", "effective", "n_iter", "newton", "converged")
        }
        cauchy = None if rows[0]["cauchy"] is None else np.stack([r["cauchy"] for r in rows])
        return Path(
            self.modes.families,
            s["strain"],
            s["time"],
            s["control"],
            s["stress"],
            von_mises_stress(s["stress"]),
            s["rate"],
            cauchy,
            s["taylor"],
            s["activity"],
            s["strength"],
            plain["twin"],
            plain["effective"],
            now.matrices,
            now.hardening["strength"],
            now.shape,
            fields[0],
            fields[-1],
            now.twins.count,
            now.hardening,
            plain["n_iter"],
            plain["newton"],
            plain["converged"],
        )


def _control_rate(rate: Tensor, control: str) -> Tensor:
    size = von_mises_rate(rate) if control == "von_mises" else to_matrix(rate)[CONTROLS[control]].abs()
    if not size.item() > 1e-12 * float(rate.detach().norm()):
        raise ParameterError(f"the control component {control} does not move: choose another one")
    return size
