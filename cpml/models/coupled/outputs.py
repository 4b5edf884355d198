"""What a fitted F says of a grain beyond planes and variants: systems, families, any
twin, cross-slip pairs, climb.

Every probability is a mean over the draws k of the grain's stress, so that what
happens together stays together:

    system      1/K sum_k h(pi_gks)
    family      1/K sum_k [1 - prod_{p in family} (1 - a_gkp)]        the same over all variants: any twin
    cross-slip  1/K sum_k a_gkp a_gkq phi_gkpq
    climb       h(share of climb in all shear)

h is the visible limit of `cpml.models.coupled.likelihood`, pi_gks one system's share, p and q are planes with
a common Burgers vector, phi is the thermally activated transfer of `cpml.plasticity.CrossSlip` (larger
sense), and climb goes at the diffusion-limited rate of `cpml.plasticity.DiffusionClimb`.

Energies and rates of cross-slip and climb are the literature's, the interval is that of their spread, unless
reports taught them (`cpml.models.coupled.slow_laws`). Without a temperature the interval spans 273 K to half
the melting point; without parameters it is 0 to 1 and p is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.models.coupled.likelihood import activity
from cpml.models.coupled.posterior import Forward
from cpml.models.coupled.prior import Theta
from cpml.models.coupled.slow_laws import (
    Learned,
    SlowLaws,
    both_active,
    climb_rate,
    stress_in_crystal,
    transfer,
    visible_climb,
)
from cpml.models.specimen.specimen import Specimen


def parents(specimen: Specimen, data: Forward, draws: Sequence[Theta]) -> pd.DataFrame:
    """Whether each grain is what it was taken for, or a twin that has outgrown its parent.

    A map takes the larger part of a grain for the parent. Where the crystal across one of its twin planes
    would have twinned beyond one half under the same load, the parent is doubtful; what was seen in the grain
    decides. Held against the planes of the simulated parents, all 13 grains above one half in the demo
    (shears of another code, twins drawn by the simulated microscope) were such twins, and there were no
    others; on five factory maps 17 of 18, of 29 that there are; on four slabs without any, none was named
    (`tasks.py bench --suite coupling --arguments parents`).

    Parameters
    ----------
    draws : parameters over which probabilities are averaged

    Returns
    -------
    DataFrame grain_id, p_outgrown (given the grain's footprints; 0 where nothing twins, NaN without a map),
    parent_across (the twin plane and direction, as a variant, across which the parent then lies; "" where
    nothing is known)
    """
    with torch.no_grad():
        each = [data.grown_over(theta) for theta in draws]
    found = [values for values in each if values is not None]
    if not found:
        unknown = np.nan if specimen.systems.twin.any() else 0.0
        return pd.DataFrame({"grain_id": specimen.grain_ids, "p_outgrown": unknown, "parent_across": ""})
    mean = torch.stack(found).mean(0).numpy()
    across = specimen.tokens["target"].to_numpy()[data.n_planes + mean.argmax(1)]
    return pd.DataFrame({"grain_id": specimen.grain_ids, "p_outgrown": mean.sum(1), "parent_across": across})


@dataclass(frozen=True)
class Level:
    """Probabilities of the targets of one level, in every grain."""

    mechanism: str
    name: str  # system, family, any, pair, climb
    targets: Sequence[str]
    family: Sequence[str]
    values: NDArray  # (3, G, T): p, p_low, p_high

    def table(self, specimen: Specimen) -> pd.DataFrame:
        """Long rows: grain_id, mechanism, level, target, family, p, p_low, p_high."""
        p, low, high = self.values
        return pd.DataFrame(
            {
                "grain_id": np.repeat(specimen.grain_ids, len(self.targets)),
                "mechanism": self.mechanism,
                "level": self.name,
                "target": np.tile(np.asarray(self.targets, object), len(specimen)),
                "family": np.tile(np.asarray(self.family, object), len(specimen)),
                "p": p.ravel(),
                "p_low": low.ravel(),
                "p_high": high.ravel(),
            }
        )


def all_levels(
    specimen: Specimen,
    data: Forward,
    thetas: Sequence[Theta],
    learned: Mapping[str, Learned] | None = None,
) -> pd.DataFrame:
    """Rows of every level but the tokens, averaged over points of the posterior.

    Parameters
    ----------
    learned : of the slow laws, in place of the literature

    Returns
    -------
    DataFrame grain_id, mechanism, level (system, family, any, pair, climb), target, family, p, p_low, p_high
    """
    slow = SlowLaws.of(specimen, learned)
    draws = [_levels(specimen, data, theta, slow) for theta in thetas]
    means = (
        replace(levels[0], values=np.mean([level.values for level in levels], axis=0))
        for levels in zip(*draws, strict=True)
    )
    return pd.concat([level.table(specimen) for level in means if len(level.targets)], ignore_index=True)


def _levels(specimen: Specimen, data: Forward, theta: Theta, slow: SlowLaws) -> list[Level]:
    with torch.no_grad():
        sheared = data.at(theta)
        n_slip, shares = int(specimen.systems.slip.sum()), _slip_first(sheared.by_system, specimen)
        system_active = activity(shares, sheared.log_shear, _log_units(specimen), n_slip, theta.rates)
        by_system = sheared.average(system_active).numpy()
        active, in_crystal = sheared.active.numpy(), stress_in_crystal(specimen, data, theta, sheared)
        weight = torch.softmax(sheared.log_weight, dim=1).numpy()
    return [
        _systems(specimen, by_system[:, :n_slip]),
        *_families(specimen, active, weight),
        _cross_slip(specimen, active, weight, in_crystal, slow),
        _climb(specimen, weight, in_crystal, theta, slow),
    ]


def _slip_first(values: Tensor, specimen: Specimen) -> Tensor:
    order = np.concatenate([np.flatnonzero(specimen.systems.slip), np.flatnonzero(specimen.systems.twin)])
    return values[..., torch.as_tensor(order)]


def _log_units(specimen: Specimen) -> Tensor:
    """(S,) log of the shear that counts as one, slip systems first."""
    systems = specimen.systems
    shear = np.where(systems.twin, systems.twin_shear, 1.0)
    return _slip_first(torch.tensor(np.log(shear)), specimen)


def _without_interval(p: NDArray) -> NDArray:
    return np.stack([p, np.full_like(p, np.nan), np.full_like(p, np.nan)])


def _systems(specimen: Specimen, p: NDArray) -> Level:
    systems = specimen.systems
    slip = np.flatnonzero(systems.slip)
    family = [systems.family_names[systems.family[s]] for s in slip]
    return Level("slip", "system", [systems.names[s] for s in slip], family, _without_interval(p))


def _averaged(values: NDArray, weight: NDArray) -> NDArray:
    """(G, ...) mean of values (G, K, ...) over draws of weights (G, K), sum 1."""
    return np.einsum("gk,gk...->g...", weight, values)


def _families(specimen: Specimen, active: NDArray, weight: NDArray) -> Iterator[Level]:
    """One level for every family, one each for slip at all and twinning at all."""
    for level, key in (("family", "family"), ("any", "mechanism")):
        for (mechanism, name), rows in specimen.tokens.groupby(["mechanism", key], sort=False):
            together = 1 - np.prod(1 - active[:, :, rows.index.to_numpy()], axis=-1)
            family = name if level == "family" else ""
            yield Level(
                mechanism, level, [name], [family], _without_interval(_averaged(together, weight)[:, None])
            )


def _cross_slip(
    specimen: Specimen, active: NDArray, weight: NDArray, stress: Tensor, slow: SlowLaws
) -> Level:
    """``stress`` (G, K, 5) MPa, crystal frame."""
    family, pairs = specimen.tokens["family"].to_numpy()[specimen.token], slow.pairs
    ends = zip(*(family[pairs[name].to_numpy(int)] for name in ("system_a", "system_b")), strict=True)
    families = [a if a == b else f"{a}|{b}" for a, b in ends]
    both = both_active(specimen, pairs, active)
    if slow.cross_slip:
        values = [
            _averaged(both * transfer(law, pairs, stress, t, specimen.load.rate), weight)
            for law, t in slow.cross_slip
        ]
    else:
        most = _averaged(both, weight)
        values = [np.full_like(most, np.nan), np.zeros_like(most), most]
    return Level("cross_slip", "pair", pairs["target"].tolist(), families, np.stack(values))


def _climb(specimen: Specimen, weight: NDArray, stress: Tensor, theta: Theta, slow: SlowLaws) -> Level:
    """``stress`` (G, K, 5) MPa, crystal frame."""
    values = [
        _averaged(visible_climb(factor * climb_rate(law, stress), specimen, theta), weight)[:, None]
        for law, factor in slow.climb
    ]
    if not values:
        missing = np.full((len(specimen), 1), np.nan)
        values = [missing, np.zeros_like(missing), np.ones_like(missing)]
    return Level("climb", "climb", [""], [""], np.stack(values))
