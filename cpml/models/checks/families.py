"""Families of the lattice that the material file lacks, and what speaks for each of them.

A trace that no plane of the model explains counts as false, at any angle. If a family is missing, such traces
lie along its planes instead, the more so where the planes are loaded. With u_j the probability that trace j
is unexplained, N_jp its density under plane p of the family, and m_p the largest Schmid factor on it,

    T = max_k sum_j u_j log [ (1 + k 180 sum_p w_p N_jp) / (1 + k sum_p w_p) ],    w_p ~ m_p^2 / mean m^2

k the rate of the family's traces over that of false ones. If the family plays no part, the planes of any
other grain serve as well: p is the rank of T among permutations of the grains. That is exact whatever the
texture, and whatever directions false lines prefer (scratches, for one). How much the family explains, how
strong it would be, and the evidence for it come from the stand-in, fitted with it and without it.

Twins of a type that nobody looked for are grains of their own on the map, in the exact relation to a
neighbour; those that were looked for are parts of their parent. How many pairs of neighbours are so by chance
is told by all pairs of grains.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_systems import FAMILY_WORDS, REPRESENTATIVES, Systems, systems
from cpml.crystallography.slip_traces import slip_traces
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.crystallography.twinning import twin_crystal_to_sample
from cpml.microscopy.images.trace_likelihood import match_traces
from cpml.microscopy.labels.detection import MIN_INCLINATION_DEG
from cpml.microscopy.twins.relations import DEFAULT_TYPES
from cpml.models.checks.variants import with_family
from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.coupled.likelihood import HALF_CIRCLE_DEG
from cpml.models.coupled.stand_in import quick_fit, unexplained
from cpml.models.specimen.specimen import Specimen

RATES = np.geomspace(0.1, 30.0, 12)
"""Of the family's traces per plane, over those of false ones."""
PERMUTATIONS = 999
CLEAR = 0.01
"""Probability of a chance result, for all families together, below which one counts as missing."""
WORTH_A_FIT = 0.1
"""Below this probability the evidence is asked as well, by a fit."""
LEAST_GAIN = 5.0
"""Nats of evidence that a missing family brings: odds of 150 to 1."""
LEAST_DOUBT = 0.05
"""A trace that is less likely to be unexplained has nothing to say of further families."""
TWIN_TOLERANCE_DEG = 3.0
MOST_PAIRS = 20000
"""Of grains, by which chance is told."""


@dataclass(frozen=True)
class Absent:
    """A family of the lattice that the material file lacks, and what speaks for it.

    NaN where there was nothing to ask: no unexplained trace, or directions that chance explains.
    """

    family: str
    p_value: float  # that the directions of unexplained traces (or relations of neighbours) are chance
    gain_nats: float  # of log evidence by adding it
    explains: float  # traces that only the family explains, or pairs of neighbours beyond chance
    ratio: float  # strength over that of the softest slip family of the literature
    ratio_low: float
    ratio_high: float
    is_missing: bool = False

    @property
    def name(self) -> str:
        """In words."""
        return FAMILY_WORDS[self.family]


def absent_families(specimen: Specimen) -> tuple[list[str], list[str]]:
    """Slip families with planes of their own, and twin types, of the lattice that the material lacks."""
    known, material = REPRESENTATIVES[specimen.material.lattice], specimen.material
    own = {specimen.systems.plane_names[p] for p in specimen.slip_planes}
    absent = [name for name in known if name not in material.families]
    slip = [
        f for f in absent if known[f].kind == "slip" and own.isdisjoint(_systems_of(specimen, f).plane_names)
    ]
    return slip, [f for f in absent if known[f].kind == "twin"]


def check_families(model: CoupledClassifier, specimen: Specimen, *, seed: int = 0) -> list[Absent]:
    """Every absent family with its evidence, the strongest first; at most one is called missing, since one
    missing family may leave traces that others explain as well.

    Parameters
    ----------
    model : fitted, whose unexplained traces are asked
    """
    slip, twins = absent_families(specimen)
    doubt = unexplained(model, specimen) if len(specimen.traces) else np.zeros(0)
    chances = {f: chance_of_directions(specimen, f, doubt, seed=seed) for f in slip}
    found = [Absent(f, chances[f], np.nan, 0.0, np.nan, np.nan, np.nan) for f in slip]
    if any(a.p_value < WORTH_A_FIT for a in found):
        plain = quick_fit(model, [specimen])
        left = float(unexplained(plain, specimen).sum())
        found = [_with_evidence(plain, specimen, a, left) if a.p_value < WORTH_A_FIT else a for a in found]
    found = _judged(found, lambda a: a.gain_nats > LEAST_GAIN)
    related = [twin_relations(specimen, f) for f in twins]
    return [*found, *_judged(related, lambda a: a.explains >= 3)]


def chance_of_directions(specimen: Specimen, family: str, doubt: NDArray, *, seed: int = 0) -> float:
    """p of the module docstring, one-sided; NaN where no trace is in doubt.

    Parameters
    ----------
    doubt : (J,) probability that a trace is unexplained
    """
    chosen = doubt > LEAST_DOUBT
    imaged = np.flatnonzero(specimen.imaged)
    if not chosen.any() or len(imaged) < 2:
        return np.nan
    grain, u = specimen.trace_grain[chosen], doubt[chosen]
    part = _systems_of(specimen, family)
    weight = _weights(specimen, part)[imaged]
    of_every_grain = slip_traces(specimen.quaternions[imaged], part)
    planes = np.unique(part.plane_id)
    density = match_traces(
        specimen.traces["angle_deg"].to_numpy()[chosen, None],
        of_every_grain.angle_deg[:, planes],
        of_every_grain.inclination_deg[:, planes],
        sigma_deg=specimen.traces["sigma_deg"].to_numpy()[chosen, None],
        floor=0.0,
    )
    along = np.einsum("jip,ip->ji", density, weight)
    row = np.full(len(specimen), -1)
    row[imaged] = np.arange(len(imaged))
    rates = RATES[:, None, None]
    score = np.log1p(rates * HALF_CIRCLE_DEG * along) - np.log1p(rates * weight.sum(1))
    score = score * u[:, None]

    def statistic(partner: NDArray) -> float:
        return float(score[:, np.arange(len(u)), partner[row[grain]]].sum(1).max())

    own = statistic(np.arange(len(imaged)))
    rng = np.random.default_rng(seed)
    others = [statistic(rng.permutation(len(imaged))) for _ in range(PERMUTATIONS)]
    return (1 + sum(other >= own for other in others)) / (1 + PERMUTATIONS)


def twin_relations(specimen: Specimen, family: str) -> Absent:
    """Pairs of neighbours in the relation of a twin type, and parents with such twins, against all pairs of
    grains.
    """
    normal = _systems_of(specimen, family).plane[0]
    group = proper_group(group_of_lattice(specimen.material.lattice))

    def related(pairs: NDArray) -> NDArray:
        twin = twin_crystal_to_sample(specimen.quaternions[pairs[:, 0]], normal)
        angle = disorientation_angle(twin, specimen.quaternions[pairs[:, 1]], group)
        return np.degrees(angle) <= TWIN_TOLERANCE_DEG

    touching = np.sort(specimen.neighbours, axis=1)
    if not len(touching):
        return Absent(family, np.nan, np.nan, 0.0, np.nan, np.nan, np.nan)
    every = np.stack(np.triu_indices(len(specimen), 1), axis=1)
    rng = np.random.default_rng(0)
    every = every[rng.permutation(len(every))[:MOST_PAIRS]]
    by_chance = (related(every).sum() + 1) / (len(every) + 1)
    joined = int(specimen.grains["twin_fraction"].gt(0).sum()) if _was_looked_for(specimen, family) else 0
    n, trials = int(related(touching).sum()) + joined, len(touching) + joined
    p_value = float(binom.sf(n - 1, trials, by_chance))
    return Absent(family, p_value, np.nan, n - by_chance * trials, np.nan, np.nan, np.nan)


def _was_looked_for(specimen: Specimen, family: str) -> bool:
    """Whether twins of the type were joined with their parents when the grains were made."""
    types = DEFAULT_TYPES.get(specimen.material.lattice, ())
    return "twin_fraction" in specimen.grains and family in types


def _with_evidence(plain: CoupledClassifier, specimen: Specimen, absent: Absent, left: float) -> Absent:
    """By the stand-in with the family, beside ``plain``, which leaves ``left`` traces unexplained."""
    extended = with_family(specimen, absent.family)
    fit = quick_fit(plain, [extended])
    strength = fit.strengths_.set_index("family").loc[absent.family]
    return replace(
        absent,
        gain_nats=fit.log_evidence - plain.log_evidence,
        explains=max(left - float(unexplained(fit, extended).sum()), 0.0),
        ratio=float(strength["ratio"]),
        ratio_low=float(strength["ratio_low"]),
        ratio_high=float(strength["ratio_high"]),
    )


def _judged(found: list[Absent], is_material: Callable[[Absent], bool]) -> list[Absent]:
    """The best first, and called missing where that is clear and matters; several were tried."""
    ranked = sorted(found, key=lambda a: (np.nan_to_num(a.p_value, nan=1.0), -np.nan_to_num(a.gain_nats)))
    clear = [a for a in ranked if a.p_value * len(found) < CLEAR and is_material(a)]
    best = max(clear, key=lambda a: np.nan_to_num(a.gain_nats, nan=a.explains)) if clear else None
    return sorted((replace(a, is_missing=a is best) for a in ranked), key=lambda a: not a.is_missing)


def _systems_of(specimen: Specimen, family: str) -> Systems:
    return systems(specimen.material.lattice, families=[family], c_over_a=specimen.material.c_over_a)


def _weights(specimen: Specimen, part: Systems) -> NDArray:
    """(G, P) w of the module docstring: 0 for planes too flat to leave a trace."""
    factor = np.abs(schmid_factors(part, specimen.quaternions, specimen.load.stress))
    planes = np.unique(part.plane_id)
    largest = np.stack([factor[:, part.plane_id == p].max(1) for p in planes], axis=1) ** 2
    steep = slip_traces(specimen.quaternions, part).inclination_deg[:, planes] >= MIN_INCLINATION_DEG
    return steep * largest / max(largest.mean(), 1e-12)
