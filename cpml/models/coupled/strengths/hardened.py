"""Strengths at the beginning and at the end of a test, from their mean over it.

Footprints are made over the whole test, so the strengths that F learns are means over its strain. The
hardening law of the material says how strengths rise with the shear that F expects on every system; with
stresses scaled as the strengths are, the rise over the initial strength,

    m_k(t) = mean over the grains of xi_k(t) / xi_k(0),

does not depend on them, so initial and final strengths are

    xi_k(0) = mean_k / <m_k>,      xi_k(end) = xi_k(0) m_k(1)

with <.> the mean over the path. Intervals add, in the logarithm, what the footprints leave open and the
spread of the literature's hardening: rises larger and smaller by its ``log_spread``.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cpml.crystallography.materials import ROOM
from cpml.errors import CpmlError
from cpml.intervals import NINETY_PERCENT
from cpml.models.mechanics.grain_stress import grain_state
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws.strength.from_material import material_hardening

STEPS = 10
"""Of the path: the mean of a rise that is smooth, to 1 % of it."""
ROUNDS = 3
"""Of shares of the shear and strengths that follow from them: then the mean rise stands to a few percent."""
NOMINAL_STRAIN = 0.03
"""Of a test whose strain nobody noted: what surfaces are looked at after."""
MOMENTS = ("mean", "initial", "end")


def rises(specimen: Specimen, shear: NDArray) -> NDArray:
    """m_k (STEPS + 1, K) of every family at equal steps of a path.

    Parameters
    ----------
    shear : (G, S) accumulated at the end
    """
    systems, material = specimen.systems, specimen.material
    law = material_hardening(material)
    start = np.tile(material.strengths[systems.family], (len(specimen), 1))
    state = law.start(torch.tensor(start))
    strengths = [start]
    given = {"rate": specimen.load.rate, "temperature": specimen.load.temperature or ROOM}
    for _ in range(STEPS):
        state = law.harden(state, torch.tensor(shear), 1.0 / STEPS, **given)
        strengths.append(state["strength"].numpy())
    over = np.einsum("g,tgs->ts", specimen.weights, np.array(strengths) / start)
    count = np.bincount(systems.family)
    return np.stack([np.bincount(systems.family, row) / count for row in over])


def expected_rise(specimen: Specimen, numerics: Numerics = STANDARD) -> NDArray:
    """<m_k> (K,) that the literature expects, before any footprint: its hardening under the shear of a mean
    medium at its strengths, which have risen themselves. Where the families cannot deform such a medium
    (twins alone along c, for one), under the shear of the load's stress in every grain, on all systems alike.
    """
    systems = specimen.systems
    literature = specimen.material.strengths
    strain = specimen.load.strain or NOMINAL_STRAIN
    found = np.ones(len(literature))
    for _ in range(ROUNDS):
        try:
            state = grain_state(specimen, np.log(literature * found), "affine", numerics=numerics)
            share = (state.family_share / np.bincount(systems.family))[systems.family]
        except CpmlError:
            state = grain_state(specimen, np.log(literature * found), "sachs", numerics=numerics)
            share = np.full(len(systems), 1 / len(systems))
        shear = state.taylor * strain * np.exp(state.log_total)[:, None] * share
        found = rises(specimen, shear).mean(0)
    return found


def strength_history(specimen: Specimen, strengths: pd.DataFrame, shear: NDArray) -> pd.DataFrame:
    """Ratios to the reference family over the whole test, at its beginning and at its end, with 90 %
    intervals; strengths in the unit of ``strengths``.

    Parameters
    ----------
    strengths : of a fitted model (`cpml.models.coupled.posterior.strength_table`)
    shear : (G, S) accumulated at the end

    Returns
    -------
    DataFrame moment (mean, initial, end), family, strength_mpa, ratio, ratio_low, ratio_high
    """
    rise = rises(specimen, shear)
    spread = NINETY_PERCENT * specimen.material.hardening_spread
    ref = int(np.flatnonzero(strengths["family"] == strengths["reference"])[0])
    ratio, low, high = (np.log(strengths[c].to_numpy()) for c in ("ratio", "ratio_low", "ratio_high"))
    tables = []
    for moment in MOMENTS:
        factors = [_log_factor(1 + (rise - 1) * np.exp(x), moment) for x in (0.0, -spread, spread)]
        shift, *ends = (f - f[ref] for f in factors)
        below = np.min([*ends, shift], axis=0) - shift
        above = np.max([*ends, shift], axis=0) - shift
        middle = ratio + shift
        tables.append(
            pd.DataFrame(
                {
                    "moment": moment,
                    "family": strengths["family"],
                    "strength_mpa": strengths["strength_mpa"] * np.exp(factors[0]),
                    "ratio": np.exp(middle),
                    "ratio_low": np.exp(middle - np.hypot(ratio - low, below)),
                    "ratio_high": np.exp(middle + np.hypot(high - ratio, above)),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _log_factor(rise: NDArray, moment: str) -> NDArray:
    """(K,) log of a moment's strength over the mean."""
    at = {"mean": rise.mean(0), "initial": rise[0], "end": rise[-1]}[moment]
    return np.log(at) - np.log(rise.mean(0))
