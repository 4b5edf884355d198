"""What the simulated microscope sees, misses and gets wrong."""

from dataclasses import dataclass, fields

from cpml.errors import ParameterError


@dataclass(frozen=True)
class Microscope:
    """Resolution and errors of all that is recorded.

    Attributes
    ----------
    step_um : of the map
    pixels : of the map along the edge of a voxel
    noise_deg : root mean square of the angles by which orientations of single points are off
    unindexed, unindexed_boundary : share of points without a solution, of all and, further, of those at a
        grain boundary
    visible_shear : accumulated shear above which a plane leaves a trace
    flat_deg : planes nearer to the surface leave none
    merged_deg : traces closer than this are drawn as one, along the stronger
    trace_deg : standard deviation of a drawn angle
    missed, false : share of visible traces that nobody draws; of grains with a line that belongs to no plane
    least_pixels : smaller grains are not looked at
    visible_twin : fraction above which a variant is seen as lamellae
    lamella_um : their thickness
    gradient_noise : standard deviation of the displacement gradient of a point
    curve_noise : relative standard deviation of a stress of the curve
    looked_at : share of grains in which somebody looked for cross-slip
    foils : share of grains of which a foil was looked at for climb
    pair_missed, pair_false : share of active cross-slip pairs that are overlooked; of others that are claimed
    """

    step_um: float = 1.0
    pixels: int = 2
    noise_deg: float = 0.3
    unindexed: float = 0.01
    unindexed_boundary: float = 0.03
    visible_shear: float = 0.01
    flat_deg: float = 12.0
    merged_deg: float = 4.0
    trace_deg: float = 2.0
    missed: float = 0.15
    false: float = 0.03
    least_pixels: int = 20
    visible_twin: float = 0.05
    lamella_um: float = 2.0
    gradient_noise: float = 0.003
    curve_noise: float = 0.005
    looked_at: float = 0.5
    foils: float = 0.1
    pair_missed: float = 0.2
    pair_false: float = 0.02

    def __post_init__(self) -> None:
        shares = ("unindexed", "unindexed_boundary", "missed", "false", "looked_at", "foils")
        for field in fields(self):
            value = getattr(self, field.name)
            most = 1.0 if field.name in shares or field.name.startswith("pair_") else float("inf")
            if not 0 <= value <= most:
                raise ParameterError(f"microscope: {field.name} = {value}: choose 0 to {most:g}")
        if not self.step_um > 0 or self.pixels < 1:
            raise ParameterError(
                f"microscope: step_um = {self.step_um} and pixels = {self.pixels}: choose a positive step "
                "and at least one pixel"
            )
