"""The record of a deformation path.

| symbol | meaning | unit | shape |
|---|---|---|---|
| strain | von Mises strain: sum of (Sigma:D)/sigma_vM dt | | (N,) |
| activity | share of each family (slip, twin, climb) in the total of |rates| | | (N, K) |
| twin_fraction | accumulated <gamma>/S of each twin family | | (N, K) |
| reoriented | weight of the grains that each twin family has turned | | (N, K) |
| G | grains, those born as twins included (`VolumeTransfer`) | | |
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.plasticity.laws.strength.hardening import State
from cpml.plasticity.polycrystal.response import MeanField


@dataclass(frozen=True)
class Path:
    """Rows of a path (module docstring); tensors carry gradients where a parameter asks for them."""

    families: tuple[str, ...]
    strain: Tensor  # (N,)
    time: Tensor  # (N,) s
    control: Tensor  # (N,) accumulated control strain
    stress: Tensor  # (N, 5) deviator, MPa
    von_mises: Tensor  # (N,)
    rate: Tensor  # (N, 5) 1/s
    cauchy: NDArray | None  # (N, 3, 3) where the pressure is known
    taylor_factor: Tensor  # (N,) mean shear per von Mises strain (work conjugate)
    activity: Tensor  # (N, K)
    strength: Tensor  # (N, K) mean over grains and systems, MPa; NaN for climb
    twin_fraction: NDArray  # (N, K)
    reoriented: NDArray  # (N, K)
    orientations: (
        Tensor  # (G, 3, 3) crystal_to_sample after the last row's strain; twins follow their parents
    )
    weights: Tensor  # (G,) of the last row
    grain_strength: Tensor  # (G, S) MPa
    shape: NDArray | None  # (3, 3) mean ellipsoid, None without update
    first: MeanField
    last: MeanField
    twin_count: NDArray  # (G,) reorientations of each grain
    grain_twins: NDArray  # (G,) twinned fraction since the last reorientation, without volumes given away
    state: State  # of the hardening law
    n_iter: NDArray  # (N,) Newton steps of all grains together
    converged: NDArray  # (N,) bool
    nucleated: NDArray | None = None  # (G, S) bool after the last row, where twins nucleate by chance
    cross_slip: Tensor | None = None  # (N,) exchange between planes over slip, where it was asked for

    def table(self) -> pd.DataFrame:
        """Rows as a table with units in the names."""
        columns: dict[str, Tensor | NDArray] = {
            "strain": self.strain,
            "stress_mpa": self.von_mises,
            "time_s": self.time,
            "taylor_factor": self.taylor_factor,
        }
        for k, name in enumerate(self.families):
            columns |= {f"activity_{name}": self.activity[:, k]}
            if bool(torch.isfinite(self.strength[:, k].detach()).all()):
                columns |= {f"strength_{name}_mpa": self.strength[:, k]}
            if np.any(self.twin_fraction[:, k] > 0):
                columns |= {
                    f"twin_fraction_{name}": self.twin_fraction[:, k],
                    f"reoriented_{name}": self.reoriented[:, k],
                }
        if self.cross_slip is not None:
            columns["cross_slip"] = self.cross_slip
        columns["converged"] = self.converged
        return pd.DataFrame(
            {key: np.asarray(v.detach() if isinstance(v, Tensor) else v) for key, v in columns.items()}
        )
