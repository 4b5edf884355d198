"""Likelihood of slip traces and twins that knows what an observation can and cannot tell.

A slip plane p of a grain counts as active when its shear g_p, its share pi_p of the shear Gamma that the
grain has accumulated, exceeds a limit g0 that the microscope sets, softly (variants: over their twinning
shear, a volume fraction):

    a_p = 1 / (1 + (g0 / g_p)^beta),      g_p = pi_p Gamma

It leaves one trace if it is also steep enough (v_p) and not missed (detection d), and that trace shows at
its true angle with a normal error. Traces nobody can explain come at a rate epsilon per grain, at any angle.
The likelihood of the observed angles sums over every way in which planes and false traces can have produced
them, each plane at most once:

    L_slip = exp(-epsilon) sum_{assignments A} prod_{p in A} q_p N(theta_A(p) - theta_p; sigma)
             prod_{p not in A} (1 - q_p (1 - c_p)) prod_{j not in A} epsilon / 180 deg,    q_p = d v_p a_p

so the candidates of an ambiguous trace are summed, never picked, and a plane that should have been seen and
was not counts against the model, unless an observed trace covers it (c_p = 1): two parallel traces are
recorded as one. The sum is exact (`cpml.models.coupled.assignments`). Twin variants are independent trials
and count only where the grain was indexed. A lamella has to be as thick as the map can resolve, in a small
grain a larger part of it: a variant is found with

    P(variant seen) = 1 / (1 + (g_d / g_v)^beta),      g_d = g0 + w / d

g0 the volume fraction from which a variant is said to act at all, w the thickness that the map resolves and d
the grain's diameter, in pixels (a lamella across the grain has thickness f d). The local stress
is not known, so the likelihood is averaged over draws k of it.

A map takes the larger part of a grain for the parent. Where a twin has grown beyond one half that is the
twin, and what is left of the parent looks like a twin on the same plane that the load forbids. With f_v the
volume fractions by the law in this crystal, and f'_v those of variant v in the crystal that lies across its
plane, under the mean stress and at the mean shear,

    T_v = h P(f'_v > 1/2) / Z,     U = <prod_v P(f_v < 1/2)> / Z,     U + sum_v T_v = 1
    P(f > c) = 1 / (1 + (c / f)^beta)

are the probabilities that the grain is the twin v of that parent, and that it is a parent itself; h is
learned, 1 where the law is right about it. And some grains are not what 02 took them for (a line given to the
wrong grain), so a share rho is explained by nothing but chance, L_chance = traces at any angle and variants
at their mean frequency:

    L_g = (1 - rho) [U sum_k w_k L_slip L_twin L_reports + sum_v T_v L_v] + rho L_chance

L_v is that of chance, but for v itself: a part of REST, found as above if the map resolves it.
rho is learned with the rest, and then by held-out grains (`cpml.models.coupled.learning.held_out_share`).
L_reports is what was said of the grain beside its lines and twins (`cpml.models.coupled.reports`).

Whether variants are seen tells where grains twin, the area that they cover how much: twins that are frequent
and carry no shear are none. With A_g the share of the grain that twins cover, over all grains whose twins are
known, weighed by area,

    ln <A> ~ N(ln <1 - exp(-sum_v f_v p_v)>, s_A^2),      f_v = g_v / twinning shear

the volume fraction that the law expects in twins that the map resolves (p_v their probability above). s_A is
wide: lamellae thinner than a few pixels are lost.

| symbol | meaning | shape |
|---|---|---|
| pi | share of the grain's shear, summed over the systems of a token | (G, K, T) |
| v | 1 if the plane is steep enough to leave a trace | (G, P) |
| g0, beta | limit, steepness (slip and twins each) | scalars |
| w, d | thickness that a map resolves, diameter of the grain, pixels | scalar, (G,) |
| d, epsilon | detection, false traces per grain | scalars |
| rho | share of grains that chance explains | scalar |
| T, U | probability to be a twin that has outgrown its parent, to be a parent | (G, V), (G,) |
| h | odds of that over those of the law | scalar |

Superset (partial-label) learning: Jin & Ghahramani 2003, NeurIPS 15; Liu & Dietterich 2012, NeurIPS 25.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cpml.errors import CpmlError
from cpml.models.coupled.assignments import assignment_sum
from cpml.models.coupled.reports import Reports

HALF_CIRCLE_DEG = 180.0
MAX_TRACES = 10  # subsets of a grain's traces double with each one
TINY = 1e-12
HALF = 0.5
"""Volume fraction beyond which a map takes the twin for the parent."""
REST = 0.3
"""Volume fraction of what is left of a parent: about the middle between nothing and one half."""
LOG_AREA_SD = 0.5
"""s_A: on maps of 12 pixels a grain, a quarter to three quarters of the true fraction is seen."""


@dataclass(frozen=True)
class TwinArea:
    """Area that twins cover in the grains whose twins are known."""

    weight: Tensor  # (G,) of the grains' areas, sum 1; 0 where twins are unknown
    log_share: float  # natural log of <A>

    @classmethod
    def of(cls, specimen) -> "TwinArea | None":
        """Of a `Specimen`; None where no twin was seen, or the area of twins was not measured."""
        if "twin_fraction" not in specimen.grains or not specimen.twin_observed.size:
            return None
        known = np.isfinite(specimen.twin_observed).any(axis=1)
        weight = np.where(known, specimen.weights, 0.0)
        covered = weight @ specimen.grains["twin_fraction"].fillna(0.0).to_numpy(float)
        if not covered > 0:
            return None
        return cls(torch.tensor(weight / weight.sum()), float(np.log(covered / weight.sum())))

    def log_likelihood(self, fraction: Tensor, found: Tensor, draw_weight: Tensor) -> Tensor:
        """Scalar, up to a constant.

        Parameters
        ----------
        fraction : (G, K, V) f of the variants; found : (G, K, V) above what the map resolves; draw_weight :
            (G, K) of the draws, sum 1
        """
        covered = ((-torch.expm1(-(fraction * found).sum(-1))) * draw_weight).sum(1)
        apart = torch.log(self.weight @ covered + TINY) - self.log_share
        return -0.5 * (apart / LOG_AREA_SD) ** 2


@dataclass(frozen=True)
class Evidence:
    """Observations of one specimen as tensors; grains with the same number of traces are handled together."""

    traces: tuple[
        tuple[Tensor, Tensor], ...
    ]  # grains (g,), density per degree (g, J, P), one pair for each number J
    imaged: Tensor  # (G,) bool
    visible: Tensor  # (G, P) float 0/1
    covered: Tensor  # (G, P) float 0/1
    twin: Tensor  # (G, V) 0/1, 0 where unknown
    twin_known: Tensor  # (G, V) float 0/1
    chance: Tensor  # (G,) log-likelihood of the grain's footprints if nothing but chance made them
    others: Tensor  # (G, V) the same without what is known of variant v
    reports: Reports | None = None  # what was said beside traces and twins
    area: "TwinArea | None" = None  # of the map that twins cover

    @classmethod
    def of(cls, specimen) -> "Evidence":
        """Collect what was observed in a `Specimen`.

        Raises
        ------
        CpmlError : a grain with more than MAX_TRACES traces
        """
        grain, density = specimen.trace_grain, specimen.trace_density
        count = np.bincount(grain, minlength=len(specimen))
        if count.max(initial=0) > MAX_TRACES:
            worst = specimen.grain_ids[count.argmax()]
            raise CpmlError(
                f"specimen {specimen.name!r}: grain {worst} has {count.max()} slip traces, at most "
                f"{MAX_TRACES} can be used:"
                " merge parallel lines of one family into one trace"
            )
        groups = []
        for number in np.unique(count):
            members = np.flatnonzero(count == number)
            rows = [density[grain == g] for g in members]
            groups.append(
                (
                    torch.tensor(members),
                    torch.tensor(np.array(rows).reshape(len(members), number, density.shape[1])),
                )
            )
        twin, reports = specimen.twin_observed, Reports.of(specimen)
        covered = torch.tensor(specimen.covered.astype(float))
        of_variants = _by_chance(twin)
        chance = torch.tensor(_chance(count, specimen.imaged) + of_variants.sum(1))
        if reports is not None:
            covered, chance = torch.maximum(covered, reports.covered), chance + reports.chance
        return cls(
            tuple(groups),
            torch.tensor(specimen.imaged),
            torch.tensor(specimen.visible.astype(float)),
            covered,
            torch.tensor(np.nan_to_num(twin)),
            torch.tensor(np.isfinite(twin).astype(float)),
            chance,
            chance[:, None] - torch.tensor(of_variants),
            reports,
            TwinArea.of(specimen),
        )

    @property
    def count(self) -> int:
        """Number of observed traces, known variants and reports: zero means that there is nothing to learn
        from.
        """
        n_traces = sum(density.shape[0] * density.shape[1] for _, density in self.traces)
        n_reports = 0 if self.reports is None else self.reports.count
        return n_traces + int(self.twin_known.sum()) + n_reports


@dataclass(frozen=True)
class Detection:
    """Rates of the observation model (symbols in the module docstring)."""

    slip_limit: Tensor
    twin_limit: Tensor
    twin_thickness: Tensor
    outgrown: Tensor
    steepness: Tensor
    twin_steepness: Tensor
    detection: Tensor
    false_rate: Tensor
    outlier: Tensor

    def steepness_of(self, n_planes: int, n_tokens: int) -> Tensor:
        """(T,) slip planes first, then twin variants."""
        return torch.cat([self.steepness.expand(n_planes), self.twin_steepness.expand(n_tokens - n_planes)])

    def log_limit(self, n_planes: int, n_tokens: int, diameter: Tensor | None = None) -> Tensor:
        """(1, T) log of the visible limits g0, or (G, T) of what a map resolves in grains of a ``diameter``
        (G,) in pixels, infinite where nothing is lost.
        """
        twin = self.twin_limit[None] if diameter is None else self.twin_limit + self.twin_thickness / diameter
        planes = torch.log(self.slip_limit).expand(len(twin), n_planes)
        return torch.cat([planes, torch.log(twin)[:, None].expand(-1, n_tokens - n_planes)], dim=1)

    def rest_found(self, diameter: Tensor) -> Tensor:
        """(G,) probability that the map shows what is left of a parent."""
        limit = torch.log(self.twin_limit + self.twin_thickness / diameter)
        return torch.sigmoid(self.twin_steepness * (np.log(REST) - limit))


def token_share(share: Tensor, token: Tensor, n_tokens: int) -> Tensor:
    """Share of the grain's shear on every token: sum over the systems of a token.

    Parameters
    ----------
    share : (..., S) of every system, sums to one
    token : (S,) token of every system

    Returns
    -------
    (..., T), sums to one
    """
    empty = torch.zeros((*share.shape[:-1], n_tokens), dtype=share.dtype)
    return empty.index_add(-1, token, share)


def activity(
    share: Tensor,
    log_shear: Tensor,
    log_unit: Tensor,
    n_planes: int,
    rates: Detection,
    diameter: Tensor | None = None,
) -> Tensor:
    """Probability (G, K, T) that a token is active above the visible limit, or above what the map resolves of
    it: slip planes first, then twin variants.

    Parameters
    ----------
    share : (G, K, T); log_shear : (G,) log of the grain's accumulated shear
    log_unit : (T,) log of the shear that counts as one: 1 for planes, its twinning shear for a variant, whose
        limit is a volume fraction
    diameter : (G,) of the grains in pixels, for what the map resolves
    """
    shear = torch.log(share + TINY) + log_shear[:, None, None] - log_unit
    n_tokens = share.shape[-1]
    log_limit = rates.log_limit(n_planes, n_tokens, diameter)[:, None]
    return torch.sigmoid(rates.steepness_of(n_planes, n_tokens) * (shear - log_limit))


@dataclass(frozen=True)
class Turned:
    """Grains that are twins which have outgrown their parents."""

    probability: Tensor  # (G, V) T, of the parent across the plane of each variant
    rest_found: Tensor  # (G,) that the map shows what is left of it

    @classmethod
    def of(cls, of_parents: Tensor, upright: Tensor, rates: Detection, diameter: Tensor) -> "Turned":
        """From log fractions of variants.

        Parameters
        ----------
        of_parents : (G, V) ln f', of variant v in the parent across its plane
        upright : (G,) mean over the draws of prod_v P(f_v < 1/2)
        """
        beyond = rates.outgrown * beyond_half(of_parents, rates.twin_steepness)
        total = upright + beyond.sum(1)
        return cls(beyond / total[:, None], rates.rest_found(diameter))

    @property
    def share(self) -> Tensor:
        """(G,) that the grain is such a twin at all; below 1, so that its logarithms have slopes."""
        return self.probability.sum(1).clamp(max=1 - TINY)

    def log_likelihood(self, evidence: "Evidence") -> Tensor:
        """(G, V) of everything that was seen of such a grain, times the probability that it is one."""
        rest = self.rest_found[:, None].clamp(TINY, 1 - TINY)
        of_rest = torch.where(evidence.twin > 0, torch.log(rest), torch.log1p(-rest)) * evidence.twin_known
        return torch.log(self.probability + TINY) + of_rest + evidence.others

    def recorded(self, law: Tensor, frequency: tuple[float, float]) -> Tensor:
        """(G, T) probability to be recorded, from that by the law (G, T), slip planes first."""
        n_planes, share = law.shape[1] - self.probability.shape[1], self.share[:, None]
        found = (1 - share) * law + share * _by_mechanism(frequency, law, n_planes)
        found[:, n_planes:] += self.probability * (self.rest_found[:, None] - frequency[1])
        return found


def beyond_half(log_fraction: Tensor, steepness: Tensor) -> Tensor:
    """Probability (...) that a twin of known log fraction (...) has more than half of its grain."""
    return torch.sigmoid(steepness * (log_fraction - np.log(HALF)))


def seen_probability(
    found: Tensor, turned: Turned | None, n_planes: int, rates: Detection, frequency: tuple[float, float]
) -> Tensor:
    """Probability (G, T) that a token would be recorded: active above what the map resolves, not missed, in a
    grain that is what it was taken for; or what is left of a parent.

    Parameters
    ----------
    found : (G, T) from :func:`activity`, slip planes first
    frequency : how often a plane, and a variant, is recorded on average; what is expected by chance
    """
    law = torch.cat([rates.detection * found[:, :n_planes], found[:, n_planes:]], dim=1)
    explained = law if turned is None else turned.recorded(law, frequency)
    return (1 - rates.outlier) * explained + rates.outlier * _by_mechanism(frequency, found, n_planes)


def _by_mechanism(values: tuple[float, float], like: Tensor, n_planes: int) -> Tensor:
    """(G, T) the first value for planes, the second for variants."""
    found = torch.full_like(like, values[1])
    found[:, :n_planes] = values[0]
    return found


def log_likelihood(
    found: Tensor,
    evidence: Evidence,
    rates: Detection,
    log_weight: Tensor,
    told: Tensor | None = None,
    turned: "Turned | None" = None,
) -> Tensor:
    """Log-likelihood (G,) of every grain's footprints, averaged over the draws of its stress.

    Parameters
    ----------
    found : (G, K, T) from :func:`activity`, above what the map resolves
    log_weight : (G, K) of the draws; equal ones are the logarithm of one over their number
    told : (G, K) log-likelihood of the reports (`cpml.models.coupled.reports`)
    turned : which grains are twins that have outgrown their parents; None: none is
    """
    logs = per_draw(found, evidence, rates) + log_weight
    law = torch.logsumexp(logs if told is None else logs + told, dim=1)
    if turned is not None:
        grown = torch.logsumexp(turned.log_likelihood(evidence), dim=1)
        law = torch.logaddexp(law + torch.log1p(-turned.share), grown)
    return torch.logaddexp(law + torch.log1p(-rates.outlier), evidence.chance + torch.log(rates.outlier))


def per_draw(found: Tensor, evidence: Evidence, rates: Detection) -> Tensor:
    """Log-likelihood (G, K) of every grain's footprints under every draw of its
    stress, if the law explains them.
    """
    n_planes = evidence.visible.shape[1]
    seen = rates.detection * found[..., :n_planes] * evidence.visible[:, None, :]
    logs = torch.zeros(found.shape[:2], dtype=found.dtype)
    for grains, density in evidence.traces:
        false_density = rates.false_rate / HALF_CIRCLE_DEG
        total = assignment_sum(seen[grains], density, evidence.covered[grains], false_density)
        traces = torch.log(total + TINY) - rates.false_rate
        logs = logs.index_add(0, grains, traces * evidence.imaged[grains, None])
    variant = found[..., n_planes:].clamp(TINY, 1 - TINY)
    bernoulli = torch.where(evidence.twin[:, None, :] > 0, torch.log(variant), torch.log1p(-variant))
    return logs + (bernoulli * evidence.twin_known[:, None, :]).sum(-1)


def _chance(count: np.ndarray, imaged: np.ndarray) -> np.ndarray:
    """Log-likelihood (G,) of traces at any angle, their number Poisson with the mean one."""
    mean = max(count[imaged].mean(), 0.1) if imaged.any() else 1.0
    return np.where(imaged, count * np.log(mean / HALF_CIRCLE_DEG) - mean, 0.0)


def _by_chance(twin: np.ndarray) -> np.ndarray:
    """Log-likelihood (G, V) of variants at their mean frequency; 0 where unknown."""
    known = np.isfinite(twin)
    share = (np.nansum(twin) + 0.5) / (known.sum() + 1.0)
    return np.where(known, np.where(twin > 0, np.log(share), np.log1p(-share)), 0.0)


def mean_frequency(evidence: list[Evidence]) -> tuple[float, float]:
    """Traces per plane of the imaged grains, and share of the known variants that
    were seen, over all specimens.
    """
    traces = sum(density.shape[0] * density.shape[1] for e in evidence for _, density in e.traces)
    planes = sum(int(e.imaged.sum()) * e.visible.shape[1] for e in evidence)
    variants, known = (
        sum(float(x.sum()) for x in part)
        for part in ([e.twin for e in evidence], [e.twin_known for e in evidence])
    )
    return (min((traces + 0.5) / (planes + 1.0), 1.0), (variants + 0.5) / (known + 1.0))
