"""The same specimen as it would be with another family, another load, or turned crystals."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.materials import FamilyParameters
from cpml.crystallography.rotations import quaternion_multiply
from cpml.crystallography.slip_systems import REPRESENTATIVES, Systems
from cpml.crystallography.slip_traces import slip_traces
from cpml.load import Load
from cpml.microscopy.images.trace_likelihood import match_traces
from cpml.models.specimen.specimen import Specimen

UNKNOWN_SPREAD = 1.0
"""Prior spread of the log strength of a family of which nothing is known: a factor e either way."""


def with_family(specimen: Specimen, family: str) -> Specimen:
    """The specimen with one more family of the lattice, of about the strength and the hardening of its slip
    families.
    """
    material = specimen.material
    kind = REPRESENTATIVES[material.lattice][family].kind
    slip = [name for name, known in material.families.items() if known.kind == "slip"]
    strength = float(np.median([material.families[name].strength for name in slip]))
    added = FamilyParameters(kind, strength, UNKNOWN_SPREAD, "not in the material file")
    hardening = {  # latent hardening of what a file does not name is one
        key: value | {family: float(np.median([value[name] for name in slip]))}
        if isinstance(value, dict) and key not in ("latent", "interactions")
        else value
        for key, value in material.hardening.items()
    }
    material = replace(material, families=material.families | {family: added}, hardening=hardening)
    return with_systems(replace(specimen, material=material), material.systems())


def under(specimen: Specimen, load: Load) -> Specimen:
    """The specimen under another load; what was measured stays."""
    return replace(specimen, load=load)


def turned(specimen: Specimen, before: NDArray | None = None, after: NDArray | None = None) -> Specimen:
    """The specimen with every crystal turned: by ``after`` (4,) in the sample, by ``before`` (4,) in its own
    axes. Lines and load stay where they are.
    """
    q = specimen.quaternions
    q = q if before is None else quaternion_multiply(q, before)
    q = q if after is None else quaternion_multiply(after, q)
    grains = specimen.grains.assign(**dict(zip(("qw", "qx", "qy", "qz"), q.T, strict=True)))
    return with_systems(replace(specimen, grains=grains), specimen.systems)


def with_systems(specimen: Specimen, systems: Systems) -> Specimen:
    """With the candidates of every trace, by its angle alone, for the slip planes of ``systems``."""
    geometry = slip_traces(specimen.quaternions, systems)
    planes = np.unique(systems.plane_id[systems.slip])
    names = [systems.plane_names[p] for p in planes]
    grain = specimen.position(specimen.traces["grain_id"])
    density = match_traces(
        specimen.traces["angle_deg"].to_numpy(),
        geometry.angle_deg[grain][:, planes],
        geometry.inclination_deg[grain][:, planes],
        sigma_deg=specimen.traces["sigma_deg"].to_numpy(),
        floor=0.0,
    )
    candidates = pd.DataFrame(
        {
            "trace_id": np.repeat(specimen.traces["trace_id"].to_numpy(), len(names)),
            "grain_id": np.repeat(specimen.traces["grain_id"].to_numpy(), len(names)),
            "mechanism": "slip",
            "target": np.tile(np.array(names, object), len(density)),
            "probability": np.nan,
            "likelihood": density.ravel(),
        }
    )
    empty = np.zeros((len(specimen), len(systems)))
    cp = {name: empty if values.ndim == 2 else values for name, values in specimen.cp.items()}
    return replace(specimen, systems=systems, candidates=candidates, cp=cp)
