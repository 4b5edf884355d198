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

Cross-slip and climb are not learned: footprints show them too rarely, so the law speaks with the literature's
energies, and the interval is that of their spread. Without a temperature it spans 273 K to half the melting
point; without parameters it is 0 to 1 and p is missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from cpml.crystallography.cross_slip_pairs import cross_slip_pairs
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import rotation_5x5
from cpml.intervals import NINETY_PERCENT
from cpml.models.coupled.likelihood import activity
from cpml.models.coupled.posterior import Forward
from cpml.models.coupled.prior import Theta
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws import flow
from cpml.plasticity.laws.climb import DiffusionClimb
from cpml.plasticity.laws.cross_slip import CrossSlip

ROOM, COLDEST = 293.0, 273.0  # K
NO_CLIMB = 1e-30  # share of all shear
ACTIVE_CLIMB = 0.1  # share of all shear above which a substructure shows it


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


def all_levels(specimen: Specimen, data: Forward, thetas: Sequence[Theta]) -> pd.DataFrame:
    """Rows of every level but the tokens, averaged over points of the posterior.

    Returns
    -------
    DataFrame grain_id, mechanism, level (system, family, any, pair, climb), target, family, p, p_low, p_high
    """
    slow = _SlowLaws.of(specimen)
    draws = [_levels(specimen, data, theta, slow) for theta in thetas]
    means = (
        replace(levels[0], values=np.mean([level.values for level in levels], axis=0))
        for levels in zip(*draws, strict=True)
    )
    return pd.concat([level.table(specimen) for level in means if len(level.targets)], ignore_index=True)


def _levels(specimen: Specimen, data: Forward, theta: Theta, slow: "_SlowLaws") -> list[Level]:
    with torch.no_grad():
        sheared = data.at(theta)
        n_slip, shares = int(specimen.systems.slip.sum()), _slip_first(sheared.by_system, specimen)
        by_system = (
            activity(shares, sheared.log_shear, _log_units(specimen), n_slip, theta.rates).mean(1).numpy()
        )
        stress = sheared.stress.numpy() * stress_scale(specimen, data, theta, sheared.stress.mean(1))
        active = sheared.active.numpy()
    in_crystal = torch.as_tensor(np.einsum("gij,gki->gkj", _turn(specimen), stress))
    return [
        _systems(specimen, by_system[:, :n_slip]),
        *_families(specimen, active),
        _cross_slip(specimen, active, in_crystal, slow),
        _climb(specimen, in_crystal, theta, slow),
    ]


def stress_scale(specimen: Specimen, data: Forward, theta: Theta, stress: Tensor) -> float:
    """Deviatoric stress in MPa per unit of the model's relative stress, at the end of the test.

    From the last point of the stress-strain curve; without one, from the strengths: the most loaded system of
    the middle grain sits at its strength.

    Parameters
    ----------
    stress : (G, 5) mean of every grain, relative
    """
    if specimen.curve is not None and len(specimen.curve):
        return float(abs(specimen.curve["true_stress_mpa"].iloc[-1]) / np.sqrt(1.5))
    tau = torch.einsum("gsi,gi->gs", data.localisation.schmid, stress)
    x = flow.relative_stress(tau, theta.log_strength.exp()[data.family], data.localisation.is_polar)
    return float(1.0 / np.median(x.abs().numpy().max(1)))


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


def _families(specimen: Specimen, active: NDArray) -> Iterator[Level]:
    """One level for every family, one each for slip at all and twinning at all."""
    for level, key in (("family", "family"), ("any", "mechanism")):
        for (mechanism, name), rows in specimen.tokens.groupby(["mechanism", key], sort=False):
            together = 1 - np.prod(1 - active[:, :, rows.index.to_numpy()], axis=-1)
            family = name if level == "family" else ""
            yield Level(mechanism, level, [name], [family], _without_interval(together.mean(1)[:, None]))


@dataclass(frozen=True)
class _SlowLaws:
    """Cross-slip and climb of a material: as the literature has them, and at either end of their spread."""

    pairs: pd.DataFrame  # of systems that share a Burgers vector
    cross_slip: tuple[tuple[CrossSlip, float], ...]  # with the temperature, K; empty where nothing is known
    climb: tuple[tuple[DiffusionClimb, float], ...]  # with a factor on the rate; empty where nothing is known

    @classmethod
    def of(cls, specimen: Specimen) -> "_SlowLaws":
        material, temperatures = specimen.material, _temperatures(specimen)
        cross_slip, climb = [], []
        if material.cross_slip:
            law = CrossSlip.from_material(material)
            spread = NINETY_PERCENT * float(material.cross_slip.get("log_spread", 0.5))
            easier = np.exp([0.0, spread, -spread])  # the higher the energy, the rarer
            cross_slip = [
                (replace(law, energy=law.energy * factor), t)
                for factor, t in zip(easier, temperatures, strict=True)
            ]
        if material.diffusion:
            spread = NINETY_PERCENT * float(material.diffusion.get("log_spread", 1.0))
            factors = np.exp([0.0, -spread, spread]).tolist()
            climb = [
                (DiffusionClimb.from_material(material, t), factor)
                for t, factor in zip(temperatures, factors, strict=True)
            ]
        return cls(cross_slip_pairs(specimen.systems), tuple(cross_slip), tuple(climb))


def _temperatures(specimen: Specimen) -> tuple[float, float, float]:
    """Temperature of the test and the range that is possible, K."""
    if specimen.load.temperature is not None:
        return (float(specimen.load.temperature),) * 3
    melting = specimen.material.diffusion.get("melting_k", 1000.0)
    return ROOM, COLDEST, 0.5 * float(melting)


def _cross_slip(specimen: Specimen, active: NDArray, stress: Tensor, slow: _SlowLaws) -> Level:
    """``stress`` (G, K, 5) MPa, crystal frame."""
    token, family = specimen.token, specimen.tokens["family"].to_numpy()
    first, second = slow.pairs["system_a"].to_numpy(int), slow.pairs["system_b"].to_numpy(int)
    ends = zip(family[token[first]], family[token[second]], strict=True)
    families = [a if a == b else f"{a}|{b}" for a, b in ends]
    both = active[..., token[first]] * active[..., token[second]]
    if slow.cross_slip:
        values = []
        for law, temperature in slow.cross_slip:
            share = law.probability(stress, temperature).numpy()
            there, back = (_rows_of(law.pairs, *ends) for ends in ((first, second), (second, first)))
            values.append((both * np.maximum(share[..., there], share[..., back])).mean(1))
    else:
        most = both.mean(1)
        values = [np.full_like(most, np.nan), np.zeros_like(most), most]
    return Level("cross_slip", "pair", slow.pairs["target"].tolist(), families, np.stack(values))


def _rows_of(pairs: NDArray, first: NDArray, second: NDArray) -> NDArray:
    """Row of every ordered pair of systems in ``pairs`` (P, 2)."""
    row = {tuple(pair): i for i, pair in enumerate(pairs.tolist())}
    return np.array([row[pair] for pair in zip(first.tolist(), second.tolist(), strict=True)], int)


def _turn(specimen: Specimen) -> NDArray:
    """(G, 5, 5) crystal to sample."""
    return rotation_5x5(quaternion_to_matrix(specimen.quaternions))


def _climb(specimen: Specimen, stress: Tensor, theta: Theta, slow: _SlowLaws) -> Level:
    """``stress`` (G, K, 5) MPa, crystal frame."""
    steepness = float(theta.rates.steepness)
    values = []
    for law, factor in slow.climb:
        climbed = factor * law.rates(stress @ law.schmid.T)[0].abs().sum(-1).numpy()
        share = climbed / (climbed + specimen.load.rate)
        visible = expit(steepness * np.log(np.maximum(share, NO_CLIMB) / ACTIVE_CLIMB))
        values.append(visible.mean(1)[:, None])
    if not values:
        missing = np.full((len(specimen), 1), np.nan)
        values = [missing, np.zeros_like(missing), np.ones_like(missing)]
    return Level("climb", "climb", [""], [""], np.stack(values))
