"""The share of grains that the law does not explain, by grains that it has not seen.

A law that has seen a grain's footprints explains them too well, so the share rho that it leaves to chance
comes out too small, and predictions too sure: most where parameters are many and footprints few. Here rho is
found again, all other parameters as they are, from laws without the labels of one fold of tiles each:

    rho = argmax  sum over grains of ln[(1 - rho) L_g + rho L_chance,g]

L_g is the likelihood of what was seen of grain g under the law that has not seen it, L_chance that of
`cpml.models.coupled.likelihood`. One half of a grain on either side stands in for a prior.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from cpml.models.coupled.likelihood import log_likelihood
from cpml.models.coupled.posterior import Forward
from cpml.models.coupled.prior import Theta

LEAST_GRAINS = 10
"""Grains with something seen or looked for, below which the share stays as it was."""
GRID = np.linspace(-8.0, 4.0, 481)
"""Log odds that are tried: steps of 0.025 are far below what tens of grains can tell."""
NEVER = 1e-12


def law_and_chance(data: Forward, theta: Theta, held: NDArray) -> tuple[NDArray, NDArray]:
    """Log-likelihoods (H,) of what was seen of some grains under the law alone, and under chance alone;
    grains of which nothing is known are left out.

    Parameters
    ----------
    held : (G,) bool, the grains
    """
    rates = replace(theta.rates, outlier=torch.tensor(NEVER, dtype=torch.float64))
    with torch.no_grad():
        sheared = data.at(theta)
        told = data.told(sheared, theta)
        law = log_likelihood(
            sheared.found, data.evidence, rates, sheared.log_weight, told, sheared.turned
        ).numpy()
    chance = data.evidence.chance.numpy()
    kept = held & (np.abs(law) + np.abs(chance) > 0)
    return law[kept], chance[kept]


def held_out_share(parts: Sequence[tuple[NDArray, NDArray]]) -> float | None:
    """Log odds of rho; None with too few grains.

    Parameters
    ----------
    parts : of :func:`law_and_chance`, of every fold and specimen
    """
    law, chance = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(law) < LEAST_GRAINS:
        return None
    rho = expit(GRID)[:, None]
    gain = np.logaddexp(np.log1p(-rho) + law, np.log(rho) + chance).sum(1)
    return float(GRID[np.argmax(gain + 0.5 * (np.log(rho) + np.log1p(-rho))[:, 0])])
