"""What a texture does to a sheet: Lankford ratios and sections of the yield surface.

    r(theta) = D_width / D_thickness under uniaxial tension along theta, from x in the plane normal to z
    section:   Sigma under the strain rates cos(t) a + sin(t) b, the other three deviatoric stresses zero,
               scaled to equal plastic power (Sigma goes with power^(1/(n+1)))

| symbol | meaning | shape |
|---|---|---|
| a, b | axes of the section, directions in the 5-basis of deviators | (5,) |

References: Lankford, Snyder & Bauscher 1950, Trans. ASM 42:1197; Lebensohn & Tome 1993.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.tensors import to_matrix, to_vector
from cpml.errors import ParameterError
from cpml.plasticity.arguments import Values, as_matrices, as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.mean_field import mean_field
from cpml.plasticity.polycrystal.response import medium_of


@dataclass(frozen=True)
class Lankford:
    """r-values and yield stresses over the angle from x."""

    angle_deg: NDArray  # (A,)
    r: NDArray  # (A,)
    yield_stress: NDArray  # (A,) uniaxial, MPa, at the imposed axial rate

    @property
    def mean(self) -> float:
        """Normal anisotropy (r0 + 2 r45 + r90)/4."""
        r0, r45, r90 = np.interp([0, 45, 90], self.angle_deg, self.r)
        return float((r0 + 2 * r45 + r90) / 4)

    @property
    def planar(self) -> float:
        """Planar anisotropy (r0 - 2 r45 + r90)/2."""
        r0, r45, r90 = np.interp([0, 45, 90], self.angle_deg, self.r)
        return float((r0 - 2 * r45 + r90) / 2)


@dataclass(frozen=True)
class YieldSurface:
    """Points of a section: stresses of equal plastic power and their strain rates, sample frame."""

    axes: NDArray  # (2, 5)
    stress: NDArray  # (N, 5) deviators, MPa
    rate: NDArray  # (N, 5) 1/s

    @property
    def section(self) -> NDArray:
        """(N, 2) components of the stress along the two axes, MPa."""
        return self.stress @ self.axes.T

    @property
    def plane_stress(self) -> NDArray:
        """(N, 2) sigma_11, sigma_22 of the same deviators with sigma_33 = 0, MPa."""
        matrix = to_matrix(self.stress)
        return np.stack([matrix[:, 0, 0] - matrix[:, 2, 2], matrix[:, 1, 1] - matrix[:, 2, 2]], -1)


def lankford(
    law: PowerLaw,
    orientations: Values,
    *,
    weights: Values | None = None,
    angle_deg: ArrayLike = (0, 15, 30, 45, 60, 75, 90),
    rate: float = 1e-3,
    **options: Any,
) -> Lankford:
    """r-values of a sheet with normal z, of equiaxed grains; options go to mean_field (scheme, n_eff, ...).

    Examples
    --------
    >>> from cpml.crystallography import systems
    >>> law = PowerLaw(systems("fcc", families=["octahedral"]), [1.0])
    >>> cube = lankford(law, [[1.0, 0, 0, 0]], angle_deg=[0, 90])  # cube texture: r = 1 along its axes
    >>> [f"{abs(r):.3f}" for r in cube.r]
    ['1.000', '1.000']
    """
    if options.get("shape") is not None:
        raise ParameterError("lankford turns the specimen: give equiaxed grains (shape = None)")
    matrices = as_matrices(orientations).detach().reshape(-1, 3, 3)
    angles, tension, start = np.atleast_1d(np.asarray(angle_deg, float)), Conditions.uniaxial(0, rate), None
    ratio, stress = [], []
    for angle in np.deg2rad(angles):
        c, s = np.cos(angle), np.sin(angle)
        turned = torch.as_tensor([[c, s, 0], [-s, c, 0], [0, 0, 1.0]], dtype=torch.float64) @ matrices
        with torch.no_grad():
            field = mean_field(law, turned, weights=weights, loading=tension, start=start, **options)
        start = medium_of(field).start
        d = to_matrix(field.rate.numpy())
        ratio.append(d[1, 1] / d[2, 2])
        stress.append(float(field.von_mises))
    return Lankford(angles, np.array(ratio), np.array(stress))


def yield_surface(
    law: PowerLaw,
    orientations: Values,
    *,
    weights: Values | None = None,
    axes: ArrayLike = ((1, 0, 0, 0, 0), (0, 1, 0, 0, 0)),
    n_points: int = 72,
    **options: Any,
) -> YieldSurface:
    """Section of the yield surface in the plane of two directions of deviatoric stress space.

    Its points have the plastic power of the first one at a von Mises rate equal to the law's reference rate.

    Parameters
    ----------
    axes : two orthogonal 5-vectors or symmetric (3, 3) matrices; default the pi
        plane (normal components only)
    n_points : strain-rate directions, evenly spaced in angle
    options : for mean_field (scheme, n_eff, shape, ...)

    Raises
    ------
    ParameterError : axes that are no two orthogonal directions, fewer than three points
    """
    plane = np.asarray(axes, float)
    plane = to_vector(plane) if plane.shape == (2, 3, 3) else plane
    if plane.shape != (2, 5) or n_points < 3:
        raise ParameterError("axes must be two 5-vectors or two (3, 3) matrices, n_points at least 3")
    plane = plane / np.linalg.norm(plane, axis=1, keepdims=True)
    if abs(plane[0] @ plane[1]) > 1e-6:
        raise ParameterError("the two axes of a section must be orthogonal")
    across, free = np.linalg.svd(plane)[2][2:], np.full((3, 3), np.nan)
    n, size = as_tensor(law.n).item(), np.sqrt(1.5) * as_tensor(law.reference_rate).item()
    stresses, rates, start, power = [], [], None, None
    for angle in np.arange(n_points) * 2 * np.pi / n_points:
        values = size * np.array([np.cos(angle), np.sin(angle)])
        loading = Conditions(plane, values, across, np.zeros(3), free, free)
        with torch.no_grad():
            field = mean_field(law, orientations, weights=weights, loading=loading, start=start, **options)
        start = medium_of(field).start
        stress, rate = field.stress.numpy(), field.rate.numpy()
        power = power or stress @ rate
        factor = power / (stress @ rate)
        stresses.append(stress * factor ** (1 / (n + 1)))
        rates.append(rate * factor ** (n / (n + 1)))
    return YieldSurface(plane, np.array(stresses), np.array(rates))
