"""From parameters to the probability of the footprints, and back: the forward
model, its maximum, its curvature.

    log posterior(theta) = log prior(theta) + sum over specimens and grains of log L_g(theta) + log M_g(theta)

with L_g of the grain's traces, twins and reports, M_g of its rotation and strain where they were measured;
the area that twins cover in the whole specimen adds one term.

The maximum is found by bounded L-BFGS in units of the prior width, in which every direction is about equally
stiff. The curvature there gives intervals (Laplace's approximation).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.errors import CpmlError
from cpml.models.coupled.at_yield import log_weights
from cpml.models.coupled.likelihood import (
    TINY,
    Evidence,
    Turned,
    activity,
    beyond_half,
    log_likelihood,
    token_share,
)
from cpml.models.coupled.motion import Measured
from cpml.models.coupled.prior import Prior, Theta
from cpml.models.coupled.strengths.hardened import NOMINAL_STRAIN
from cpml.models.coupled.within_grain import shares_within
from cpml.models.mechanics.localisation import Answer, Localisation
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws import flow
from cpml.plasticity.polycrystal.motion import schmid_vectors


@dataclass(frozen=True)
class Sheared:
    """What the grains of a specimen do at one point of the parameters, under every draw k of their stress."""

    answer: Answer  # of the scheme
    stress: Tensor  # (G, K, 5) in units of the mean stress
    log_total: Tensor  # (G,) natural log of the total shear over its mean
    log_shear: Tensor  # (G,) natural log of the total shear
    log_weight: Tensor  # (G, K) of the draws
    by_system: Tensor  # (G, K, S) share of each grain's shear
    by_token: Tensor  # (G, K, T) the same, summed over the systems of a token
    active: Tensor  # (G, K, T) probability that a token is active above the visible limit
    found: Tensor  # (G, K, T) the same, above what the map resolves in its grain
    turned: Turned | None  # twins that have outgrown their parents; None: none has

    def average(self, values: Tensor) -> Tensor:
        """(G, ...) mean of values (G, K, ...) over the draws."""
        return torch.einsum("gk,gk...->g...", torch.softmax(self.log_weight, dim=1), values)

    def corrected(self, shift: Tensor, token: Tensor, steepness: Tensor) -> "Sheared":
        """The same with log odds to be active moved by ``shift`` (G, T), as `correction` says.

        Parameters
        ----------
        token : (S,) of every system; steepness : of the visible limit, of all tokens or of each (T,),
            from odds to shear
        """

        def moved(probability: Tensor) -> Tensor:
            probability = probability.clamp(TINY, 1 - TINY)
            mean = self.average(probability)
            wanted = torch.sigmoid(torch.logit(mean) + shift)
            less, more = (wanted / mean)[:, None], ((1 - wanted) / (1 - mean))[:, None]
            return torch.where(shift[:, None] < 0, probability * less, 1 - (1 - probability) * more)

        factor = torch.exp(shift / steepness)[:, None]
        by_system, by_token = self.by_system * factor[..., token], self.by_token * factor
        return replace(
            self,
            by_system=by_system / by_system.sum(-1, keepdim=True),
            by_token=by_token / by_token.sum(-1, keepdim=True),
            active=moved(self.active),
            found=moved(self.found),
        )


@dataclass(frozen=True)
class Forward:
    """One specimen as tensors: from parameters to what its grains do."""

    evidence: Evidence
    localisation: Localisation
    family: Tensor  # (S,) long
    token: Tensor  # (S,) long
    n_tokens: int
    variation: Tensor  # (G, J, S) resolved, at points of a grain (`within_grain`)
    log_unit: Tensor  # (T,) log of the shear that counts as one (`activity`)
    log_mean_shear: float  # natural log of the mean over the grains
    diameter: Tensor  # (G,) pixels of the map; infinite without one
    parents: Tensor | None  # (G, V, S) resolved mean stress in the parents whose twins the grains may be
    motion: tuple[Measured, ...] = ()
    shift: Tensor | None = None  # (G, T) learned correction of the log odds to be active

    @classmethod
    def of(cls, specimen: Specimen, localisation: Localisation) -> "Forward":
        """Collect the tensors of a `Specimen`."""
        return cls(
            Evidence.of(specimen),
            localisation,
            torch.tensor(specimen.systems.family),
            torch.tensor(specimen.token),
            len(specimen.tokens),
            localisation.variation,
            torch.tensor(log_units(specimen)),
            float(np.log(localisation.taylor * (specimen.load.strain or NOMINAL_STRAIN))),
            torch.tensor(specimen.diameter),
            _parents(specimen, localisation),
            Measured.of(specimen),
        )

    def told(self, sheared: Sheared, theta: Theta) -> Tensor | None:
        """Log-likelihood (G, K) of the reports of every grain under every draw; None where there are none."""
        reports = self.evidence.reports
        if reports is None:
            return None
        rows = reports.systems
        share, shear = sheared.by_system[rows.grain, :, rows.target], sheared.log_shear[rows.grain]
        alone = activity(share[..., None], shear, torch.zeros(1), 1, theta.rates)[..., 0]
        return reports.per_draw(sheared.active, sheared.by_system, alone, theta.reports)

    def log_likelihood(self, sheared: Sheared, theta: Theta) -> Tensor:
        """(G,) of the traces, twins and reports of every grain."""
        told, turned = self.told(sheared, theta), sheared.turned
        return log_likelihood(sheared.found, self.evidence, theta.rates, sheared.log_weight, told, turned)

    def grown_over(self, theta: Theta) -> Tensor | None:
        """(G, V) probability, given its footprints, that the grain is a twin which has outgrown its parent,
        across the plane of each variant; None where nothing twins or no map was looked at.
        """
        sheared = self.at(theta)
        if sheared.turned is None:
            return None
        grown = sheared.turned.log_likelihood(self.evidence) + torch.log1p(-theta.rates.outlier)
        return torch.exp(grown - self.log_likelihood(sheared, theta)[:, None])

    def covered(self, sheared: Sheared) -> Tensor | float:
        """Log-likelihood of the area that twins cover; 0 where it was not measured."""
        if self.evidence.area is None:
            return 0.0
        share, found = (x[..., self.n_planes :] for x in (sheared.by_token, sheared.found))
        fraction = share * torch.exp(sheared.log_shear[:, None, None] - self.log_unit[self.n_planes :])
        return self.evidence.area.log_likelihood(fraction, found, torch.softmax(sheared.log_weight, dim=1))

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
        by_system = self._shares(theta, tau)
        by_token = token_share(by_system, self.token, self.n_tokens)
        log_shear = log_total + self.log_mean_shear
        active, found = (
            activity(by_token, log_shear, self.log_unit, self.n_planes, theta.rates, diameter)
            for diameter in (None, self.diameter)
        )
        log_weight = self._log_weight(theta, answer, stress, tau)
        turned = self._turned(theta, by_token, log_shear, log_weight)
        law = Sheared(
            answer, stress, log_total, log_shear, log_weight, by_system, by_token, active, found, turned
        )
        if self.shift is None:
            return law
        steepness = theta.rates.steepness_of(self.n_planes, self.n_tokens)
        return law.corrected(self.shift, self.token, steepness)

    def _turned(self, theta: Theta, by_token: Tensor, log_shear: Tensor, log_weight: Tensor) -> Turned | None:
        """Which grains are twins that have outgrown their parents."""
        if self.parents is None:
            return None
        unit, twins = self.log_unit[self.n_planes :], torch.nonzero(self.localisation.is_polar)[:, 0]
        log_fraction = torch.log(by_token[..., self.n_planes :] + TINY) + log_shear[:, None, None] - unit
        smaller = torch.prod(1 - beyond_half(log_fraction, theta.rates.twin_steepness), dim=-1)
        upright = (torch.softmax(log_weight, dim=1) * smaller).sum(1)
        share = self._shares(theta, self.parents)[:, torch.arange(len(twins)), twins]
        of_parents = torch.log(share + TINY) + self.log_mean_shear - unit
        return Turned.of(of_parents, upright, theta.rates, self.diameter)

    def _shares(self, theta: Theta, tau: Tensor) -> Tensor:
        """(G, K, S) of the shear under resolved stresses (G, K, S)."""
        is_polar = self.localisation.is_polar
        return shares_within(
            tau,
            self.variation,
            theta.variation,
            theta.log_strength[self.family],
            torch.where(is_polar, theta.n_twin, theta.n),
            is_polar,
            floor=self.localisation.numerics.unloaded,
        )

    def _log_weight(self, theta: Theta, answer: Answer, stress: Tensor, tau: Tensor) -> Tensor:
        """(G, K) of the draws: by their adaptation, and by being at yield where a scheme knows its error."""
        where = self.localisation
        adapted = (
            torch.zeros(tau.shape[:2], dtype=tau.dtype) if where.log_weight is None else where.log_weight
        )
        if answer.root is None or not float(theta.trust.detach()):
            return adapted - math.log(tau.shape[1])

        def log_size(resolved: Tensor) -> Tensor:
            strength = theta.log_strength[self.family]
            floor = where.numerics.unloaded
            rate = flow.log_activity(resolved, strength, where.is_polar, theta.n, floor=floor)
            return torch.logsumexp(rate, dim=-1) / theta.n

        mean = answer.stress
        resolved = torch.einsum("gsi,gi->gs", where.schmid, mean)
        assert answer.inverse_root is not None  # it came with the root
        inverse = answer.inverse_root / theta.trust
        weight = adapted + log_weights(stress, mean, inverse, log_size(tau), log_size(resolved))
        return weight - torch.logsumexp(weight, dim=1, keepdim=True)


def _parents(specimen: Specimen, localisation: Localisation) -> Tensor | None:
    """(G, V, S) mean stress on the systems of the crystals that lie across the plane of every variant; None
    where no map was looked at, or nothing twins.
    """
    systems = specimen.systems
    if specimen.raster is None or not systems.twin.any():
        return None
    macro = localisation.macro.numpy()
    planes = systems.plane[systems.twin]
    across = [twin_crystal_to_sample(specimen.quaternions, plane) for plane in planes]
    return torch.tensor(np.stack([schmid_vectors(systems, q) @ macro for q in across], axis=1))


def log_units(specimen: Specimen) -> NDArray:
    """(T,) log of the shear that counts as one: 1 for planes, its twinning shear for a variant."""
    shear = np.ones(len(specimen.tokens))
    shear[specimen.token[specimen.systems.twin]] = specimen.systems.twin_shear[specimen.systems.twin]
    return np.log(shear)


@dataclass(frozen=True)
class Optimum:
    """Where the search ended."""

    vector: Tensor
    log_posterior: float
    converged: bool
    n_iter: int
    covariance: NDArray | None = None  # Laplace's, where the search ended with Newton's steps


@dataclass(frozen=True)
class Posterior:
    """Log posterior of a list of specimens."""

    prior: Prior
    data: tuple[Forward, ...]
    numerics: Numerics = STANDARD

    @property
    def count(self) -> int:
        """Footprints of any kind: zero means that there is nothing to learn from."""
        return sum(d.evidence.count + sum(len(m.grains) for m in d.motion) for d in self.data)

    def log_likelihood(self, vector: Tensor) -> list[Tensor]:
        """Log-likelihood (G,) of every grain of each specimen; that of the area of all twins is shared
        equally.
        """
        theta = self.prior.unpack(vector)
        found = []
        for d in self.data:
            sheared = d.at(theta)
            part = d.log_likelihood(sheared, theta)
            part = part + d.covered(sheared) / len(part)
            for measured in d.motion:
                rates = theta.motion[measured.kind]
                part = part + measured.log_likelihood(sheared.answer, rates, theta.trust)
            found.append(part)
        return found

    def cost(self, vector: Tensor) -> Tensor:
        """Negative log posterior."""
        parts = torch.stack([part.sum() for part in self.log_likelihood(vector)])
        return -self.prior.log_density(vector) - parts.sum()

    def maximise(self, start: Tensor, *, max_iter: int, held: Sequence[str] = ()) -> Optimum:
        """Most probable parameters.

        Each log strength stays within `Numerics.reach` of ``start``: so far the linearised localisation is
        trusted.

        Parameters
        ----------
        held : parameters that stay at ``start``
        """
        centre, width = self.prior.centre().numpy(), self.prior.width()
        z = (start.numpy() - centre) / width
        bounds = self._bounds(z, width)
        stays = np.isin(self.prior.names, list(held))
        bounds[stays] = z[stays, None]
        z = np.clip(z, bounds[:, 0], bounds[:, 1])
        options = {
            "maxiter": max_iter,
            "ftol": self.numerics.tolerance,
            "gtol": self.numerics.least_gradient,
        }
        end = minimize(self._in_widths, z, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        if not np.isfinite(end.fun):
            raise CpmlError(
                f"training diverged (log posterior {-end.fun}): check load and labels of the specimens"
            )
        return Optimum(torch.tensor(centre + width * end.x), -float(end.fun), bool(end.success), int(end.nit))

    def refine(self, start: Optimum) -> Optimum:
        """Newton's steps to the maximum near by, and Laplace's covariance there; without footprints the
        covariance alone, since there is nothing to search for.

        The first search ends where the cost no longer changes, on a ridge some way from where it is least;
        what is printed of a fit must hang on its data alone, not on the rounding that led there.
        """
        centre, width = self.prior.centre().numpy(), self.prior.width()
        z = (start.vector.numpy() - centre) / width
        value, slope = self._in_widths(z)
        sizes, axes = np.linalg.eigh(self._curvature(z))
        sizes, steps = np.maximum(sizes, self.numerics.least_curvature), 0
        bounds = self._bounds(z, width)
        for _ in range(self.numerics.newton_steps if self.count else 0):
            wanted = np.clip(z - axes @ ((axes.T @ slope) / sizes), bounds[:, 0], bounds[:, 1])
            better, there = self._in_widths(wanted)
            if not better <= value:  # rounding, or a kink
                break
            moved = float(np.abs(wanted - z).max())
            z, value, slope, steps = wanted, better, there, steps + 1
            if moved < self.numerics.least_step:
                break
        covariance = width[:, None] * ((axes / sizes) @ axes.T) * width
        vector = torch.tensor(centre + width * z)
        return Optimum(vector, -value, start.converged, start.n_iter + steps, covariance)

    def _in_widths(self, z: NDArray) -> tuple[float, NDArray]:
        """Cost, and its slope, at parameters in units of their prior width from its centre."""
        centre, width = self.prior.centre().numpy(), self.prior.width()
        x = torch.tensor(centre + width * z, requires_grad=True)
        value = self.cost(x)
        (slope,) = torch.autograd.grad(value, x)
        return value.item(), width * slope.numpy()

    def _curvature(self, z: NDArray) -> NDArray:
        """(n, n) second derivatives of the cost in the same units, by central differences of its slope."""
        step = self.numerics.curvature_step
        shifts = step * np.eye(len(z))
        rows = [(self._in_widths(z + e)[1] - self._in_widths(z - e)[1]) / (2 * step) for e in shifts]
        return (np.array(rows) + np.array(rows).T) / 2

    def _bounds(self, z: NDArray, width: NDArray) -> NDArray:
        """(n, 2) of the free parameters in units of their prior width, for a search from ``z``."""
        k, bound = len(self.prior.families), self.numerics.bound
        bounds = np.full((len(z), 2), (-bound, bound))
        near = z[:k, None] + self.numerics.reach / width[:k, None] * np.array([-1.0, 1.0])
        bounds[:k] = np.clip(near, -bound, bound)
        return bounds


def footprints_of_families(posterior: Posterior, vector: Tensor) -> NDArray:
    """(K,) expected number of the observed traces and twins that each family left: a trace is shared among
    the planes that it fits as their probabilities to leave it, and with false ones. Motions and reports tell
    of all families and count for every one.
    """
    theta = posterior.prior.unpack(vector)
    number = np.zeros(len(posterior.prior.families))
    for d in posterior.data:
        with torch.no_grad():
            sheared = d.at(theta)
            found = sheared.average(sheared.found)
        first = np.array([int(torch.nonzero(d.token == t)[0]) for t in range(d.n_tokens)])
        family = d.family[torch.as_tensor(first)].numpy()
        for grains, density in d.evidence.traces:
            if not density.shape[1]:
                continue
            seen = theta.rates.detection * found[grains, : d.n_planes] * d.evidence.visible[grains]
            weight = density * seen[:, None, :]
            part = weight / (weight.sum(-1, keepdim=True) + theta.rates.false_rate / 180.0)
            number += np.bincount(family[: d.n_planes], part.sum((0, 1)).numpy(), len(number))
        number += np.bincount(family[d.n_planes :], d.evidence.twin.sum(0).numpy(), len(number))
        number += sum(len(m.grains) for m in d.motion)
        number += 0 if d.evidence.reports is None else d.evidence.reports.count
    return number


def strength_table(prior: Prior, vector: Tensor, ratios: NDArray) -> pd.DataFrame:
    """Strengths, means over the test, and their ratios to the reference family with 90 % intervals, beside
    the prior's.

    Parameters
    ----------
    ratios : (K, 3) quantiles of the log ratios (`cpml.models.coupled.strengths.marginals`)

    Returns
    -------
    DataFrame family, strength_mpa, literature_mpa, ratio, ratio_low, ratio_high, prior_ratio, prior_low,
    prior_high, reference, by_data: 1 - (posterior / prior standard deviation of the log ratio)^2, near 1
    where the footprints fix the ratio, near 0 where the literature does (NaN for the reference itself)
    """
    low, middle, high = ratios.T
    prior_low, prior_ratio, prior_high = prior.ratios()
    with np.errstate(invalid="ignore"):
        by_data = np.clip(1 - ((high - low) / (prior_high - prior_low)) ** 2, 0.0, 1.0)
    return pd.DataFrame(
        {
            "family": prior.families,
            "strength_mpa": np.exp(vector[: len(prior.families)].numpy()),
            "literature_mpa": prior.literature,
            "ratio": np.exp(middle),
            "ratio_low": np.exp(low),
            "ratio_high": np.exp(high),
            "prior_ratio": np.exp(prior_ratio),
            "prior_low": np.exp(prior_low),
            "prior_high": np.exp(prior_high),
            "reference": prior.families[prior.reference],
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
