"""The numbers of the coupled model that are nobody's physics: how finely it searches, samples and solves.

One frozen record that every fitted model carries, its file stores and the report shows. A number stands here
with the reason why it has this value; priors and rates, which have a meaning of their own, stand with the
parameters (`cpml.models.coupled.prior`).
"""

from dataclasses import dataclass, field, fields
from typing import Any

import pandas as pd

from cpml.errors import ParameterError


def _because(value: float, reason: str) -> Any:
    return field(default=value, metadata={"reason": reason})


@dataclass(frozen=True)
class Numerics:
    """Tuning constants of the coupled model; :meth:`table` lists them with their reasons.

    Raises
    ------
    ParameterError : a number that is not positive
    """

    # search for the most probable parameters
    rounds: int = _because(4, "solutions of the localisation at new strengths at most; two or three suffice")
    starts: int = _because(2, "of the search, one or two: the posterior may have several maxima")
    reach: float = _because(
        0.6, "of a log strength in one stage of three, then the localisation is solved anew"
    )
    bound: float = _because(3.0, "prior widths within which parameters are searched")
    tolerance: float = _because(
        1e-6, "relative gain at which a search ends: 1e-3 nats, far below what footprints can tell"
    )
    newton_steps: int = _because(6, "at the end: what is printed must not hang on the rounding of a machine")
    least_step: float = _because(1e-7, "prior widths at which Newton's steps end")
    least_gradient: float = _because(1e-4, "nats per prior width at which a search ends")
    curvature_step: float = _because(3e-3, "prior widths, in difference quotients of the gradient")
    least_curvature: float = _because(
        0.25, "in prior widths, where the prior alone has 1: no posterior is twice as wide as it"
    )
    posterior_draws: int = _because(32, "parameter vectors over which predictions are averaged")

    # draws of the unexplained stress
    coarse_draws: int = _because(
        32, "with which the search begins: a quarter of the time of the final number"
    )
    adaptations: int = _because(2, "of the draws: at the end of the coarse search, and where that leads")
    last_factor: int = _because(
        2,
        "times the draws at the end: with half of them a seed moved the ratio to a rare family by a third",
    )
    looking_draws: int = _because(512, "that find where a grain's footprints put its stress")
    prior_share: float = _because(
        0.2, "of the adapted draws are from the prior: no weight exceeds its inverse"
    )
    points_within: int = _because(8, "of a grain at which it shears, in pairs: draws average besides")
    inflation: float = _because(1.3, "of the covariance of adapted draws: tails must be sampled, not cut")
    identity_draws: float = _because(
        4.0, "draws' worth of identity in that covariance, where few draws count"
    )

    # the law behind the localisation
    exponent: float = _because(
        10.0,
        "of the law of mean fields and columns: they leave less of the grain stresses of another code "
        "unexplained than at 20 (of nickel, Taylor .90 against 1.03, self-consistent .57 against .58)",
    )
    network_exponent: float = _because(
        20.0,
        "of the law behind the network, that of the materials' files: its stresses are as near as at 10, "
        "but there grains of magnesium at their true strengths twin a seventh less than they do, and hard "
        "families come out a quarter too soft",
    )
    step: float = _because(
        0.15, "of a log strength in slopes of schemes that know the map: averages over kinks"
    )
    spacing: float = _because(
        0.2, "of the grid of log strengths that folds share; the linear law bridges half"
    )
    idle: float = _because(1e-3, "share of all shear below which a family does not move the grains' stresses")
    field_tolerance: float = _because(
        1e-4, "of the full field's power: grain stresses to 1 %, below the scatter"
    )
    least_shear: float = _because(1e-3, "total shear over the mean below which grains are alike")
    unloaded: float = _because(1e-3, "resolved over mean stress below which a system counts as unloaded")
    cells_per_diameter: float = _because(
        5.0, "of the coarse map: enough for a mean stress, solved in seconds"
    )
    fewest_cells: int = _because(16, "along the longer side of the coarse map")
    most_cells: int = _because(96, "along the longer side of the coarse map: memory and time")

    # depths under the map
    depths: int = _because(
        10, "volumes under a map: the noise of their mean is a tenth of what they leave open"
    )
    depth_diameters: float = _because(
        3.0,
        "grain diameters from a plane to its next copy: at two, that is felt (a tenth less is explained)",
    )
    least_depth: int = _because(4, "layers of a volume, where grains have few cells")
    rim_diameters: float = _because(0.5, "grain diameters of made-up grains around the map, which repeats")
    depth_tolerance: float = _because(
        1e-3, "of the full field's power: grain stresses to 3 %, a tenth of what the depth leaves open"
    )
    pooled_depths: float = _because(
        5.0, "volumes' worth of the mean covariance in that of a grain: one for each direction of stress"
    )

    # learned correction
    trees: int = _because(50, "of a mechanism: held-out scores are flat from 25 to 75")
    tree_depth: int = _because(3, "splits on a path: a stress, in a family, of a large grain")
    tree_rate: float = _because(0.1, "of Newton's step that a tree takes")
    prior_pairs: float = _because(20.0, "of full information that say zero, in every leaf")
    leaf_pairs: int = _because(20, "fewest in a leaf")
    least_footprints: int = _because(
        20, "of a mechanism, and as many absences, or nothing is tried; the gate has its own test of chance"
    )
    gate_level: float = _because(0.05, "chance that a correction of nothing speaks, over the mechanisms")
    fold_steps: int = _because(12, "of the search without a fold of labels, from where all of them led")

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not getattr(self, entry.name) > 0:
                raise ParameterError(f"numerics.{entry.name} = {getattr(self, entry.name)} must be positive")

    def table(self) -> pd.DataFrame:
        """name, value, default, reason of every number."""
        rows = [(f.name, getattr(self, f.name), f.default, f.metadata["reason"]) for f in fields(self)]
        return pd.DataFrame(rows, columns=["name", "value", "default", "reason"])


STANDARD = Numerics()
