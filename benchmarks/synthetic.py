"""Synthetic specimens whose footprints follow a known law: the ground on which estimators are judged.

    sigma_g = Sigma + s |Sigma| eta_g             eta_g: five independent components of mean 0 and variance 1
    a_gs    = (|P_gs : sigma_g| / xi_k(s))^n      twins: only where P_gs : sigma_g > 0
    pi_gt   = sum_{s in t} a_gs / sum_s a_gs      share of the grain's shear on a token t (plane or variant)

Sigma is the deviator of the macroscopic load as a 5-vector (`cpml.crystallography.tensors`), so the
scatter s is per component and relative to the length of the whole deviator. A plane leaves one trace if
its share is visible, it is steeper than ``min_inclination_deg`` and it is not missed; its angle has a
normal error. A share pi is visible above a sharp limit l, or with probability 1 - exp(-pi / l) where the
limit is ``gradual``. False traces have any angle. Labels are then made from the angles by
`cpml.microscopy.slip_labels`, as for a real map: with candidates, and with missing labels where a line
could have come from several planes.

The literature that a model starts from would give the answer away if it were the truth, so it is
drawn about the truth with the spread that the material file states (``prior_error`` times that;
0 keeps the file's own values).

| symbol | meaning | shape |
|---|---|---|
| eta | stress that no mean field knows: normal, or Student t with 3 degrees of freedom | (G, 5) |
| xi | strength: ``ratios`` times that of the reference family | (K,) |
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cpml.crystallography import load_material
from cpml.crystallography.materials import Material
from cpml.crystallography.rotations import random_quaternions
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.microscopy.labels.rows import Labels, label_rows
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws import flow

ALPHA_TITANIUM = {"prismatic": 1.0, "basal": 1.30, "pyramidal1_ca": 2.50}
LAWS = {
    "gaussian": lambda rng, shape: rng.normal(size=shape),
    # a t distribution with 3 degrees of freedom has variance 3
    "student": lambda rng, shape: rng.standard_t(3, size=shape) / np.sqrt(3.0),
}
SPACING_UM = 10.0


@dataclass(frozen=True)
class Microscope:
    """How footprints are recorded (module docstring); rates of
    `cpml.models.coupled.likelihood` have the same meaning.
    """

    visible_share: float = 0.1
    gradual: bool = False
    noise_deg: float = 2.0
    missed: float = 0.15
    false_rate: float = 0.03
    min_inclination_deg: float = 12.0

    def sees(self, share: np.ndarray, rng) -> np.ndarray:
        """Whether each share of a grain's shear is large enough to be visible, bool of the same shape."""
        if self.gradual:
            return rng.random(share.shape) < -np.expm1(-share / self.visible_share)
        return share > self.visible_share


@dataclass(frozen=True, eq=False)
class Synthetic:
    """A specimen and what only its maker knows: strength ratios, local stresses (G,
    5) and shares of shear (G, S).
    """

    specimen: Specimen
    ratios: pd.Series
    stress: np.ndarray
    share: np.ndarray


def synthetic_specimen(
    n_grains: int = 1000,
    *,
    material: str = "titanium_cp",
    ratios: Mapping[str, float] = ALPHA_TITANIUM,
    n: float = 20.0,
    scatter: float = 0.15,
    law: str = "gaussian",
    load: str = "tension",
    axis: str = "x",
    microscope: Microscope = Microscope(),
    prior_error: float = 1.0,
    labelled: bool = True,
    seed: int = 0,
) -> Synthetic:
    """Random grains on a square lattice under a uniaxial load, with footprints of a known law.

    Parameters
    ----------
    material : gives lattice, c/a and prior widths; only the families of ``ratios`` operate
    ratios : strength of every family relative to the first one, which is the reference
    law : "gaussian" or "student" (3 degrees of freedom, scaled to the same variance)
    labelled : False leaves the label table empty

    Raises
    ------
    ParameterError : an unknown law, or a family that the material does not have

    Examples
    --------
    >>> made = synthetic_specimen(25)
    >>> print(len(made.specimen), made.ratios["basal"])
    25 1.3
    """
    if law not in LAWS:
        raise ParameterError(f"scatter law {law!r}: choose one of {', '.join(LAWS)}")
    rng = np.random.default_rng(seed)
    crystal = synthetic_material(material, ratios, prior_error=prior_error, rng=rng)
    systems, direction = crystal.systems(), Load.from_dict({"kind": load, "axis": axis})
    grains = _grains(n_grains, rng)
    truth = pd.Series({f: float(ratios[f]) for f in systems.family_names}, name="ratio")
    quaternions = grains[["qw", "qx", "qy", "qz"]].to_numpy()
    stress = _stress(direction, scatter * LAWS[law](rng, (n_grains, 5)))
    share = _share(systems, quaternions, stress, truth.to_numpy()[systems.family], n)
    labels = _labels(grains, systems, share, microscope, rng)
    neighbours, edge_length = _lattice_edges(n_grains)
    specimen = Specimen(
        name="synthetic",
        grains=grains,
        systems=systems,
        material=crystal,
        load=direction,
        labels=labels.labels,
        traces=labels.traces,
        candidates=labels.candidates,
        neighbours=neighbours,
        edge_length=edge_length,
        cp={},
    )
    specimen = specimen if labelled else specimen.with_labels_of([])
    return Synthetic(_with_baseline(specimen), truth, stress, share)


def synthetic_material(name: str, ratios: Mapping[str, float], *, prior_error: float, rng) -> Material:
    """Material with the families of ``ratios`` alone and a literature that errs (module docstring), without
    hardening, since footprints are drawn from shares of an instant.

    The reference family keeps its strength and stays the softest slip family, so
    that ratios keep their meaning.
    """
    file = replace(load_material(name), hardening={})
    strangers = [f for f in ratios if f not in file.families]
    if strangers:
        raise ParameterError(
            f"family {strangers[0]!r} is not in material {name!r}: {', '.join(file.families)}"
        )
    families = {f: p for f, p in file.families.items() if f in ratios}
    if not prior_error:
        return replace(file, families=families)
    reference = next(iter(ratios))
    base = families[reference].strength
    for family, known in families.items():
        if family != reference:
            wrong = base * ratios[family] * np.exp(prior_error * known.log_spread * rng.normal())
            families[family] = replace(known, strength=max(wrong, 1.02 * base))
    return replace(file, families=families)


def _grains(n: int, rng) -> pd.DataFrame:
    """Grains of equal size on a square lattice, random texture, with the columns that features need."""
    row, column = np.divmod(np.arange(n), _side(n))
    table = pd.DataFrame(
        {
            "grain_id": np.arange(n) + 1,
            "phase": 1,
            "phase_name": "A",
            "x_um": column * SPACING_UM,
            "y_um": row * SPACING_UM,
            "n_pixels": 100,
            "log_diameter": np.log(SPACING_UM),
            "on_edge": False,
        }
    )
    table[["qw", "qx", "qy", "qz"]] = random_quaternions(n, rng)
    return table.assign(kam_deg=rng.random(n), gos_deg=rng.random(n))


def _side(n: int) -> int:
    return int(np.ceil(np.sqrt(n)))


def _lattice_edges(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (E, 2) of neighbours on the square lattice and their boundary lengths (E,)."""
    grain, side = np.arange(n), _side(n)
    right = grain[(grain % side < side - 1) & (grain + 1 < n)]
    below = grain[grain + side < n]
    pairs = np.concatenate([np.column_stack([right, right + 1]), np.column_stack([below, below + side])])
    return pairs, np.full(len(pairs), SPACING_UM)


def _stress(load: Load, deviation: np.ndarray) -> np.ndarray:
    """(G, 5) local stress deviators: the load's, plus ``deviation`` times its length."""
    from cpml.crystallography.tensors import to_vector

    mean = to_vector(load.stress)
    return mean + np.linalg.norm(mean) * deviation


def _share(systems, quaternions, stress, strength, n: float) -> np.ndarray:
    """(G, S) share of the grain's shear on every system of strength (S,)."""
    from cpml.plasticity.polycrystal.motion import schmid_vectors

    tau = np.einsum("gsi,gi->gs", schmid_vectors(systems, quaternions), stress)
    return flow.shares(flow.relative_stress(tau, strength, systems.twin), n)


def _labels(grains, systems, share, microscope: Microscope, rng) -> Labels:
    """Label tables of what the microscope records."""
    from cpml.microscopy import slip_labels

    traces = _traces(grains, systems, share, microscope, rng)
    slip = slip_labels(
        grains,
        traces,
        systems,
        sigma_deg=microscope.noise_deg,
        min_inclination_deg=microscope.min_inclination_deg,
    )
    twins = np.flatnonzero(systems.twin)
    variants = label_rows(
        grains[["grain_id"]],
        [systems.names[s] for s in twins],
        mechanism="twin",
        level="variant",
        observed=microscope.sees(share[:, twins], rng),
        source="ebsd",
    )
    return replace(slip, labels=pd.concat([slip.labels, variants], ignore_index=True))


def _traces(grains, systems, share, microscope: Microscope, rng) -> pd.DataFrame:
    """grain_id, angle_deg of every recorded line; an imaged grain without a line
    has one row with an empty angle.
    """
    from cpml.microscopy import slip_traces

    geometry = slip_traces(grains[["qw", "qx", "qy", "qz"]].to_numpy(), systems)
    planes = np.unique(systems.plane_id[systems.slip])
    on_plane = np.stack([share[:, systems.slip & (systems.plane_id == p)].sum(1) for p in planes], axis=1)
    is_seen = microscope.sees(on_plane, rng) & (rng.random(on_plane.shape) > microscope.missed)
    is_seen &= geometry.inclination_deg[:, planes] >= microscope.min_inclination_deg
    grain, plane = np.nonzero(is_seen)
    angle = geometry.angle_deg[grain, planes[plane]] + microscope.noise_deg * rng.normal(size=len(grain))
    false = np.flatnonzero(rng.random(len(grains)) < microscope.false_rate)
    blank = np.setdiff1d(np.arange(len(grains)), np.concatenate([grain, false]))
    lines = pd.DataFrame(
        {
            "grain": np.concatenate([grain, false, blank]),
            "angle_deg": np.concatenate([angle, 180 * rng.random(len(false)), np.full(len(blank), np.nan)])
            % 180,
        }
    )
    return lines.assign(grain_id=grains["grain_id"].to_numpy()[lines["grain"]])[["grain_id", "angle_deg"]]


def _with_baseline(specimen: Specimen) -> Specimen:
    from benchmarks.virtual_specimens import with_cp_baseline

    return with_cp_baseline(specimen)
