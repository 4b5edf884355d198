"""Numbers that describe a (grain, token) pair to a learner, with and without physics.

Physics-free columns: size, shape, spread and neighbourhood of the grain, family of the token, direction
cosines of its plane (and of a twin's shear) in the sample frame. Physics columns: Schmid factor, stress over
strength, activities of the law under Sachs and Taylor, Taylor factor, and the pull of the neighbours

    transfer_gt = max_{s in t} sum_h w_gh sum_u m'_su share_hu,    w_gh = L_gh / sum_h L_gh

(`cpml.models.mechanics.neighbourhood`). Every column is a contraction or an absolute value: the
crystal's symmetry copies only permute tokens, and slip senses do not matter.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.models.mechanics.grain_stress import grain_state
from cpml.models.mechanics.neighbourhood import neighbour_transfer
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws import flow
from cpml.plasticity.polycrystal.motion import schmid_vectors

GRAIN_COLUMNS = (
    "log_diameter",
    "aspect_ratio",
    "on_edge",
    "gos_deg",
    "kam_deg",
    "n_neighbours",
    "neighbour_angle_deg",
    "neighbour_size_ratio",
)
TINY = 1e-6  # shares below this are alike: no shear that anybody could see


def grain_columns(specimen: Specimen) -> pd.DataFrame:
    """(G, ...) description of every grain without physics; columns that the data set lacks are left out."""
    return specimen.grains[[c for c in GRAIN_COLUMNS if c in specimen.grains]].astype(float)


def token_features(specimen: Specimen, *, physics: bool, scheme: str | None = None) -> pd.DataFrame:
    """Feature table of every (grain, token), in the order of ``Specimen.predictions``.

    Parameters
    ----------
    physics : add what the crystal-plasticity law says
    scheme : add what it says under a scheme that knows the map ("affine" for a specimen without one)
    """
    tokens, n_tokens = specimen.tokens, len(specimen.tokens)
    table = grain_columns(specimen).loc[np.repeat(np.arange(len(specimen)), n_tokens)].reset_index(drop=True)
    families = {f: i for i, f in enumerate(specimen.systems.family_names)}
    table["family"] = np.tile(tokens["family"].map(families).to_numpy(), len(specimen))
    first = np.array([np.flatnonzero(specimen.token == t)[0] for t in range(n_tokens)])
    turn = quaternion_to_matrix(specimen.quaternions)
    for name, vectors in (
        ("plane", specimen.systems.plane[first]),
        ("sense", specimen.systems.direction[first]),
    ):
        # a slip plane holds several directions, so only the polar twins have one of their own
        own = vectors if name == "plane" else vectors * specimen.systems.twin[first][:, None]
        cosine = np.abs(np.einsum("gij,tj->gti", turn, own))
        table[[f"{name}_{axis}" for axis in "xyz"]] = cosine.reshape(-1, 3)
    parts = [table, *([_physics(specimen)] if physics else [])]
    if scheme is not None:
        shear = scheme_shear(specimen, "affine" if specimen.raster is None else scheme)
        parts.append(pd.DataFrame({f"log_shear_{scheme}": np.log(shear + TINY).ravel()}))
    return pd.concat(parts, axis=1)


def full_field_shear(specimen: Specimen) -> NDArray:
    """(G, T) shear on every token over the mean shear of a grain: the law with
    literature strengths on the map.

    A specimen without a map gets the self-consistent medium.
    """
    return scheme_shear(specimen, "affine" if specimen.raster is None else "full_field")


def scheme_shear(specimen: Specimen, scheme: str) -> NDArray:
    """(G, T) shear on every token over the mean shear of a grain, by a scheme of `grain_stress` at the
    literature's strengths.
    """
    strength = specimen.material.strengths
    state = grain_state(specimen, np.log(strength), scheme)
    tau = np.einsum("gsi,gi->gs", schmid_vectors(specimen.systems, specimen.quaternions), state.stress)
    x = flow.relative_stress(tau, strength[specimen.systems.family], specimen.systems.twin)
    share = flow.shares(x, specimen.material.n)
    return _per_token(specimen, share * np.exp(state.log_total)[:, None], np.sum)


def _physics(specimen: Specimen) -> pd.DataFrame:
    systems, cp = specimen.systems, specimen.cp
    stress = _signed_for_twins(specimen)
    strength = specimen.material.strengths[systems.family]
    table = {
        "schmid": _per_token(specimen, stress, np.max),
        "stress_over_strength": _per_token(specimen, stress / strength * strength.min(), np.max),
        "log_share_sachs": np.log(_per_token(specimen, cp["share_sachs"], np.sum) + TINY),
        "log_share_taylor": np.log(_per_token(specimen, cp["share_taylor"], np.sum) + TINY),
        "transfer": _per_token(specimen, neighbour_transfer(specimen, cp["share_sachs"]), np.max),
    }
    table["schmid_rank"] = (-table["schmid"]).argsort(axis=1).argsort(axis=1).astype(float)
    table["taylor_factor"] = np.repeat(cp["taylor_factor"][:, None], len(specimen.tokens), axis=1)
    return pd.DataFrame({name: values.ravel() for name, values in table.items()})


def _per_token(specimen: Specimen, values: NDArray, reduce: Callable[..., NDArray]) -> NDArray:
    """(G, T) maximum or sum over the systems of every token of (G, S) values."""
    parts = [values[:, specimen.token == t] for t in range(len(specimen.tokens))]
    return np.stack([reduce(part, axis=1) for part in parts], axis=1)


def schmid_of_tokens(specimen: Specimen) -> NDArray:
    """(G, T) largest Schmid factor of every token: absolute for slip, signed for twins."""
    return _per_token(specimen, _signed_for_twins(specimen), np.max)


def share_of_tokens(specimen: Specimen, scheme: str) -> NDArray:
    """(G, T) share of the grain's shear on every token after the CP baseline ``scheme``."""
    return _per_token(specimen, specimen.cp[f"share_{scheme}"], np.sum)


def _signed_for_twins(specimen: Specimen) -> NDArray:
    """(G, S) Schmid factors, without sign where a system moves both ways."""
    schmid = specimen.cp["schmid"]
    return np.where(specimen.systems.slip, np.abs(schmid), schmid)
