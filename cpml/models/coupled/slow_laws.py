"""Cross-slip and climb: laws with the literature's energies, and what reports teach of them.

    phi = exp(-dG / kT),  dG with e^s times the activation energy of the literature
    rate of climb = e^s times that of the literature

(`cpml.plasticity.CrossSlip`, `cpml.plasticity.DiffusionClimb`). One number s each, normal about 0 with the
literature's spread as width before any report. Under a draw k of a grain's stress a pair of planes p, q with
a common Burgers vector cross-slips, and a grain climbs, with probability

    x = a_gkp a_gkq phi_gkpq (larger sense),        x = h(share of climb in all shear)

h is the visible limit of `cpml.models.coupled.likelihood`. Reports on pairs and on climb are those of
`cpml.models.coupled.reports`, with a share m of overlooked and f of false ones of their own. Given the law
that the other footprints taught, theta,

    p(s | reports) ~ N(s; 0, spread) int p(m) p(f) prod_g sum_k w_gk prod_r P(o_r | x_rk(s), m, f) dm df

with w_gk the weight of draw k by the grain's traces, twins and other reports. The integrals are sums over a
grid, not a curvature: reports that are all positive leave the energy open on one side. Kept are mean and
standard deviation of s. Where the temperature of a test was not recorded its reports teach nothing: energy
and temperature act as one number. Without reports s = 0 and the literature's spread remain.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from cpml.crystallography.cross_slip_pairs import cross_slip_pairs
from cpml.crystallography.materials import ROOM, Material
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import rotation_5x5
from cpml.intervals import NINETY_PERCENT
from cpml.models.coupled.likelihood import per_draw
from cpml.models.coupled.posterior import Forward, Sheared
from cpml.models.coupled.prior import FURTHER, Theta, from_line, to_line
from cpml.models.coupled.reports import TINY, ReportRates, report_probability
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws import flow
from cpml.plasticity.laws.thermal.climb import DiffusionClimb
from cpml.plasticity.laws.thermal.cross_slip import CrossSlip

COLDEST = 273.0  # K
ACTIVE_CLIMB = 0.1  # share of all shear above which a substructure shows it
NO_CLIMB = 1e-30  # share of all shear
GRID = 41  # points of s within `Numerics.bound` spreads
NODES = 5  # of Gauss and Hermite, for m and f each


@dataclass(frozen=True)
class Learned:
    """What is known of s: the literature's spread about 0, or what reports left of it."""

    shift: float
    spread: float
    n_reports: int = 0

    @property
    def ends(self) -> NDArray:
        """Middle and the two ends of the 90 % interval of s."""
        return self.shift + NINETY_PERCENT * self.spread * np.array([0.0, 1.0, -1.0])


def literature(material: Material) -> dict[str, Learned]:
    """s of the slow laws that a material has, before any report."""
    blocks = {"cross_slip": (material.cross_slip, 0.5), "climb": (material.diffusion, 1.0)}
    return {
        name: Learned(0.0, float(block.get("log_spread", spread)))
        for name, (block, spread) in blocks.items()
        if block
    }


@dataclass(frozen=True)
class SlowLaws:
    """Cross-slip and climb of a material: as they are known, and at either end of what is left open."""

    pairs: pd.DataFrame  # of systems that share a Burgers vector
    cross_slip: tuple[tuple[CrossSlip, float], ...]  # with the temperature, K; empty where nothing is known
    climb: tuple[tuple[DiffusionClimb, float], ...]  # with a factor on the rate; empty where nothing is known

    @classmethod
    def of(cls, specimen: Specimen, learned: Mapping[str, Learned] | None = None) -> "SlowLaws":
        """The laws of a specimen's material and temperature; ``learned`` in place of the literature."""
        material, temperatures = specimen.material, _temperatures(specimen)
        known = literature(material) | dict(learned or {})
        cross_slip, climb = [], []
        if material.cross_slip:
            law = CrossSlip.from_material(material)
            # the higher the energy, the rarer
            factors = np.exp(known["cross_slip"].ends)
            cross_slip = [
                (replace(law, energy=law.energy * factor), t)
                for factor, t in zip(factors, temperatures, strict=True)
            ]
        if material.diffusion:
            middle, high, low = np.exp(known["climb"].ends).tolist()
            climb = [
                (DiffusionClimb.from_material(material, t), factor)
                for t, factor in zip(temperatures, (middle, low, high), strict=True)
            ]
        return cls(cross_slip_pairs(specimen.systems), tuple(cross_slip), tuple(climb))


def _temperatures(specimen: Specimen) -> tuple[float, float, float]:
    """Temperature of the test and the range that is possible, K."""
    if specimen.load.temperature is not None:
        return (float(specimen.load.temperature),) * 3
    melting = specimen.material.diffusion.get("melting_k", 1000.0)
    return ROOM, COLDEST, 0.5 * float(melting)


def stress_in_crystal(specimen: Specimen, data: Forward, theta: Theta, sheared: Sheared) -> Tensor:
    """(G, K, 5) MPa, crystal frame, at the end of the test."""
    turn = rotation_5x5(quaternion_to_matrix(specimen.quaternions))
    stress = sheared.stress.numpy() * stress_scale(specimen, data, theta, sheared.average(sheared.stress))
    return torch.as_tensor(np.einsum("gij,gki->gkj", turn, stress))


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


def both_active(specimen: Specimen, pairs: pd.DataFrame, active: NDArray) -> NDArray:
    """(G, K, pairs) whether both planes of a pair are active, of tokens (G, K, T)."""
    first, second = (specimen.token[pairs[name].to_numpy(int)] for name in ("system_a", "system_b"))
    return active[..., first] * active[..., second]


def transfer(law: CrossSlip, pairs: pd.DataFrame, stress: Tensor, temperature: float, rate: float) -> NDArray:
    """(G, K, pairs) phi, the larger of the two senses, of stresses (G, K, 5) MPa in the crystal frame;
    systems shear about as fast as the specimen is strained, at `rate` (1/s), which enters as a logarithm.
    """
    share = law.probability(stress, temperature, rate).numpy()
    row = {tuple(pair): i for i, pair in enumerate(law.pairs.tolist())}
    ends = list(zip(pairs["system_a"].tolist(), pairs["system_b"].tolist(), strict=True))
    there, back = [row[pair] for pair in ends], [row[pair[::-1]] for pair in ends]
    return np.maximum(share[..., there], share[..., back])


def climb_rate(law: DiffusionClimb, stress: Tensor) -> NDArray:
    """(G, K) 1/s, summed over the climb modes, of stresses (G, K, 5) MPa in the crystal frame."""
    return law.rates(stress @ law.schmid.T)[0].abs().sum(-1).numpy()


def visible_climb(climbed: NDArray, specimen: Specimen, theta: Theta) -> NDArray:
    """Probability that climb at a rate (1/s) is visible beside the load's."""
    share = climbed / (climbed + specimen.load.rate)
    odds = float(theta.rates.steepness) * np.log(np.maximum(share, NO_CLIMB) / ACTIVE_CLIMB)
    return torch.sigmoid(torch.as_tensor(odds)).numpy()


@dataclass(frozen=True)
class _Told:
    """Reports of one specimen on one slow law."""

    acts: Callable[[float], NDArray]  # (R, K) probability that what a report names acts, at s
    grain: Tensor  # (R,) row of `log_weight`
    observed: Tensor  # (R,)
    weight: Tensor  # (R,)
    log_weight: Tensor  # (g, K) of the draws of the grains with reports

    def log_likelihood(self, shift: float, rates: Sequence[ReportRates]) -> NDArray:
        """(M,) of all reports together, at s and M pairs of rates."""
        acts = torch.as_tensor(self.acts(shift))
        found = []
        for pair in rates:
            chance = report_probability(acts, self.observed, self.weight, pair)
            logs = self.log_weight.index_add(0, self.grain, torch.log(chance + TINY))
            found.append(float(torch.logsumexp(logs, dim=1).sum()))
        return np.array(found)


def learn_slow_laws(
    specimens: Sequence[Specimen], data: Sequence[Forward], theta: Theta, bound: float
) -> dict[str, Learned]:
    """s of every slow law on which there are reports; empty without any.

    Parameters
    ----------
    specimens : of one material; data : the same as tensors, with the draws of the last fit
    theta : what the other footprints taught
    bound : prior widths within which s is looked for
    """
    found = {}
    for name, known in literature(specimens[0].material).items():
        parts = (_told(name, s, d, theta) for s, d in zip(specimens, data, strict=True))
        told = [part for part in parts if part is not None]
        if told:
            n_reports = sum(len(t.grain) for t in told)
            found[name] = replace(_posterior(told, known.spread, bound), n_reports=n_reports)
    return found


def factors(learned: Mapping[str, Learned]) -> dict[str, float]:
    """e^s for people: cross_slip_energy and climb_rate over the literature's, of those that were learned."""
    names = {"cross_slip": "cross_slip_energy", "climb": "climb_rate"}
    return {names[name]: float(np.exp(known.shift)) for name, known in learned.items()}


def _posterior(told: Sequence[_Told], spread: float, bound: float) -> Learned:
    grid = spread * np.linspace(-bound, bound, GRID)
    rates, log_prior = _rates()
    logs = np.array([sum(t.log_likelihood(s, rates) for t in told) for s in grid])  # (GRID, M)
    log_density = logsumexp(logs + log_prior, axis=1) - 0.5 * (grid / spread) ** 2
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    mean = float(density @ grid)
    return Learned(mean, float(np.sqrt(density @ (grid - mean) ** 2)))


def _rates() -> tuple[list[ReportRates], NDArray]:
    """Pairs of m and f, and the log of the prior's weight on each."""
    node, weight = np.polynomial.hermite_e.hermegauss(NODES)
    lines = {}
    for name in ("report_missed", "report_false"):
        centre, width = FURTHER[name]
        middle = to_line(name, torch.tensor(centre, dtype=torch.float64))
        lines[name] = [from_line(name, middle + width * float(z)) for z in node]
    pairs = [ReportRates(m, f) for m in lines["report_missed"] for f in lines["report_false"]]
    log_weight = np.log(weight / weight.sum())
    return pairs, (log_weight[:, None] + log_weight).ravel()


def _told(name: str, specimen: Specimen, data: Forward, theta: Theta) -> _Told | None:
    """The reports on a slow law; None without any, or without a temperature."""
    if specimen.reports is None or specimen.load.temperature is None:
        return None
    rows = specimen.reports
    rows = rows[(rows["mechanism"] == name) & (rows["weight"] > 0) & rows["observed"].notna()]
    if rows.empty:
        return None
    position, grain = np.unique(specimen.position(rows["grain_id"]), return_inverse=True)
    with torch.no_grad():
        sheared = data.at(theta)
        logs, told = per_draw(sheared.found, data.evidence, theta.rates), data.told(sheared, theta)
        logs = logs + sheared.log_weight if told is None else logs + sheared.log_weight + told
        log_weight = torch.log_softmax(logs, dim=1)[position]
        stress = stress_in_crystal(specimen, data, theta, sheared)[position]
    active = sheared.active.numpy()[position]
    of = _pair_acts if name == "cross_slip" else _climb_acts
    return _Told(
        acts=of(specimen, rows, grain, active, stress, theta),
        grain=torch.tensor(grain),
        observed=torch.tensor(rows["observed"].to_numpy(float)),
        weight=torch.tensor(rows["weight"].to_numpy(float)),
        log_weight=log_weight,
    )


def _pair_acts(
    specimen: Specimen, rows: pd.DataFrame, grain: NDArray, active: NDArray, stress: Tensor, theta: Theta
) -> Callable[[float], NDArray]:
    slow = SlowLaws.of(specimen, {"cross_slip": Learned(0.0, 0.0)})
    law, temperature = slow.cross_slip[0]
    column = pd.Index(slow.pairs["target"]).get_indexer(rows["target"])
    both = both_active(specimen, slow.pairs, active)[grain, :, column]

    def acts(shift: float) -> NDArray:
        scaled = replace(law, energy=law.energy * np.exp(shift))
        return both * transfer(scaled, slow.pairs, stress, temperature, specimen.load.rate)[grain, :, column]

    return acts


def _climb_acts(
    specimen: Specimen, rows: pd.DataFrame, grain: NDArray, active: NDArray, stress: Tensor, theta: Theta
) -> Callable[[float], NDArray]:
    law, _ = SlowLaws.of(specimen, {"climb": Learned(0.0, 0.0)}).climb[0]
    rate = climb_rate(law, stress)

    def acts(shift: float) -> NDArray:
        return visible_climb(np.exp(shift) * rate, specimen, theta)[grain]

    return acts
