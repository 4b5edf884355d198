"""A small synthetic specimen whose footprints follow the model itself, so that every answer is known."""

import numpy as np
import pandas as pd
import pytest

from cpml.crystallography import load_material, schmid_factors
from cpml.crystallography.rotations import random_quaternions
from cpml.loading import Load
from cpml.microscopy.slip_traces import slip_traces
from cpml.models.specimen import Specimen


def make_specimen(
    n=60,
    *,
    material="magnesium",
    seed=0,
    load="tension",
    ratios=None,
    scatter=0.05,
    n_exponent=20.0,
    labelled=True,
):
    """Grains on a square lattice; traces and twins drawn from the Sachs law with the strength ratios given."""
    rng = np.random.default_rng(seed)
    material = load_material(material)
    systems, side = material.systems(), int(np.ceil(np.sqrt(n)))
    y, x = np.divmod(np.arange(n), side)
    grains = pd.DataFrame(
        {
            "parent_id": np.arange(n) + 1,
            "phase_name": "A",
            "x_um": x * 10.0,
            "y_um": y * 10.0,
            "n_pixels": 100,
        }
    )
    grains[["qw", "qx", "qy", "qz"]] = random_quaternions(n, rng)
    grains = grains.assign(
        log_diameter=np.log(10.0), on_edge=False, kam_deg=rng.random(n), gos_deg=rng.random(n)
    )
    pairs = np.array(
        [(i, j) for i in range(n) for j in (i + 1, i + side) if j < n and (j != i + 1 or x[j] > 0)]
    )
    load = Load.from_dict({"kind": load, "axis": "x"})
    q = grains[["qw", "qx", "qy", "qz"]].to_numpy()
    strength = material.strengths * 1.0 if ratios is None else np.asarray(ratios, float)
    tau = schmid_factors(systems, q, load.stress) + scatter * rng.normal(size=(n, len(systems)))
    tau = np.where(systems.twin, np.maximum(tau, 0), np.abs(tau))
    share = (tau / strength[systems.family]) ** n_exponent
    share /= share.sum(1, keepdims=True)
    specimen = Specimen("synthetic", grains, systems, material, load, _labels(grains, systems, share, rng, labelled), pairs,
                        np.full(len(pairs), 10.0), _baseline(systems, q, load, material))  # fmt: skip
    return specimen, share


def _baseline(systems, q, load, material):
    schmid = schmid_factors(systems, q, load.stress)
    tau = np.where(systems.twin, np.maximum(schmid, 0), np.abs(schmid)) / material.strengths[systems.family]
    share = tau**20 / (tau**20).sum(1, keepdims=True)
    return {
        "schmid": schmid,
        "share_sachs": share,
        "share_taylor": share,
        "taylor_factor": np.full(len(q), 3.0),
    }


def _labels(grains, systems, share, rng, labelled):
    columns = [
        "grain_id",
        "mechanism",
        "target",
        "observed",
        "candidates",
        "weight",
        "source",
        "angle_deg",
        "sigma_deg",
        "row",
    ]
    planes, rows = np.unique(systems.plane_id[systems.slip]), []
    geometry = slip_traces(grains[["qw", "qx", "qy", "qz"]].to_numpy(), systems)
    for i, grain in enumerate(grains["parent_id"] if labelled else []):
        for p in planes:
            active = share[i, systems.slip & (systems.plane_id == p)].sum() > 0.2
            visible = geometry.inclination_deg[i, p] > 12
            rows.append(
                (
                    grain,
                    "slip",
                    systems.plane_names[p],
                    float(active) if visible else np.nan,
                    "",
                    1.0,
                    "t",
                    np.nan,
                    np.nan,
                    "plane",
                )
            )
            if active and visible:
                angle = (geometry.angle_deg[i, p] + 2 * rng.normal()) % 180
                rows.append((grain, "slip", "", 1.0, "", 1.0, "t", angle, 2.0, "trace"))
        for s in np.flatnonzero(systems.twin):
            rows.append(
                (
                    grain,
                    "twin",
                    systems.names[s],
                    float(share[i, s] > 0.2),
                    "",
                    1.0,
                    "t",
                    np.nan,
                    np.nan,
                    "variant",
                )
            )
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"grain_id": int, "observed": float, "angle_deg": float, "sigma_deg": float})


@pytest.fixture(scope="session")
def specimen():
    """60 magnesium grains with traces and twins."""
    return make_specimen()[0]


@pytest.fixture
def build():
    """The maker itself, for tests that need other settings."""
    return make_specimen
