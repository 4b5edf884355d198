"""The record of a full field over strain: the mean, every grain, and the last state of every voxel.

| symbol | meaning | unit | shape |
|---|---|---|---|
| F | mean deformation gradient of the grid or of a grain | - | (T, 3, 3), (T, G, 3, 3) |
| R | mean lattice of a grain, crystal_to_sample (nearest to the mean of its voxels) | - | (T, G, 3, 3) |
| sigma | mean Cauchy stress | MPa | (T, 3, 3), (T, G, 3, 3) |
| gamma | accumulated shear | - | (T, G, S) |

Row 0 is the beginning. Grains without a voxel are NaN.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cpml.crystallography.rotations import matrix_to_quaternion
from cpml.crystallography.tensors import to_vector, von_mises_stress
from cpml.plasticity.field.full_field import grain_mean
from cpml.plasticity.field_path.state import FieldState, Observation


@dataclass(frozen=True)
class Row:
    """The record of one state (shapes as in FieldPath, without T)."""

    stage: int
    time: float
    strain: float
    gradient: NDArray
    stress: NDArray
    grain_stress: NDArray
    grain_gradient: NDArray
    grain_matrix: NDArray
    grain_shear: NDArray
    grain_strength: NDArray
    grain_twinned: NDArray
    stress_scatter: NDArray
    orientation_spread: NDArray
    n_iter: int
    residual: float

    @classmethod
    def of(cls, grain_index: NDArray, state: FieldState, seen: Observation, stage: int) -> "Row":
        """Means over the grid and over the grains."""
        number, shape = grain_index.ravel(), grain_index.shape

        def mean(values: NDArray) -> NDArray:
            return grain_mean(grain_index, values.reshape(*shape, *values.shape[1:]))

        volume = np.linalg.det(seen.gradient)
        is_solid = number >= 0
        size = von_mises_stress(to_vector(seen.cauchy))
        first, second = mean(size), mean(size**2)
        matrices = _nearest_rotation(mean(seen.matrices))
        apart = np.einsum("vij,vij->v", seen.matrices[is_solid], matrices[number[is_solid]])
        angle = np.zeros(len(number))
        angle[is_solid] = np.degrees(np.arccos(np.clip((apart - 1) / 2, -1, 1)))
        total = np.einsum("v,vij->ij", volume, seen.cauchy)
        return cls(
            stage=stage,
            time=state.time,
            strain=state.strain,
            gradient=state.cell,
            stress=total / np.linalg.det(state.cell) / len(number),
            grain_stress=mean(seen.cauchy),
            grain_gradient=mean(seen.gradient),
            grain_matrix=matrices,
            grain_shear=mean(seen.shear),
            grain_strength=mean(seen.strength),
            grain_twinned=mean(seen.twinned),
            stress_scatter=np.sqrt(np.maximum(second - first**2, 0.0)),
            orientation_spread=mean(angle),
            n_iter=state.n_iter,
            residual=state.residual,
        )


@dataclass(frozen=True, eq=False)
class FieldPath:
    """Record of :func:`full_field_path` (module docstring)."""

    grain_index: NDArray  # (*grid,)
    step: tuple[float, ...]  # edges of a voxel along x, y, z, um
    modes: tuple[str, ...]  # (S,) family of every mode, of all phases one after another
    stage: NDArray  # (T,)
    time: NDArray  # (T,) s
    strain: NDArray  # (T,) von Mises strain of the mean
    gradient: NDArray  # (T, 3, 3)
    stress: NDArray  # (T, 3, 3) MPa; force on the whole grid over its present area
    grain_stress: NDArray  # (T, G, 3, 3) MPa
    grain_gradient: NDArray  # (T, G, 3, 3)
    grain_matrix: NDArray  # (T, G, 3, 3) crystal_to_sample
    grain_shear: NDArray  # (T, G, S)
    grain_strength: NDArray  # (T, G, S) MPa
    grain_twinned: NDArray  # (T, G) twinned fraction
    stress_scatter: NDArray  # (T, G) standard deviation of the von Mises stress inside the grain, MPa
    orientation_spread: NDArray  # (T, G) mean angle of the voxels from their grain's mean lattice, deg
    n_iter: NDArray  # (T,) answers of the voxels, of the last increment before each row
    residual: NDArray  # (T,) what each increment was solved to
    last: Observation
    state: FieldState | None  # None in a path that was read from a file

    @classmethod
    def of(
        cls,
        rows: list[Row],
        grain_index: NDArray,
        step: tuple[float, ...],
        modes: tuple[str, ...],
        last: Observation,
        state: FieldState,
    ) -> "FieldPath":
        """The record of all rows."""
        columns = {key: np.array([getattr(row, key) for row in rows]) for key in Row.__dataclass_fields__}
        return cls(grain_index=grain_index, step=step, modes=modes, last=last, state=state, **columns)

    @property
    def von_mises(self) -> NDArray:
        """(T,) von Mises stress of the mean, MPa."""
        return von_mises_stress(to_vector(self.stress))

    @property
    def grain_rotation(self) -> NDArray:
        """(T, G, 3) rotation of every grain's lattice so far: axis times angle, deg, sample frame."""
        moved = self.grain_matrix @ self.grain_matrix[:1].swapaxes(-1, -2)
        return _rotation_vector(moved)

    @property
    def grain_strain(self) -> NDArray:
        """(T, G, 3, 3) logarithmic strain of every grain's mean deformation gradient, sample frame."""
        return _log_strain(self.grain_gradient)

    def table(self) -> pd.DataFrame:
        """One row for each state: strain, stresses in MPa, shears by family, work of the solver."""
        names = {"11": (0, 0), "22": (1, 1), "33": (2, 2), "23": (1, 2), "13": (0, 2), "12": (0, 1)}
        columns = {
            "stage": self.stage,
            "time_s": self.time,
            "strain": self.strain,
            "von_mises_mpa": self.von_mises,
        }
        columns |= {f"sigma_{name}_mpa": self.stress[:, i, j] for name, (i, j) in names.items()}
        number = self.grain_index[self.grain_index >= 0]
        weights = np.bincount(number, minlength=self.grain_shear.shape[1]) / len(number)
        shear = np.einsum("g,tgs->ts", weights, np.nan_to_num(self.grain_shear))
        for family in dict.fromkeys(self.modes):
            columns[f"shear_{family}"] = shear[:, [name == family for name in self.modes]].sum(1)
        columns["twinned"] = np.nan_to_num(self.grain_twinned) @ weights
        return pd.DataFrame(columns | {"answers": self.n_iter, "residual": self.residual})

    def grain_table(self, row: int = -1) -> pd.DataFrame:
        """One row for each grain at a state: stress, strain, rotation, spread, shears by family."""
        frame = pd.DataFrame({"grain_index": np.arange(self.grain_stress.shape[1])})
        frame["von_mises_mpa"] = von_mises_stress(to_vector(self.grain_stress[row]))
        frame["scatter_mpa"] = self.stress_scatter[row]
        for name, (i, j) in {"11": (0, 0), "22": (1, 1), "33": (2, 2), "12": (0, 1)}.items():
            frame[f"strain_{name}"] = self.grain_strain[row, :, i, j]
        frame["rotation_deg"] = np.linalg.norm(self.grain_rotation[row], axis=-1)
        frame["spread_deg"] = self.orientation_spread[row]
        for family in dict.fromkeys(self.modes):
            own = [name == family for name in self.modes]
            frame[f"shear_{family}"] = self.grain_shear[row][:, own].sum(1)
        return frame.assign(twinned=self.grain_twinned[row])

    @property
    def orientations(self) -> NDArray:
        """(G, 4) crystal_to_sample quaternions of the mean lattices at the end."""
        return matrix_to_quaternion(self.grain_matrix[-1])


def _nearest_rotation(mean: NDArray) -> NDArray:
    safe = np.where(np.isfinite(mean), mean, np.eye(3))
    u, _, v = np.linalg.svd(safe)
    flip = np.ones((len(mean), 3))
    flip[:, 2] = np.linalg.det(u @ v)
    return np.where(np.isfinite(mean), (u * flip[:, None, :]) @ v, np.nan)


def _rotation_vector(matrix: NDArray) -> NDArray:
    """Axis times angle, deg; half turns (reoriented twins) included."""
    safe = np.where(np.isfinite(matrix), matrix, np.eye(3)).reshape(-1, 3, 3)
    vector = Rotation.from_matrix(safe).as_rotvec(degrees=True).reshape(matrix.shape[:-1])
    return np.where(np.isfinite(matrix[..., 0]), vector, np.nan)


def _log_strain(gradient: NDArray) -> NDArray:
    safe = np.where(np.isfinite(gradient), gradient, np.eye(3))
    value, vector = np.linalg.eigh(safe @ safe.swapaxes(-1, -2))
    strain = np.einsum("...ik,...k,...jk->...ij", vector, 0.5 * np.log(value), vector)
    return np.where(np.isfinite(gradient), strain, np.nan)
