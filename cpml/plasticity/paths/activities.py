"""What each mechanism does in each grain: slip and twin families, climb, cross-slip.

share of a family = sum of its |rates| / sum of all |rates| of the grain;   the shares add up to 1
cross-slip        = rate of transfer between planes / total slip rate of the grain (no strain of its own)
"""

import torch
from torch import Tensor

from cpml.crystallography.materials import Material
from cpml.crystallography.tensors import rotation_5x5
from cpml.plasticity.arguments import Values, as_matrices
from cpml.plasticity.laws.law import Law
from cpml.plasticity.laws.modes import Modes
from cpml.plasticity.laws.thermal.cross_slip import CrossSlip
from cpml.plasticity.polycrystal.response import MeanField


def mechanism_activities(
    law: Law,
    field: MeanField,
    orientations: Values,
    *,
    material: Material | None = None,
    temperature: float | None = None,
) -> dict[str, Tensor]:
    """Shares (G,) by family (climb included) of a response of `law`.

    Parameters
    ----------
    material, temperature : with both (K), and a material that describes cross-slip, also "cross_slip"

    Examples
    --------
    >>> import numpy as np
    >>> from cpml.crystallography import load_material
    >>> from cpml.plasticity import DiffusionClimb, PowerLaw, Together, mean_field
    >>> nickel, rate = load_material("nickel"), 1e-7 * np.diag([1.0, -0.5, -0.5])
    >>> law = Together((PowerLaw.from_material(nickel), DiffusionClimb.from_material(nickel, 1400.0)))
    >>> shares = mechanism_activities(law, mean_field(law, [[1.0, 0, 0, 0]], loading=rate), [[1.0, 0, 0, 0]])
    >>> bool(shares["climb"][0] > 0.5)  # above 0.6 of the melting point, slow
    True
    """
    modes = Modes.of(law)
    rates = field.shear_rate.abs()
    total = rates.sum(-1)
    shares = {name: rates[:, modes.family == k].sum(-1) / total for k, name in enumerate(modes.families)}
    if material is not None and material.cross_slip and temperature is not None:
        cross_slip = CrossSlip.from_material(material)
        turn = rotation_5x5(as_matrices(orientations).reshape(-1, 3, 3))
        crystal = (field.grain_stress[:, None, :] @ turn)[:, 0]
        glide = field.shear_rate[:, : modes.gliding]
        slip = glide.abs()[:, torch.as_tensor(cross_slip.systems.slip)].sum(-1)
        transfer = cross_slip.activity(glide, crystal, temperature).sum(-1)
        shares["cross_slip"] = transfer / slip.clamp(min=1e-300)
    return shares
