"""The grains of a map as the network sees them: slip systems as tokens, tensors, and boundaries between them.

Everything is relative: stresses to the mean stress c along the load, rates to the von Mises rate of the load,
lengths to the grains' own sizes. Nothing depends on the frame, on the order of grains and systems, on the
symmetry copy of a crystal or on a common factor of the strengths, except as tensors do.

    x_gs = P_gs : s_g / xi_s          base stress of a system over its strength (about 1 where it slips)
    w_gh = l_gh / max(sum_h l_gh, 1.1 sqrt(4 pi A_g))    share of a boundary in its grain's perimeter

What the known boundaries lack of the perimeter that a section of area A_g has is the rim: beyond it nobody
knows the neighbour (edge of the map, other phase, no solution).
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.tensors import to_vector
from cpml.models.learned.basis import DYAD, TRACTION
from cpml.plasticity.polycrystal.response import MeanField

PERIMETER = 1.1
"""Perimeter of a section of a grain over that of a circle of its area."""
TOKENS = 7
"""Numbers that describe a system."""
SCALARS = 6
"""Numbers that describe a grain."""
LEAST = 1e-3
"""Of shears and sizes relative to their means: below it grains are alike."""


@dataclass(frozen=True)
class Plane:
    """What a map shows beside the crystals: sizes and boundaries, in any unit of length."""

    area: NDArray  # (G,)
    neighbours: NDArray  # (E, 2)
    length: NDArray  # (E,)
    boundary: NDArray  # (E, 3) unit normal in the plane; zero where unknown
    normal: NDArray  # (3,) of the plane
    is_free: bool | None  # free surface, section of the bulk, or unknown


@dataclass(frozen=True)
class Base:
    """The mean field of the grains, in the units of the module docstring."""

    stress: Tensor  # (G, 5)
    rate: Tensor  # (G, 5)
    spin: Tensor  # (G, 3)
    log_total: Tensor  # (G,) of the total shear over its mean
    x: Tensor  # (G, S) base stress of every system over its strength
    log_strength: Tensor  # (S,) of every system over the mean stress along the load

    def of(self, grains: Tensor) -> "Base":
        """The same for chosen grains."""
        chosen = {f.name: getattr(self, f.name)[grains] for f in fields(self) if f.name != "log_strength"}
        return replace(self, **chosen)


def base_of(
    field: MeanField,
    motion: tuple[Tensor, Tensor],
    schmid: Tensor,
    strength: Tensor,
    weights: Tensor,
    macro: Tensor,
    rate: float,
) -> Base:
    """Relative values of a mean field.

    Parameters
    ----------
    motion : strain rate (G, 5) and spin (G, 3) of the grains per von Mises rate of the load
    schmid : (G, S, 5) of the crystals that were solved; strength : (S,) in the unit of the field's stress
    weights : (G,) sum 1; macro : (5,) direction of the load, length 1; rate : of the load, 1/s
    """
    scale = weights @ (field.grain_stress @ macro)
    tau = torch.einsum("gsi,gi->gs", schmid, field.grain_stress)
    total = field.shear_rate.abs().sum(1)
    share = total / (weights @ total)
    return Base(
        stress=field.grain_stress / scale,
        rate=motion[0],
        spin=motion[1],
        log_total=share.clamp(min=LEAST).log(),
        x=tau / strength,
        log_strength=(strength / scale).log(),
    )


@dataclass(frozen=True)
class Surface:
    """Input of the network; several maps of one material may stand one after another."""

    base: Base
    schmid: Tensor  # (G, S, 5) sample frame
    tokens: Tensor  # (G, S, TOKENS)
    polar: Tensor  # (S,) 1 for twins
    scalars: Tensor  # (G, SCALARS)
    macro: Tensor  # (G, 5) direction of the load
    plane: Tensor  # (G, 5) dyad of the normal of the map
    here: Tensor  # (2 E,) grain from which a boundary is seen
    there: Tensor  # (2 E,) the one behind it
    share: Tensor  # (2 E,) of the boundary in the perimeter of the grain it is seen from
    dyad: Tensor  # (2 E, 5) of the normal of the boundary
    traction: Tensor  # (2 E, 5, 5)

    @classmethod
    def of(
        cls, base: Base, schmid: Tensor, systems: Systems, exponent: float, macro: NDArray, plane: Plane
    ) -> "Surface":
        """Collect the tensors of one map."""
        polar = torch.as_tensor(systems.twin.astype(float)).to(schmid)
        size = torch.as_tensor(plane.area / plane.area.mean()).to(schmid)
        here = np.concatenate([plane.neighbours[:, 0], plane.neighbours[:, 1]]).astype(int)
        there = np.concatenate([plane.neighbours[:, 1], plane.neighbours[:, 0]]).astype(int)
        length = np.tile(plane.length, 2)
        known = np.bincount(here, length, minlength=len(plane.area))
        perimeter = np.maximum(known, PERIMETER * np.sqrt(4 * np.pi * plane.area))
        normal = torch.as_tensor(np.tile(plane.boundary, (2, 1))).to(schmid)
        known_side = (normal.abs().sum(1) > 0).to(schmid)
        surface = {True: 1.0, False: -1.0, None: 0.0}[plane.is_free]
        count = len(plane.area)
        direction = torch.as_tensor(macro).to(schmid)
        of_plane = torch.as_tensor(np.outer(plane.normal, plane.normal))
        traction = torch.einsum("ijab,ea,eb->eij", TRACTION.to(schmid), normal, normal)
        scalars = [
            size.clamp(min=LEAST).log(),
            torch.as_tensor(1 - known / perimeter).to(schmid),
            torch.full((count,), surface).to(schmid),
            torch.full((count,), 1.0 / exponent).to(schmid),
            base.log_total,
            (base.stress @ direction),
        ]
        return cls(
            base=base,
            schmid=schmid,
            tokens=tokens_of(base, polar, exponent),
            polar=polar,
            scalars=torch.stack(scalars, dim=1),
            macro=direction.expand(count, 5),
            plane=torch.as_tensor(to_vector(of_plane.numpy())).to(schmid).expand(count, 5),
            here=torch.as_tensor(here),
            there=torch.as_tensor(there),
            share=torch.as_tensor(length / perimeter[here]).to(schmid),
            dyad=torch.einsum("iab,ea,eb->ei", DYAD.to(schmid), normal, normal),
            traction=traction * known_side[:, None, None],
        )

    def __len__(self) -> int:
        return len(self.schmid)


def tokens_of(base: Base, polar: Tensor, exponent: float) -> Tensor:
    """(G, S, TOKENS) invariants of every system; even in the sense of slip."""
    x = torch.where(polar > 0, base.x, base.x.abs())
    loaded = x.clamp(min=0.0)
    activity = loaded.clamp(min=1e-6) ** exponent
    strength = base.log_strength - base.log_strength.min()
    every = strength.expand_as(x)
    return torch.stack(
        [
            x,
            loaded**4,
            activity.clamp(max=5.0),
            torch.exp(-every),
            every,
            polar.expand_as(x),
            torch.full_like(x, 1.0 / exponent),
        ],
        dim=-1,
    )


def joined(surfaces: list[Surface]) -> Surface:
    """Several maps of one material and load rate as one, without boundaries between them."""
    first, offset = surfaces[0], np.cumsum([0] + [len(s) for s in surfaces])
    base = Base(
        **{
            f.name: torch.cat([getattr(s.base, f.name) for s in surfaces])
            for f in fields(Base)
            if f.name != "log_strength"
        },
        log_strength=first.base.log_strength,
    )
    kept: dict[str, Tensor] = {}
    for f in fields(Surface):
        if f.name in ("here", "there"):
            kept[f.name] = torch.cat(
                [getattr(s, f.name) + int(o) for s, o in zip(surfaces, offset, strict=False)]
            )
        elif f.name not in ("base", "polar"):
            kept[f.name] = torch.cat([getattr(s, f.name) for s in surfaces])
    return Surface(base=base, polar=first.polar, **kept)
