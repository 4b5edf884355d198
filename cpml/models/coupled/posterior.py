"""From parameters to the probability of the footprints, and back: the forward
model, its maximum, its curvature.

    log posterior(theta) = log prior(theta) + sum over specimens and grains of log L_g(theta)

The maximum is found by bounded L-BFGS in units of the prior width, in which every direction is about equally
stiff. The curvature there gives intervals (Laplace's approximation).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from torch import Tensor

from cpml.errors import CpmlError
from cpml.models.coupled.likelihood import Evidence, activity, log_likelihood, token_share
from cpml.models.coupled.prior import PRIORS, Prior, rates
from cpml.models.mechanics.localisation import Medium
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws import flow

BOUND = 3.0  # prior widths within which parameters are searched
FLOOR = 1e-3  # resolved stress, relative to the mean stress, below which a system counts as unloaded
NINETY_PERCENT = 1.645  # standard deviations on each side


@dataclass(frozen=True)
class Forward:
    """One specimen as tensors: from parameters to shares of shear on every token."""

    evidence: Evidence
    medium: Medium
    family: Tensor  # (S,) long
    token: Tensor  # (S,) long
    n_tokens: int
    inputs: Tensor  # (G, S, F) of the residual head

    @classmethod
    def of(cls, specimen: Specimen, head, medium: Medium) -> "Forward":
        """Collect the tensors of a `Specimen`."""
        return cls(
            Evidence.of(specimen),
            medium,
            torch.tensor(specimen.systems.family),
            torch.tensor(specimen.token),
            len(specimen.tokens),
            head.inputs(specimen),
        )

    @property
    def n_planes(self) -> int:
        """Number of slip planes, which come first among the tokens."""
        return self.evidence.visible.shape[1]

    def share(self, theta: dict[str, Tensor], head, *, gate: float) -> tuple[Tensor, Tensor]:
        """Share (G, K, S) of each grain's shear on every system under every draw,
        and log (G,) of its total shear.
        """
        stress, log_total = self.medium.local_stress(theta)
        tau = torch.einsum("gsi,gki->gks", self.medium.schmid, stress)
        log_strength = theta["log_strength"][self.family]
        log_activity = flow.log_activity(tau, log_strength, self.medium.twin, theta["n"], floor=FLOOR)
        if gate:
            log_activity = log_activity + gate * head(theta["head"], self.inputs, self.family)[:, None, :]
        return torch.softmax(log_activity, dim=-1), log_total

    def active(self, theta: dict[str, Tensor], head, *, gate: float) -> tuple[Tensor, Tensor]:
        """Probability (G, K, T) that a token is active above the visible limit, and
        its share of the shear (G, K, T).
        """
        system, log_total = self.share(theta, head, gate=gate)
        share = token_share(system, self.token, self.n_tokens)
        return activity(share, log_total, self.n_planes, rates(theta)), share


@dataclass(frozen=True)
class Optimum:
    """Where the search ended."""

    vector: Tensor
    log_posterior: float
    converged: bool
    n_iter: int


@dataclass(frozen=True)
class Posterior:
    """Log posterior of a list of specimens."""

    prior: Prior
    data: tuple[Forward, ...]

    @property
    def count(self) -> int:
        """Observed traces and known variants: zero means that there is nothing to learn from."""
        return sum(d.evidence.count for d in self.data)

    def log_likelihood(self, vector: Tensor, *, gate: float) -> list[Tensor]:
        """Log-likelihood (G,) of every grain of each specimen."""
        theta = self.prior.unpack(vector)
        return [
            log_likelihood(
                d.active(theta, self.prior.head, gate=gate)[0], d.evidence, rates(theta), d.medium.log_weight
            )
            for d in self.data
        ]

    def cost(self, vector: Tensor, *, gate: float) -> Tensor:
        """Negative log posterior."""
        return -self.prior.log_density(vector) - sum(
            part.sum() for part in self.log_likelihood(vector, gate=gate)
        )

    def maximise(self, start: Tensor, *, gate: float, max_iter: int, reach: float | None = None) -> Optimum:
        """Most probable parameters; without the gate the head's weights stay where they start.

        ``reach`` limits each log strength to this distance from ``start``: how far the
        linearised localisation is trusted.
        """
        free = len(start) if gate else self.prior.n_base
        centre, width = self.prior.centre().numpy()[:free], self.prior.width(free)

        def cost(z: np.ndarray) -> tuple[float, np.ndarray]:
            x = torch.tensor(centre + width * z, requires_grad=True)
            value = self.cost(torch.cat([x, start[free:]]), gate=gate)
            value.backward()
            return value.item(), width * x.grad.numpy()

        bounds = np.full((free, 2), (-BOUND, BOUND))
        bounds[self.prior.n_base :] = (-np.inf, np.inf)
        options = {"maxiter": max_iter, "ftol": 1e-8, "gtol": 1e-4}
        z = (start[:free].numpy() - centre) / width
        if reach is not None:
            k = len(self.prior.families)
            near = z[:k, None] + reach / width[:k, None] * np.array([-1.0, 1.0])
            bounds[:k] = np.clip(near, -BOUND, BOUND)
        z = np.clip(z, bounds[:, 0], bounds[:, 1])
        found = minimize(cost, z, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        if not np.isfinite(found.fun):
            raise CpmlError(
                f"training diverged (log posterior {-found.fun}): check load and labels of the specimens"
            )
        vector = torch.cat([torch.tensor(centre + width * found.x), start[free:]])
        return Optimum(vector, -float(found.fun), bool(found.success), int(found.nit))

    def covariance(self, vector: Tensor, *, gate: float, step: float = 1e-3) -> np.ndarray:
        """Laplace covariance of the base parameters: inverse curvature, by
        central differences of the gradient.
        """
        n = self.prior.n_base

        def gradient(base: Tensor) -> Tensor:
            base = base.clone().requires_grad_(True)
            return torch.autograd.grad(self.cost(torch.cat([base, vector[n:]]), gate=gate), base)[0]

        base, shifts = vector[:n], step * torch.eye(n, dtype=vector.dtype)
        hessian = torch.stack([(gradient(base + e) - gradient(base - e)) / (2 * step) for e in shifts])
        value, vectors = torch.linalg.eigh((hessian + hessian.T) / 2)
        # a curvature this small is rounding on a ridge that the prior bounds
        return ((vectors / value.clamp(min=1e-2)) @ vectors.T).numpy()


def strength_table(prior: Prior, vector: Tensor, covariance: np.ndarray) -> pd.DataFrame:
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
    table = {
        "family": prior.families, "strength_mpa": np.exp(log_xi), "literature_mpa": prior.strengths,
        "ratio": np.exp(ratio), "ratio_low": np.exp(ratio - NINETY_PERCENT * sd), "ratio_high": np.exp(ratio + NINETY_PERCENT * sd),
        "prior_ratio": np.exp(prior_ratio), "prior_low": np.exp(prior_ratio - NINETY_PERCENT * prior_sd),
        "prior_high": np.exp(prior_ratio + NINETY_PERCENT * prior_sd), "reference": prior.families[ref], "by_data": by_data,
    }  # fmt: skip
    return pd.DataFrame(table)


def correlation_table(prior: Prior, covariance: np.ndarray) -> pd.DataFrame:
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
    names = [n for i, n in enumerate([*prior.families, *PRIORS]) if i != ref]
    return pd.DataFrame(turned / np.outer(sd, sd), index=names, columns=names)
