"""Why F says what it says of a grain: the chain from the mean stress to the resolved
shear of a plane, term by term.

For the most active system s of every token, in units of its strength (all systems sheared
alike sit near the same value):

    x = x_mean + x_grain + x_collective + x_neighbours,     x_i = P_gs : sigma_i / xi_s

    mean        Sigma, the load alone (what the Schmid factor knows)
    grain       lambda (s_affine - Sigma), the grain in a mean medium
    collective  lambda (s_map - s_affine), the whole map around it (scheme "full_field" only)
    neighbours  sum_i c_i T_gi, the learned corrections, with the boundary that brings most of it
    scatter     standard deviation by the unexplained stress, s_eta |P_gs| / xi_s

Strengths are scaled so that the specimen's mean largest x is one.
"""

import numpy as np
import pandas as pd
import torch

from cpml.models.mechanics.localisation import grain_state
from cpml.models.mechanics.neighbourhood import PULLS, shares_of_pulls
from cpml.plasticity.laws import flow

TERMS = ("mean", "grain", "collective", "neighbours")


def explain(model, specimen) -> pd.DataFrame:
    """One row per grain and token.

    Parameters
    ----------
    model : a fitted CoupledClassifier

    Returns
    -------
    DataFrame grain_id, mechanism, target, family, mean, grain, collective, neighbours, x (their sum),
    scatter, residual (added to the log activity), from_grain (neighbour whose boundary contributes most to
    ``neighbours``; -1 without one), p_active
    """
    data, theta = model.forward(specimen)
    with torch.no_grad():
        residual = np.zeros(data.medium.schmid.shape[:2])
        if model.gate_:
            residual = model.gate_ * model.prior_.head(theta["head"], data.inputs, data.family).numpy()
        active = data.active(theta, model.prior_.head, gate=model.gate_)[0].mean(1).numpy()
    terms, per_edge = _stresses(model, specimen, data, theta)
    strength = theta["log_strength"].exp().numpy()[specimen.systems.family]
    schmid = data.medium.schmid.numpy()
    x = {name: np.einsum("gsi,gi->gs", schmid, part) / strength for name, part in terms.items()}
    total = sum(x.values())
    loaded = np.abs(flow.directed(total, specimen.systems.twin))
    unit = loaded.max(1).mean()
    top = _top_system(specimen, loaded)
    rows = np.arange(len(specimen))[:, None]
    sense = np.where(specimen.systems.twin[top], 1.0, np.sign(total[rows, top]))
    columns = {name: sense * part[rows, top] / unit for name, part in x.items()}
    columns["x"] = sense * total[rows, top] / unit
    columns["scatter"] = (
        float(theta["scatter"]) * np.linalg.norm(schmid, axis=-1)[rows, top] / strength[top] / unit
    )
    columns |= {
        "residual": residual[rows, top],
        "from_grain": _strongest(specimen, per_edge, schmid, top, sense),
        "p_active": active,
    }
    table = specimen.predictions(active, model=model.name, **columns)
    return table.drop(columns=["p", "model"])


def _stresses(model, specimen, data, theta):
    """Stress terms (G, 5) and what each directed boundary adds to the last (2 E, 5)."""
    medium, amplitude = data.medium, float(theta["amplitude"])
    macro = np.tile(medium.macro.numpy(), (len(specimen), 1))
    shift = theta["log_strength"] - theta["log_strength"].mean() - medium.centre
    scheme = (medium.stress + torch.einsum("k,kgi->gi", shift, medium.stress_slope)).numpy()
    mean_medium = scheme
    if model.scheme_of(specimen) == "full_field":
        mean_medium = grain_state(specimen, np.exp(medium.centre.numpy()), "affine").stress
    coefficients = np.array([float(theta[name]) for name in PULLS])
    neighbours = np.einsum("c,cgi->gi", coefficients, medium.pulls.numpy())
    terms = {"mean": macro, "grain": amplitude * (mean_medium - macro), "collective": amplitude * (scheme - mean_medium),
             "neighbours": neighbours}  # fmt: skip
    strength = np.exp(medium.centre.numpy())[specimen.systems.family]
    edges = shares_of_pulls(specimen, medium.schmid.numpy(), medium.stress.numpy(), strength)
    return terms, np.einsum("c,cei->ei", coefficients, edges)


def _top_system(specimen, loaded) -> np.ndarray:
    """(G, T) most loaded system of every token."""
    top = np.empty((len(specimen), len(specimen.tokens)), int)
    for t in range(top.shape[1]):
        members = np.flatnonzero(specimen.token == t)
        top[:, t] = members[loaded[:, members].argmax(1)]
    return top


def _strongest(specimen, per_edge, schmid, top, sense) -> np.ndarray:
    """(G, T) grain_id of the neighbour that moves the token's resolved shear
    most, by the learned corrections.
    """
    here, there = specimen.directed_neighbours
    found = np.full(top.shape, -1)
    for g in range(len(specimen)):
        mine = np.flatnonzero(here == g)
        if len(mine):
            push = np.abs(schmid[g, top[g]] @ per_edge[mine].T * sense[g][:, None])
            found[g] = specimen.grain_ids[there[mine[push.argmax(1)]]]
    return found
