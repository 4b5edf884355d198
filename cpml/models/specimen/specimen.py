"""One specimen as the models see it: grains, neighbours, load, material, and footprints that may be missing.

What is predicted is a *token* of a grain: a slip plane (all a surface trace can tell) or a twin variant.
Tokens come from the crystal's systems, so the same model serves fcc, bcc and hcp.

| array | shape | meaning |
|---|---|---|
| quaternions | (G, 4) | crystal_to_sample, mean of the grain (of the parent, where it has twinned) |
| token | (S,) | token of each slip or twin system: slip planes first, then twin variants |
| trace_grain, trace_density | (J,), (J, P) | grain of each trace, density per degree under each plane |
| imaged, visible | (G,), (G, P) | surface was looked at; plane steep enough to leave a trace |
| covered | (G, P) | some observed trace is so close to the plane's that both would be recorded as one |
| distinct | (G, P) | a trace of the plane would name it; labels of others say little (`scored_labels`) |
| raster | (rows, columns) | row of the grain in every cell of the coarse map; None without a map |
| twin_observed | (G, V) | 1, 0, NaN |
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from cpml.crystallography.materials import Material
from cpml.crystallography.slip_systems import Systems
from cpml.errors import CpmlError
from cpml.load import Load
from cpml.microscopy.labels.detection import MIN_INCLINATION_DEG
from cpml.microscopy.labels.planes import NAMED, naming_probability, of_planes, typical_sigma
from cpml.models.specimen.motions import check_motions
from cpml.models.specimen.raster import grain_raster
from cpml.models.specimen.remembered import Remembered
from cpml.models.specimen.reports import check_targets, further_reports

TILES = 4  # of the chequerboard, along each axis
MERGED_DEG = 5.0  # parallel traces closer than this are counted as one by people and by detection


@dataclass(frozen=True, eq=False)
class Specimen:
    """Input of every model; build one with :func:`build_specimen`.

    Attributes
    ----------
    grains : DataFrame grain_id, x_um, y_um, qw..qz, n_pixels, on_edge, ... one
        row per grain of one phase
    neighbours : (E, 2) row numbers in ``grains``; ``edge_length`` (E,) um; ``edge_angle`` (E,) trace of the
        boundary on the screen, rad counter-clockwise from +x, NaN where unknown
    labels, traces, candidates : tables of `cpml.microscopy.labels.rows`, of the lines those whose candidates
        are planes
    cp : arrays of the CP baseline (``schmid``, ``share_sachs``, ``share_taylor``
        (G, S); ``taylor_factor`` (G,))
    free_surface : the map was a free surface while the specimen deformed (True), or was cut afterwards
        (False); None where nobody said
    motions : table of `cpml.models.specimen.motions`: measured lattice rotations and strains; None: none
    reports : label rows of every level that say more than labels, traces and candidates
        (`cpml.models.specimen.reports`); None: none
    answers : what has been solved for these grains; copies with other labels share it
    """

    name: str
    grains: pd.DataFrame
    systems: Systems
    material: Material
    load: Load
    labels: pd.DataFrame
    traces: pd.DataFrame
    candidates: pd.DataFrame
    neighbours: np.ndarray
    edge_length: np.ndarray
    cp: dict[str, np.ndarray]
    curve: pd.DataFrame | None = None
    raster: np.ndarray | None = None
    edge_angle: np.ndarray | None = None
    free_surface: bool | None = None
    motions: pd.DataFrame | None = None
    reports: pd.DataFrame | None = None
    answers: Remembered = field(default_factory=Remembered, repr=False)

    def __post_init__(self):
        if self.edge_angle is None:
            object.__setattr__(self, "edge_angle", np.full(len(self.neighbours), np.nan))

    def __len__(self) -> int:
        return len(self.grains)

    @cached_property
    def grain_ids(self) -> np.ndarray:
        """(G,) grain_id."""
        return self.grains["grain_id"].to_numpy()

    @cached_property
    def quaternions(self) -> np.ndarray:
        """(G, 4) crystal_to_sample."""
        return self.grains[["qw", "qx", "qy", "qz"]].to_numpy()

    @cached_property
    def weights(self) -> np.ndarray:
        """(G,) area fractions, sum 1."""
        area = self.grains["n_pixels"].to_numpy(dtype=float)
        return area / area.sum()

    @cached_property
    def diameter(self) -> np.ndarray:
        """(G,) of the circle of a grain's area, in pixels of the map; infinite without a map."""
        if self.raster is None:
            return np.full(len(self), np.inf)
        return np.sqrt(4 / np.pi * self.grains["n_pixels"].to_numpy(float))

    @property
    def directed_neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the grain a boundary is seen from and of the one behind it, (2 E,)
        each: every boundary both ways.
        """
        first, second = self.neighbours.T
        return np.concatenate([first, second]), np.concatenate([second, first])

    @cached_property
    def slip_planes(self) -> np.ndarray:
        """(P,) plane_id of the slip planes, in token order."""
        return np.unique(self.systems.plane_id[self.systems.slip])

    @cached_property
    def token(self) -> np.ndarray:
        """(S,) token of every system."""
        token = np.empty(len(self.systems), dtype=int)
        token[self.systems.slip] = np.searchsorted(self.slip_planes, self.systems.plane_id[self.systems.slip])
        token[self.systems.twin] = len(self.slip_planes) + np.arange(int(self.systems.twin.sum()))
        return token

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """One row per token: mechanism, target, family (of its first system)."""
        first = np.array([np.flatnonzero(self.token == t)[0] for t in range(self.token.max() + 1)])
        slip = self.systems.slip[first]
        plane = [self.systems.plane_names[p] for p in self.systems.plane_id[first]]
        target = [plane[i] if slip[i] else self.systems.names[s] for i, s in enumerate(first)]
        family = [self.systems.family_names[f] for f in self.systems.family[first]]
        return pd.DataFrame({"mechanism": np.where(slip, "slip", "twin"), "target": target, "family": family})

    @cached_property
    def _traces(self):
        from cpml.crystallography.slip_traces import line_difference, slip_traces

        geometry = slip_traces(self.quaternions, self.systems)
        angle, inclination = (
            geometry.angle_deg[:, self.slip_planes],
            geometry.inclination_deg[:, self.slip_planes],
        )
        grain = self.position(self.traces["grain_id"])
        covered = np.zeros(angle.shape, bool)
        observed = self.traces["angle_deg"].to_numpy()
        near = np.abs(line_difference(observed[:, None], angle[grain])) <= MERGED_DEG
        np.logical_or.at(covered, grain, near)
        return grain, inclination >= MIN_INCLINATION_DEG, covered

    @property
    def trace_grain(self) -> np.ndarray:
        """(J,) row number of the grain of every observed trace."""
        return self._traces[0]

    @cached_property
    def trace_density(self) -> np.ndarray:
        """(J, P) probability density per degree of the observed angle under every slip plane."""
        planes = [self.systems.plane_names[p] for p in self.slip_planes]
        table = self.candidates.pivot(index="trace_id", columns="target", values="likelihood")
        return table.reindex(index=self.traces["trace_id"], columns=planes).to_numpy(float)

    @property
    def visible(self) -> np.ndarray:
        """(G, P) whether the plane is steep enough to leave a trace."""
        return self._traces[1]

    @property
    def covered(self) -> np.ndarray:
        """(G, P) whether an observed trace of the grain lies within MERGED_DEG of the plane's own."""
        return self._traces[2]

    @cached_property
    def imaged(self) -> np.ndarray:
        """(G,) whether anybody looked for slip traces in the grain (absence counts only there)."""
        rows = self.labels[(self.labels["mechanism"] == "slip") & (self.labels["level"] == "plane")]
        seen = rows.loc[rows["observed"].notna(), "grain_id"].unique()
        return np.isin(self.grain_ids, seen)

    @cached_property
    def distinct(self) -> np.ndarray:
        """(G, P) whether a line of the plane would name it (`naming_probability`); all where labels do not
        come from lines.
        """
        if self.traces.empty:
            return np.ones((len(self), len(self.slip_planes)), bool)
        quaternions, sigma = self.quaternions, typical_sigma(self.traces)
        return self.answers.get(
            ("distinct", quaternions.tobytes(), sigma),
            lambda: naming_probability(quaternions, self.systems, sigma_deg=sigma) >= NAMED,
        )

    @cached_property
    def scored_labels(self) -> pd.DataFrame:
        """The labels with those of planes that are not `distinct` missing, as
        `cpml.microscopy.scored_labels` says. What is learned row by row, and every score, takes these.
        """
        is_silent = of_planes(self.labels, self.grain_ids, self.systems, ~self.distinct)
        return self.labels.assign(observed=self.labels["observed"].mask(is_silent))

    @cached_property
    def observed(self) -> np.ndarray:
        """(G, T) of `scored_labels`: 1, 0, or NaN where nobody could tell, in the order of `tokens`."""
        rows = self.scored_labels[self.scored_labels["level"].isin(["plane", "variant"])]
        table = rows.pivot(index="grain_id", columns=["mechanism", "target"], values="observed")
        columns = pd.MultiIndex.from_frame(self.tokens[["mechanism", "target"]])
        return table.reindex(index=self.grain_ids, columns=columns).to_numpy(dtype=float)

    @cached_property
    def twin_observed(self) -> np.ndarray:
        """(G, V) 1 when the variant was seen, 0 when the grain was indexed without it, NaN when unknown."""
        names = self.tokens.loc[self.tokens["mechanism"] == "twin", "target"].tolist()
        rows = self.labels[(self.labels["level"] == "variant") & self.labels["grain_id"].isin(self.grain_ids)]
        table = rows.pivot(index="grain_id", columns="target", values="observed")
        return table.reindex(index=self.grain_ids, columns=names).to_numpy(dtype=float)

    def position(self, grain_ids) -> np.ndarray:
        """Row number of each grain_id."""
        where = pd.Series(np.arange(len(self)), index=self.grain_ids)
        missing = sorted(set(np.asarray(grain_ids).tolist()) - set(self.grain_ids.tolist()))
        if missing:
            raise CpmlError(
                f"specimen {self.name!r} has no grain {missing[0]} ({len(missing)} unknown grains in all)"
            )
        return where[np.asarray(grain_ids)].to_numpy()

    def with_labels_of(self, grain_ids) -> "Specimen":
        """The specimen with the footprints of ``grain_ids`` only; geometry and neighbours stay."""
        names = ("labels", "traces", "candidates", "motions", "reports")
        tables = {name: table for name in names if (table := getattr(self, name)) is not None}
        return replace(self, **{name: _of_grains(table, grain_ids) for name, table in tables.items()})

    def chequerboard(self) -> np.ndarray:
        """(G,) bool, alternating tiles of about equal grain number: two blocked halves of the map."""
        return self.tiles().sum(1) % 2 == 0

    def tiles(self) -> np.ndarray:
        """(G, 2) number of the tile along x and along y, cut at equal grain number."""
        rank = self.grains[["x_um", "y_um"]].rank(method="first").to_numpy()
        return (TILES * (rank - 1) / len(self)).astype(int)

    def predictions(self, probability: np.ndarray, *, model: str, **columns: np.ndarray) -> pd.DataFrame:
        """Long table of (G, T) probabilities: grain_id, mechanism, target, family, p, model, ..."""
        table = self.tokens.loc[np.tile(np.arange(len(self.tokens)), len(self))].reset_index(drop=True)
        table.insert(0, "grain_id", np.repeat(self.grain_ids, len(self.tokens)))
        table["p"] = probability.ravel()
        for name, values in columns.items():
            table[name] = values.ravel()
        return table.assign(model=model)


def build_specimen(
    name: str,
    *,
    grains,
    grain_boundaries,
    labels,
    traces,
    candidates,
    material: Material,
    load: Load | None,
    phase: str,
    cp=None,
    curve=None,
    points=None,
    free_surface=None,
    motions=None,
    reports=None,
) -> Specimen:
    """Specimen of one phase from the tables of notebooks 02 and 03.

    Parameters
    ----------
    grains : one row per grain, twins merged into their parent; only rows with phase_name ``phase`` are used
    grain_boundaries : grain_a, grain_b, length_um[, trace_deg]
    labels, traces, candidates : tables of `cpml.microscopy.labels.rows`; of the lines only those are used
        whose candidates are planes
    points : (xy (N, 2) um, grain_id (N,)) of all map points, from which the
        coarse map of the full field is made
    free_surface : as in :class:`Specimen`
    motions : of `cpml.models.measured_motions`; None: none were measured
    reports : label rows of every level and source, ``labels`` among them or not; those that ``labels`` has
        count once

    Raises
    ------
    CpmlError : no load is declared, no grain of the phase, labels, motions or reports of grains that do not
        exist, targets that the phase does not have, a source that contradicts itself, or a table that is none
        of motions
    """
    if load is None:
        raise CpmlError(
            f"specimen {name!r} has no load: declare load in dataset.yml (with "
            "assumed: true if it is a guess)"
        )
    of_phase = grains[grains["phase_name"] == phase].reset_index(drop=True)
    if of_phase.empty:
        raise CpmlError(
            f"specimen {name!r} has no grain of phase {phase!r}; phases with grains: "
            f"{sorted(grains['phase_name'].unique())}"
        )
    if motions is not None:
        check_motions(motions, name)
    for what, table in (("labels", labels), ("motions", motions), ("reports", reports)):
        strangers = set() if table is None else set(table["grain_id"]) - set(grains["grain_id"])
        if strangers:
            raise CpmlError(
                f"specimen {name!r}: {what} of {len(strangers)} grains that do not exist, first "
                f"{min(strangers)}"
            )
    where = pd.Series(np.arange(len(of_phase)), index=of_phase["grain_id"])
    inside = grain_boundaries["grain_a"].isin(where.index) & grain_boundaries["grain_b"].isin(where.index)
    edges = grain_boundaries[inside]
    neighbours = np.column_stack([where[edges["grain_a"]].to_numpy(), where[edges["grain_b"]].to_numpy()])
    angle = np.deg2rad(edges["trace_deg"].to_numpy(float)) if "trace_deg" in edges else None
    raster = None
    if points is not None:
        row = where.reindex(points[1]).fillna(-1).to_numpy(int)
        raster = grain_raster(np.asarray(points[0]), row, len(of_phase))
    lines = _of_grains(traces[traces["level"] == "plane"], where.index)
    if reports is not None:
        reports = further_reports(_of_grains(reports, where.index), labels, name)
    specimen = Specimen(
        name=name,
        grains=of_phase,
        systems=material.systems(),
        material=material,
        load=load,
        labels=_of_grains(labels, where.index),
        traces=lines,
        candidates=candidates[candidates["trace_id"].isin(lines["trace_id"])],
        neighbours=neighbours.astype(int).reshape(-1, 2),
        edge_length=edges["length_um"].to_numpy(),
        cp=cp or {},
        curve=curve,
        raster=raster,
        edge_angle=angle,
        free_surface=free_surface,
        motions=None if motions is None or motions.empty else _of_grains(motions, where.index),
        reports=reports,
    )
    _check_targets(specimen)
    return specimen


def _of_grains(table: pd.DataFrame, grain_ids) -> pd.DataFrame:
    return table[table["grain_id"].isin(np.asarray(grain_ids))]


def _check_targets(specimen: Specimen) -> None:
    """CpmlError where a label or a candidate names a plane or variant that the phase does not have, or where
    a trace has no candidates.
    """
    known, labels = set(specimen.tokens["target"]), specimen.labels
    named = labels[labels["level"].isin(["plane", "variant"])]
    for what, rows in (("label", named), ("candidate", specimen.candidates)):
        strange = rows[~rows["target"].isin(known)]
        if len(strange):
            raise CpmlError(
                f"specimen {specimen.name!r}: {what} {strange['target'].iloc[0]!r} of grain "
                f"{strange['grain_id'].iloc[0]} is no plane or variant of {specimen.material.name}; it has "
                f"{', '.join(sorted(known)[:3])}, ... ({len(known)} in all)"
            )
    if specimen.reports is not None:
        check_targets(specimen.reports, specimen.systems, specimen.name)
    if np.isnan(specimen.trace_density).any():
        raise CpmlError(
            f"specimen {specimen.name!r}: candidates do not say how well every slip "
            "plane explains each of the "
            f"{len(specimen.traces)} traces; take traces and candidates from the same slip_labels"
        )
