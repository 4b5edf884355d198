"""From parameters to the probability of the footprints, and back: the forward
model, its maximum, its curvature.

    log posterior(theta) = log prior(theta) + sum over specimens and grains of log L_g(theta) + log M_g(theta)

with L_g of the grain's traces, twins and reports, M_g of its rotation and strain where they were measured.

The maximum is found by bounded L-BFGS in units of the prior width, in which every direction is about equally
stiff. The curvature there gives intervals (Laplace's approximation).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from cpml.errors import CpmlError
from cpml.intervals import NINETY_PERCENT
from cpml.models.coupled.likelihood import Evidence, activity, log_likelihood, token_share
from cpml.models.coupled.motion import Measured
from cpml.models.coupled.prior import Prior, Theta
from cpml.models.coupled.residual import ResidualHead
from cpml.models.mechanics.localisation import Answer, Localisation
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws import flow


@dataclass(frozen=True)
class Sheared:
    """What the grains of a specimen do at one point of the parameters, under every draw k of their stress."""

    answer: Answer  # of the scheme
    stress: Tensor  # (G, K, 5) in units of the mean stress
    log_total: Tensor  # (G,) natural log of the total shear over its mean
    by_system: Tensor  # (G, K, S) share of each grain's shear
    by_token: Tensor  # (G, K, T) the same, summed over the systems of a token
    active: Tensor  # (G, K, T) probability that a token is active above the visible limit


@dataclass(frozen=True)
class Forward:
    """One specimen as tensors: from parameters to what its grains do."""

    evidence: Evidence
    localisation: Localisation
    family: Tensor  # (S,) long
    token: Tensor  # (S,) long
    n_tokens: int
    inputs: Tensor  # (G, S, F) of the residual head
    motion: tuple[Measured, ...] = ()

    @classmethod
    def of(cls, specimen: Specimen, head: ResidualHead, localisation: Localisation) -> "Forward":
        """Collect the tensors of a `Specimen`."""
        return cls(
            Evidence.of(specimen),
            localisation,
            torch.tensor(specimen.systems.family),
            torch.tensor(specimen.token),
            len(specimen.tokens),
            head.inputs(specimen),
            Measured.of(specimen),
        )

    def told(self, sheared: Sheared, theta: Theta) -> Tensor | None:
        """Log-likelihood (G, K) of the reports of every grain under every draw; None where there are none."""
        reports = self.evidence.reports
        if reports is None:
            return None
        rows = reports.systems
        share, total = sheared.by_system[rows.grain, :, rows.target], sheared.log_total[rows.grain]
        alone = activity(share[..., None], total, 1, theta.rates)[..., 0]
        return reports.per_draw(sheared.active, sheared.by_system, alone, theta.reports)

    @property
    def n_planes(self) -> int:
        """Number of slip planes, which come first among the tokens."""
        return self.evidence.visible.shape[1]

    def at(self, theta: Theta) -> Sheared:
        """What the grains do at ``theta``."""
        answer = self.localisation.response(theta.log_strength, motion=bool(self.motion))
        stress, log_total = self.localisation.local_stress(
            answer, theta.amplitude, theta.coefficients, theta.scatter, theta.trust
        )
        tau = torch.einsum("gsi,gki->gks", self.localisation.schmid, stress)
        log_activity = flow.log_activity(
            tau,
            theta.log_strength[self.family],
            self.localisation.is_polar,
            theta.n,
            floor=self.localisation.numerics.unloaded,
        )
        residual = theta.residual(self.inputs, self.family)
        if residual is not None:
            log_activity = log_activity + residual[:, None, :]
        by_system = torch.softmax(log_activity, dim=-1)
        by_token = token_share(by_system, self.token, self.n_tokens)
        active = activity(by_token, log_total, self.n_planes, theta.rates)
        return Sheared(answer, stress, log_total, by_system, by_token, active)


@dataclass(frozen=True)
class Optimum:
    """Where the search ended."""

    vector: Tensor
    log_posterior: float
    converged: bool
    n_iter: int


@dataclass(frozen=True)
class Posterior:
    """Log posterior of a list of specimens, behind a shut (0) or open (1) gate of the residual."""

    prior: Prior
    data: tuple[Forward, ...]
    gate: float = 0.0
    numerics: Numerics = STANDARD

    @property
    def count(self) -> int:
        """Footprints of any kind: zero means that there is nothing to learn from."""
        return self.count_of_mechanisms + sum(len(m.grains) for d in self.data for m in d.motion)

    @property
    def count_of_mechanisms(self) -> int:
        """Observed traces, known variants and reports, of which alone the residual knows something."""
        return sum(d.evidence.count for d in self.data)

    def log_likelihood(self, vector: Tensor) -> list[Tensor]:
        """Log-likelihood (G,) of every grain of each specimen."""
        theta = self.prior.unpack(vector, gate=self.gate)
        found = []
        for d in self.data:
            sheared = d.at(theta)
            weight, told = d.localisation.log_weight, d.told(sheared, theta)
            part = log_likelihood(sheared.active, d.evidence, theta.rates, weight, told)
            for measured in d.motion:
                rates = theta.motion[measured.kind]
                part = part + measured.log_likelihood(sheared.answer, rates, theta.trust)
            found.append(part)
        return found

    def cost(self, vector: Tensor) -> Tensor:
        """Negative log posterior."""
        parts = torch.stack([part.sum() for part in self.log_likelihood(vector)])
        return -self.prior.log_density(vector) - parts.sum()

    def maximise(self, start: Tensor, *, max_iter: int) -> Optimum:
        """Most probable parameters; behind a shut gate the head's weights stay where they start.

        Each log strength stays within `Numerics.reach` of ``start``: so far the linearised localisation is
        trusted.
        """
        free = len(start) if self.gate else self.prior.n_base
        centre, width = self.prior.centre().numpy()[:free], self.prior.width(free)

        def cost(z: NDArray) -> tuple[float, NDArray]:
            x = torch.tensor(centre + width * z, requires_grad=True)
            value = self.cost(torch.cat([x, start[free:]]))
            (slope,) = torch.autograd.grad(value, x)
            return value.item(), width * slope.numpy()

        z = (start[:free].numpy() - centre) / width
        bounds = self._bounds(z, width)
        z = np.clip(z, bounds[:, 0], bounds[:, 1])
        options = {
            "maxiter": max_iter,
            "ftol": self.numerics.tolerance,
            "gtol": self.numerics.least_gradient,
        }
        end = minimize(cost, z, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        if not np.isfinite(end.fun):
            raise CpmlError(
                f"training diverged (log posterior {-end.fun}): check load and labels of the specimens"
            )
        vector = torch.cat([torch.tensor(centre + width * end.x), start[free:]])
        return Optimum(vector, -float(end.fun), bool(end.success), int(end.nit))

    def _bounds(self, z: NDArray, width: NDArray) -> NDArray:
        """(n, 2) of the free parameters in units of their prior width, for a search from ``z``."""
        k, bound = len(self.prior.families), self.numerics.bound
        bounds = np.full((len(z), 2), (-bound, bound))
        bounds[self.prior.n_base :] = (-np.inf, np.inf)
        near = z[:k, None] + self.numerics.reach / width[:k, None] * np.array([-1.0, 1.0])
        bounds[:k] = np.clip(near, -bound, bound)
        return bounds

    def covariance(self, vector: Tensor) -> NDArray:
        """Laplace covariance of the base parameters: inverse curvature, by
        central differences of the gradient.
        """
        n, step = self.prior.n_base, self.numerics.curvature_step

        def gradient(base: Tensor) -> Tensor:
            base = base.clone().requires_grad_(True)
            return torch.autograd.grad(self.cost(torch.cat([base, vector[n:]])), base)[0]

        base, shifts = vector[:n], step * torch.eye(n, dtype=vector.dtype)
        hessian = torch.stack([(gradient(base + e) - gradient(base - e)) / (2 * step) for e in shifts])
        value, vectors = torch.linalg.eigh((hessian + hessian.T) / 2)
        return ((vectors / value.clamp(min=self.numerics.least_curvature)) @ vectors.T).numpy()


def strength_table(prior: Prior, vector: Tensor, covariance: NDArray) -> pd.DataFrame:
    """Strengths and their ratios to the reference family with 90 % intervals, beside the prior's.

    Returns
    -------
    DataFrame family, strength_mpa, literature_mpa, ratio, ratio_low, ratio_high, prior_ratio, prior_low,
    prior_high, reference, by_data: 1 - (posterior / prior standard deviation of the log ratio)^2, near 1
    where the footprints fix the ratio, near 0 where the literature does (NaN for the reference itself)
    """
    k, ref = len(prior.families), prior.reference
    log_xi, log_literature = vector[:k].numpy(), np.log(prior.strengths)
    contrast = np.eye(k) - np.eye(k)[ref]  # rows: log xi_i - log xi_reference
    sd = np.sqrt(np.einsum("ij,jk,ik->i", contrast, covariance[:k, :k], contrast).clip(min=0))
    prior_sd = np.sqrt((contrast**2) @ prior.log_spreads**2)
    ratio, prior_ratio = contrast @ log_xi, contrast @ log_literature
    with np.errstate(invalid="ignore"):
        by_data = np.clip(1 - (sd / prior_sd) ** 2, 0.0, 1.0)
    return pd.DataFrame(
        {
            "family": prior.families,
            "strength_mpa": np.exp(log_xi),
            "literature_mpa": prior.strengths,
            "ratio": np.exp(ratio),
            "ratio_low": np.exp(ratio - NINETY_PERCENT * sd),
            "ratio_high": np.exp(ratio + NINETY_PERCENT * sd),
            "prior_ratio": np.exp(prior_ratio),
            "prior_low": np.exp(prior_ratio - NINETY_PERCENT * prior_sd),
            "prior_high": np.exp(prior_ratio + NINETY_PERCENT * prior_sd),
            "reference": prior.families[ref],
            "by_data": by_data,
        }
    )


def correlation_table(prior: Prior, covariance: NDArray) -> pd.DataFrame:
    """Posterior correlations of the log strength ratios and the other
    parameters: what is traded against what.

    The common scale of the strengths, which footprints do not tell, is left out.
    """
    k, ref = len(prior.families), prior.reference
    turn = np.eye(len(covariance))
    turn[:k, ref] -= 1.0
    kept = np.arange(len(covariance)) != ref
    turned = (turn @ covariance @ turn.T)[np.ix_(kept, kept)]
    sd = np.sqrt(np.diag(turned))
    names = [n for i, n in enumerate(prior.names) if i != ref]
    return pd.DataFrame(turned / np.outer(sd, sd), index=names, columns=names)
