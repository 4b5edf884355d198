"""Measured lattice rotations and strains of the grains as evidence of F.

Two maps tell how far each lattice turned, a field of displacements how much each grain strained in the plane:

    y_g = c + a eps x_g(xi) + e_g,      e_g ~ t_nu(0, V_g),      V_g = diag(se_g^2) + eps^2 S_g

with x_g the spin, or the in-plane strain rate, that the scheme gives the grain per von Mises rate of the
load. c is what all grains share: the specimen was put back at another angle, and the macroscopic strain is
known only roughly. It has a flat prior and is integrated out, so that only differences between grains count:

    integral dc prod_g p(y_g | c) ~ prod_g p(y_g | c*) (2 pi)^(3/2) |sum_g V_g^-1|^(-1/2)

at the most probable c*; exact for normal errors. Each grain's term holds an equal share of the last factor.
S_g is t^2 times the scheme's own covariance of x_g where it has one (t: how far that may be trusted), else
that of a spin, or of a whole deviator of strain, with equal and independent components of standard deviation
s, learned. The tails are heavy because some grains are tracked wrongly or sheared in a band.

Means over a grain's section stand for the grain. Rotations are linear in the strain, as the first step of a
path is. Given the parameters, a grain's rotation and strain are taken as independent of each other and of the
stress behind its traces, although one stress makes all three: what is learned from several kinds of footprint
of one grain is counted a little too high.

| symbol | meaning | unit | shape |
|---|---|---|---|
| y, se | measured rotation vector, or e_xx, e_yy, e_xy; its standard error | rad, - | (M, 3) |
| eps | von Mises strain of the specimen at the measurement | - | scalar |
| a | gain: measured over expected differences | - | scalar |
| s | scatter per component of what nothing explains | rad per strain, - | scalar |
| nu | degrees of freedom | - | scalar |

Reference: Lange, Little & Taylor 1989, J. Am. Stat. Assoc. 84:881 (location under t errors).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from scipy.stats import t as t_distribution
from torch import Tensor

from cpml.crystallography.tensors import to_matrix
from cpml.errors import CpmlError
from cpml.intervals import NINETY_PERCENT
from cpml.models.mechanics.field_comparison import COMPONENTS
from cpml.models.mechanics.grain_stress import GrainState
from cpml.models.mechanics.localisation import Answer, Response
from cpml.models.specimen.motions import KINDS
from cpml.models.specimen.specimen import Specimen

TAILS = 5.0
"""Degrees of freedom: a grain at five standard deviations costs what a normal one does at three."""
SWEEPS = 30
"""Of the reweighted means that find c; each leaves at most half of the way."""
FLOOR = 1e-12
"""Of a variance: without any error there would be no probability."""
UNITS = {"rotation": math.radians(1.0), "strain": 0.01}
"""Of the tables, in those of the module."""
IN_PLANE = np.array([[to_matrix(e)[i, j] for e in np.eye(5)] for i, j in COMPONENTS.values()])
"""(3, 5): e_xx, e_yy, e_xy of a deviator in the 5-basis."""


@dataclass(frozen=True)
class MotionRates:
    """Gain and scatter of one kind (symbols in the module docstring)."""

    gain: Tensor
    scatter: Tensor


class Point(Protocol):
    """A point of the parameters (`cpml.models.coupled.prior.Theta`), as far as motion goes."""

    @property
    def log_strength(self) -> Tensor: ...  # noqa: D102

    @property
    def trust(self) -> Tensor: ...  # noqa: D102

    @property
    def motion(self) -> dict[str, MotionRates]: ...  # noqa: D102


@dataclass(frozen=True)
class Measured:
    """Motions of one kind; module docstring."""

    kind: str  # rotation or strain
    n_grains: int  # of the specimen
    grains: Tensor  # (M,) rows of the specimen
    value: Tensor  # (M, 3)
    variance: Tensor  # (M, 3) by the measurement
    strain: Tensor  # (M,)

    @classmethod
    def of(cls, specimen: Specimen) -> "tuple[Measured, ...]":
        """The kinds that a specimen has."""
        found: list[Measured] = []
        if specimen.motions is None:
            return ()
        for kind, names in KINDS.items():
            own = specimen.motions[specimen.motions["kind"] == kind]
            if own.empty:
                continue
            wide = own.pivot(index="grain_id", columns="component", values=["value", "se"])
            values, errors = (
                torch.tensor(UNITS[kind] * wide[part][list(names)].to_numpy(float))
                for part in ("value", "se")
            )
            strain = own.groupby("grain_id")["strain"].first().loc[wide.index].to_numpy(float)
            rows = torch.tensor(specimen.position(wide.index))
            found.append(cls(kind, len(specimen), rows, values, errors**2, torch.tensor(strain)))
        return tuple(found)

    def log_likelihood(
        self, answer: Answer, rates: MotionRates, trust: Tensor, *, tails: float = TAILS
    ) -> Tensor:
        """Log-likelihood (G,) of every grain's motion, 0 where there is none.

        Parameters
        ----------
        answer : of the scheme, with the grains' motion
        tails : degrees of freedom nu; infinite: normal errors
        """
        mean, spread = expected(answer, self.kind, rates, trust)
        rest = self.value - self.strain[:, None] * mean[self.grains]
        variance = (
            torch.diag_embed(self.variance + FLOOR) + self.strain[:, None, None] ** 2 * spread[self.grains]
        )
        root = torch.linalg.cholesky(variance)
        precision = torch.cholesky_inverse(root)
        with torch.no_grad():
            common = _common(rest, precision, tails)
        apart = rest - common
        square = torch.einsum("mi,mij,mj->m", apart, precision, apart)
        terms = _log_density(square, tails) - torch.diagonal(root, dim1=-2, dim2=-1).log().sum(-1)
        free = 1.5 * math.log(2 * math.pi) - 0.5 * torch.logdet(precision.sum(0))
        empty = torch.zeros(self.n_grains, dtype=terms.dtype)
        return empty.index_add(0, self.grains, terms + free / len(terms))


def strains_of(specimen: Specimen, strain: float | Mapping[str, float] | None) -> dict[str, float]:
    """Von Mises strain at which every kind is asked for: given, else of its measurement, else the load's.

    Raises
    ------
    CpmlError : no strain is known
    """
    if strain is not None:
        return dict(strain) if isinstance(strain, Mapping) else dict.fromkeys(KINDS, float(strain))
    found = {kind: float(specimen.load.strain) for kind in KINDS if specimen.load.strain}
    if specimen.motions is not None:
        found |= specimen.motions.groupby("kind")["strain"].first().to_dict()
    if not found:
        raise CpmlError(
            f"specimen {specimen.name!r}: the strain of the load is unknown: give load.strain in dataset.yml"
        )
    return found


def predicted(
    specimen: Specimen,
    response: Response,
    thetas: Sequence[Point],
    alone: GrainState,
    strain: Mapping[str, float],
) -> pd.DataFrame:
    """Table of `CoupledClassifier.predict_motion`: means over points of the posterior, and 90 % intervals.

    Half the width is the root of two squares, what the parameters leave open (normal) and what the law leaves
    open of a grain (t).

    Parameters
    ----------
    alone : the scheme's state at the strengths of the literature
    strain : of every kind that is asked for
    """
    with torch.no_grad():
        answers = [response(theta.log_strength, motion=True) for theta in thetas]
    before = Answer(
        torch.tensor(alone.stress),
        torch.tensor(alone.log_total),
        *map(torch.tensor, (alone.rate, alone.spin)),
    )
    one = torch.ones((), dtype=torch.float64)
    tables = []
    for kind, size in strain.items():
        with torch.no_grad():
            draws = [expected(a, kind, t.motion[kind], t.trust) for a, t in zip(answers, thetas, strict=True)]
            literature = expected(before, kind, MotionRates(one, one), one)[0].numpy()
        means = np.stack([mean.numpy() for mean, _ in draws])
        own = np.mean([np.diagonal(spread.numpy(), axis1=1, axis2=2) for _, spread in draws], axis=0)
        # what all grains share is the macroscopic strain, and no rotation
        shared = np.zeros(3) if kind == "rotation" else specimen.weights @ literature
        means = means - np.einsum("g,kgi->ki", specimen.weights, means)[:, None] + shared
        literature = literature - specimen.weights @ literature + shared
        half = np.sqrt(NINETY_PERCENT**2 * means.var(0) + t_distribution.ppf(0.95, TAILS) ** 2 * own)
        mean, scale, names = means.mean(0), size / UNITS[kind], KINDS[kind]
        columns = {"value": mean, "low": mean - half, "high": mean + half, "literature": literature}
        table = pd.DataFrame({name: scale * values.ravel() for name, values in columns.items()})
        table.insert(0, "component", np.tile(names, len(specimen)))
        table.insert(0, "grain_id", np.repeat(specimen.grain_ids, len(names)))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def expected(answer: Answer, kind: str, rates: MotionRates, trust: Tensor) -> tuple[Tensor, Tensor]:
    """a x_g (G, 3) and S_g (G, 3, 3) of one kind, per von Mises strain."""
    assert answer.rate is not None and answer.spin is not None  # it was asked for
    if kind == "rotation":
        mean, covariance = answer.spin, answer.spin_covariance
    else:
        rows = torch.as_tensor(IN_PLANE)
        mean, covariance = answer.rate @ rows.T, answer.rate_covariance
        covariance = None if covariance is None else rows @ covariance @ rows.T
    if covariance is None:
        alike = torch.eye(3, dtype=mean.dtype) if kind == "rotation" else rows @ rows.T
        return rates.gain * mean, rates.scatter**2 * alike.expand(len(mean), 3, 3)
    return rates.gain * mean, trust**2 * covariance


def _common(rest: Tensor, precision: Tensor, tails: float) -> Tensor:
    """(3,) most probable common part c* of residuals (M, 3)."""
    weight = torch.ones(len(rest), dtype=rest.dtype)
    common = torch.zeros(3, dtype=rest.dtype)
    for _ in range(SWEEPS if math.isfinite(tails) else 1):
        weighted = weight[:, None, None] * precision
        common = torch.linalg.solve(weighted.sum(0), torch.einsum("mij,mj->i", weighted, rest))
        apart = rest - common
        square = torch.einsum("mi,mij,mj->m", apart, precision, apart)
        weight = (tails + 3) / (tails + square) if math.isfinite(tails) else weight
    return common


def _log_density(square: Tensor, tails: float) -> Tensor:
    """Log density of three components at squared distances (M,), without the determinant."""
    if not math.isfinite(tails):
        return -0.5 * square - 1.5 * math.log(2 * math.pi)
    height = math.lgamma((tails + 3) / 2) - math.lgamma(tails / 2) - 1.5 * math.log(tails * math.pi)
    return height - 0.5 * (tails + 3) * torch.log1p(square / tails)
