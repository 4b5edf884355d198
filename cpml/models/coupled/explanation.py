"""Why F says what it says of a grain: the chain from the mean stress to the resolved
shear of a plane, term by term.

For the most active system s of every token, in units of its strength (all systems sheared
alike sit near the same value):

    x = x_mean + x_grain + x_collective + x_neighbours,     x_i = P_gs : sigma_i / xi_s

    mean        Sigma, the load alone (what the Schmid factor knows)
    grain       lambda (s_affine - Sigma), the grain in a mean medium
    collective  lambda (s_map - s_affine), the map around it (schemes that know it)
    neighbours  sum_i c_i T_gi, the learned corrections, with the boundary that brings most of it
    scatter     standard deviation by the unexplained stress, s_eta |P_gs| / xi_s, or t |C_g^1/2 P_gs| / xi_s

Strengths are scaled so that the specimen's mean largest x is one.
"""

from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cpml.models.coupled.posterior import Forward, Sheared
from cpml.models.coupled.prior import Theta
from cpml.models.mechanics.grain_stress import ON_A_MAP, grain_state
from cpml.models.mechanics.neighbourhood import shares_of_pulls
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws import flow

TERMS = ("mean", "grain", "collective", "neighbours")


class Explainable(Protocol):
    """A fitted CoupledClassifier: it gives a specimen's tensors, its own
    parameters and the scheme behind them.
    """

    name: str

    def forward(self, specimen: Specimen) -> tuple[Forward, Theta]: ...  # noqa: D102

    def scheme_of(self, specimen: Specimen) -> str: ...  # noqa: D102

    def learned(self, specimen: Specimen) -> dict[str, NDArray]: ...  # noqa: D102


def explain(model: Explainable, specimen: Specimen) -> pd.DataFrame:
    """One row per grain and token.

    Returns
    -------
    DataFrame grain_id, mechanism, target, family, mean, grain, collective, neighbours, x (their sum),
    scatter, from_grain (neighbour whose boundary contributes most to ``neighbours``; -1 without one), learned
    (added to the log odds by the learned correction; where that speaks, also learned_law, learned_stress,
    learned_neighbours, learned_grain, learned_family, what each group of inputs adds, and learned_by, the
    input that moves it most), p_active
    """
    data, theta = model.forward(specimen)
    scheme = model.scheme_of(specimen)
    with torch.no_grad():
        sheared = data.at(theta)
    columns, top = chain_of_causes(specimen, scheme, data, theta, sheared)
    per_edge = _neighbour_stresses(specimen, scheme, data, theta)
    columns["from_grain"] = _strongest(specimen, per_edge, data.localisation.schmid.numpy(), top)
    columns |= model.learned(specimen)
    active = sheared.average(sheared.active).numpy()
    columns["p_active"] = active
    return specimen.predictions(active, model=model.name, **columns).drop(columns=["p", "model"])


def chain_of_causes(
    specimen: Specimen, scheme: str, data: Forward, theta: Theta, sheared: Sheared
) -> tuple[dict[str, NDArray], NDArray]:
    """Columns mean, grain, collective, neighbours, x, scatter (G, T) of :func:`explain`, and the most loaded
    system (G, T) of every token.
    """
    schmid, root = data.localisation.schmid.numpy(), sheared.answer.root
    with torch.no_grad():
        terms = _stresses(specimen, scheme, data, theta)
    strength = theta.log_strength.exp().numpy()[specimen.systems.family]
    if root is None:
        spread = float(theta.scatter) * np.linalg.norm(schmid, axis=-1)
    else:
        spread = float(theta.trust) * np.linalg.norm(schmid @ root.numpy(), axis=-1)
    x = {name: np.einsum("gsi,gi->gs", schmid, part) / strength for name, part in terms.items()}
    total = np.sum([*x.values()], axis=0)
    loaded = np.abs(flow.directed(total, specimen.systems.twin))
    unit = loaded.max(1).mean()
    top = _top_system(specimen, loaded)
    rows = np.arange(len(specimen))[:, None]
    sense = np.where(specimen.systems.twin[top], 1.0, np.sign(total[rows, top]))
    columns = {name: sense * part[rows, top] / unit for name, part in x.items()}
    columns["x"] = sense * total[rows, top] / unit
    columns["scatter"] = spread[rows, top] / strength[top] / unit
    return columns, top


def _stresses(specimen: Specimen, scheme: str, data: Forward, theta: Theta) -> dict[str, NDArray]:
    """The stress (G, 5) of every one of TERMS."""
    localisation, amplitude = data.localisation, float(theta.amplitude)
    macro = np.tile(localisation.macro.numpy(), (len(specimen), 1))
    solved = localisation.response(theta.log_strength).stress.numpy()
    in_medium = solved
    if scheme in ON_A_MAP:
        in_medium = grain_state(
            specimen, localisation.centre.numpy(), "affine", numerics=localisation.numerics
        ).stress
    return {
        "mean": macro,
        "grain": amplitude * (in_medium - macro),
        "collective": amplitude * (solved - in_medium),
        "neighbours": np.einsum("c,cgi->gi", theta.coefficients.numpy(), localisation.pulls.numpy()),
    }


def _neighbour_stresses(specimen: Specimen, scheme: str, data: Forward, theta: Theta) -> NDArray:
    """(2 E, 5) what each directed boundary adds to the learned corrections."""
    localisation = data.localisation
    centre = localisation.centre.numpy()
    state = grain_state(specimen, centre, scheme, numerics=localisation.numerics)
    strength = np.exp(centre)[specimen.systems.family]
    schmid = localisation.schmid.numpy()
    parts = shares_of_pulls(specimen, schmid, state.stress, strength, localisation.numerics)
    return np.einsum("c,cei->ei", theta.coefficients.numpy(), parts)


def _top_system(specimen: Specimen, loaded: NDArray) -> NDArray:
    """(G, T) most loaded system of every token."""
    top = np.empty((len(specimen), len(specimen.tokens)), int)
    for t in range(top.shape[1]):
        members = np.flatnonzero(specimen.token == t)
        top[:, t] = members[loaded[:, members].argmax(1)]
    return top


def _strongest(specimen: Specimen, per_edge: NDArray, schmid: NDArray, top: NDArray) -> NDArray:
    """(G, T) grain_id of the neighbour that moves the token's resolved shear
    most, by the learned corrections.
    """
    here, there = specimen.directed_neighbours
    strongest = np.full(top.shape, -1)
    for g in range(len(specimen)):
        edges = np.flatnonzero(here == g)
        if len(edges):
            push = np.abs(schmid[g, top[g]] @ per_edge[edges].T)
            strongest[g] = specimen.grain_ids[there[edges[push.argmax(1)]]]
    return strongest
