"""A nickel superalloy after about 1 % of strain: EBSD and HR-DIC of one area, example data of DefDAP.

Data: doi 10.5281/zenodo.3688096; the homologous points are those of its example notebook. Neither load axis
nor alloy is documented. What tests assert of this field (grains, bands, ranks) was counted once, by an
analysis independent of this package.
"""

from collections.abc import Callable
from pathlib import Path

from cpml.microscopy import Grains, RegisteredDic, read_map, register_dic, segment

MAP, FIELD = "ni-hrdic/testDataEBSD.crc", "ni-hrdic/testDataDIC.txt"
POINTS = ((36, 72, 68, 95), (279, 27, 308, 45), (162, 174, 191, 187), (60, 157, 89, 174))
"""DIC column, DIC row, map column, map row."""


def nickel_grains(mirror: Callable[[str], Path], euler_to_sample: str = "x180") -> Grains:
    """Grains at 8 deg."""
    return segment(read_map(mirror(MAP), euler_to_sample=euler_to_sample), threshold=8.0)


def nickel_field(mirror: Callable[[str], Path]) -> tuple[Grains, RegisteredDic]:
    """The grains, and the field registered to them."""
    grains = nickel_grains(mirror)
    return grains, register_dic(mirror(FIELD), POINTS, grains.map, grains.label)
