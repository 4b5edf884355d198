"""The law alone on the grains of a specimen: both bounds and the medium between them, as far as they exist.

Crystals with an open yield surface (cpml.plasticity.crystal.cone) have no Taylor solution, some no medium
either. In place of a scheme that is refused stands the nearest one that is not: for Taylor the affine medium,
for that Sachs, which every crystal with one system has.
"""

from numpy.typing import ArrayLike, NDArray

from cpml.errors import CpmlError
from cpml.load import Load
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.mean_field import mean_field
from cpml.plasticity.polycrystal.response import MeanField

_ORDER = ("sachs", "affine", "taylor")


def mean_fields(
    law: PowerLaw, quaternions: ArrayLike, *, weights: NDArray, loading: Load
) -> tuple[dict[str, MeanField], dict[str, str]]:
    """Responses under "sachs", "affine" and "taylor", and why one stands for another.

    Returns
    -------
    fields by scheme; for each scheme that is refused: the scheme in its place, and the reason
    """
    fields: dict[str, MeanField] = {}
    refused: dict[str, str] = {}
    place = _ORDER[0]
    for scheme in _ORDER:
        try:
            fields[scheme] = mean_field(law, quaternions, weights=weights, loading=loading, scheme=scheme)
            place = scheme
        except CpmlError as error:
            if scheme == _ORDER[0]:
                raise
            fields[scheme], refused[scheme] = fields[place], f"{place} in place of {scheme}: {error}"
    return fields, refused
