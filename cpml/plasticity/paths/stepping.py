"""The steps of a deformation path: solve, record a row, advance twins,
orientations, grain shape and strengths.

cpml.plasticity.paths.path states the order and the symbols.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute

from cpml.crystallography.tensors import to_matrix, von_mises_rate, von_mises_stress
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_matrices, as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.modes import Modes
from cpml.plasticity.laws.reorientation import Reorientation
from cpml.plasticity.laws.spin import axial, turn
from cpml.plasticity.laws.together import glide_of
from cpml.plasticity.polycrystal.eshelby import directions
from cpml.plasticity.polycrystal.fields import as_grains, parameters, respond
from cpml.plasticity.polycrystal.medium import solve_medium
from cpml.plasticity.polycrystal.response import MeanField
from cpml.plasticity.polycrystal.schemes import check_scheme, conditions, exponent, linearisation

CONTROLS = {"11": (0, 0), "22": (1, 1), "33": (2, 2), "23": (1, 2), "13": (0, 2), "12": (0, 1)}


@dataclass(frozen=True)
class Now:
    """State between two steps."""

    matrices: Tensor
    hardening: dict
    shape: np.ndarray | None
    twins: object
    strain: Tensor
    time: Tensor


@dataclass
class PathSolver:
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

    def __call__(self, orientations, loading, increments: np.ndarray, control: str, shape) -> dict:
        glide = glide_of(self.law)
        self.modes = Modes.of(self.law)
        self.line = linearisation(self.scheme, exponent(self.law), self.n_eff, self.relaxed)
        self.reference = as_tensor(getattr(self.law, "reference_rate", 1.0))
        self.control, self.warm = control, None
        matrices, none = as_matrices(orientations).reshape(-1, 3, 3), torch.zeros((), dtype=torch.float64)
        strength = glide.system_strength.expand(len(matrices), len(glide.systems))
        self.rules = self.reorientation or Reorientation(glide.systems)
        now = Now(
            matrices, self.hardening.start(strength), shape, self.rules.start(len(matrices)), none, none
        )
        is_function = isinstance(loading, Callable) and not isinstance(loading, Conditions)
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

    def step(self, now: Now, load: Conditions, increment: float | None):
        """Row, response and next state; under checkpoint its graph is made again in the backward pass."""
        solved = []
        if self.checkpoint and torch.is_grad_enabled():
            return recompute(self.step_of, now, load, increment, solved, use_reentrant=False)
        return self.step_of(now, load, increment, solved)

    def step_of(self, now: Now, load: Conditions, increment: float | None, solved: list):
        field = self.solve(now, load, solved)
        work_rate = (field.stress @ field.rate) / field.von_mises
        row = self.row(field, now, load, work_rate)
        return row, field, now if increment is None else self.advance(now, field, load, work_rate, increment)

    def solve(self, now: Now, load: Conditions, solved: list) -> MeanField:
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
        self, now: Now, field: MeanField, load: Conditions, work_rate: Tensor, increment: float
    ) -> Now:
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
        return Now(matrices, hardening, shape, twins, now.strain + work_rate * dt, now.time + dt)

    def twin(self, now: Now, shear: np.ndarray):
        """Fractions after shears (G, S) of a step; grains to be reoriented and the twin system of each."""
        weights = self.weights.detach().numpy()
        if self.reorientation is None:
            return self.rules.accumulate(now.twins, shear, weights), (), ()
        return self.rules.advance(now.twins, shear, weights)

    def row(self, field: MeanField, now: Now, load: Conditions, work_rate: Tensor) -> dict:
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

    def collect(self, rows: list[dict], fields: list[MeanField], now: Now) -> dict:
        """Fields of the record Path."""
        s = {
            key: torch.stack([r[key] for r in rows])
            for key in ("strain", "time", "control", "stress", "rate", "activity", "strength", "taylor")
        }
        plain = {
            key: np.array([r[key] for r in rows])
            for key in ("twin", "effective", "n_iter", "newton", "converged")
        }
        return {
            "families": self.modes.families,
            **{
                key: s[key] for key in ("strain", "time", "control", "stress", "rate", "activity", "strength")
            },
            "von_mises": von_mises_stress(s["stress"]),
            "taylor_factor": s["taylor"],
            "cauchy": None if rows[0]["cauchy"] is None else np.stack([r["cauchy"] for r in rows]),
            "twin_fraction": plain["twin"],
            "reoriented": plain["effective"],
            "orientations": now.matrices,
            "grain_strength": now.hardening["strength"],
            "shape": now.shape,
            "first": fields[0],
            "last": fields[-1],
            "twin_count": now.twins.count,
            "state": now.hardening,
            "n_iter": plain["n_iter"],
            "newton_iterations": plain["newton"],
            "converged": plain["converged"],
        }


def _control_rate(rate: Tensor, control: str) -> Tensor:
    size = von_mises_rate(rate) if control == "von_mises" else to_matrix(rate)[CONTROLS[control]].abs()
    if not size.item() > 1e-12 * float(rate.detach().norm()):
        raise ParameterError(f"the control component {control} does not move: choose another one")
    return size
