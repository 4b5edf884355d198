"""Networks that learned alike from different starts: their mean, their doubt, and what is foreign to them.

    mean = average of the members,   Cov = f_g k^2 (average of their covariances + spread of their means)

k is set on volumes that nobody learned from, per quantity, so that the 90 % ellipsoids hold 90 %; what the
others hold is counted there as well (`radii`), for tails are heavier than normal. f_g widens
where a grain is unlike those of the training set: with d_g the Mahalanobis distance of its numbers and q the
distance that one training grain in a hundred exceeds, f = max(1, (d / q)^2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from cpml.models.learned.network import Answer, Mechanics
from cpml.models.learned.surface import Surface

PARTS = ("stress", "rate", "spin", "log_total")
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Familiar:
    """The numbers of the grains in the training set."""

    mean: Tensor  # (N,)
    whitening: Tensor  # (N, N)
    limit: float  # the distance that one in a hundred exceeds

    @classmethod
    def of(cls, numbers: Tensor) -> "Familiar":
        """From the numbers (G, N) of many grains."""
        mean = numbers.mean(0)
        covariance = torch.cov(numbers.T) + 1e-6 * torch.eye(numbers.shape[1], dtype=numbers.dtype)
        value, vector = torch.linalg.eigh(covariance)
        whitening = vector / value.sqrt()
        distance = ((numbers - mean) @ whitening).norm(dim=1)
        return cls(mean, whitening, float(torch.quantile(distance, 0.99)))

    def widening(self, numbers: Tensor) -> Tensor:
        """f (G,), 1 for grains like those of the training set."""
        distance = ((numbers - self.mean) @ self.whitening).norm(dim=1)
        return (distance / self.limit).clamp(min=1.0) ** 2


def numbers_of(surface: Surface) -> Tensor:
    """(G, N) numbers by which grains are compared with those of the training set."""
    base, x = surface.base, surface.tokens[..., 0]
    top = x.topk(2, dim=1).values
    return torch.cat(
        [
            surface.scalars[:, [0, 1, 3, 4, 5]],
            base.stress.norm(dim=1, keepdim=True),
            base.rate.norm(dim=1, keepdim=True).clamp(min=1e-6).log(),
            base.spin.norm(dim=1, keepdim=True).clamp(min=1e-6).log(),
            top,
            base.log_strength.min().expand(len(x), 1),
        ],
        dim=1,
    )


@dataclass(frozen=True)
class Ensemble:
    """Members with their common calibration; made by `pretraining`, kept by `weights`."""

    members: Sequence[Mechanics]
    familiar: Familiar
    scale: dict[str, float]  # k per part
    radii: dict[str, list[float]]  # per part, squared Mahalanobis radii that hold the shares `LEVELS`
    facts: dict  # how it was made and what it reaches

    def __call__(self, surface: Surface) -> Answer:
        """Mean and covariance of every grain."""
        answer = together([member(surface) for member in self.members])
        wider = self.familiar.widening(numbers_of(surface))
        return scaled(answer, self.scale, wider)


def radius(radii: Sequence[float], level: float) -> float:
    """Squared Mahalanobis radius that holds a share of the truths, between those of `LEVELS`."""
    return float(np.interp(level, (0.0, *LEVELS), (0.0, *radii)))


def together(answers: Sequence[Answer]) -> Answer:
    """Moments of the mixture of some answers."""
    values = {f.name: torch.stack([getattr(a, f.name) for a in answers]) for f in fields(Answer)}
    mean = {name: stacked.mean(0) for name, stacked in values.items()}
    for part in ("stress", "rate", "spin"):
        apart = values[part] - mean[part]
        spread = torch.einsum("mgi,mgj->gij", apart, apart) / len(answers)
        mean[f"{part}_covariance"] = mean[f"{part}_covariance"] + spread
    spread = ((values["log_total"] - mean["log_total"]) ** 2).mean(0)
    mean["log_total_variance"] = mean["log_total_variance"] + spread
    return Answer(**mean)


def scaled(answer: Answer, scale: dict[str, float], wider: Tensor) -> Answer:
    """The same means with variances times k^2 f."""
    covariances = {
        f"{part}_covariance": getattr(answer, f"{part}_covariance")
        * (scale[part] ** 2 * wider)[:, None, None]
        for part in ("stress", "rate", "spin")
    }
    variance = answer.log_total_variance * scale["log_total"] ** 2 * wider
    return replace(answer, **covariances, log_total_variance=variance)
