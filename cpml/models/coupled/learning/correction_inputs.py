"""What the learned correction is told of a token in its grain: what the law says, and what it does not use.

| group | inputs |
|---|---|
| law | log odds to be active, spread over the draws, log share and shear, distance from the best, others |
| stress | Schmid factor, the chain of causes (`explanation`), the grain's stress and total shear |
| neighbours | pull of the neighbours' active systems, their number, size and misorientation |
| grain | size over the mean of the map, shape, orientation spread, map edge |
| family | one column each |

All are contractions or counts: copies of the crystal only permute tokens, and turning everything
changes nothing. What a map lacks is left out; what a grain lacks is the median of the map.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from cpml.models.coupled.explanation import chain_of_causes
from cpml.models.coupled.posterior import Forward, Sheared
from cpml.models.coupled.prior import Theta
from cpml.models.mechanics.features import grain_columns
from cpml.models.mechanics.neighbourhood import neighbour_transfer
from cpml.models.specimen.specimen import Specimen

LEAST_ODDS = 1e-4  # activities below are alike
LEAST_SHARE = 1e-4  # of shear, likewise
OF_NEIGHBOURS = ("n_neighbours", "neighbour_angle_deg", "neighbour_size_ratio")


@dataclass(frozen=True)
class Inputs:
    """Inputs of every token of a specimen."""

    names: tuple[str, ...]
    groups: tuple[str, ...]  # of every name
    values: NDArray  # (G, T, F)

    def select(self, names: tuple[str, ...]) -> NDArray:
        """(G, T, F) of these names; NaN for one that the specimen lacks."""
        empty = np.full(self.values.shape[:2], np.nan)
        known = dict(zip(self.names, np.moveaxis(self.values, -1, 0), strict=True))
        return np.stack([known.get(name, empty) for name in names], axis=-1)


def correction_inputs(
    specimen: Specimen, scheme: str, data: Forward, theta: Theta, sheared: Sheared
) -> Inputs:
    """Inputs from the law at ``theta``, before any correction."""
    columns = [
        *_of_law(specimen, sheared),
        *_of_stress(specimen, scheme, data, theta, sheared),
        *_of_surroundings(specimen, sheared),
    ]
    family = specimen.tokens["family"].to_numpy()
    names = specimen.systems.family_names
    columns += [("family", name, (family == name).astype(float)[None]) for name in names]
    shape = (len(specimen), len(family))
    values = [np.broadcast_to(value, shape) for _, _, value in columns]
    return Inputs(
        tuple(name for _, name, _ in columns),
        tuple(group for group, _, _ in columns),
        np.stack(values, axis=-1),
    )


def log_odds(active: NDArray) -> NDArray:
    """Log odds of a mean activity, where they still differ."""
    return logit(np.clip(active, LEAST_ODDS, 1 - LEAST_ODDS))


def _of_law(specimen: Specimen, sheared: Sheared) -> list[tuple[str, str, NDArray]]:
    active = sheared.average(sheared.active).numpy()
    odds, share = log_odds(active), sheared.average(sheared.by_token).numpy()
    shear = share * np.exp(sheared.log_total.numpy())[:, None]
    columns = [
        ("law", "log_odds", odds),
        ("law", "spread", sheared.active.std(1).numpy()),
        ("law", "log_share", np.log(share + LEAST_SHARE)),
        ("law", "log_shear", np.log(shear + LEAST_SHARE)),
    ]
    for key in ("family", "mechanism"):
        best = pd.DataFrame(odds.T).groupby(specimen.tokens[key].to_numpy()).transform("max").to_numpy().T
        columns.append(("law", f"behind_{key}", odds - best))
    for mechanism in ("slip", "twin"):
        own = np.where(specimen.tokens["mechanism"] == mechanism, active, 0.0)
        columns.append(("law", f"others_{mechanism}", own.sum(1, keepdims=True) - own))
    return columns


def _of_stress(
    specimen: Specimen, scheme: str, data: Forward, theta: Theta, sheared: Sheared
) -> list[tuple[str, str, NDArray]]:
    schmid = data.localisation.schmid.numpy() @ data.localisation.macro.numpy()
    schmid = np.where(specimen.systems.slip, np.abs(schmid), schmid)
    stress = np.linalg.norm(sheared.average(sheared.stress).numpy(), axis=-1)
    columns = [
        ("stress", "schmid", _largest(specimen, schmid)),
        ("stress", "size", stress[:, None]),
        ("stress", "log_total", sheared.log_total.numpy()[:, None]),
    ]
    chain, _ = chain_of_causes(specimen, scheme, data, theta, sheared)
    return columns + [("stress", name, value) for name, value in chain.items()]


def _of_surroundings(specimen: Specimen, sheared: Sheared) -> list[tuple[str, str, NDArray]]:
    pull = neighbour_transfer(specimen, sheared.average(sheared.by_system).numpy())
    columns = [("neighbours", "transfer", _largest(specimen, pull))]
    grains = grain_columns(specimen)
    grains = grains.loc[:, grains.notna().any()]
    grains = grains.fillna(grains.median())
    if "log_diameter" in grains:
        grains["log_diameter"] -= grains["log_diameter"].mean()
    for name in grains:
        group = "neighbours" if name in OF_NEIGHBOURS else "grain"
        columns.append((group, str(name), grains[name].to_numpy()[:, None]))
    return columns


def _largest(specimen: Specimen, values: NDArray) -> NDArray:
    """(G, T) maximum over the systems of every token of (G, S) values."""
    parts = [values[:, specimen.token == t].max(1) for t in range(len(specimen.tokens))]
    return np.stack(parts, axis=1)
