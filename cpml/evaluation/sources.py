"""Which target left a footprint, and whether any did.

A line on the surface may fit several planes, and some lines are the work of no plane. Under the shares that a
model predicts, the angle of line j in grain g has the density

    P_j = (1 - f) sum_t pi_gt N_jt + f / 180 deg,      pi_gt = p_gt^a e^{b_k(t)} / sum_u p_gu^a e^{b_k(u)}

N_jt the density of the angle under plane t, of family k(t). How far the model is to be trusted (a), what it
has wrong about families (b) and the share of spurious lines (f) are the maximum a posteriori over the lines
at hand, with a ~ N(1, 0.5), b ~ N(0, 1) and logit f ~ N(logit 0.05, 1): a model that says nothing of these
lines ends at a = 0, and leaves shares of families. The posterior of the source is

    w_jt = (1 - f) pi_gt N_jt / P_j,      1 - sum_t w_jt the probability that the line is spurious

A mixture model with a uniform class: Banfield & Raftery 1993, Biometrics 49:803; partial labels: Jin &
Ghahramani 2003, NeurIPS 15.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

HALF_CIRCLE_DEG = 180.0
LEAST = 1e-9  # probability below which a model rules nothing out
SURE = 1e6  # density of a footprint that cannot be spurious, beside those of lines that can
TRUST, OFFSET = (1.0, 0.5), (0.0, 1.0)  # mean and standard deviation of a and of b
FALSE = (float(logit(0.05)), 1.0)  # of logit f


@dataclass(frozen=True, eq=False)
class Shown:
    """The footprints of one mechanism beside what one model says of their grains.

    Attributes
    ----------
    targets : (T,) names; family (T,) index of the family of each
    grain_id : (J,) of every footprint
    p : (J, T) predicted in its grain, 0 where nothing is predicted
    score : (J, T) how surprising each target would be, infinite where nothing is predicted
    angle : (J, T) probability of each candidate by its angle alone; rows sum to 1, or to 0 for a line that
        fits nothing
    density : (J, T) of the line's angle over that of a line at any angle, 0 for what is no candidate; None
        where targets were seen themselves, or densities are not known: then no line is spurious
    """

    targets: NDArray
    family: NDArray
    grain_id: NDArray
    p: NDArray
    score: NDArray
    angle: NDArray
    density: NDArray | None

    @classmethod
    def of(
        cls,
        own: pd.DataFrame,
        labels: pd.DataFrame,
        candidates: pd.DataFrame | None,
        *,
        named: pd.DataFrame | None = None,
    ) -> Self:
        """Lines of the mechanism where there are any, else the targets observed as 1.

        Parameters
        ----------
        own : grain_id, mechanism, target, p, score[, family] of one model and mechanism
        labels : grain_id, mechanism, target, observed
        candidates : trace_id, grain_id, mechanism, target, probability[, likelihood (per degree)]
        named : target[, family] in the order of the columns; None: those of ``own``
        """
        about = (own if named is None else named).drop_duplicates("target")
        targets = about["target"].to_numpy()
        family = np.zeros(len(targets), int)
        if "family" in about:
            family = pd.factorize(about["family"])[0]
        mechanism = own["mechanism"].iloc[0]
        inside = own["grain_id"].unique()
        lines = None if candidates is None else candidates[candidates["mechanism"] == mechanism]
        density = None
        if lines is not None and len(lines):
            lines = lines[lines["grain_id"].isin(inside)]
            grain = lines.groupby("trace_id", sort=True)["grain_id"].first()
            angle = _wide(lines, "trace_id", "probability", grain.index, targets)
            if "likelihood" in lines:
                likely = _wide(lines, "trace_id", "likelihood", grain.index, targets)
                density = HALF_CIRCLE_DEG * np.where(angle > 0, likely, 0.0)
            grains = grain.to_numpy()
        else:
            chosen = (labels["mechanism"] == mechanism) & (labels["observed"] == 1)
            seen = labels[chosen & labels["grain_id"].isin(inside) & labels["target"].isin(targets)]
            angle = (seen["target"].to_numpy()[:, None] == targets).astype(float)
            grains = seen["grain_id"].to_numpy()
        total = angle.sum(1, keepdims=True)
        angle = np.divide(angle, total, out=np.zeros_like(angle), where=total > 0)
        return cls(
            targets,
            family,
            grains,
            _wide(own, "grain_id", "p", grains, targets),
            _wide(own, "grain_id", "score", grains, targets, missing=np.inf),
            angle,
            density,
        )

    def __len__(self) -> int:
        return len(self.grain_id)

    def of_rows(self, rows: NDArray) -> Self:
        """Some of the footprints; ``rows`` (J,) bool."""
        names = ("grain_id", "p", "score", "angle", "density")
        values = {name: value[rows] for name in names if (value := getattr(self, name)) is not None}
        return replace(self, **values)

    @staticmethod
    def joined(parts: "list[Shown]") -> "Shown":
        """Footprints of several specimens under each other; families and targets are those of the first."""
        names = ("grain_id", "p", "score", "angle")
        values = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        density = None
        if any(part.density is not None for part in parts):
            given = (SURE * part.angle if part.density is None else part.density for part in parts)
            density = np.concatenate(list(given))
        return replace(parts[0], **values, density=density)


@dataclass(frozen=True)
class Sources:
    """What the lines say of a model: trust a, offsets (K,) of families b, share of spurious lines f."""

    trust: float
    offset: NDArray
    false_share: float

    @classmethod
    def fit(cls, shown: Shown) -> Self:
        """Maximum a posteriori over all lines; without densities no line is spurious (f = 0)."""
        mean, _ = _prior(shown)
        x = minimize(cost_and_slope(shown), mean, jac=True, method="L-BFGS-B").x
        return cls(float(x[0]), x[1:-1], float(expit(x[-1])) if shown.density is not None else 0.0)

    def weights(self, shown: Shown) -> NDArray:
        """(J, T) probability that the target left the footprint; 1 less the sum of a row: that none did."""
        likely = _likely(shown)
        share = _shares(self.trust * np.log(shown.p + LEAST) + self.offset[shown.family])
        by_target = (1 - self.false_share) * share * likely
        total = by_target.sum(1, keepdims=True) + self.false_share
        return np.divide(by_target, total, out=np.zeros_like(by_target), where=total > 0)


def cost_and_slope(shown: Shown) -> Callable[[NDArray], tuple[float, NDArray]]:
    """Negative log posterior of (a, b of every family, logit f) over the lines, with its slope."""
    counted = shown.density is not None
    likely = _likely(shown)
    kept = np.ones(len(shown), bool) if counted else likely.sum(1) > 0
    likely, log_p = likely[kept], np.log(shown.p[kept] + LEAST)
    mean, spread = _prior(shown)
    of_family = np.eye(len(mean) - 2)[shown.family]

    def cost(x: NDArray) -> tuple[float, NDArray]:
        false = expit(x[-1]) if counted else 0.0
        share = _shares(x[0] * log_p + of_family @ x[1:-1])
        by_target = (1 - false) * share * likely
        density = by_target.sum(1) + false
        weight = by_target / density[:, None]
        pull = weight - share * weight.sum(1, keepdims=True)
        of_false = false * (1 - false) * ((1 - (share * likely).sum(1)) / density).sum()
        slope = np.concatenate([[(pull * log_p).sum()], pull.sum(0) @ of_family, [of_false]])
        z = (x - mean) / spread
        return float(0.5 * z @ z - np.log(density).sum()), z / spread - slope

    return cost


def _prior(shown: Shown) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation of (a, b of every family, logit f)."""
    n_families = int(shown.family.max(initial=-1)) + 1
    mean, spread = zip(TRUST, *[OFFSET] * n_families, FALSE, strict=True)
    return np.array(mean), np.array(spread)


def _likely(shown: Shown) -> NDArray:
    return shown.angle if shown.density is None else shown.density


def _shares(logs: NDArray) -> NDArray:
    """Softmax along the targets."""
    e = np.exp(logs - logs.max(1, keepdims=True, initial=-np.inf))
    return e / e.sum(1, keepdims=True)


def _wide(
    table: pd.DataFrame, row: str, value: str, rows, targets: NDArray, *, missing: float = 0.0
) -> NDArray:
    """(R, T) of the value in ``rows`` and ``targets``."""
    wide = table.pivot(index=row, columns="target", values=value)
    return wide.reindex(index=rows, columns=targets).fillna(missing).to_numpy(float)
