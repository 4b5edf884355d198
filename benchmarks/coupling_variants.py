"""Models that are trained or asked on changed specimens: fewer labels, exchanged, noisy or hard ones, other
neighbours; and the coupled model without each of its ingredients.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from benchmarks.hard_labels import pick_max_schmid
from cpml import microscopy, models
from cpml.microscopy.labels.detection import MIN_INCLINATION_DEG
from cpml.models.protocol import Model
from cpml.models.specimen.specimen import Specimen

# ingredients of the coupled model that can be left out or exchanged: name -> keywords of its constructor
FLAGS: dict[str, dict] = {
    "no_latent_scatter": {"scatter": False},
    "no_residual": {"residual": False},
    "no_edges": {"edges": False},
    "free_surface": {"free_surface": True},
    "no_full_field": {"scheme": "affine"},
    "no_neighbours": {"scheme": "affine", "edges": False},
    "macroscopic_stress": {"scheme": "sachs", "edges": False, "scatter": False},
}

TOLERANCE_DEG, THREE_SIGMA = 6.0, 3.0  # planes that may be the source of a trace: as labels are made, or more


def unchanged(specimen: Specimen) -> Specimen:
    """The specimen itself."""
    return specimen


@dataclass(repr=False, eq=False)
class Changed(BaseEstimator):
    """A model that sees changed specimens: ``training`` while it learns, ``always`` also when it is asked."""

    model: Model
    name: str
    training: Callable[[Specimen], Specimen] = unchanged
    always: Callable[[Specimen], Specimen] = unchanged

    def fit(self, specimens):
        """Fit on the changed specimens."""
        self.model.fit([self.training(self.always(s)) for s in specimens])
        return self

    def predict(self, specimen):
        """Predictions under the name of this variant."""
        return self.model.predict(self.always(specimen)).assign(model=self.name)


def share_of_labels(specimen: Specimen, share: float, *, seed: int = 0) -> Specimen:
    """Labels of a random share of the labelled grains, of one of them at least; a smaller share is a part of
    a greater one.
    """
    known = _labelled(specimen)
    kept = np.random.default_rng(seed).permutation(known)[: max(int(share * len(known)), 1)]
    return specimen.with_labels_of(kept)


def exchanged_labels(specimen: Specimen, *, seed: int = 0) -> Specimen:
    """The labelled grains with each other's footprints: how often families and variants are seen stays, and
    nothing of a grain says what was seen in it. What a model still ranks, it knew before any label.
    """
    known = _labelled(specimen)
    moved = dict(zip(known, np.random.default_rng(seed).permutation(known), strict=True))
    tables = {
        name: table.assign(grain_id=table["grain_id"].map(moved).fillna(table["grain_id"]).astype(int))
        for name in ("labels", "traces", "candidates")
        if (table := getattr(specimen, name)) is not None
    }
    return replace(specimen, **tables)


def noisy_labels(
    specimen: Specimen, *, angle_deg: float = 0.0, missed: float = 0.0, false: float = 0.0, seed: int = 0
) -> Specimen:
    """The specimen under a worse microscope.

    Parameters
    ----------
    angle_deg : standard deviation added to the angles of the traces, which are known to be that much worse
    missed : share of the traces and of the variants that are not seen
    false : lines without slip, per imaged grain
    """
    rng = np.random.default_rng(seed)
    lines = specimen.traces[["grain_id", "angle_deg", "sigma_deg"]]
    lines = lines[rng.random(len(lines)) >= missed]
    imaged = specimen.grain_ids[specimen.imaged]
    spurious = np.repeat(imaged, rng.poisson(false, len(imaged)))
    drawn = pd.DataFrame(
        {"grain_id": spurious, "angle_deg": rng.uniform(0, 180, len(spurious)), "sigma_deg": np.nan}
    )
    lines = pd.concat([lines, drawn], ignore_index=True) if len(drawn) else lines
    lines = lines.assign(
        angle_deg=(lines["angle_deg"] + angle_deg * rng.standard_normal(len(lines))) % 180.0,
        sigma_deg=np.hypot(lines["sigma_deg"].fillna(specimen.traces["sigma_deg"].median()), angle_deg),
    )
    blank = pd.DataFrame({"grain_id": np.setdiff1d(imaged, lines["grain_id"]), "angle_deg": np.nan})
    seen = microscopy.slip_labels(
        specimen.grains.assign(phase=0),
        pd.concat([lines, blank], ignore_index=True),
        specimen.systems,
        tolerance_deg=max(TOLERANCE_DEG, THREE_SIGMA * lines["sigma_deg"].max() if angle_deg else 0.0),
        min_inclination_deg=MIN_INCLINATION_DEG,
    )
    others = specimen.labels[specimen.labels["mechanism"] != "slip"]
    hidden = (others["observed"] == 1) & (rng.random(len(others)) < missed)
    others = others.assign(observed=others["observed"].mask(hidden, 0.0))
    labels = pd.concat([seen.labels, others], ignore_index=True)
    return replace(specimen, labels=labels, traces=seen.traces, candidates=seen.candidates)


def with_shuffled_neighbours(specimen: Specimen, *, seed: int = 0) -> Specimen:
    """The specimen with its grains at each other's places: same crystals and
    labels, somebody else's neighbours.

    What a model gains from the true neighbourhood is its score here less its score there.
    """
    place = np.random.default_rng(seed).permutation(len(specimen))
    raster = None if specimen.raster is None else place[specimen.raster]
    return replace(specimen, raster=raster, neighbours=place[specimen.neighbours])


def ablations(seed: int = 0) -> list[Changed]:
    """The coupled model without each of its ingredients."""
    variants = [
        Changed(models.CoupledClassifier(seed=seed, **options), f"coupled_{name}")
        for name, options in FLAGS.items()
    ]
    return [
        *variants,
        Changed(models.CoupledClassifier(seed=seed), "coupled_schmid_labels", pick_max_schmid),
        Changed(
            models.CoupledClassifier(seed=seed),
            "coupled_shuffled_neighbours",
            always=with_shuffled_neighbours,
        ),
    ]


def _labelled(specimen: Specimen) -> np.ndarray:
    """grain_id of the grains of which anything was observed."""
    return np.unique(specimen.labels.loc[specimen.labels["observed"].notna(), "grain_id"])
