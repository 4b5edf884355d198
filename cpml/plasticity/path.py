"""Deformation paths: strain increments of a polycrystal with hardening, texture, grain shape and twin reorientation.

Step k: solve the mean field at the present state, dt = increment / |D_control|, then (1) twins (fractions, PTR),
(2) orientations, (3) mean grain shape, (4) strengths: all explicit, with the rates of the solution. Row k of the result
is the state solved after k increments, so there are steps + 1 rows.

| symbol | meaning | unit | shape |
|---|---|---|---|
| strain | von Mises strain: sum of (Sigma:D)/sigma_vM dt | | (N,) |
| activity | share of each family in the total shear rate | | (N, K) |
| twin_fraction | accumulated <gamma>/S of each twin family; reoriented: weight of the grains turned by PTR | | (N, K) |
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cpml.errors import ParameterError
from cpml.plasticity.basis import to_matrix, von_mises_rate, von_mises_stress
from cpml.plasticity.boundary import Loading
from cpml.plasticity.eshelby import QUADRATURE, directions
from cpml.plasticity.hardening import NoHardening
from cpml.plasticity.law import PowerLaw
from cpml.plasticity.mean_field import (
    SCHEMES,
    as_grains,
    check_scheme,
    check_shape,
    conditions,
    linearisation,
    parameters,
    respond,
)
from cpml.plasticity.medium import solve_medium
from cpml.plasticity.orientation import as_matrices, as_tensor
from cpml.plasticity.reorientation import Reorientation
from cpml.plasticity.response import MeanField, normalised
from cpml.plasticity.texture import axial, slip_spin, turn

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
    strength: Tensor  # (N, K) mean over grains and systems, MPa
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

        columns = {"strain": self.strain, "stress_mpa": self.von_mises, "time_s": self.time,
                   "taylor_factor": self.taylor_factor}
        for k, name in enumerate(self.families):
            columns |= {f"activity_{name}": self.activity[:, k], f"strength_{name}_mpa": self.strength[:, k]}
            if np.any(self.twin_fraction[:, k] > 0):
                columns |= {f"twin_fraction_{name}": self.twin_fraction[:, k],
                            f"reoriented_{name}": self.reoriented[:, k]}
        return pd.DataFrame({key: np.asarray(v.detach() if isinstance(v, Tensor) else v) for key, v in columns.items()})


@dataclass
class _Now:
    """State between two steps."""

    matrices: Tensor
    hardening: dict
    shape: np.ndarray | None
    twins: object
    start: object = None


def deform(law: PowerLaw, hardening, orientations, *, loading, weights=None, increment: float, steps: int,
           control: str = "von_mises", scheme: str = "taylor", n_eff: float | None = None, lateral: str = "axisymmetric",
           reorientation: Reorientation | None = None, shape=None, update_shape: bool = False,
           update_texture: bool = True, temperature: float | None = None, rate_insensitive: bool = False,
           tol: float = 1e-9, quadrature=QUADRATURE, threads: int = 1, checkpoint: bool = False) -> Path:
    """Deform a polycrystal.

    Parameters
    ----------
    law : flow law; its strengths are the initial ones
    hardening : Voce, Saturation, KocksMecking, NoHardening or any record with start and harden; None = no hardening
    orientations, weights, scheme, n_eff, lateral, tol, quadrature, threads : as in mean_field
    loading : Loading, Load or strain rate; or a function of the step number that returns one
    increment, steps, control : strain per step of the control component ("von_mises", or "11", "22", "33", "23", "13",
        "12": a tensor component of D) and number of steps
    reorientation : PTR rules for twins; None only accumulates their fractions
    shape, update_shape : initial mean ellipsoid (3, 3) and whether it follows the strain
    temperature : K, for laws that depend on it
    rate_insensitive : reference rate = Frobenius norm of D, so that stresses do not depend on the rate
    checkpoint : recompute each step in the backward pass in place of storing it

    Raises
    ------
    ParameterError : as mean_field; a control component that does not move; an increment that is not positive
    """
    if not (isinstance(steps, int) and steps >= 0) or not (np.isfinite(increment) and increment > 0):
        raise ParameterError(f"increment = {increment} must be positive and steps = {steps} a whole number")
    if control not in CONTROLS and control != "von_mises":
        raise ParameterError(f"control = {control!r}: choose von_mises, {', '.join(CONTROLS)}")
    if scheme == "sachs" or scheme not in SCHEMES:
        raise ParameterError(f"scheme {scheme!r} has no path; choose from {', '.join(s for s in SCHEMES if s != 'sachs')}")
    run = _Run(law, hardening or NoHardening(), normalised(weights, len(as_matrices(orientations).reshape(-1, 3, 3))),
               scheme, n_eff, lateral, reorientation, update_shape, update_texture, temperature, rate_insensitive, tol,
               quadrature, threads)
    return run(orientations, loading, increment, steps, control, check_shape(shape))


@dataclass
class _Run:
    law: PowerLaw
    hardening: object
    weights: Tensor
    scheme: str
    n_eff: float | None
    lateral: str
    reorientation: Reorientation | None
    update_shape: bool
    update_texture: bool
    temperature: float | None
    rate_insensitive: bool
    tol: float
    quadrature: object
    threads: int

    def __call__(self, orientations, loading, increment: float, steps: int, control: str, shape) -> Path:
        systems = self.law.systems
        self.slip_axes, self.family = slip_spin(systems), torch.as_tensor(systems.family)
        self.line = linearisation(self.scheme, as_tensor(self.law.n).item(), self.n_eff)
        self.reference = as_tensor(self.law.reference_rate)
        matrices = as_matrices(orientations).reshape(-1, 3, 3)
        strength = self.law.system_strength.expand(len(matrices), len(systems))
        rules = self.reorientation or Reorientation(systems)
        now = _Now(matrices, self.hardening.start(strength), shape, rules.start(len(matrices)))
        rows, strain, clock = [], torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        is_function = isinstance(loading, Callable) and not isinstance(loading, Loading)
        same = None if is_function else conditions(loading, self.lateral)
        for k in range(steps + 1):
            load = conditions(loading(k), self.lateral) if is_function else same
            if k == 0:
                check_scheme(self.scheme, self.n_eff, "axisymmetric", load)
            field = self.solve(now, load)
            work_rate = (field.stress @ field.rate) / field.von_mises
            rows.append(self.row(field, now, strain, clock, load, k * increment, work_rate))
            if k < steps:
                dt = increment / _control_rate(field.rate, control)
                strain, clock = strain + work_rate * dt, clock + dt
                now = self.advance(now, field, load, dt, rules)
        return self.collect(rows, now)

    def solve(self, now: _Now, load: Loading) -> MeanField:
        sphere = directions(now.shape, self.quadrature)
        theta = parameters(self.law, now.matrices, self.weights, now.hardening["strength"])
        self.schmid = theta.schmid
        for _ in range(20 if self.rate_insensitive else 1):
            theta = replace(theta, reference_rate=self.reference)
            medium = solve_medium(as_grains(theta), load, self.line, *sphere, start=now.start, tol=self.tol,
                                  threads=self.threads)
            now.start = medium.start
            size = float(np.linalg.norm(medium.rate))
            if not self.rate_insensitive or abs(size / self.reference.item() - 1) < 1e-9:
                break
            self.reference = torch.as_tensor(size, dtype=torch.float64)
        return respond(medium, theta, load, self.line, sphere, self.scheme)

    def advance(self, now: _Now, field: MeanField, load: Loading, dt: Tensor, rules: Reorientation) -> _Now:
        step = dt.item()
        matrices, hardening = now.matrices, dict(now.hardening)
        shear = (field.shear_rate.detach() * step).numpy()
        twins, grains, system = rules.advance(now.twins, shear, self.weights.detach().numpy()) if (
            self.reorientation is not None) else (rules.accumulate(now.twins, shear, self.weights.detach().numpy()),
                                                  (), ())
        if len(grains):
            half_turn = torch.eye(3, dtype=torch.float64).repeat(len(matrices), 1, 1)
            half_turn[grains] = torch.as_tensor(rules.rotation(system))
            matrices = matrices @ half_turn
            if rules.soften != 1.0:
                factor = torch.ones_like(hardening["strength"])
                factor[grains, system] = rules.soften
                hardening["strength"] = hardening["strength"] * factor
        rate = field.rate.detach().numpy()
        spin = load.spin(rate)
        shape = now.shape
        if self.update_texture:
            deviation = None
            if self.line.has_medium:
                deviation = (self.schmid @ field.shear_rate[:, :, None])[:, :, 0] - field.rate
            matrices = turn(matrices, field.shear_rate, self.slip_axes, torch.as_tensor(axial(spin)), deviation,
                            field.spin, dt)
        if self.update_shape:
            shape = (np.eye(3) + (to_matrix(rate) + spin) * step) @ (np.eye(3) if shape is None else shape)
        size = float(von_mises_rate(field.rate.detach()))
        hardening = self.hardening.harden(hardening, field.shear_rate, dt, rate=size, temperature=self.temperature)
        return _Now(matrices, hardening, shape, twins, now.start)

    def row(self, field, now, strain, clock, load, control, work_rate) -> dict:
        families = len(self.law.systems.family_names)
        slip = (self.weights[:, None] * field.shear_rate.abs()).sum(0)
        by_family = torch.zeros(families, dtype=torch.float64).index_add(0, self.family, slip)
        mean = (self.weights[:, None] * now.hardening["strength"]).sum(0)
        count = torch.bincount(self.family, minlength=families)
        return {"strain": strain, "time": clock, "control": torch.as_tensor(control), "field": field,
                "activity": by_family / by_family.sum(), "taylor": slip.sum() / work_rate,
                "strength": torch.zeros(families, dtype=torch.float64).index_add(0, self.family, mean) / count,
                "twin": now.twins.accumulated, "effective": now.twins.effective,
                "cauchy": load.cauchy(field.stress.detach().numpy())}

    def collect(self, rows: list[dict], now: _Now) -> Path:
        stacked = {key: torch.stack([r[key] for r in rows])
                   for key in ("strain", "time", "control", "activity", "strength", "taylor")}
        fields = [r["field"] for r in rows]
        stress = torch.stack([f.stress for f in fields])
        cauchy = None if rows[0]["cauchy"] is None else np.stack([r["cauchy"] for r in rows])
        return Path(self.law.systems.family_names, stacked["strain"], stacked["time"], stacked["control"], stress,
                    von_mises_stress(stress), torch.stack([f.rate for f in fields]), cauchy, stacked["taylor"],
                    stacked["activity"], stacked["strength"], np.stack([r["twin"] for r in rows]),
                    np.stack([r["effective"] for r in rows]), now.matrices, now.hardening["strength"], now.shape,
                    fields[0], fields[-1], now.twins.count, now.hardening,
                    np.array([f.medium.n_iter for f in fields]),
                    np.array([f.medium.newton_iterations / len(self.weights) for f in fields]),
                    np.array([f.medium.converged for f in fields]))


def _control_rate(rate: Tensor, control: str) -> Tensor:
    size = von_mises_rate(rate) if control == "von_mises" else to_matrix(rate)[CONTROLS[control]].abs()
    if not size.item() > 1e-12 * float(rate.detach().norm()):
        raise ParameterError(f"the control component {control} does not move: choose another one")
    return size
