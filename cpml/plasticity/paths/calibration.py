"""Strengths and hardening from a measured stress-strain curve, with their uncertainty.

    minimise over (c, a, b, d)   sum_i [sigma_law(eps_i; c tau0, a tau0, b tau0, d tau0) - sigma_i]^2

c scales the initial strengths tau0 of all families (their ratios stay); a tau0, b tau0 and d tau0 (tau0
scaled) are the Voce amplitude tau1, initial slope theta0 and final slope theta1. The plastic strain is the
measured strain less that of the fitted elastic line (`cpml.plasticity.paths.measured`). Standard errors are
those of least squares with the misfit as noise: they say how sharply the curve fixes each number, not whether
the law is right. The parameters are correlated: the band of the curve takes their covariance into account,
var(sigma) = g.C.g with g = d sigma / d log p. One curve cannot tell strength ratios; those come from
footprints.

| symbol | meaning | unit |
|---|---|---|
| eps, sigma | plastic von Mises strain, von Mises stress | -, MPa |
| tau0, tau1, theta0, theta1 | Voce hardening (`cpml.plasticity.laws.strength.hardening`) | MPa |

Source: Tome, Canova, Kocks, Christodoulou & Jonas 1984, Acta Metall. 32:1637 (extended Voce law).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

from cpml.errors import CpmlError
from cpml.load import Load
from cpml.plasticity.arguments import Values
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.strength.hardening import Voce
from cpml.plasticity.paths.deform import deform
from cpml.plasticity.paths.measured import elastic_line, loading
from cpml.plasticity.paths.path import Path

NAMES = ("scale", "tau1_over_tau0", "theta0_over_tau0", "theta1_over_tau0")
NORMAL_90 = 1.645  # half width of the 90 % interval of a normal, in standard deviations
START = (1.0, 1.0, 10.0, 1.0)  # c, a, b, d; all positive, searched in the log
FIRST_PLASTIC = 2e-4
STEPS = 14  # growing as k^2: the knee of a curve is short


@dataclass(frozen=True)
class Calibration:
    """Result of :func:`calibrate`.

    Attributes
    ----------
    values : table parameter, value, low, high (90 %): NAMES
    covariance : (4, 4) of the logarithms of the parameters
    strain, stress, low, high : (N,) calibrated curve with its 90 % band, plastic von Mises strain and MPa
    measured_strain, measured_stress : (M,) what it was fitted to
    rms_mpa : root mean square misfit
    """

    values: pd.DataFrame
    covariance: NDArray
    strain: NDArray
    stress: NDArray
    low: NDArray
    high: NDArray
    measured_strain: NDArray
    measured_stress: NDArray
    rms_mpa: float

    @property
    def correlation(self) -> pd.DataFrame:
        """Correlation of the parameters' logarithms, 1 on the diagonal."""
        sd = np.sqrt(np.diag(self.covariance))
        return pd.DataFrame(self.covariance / np.outer(sd, sd), index=list(NAMES), columns=list(NAMES))


def plastic_curve(curve: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """Plastic strain and stress (positive) of a measured curve, from the point where 0.02 % plastic strain is
    passed; unloading is left out.

    Raises
    ------
    CpmlError : no elastic part, strain that runs back, or fewer than five points beyond the elastic part
    """
    strain, stress = loading(curve)
    plastic = elastic_line(curve).plastic_strain(strain, stress)
    use = plastic > FIRST_PLASTIC
    if use.sum() < 5:
        raise CpmlError(
            f"stress-strain curve has {int(use.sum())} points beyond the elastic "
            "part: at least five are needed"
        )
    return plastic[use], stress[use]


def calibrate(
    law: PowerLaw,
    orientations: Values,
    *,
    weights: Values | None = None,
    loading: Load,
    curve: pd.DataFrame,
    scheme: str = "affine",
) -> Calibration:
    """Scale of the strengths and Voce hardening that make the polycrystal follow a curve.

    Parameters
    ----------
    law : initial strengths, one per family; their ratios are kept
    loading : Load of the test
    curve : true_strain, true_stress_mpa

    Raises
    ------
    CpmlError : too few plastic points, or a fit that does not converge
    """
    strain, stress = plastic_curve(curve)
    increment = strain[-1] * np.diff((np.arange(STEPS + 1) / STEPS) ** 2)

    def run(log_p: NDArray) -> Path:
        c, a, b, d = np.exp(log_p)
        tau0 = c * law.strength.detach().numpy()
        return deform(
            replace(law, strength=tau0),
            Voce(law.systems, tau1=a * tau0, theta0=b * tau0, theta1=d * tau0),
            orientations,
            loading=loading,
            weights=weights,
            increment=increment,
            steps=STEPS,
            scheme=scheme,
            update_texture=False,  # the curve is short: texture and twins barely change over it
            tol=1e-7,
        )

    def misfit(log_p: NDArray) -> NDArray:
        path = run(log_p)
        return (np.interp(strain, path.strain.numpy(), path.von_mises.numpy()) - stress) / stress[0]

    fit = least_squares(
        misfit, np.log(START), bounds=(np.log(1e-2), np.log(1e3)), xtol=1e-5, ftol=1e-6, max_nfev=40
    )
    if not fit.success:
        raise CpmlError(
            f"the law cannot follow the stress-strain curve ({fit.message}): check load and material"
        )
    noise = np.sum(fit.fun**2) / max(len(strain) - len(START), 1)
    covariance = np.linalg.pinv(fit.jac.T @ fit.jac) * noise
    sd = np.sqrt(np.diag(covariance))
    ends = np.exp(fit.x[:, None] + NORMAL_90 * sd[:, None] * np.array([-1.0, 0.0, 1.0]))
    values = pd.DataFrame(
        {"parameter": list(NAMES), "value": ends[:, 1], "low": ends[:, 0], "high": ends[:, 2]}
    )
    path = run(fit.x)
    curve_strain, best = path.strain.numpy(), path.von_mises.numpy()
    width = NORMAL_90 * _standard_error(run, fit.x, curve_strain, best, covariance)
    rms = float(np.sqrt(np.mean(fit.fun**2)) * stress[0])
    return Calibration(
        values, covariance, curve_strain, best, best - width, best + width, strain, stress, rms
    )


def _standard_error(
    run: Callable[[NDArray], Path], log_p: NDArray, strain: NDArray, stress: NDArray, covariance: NDArray
) -> NDArray:
    """(N,) standard error of the curve at its own strains, by forward differences in the parameters."""
    step, columns = 1e-3, []
    for k in range(len(log_p)):
        moved = run(log_p + step * np.eye(len(log_p))[k])
        columns.append((np.interp(strain, moved.strain.numpy(), moved.von_mises.numpy()) - stress) / step)
    slopes = np.array(columns)
    return np.sqrt(np.einsum("kn,kl,ln->n", slopes, covariance, slopes))
