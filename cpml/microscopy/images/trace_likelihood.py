"""How well an observed line fits each plane: the likelihood of a trace.

An orientation error turns the trace of a flat plane more than that of a steep one:

    sigma_k^2 = sigma_line^2 + sigma_o^2 / sin^2 i_k
    p(theta | k) = (1 - e) N_180(theta - theta_k; sigma_k) + e / 180          per degree

| symbol | meaning | unit |
|---|---|---|
| theta_k, i_k | trace and inclination of plane k (cpml.crystallography.slip_traces) | deg |
| sigma_line, sigma_o | error of the drawn line, of the orientation about one axis | deg |
| e | share of lines that belong to no plane of the list | - |

N_180 is the normal density wrapped to half turns, since a line has no direction.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.slip_traces import line_difference
from cpml.errors import ParameterError


def match_traces(
    observed_angle_deg: ArrayLike,
    plane_angle_deg: ArrayLike,
    inclination_deg: ArrayLike,
    *,
    sigma_deg: ArrayLike = 2.0,
    orientation_deg: float = 0.5,
    floor: float = 0.03,
) -> NDArray:
    """Likelihood p(theta | plane) of observed lines, per degree.

    Parameters
    ----------
    observed_angle_deg : (...) on-screen angles
    plane_angle_deg, inclination_deg : (P,) or (..., P) of `slip_traces`
    sigma_deg : (...) error of the line
    orientation_deg : error of the orientation about one axis
    floor : share e of lines that belong to none of the planes

    Returns
    -------
    (..., P); integrates to 1 over 180 deg for every plane

    Raises
    ------
    ParameterError : an error that is not positive, or a floor outside 0 to 1
    """
    line = np.asarray(sigma_deg, float)[..., None]
    if not (np.all(line > 0) and orientation_deg >= 0 and 0 <= floor <= 1):
        raise ParameterError(
            f"sigma_deg {sigma_deg} and orientation_deg {orientation_deg} must be positive and floor "
            f"{floor} lie between 0 and 1"
        )
    sine = np.maximum(np.sin(np.radians(np.asarray(inclination_deg, float))), 1e-3)
    # beyond 60 deg the wrapped density is flat within 1 %, and further images of it would be needed
    sigma = np.minimum(np.sqrt(line**2 + (orientation_deg / sine) ** 2), 60.0)
    difference = line_difference(np.asarray(observed_angle_deg, float)[..., None], plane_angle_deg)
    wrapped = sum(np.exp(-0.5 * ((difference + 180.0 * k) / sigma) ** 2) for k in (-1, 0, 1))
    return (1 - floor) * wrapped / (np.sqrt(2 * np.pi) * sigma) + floor / 180.0
