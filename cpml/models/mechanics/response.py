"""What every grain of a map does under its load, and how well that is known: one door to all schemes.

Stresses are in units of the specimen's mean stress along the load, rates per unit of the load's von Mises
rate, all in the sample frame. The lattice turns as dR/dt = W R with W the spin.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from cpml.crystallography.tensors import to_matrix
from cpml.errors import ParameterError
from cpml.models.learned.ensemble import radius
from cpml.models.mechanics.grain_stress import SCHEMES, GrainState, grain_state, scheme_for
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen


@dataclass(frozen=True)
class GrainResponse:
    """Every grain of a specimen; spreads are standard deviations, 0 where a scheme knows none.

    Attributes
    ----------
    grain_ids : (G,)
    scheme : the one that answered
    stress : (G, 5) deviator (5-basis of `cpml.crystallography.tensors`) over the mean stress along the load
    covariance : (G, 5, 5) of it
    strain_rate : (G, 3, 3) per von Mises rate of the load; ``strain_rate_sd`` of every component
    spin : (G, 3, 3) of the lattice, per von Mises rate of the load; ``spin_sd`` of every component
    log_shear : (G,) natural log of the total shear over its mean; ``log_shear_sd``
    converged : whether what the scheme solved did
    radii : of a scheme whose tails were counted, see :meth:`region`
    """

    grain_ids: NDArray
    scheme: str
    stress: NDArray
    covariance: NDArray
    strain_rate: NDArray
    strain_rate_sd: NDArray
    spin: NDArray
    spin_sd: NDArray
    log_shear: NDArray
    log_shear_sd: NDArray
    converged: bool
    radii: dict[str, list[float]] | None = None

    def region(self, level: float, part: str = "stress") -> float:
        """Squared Mahalanobis radius of the region that holds a share of the truths: an ellipsoid about
        ``stress`` with ``covariance``, or of part "rate" or "spin" about the strain rate or the spin.

        A scheme that was calibrated knows its tails; of others they are those of a normal distribution.
        """
        if self.radii is None:
            return float(chi2.ppf(level, {"stress": 5, "rate": 5, "spin": 3}[part]))
        return radius(self.radii[part], level)

    def to_frame(self) -> pd.DataFrame:
        """One row a grain: grain_id, stress_xx ..., rate_xx ..., spin_x ..., log_shear, each with its _sd;
        scheme, converged.
        """
        columns: dict[str, NDArray] = {"grain_id": self.grain_ids}
        stress = to_matrix(self.stress)
        spread = np.sqrt(np.maximum(np.einsum("...ii->...i", _covariance_of_components(self.covariance)), 0))
        for k, (i, j) in enumerate(PAIRS):
            name = "xyz"[i] + "xyz"[j]
            columns[f"stress_{name}"], columns[f"stress_{name}_sd"] = stress[:, i, j], spread[:, k]
            columns[f"rate_{name}"] = self.strain_rate[:, i, j]
            columns[f"rate_{name}_sd"] = self.strain_rate_sd[:, i, j]
        for axis, (i, j) in zip("xyz", ((2, 1), (0, 2), (1, 0)), strict=True):
            columns[f"spin_{axis}"], columns[f"spin_{axis}_sd"] = self.spin[:, i, j], self.spin_sd[:, i, j]
        columns |= {"log_shear": self.log_shear, "log_shear_sd": self.log_shear_sd}
        return pd.DataFrame(columns).assign(scheme=self.scheme, converged=self.converged)


CELLS_A_GRAIN = 7
"""Of the coarse map, below which volumes under it do not show the shapes of its grains."""
PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def grain_response(
    specimen: Specimen,
    *,
    scheme: str = "auto",
    strengths: Mapping[str, float] | ArrayLike | None = None,
    n: float | None = None,
    seed: int = 0,
    numerics: Numerics = STANDARD,
) -> GrainResponse:
    """Stress, strain rate, spin and total shear of every grain under one scheme.

    Parameters
    ----------
    scheme : of `cpml.models.mechanics.grain_stress`; "auto": :func:`best_scheme`
    strengths : of the families, any common unit: by name, or (K,) in the order of the material; None: the
        literature's
    n : exponent of the law; None: those of the coupled model (`Numerics`), which asks its network with
        another
    seed : of what is drawn (depths)

    Raises
    ------
    ParameterError : an unknown scheme or family, a strength or exponent that is not positive
    CpmlError : a scheme that needs a map for a specimen without one

    Examples
    --------
    >>> response = cpml.models.grain_response(specimen, scheme="affine")  # doctest: +SKIP
    >>> response.stress.shape, response.covariance.shape  # doctest: +SKIP
    ((148, 5), (148, 5, 5))
    """
    if scheme not in ("auto", *SCHEMES):
        raise ParameterError(f"scheme {scheme!r} is not available; choose from auto, {', '.join(SCHEMES)}")
    if n is not None:
        numerics = replace(numerics, exponent=float(n), network_exponent=float(n))
    chosen = best_scheme(specimen) if scheme == "auto" else scheme
    log_strength = np.log(family_strengths(specimen, strengths))
    return as_response(
        specimen, chosen, grain_state(specimen, log_strength, chosen, numerics=numerics, seed=seed)
    )


def best_scheme(specimen: Specimen) -> str:
    """The scheme for one answer: "depth", the best on measured grains and on planes of volumes that nobody
    learned from (`tasks.py bench --suite depth`), minutes for some hundred grains; "learned" for maps of so
    many grains that the coarse map has less than three cells to a diameter; without a map, "affine".
    """
    if specimen.raster is None:
        return scheme_for(specimen)
    cells = specimen.raster.size / len(np.unique(specimen.raster))
    return "depth" if cells >= CELLS_A_GRAIN else "learned"


def family_strengths(specimen: Specimen, strengths: Mapping[str, float] | ArrayLike | None) -> NDArray:
    """(K,) strengths of the specimen's families.

    Raises
    ------
    ParameterError : a family that the material does not have, or one that is missing; a number too many or
        few; a strength that is not positive
    """
    families = specimen.systems.family_names
    if strengths is None:
        return np.array([specimen.material.families[f].strength for f in families])
    if isinstance(strengths, Mapping):
        wrong = sorted(set(strengths) ^ set(families))
        if wrong:
            raise ParameterError(
                f"strengths: {wrong[0]!r} is not in both; the material has {', '.join(families)}"
            )
        strengths = [strengths[f] for f in families]
    values = np.asarray(strengths, float)
    if values.shape != (len(families),) or not (np.isfinite(values) & (values > 0)).all():
        raise ParameterError(
            f"strengths {values} must be {len(families)} positive numbers, of {', '.join(families)}"
        )
    return values


def as_response(specimen: Specimen, scheme: str, state: GrainState) -> GrainResponse:
    """The public record of a state."""
    return GrainResponse(
        grain_ids=specimen.grain_ids,
        scheme=scheme,
        stress=state.stress,
        covariance=state.covariance,
        strain_rate=to_matrix(state.rate),
        strain_rate_sd=_component_sd(state.rate_covariance),
        spin=skew(state.spin),
        spin_sd=np.abs(skew(np.sqrt(np.maximum(np.einsum("gii->gi", state.spin_covariance), 0.0)))),
        log_shear=state.log_total,
        log_shear_sd=state.log_total_sd,
        converged=state.converged,
        radii=None if state.scatter is None else state.scatter.radii,
    )


def skew(axial: NDArray) -> NDArray:
    """(..., 3, 3) skew matrices W with W v = w x v of axial vectors w (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(axial), -1, 0)
    zero = np.zeros_like(x)
    rows = [(zero, -z, y), (z, zero, -x), (-y, x, zero)]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _covariance_of_components(covariance: NDArray) -> NDArray:
    """(..., 6, 6) of the components in the order of `PAIRS`, from that of the 5-basis (..., 5, 5)."""
    rows = np.array([[to_matrix(e)[i, j] for e in np.eye(5)] for i, j in PAIRS])
    return rows @ covariance @ rows.T


def _component_sd(covariance: NDArray) -> NDArray:
    """(..., 3, 3) standard deviations of the components of a symmetric tensor."""
    sd = np.sqrt(np.maximum(np.einsum("...ii->...i", _covariance_of_components(covariance)), 0.0))
    every = np.zeros((*sd.shape[:-1], 3, 3))
    for k, (i, j) in enumerate(PAIRS):
        every[..., i, j] = every[..., j, i] = sd[..., k]
    return every
