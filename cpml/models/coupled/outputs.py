"""What a fitted F says of a grain beyond planes and variants: systems, families, any
twin, cross-slip pairs, climb.

Every probability is a mean over the draws k of the grain's stress, so that what
happens together stays together:

    system      1/K sum_k h(pi_gks)                       h: the visible limit of `cpml.models.coupled.likelihood`, pi_gks one system's share
    family      1/K sum_k [1 - prod_{p in family} (1 - a_gkp)]        the same over all variants: any twin
    cross-slip  1/K sum_k a_gkp a_gkq phi_gkpq            planes p, q with a common Burgers vector; phi the thermally
                                                          activated transfer of
                                                          `cpml.plasticity.CrossSlip` (larger sense)
    climb       h(share of climb in all shear)            diffusion-limited rate of `cpml.plasticity.DiffusionClimb`

Cross-slip and climb are not learned: footprints show them too rarely, so the law speaks with the literature's
energies, and the interval is that of their spread. Without a temperature it spans 273 K to half the melting
point; without parameters it is 0 to 1 and p is missing.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from cpml.models.coupled.likelihood import activity
from cpml.models.coupled.prior import rates
from cpml.plasticity.laws import flow

NINETY_PERCENT = 1.645
ROOM = 293.0  # K
COLUMNS = ["grain_id", "mechanism", "level", "target", "family", "p", "p_low", "p_high"]


def all_levels(specimen, data, theta, head, *, gate: float, strengths: np.ndarray) -> pd.DataFrame:
    """Rows of every level but the tokens.

    Parameters
    ----------
    data : Forward of the specimen; theta, head, gate : of the fitted model; strengths : (K,) MPa

    Returns
    -------
    DataFrame grain_id, mechanism, level (system, family, any, pair, climb), target, family, p, p_low, p_high
    """
    with torch.no_grad():
        system, log_total = data.share(theta, head, gate=gate)
        by_token, _ = data.active(theta, head, gate=gate)
        n_slip = int(specimen.systems.slip.sum())
        by_system = activity(_slip_first(system, specimen), log_total, n_slip, rates(theta))
        stress, _ = data.medium.local_stress(theta)
    parts = [_systems(specimen, by_system.mean(1).numpy()), *_families(specimen, by_token.numpy())]
    megapascal = stress.numpy() * stress_scale(specimen, data, theta, strengths)
    parts += [_cross_slip(specimen, by_token.numpy(), megapascal), _climb(specimen, megapascal, theta)]
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def stress_scale(specimen, data, theta, strengths) -> float:
    """Deviatoric stress in MPa per unit of the model's relative stress, at the end of the test.

    From the last point of the stress-strain curve; without one, from the strengths: the most loaded system of
    the middle grain sits at its strength.
    """
    if specimen.curve is not None and len(specimen.curve):
        return float(abs(specimen.curve["true_stress_mpa"].iloc[-1]) / np.sqrt(1.5))
    with torch.no_grad():
        stress = data.medium.local_stress(theta)[0].mean(1)
        tau = torch.einsum("gsi,gi->gs", data.medium.schmid, stress).numpy()
    x = flow.relative_stress(tau, strengths[specimen.systems.family], specimen.systems.twin)
    return float(1.0 / np.median(np.abs(x).max(1)))


def _slip_first(values, specimen):
    order = np.concatenate([np.flatnonzero(specimen.systems.slip), np.flatnonzero(specimen.systems.twin)])
    return values[..., torch.as_tensor(order)]


def _table(specimen, mechanism, level, targets, family, p, low=None, high=None) -> pd.DataFrame:
    """Long rows of (G, T) values."""
    p = np.asarray(p, float)
    count = len(targets)
    values = {
        "p": p,
        "p_low": p * np.nan if low is None else low,
        "p_high": p * np.nan if high is None else high,
    }
    ids = {"grain_id": np.repeat(specimen.grain_ids, count), "mechanism": mechanism, "level": level,
           "target": np.tile(np.asarray(targets, object), len(specimen)), "family": np.tile(np.asarray(family, object), len(specimen))}  # fmt: skip
    return pd.DataFrame(ids | {name: np.broadcast_to(v, p.shape).ravel() for name, v in values.items()})


def _systems(specimen, p) -> pd.DataFrame:
    systems = specimen.systems
    slip = np.flatnonzero(systems.slip)
    family = [systems.family_names[systems.family[s]] for s in slip]
    return _table(specimen, "slip", "system", [systems.names[s] for s in slip], family, p[:, : len(slip)])


def _families(specimen, active):
    """One table for the families, one for slip at all and twinning at all."""
    tokens = specimen.tokens
    for level, key in (("family", "family"), ("any", "mechanism")):
        for (mechanism, name), rows in tokens.groupby(["mechanism", key], sort=False):
            together = 1 - np.prod(1 - active[:, :, rows.index.to_numpy()], axis=-1)
            family = name if level == "family" else ""
            yield _table(specimen, mechanism, level, [name], [family], together.mean(1)[:, None])


def _temperatures(specimen) -> tuple[float, float, float]:
    """Temperature of the test and the range that is possible, K."""
    if specimen.load.temperature is not None:
        return (float(specimen.load.temperature),) * 3
    melting = specimen.material.diffusion.get("melting_k", 1000.0)
    return ROOM, 273.0, 0.5 * float(melting)


def _cross_slip(specimen, active, stress) -> pd.DataFrame:
    from cpml.crystallography.cross_slip_pairs import cross_slip_pairs
    from cpml.plasticity import CrossSlip

    pairs = cross_slip_pairs(specimen.systems)
    if pairs.empty:
        return pd.DataFrame(columns=COLUMNS)
    token, family = specimen.token, specimen.tokens["family"].to_numpy()
    first, second = pairs["system_a"].to_numpy(int), pairs["system_b"].to_numpy(int)
    families = [
        a if a == b else f"{a}|{b}" for a, b in zip(family[token[first]], family[token[second]], strict=True)
    ]
    both = active[..., token[first]] * active[..., token[second]]
    if not specimen.material.cross_slip:
        nothing = np.full((len(specimen), len(pairs)), np.nan)
        return _table(specimen, "cross_slip", "pair", pairs["target"], families, nothing, 0.0, both.mean(1))
    law = CrossSlip.from_material(specimen.material)
    spread = NINETY_PERCENT * float(specimen.material.cross_slip.get("log_spread", 0.5))
    local = torch.as_tensor(np.einsum("gij,gki->gkj", _turn(specimen), stress))
    there, back = (_rows_of(law.pairs, *ends) for ends in ((first, second), (second, first)))
    found = []
    for temperature, factor in zip(_temperatures(specimen), np.exp([0.0, spread, -spread]), strict=True):
        share = replace(law, energy=law.energy * factor).probability(local, temperature).numpy()
        found.append((both * np.maximum(share[..., there], share[..., back])).mean(1))
    return _table(specimen, "cross_slip", "pair", pairs["target"], families, *found)


def _rows_of(pairs, first, second) -> np.ndarray:
    """Row of every ordered pair of systems in ``pairs`` (P, 2)."""
    row = {tuple(pair): i for i, pair in enumerate(pairs.tolist())}
    return np.array([row[pair] for pair in zip(first.tolist(), second.tolist(), strict=True)])


def _turn(specimen) -> np.ndarray:
    from cpml.crystallography.rotations import quaternion_to_matrix
    from cpml.crystallography.tensors import rotation_5x5

    return rotation_5x5(quaternion_to_matrix(specimen.quaternions))


def _climb(specimen, stress, theta) -> pd.DataFrame:
    from cpml.plasticity import DiffusionClimb

    unknown = np.full((len(specimen), 1), np.nan)
    if not specimen.material.diffusion:
        return _table(specimen, "climb", "climb", [""], [""], unknown, 0.0, 1.0)
    spread = float(specimen.material.diffusion.get("log_spread", 1.0))
    local = torch.as_tensor(np.einsum("gij,gki->gkj", _turn(specimen), stress))
    found = []
    factors = np.exp(NINETY_PERCENT * spread * np.array([0.0, -1.0, 1.0]))
    for temperature, factor in zip(_temperatures(specimen), factors, strict=True):
        law = DiffusionClimb.from_material(specimen.material, temperature)
        climbed = factor * law.rates(local @ law.schmid.T)[0].abs().sum(-1).numpy()
        share = climbed / (climbed + specimen.load.rate)
        limit, steep = float(theta["slip_limit"]), float(theta["steepness"])
        found.append((1 / (1 + (limit / np.maximum(share, 1e-30)) ** steep)).mean(1)[:, None])
    return _table(specimen, "climb", "climb", [""], [""], *found)
