"""The declared load and frame against their usual confusions, by the evidence of the footprints.

Every alternative j is fitted by the stand-in, or, where a few steps of the search leave it more than
HOPELESS_NATS behind, judged by these. With L_jg the log-likelihood of grain g,

    gain_j = sum_g (L_jg - L_0g),        z_j = gain_j / (sqrt(G) std_g (L_jg - L_0g))

says whether an alternative explains the grains better (nats) and whether it does so in more grains than a few
(Vuong 1989, Econometrica 57:307; it asks for no true model). Posterior weights follow from the log evidence,
the declared choice having the weight ``DECLARED`` beforehand and the others the rest.

A frame is wrong by a turn of all crystals in the sample, or by the other hexagonal axis (30 deg about c); the
turns are those of `cpml.microscopy.checks.frame_ranking`, and one and the same with 180 deg about the normal
share their lines.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cpml.crystallography.rotations import axis_angle_to_quaternion
from cpml.microscopy.checks.frame_ranking import TURNS
from cpml.microscopy.maps.frames import frame_rotation
from cpml.models.checks.variants import turned
from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.coupled.loads import DECLARED, other_loads
from cpml.models.coupled.stand_in import grain_log_likelihood, quick_fit, rough_look
from cpml.models.specimen.specimen import Specimen

CLEAR_NATS, CLEAR_Z = 5.0, 2.5
"""Gain, and its size in standard errors, from which an alternative is called better; z counts the trials."""
HOPELESS_NATS = 120.0
"""Behind the declared choice after the same few steps; the rest of a search was seen to gain 100 of them."""
OTHER_AXIS = "hexagonal X turned by 30°"


@dataclass(frozen=True)
class Comparison:
    """The declared choice beside its alternatives.

    Attributes
    ----------
    table : choice, gain_nats (of log-likelihood), z, gain_evidence_nats, weight (posterior); the declared
        choice first, then by gain
    """

    declared: str
    table: pd.DataFrame

    @property
    def best(self) -> pd.Series:
        """The alternative that explains most."""
        return self.table.iloc[1]

    @property
    def is_contradicted(self) -> bool:
        """Whether an alternative is clearly better than what was declared."""
        others = self.table.iloc[1:]
        return bool(((others["gain_evidence_nats"] > CLEAR_NATS) & (others["z"] > CLEAR_Z)).any())

    @property
    def is_supported(self) -> bool:
        """Whether every alternative is clearly worse."""
        others = self.table.iloc[1:]
        return bool(((others["gain_evidence_nats"] < -CLEAR_NATS) & (others["z"] < -CLEAR_Z)).all())


def compare_loads(plain: CoupledClassifier, specimen: Specimen) -> Comparison | None:
    """The declared load, under which the stand-in ``plain`` was fitted, against turned ones, the map normal
    and the other sense; None for a load that no turn in the map changes.
    """
    others = {name: replace(specimen, load=load) for name, load in other_loads(specimen).items()}
    return compared(plain, specimen, others, declared=specimen.load.label) if others else None


def compare_frames(plain: CoupledClassifier, specimen: Specimen) -> Comparison:
    """The declared frame and hexagonal axis, with the stand-in ``plain``, against the usual confusions."""
    q_axis = axis_angle_to_quaternion(np.array([0.0, 0.0, 1.0]), np.pi / 6)
    axes = {"": None} | ({OTHER_AXIS: q_axis} if specimen.material.lattice == "hcp" else {})
    others = {}
    for first, second in TURNS:
        for axis, before in axes.items():
            after = None if first == "identity" else frame_rotation(first)
            if after is None and before is None:
                continue
            words = [] if after is None else [f"crystals turned as by {first} or {second}"]
            others[", ".join([*words, *([axis] if axis else [])])] = turned(
                specimen, before=before, after=after
            )
    return compared(plain, specimen, others, declared="as declared")


def compared(
    plain: CoupledClassifier, specimen: Specimen, others: dict[str, Specimen], *, declared: str
) -> Comparison:
    """The stand-in, fitted to the specimen, beside fits to the same under other assumptions."""
    start, own = rough_look(plain, specimen), grain_log_likelihood(plain, specimen)
    evidence, apart = [0.0], [np.zeros(len(specimen))]
    for other in others.values():
        rough = rough_look(plain, other)
        behind = start.log_posterior - rough.log_posterior
        if behind > HOPELESS_NATS:
            evidence.append(-behind)
            apart.append(rough.grains - start.grains)
        else:
            fit = quick_fit(plain, [other])
            evidence.append(fit.log_evidence - plain.log_evidence)
            apart.append(grain_log_likelihood(fit, other) - own)
    prior = np.r_[DECLARED, np.full(len(others), (1 - DECLARED) / max(len(others), 1))]
    log_weight = np.log(prior) + np.array(evidence)
    weight = np.exp(log_weight - log_weight.max())
    error = np.array([np.sqrt(len(a)) * a.std() for a in apart])
    gain = np.array([a.sum() for a in apart])
    table = pd.DataFrame(
        {
            "choice": [declared, *others],
            "gain_nats": gain,
            "z": np.divide(gain, error, out=np.zeros_like(gain), where=error > 0),
            "gain_evidence_nats": evidence,
            "weight": weight / weight.sum(),
        }
    )
    order = np.r_[0, 1 + np.argsort(-np.array(evidence[1:]))]
    return Comparison(declared, table.iloc[order].reset_index(drop=True))
