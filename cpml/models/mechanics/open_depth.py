"""What a map leaves open: its grains under many depths, beside what every scheme says of them.

    open_g = tr C_g,      share = <open_g> / <open_g + |s_g - Sigma|^2>      over the grains, by their area

| symbol | meaning | unit | shape |
|---|---|---|---|
| s_g, C_g | mean stress of a grain over the depths, its covariance | stress along the load | (5,), (5, 5) |
| Sigma | mean of the stresses over the grains | the same | (5,) |

share is the part of the variance from grain to grain that the map does not fix.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from cpml.crystallography.tensors import to_matrix, to_vector
from cpml.errors import CpmlError
from cpml.intervals import NINETY_PERCENT
from cpml.models.mechanics.crystals import load_direction
from cpml.models.mechanics.depth import Depths, solve_depths, volumes_under
from cpml.models.mechanics.field_comparison import COMPONENTS
from cpml.models.mechanics.grain_stress import GrainState, grain_state, state_of_depths
from cpml.models.mechanics.response import family_strengths
from cpml.models.numerics import STANDARD
from cpml.models.specimen.specimen import Specimen
from cpml.virtual.volumes.under_map import UnderMap

CELLS_PER_DIAMETER = 3.0
"""Of the volumes: coarser than where footprints are learned from, and twenty times as fast; means over grains
are what is asked for.
"""
SHOWN = ("affine", "full_field", "depth", "learned")
COMPONENT_COLUMNS = ("xx", "yy", "zz", "yz", "xz", "xy")
IDLE = 10.0
"""Strength, over the largest, of a family that does not act."""
N_BOOT = 500
TAILS = (0.05, 0.95)  # 90 % intervals
PLACES = {"rim": True, "inside": False}


@dataclass(frozen=True)
class OpenDepth:
    """A specimen under K depths, and its grains by the schemes `SHOWN`, at equal strengths."""

    specimen: Specimen
    raster: NDArray  # (rows, columns) row of the grain in every cell of the plane of the volumes
    depths: Depths
    states: dict[str, GrainState]
    volumes: list[UnderMap]

    @property
    def on_edge(self) -> NDArray:
        """(G,) whether a grain ends where the map does."""
        return self.specimen.grains["on_edge"].to_numpy(bool)

    def at(self, strengths: Mapping[str, float]) -> "OpenDepth":
        """The same volumes at other strengths of the families, in any common unit; a family without one does
        not act.
        """
        known = {name: float(value) for name, value in strengths.items() if np.isfinite(value)}
        families = self.specimen.systems.family_names
        values = [known.get(name, IDLE * max(known.values())) for name in families]
        return _solved(self.specimen, self.raster, self.volumes, np.log(values))

    def sections(self, count: int = 3) -> tuple[int, list[tuple[NDArray, NDArray]]]:
        """Row through the middle of the map, and vertical sections along it, one for each of some volumes:
        grain of every cell (slices, columns) and the row of the specimen whose crystal it has.
        """
        row = len(self.raster) // 2
        found = []
        for volume in self.volumes[:count]:
            _, _, across = volume.window
            grain = volume.grain_index[:, volume.rim + row, across]
            found.append((grain, volume.crystal[grain]))
        return row, found

    def grain_table(self) -> pd.DataFrame:
        """One row a grain that the plane shows: grain_id, place ("rim", "inside"), area (share of the map),
        open_depth and open_learned (standard deviation of the stress that depths leave open, and that the
        network says: root of the trace, over the mean stress), deviation (of the mean over the depths from
        the mean of all).
        """
        variance = {name: np.trace(self.states[name].covariance, axis1=1, axis2=2) for name in SHOWN[2:]}
        stress, weights = self.states["depth"].stress, self.specimen.weights
        table = pd.DataFrame(
            {
                "grain_id": self.specimen.grain_ids,
                "place": np.where(self.on_edge, "rim", "inside"),
                "area": weights,
                "open_depth": np.sqrt(variance["depth"]),
                "open_learned": np.sqrt(variance["learned"]),
                "deviation": np.linalg.norm(stress - weights @ stress, axis=1),
            }
        )
        return table[self.depths.has_cells].reset_index(drop=True)

    def open_shares(self) -> pd.DataFrame:
        """Rows "all", "rim", "inside": grains, and the share of their variance that the depths leave open
        (module docstring); of a place without a grain it is NaN.
        """
        table = self.grain_table()
        parts = {"all": table} | {place: table[table["place"] == place] for place in PLACES}
        rows = {name: {"grains": len(part), "open_share": _open_share(part)} for name, part in parts.items()}
        return pd.DataFrame(rows).T.astype({"grains": int}).rename_axis("place")

    def spread_correlation(self) -> float:
        """Rank correlation of the two standard deviations of `grain_table`; NaN for fewer than 3 grains."""
        table = self.grain_table()
        if len(table) < 3:
            return np.nan
        return float(np.corrcoef(rankdata(table["open_depth"]), rankdata(table["open_learned"]))[0, 1])

    def chosen(self, count: int = 4) -> list[int]:
        """Grains of different size and place: the largest and the median one inside, and at the rim."""
        table = self.grain_table().sort_values("area", ascending=False)
        found: list[int] = []
        for quantile in (0.0, 0.5):
            for is_edge in (False, True):
                own = table[(table["place"] == "rim") == is_edge]
                if len(own):
                    found.append(int(own["grain_id"].iloc[int(quantile * (len(own) - 1))]))
        return list(dict.fromkeys(found))[:count]

    def stresses_along_load(self, grain_ids: list[int]) -> pd.DataFrame:
        """Stress along the load of some grains: grain_id, place, area, source (a scheme of `SHOWN`, or "one
        depth" for each of them), value, low, high (90 % interval; NaN where a source knows none).
        """
        macro, rows = load_direction(self.specimen), []
        for grain_id in grain_ids:
            row = int(self.specimen.position([grain_id])[0])
            place = "rim" if self.on_edge[row] else "inside"
            known = {"grain_id": grain_id, "place": place, "area": self.specimen.weights[row]}
            values = self.depths.stress[:, row] @ macro
            rows += [
                known | {"source": "one depth", "value": v, "low": np.nan, "high": np.nan} for v in values
            ]
            for name in SHOWN:
                state = self.states[name]
                value, variance = state.stress[row] @ macro, macro @ state.covariance[row] @ macro
                half = NINETY_PERCENT * np.sqrt(variance) if variance > 0 else np.nan
                rows.append(
                    known | {"source": name, "value": value, "low": value - half, "high": value + half}
                )
        return pd.DataFrame(rows)

    def explained(self, true: pd.DataFrame | None, *, seed: int = 0) -> pd.DataFrame:
        """Share of the variance of true grain stresses that every scheme explains, with its 90 % interval.

        Parameters
        ----------
        true : index grain_id; columns xx, yy, zz, yz, xz, xy of the deviator in any unit; None: unknown
        seed : of the resamples of grains

        Returns
        -------
        scheme, n_grains, explained, low, high; no rows for fewer than 3 grains
        """
        if true is None or len(true) < 3:
            return pd.DataFrame(columns=["scheme", "n_grains", "explained", "low", "high"])
        rows = self.specimen.position(true.index)
        area, wanted = self.specimen.weights[rows], to_vector(_matrix(true))
        wanted = wanted / np.average(wanted @ load_direction(self.specimen), weights=area)
        drawn = np.random.default_rng(seed).integers(len(rows), size=(N_BOOT, len(rows)))
        found = []
        for name in SHOWN:
            given = self.states[name].stress[rows]
            boot = [_explained(given[d], wanted[d], area[d]) for d in drawn]
            low, high = np.quantile(boot, TAILS)
            found.append(
                {"scheme": name, "n_grains": len(rows), "explained": _explained(given, wanted, area)}
                | {"low": float(low), "high": float(high)}
            )
        return pd.DataFrame(found)

    def expected_strains(self) -> pd.DataFrame:
        """Strains of the grains inside the map per strain of the specimen, in the columns of
        `cpml.models.expected_strains`, by every scheme of `SHOWN`; turn_deg is that of the lattice and left
        out (NaN): a field measures that of the material.
        """
        inside = ~self.on_edge
        tables = []
        for name in SHOWN:
            strain = 100 * to_matrix(self.states[name].rate)
            columns = {component: strain[:, i, j] for component, (i, j) in COMPONENTS.items()}
            table = pd.DataFrame({"grain_id": self.specimen.grain_ids, "scheme": name} | columns)
            tables.append(table.assign(turn_deg=np.nan)[inside])
        return pd.concat(tables, ignore_index=True)


def open_depth(specimen: Specimen, *, n_depths: int = 8, seed: int = 0) -> OpenDepth:
    """Solve volumes under a map, at the literature's strengths, and ask every scheme of `SHOWN`.

    Parameters
    ----------
    n_depths : volumes, at least 2
    seed : of what is drawn

    Raises
    ------
    CpmlError : a specimen without a map; ParameterError : fewer than two volumes
    """
    if specimen.raster is None:
        raise CpmlError(f"specimen {specimen.name!r} has no map: nothing to draw a depth under")
    raster = _thinned(specimen.raster, STANDARD.cells_per_diameter)
    numerics = replace(STANDARD, depths=n_depths)
    volumes = volumes_under(replace(specimen, raster=raster), numerics, seed)
    return _solved(specimen, raster, volumes, np.log(family_strengths(specimen, None)))


def _solved(specimen: Specimen, raster: NDArray, volumes: list[UnderMap], log_strength: NDArray) -> OpenDepth:
    relative = log_strength - log_strength.mean()
    coarse = replace(specimen, raster=raster)
    depths = solve_depths(coarse, relative, STANDARD, volumes=volumes)
    states = {name: grain_state(specimen, log_strength, name) for name in SHOWN if name != "depth"}
    states["depth"] = state_of_depths(specimen, depths, relative)
    return OpenDepth(specimen, raster, depths, {name: states[name] for name in SHOWN}, volumes)


def _thinned(raster: NDArray, cells_per_diameter: float) -> NDArray:
    """Every so many cells of a raster, so that a grain has `CELLS_PER_DIAMETER`."""
    step = max(cells_per_diameter / CELLS_PER_DIAMETER, 1.0)
    rows, columns = ((np.arange(0.5, n / step) * step).astype(int) for n in raster.shape)
    return raster[np.minimum(rows, len(raster) - 1)][:, np.minimum(columns, raster.shape[1] - 1)]


def learned_scores(facts: dict, part: str = "stress") -> pd.DataFrame:
    """What the network reaches on volumes that nobody learned from, from the facts of its weights.

    Parameters
    ----------
    facts : of `cpml.models.learned`; without scores the table has no rows
    part : "stress", "rate", "spin" or "log_total"

    Returns
    -------
    lattice, surface, sections, explained_affine, explained, cover_50, cover_90
    """
    columns = ["lattice", "surface", "sections", "explained_affine", "explained", "cover_50", "cover_90"]
    table = pd.DataFrame(facts.get("scores", []))
    if not len(table):
        return pd.DataFrame(columns=columns)
    own = table[table["part"] == part].reindex(columns=columns)
    return own.sort_values(["surface", "lattice"]).reset_index(drop=True)


def learned_curve(facts: dict) -> pd.DataFrame:
    """Trainings with ever more volumes, from the facts of the weights: volumes, explained, affine where it is
    there; no rows where no curve was recorded.
    """
    table = pd.DataFrame(facts.get("curve", []))
    wanted = [name for name in ("volumes", "explained", "affine") if name in table]
    if not {"volumes", "explained"} <= set(wanted):
        return pd.DataFrame(columns=["volumes", "explained"])
    return table[wanted]


def _open_share(part: pd.DataFrame) -> float:
    if not len(part):
        return np.nan
    left = np.average(part["open_depth"] ** 2, weights=part["area"])
    fixed = np.average(part["deviation"] ** 2, weights=part["area"])
    return float(left / (left + fixed)) if left + fixed > 0 else np.nan


def _explained(given: NDArray, wanted: NDArray, area: NDArray) -> float:
    share = area / area.sum()
    deviation, true = given - share @ given, wanted - share @ wanted
    total = share @ (true**2).sum(1)
    return float(1 - share @ ((deviation - true) ** 2).sum(1) / total) if total > 0 else np.nan


def _matrix(table: pd.DataFrame) -> NDArray:
    matrix = np.zeros((len(table), 3, 3))
    for name in COMPONENT_COLUMNS:
        i, j = ("xyz".index(axis) for axis in name)
        matrix[:, i, j] = matrix[:, j, i] = table[name]
    return matrix
