"""Virtual specimens: full-field crystal plasticity seen through a simulated microscope, with the
truth kept apart.

A specimen folder of the generator (DAMASK 3.0.2 grid solver; text and tables) is exported into what a
laboratory would have: a map, slip traces measured on the screen, a stress-strain curve. What only the
simulation knows (shear on every slip plane, twin fraction of every variant, strengths) goes into one file,
``truth.npz``, that only scoring reads.

Truth is compared by geometry: a plane is its normal in the sample frame and a twin variant its K1 normal and
shear direction, so the names and symmetry copies of generator and reader need not agree.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cpml.crystallography.slip_systems import Systems
from cpml.errors import DatasetError

_BROKEN = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError, MemoryError, SyntaxError),
    *(zlib.error, zipfile.BadZipFile),
)
"""What damage of an .npz raises."""
ACTIVE_SHEAR = 0.01  # a plane is active above this accumulated shear (the generator's visible step)
VISIBLE_TWIN = 0.05  # a variant is visible above this volume fraction
SAME_PLANE = np.cos(np.deg2rad(6.0))  # cosine above which two plane normals are one plane
CLEAR_SHARE = 0.5  # of a segmented grain's pixels that its partner in the simulation covers at least
ACTIVE_CLIMB = 0.01  # share of climb in all shear above which a grain climbs
KINDS = ("planes", "variants", "strengths", "pairs", "climb", "grains", "stresses")
"""Tables of a truth file; the last four may be missing."""
STRESSES = {"11": "xx", "22": "yy", "33": "zz", "23": "yz", "13": "xz", "12": "xy"}
"""Components of a generator's stress, and of `Truth.stresses`."""
MIN_PIXELS = 20  # smaller surface grains are not scored (the generator's reference scores do the same)


@dataclass(frozen=True)
class Truth:
    """What the simulation knows of a virtual specimen.

    Attributes
    ----------
    surface_grain : (rows, cols) generator's grain number of every pixel
    planes : table grain, family, nx, ny, nz (sample frame), shear, active
    variants : table grain, nx, ny, nz, bx, by, bz (sample frame), fraction, active
    strengths : table family, strength_mpa (initial)
    pairs : table grain, nx..nz, mx..mz (normals of two planes), bx..bz (their common direction), shear that
        changes between them; None where nothing is known of cross-slip
    climb : table grain, share of climb in all shear; None likewise
    grains : table grain, wx, wy, wz (rotation of the mean lattice, deg, sample frame), F11 .. F33 (mean
        deformation gradient); None in files of other makers
    stresses : table grain, xx, yy, zz, yz, xz, xy (mean Cauchy deviator, MPa, sample frame); None likewise
    """

    surface_grain: np.ndarray
    planes: pd.DataFrame
    variants: pd.DataFrame
    strengths: pd.DataFrame
    pairs: pd.DataFrame | None = None
    climb: pd.DataFrame | None = None
    grains: pd.DataFrame | None = None
    stresses: pd.DataFrame | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of ``truth.npz``, as :func:`load_truth` reads them."""
        found = {"surface_grain": self.surface_grain.astype(np.int16)}
        for kind in KINDS:
            table = getattr(self, kind)
            for name, column in ({} if table is None else table).items():
                is_text = name == "family"
                found[f"{kind}.{name}"] = column.to_numpy(str) if is_text else column.to_numpy()
        return found


def load_truth(path: Path) -> Truth:
    """Read ``truth.npz``, or the ``truth.json`` of a generator's folder; only scoring may call this.

    Raises
    ------
    DatasetError : the file is missing or is no truth file
    """
    try:
        if Path(path).name == "truth.json":
            return read_generator_truth(Path(path).parent)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        tables = {
            kind: pd.DataFrame({k.split(".")[1]: v for k, v in arrays.items() if k.startswith(kind + ".")})
            for kind in KINDS
        }
        known = {kind: t for kind, t in tables.items() if kind in KINDS[:3] or len(t.columns)}
        return Truth(arrays["surface_grain"], **known)
    except _BROKEN as error:
        raise DatasetError(f"{path}: not a truth file of a virtual specimen ({error})") from None


def match_grains(truth: Truth, label: np.ndarray) -> pd.Series:
    """Generator's grain that covers each segmented grain.

    Parameters
    ----------
    label : (N,) grain number of every pixel of the same grid, 0 = none

    Returns
    -------
    Series indexed by grain_id with the generator's grain number; grains without a clear partner are left out
    """
    flat = truth.surface_grain.ravel()
    if flat.shape != label.shape:
        raise DatasetError(
            f"truth has {flat.size} pixels, the map has {label.size}: they are not the same specimen"
        )
    inside = (label > 0) & (flat > 0)
    counts = pd.crosstab(label[inside], flat[inside])
    share = counts.max(axis=1) / counts.sum(axis=1)
    large = counts.max(axis=1) >= MIN_PIXELS
    return counts.idxmax(axis=1)[(share >= CLEAR_SHARE) & large].rename("grain")


def truth_labels(
    truth: Truth, partner: pd.Series, quaternions: np.ndarray, grain_ids: Iterable[int], systems: Systems
) -> pd.DataFrame:
    """True mechanisms of every matched grain in the names of ``systems``.

    Parameters
    ----------
    partner : from :func:`match_grains`
    quaternions : (G, 4) crystal_to_sample of the grains ``grain_ids``
    systems : of the phase

    Returns
    -------
    DataFrame grain_id, mechanism, target, observed (1 active, 0 not), amount (shear, volume
    fraction, share of climb); grains whose orientation is not the simulated one (a twin taken for the parent)
    cannot be compared and are left out
    """
    from cpml.crystallography.rotations import quaternion_to_matrix

    rotation = dict(zip(grain_ids, quaternion_to_matrix(np.asarray(quaternions)), strict=True))
    slip_planes = np.unique(systems.plane_id[systems.slip])
    twins = np.flatnonzero(systems.twin)
    planes, variants = _by_grain(truth.planes), _by_grain(truth.variants)
    pairs, climb = _by_grain(truth.pairs), _by_grain(truth.climb)
    cosine = {}
    for grain_id, number in partner.items():
        ours = systems.plane_normals[slip_planes] @ rotation[grain_id].T
        cosine[grain_id] = np.abs(ours @ planes[number][["nx", "ny", "nz"]].to_numpy().T)
    same = np.array([c.max(1) > SAME_PLANE for c in cosine.values()]).reshape(len(cosine), len(slip_planes))
    shared = same.mean(0) > 0.5  # planes that the simulation has as well
    rows = []
    for (grain_id, number), matched in zip(partner.items(), same, strict=True):
        if not matched[shared].all():
            continue  # a twin was taken for the parent: its planes have no counterpart
        turn, true = rotation[grain_id], planes[number]
        for plane, c, found in zip(slip_planes, cosine[grain_id], matched, strict=True):
            amount = true["shear"].iloc[c.argmax()] if found else 0.0
            rows.append((grain_id, "slip", systems.plane_names[plane], amount > ACTIVE_SHEAR, amount))
        if number in variants and len(twins):
            true = variants[number]
            normal, sense = (np.asarray(v)[twins] @ turn.T for v in (systems.plane, systems.direction))
            likeness = (normal @ true[["nx", "ny", "nz"]].to_numpy().T) * (
                sense @ true[["bx", "by", "bz"]].to_numpy().T
            )
            for twin, nearest, same in zip(
                twins, likeness.argmax(1), likeness.max(1) > SAME_PLANE**2, strict=True
            ):
                amount = true["fraction"].iloc[nearest] if same else 0.0  # a family that the simulation lacks
                rows.append((grain_id, "twin", systems.names[twin], amount > VISIBLE_TWIN, amount))
        if number in pairs:
            rows += [
                (grain_id, "cross_slip", name, amount > ACTIVE_SHEAR, amount)
                for name, amount in pair_amounts(pairs[number], turn, systems).items()
            ]
        if number in climb:
            share = climb[number]["share"].iloc[0]
            rows.append((grain_id, "climb", "", share > ACTIVE_CLIMB, share))
    table = pd.DataFrame(rows, columns=["grain_id", "mechanism", "target", "observed", "amount"])
    return table.astype({"observed": float})


def pair_amounts(true: pd.DataFrame, turn: np.ndarray, systems: Systems) -> dict[str, float]:
    """Shear that changes planes, by the name of the pair in ``systems``.

    Parameters
    ----------
    true : rows of `Truth.pairs` of one grain
    turn : (3, 3) crystal_to_sample of the grain
    """
    from cpml.crystallography.cross_slip_pairs import cross_slip_pairs

    ours = cross_slip_pairs(systems)
    a, b = ours["system_a"].to_numpy(int), ours["system_b"].to_numpy(int)
    n, m, slip = (v @ turn.T for v in (systems.plane[a], systems.plane[b], systems.direction[a]))
    true_n, true_m, true_b = (true[[f"{k}{axis}" for axis in "xyz"]].to_numpy() for k in "nmb")
    cosine = [np.abs(v @ w.T) for v, w in ((n, true_n), (m, true_m), (n, true_m), (m, true_n))]
    same = np.maximum(cosine[0] * cosine[1], cosine[2] * cosine[3]) * np.abs(slip @ true_b.T)
    amounts = np.where(same.max(1) > SAME_PLANE**3, true["shear"].to_numpy()[same.argmax(1)], 0.0)
    return dict(zip(ours["target"], amounts.tolist(), strict=True))


def _by_grain(table: pd.DataFrame | None) -> dict[int, pd.DataFrame]:
    return {} if table is None else dict(list(table.groupby("grain")))


def true_labels(dataset: Any, specimen: Any, label: np.ndarray) -> pd.DataFrame | None:
    """Truth of every grain of a specimen that the simulation also has (columns of
    :func:`truth_labels`); None without a hidden truth.

    Parameters
    ----------
    dataset : `cpml.datasets.Dataset` with files: truth
    specimen : `cpml.models.Specimen` of its map
    label : (N,) grain_id of every map pixel
    """
    if "truth" not in dataset.files:
        return None
    truth = load_truth(dataset.files["truth"])
    partner = match_grains(truth, label)
    partner = partner[partner.index.isin(specimen.grain_ids)]
    rows = specimen.position(partner.index)
    return truth_labels(truth, partner, specimen.quaternions[rows], partner.index, specimen.systems)


def true_ratios(dataset: Any, reference: str) -> pd.Series | None:
    """Initial strength of every family over that of ``reference``, as the simulation had it; None
    without a truth.
    """
    if "truth" not in dataset.files:
        return None
    strengths = load_truth(dataset.files["truth"]).strengths.set_index("family")["strength_mpa"]
    return strengths / strengths[reference]


def read_generator_truth(source: Path) -> Truth:
    """Truth straight from a generator's folder; only scoring may call this."""
    source = Path(source)
    columns = _truth_columns(source)
    tables = {
        kind: pd.DataFrame({k.split(".")[1]: v for k, v in columns.items() if k.startswith(kind + ".")})
        for kind in ("planes", "variants", "strengths", "stresses")
        if f"{kind}.grain" in columns or kind == "strengths"
    }
    with np.load(source / "maps_truth.npz", allow_pickle=False) as file:
        return Truth(file["surface_grain"], **tables)


def generator_vectors(name: str, c_over_a: float) -> tuple[np.ndarray, np.ndarray]:
    """K1 normal and shear direction of a variant name "(hkil)[uvtw]" in this project's crystal axes (X||a).

    The names hold in the symmetry copy that the map stores, which is the one its Euler angles give.
    """
    return tuple(_a_to_a_star(v(name, c_over_a), turn=-1) for v in (_plane_normal, _direction))


def true_stresses(dataset: Any, specimen: Any, label: np.ndarray) -> pd.DataFrame | None:
    """Mean Cauchy deviator of every grain of a specimen that the simulation also has, at its end: index
    grain_id, xx, yy, zz, yz, xz, xy in MPa; None without a truth, or where it holds no stresses.

    Parameters
    ----------
    dataset, specimen, label : as of :func:`true_labels`
    """
    if "truth" not in dataset.files:
        return None
    truth = load_truth(dataset.files["truth"])
    if truth.stresses is None:
        return None
    partner = match_grains(truth, label)
    partner = partner[partner.index.isin(specimen.grain_ids)]
    found = truth.stresses.set_index("grain").reindex(partner.to_numpy()).set_axis(partner.index)
    return found.dropna().rename_axis("grain_id")


def _stress_columns(grains: pd.DataFrame) -> dict[str, np.ndarray]:
    """Of the table of a generator's grains; nothing where it has no stresses."""
    names = [f"cauchy_{component}_MPa" for component in STRESSES]
    if not set(names) <= set(grains):
        return {}
    stress = grains[names].to_numpy()
    stress[:, :3] -= stress[:, :3].mean(1, keepdims=True)
    columns = dict(zip(STRESSES.values(), stress.T, strict=True))
    return {"stresses.grain": grains.index.to_numpy()} | {f"stresses.{k}": v for k, v in columns.items()}


def _truth_columns(source: Path) -> dict[str, np.ndarray]:
    grains = pd.read_csv(source / "grains_truth.csv").set_index("grain_id")
    facts = json.loads((source / "truth.json").read_text())
    law, c_over_a = facts["material_hidden"]["phenopowerlaw"], facts["material_hidden"].get("c_over_a")
    turn = _rotation(grains[[f"q{k}_deformed" for k in "wxyz"]].to_numpy())
    turn = dict(zip(grains.index, turn, strict=True))
    planes = pd.read_csv(source / "planes_truth.csv")
    normal = np.array(
        [turn[g] @ _plane_normal(p, c_over_a) for g, p in zip(planes.grain_id, planes.plane, strict=True)]
    )
    columns = {
        "planes.grain": planes.grain_id.to_numpy(),
        "planes.family": planes.family.to_numpy(dtype=str),
        "planes.shear": planes.gamma_plane.to_numpy(),
    }
    columns |= {f"planes.n{axis}": normal[:, i] for i, axis in enumerate("xyz")}
    names = [c.split("|")[1] for c in grains.columns if c.startswith("twin_fraction|")]
    twins = [(g, v, grains.at[g, f"twin_fraction|{v}"]) for g in grains.index for v in names]
    columns["variants.grain"] = np.array([g for g, _, _ in twins], dtype=int)
    columns["variants.fraction"] = np.array([f for _, _, f in twins], dtype=float)
    normal = np.array([turn[g] @ _plane_normal(v, c_over_a) for g, v, _ in twins]).reshape(-1, 3)
    sense = np.array([turn[g] @ _direction(v, c_over_a) for g, v, _ in twins]).reshape(-1, 3)
    columns |= {f"variants.n{axis}": normal[:, i] for i, axis in enumerate("xyz")}
    columns |= {f"variants.b{axis}": sense[:, i] for i, axis in enumerate("xyz")}
    lattice = facts["material_hidden"]["lattice"]
    slip_names = {
        "hP": ["basal", "prismatic", "pyramidal1_a", "pyramidal1_ca", "pyramidal2_ca"],
        "cF": ["octahedral"],
    }[lattice]
    twin_names = {"hP": ["twin_1012", "twin_1121", "twin_1011", "twin_1122"], "cF": ["twin"]}[lattice]
    strength = [(n, x / 1e6) for n, x in zip(slip_names, law["xi_0_sl"], strict=False) if x > 0]
    strength += [(n, x / 1e6) for n, x in zip(twin_names, law.get("xi_0_tw", []), strict=False) if x > 0]
    columns["strengths.family"] = np.array([n for n, _ in strength])
    columns["strengths.strength_mpa"] = np.array([x for _, x in strength])
    return columns | _stress_columns(grains)


def _indices(text: str, brackets: str) -> np.ndarray:
    inside = re.search(rf"\{brackets[0]}([^)\]]+)\{brackets[1]}", text).group(1)
    return np.array([int(i) for i in re.findall(r"-?\d", inside)], dtype=float)


def _plane_normal(name: str, c_over_a: float | None) -> np.ndarray:
    """Unit normal of "(hkil)" in the generator's axes X||a*, Y||b (hexagonal) or of "(hkl)" (cubic)."""
    index = _indices(name, "()")
    if len(index) == 4:
        h, k, _, along_c = index
        in_a = np.array([h, (h + 2 * k) / np.sqrt(3), along_c / c_over_a])
        index = _a_to_a_star(in_a)
    return index / np.linalg.norm(index)


def _direction(name: str, c_over_a: float | None) -> np.ndarray:
    """Unit direction of "[uvtw]" or "[uvw]" in the generator's axes."""
    index = _indices(name, "[]")
    if len(index) == 4:
        u, v, t, w = index
        in_a = np.array([(u - t) - (v - t) / 2, (v - t) * np.sqrt(3) / 2, w * c_over_a])
        index = _a_to_a_star(in_a)
    return index / np.linalg.norm(index)


def _a_to_a_star(v: np.ndarray, *, turn: int = 1) -> np.ndarray:
    """Components along X||a* of a vector given along X||a (a* lies 30 degrees from a); ``turn``
    -1 goes back.
    """
    c, s = np.cos(np.pi / 6), turn * np.sin(np.pi / 6)
    return np.array([c * v[0] + s * v[1], -s * v[0] + c * v[1], v[2]])


def _rotation(q: np.ndarray) -> np.ndarray:
    from cpml.crystallography.rotations import quaternion_to_matrix

    return quaternion_to_matrix(q)
