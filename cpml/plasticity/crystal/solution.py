"""The record of a solved single crystal."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """Single crystals, sample frame, 5-basis of cpml.crystallography.tensors; points
    that did not converge are flagged.
    """

    stress: Tensor  # (..., 5) deviator, MPa
    rate: Tensor  # (..., 5) strain rate, 1/s
    shear_rate: Tensor  # (..., S) of every mode, 1/s
    converged: Tensor  # (...) bool
    n_iter: int  # Newton iterations of the slowest point, continuation included; 0 under a stress
    residual: Tensor  # (...) of the imposed rates, relative to their size
    solves_for: str = "stress"  # or "rate", where a stress was given

    @property
    def value(self) -> Tensor:
        """What was solved for: the stress of a strain rate or of mixed
        conditions, the strain rate of a stress.
        """
        return self.stress if self.solves_for == "stress" else self.rate
