"""What a volume is made of: everything about it is drawn from one seed, and one seed is one volume.

| drawn | how |
|---|---|
| material | lattice and families of a file of `cpml.crystallography`, or of those that are asked for |
| strengths | of every family, log-normal about the literature, one in six log-uniform over two decades |
| exponent | log-uniform, 4 to 30 |
| grains | mean diameter 5.5 to 8 voxels, log-normal spread 0 to 0.45, a third of the volumes elongated |
| annealing twins | in a third of the fcc volumes |
| texture | `textures.random_texture` |
| load | half of them uniaxial along an axis of the volume, others of any direction and kind |
| surface | a third of the volumes is a plate between two free surfaces, loaded in its plane |
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.materials import Material, load_material
from cpml.load import Load
from cpml.virtual.volumes.tessellation import random_grains, with_annealing_twins
from cpml.virtual.volumes.textures import random_texture

MATERIALS = {
    "nickel": 0.3,
    "if_steel": 0.1,
    "ferrite": 0.07,
    "magnesium": 0.2,
    "titanium_cp": 0.15,
    "titanium_ti64_alpha": 0.08,
    "zirconium": 0.1,
}
"""Files whose systems differ, and how often each is drawn."""
STRENGTH_SPREAD = 0.7
"""Of the log strengths about the literature: wider than the priors of most families."""
WIDE_SHARE, WIDE = 1 / 6, np.log(10.0)
EXPONENTS = (4.0, 30.0)
FREE_SHARE = 1 / 3
RATE = 1e-3
"""Von Mises strain rate of the load, 1/s; a power law answers every rate alike."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """A volume before it is loaded: grains, crystals, law and load."""

    seed: int
    material: Material
    strengths: NDArray  # (K,) of the families, geometric mean 1
    exponent: float
    grain_index: NDArray  # (slices, rows, columns)
    quaternions: NDArray  # (G, 4) crystal_to_sample
    load: Load
    is_free: bool  # a plate between free surfaces normal to z; else a section of the bulk

    @classmethod
    def of(
        cls, seed: int, *, edge: int = 24, materials: dict[str, float] | None = None, free: bool | None = None
    ) -> "Recipe":
        """The volume of a seed.

        Parameters
        ----------
        edge : voxels along each side
        materials : names of material files and how often each is drawn; None: `MATERIALS`
        free : whether it has a free surface; None: one in three
        """
        rng = np.random.default_rng(seed)
        materials = materials or MATERIALS
        chances = np.array(list(materials.values()))
        material = load_material(list(materials)[rng.choice(len(chances), p=chances / chances.sum())])
        is_free = rng.random() < FREE_SHARE if free is None else free
        load = _load(rng, is_free)
        stretch = np.exp(0.35 * rng.standard_normal(3)) if rng.random() < 1 / 3 else np.ones(3)
        index = random_grains(
            (edge, edge, edge),
            rng.uniform(5.5, 8.0),
            rng,
            spread=rng.uniform(0.0, 0.45),
            stretch=(float(stretch[0]), float(stretch[1]), float(stretch[2])),
        )
        crystals = random_texture(index.max() + 1, material.lattice == "hcp", rng)
        if material.lattice == "fcc" and rng.random() < 1 / 3:
            index, crystals = with_annealing_twins(
                index, crystals, rng, share=rng.uniform(0.2, 0.8), thickness=rng.uniform(2.0, 3.5)
            )
        return cls(
            seed=seed,
            material=material,
            strengths=_strengths(material, rng),
            exponent=float(np.exp(rng.uniform(*np.log(EXPONENTS)))),
            grain_index=index,
            quaternions=crystals,
            load=load,
            is_free=is_free,
        )


def _strengths(material: Material, rng: np.random.Generator) -> NDArray:
    log = np.log(material.strengths)
    if rng.random() < WIDE_SHARE:
        log = rng.uniform(-WIDE, WIDE, len(log))
    else:
        log = log + STRENGTH_SPREAD * rng.standard_normal(len(log))
    return np.exp(log - log.mean())


def _load(rng: np.random.Generator, is_free: bool) -> Load:
    axis = np.eye(3)[rng.integers(2 if is_free else 3)]
    if rng.random() < 0.5:
        stress = np.outer(axis, axis)
    elif is_free:
        part = rng.standard_normal((2, 2))
        stress = np.zeros((3, 3))
        stress[:2, :2] = part + part.T
    elif rng.random() < 0.5:
        axis = rng.standard_normal(3)
        stress = np.outer(axis, axis)
    else:
        part = rng.standard_normal((3, 3))
        stress = part + part.T
    sign = rng.choice([-1.0, 1.0])
    return Load.from_dict({"kind": "tensor", "tensor": (sign * stress).tolist(), "rate": RATE})
