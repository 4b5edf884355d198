"""Densities of geometrically necessary dislocations (GND) from lattice curvature.

    alpha = sum_s rho_s b_s (x) l_s

Six combinations of alpha are known (cpml.microscopy.curvature.lattice_curvature).

    L1: minimise sum u_s |rho_s|  subject to them, exact (cpml.microscopy.curvature.l1)
    L2: minimise sum u_s rho_s^2:  rho = U^-1 A^T (A U^-1 A^T)^-1 y

| lattice | edges, l = n x b | screws, l = b |
|---|---|---|
| fcc | 12 {111}<110> | 6 |
| bcc | 48 {110}, {112}, {123} <111> | 4 |
| hcp | basal a 3, prism a 3, pyramidal c+a 6 ({11-22}) or 12 ({10-11}) | a 3, c+a 6 |

The signs of the edge lines are a convention; rho and -rho with both reversed are one dislocation. Weights
u: "density" 1 (the total is a density), "energy" |b|^2/b_min^2 x {1 screw, 1/(1 - nu) edge} (the total is
then an energy, and the density that is reported still is sum |rho|). An orientation error of rms angle d
alone gives about

    rho_n = sqrt2 d / (b dx)  per component, at forward differences; half of it at central ones.

What it gives in the total density depends on the crystal, the weights and the method: `noise_floor` is the
median that the same solution gives in the same pixels for errors of that size alone.

References: Pantleon 2008, Scripta Mater. 58:994; Hull & Bacon, Introduction to Dislocations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import systems
from cpml.errors import ParameterError
from cpml.microscopy.curvature.l1 import columns_of, solve_l1, solve_l2
from cpml.microscopy.curvature.lattice_curvature import (
    curvature,
    noise_curvature,
    noise_of,
    nye_components,
    phases_chosen,
)
from cpml.microscopy.grains.grains import Grains
from cpml.microscopy.maps.ebsd_map import MapPhase
from cpml.progress import progress

EDGE_FAMILIES = {
    "fcc": ("octahedral",),
    "bcc": ("110", "112", "123"),
    "hcp": ("basal", "prismatic", "pyramidal2_ca"),
}
POISSON = 0.3
"""Ratio nu of the energies of edges and screws, close to that of nickel, magnesium and titanium."""
CHUNK = 32768
FLOOR_SAMPLE = 4000
"""Pixels of a phase whose noise is solved for the floor: its median is then known to 1 %."""


@dataclass(frozen=True)
class DislocationTypes:
    """Dislocations that may carry the curvature of one phase, crystal frame."""

    names: tuple[str, ...]
    family: tuple[str, ...]  # (S,) such as "edge basal", "screw a"
    is_screw: NDArray  # (S,) bool
    burgers_nm: NDArray  # (S, 3)
    line: NDArray  # (S, 3) unit

    def weights(self, kind: str) -> NDArray:
        """(S,) costs u of the module docstring."""
        if kind == "density":
            return np.ones(len(self.names))
        if kind == "energy":
            square = np.sum(self.burgers_nm**2, axis=1)
            return square / square.min() * np.where(self.is_screw, 1.0, 1.0 / (1.0 - POISSON))
        raise ParameterError(f"weight {kind!r}: choose 'density' or 'energy'")


def dislocation_types(
    lattice: str, a_nm: float, c_nm: float | None = None, *, families: Sequence[str] | None = None
) -> DislocationTypes:
    """Edges of the slip families and the screws of their Burgers vectors.

    Parameters
    ----------
    lattice : "fcc", "bcc" or "hcp"
    a_nm, c_nm : lattice constants; c for hcp only
    families : slip families of cpml.crystallography.slip_systems; None: EDGE_FAMILIES of the lattice

    Raises
    ------
    ParameterError : a lattice constant is missing, or the set cannot carry every curvature (rank below 6)
    """
    if lattice not in EDGE_FAMILIES:
        raise ParameterError(f"lattice {lattice!r}: dislocations are known for {', '.join(EDGE_FAMILIES)}")
    if not a_nm > 0 or (lattice == "hcp" and not (c_nm or 0) > 0):
        raise ParameterError(
            f"lattice constants a = {a_nm} nm, c = {c_nm} nm: give them with the map's phase"
        )
    chosen = systems(
        lattice, families=families or EDGE_FAMILIES[lattice], c_over_a=c_nm / a_nm if c_nm else None
    )
    chosen = chosen.subset(chosen.slip)
    b = chosen.direction * chosen.burgers_length[:, None] * a_nm
    key = np.round(chosen.direction * np.sign(chosen.direction @ [1.0, 0.1, 0.01])[:, None], 6)
    screw = np.sort(np.unique(key, axis=0, return_index=True)[1])
    edge_names = tuple(f"edge {name}" for name in chosen.names)
    edge_family = tuple(f"edge {chosen.family_names[f]}" for f in chosen.family)
    lean = lattice == "hcp"
    kinds = tuple(("screw c+a" if abs(b[s, 2]) > 1e-6 else "screw a") if lean else "screw" for s in screw)
    screw_names = tuple(f"screw [{chosen.names[s].split('[')[1]}" for s in screw)
    types = DislocationTypes(
        edge_names + screw_names,
        edge_family + kinds,
        np.r_[np.zeros(len(b), bool), np.ones(len(screw), bool)],
        np.concatenate([b, b[screw]]),
        np.concatenate([np.cross(chosen.plane, chosen.direction), chosen.direction[screw]]),
    )
    dyads = types.burgers_nm[:, :, None] * types.line[:, None, :]
    if np.linalg.matrix_rank(dyads.reshape(len(dyads), 9)) < 9:
        raise ParameterError(
            f"families {families} of {lattice} cannot carry every curvature: add one "
            "with another Burgers vector"
        )
    return types


@dataclass(frozen=True)
class Gnd:
    """GND densities of a map; NaN where the curvature is not known.

    | field | meaning | unit, shape |
    |---|---|---|
    | density | sum of \\|rho_s\\| | m^-2, (N,) |
    | families | the same by family, "edge basal", "screw a", ... | m^-2, (N,) each |
    | objective | sum u_s \\|rho_s\\| (L1) or sum u_s rho_s^2 (L2) | m^-2 or m^-4, (N,) |
    | noise_deg | rms angle of the orientation error | deg |
    | noise_floor | median of `density` that this error alone gives in these pixels | m^-2 |
    | floor_of_phase | the same for each phase id | m^-2 |
    | noise_component | rho_n of this error for the shortest b: one component | m^-2 |
    | by_system | phase id -> rho (N_phase, S) signed, where asked for | m^-2 |
    """

    density: NDArray
    families: dict[str, NDArray]
    objective: NDArray
    method: str
    weight: str
    scheme: str
    noise_deg: float
    noise_floor: float
    floor_of_phase: dict[int, float]
    noise_component: float
    types: dict[int, DislocationTypes]
    by_system: dict[int, NDArray]

    @property
    def column(self) -> str:
        """Name of the density as a column."""
        return f"gnd_{self.method}_{self.weight}_{self.scheme}_per_m2"


def lattice_of(phase: MapPhase) -> str | None:
    """Lattice of a phase whose dislocations are known, None for others."""
    lattice = phase.lattice or ("hcp" if phase.group == "622" else None)
    return lattice if lattice in EDGE_FAMILIES else None


def types_of_phase(phase: MapPhase, families: Sequence[str] | None = None) -> DislocationTypes:
    """Dislocations of a phase of a map, Burgers lengths from its lattice constants (Angstrom there)."""
    lattice = lattice_of(phase)
    if lattice is None:
        raise ParameterError(f"phase {phase.name!r} has no lattice: declare fcc, bcc or hcp for it")
    return dislocation_types(
        lattice, phase.a / 10, phase.c / 10 if lattice == "hcp" else None, families=families
    )


def gnd(
    grains: Grains,
    *,
    phase: str | int | Sequence | None = None,
    method: str = "l1",
    weight: str = "density",
    scheme: str | None = None,
    families: Mapping[int, Sequence[str]] | None = None,
    noise_deg: float | None = None,
    keep_systems: bool = False,
) -> Gnd:
    """GND densities of every pixel whose curvature is known.

    Parameters
    ----------
    phase : id or name (or several) to look at; None: all whose lattice is known. Each phase has its own
        dislocations
    method : "l1" (exact) or "l2"
    weight : "density" or "energy" (module docstring)
    scheme : differences of the curvature; None: "forward", "central" on hexagonal grids
    families : phase id -> slip families, where the usual ones are not wanted
    noise_deg : rms angle of the orientation error; None: estimated by second differences
    keep_systems : also return the signed density of every dislocation type (N_phase, S)

    Raises
    ------
    ParameterError : an unknown method, weight or phase, no phase with a known lattice, or lattice constants
        that the map lacks
    """
    if method not in ("l1", "l2"):
        raise ParameterError(f"method {method!r}: choose 'l1' or 'l2'")
    scheme = scheme or ("central" if grains.map.grid == "hex" else "forward")
    ids = phases_chosen(grains, phase)
    if phase is None and any(lattice_of(grains.map.phases[i]) for i in ids):
        ids = [i for i in ids if lattice_of(grains.map.phases[i])]
    types = {i: types_of_phase(grains.map.phases[i], (families or {}).get(i)) for i in ids}
    costs = {i: t.weights(weight) for i, t in types.items()}
    y = nye_components(curvature(grains, scheme=scheme).kappa)
    n = grains.map.n_pixels
    density, objective, kept, by_family = np.full(n, np.nan), np.full(n, np.nan), {}, {}
    for i, found in types.items():
        pixel = np.flatnonzero((grains.map.phase_id == i) & np.isfinite(y).all(axis=1))
        if keep_systems:
            kept[i] = np.full((int(np.sum(grains.map.phase_id == i)), len(found.names)), np.nan)
            place = np.cumsum(grains.map.phase_id == i) - 1
        kinds = np.array(found.family)
        for kind in dict.fromkeys(found.family):
            by_family.setdefault(kind, np.full(n, np.nan))
        for start in progress(range(0, len(pixel), CHUNK), f"GND {method}", unit="part"):
            part = pixel[start : start + CHUNK]
            rho = densities(grains.map.quaternions[part], y[part], found, costs[i], method)
            size = np.abs(rho)
            density[part] = size.sum(axis=1)
            objective[part] = (size if method == "l1" else size**2) @ costs[i]
            for kind in dict.fromkeys(found.family):
                by_family[kind][part] = size[:, kinds == kind].sum(axis=1)
            if keep_systems:
                kept[i][place[part]] = rho
    noise = noise_of(grains, noise_deg)
    floor, of_phase = _noise_floors(grains, density, types, costs, method, scheme, noise)
    shortest = min((np.linalg.norm(t.burgers_nm, axis=1).min() for t in types.values()), default=np.nan)
    component = density_floor(noise, shortest, grains.map.step_um, scheme)
    return Gnd(
        density, by_family, objective, method, weight, scheme, noise, floor, of_phase, component, types, kept
    )


def _noise_floors(
    grains: Grains, density: NDArray, types: dict, costs: dict, method: str, scheme: str, noise: float
) -> tuple[float, dict[int, float]]:
    """Median density of noise alone, in all pixels with a density and in those of each phase.

    Pixels are taken evenly from the map, FLOOR_SAMPLE of each phase at most.
    """
    if not noise >= 0:
        return float("nan"), dict.fromkeys(types, float("nan"))
    found, weights = {}, []
    for i, of_phase in types.items():
        pixel = np.flatnonzero((grains.map.phase_id == i) & np.isfinite(density))
        place = np.unique(np.linspace(0, max(len(pixel) - 1, 0), FLOOR_SAMPLE).astype(int))[: len(pixel)]
        part = pixel[place]
        y = nye_components(noise_curvature(grains, noise, scheme=scheme, pixels=part)[part])
        rho = densities(grains.map.quaternions[part], y, of_phase, costs[i], method)
        found[i] = np.abs(rho).sum(axis=1)
        weights.append(np.full(len(part), len(pixel) / max(len(part), 1)))
    floors = {i: float(np.median(v)) if len(v) else float("nan") for i, v in found.items()}
    every = np.concatenate([*found.values(), np.zeros(0)])
    if not len(every):
        return float("nan"), floors
    order = np.argsort(every)
    share = np.cumsum(np.concatenate(weights)[order])
    return float(every[order][np.searchsorted(share, share[-1] / 2)]), floors


def density_floor(noise_deg: float, burgers_nm: float, step_um: float, scheme: str = "forward") -> float:
    """rho_n = sqrt2 d/(b dx), m^-2; half of it for central differences, which span two steps."""
    span = 1.0 if scheme == "forward" else 2.0
    return float(np.sqrt(2) * np.radians(noise_deg) / (burgers_nm * 1e-9 * span * step_um * 1e-6))


def densities(
    quaternions: NDArray, y: NDArray, types: DislocationTypes, cost: NDArray, method: str = "l1"
) -> NDArray:
    """Signed densities (n, S), m^-2, of crystals (n, 4) with known Nye components y (n, 6) in 1/um."""
    rotations = np.ascontiguousarray(quaternion_to_matrix(quaternions))
    scale = np.linalg.norm(types.burgers_nm, axis=1).min()
    burgers = np.ascontiguousarray(types.burgers_nm / scale)
    right = np.ascontiguousarray(y, float) * (1e6 / (scale * 1e-9))
    out, pivots = np.empty((len(right), len(cost))), np.zeros(len(right), np.int64)
    if method == "l1":
        solve_l1(rotations, right, burgers, types.line, cost, out, pivots)
        for i in np.flatnonzero(pivots < 0):  # not met in 8 million random pixels
            out[i] = _by_highs(columns_of(rotations[i], burgers, types.line), right[i], cost)
    else:
        solve_l2(rotations, right, burgers, types.line, cost, out)
    return out


def _by_highs(a: NDArray, y: NDArray, cost: NDArray) -> NDArray:
    """rho (S,) of one pixel by a general LP solver, for a pixel that the simplex gave up."""
    size = np.abs(y).max()
    found = linprog(np.r_[cost, cost], A_eq=np.c_[a, -a], b_eq=y / size, method="highs")
    return size * (found.x[: len(cost)] - found.x[len(cost) :])
