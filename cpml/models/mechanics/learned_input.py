"""A specimen as the network's input: its own mean field, its crystals, sizes and boundaries."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.models.learned.surface import PERIMETER, Plane, Surface, base_of
from cpml.models.mechanics.crystals import (
    canonical_copies,
    load_direction,
    mean_field_motion,
)
from cpml.models.numerics import Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.polycrystal.motion import schmid_vectors
from cpml.plasticity.polycrystal.response import MeanField


def surface_of(specimen: Specimen, field: MeanField, log_strength: Tensor, numerics: Numerics) -> Surface:
    """Input of the network, differentiable in the log strengths.

    Parameters
    ----------
    field : affine mean field of the specimen at log strengths (K,)
    """
    copies = canonical_copies(specimen.quaternions, specimen.systems.lattice)
    schmid = torch.as_tensor(schmid_vectors(specimen.systems, copies))
    motion = mean_field_motion(specimen, field)
    macro = load_direction(specimen)
    strength = log_strength.exp()[torch.as_tensor(specimen.systems.family)]
    base = base_of(
        field,
        motion,
        schmid,
        strength,
        torch.as_tensor(specimen.weights),
        torch.as_tensor(macro),
        specimen.load.rate,
    )
    return Surface.of(base, schmid, specimen.systems, numerics.exponent, macro, plane_of(specimen))


def plane_of(specimen: Specimen) -> Plane:
    """Sizes and boundaries of the map; a boundary without a trace has no normal."""
    angle = np.asarray(specimen.edge_angle, float)
    known = np.isfinite(angle)
    angle = np.where(known, angle, 0.0)
    # the trace counts counter-clockwise on the screen, y is down
    normal = np.column_stack([np.sin(angle), np.cos(angle), np.zeros_like(angle)]) * known[:, None]
    return Plane(
        area=_areas(specimen),
        neighbours=specimen.neighbours,
        length=np.asarray(specimen.edge_length, float),
        boundary=normal,
        normal=np.array([0.0, 0.0, 1.0]),
        is_free=specimen.free_surface,
    )


def _areas(specimen: Specimen) -> NDArray:
    """(G,) in the square of the unit of the boundaries' lengths."""
    if "area_um2" in specimen.grains:
        return specimen.grains["area_um2"].to_numpy(float)
    here, _ = specimen.directed_neighbours
    known = np.bincount(here, np.tile(specimen.edge_length, 2), minlength=len(specimen))
    pixels = specimen.grains["n_pixels"].to_numpy(float)
    scale = np.median(known / (PERIMETER * np.sqrt(4 * np.pi * pixels))) if known.any() else 1.0
    return pixels * max(float(scale), 1e-12) ** 2
