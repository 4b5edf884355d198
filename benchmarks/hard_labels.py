"""Hard labels: every trace given to one plane, as is commonly done. A baseline, not a recommendation.

Among the planes that could have drawn a line, the one of largest Schmid factor under the macroscopic stress
is taken for granted. That is right for most traces, but wrong where the local stress differs from the
macroscopic one, so the mistakes are correlated with what strengths are learned from.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from cpml.microscopy.labels.detection import MIN_INCLINATION_DEG
from cpml.models.mechanics.features import schmid_of_tokens
from cpml.models.specimen.specimen import Specimen

SIGMA_DEG = 0.1  # the plane is taken as known: no other plane is a candidate


def pick_max_schmid(specimen: Specimen) -> Specimen:
    """The specimen with every trace moved onto its candidate plane of largest Schmid factor.

    Planes are relabelled to match: the picked ones are observed, all other visible planes of the grain are
    not. Traces without any candidate are dropped; twins stay as they are.
    """
    from cpml.microscopy import slip_labels

    picked = slip_labels(
        specimen.grains.assign(phase=0),
        _picked(specimen),
        specimen.systems,
        sigma_deg=SIGMA_DEG,
        tolerance_deg=SIGMA_DEG / 2,
        min_inclination_deg=MIN_INCLINATION_DEG,
    )
    others = specimen.labels[specimen.labels["mechanism"] != "slip"]
    labels = pd.concat([picked.labels, others], ignore_index=True)
    return replace(specimen, labels=labels, traces=picked.traces, candidates=picked.candidates)


def _picked(specimen: Specimen) -> pd.DataFrame:
    """grain_id, angle_deg: exact angles of the picked planes, empty for imaged grains without any."""
    from cpml.crystallography.slip_traces import slip_traces

    place = {name: p for p, name in enumerate(specimen.tokens["target"])}
    angle = slip_traces(specimen.quaternions, specimen.systems).angle_deg[:, specimen.slip_planes]
    score = schmid_of_tokens(specimen)
    fitting = specimen.candidates[specimen.candidates["probability"] > 0]
    table = pd.DataFrame(
        {
            "trace_id": fitting["trace_id"],
            "probability": fitting["probability"],
            "grain": specimen.position(fitting["grain_id"]),
            "plane": fitting["target"].map(place),
        }
    )
    # of equal Schmid factors the more probable plane
    table["score"] = score[table["grain"], table["plane"]]
    best = table.sort_values(["score", "probability"], ascending=False).drop_duplicates("trace_id")
    grain, plane = best[["grain", "plane"]].drop_duplicates().sort_values(["grain", "plane"]).to_numpy().T
    blank = np.setdiff1d(np.flatnonzero(specimen.imaged), grain)
    where = np.concatenate([grain, blank])
    angles = np.concatenate([angle[grain, plane], np.full(len(blank), np.nan)])
    return pd.DataFrame({"grain_id": specimen.grain_ids[where], "angle_deg": angles})
