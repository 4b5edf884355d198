"""Solved volumes as the network learns from them: what each plane cut shows, and the truth in it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.materials import load_material
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.tensors import to_vector
from cpml.load import Load
from cpml.models.learned.surface import Base, Plane, Surface, base_of, joined
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.mean_field import mean_field
from cpml.plasticity.polycrystal.motion import grain_motion, schmid_vectors

UNKNOWN_SHARE = 0.25
"""Of the maps whose surface is not declared while the network learns."""
SMALL = 10.0
"""Pixels of a section that counts half: the mean over a few pixels is noise."""


@dataclass(frozen=True)
class Truth:
    """What the grains in the cuts of a volume do, units of `surface`."""

    stress: Tensor  # (G, 5)
    rate: Tensor  # (G, 5)
    spin: Tensor  # (G, 3)
    log_total: Tensor  # (G,)
    weight: Tensor  # (G,) 0 to 1, by the size of the section


@dataclass(frozen=True)
class Example:
    """Some cuts through one volume."""

    surface: Surface
    truth: Truth
    material: str


@dataclass(frozen=True)
class Volume:
    """The arrays of a solved volume with its mean field."""

    arrays: Mapping[str, NDArray]
    systems: Systems
    base: Base
    schmid: Tensor  # (G, S, 5) of the grains of the volume

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray], dtype: torch.dtype = torch.float32) -> "Volume":
        """Solve the affine mean field of all grains of the volume."""
        systems = load_material(str(arrays["material"])).systems()
        load = Load.from_dict({"kind": "tensor", "tensor": arrays["load"].tolist()})
        law = PowerLaw(
            systems,
            torch.tensor(arrays["strengths"]),
            n=float(arrays["exponent"]),
            reference_rate=load.rate,
        )
        quaternions, weights = arrays["quaternions"], arrays["voxels"] / arrays["voxels"].sum()
        with torch.no_grad():
            field = mean_field(
                law, quaternions, weights=weights, loading=load, scheme="affine", lateral="free"
            )
            schmid = torch.as_tensor(schmid_vectors(systems, quaternions))
            rate, spin = grain_motion(systems, quaternions, field)
            macro = to_vector(load.stress)
            base = base_of(
                field,
                (rate / load.rate, spin / load.rate),
                schmid,
                law.system_strength,
                torch.as_tensor(weights),
                torch.as_tensor(macro / np.linalg.norm(macro)),
                load.rate,
            )
        base = Base(**{name: value.to(dtype) for name, value in vars(base).items()})
        return cls(arrays, systems, base, schmid.to(dtype))

    @property
    def n_cuts(self) -> int:
        """Number of its cuts."""
        return len(self.arrays["sizes"])

    def example(self, cuts: NDArray, declared: NDArray) -> Example:
        """Chosen cuts (C,); ``declared`` (C,) whether the kind of their surface is known."""
        arrays = self.arrays
        ends = np.cumsum(np.vstack([[0, 0], arrays["sizes"]]), axis=0)
        macro = to_vector(arrays["load"])
        macro = macro / np.linalg.norm(macro)
        surfaces, rows = [], []
        for number, is_known in zip(cuts, declared, strict=True):
            g, e = (slice(ends[number, k], ends[number + 1, k]) for k in (0, 1))
            plane = Plane(
                area=arrays["area"][g].astype(float),
                neighbours=arrays["neighbours"][e],
                length=arrays["length"][e].astype(float),
                boundary=arrays["boundary"][e].astype(float),
                normal=arrays["normal"][number],
                is_free=bool(arrays["is_free"]) if is_known else None,
            )
            grain = torch.as_tensor(arrays["grain"][g].astype(int))
            surfaces.append(
                Surface.of(
                    self.base.of(grain),
                    self.schmid[grain],
                    self.systems,
                    float(arrays["exponent"]),
                    macro,
                    plane,
                )
            )
            rows.append(np.arange(g.start, g.stop))
        row = np.concatenate(rows)
        area = arrays["area"][row]

        def values(name: str) -> Tensor:
            return torch.as_tensor(arrays[name][row]).to(self.schmid)

        truth = Truth(
            stress=values("stress"),
            rate=values("rate"),
            spin=values("spin"),
            log_total=values("log_shear"),
            weight=torch.as_tensor(area / (area + SMALL)).to(self.schmid),
        )
        return Example(joined(surfaces), truth, str(arrays["material"]))
