"""The learned scheme: the affine mean field of a specimen, and what the network adds to it.

The mean of the stresses over the map stays the macroscopic one, exactly: what the network adds has no mean.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cpml.models.learned.ensemble import Ensemble
from cpml.models.learned.network import Answer
from cpml.models.learned.weights import supplied
from cpml.models.mechanics.crystals import solve_mean_field
from cpml.models.mechanics.learned_input import surface_of
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.polycrystal.medium import Start
from cpml.plasticity.polycrystal.response import MeanField


@dataclass(frozen=True)
class Learned:
    """What the network says of a specimen, beside the mean field that it started from."""

    answer: Answer
    field: MeanField
    radii: dict[str, list[float]]


def learned(
    specimen: Specimen,
    log_strength: Tensor,
    numerics: Numerics = STANDARD,
    start: Start | None = None,
    ensemble: Ensemble | None = None,
) -> Learned:
    """Mean and covariance of every grain, differentiable in the log strengths (K,)."""
    numerics = replace(numerics, exponent=numerics.network_exponent)
    field = solve_mean_field(specimen, log_strength, "affine", numerics, start)
    surface = surface_of(specimen, field, log_strength, numerics)
    ensemble = ensemble or supplied()
    answer = ensemble(surface)
    weights = torch.as_tensor(specimen.weights)
    shift = weights @ (answer.stress - surface.base.stress)
    total = (weights @ answer.log_total.exp()).log()
    moved = {"stress": answer.stress - shift, "log_total": answer.log_total - total}
    moved["rate"] = answer.rate - weights @ (answer.rate - surface.base.rate)
    return Learned(Answer(**{**vars(answer), **moved}), field, ensemble.radii)
