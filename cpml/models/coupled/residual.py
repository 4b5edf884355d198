"""The learned residual: what the neighbourhood adds to the log activity of a system,
as far as the data ask for it.

    r_gs = u . tanh(W [x_gs, e_k(s)] + c),    then minus its mean over the grains and systems of each family

x_gs are contractions only (pull of the neighbours' active systems, size, spread, edge), e_k the one-hot
family. The zero mean per family is a gauge: a constant per family is a change of n log xi_k and belongs to
the strengths. Weights start at zero output, so the untrained residual is exactly zero.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.models.mechanics.features import grain_columns
from cpml.models.mechanics.neighbourhood import neighbour_transfer
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen

COLUMNS = ("log_diameter", "on_edge", "gos_deg", "kam_deg", "neighbour_angle_deg", "neighbour_size_ratio")


@dataclass(frozen=True)
class ResidualHead:
    """Shape, seed and input scaling of the head; its weights travel in the model's parameter vector."""

    columns: tuple[str, ...]
    mean: NDArray
    scale: NDArray
    n_families: int
    n_hidden: int
    seed: int

    @classmethod
    def like(cls, specimens: list[Specimen], *, seed: int, numerics: Numerics = STANDARD) -> "ResidualHead":
        """Head for these specimens: the columns that all of them have, scaled to unit variance."""
        columns = tuple(c for c in COLUMNS if all(c in grain_columns(s) for s in specimens))
        raw = np.concatenate([_raw(s, columns).reshape(-1, 1 + len(columns)) for s in specimens])
        known = np.isfinite(raw)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, raw, 0.0).sum(0) / count
        scale = np.sqrt((np.where(known, raw - mean, 0.0) ** 2).sum(0) / count)
        return cls(
            columns=columns,
            mean=mean,
            scale=np.where(scale > 1e-9, scale, 1.0),
            n_families=len(specimens[0].systems.family_names),
            n_hidden=numerics.hidden_units,
            seed=seed,
        )

    @property
    def _n_inputs(self) -> int:
        return len(self.mean) + self.n_families

    def initial(self) -> Tensor:
        """Starting weights: random first layer, zero second layer (zero output)."""
        rng = np.random.default_rng(self.seed)
        first = rng.normal(0.0, 0.3, self.n_hidden * self._n_inputs)
        return torch.tensor(np.concatenate([first, np.zeros(2 * self.n_hidden)]))

    def inputs(self, specimen: Specimen) -> Tensor:
        """(G, S, F) scaled inputs with the one-hot family appended; what a grain lacks is average."""
        scaled = np.nan_to_num((_raw(specimen, self.columns) - self.mean) / self.scale)
        family = np.eye(self.n_families)[specimen.systems.family]
        every = np.broadcast_to(family, (*scaled.shape[:2], self.n_families))
        return torch.tensor(np.concatenate([scaled, every], axis=-1))

    def __call__(self, weights: Tensor, inputs: Tensor, family: Tensor) -> Tensor:
        """Residual (G, S), zero mean per family."""
        n = self.n_hidden * self._n_inputs
        first, offset, last = weights[:n], weights[n : n + self.n_hidden], weights[n + self.n_hidden :]
        hidden = torch.tanh(inputs @ first.reshape(self._n_inputs, self.n_hidden) + offset)
        raw = hidden @ last
        member = torch.nn.functional.one_hot(family, self.n_families).to(raw)
        mean = (raw.mean(0) @ member) / member.sum(0)
        return raw - mean[family]

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        arrays = {"mean": self.mean.tolist(), "scale": self.scale.tolist()}
        return asdict(self) | {"columns": list(self.columns)} | arrays

    @classmethod
    def from_dict(cls, values: dict) -> "ResidualHead":
        """Inverse of :meth:`to_dict`."""
        arrays = {name: np.array(values[name]) for name in ("mean", "scale")}
        return cls(**values | {"columns": tuple(values["columns"])} | arrays)


def _raw(specimen: Specimen, columns: tuple[str, ...]) -> NDArray:
    pull = neighbour_transfer(specimen, specimen.cp["share_sachs"])
    grain = grain_columns(specimen)[list(columns)].to_numpy()
    every = np.broadcast_to(grain[:, None, :], (*pull.shape, len(columns)))
    return np.concatenate([pull[..., None], every], axis=-1)
