"""Channelling conditions: which reflections a stage setting excites in a grain, and which setting excites a
wanted one.

    Delta = arcsin(-k . g / |g|) - theta_B,      s = (|k0|^2 - |k0 + g|^2) / (2 |k0|) ~ |g| Delta

Delta is the angle by which the beam k (unit, into the crystal) misses the Bragg position of g, zero on it;
its sign is that of the deviation parameter s. ECCI is done at s = 0 or a little above.

For the inverse one motion of the stage goes through a grid, and for each of its values the other is in closed
form: k . g = f . R(x) m with x the angle of that motion, a its axis, f and m the vectors before and behind
it,

    f . R(x) m = (f . a)(a . m) + cos(x) [f . m - (f . a)(a . m)] + sin(x) f . (a x m) = -sin(theta_B + Delta)

which has two solutions x or none. Both motions take their turn, so that no curve of settings is missed.

Settings at which other strong reflections are excited as well are no two-beam conditions: `clear_deg` is
how far the nearest of them misses its own Bragg position.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import rotate
from cpml.errors import ParameterError
from cpml.microscopy.ecci.reflections import Reflections
from cpml.microscopy.ecci.stage import Stage

TOLERANCE_DEG = 0.3
"""Largest |Delta| that counts as excited; a few strong reflections of metals at 20 kV rock over 0.3 to 0.6
degrees (1 / (xi_g |g|))."""
STRONG = 3
"""Forms of planes, from the strongest, that must not be excited beside the wanted one."""
WANTED = 6
"""Forms of planes, from the strongest, that are set up."""
STAGE_ERROR_DEG = (0.1, 0.5)
"""Errors of the two motions that the columns of `settings_for` are computed for."""


def deviation_deg(found: Reflections, quaternions: ArrayLike, beam: ArrayLike) -> NDArray:
    """Delta (..., N), deg, of all reflections in crystals (..., 4) under beams (..., 3), sample frame."""
    q = np.asarray(quaternions, float)
    g = rotate(q[..., None, :], found.unit)
    along = np.einsum("...ni,...i->...n", g, np.asarray(beam, float))
    return np.degrees(np.arcsin(np.clip(-along, -1, 1))) - found.bragg_deg


def excitation_error(found: Reflections, quaternions: ArrayLike, beam: ArrayLike) -> NDArray:
    """Deviation parameter s (..., N), 1/nm, exact."""
    q, k = np.asarray(quaternions, float), np.asarray(beam, float) / found.wavelength_nm
    g = rotate(q[..., None, :], found.vector / found.a_nm)
    scattered = np.linalg.norm(k[..., None, :] + g, axis=-1)
    return (1 / found.wavelength_nm**2 - scattered**2) * found.wavelength_nm / 2


def excited(
    found: Reflections, quaternion: ArrayLike, beam: ArrayLike, *, tolerance_deg: float = TOLERANCE_DEG
) -> pd.DataFrame:
    """The reflections that a beam (3,) excites in a grain (4,), nearest to Bragg first.

    Returns
    -------
    DataFrame g, deviation_deg, s_per_nm, bragg_deg, extinction_nm, w (s xi_g, dimensionless deviation)
    """
    off = deviation_deg(found, quaternion, beam)
    s = excitation_error(found, quaternion, beam)
    near = np.flatnonzero(np.abs(off) <= tolerance_deg)
    near = near[np.argsort(np.abs(off[near]), kind="stable")]
    return pd.DataFrame(
        {
            "g": np.array(found.names, object)[near],
            "deviation_deg": off[near],
            "s_per_nm": s[near],
            "bragg_deg": found.bragg_deg[near],
            "extinction_nm": found.extinction_nm[near],
            "w": s[near] * found.extinction_nm[near],
        }
    )


def bragg_settings(
    stage: Stage, vector: ArrayLike, bragg_deg: float, *, deviation_deg: float = 0.0, step_deg: float = 1.0
) -> tuple[NDArray, NDArray]:
    """Tilts and second motions (M,), deg, within reach of the stage, that bring a reflection to Delta =
    ``deviation_deg``; each motion on a grid, the other in closed form.

    Parameters
    ----------
    vector : (3,) reflection, any length, sample frame
    """
    g = np.asarray(vector, float) / np.linalg.norm(vector)
    wanted = -np.sin(np.deg2rad(bragg_deg + deviation_deg))
    (low, high), (first, last) = stage.limits
    second = np.linspace(first, last, max(2, int((last - first) / step_deg) + 1))
    turned = stage.sample_to_lab(0.0, second) @ g
    tilt = stage.tilt_sense * _angles(np.array([0.0, 0.0, 1.0]), stage.tilt_axis, turned, wanted)
    grid = np.linspace(low, high, max(2, int((high - low) / step_deg) + 1))
    before = stage.sample_to_lab(grid, stage.offset_deg)[:, 2, :]  # the beam behind the tilt alone
    turn = stage.second_sense * _angles(before, stage.second_axis, g, wanted) + stage.offset_deg
    tilts = np.concatenate([tilt.ravel(), np.repeat(grid, 2)])
    turns = np.concatenate([np.repeat(second, 2), turn.ravel()])
    tilts, turns = (np.where(v > 180.0, v - 360.0, v) for v in (tilts, turns))
    kept = np.isfinite(tilts) & np.isfinite(turns)
    kept[kept] = stage.within(tilts[kept], turns[kept])
    return tilts[kept], turns[kept]


def _angles(before: NDArray, axis: NDArray, behind: NDArray, wanted: float) -> NDArray:
    """(M, 2) angles x, deg in [-180, 180), with before . R(axis, x) behind = wanted; NaN where there is none.

    Parameters
    ----------
    before, behind : (3,) or (M, 3); axis : (3,) unit
    """
    still = (before @ axis) * (behind @ axis)
    even = (before * behind).sum(-1) - still
    odd = (before * np.cross(axis, behind)).sum(-1)
    size = np.maximum(np.hypot(even, odd), 1e-12)
    cosine = (wanted - still) / size
    with np.errstate(invalid="ignore"):
        half = np.arccos(np.where(np.abs(cosine) <= 1, cosine, np.nan))
    middle = np.arctan2(odd, even)
    return (np.degrees(np.stack([middle - half, middle + half], axis=-1)) + 180.0) % 360.0 - 180.0


def settings_for(
    found: Reflections,
    quaternion: ArrayLike,
    stage: Stage,
    *,
    wanted: Sequence[str] | None = None,
    deviation: float = 0.0,
    step_deg: float = 1.0,
    error_deg: tuple[float, float] = STAGE_ERROR_DEG,
) -> pd.DataFrame:
    """For every reflection that the stage can excite in a grain, the setting of the clearest two-beam
    condition.

    Parameters
    ----------
    quaternion : (4,) of the grain
    wanted : names of reflections; None: the strongest WANTED forms
    deviation : Delta to be set, deg
    step_deg : grid of either motion
    error_deg : errors of tilt and second motion

    Returns
    -------
    DataFrame g, tilt_deg, second_deg, clear_deg, thrown_off_deg (root of the sum of squares of what the two
    errors change Delta by), extinction_nm; the clearest first; no rows where nothing is within reach

    Raises
    ------
    ParameterError : an unknown reflection
    """
    q = np.asarray(quaternion, float)
    strong = np.flatnonzero(found.family < STRONG)
    numbers = np.flatnonzero(found.family < WANTED)
    if wanted is not None:
        numbers = np.array([found.number(name) for name in wanted])
    rows = []
    for number in numbers:
        vector, bragg = rotate(q, found.vector[number]), float(found.bragg_deg[number])
        tilt, turn = bragg_settings(stage, vector, bragg, deviation_deg=deviation, step_deg=step_deg)
        if not len(tilt):
            continue
        clear = _clearance(found, q, stage.beam(tilt, turn), number, strong)
        best = int(np.argmax(clear - 1e-3 * np.abs(tilt)))  # of equally clear ones the least tilted
        rows.append(
            {
                "g": found.names[number],
                "tilt_deg": tilt[best],
                "second_deg": turn[best],
                "clear_deg": clear[best],
                "thrown_off_deg": _thrown_off(found, q, stage, number, tilt[best], turn[best], error_deg),
                "extinction_nm": found.extinction_nm[number],
            }
        )
    columns = ["g", "tilt_deg", "second_deg", "clear_deg", "thrown_off_deg", "extinction_nm"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("clear_deg", ascending=False, kind="stable", ignore_index=True)


def common_settings(
    found: Reflections,
    quaternions: ArrayLike,
    stage: Stage,
    *,
    tolerance_deg: float = TOLERANCE_DEG,
    step_deg: float = 2.0,
    n_best: int = 10,
) -> pd.DataFrame:
    """Settings that put several grains into a two-beam condition at once.

    Every strong reflection of every grain is set exactly, over a grid of either motion, and the
    grains that have exactly one strong reflection within the tolerance are counted.

    Parameters
    ----------
    quaternions : (G, 4)

    Returns
    -------
    DataFrame tilt_deg, second_deg, n_grains, grains (positions, as text), reflections (one of each, as text);
    most grains first
    """
    q = np.atleast_2d(np.asarray(quaternions, float))
    strong = np.flatnonzero(found.family < STRONG)
    tilts, turns = [], []
    for one in q:
        for number in strong:
            vector, bragg = rotate(one, found.vector[number]), float(found.bragg_deg[number])
            tilt, turn = bragg_settings(stage, vector, bragg, step_deg=step_deg)
            tilts.append(tilt)
            turns.append(turn)
    tilt, turn = np.concatenate(tilts), np.concatenate(turns)
    if not len(tilt):
        return pd.DataFrame(columns=["tilt_deg", "second_deg", "n_grains", "grains", "reflections"])
    beams = stage.beam(tilt, turn)
    met = np.zeros((len(tilt), len(q)), int)
    which = np.zeros((len(tilt), len(q)), int)
    for k, one in enumerate(q):
        g = rotate(one, found.unit[strong])
        off = np.degrees(np.arcsin(np.clip(-beams @ g.T, -1, 1))) - found.bragg_deg[strong]
        near = np.abs(off) <= tolerance_deg
        met[:, k], which[:, k] = near.sum(1), near.argmax(1)
    single = met == 1
    order = np.lexsort((np.abs(tilt), -single.sum(1)))
    rows, taken = [], []
    for i in order:
        chosen = (tuple(np.flatnonzero(single[i])), tuple(which[i][single[i]]))
        if chosen in taken or not chosen[0]:
            continue
        taken.append(chosen)
        rows.append(
            {
                "tilt_deg": tilt[i],
                "second_deg": turn[i],
                "n_grains": int(single[i].sum()),
                "grains": ", ".join(str(k) for k in chosen[0]),
                "reflections": ", ".join(found.names[strong[w]] for w in chosen[1]),
            }
        )
        if len(rows) == n_best:
            break
    return pd.DataFrame(rows)


def nearest_of_form(
    found: Reflections, quaternion: ArrayLike, beam: ArrayLike, name: str
) -> tuple[int, float]:
    """Which reflection of the form of ``name`` lies nearest to Bragg under a beam, and its Delta, deg.

    A user's indices and the orientation of the map may be different copies of one crystal: with the setting
    of the stage known, the copy is the one that diffracts.
    """
    form = np.flatnonzero(found.family == found.family[found.number(name)])
    off = deviation_deg(found, quaternion, beam)[form]
    best = int(np.abs(off).argmin())
    return int(form[best]), float(off[best])


def check_excited(
    found: Reflections, quaternion: ArrayLike, beam: ArrayLike, number: int, tolerance_deg: float, where: str
) -> None:
    """ParameterError for a reflection that a beam does not excite; it names those that it does."""
    off = float(deviation_deg(found, quaternion, beam)[number])
    if abs(off) <= tolerance_deg:
        return
    near = excited(found, quaternion, beam, tolerance_deg=tolerance_deg)["g"].tolist()
    raise ParameterError(
        f"{where}: {found.names[number]} is {off:+.2f} deg from its Bragg position at this setting, more "
        f"than {tolerance_deg:g}; excited there: {', '.join(near[:4]) or 'nothing'}; correct g, the "
        "setting or the axes of the stage"
    )


def _clearance(found: Reflections, q: NDArray, beams: NDArray, number: int, strong: NDArray) -> NDArray:
    """(M,) smallest |Delta| of the strong reflections but one, in one grain under beams (M, 3)."""
    along = found.unit[strong] @ found.unit[number]
    others = strong[np.abs(along) < 1 - 1e-9]  # orders of one plane are one systematic row
    g = rotate(q, found.unit[others])
    off = np.degrees(np.arcsin(np.clip(-beams @ g.T, -1, 1))) - found.bragg_deg[others]
    return np.abs(off).min(1)


def _thrown_off(
    found: Reflections,
    q: NDArray,
    stage: Stage,
    number: int,
    tilt: float,
    second: float,
    error_deg: tuple[float, float],
) -> float:
    moved = np.array([[tilt, second], [tilt + error_deg[0], second], [tilt, second + error_deg[1]]])
    off = deviation_deg(found, np.broadcast_to(q, (3, 4)), stage.beam(moved[:, 0], moved[:, 1]))[:, number]
    return float(np.hypot(off[1] - off[0], off[2] - off[0]))
