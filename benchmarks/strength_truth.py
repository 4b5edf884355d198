"""The truth that strength ratios are judged on: strengths averaged over the strain of a test.

Footprints are left over the whole test, while strengths rise. A specimen's generator knows initial strengths,
its hardening law, and the shear of every family in every grain at the end; the law is followed along the
proportional path to that end, and strengths are averaged over the path and over the grains of the map.

| set | hardening |
|---|---|
| factory | of the material's file, stresses scaled as the strengths are |
| slabs and deep volumes | phenomenological power law of DAMASK 3.0.2 (truth.json); interactions of one |
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.models.coupled.strengths.hardened import STEPS, rises
from cpml.models.specimen.specimen import Specimen
from cpml.virtual.truth import load_truth

COLUMNS = ("initial", "mean", "end", "share")


def of_factory(folder: Path, specimen: Specimen, partner: pd.Series) -> pd.DataFrame:
    """initial, mean, end (MPa), share of all shear, by family; without families that share their planes with
    another one, whose shear the truth does not tell apart.

    Parameters
    ----------
    partner : by grain_id, the simulation's grain
    """
    truth = load_truth(Path(folder) / "truth.npz")
    known = specimen.position(partner.index)
    systems = specimen.systems
    shear = np.zeros((len(partner), len(systems)))
    planes = truth.planes.pivot_table(index="grain", columns="family", values="shear", aggfunc="sum")
    twinned = truth.variants.groupby("grain")["fraction"].sum()
    for k, family in enumerate(systems.family_names):
        members = np.flatnonzero(systems.family == k)
        if systems.twin[members[0]]:
            first = np.flatnonzero(systems.twin)[0]
            if systems.family[first] != k:
                continue  # the truth counts all types of twins together: as the first
            amount = twinned.reindex(partner).fillna(0.0).to_numpy() * systems.twin_shear[first]
        elif family in planes:
            amount = planes[family].reindex(partner).fillna(0.0).to_numpy()
        else:
            continue
        shear[:, members] = amount[:, None] / len(members)
    weights = specimen.weights[known] / specimen.weights[known].sum()
    seen = replace(specimen, grains=specimen.grains.iloc[known].reset_index(drop=True))
    rise = rises(seen, shear)
    initial = truth.strengths.set_index("family")["strength_mpa"].reindex(systems.family_names).to_numpy()
    by_family = np.stack([shear[:, systems.family == k].sum(1) for k in range(len(initial))], axis=1)
    share = weights @ by_family / (weights @ by_family).sum()
    values = np.stack([initial, initial * rise.mean(0), initial * rise[-1], share], axis=1)
    table = pd.DataFrame(values, index=list(systems.family_names), columns=list(COLUMNS))
    of_plane = [set(systems.family[systems.plane_id == p].tolist()) for p in np.unique(systems.plane_id)]
    mixed = set().union(*(families for families in of_plane if len(families) > 1))
    return table.drop(index=[systems.family_names[k] for k in mixed])


def of_generator(folder: Path) -> pd.DataFrame:
    """The same of a folder of the other code; families that it does not have are missing."""
    folder = Path(folder)
    law = json.loads((folder / "truth.json").read_text())["material_hidden"]["phenopowerlaw"]
    grains = pd.read_csv(folder / "grains_truth.csv")
    area = grains["n_pixels"] / grains["n_pixels"].sum()
    slip = [c for c in grains if c.startswith("gamma_family|")]
    is_used = np.array(law["xi_0_sl"], float) > 0

    def values(key: str) -> NDArray:
        return np.broadcast_to(np.array(law.get(key, 0.0), float), is_used.shape)[is_used]

    amounts = grains[slip].abs().to_numpy()
    total = amounts.sum(1)
    fraction = grains.get("twin_fraction_total", pd.Series(0.0, grains.index)).to_numpy()
    twins = [c for c in grains if c.startswith("twin_shear|")]
    twinned = grains[twins].abs().sum(axis=1).to_numpy()
    strength = np.tile(values("xi_0_sl") / 1e6, (len(grains), 1))
    twin = np.full(len(grains), float(np.ravel(law.get("xi_0_tw", 0.0))[0]) / 1e6)
    h_slip, h_twin = (float(np.ravel(law.get(k, 0.0))[0]) / 1e6 for k in ("h_0_tw_sl", "h_0_tw_tw"))
    path = [(strength, twin)]
    for step in range(STEPS):
        limit = (
            values("xi_inf_sl") + values("f_sat_sl_tw") * np.sqrt(fraction * step / STEPS)[:, None]
        ) / 1e6
        left = 1 - strength / limit
        rate = values("h_0_sl_sl") / 1e6 * np.abs(left) ** values("a_sl") * np.sign(left)
        strength = strength + rate * (total / STEPS)[:, None]
        twin = twin + (h_slip * total + h_twin * twinned) / STEPS
        path.append((strength, twin))
    slips = np.array([area.to_numpy() @ s for s, _ in path])
    table = {name.split("|")[1]: slips[:, k] for k, name in enumerate(slip)}
    share = dict(zip(table, area.to_numpy() @ amounts, strict=True))
    if twins:
        table["twin_1012"] = np.array([area.to_numpy() @ t for _, t in path])
        share["twin_1012"] = float(area.to_numpy() @ twinned)
    whole = sum(share.values())
    rows = {f: (x[0], x.mean(), x[-1], share[f] / whole) for f, x in table.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
