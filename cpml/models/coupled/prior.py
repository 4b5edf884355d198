"""The parameters of the coupled model as one vector, and what is believed of them before any footprint.

Strengths are log-normal about the literature, with the spread between sources as width. The other priors
are wide and the same for every material: centre and width in the log, in the logit for shares, in log(n
- 1) for the exponent, which stays above 1 where the law is convex, and as they are for the amplitude of
the scheme (1: believe it) and for the neighbours' corrections (0: none). The residual's weights are
normal with precision ``shrinkage``.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.materials import Material
from cpml.models.coupled.likelihood import Detection
from cpml.models.coupled.residual import ResidualHead
from cpml.models.mechanics.neighbourhood import PULLS

PRIORS = {
    "n": (10.0, 0.7), "amplitude": (1.0, 0.5), "scatter": (0.1, 0.7), "slip_limit": (0.1, 1.0), "twin_limit": (0.1, 1.0),
    "steepness": (3.0, 0.5), "detection": (0.85, 1.0), "false_rate": (0.03, 1.0), "outlier": (0.03, 1.0),
    **dict.fromkeys(PULLS, (0.0, 0.2)),
}  # fmt: skip
SHARES = ("detection", "outlier")  # between 0 and 1
PLAIN = ("amplitude", *PULLS)  # any real number


@dataclass(frozen=True)
class Prior:
    """Prior of one material; vector = (log strengths (K,), transformed PRIORS, weights of the residual head)."""

    material: Material
    families: tuple[str, ...]
    head: ResidualHead
    scatter: bool
    shrinkage: float
    edges: bool = True

    @property
    def n_base(self) -> int:
        """Number of parameters before the head's weights."""
        return len(self.families) + len(PRIORS)

    @property
    def strengths(self) -> np.ndarray:
        """(K,) literature strengths of the families, MPa."""
        return np.array([self.material.families[f].strength for f in self.families])

    @property
    def log_spreads(self) -> np.ndarray:
        """(K,) prior standard deviations of the log strengths."""
        return np.array([self.material.families[f].log_spread for f in self.families])

    @property
    def reference(self) -> int:
        """The family to which strength ratios refer: the softest slip family of the literature."""
        kinds = np.array([self.material.families[f].kind for f in self.families])
        return int(np.where(kinds == "slip", self.strengths, np.inf).argmin())

    def centre(self) -> Tensor:
        """Prior centre of the whole vector: where every search starts."""
        shape = [to_line(name, torch.tensor(c, dtype=torch.float64)) for name, (c, _) in PRIORS.items()]
        return torch.cat([torch.log(torch.tensor(self.strengths)), torch.stack(shape), self.head.initial()])

    def width(self, n_free: int) -> np.ndarray:
        """(n_free,) prior standard deviations of the first parameters of the vector."""
        base = np.concatenate([self.log_spreads, [w for _, w in PRIORS.values()]])
        return np.concatenate([base, np.full(max(n_free - len(base), 0), self.shrinkage**-0.5)])[:n_free]

    def log_density(self, vector: Tensor) -> Tensor:
        """Log prior up to a constant."""
        z = (vector[: self.n_base] - self.centre()[: self.n_base]) / torch.tensor(self.width(self.n_base))
        return -0.5 * (z**2).sum() - 0.5 * self.shrinkage * (vector[self.n_base :] ** 2).sum()

    def unpack(self, vector: Tensor) -> dict[str, Tensor]:
        """Named values: log_strength (K,) relative to the mean of the literature, PRIORS, head."""
        k = len(self.families)
        theta = {"log_strength": vector[:k] - float(np.log(self.strengths).mean())}
        theta |= {name: from_line(name, vector[k + i]) for i, name in enumerate(PRIORS)}
        if not self.scatter:
            theta["scatter"] = theta["scatter"] * 0.0
        if not self.edges:
            theta |= {name: theta[name] * 0.0 for name in PULLS}
        return theta | {"head": vector[self.n_base :]}

    def named(self, vector: Tensor) -> dict[str, float]:
        """Plain numbers for people: strength_<family>_mpa and the PRIORS."""
        theta, strengths = self.unpack(vector), torch.exp(vector[: len(self.families)])
        values = {f"strength_{f}_mpa": float(x) for f, x in zip(self.families, strengths, strict=True)}
        return values | {name: float(theta[name]) for name in PRIORS}


def to_line(name: str, value: Tensor) -> Tensor:
    """From a parameter's own range to the real line."""
    if name in PLAIN:
        return value
    value = value - (1.0 if name == "n" else 0.0)
    return torch.logit(value) if name in SHARES else torch.log(value)


def from_line(name: str, value: Tensor) -> Tensor:
    """Inverse of :func:`to_line`."""
    if name in PLAIN:
        return value
    return torch.sigmoid(value) if name in SHARES else torch.exp(value) + (1.0 if name == "n" else 0.0)


def rates(theta: dict[str, Tensor]) -> Detection:
    """The observation model's part of the parameters."""
    return Detection(**{field.name: theta[field.name] for field in fields(Detection)})
