"""What fills the voxels of a grid: crystals of one law or several, and voxels of no grain.

Units of all answers: rate0 the size of the macroscopic strain rate, sigma0 the mean strength at that rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.crystallography.tensors import rotation_5x5
from cpml.errors import ParameterError
from cpml.plasticity.arguments import Values, as_matrices, as_tensor
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.field.voxels import AnyLawVoxels, IsotropicVoxels, PowerLawVoxels, Voxels
from cpml.plasticity.laws.law import Law, PowerLaw, check_law, stress_at_rate
from cpml.plasticity.polycrystal.mean_field import mean_field

NO_GRAIN = ("refuse", "empty", "average")


@dataclass(frozen=True)
class Phases:
    """All voxels of a grid (module docstring)."""

    grain_index: NDArray  # (*grid,)
    parts: tuple[Voxels, ...]
    modes: tuple[slice, ...]  # of each part in a row of shear rates
    rate0: float  # 1/s
    sigma0: float  # MPa

    @classmethod
    def of(
        cls,
        law: Law | Sequence[Law],
        grain_index: NDArray,
        orientations: Values,
        phase: NDArray | None,
        no_grain: str,
        conditions: Conditions,
        threads: int,
    ) -> "Phases":
        """Checked voxels (the arguments of `full_field`)."""
        matrices = as_matrices(orientations).detach().reshape(-1, 3, 3)
        laws = tuple(law) if isinstance(law, Sequence) else (law,)
        grain_index = check_grid(grain_index, len(matrices), no_grain)
        phase = check_phase(phase, len(matrices), laws)
        turn = rotation_5x5(matrices.numpy())
        rate0, sigma0 = _units(laws, conditions, turn)
        number = grain_index.ravel()
        parts: list[Voxels] = []
        modes, end = [], 0
        for k, one in enumerate(laws):
            where = np.flatnonzero((number >= 0) & (phase[number] == k))
            if isinstance(one, PowerLaw):
                parts.append(_power_law(one, where, grain_index, turn, rate0, sigma0, threads))
            else:
                parts.append(AnyLawVoxels(where, number[where], turn, one, rate0, sigma0))
            modes.append(slice(end, end := end + len(one.schmid)))
        where = np.flatnonzero(number < 0)
        if len(where):
            strength = 0.0
            if no_grain == "average":
                with torch.no_grad():
                    size = average_strength(laws, matrices, number, conditions, rate0)
                strength = float(size) / sigma0
            n = (
                max(float(as_tensor(one.n).item()) for one in laws if isinstance(one, PowerLaw))
                if strength
                else 1.0
            )
            parts.append(IsotropicVoxels(where, n, strength))
            modes.append(slice(end, end))
        return cls(grain_index, tuple(parts), tuple(modes), rate0, sigma0)

    def answer(
        self, rate: NDArray, before: NDArray, a: float, tol: float, stress: NDArray, tangent: NDArray
    ) -> bool:
        """Fill stress (N, 5), which holds the start, and tangent (N, 5, 5); False where a voxel was not
        solved."""
        if len(self.parts) == 1:
            return self.parts[0].answer(rate, before, a, tol, stress, tangent)
        is_solved = True
        for part in self.parts:
            at = part.where
            own, slope = stress[at], tangent[at]  # copies
            is_solved &= part.answer(rate[at], before[at], a, tol, own, slope)
            stress[at], tangent[at] = own, slope
        return is_solved

    def shear_rate(self, stress: NDArray) -> NDArray:
        """(N, S) of the modes of all phases, one phase after another; zero for those of other phases."""
        out = np.zeros((len(stress), self.modes[-1].stop))
        for part, modes in zip(self.parts, self.modes, strict=True):
            out[part.where, modes] = part.shear_rate(stress[part.where])
        return out


def check_grid(grain_index: NDArray, count: int, no_grain: str) -> NDArray:
    """The grid itself.

    Raises
    ------
    ParameterError : no map or volume of whole numbers, a grain without orientation, an
        unknown word for voxels of no grain
    """
    if no_grain not in NO_GRAIN:
        raise ParameterError(f"no_grain = {no_grain!r}: choose from {', '.join(NO_GRAIN)}")
    grain_index = np.asarray(grain_index)
    if (
        grain_index.ndim not in (2, 3)
        or not np.issubdtype(grain_index.dtype, np.integer)
        or grain_index.size == 0
    ):
        raise ParameterError(
            f"grain_index must be a (rows, columns) or (slices, rows, columns) array of whole numbers, not "
            f"{grain_index.dtype} of shape {grain_index.shape}"
        )
    least = 0 if no_grain == "refuse" else -1
    if grain_index.min() < least or grain_index.max() >= count:
        raise ParameterError(
            f"grain_index runs from {grain_index.min()} to {grain_index.max()}, but there are {count} "
            "orientations; voxels without a grain are -1 and need no_grain = 'empty' or 'average'"
        )
    if grain_index.max() < 0:
        raise ParameterError("grain_index has no grain: every voxel is -1")
    return grain_index


def check_phase(phase: NDArray | None, count: int, laws: tuple[Law, ...]) -> NDArray:
    """(G,) number of every grain's law.

    Raises
    ------
    ParameterError : no law, none for several laws, numbers that no law has
    """
    for law in laws:
        check_law(law)
    if phase is None:
        if len(laws) != 1:
            raise ParameterError(f"{len(laws)} laws need `phase`, the number of every grain's law")
        return np.zeros(count, int)
    phase = np.asarray(phase)
    is_number = np.issubdtype(phase.dtype, np.integer)
    if phase.shape != (count,) or not is_number or phase.min() < 0 or phase.max() >= len(laws):
        raise ParameterError(
            f"phase must hold a whole number from 0 to {len(laws) - 1} for each of the {count} orientations"
        )
    return phase


def _units(laws: tuple[Law, ...], conditions: Conditions, turn: NDArray) -> tuple[float, float]:
    """rate0 in 1/s and sigma0 in MPa."""
    law = laws[0]
    rate0 = conditions.rate_size
    if rate0 == 0:  # stresses alone: the rate that they would cause in grains left to themselves
        stress = np.linalg.pinv(conditions.stress_rows) @ conditions.stress_values
        tau = torch.as_tensor(np.matmul(stress, turn) @ law.schmid.detach().numpy().T)
        with torch.no_grad():
            rate0 = float(law.rates(tau)[0].abs().mean())
        if not rate0 > 0:
            raise ParameterError("the loading imposes neither a rate nor a stress: nothing would flow")
    if isinstance(law, PowerLaw):
        n, law_rate = as_tensor(law.n).item(), as_tensor(law.reference_rate).item()
        return rate0, float(law.strength.detach().log().mean().exp()) * (rate0 / law_rate) ** (1 / n)
    moves = stress_at_rate(law, rate0)
    moves = moves[moves < 0.9e5]
    if not len(moves):
        raise ParameterError("no mode of this law moves at the imposed rate below 100 GPa")
    return rate0, float(moves.median())


def _power_law(
    law: PowerLaw,
    where: NDArray,
    grain_index: NDArray,
    turn: NDArray,
    rate0: float,
    sigma0: float,
    threads: int,
) -> PowerLawVoxels:
    strength = law.system_strength.detach().numpy()
    number = grain_index.ravel()[where]
    shape, grid = strength.shape[:-1], grain_index.shape
    if shape == ():
        strength, row = strength[None], np.zeros(len(where), int)
    elif shape == (len(turn),):
        row = number
    elif shape == grid:
        strength, row = strength.reshape(-1, strength.shape[-1]), where
    else:
        raise ParameterError(
            f"strengths of shape {tuple(law.strength.shape)}: give them per family or system, of each "
            f"of the {len(turn)} grains, or of each voxel {grid}"
        )
    n, law_rate = as_tensor(law.n).item(), as_tensor(law.reference_rate).item()
    relative = np.ascontiguousarray(strength * (rate0 / law_rate) ** (1 / n) / sigma0)
    return PowerLawVoxels(where, number, turn, law, relative, row, threads)


def average_strength(
    laws: tuple[Law, ...], matrices: torch.Tensor, number: NDArray, conditions: Conditions, rate0: float
) -> torch.Tensor:
    """Size of the deviatoric stress at which the self-consistent polycrystal flows at rate0, MPa, with the
    graph of law and orientations.

    Raises
    ------
    ParameterError : several laws, no PowerLaw, strengths that differ between grains
    """
    law = laws[0]
    if len(laws) > 1 or not isinstance(law, PowerLaw) or law.strength.ndim > 1:
        raise ParameterError("no_grain = 'average' needs one PowerLaw with the same strengths everywhere")
    weights = np.bincount(number[number >= 0], minlength=len(matrices)).astype(float)
    medium = mean_field(law, matrices, weights=weights, loading=conditions, scheme="affine")
    return medium.stress.norm() * (rate0 / medium.rate.norm()) ** (1 / as_tensor(law.n))
