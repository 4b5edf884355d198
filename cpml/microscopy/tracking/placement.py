"""Where a map lies on an earlier map of the same specimen: turn, shift and stretch, found from the grains.

    p_step = M p + t  (um),   R_step = Q R_reference  (but for what the lattice of each grain has turned)

A specimen that was put back turned by psi about the map normal shows grains whose positions and lattices have
both turned by psi. So for every psi in steps of 10 deg the grains of both maps whose orientations agree to
within `TOLERANCE_DEG` are paired, and each pair proposes a shift; the right psi is the one under which many
pairs propose the same. From there pairs of nearest grains and their rotation, shift and stretch are found in
turn. Of all that is found the placement counts under which the largest area agrees in orientation.

| symbol | meaning | unit, shape |
|---|---|---|
| M, t | affine map of the plane, reference to step | (2, 2), um |
| Q | rotation common to all lattices, w first | (4,) |
| agreement | share of the overlapping area whose grains have one orientation | |
| chance | the same if the maps were laid over each other anyhow | |

Centroids of some ten whole grains fix M and t to a fraction of a step; fewer than six fix a shift alone.
Nothing is assumed about the size of the strain, only that the map as a whole is stretched evenly; what is not
even stays as a mismatch of the outlines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.stats import binom

from cpml.crystallography.disorientation import disorientation_angle, rotation_vectors
from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_conjugate, quaternion_multiply
from cpml.errors import ParameterError
from cpml.microscopy.maps.frames import frame_rotation, to_sample_frame
from cpml.microscopy.maps.means import exponential
from cpml.microscopy.registration.affine import Affine, fit_affine
from cpml.microscopy.tracking.regions import Regions

TOLERANCE_DEG = 15.0
"""Largest rotation of one lattice against all others that still counts as the same grain."""
TURNS_DEG = np.arange(0.0, 360.0, 10.0)
LARGEST = 150
"""Grains of each map, the largest ones, that vote for a turn."""
CANDIDATES = 6
FEW_PAIRS = 6
"""Pairs below which their centroids fix no stretch."""
POINTS = 4000
"""Reference points whose overlap is counted while the placement is sought."""
WORTHWHILE = 0.02
"""Share of the points that has to agree in addition before the outlines overrule the centroids."""
LIKELY, TRIALS = 0.01, 1e6
"""A placement is taken for chance unless its probability is below 0.01 among a million tried."""
MOST_STRETCH = 1.0
"""Largest logarithmic stretch of the map: beyond it the pairs are chance."""


@dataclass(frozen=True)
class Placement:
    """A step's map on the reference map; the symbols are those of the module.

    Attributes
    ----------
    to_step : from reference um (x, y) to step um; its residual is that of the paired centroids, um
    common : (4,) Q
    overlap : share of the smaller map that lies in the other
    n_pairs : grains whose centroids made the placement
    n_shown, n_agreeing : reference grains that the step's map shows, and those of them that mostly agree
    given : whether homologous points were given
    """

    to_step: Affine
    common: NDArray
    agreement: float
    chance: float
    overlap: float
    n_pairs: int
    n_shown: int
    n_agreeing: int
    given: bool = False

    def to_reference(self, xy: ArrayLike) -> NDArray:
        """Places (..., 2) of the step's map on the reference map, um."""
        return np.linalg.solve(self.to_step.matrix, (np.asarray(xy, float) - self.to_step.offset)[..., None])[
            ..., 0
        ]

    @property
    def turn_deg(self) -> float:
        """Turn of the positions about the map normal, deg, counter-clockwise on screen, in (-180, 180]."""
        return -float(np.degrees(_angle_of(self.to_step.matrix)))

    @property
    def is_clear(self) -> bool:
        """Whether this is no chance: most of a large overlap agrees, or more grains do than any of the
        placements tried would reach by chance.
        """
        if self.agreement > 0.75 and self.overlap > 0.5:
            return True
        return bool(binom.sf(self.n_agreeing - 1, self.n_shown, self.chance) < LIKELY / TRIALS)

    @property
    def stretches(self) -> NDArray:
        """(2,) principal stretches of the map, the larger first."""
        return np.linalg.svd(self.to_step.matrix, compute_uv=False)


def place(
    reference: Regions,
    step: Regions,
    *,
    points: Sequence[Sequence[float]] | None = None,
    tolerance_deg: float = TOLERANCE_DEG,
) -> Placement:
    """Find how a step's map lies on the reference map.

    Parameters
    ----------
    points : rows [step column, step row, reference column, reference row] of homologous points, three or
        more; None: the grains tell
    tolerance_deg : largest lattice rotation of a grain against the common one

    Raises
    ------
    ParameterError : no placement under which the grains agree, mirrored points, or no phase in common
    """
    if not set(reference.phase_names) & set(step.phase_names) - {""}:
        raise ParameterError(
            f"maps {reference.map.name!r} and {step.map.name!r} have no phase in common: "
            f"{sorted(set(reference.phase_names))} and {sorted(set(step.phase_names))}"
        )
    search = _Search(reference, step, tolerance_deg)
    if points is not None:
        return search.given(np.asarray(points, float))
    placement = search.best()
    if placement is not None and placement.is_clear:
        return placement
    reason = "no grains of one orientation"
    if placement is not None:
        reason = f"at best {placement.agreement:.0%} of the overlap agree, {placement.chance:.0%} by chance"
    if frames := _frames_that_agree(reference, step, tolerance_deg):
        advice = f"with its Euler axes turned by {' or '.join(frames)} it can: check its frame"
    else:
        advice = "is it the same area? Where the grains cannot tell give points, registration.map_to_ebsd"
    raise ParameterError(
        f"map {step.map.name!r} cannot be laid on map {reference.map.name!r} ({reason}): {advice}"
    )


def _frames_that_agree(reference: Regions, step: Regions, tolerance_deg: float) -> list[str]:
    """Turns of the step's Euler axes under which it can be laid on the reference."""
    found = []
    for name in ("x180", "y180", "z180", "z90", "z-90"):
        turned = to_sample_frame(step.map.quaternions, frame_rotation(name))
        other = replace(step, map=replace(step.map, quaternions=turned))
        placement = _Search(reference, other, tolerance_deg).best(polish=False)
        if placement is not None and placement.is_clear:
            found.append(name)
    return found


class _Search:
    """The state of a search: a rotation Q (4,) and an Affine at a time."""

    def __init__(self, reference: Regions, step: Regions, tolerance_deg: float):
        self.reference, self.step, self.tolerance = reference, step, np.radians(tolerance_deg)
        self.places = [r.table[["x_um", "y_um"]].to_numpy() for r in (reference, step)]
        self.area = [r.table["area_um2"].to_numpy() for r in (reference, step)]
        self.usable = [np.isfinite(r.quaternions).all(axis=1) for r in (reference, step)]
        self.tree = cKDTree(self.places[1])
        self.diameter = float(np.median(np.sqrt(np.concatenate(self.area))))
        self.size = float(max(np.ptp(r.map.xy, axis=0).max() + r.map.step_um for r in (reference, step)))
        inside = np.flatnonzero(reference.label > 0)
        self.sample = inside[:: max(1, len(inside) // POINTS)]

    def best(self, *, polish: bool = True) -> Placement | None:
        """The placement under which the largest area agrees; None where no pairs of grains hold together."""
        found = [self.refined(turn, shift) for turn, shift in self.proposals()]
        known = [state for state in found if state is not None]
        if not known:
            return None
        chosen = max(known, key=lambda state: self.score(state[0], state[1]))
        return self.result(*(self.polished(chosen) if polish else chosen))

    def angles(self, q: NDArray, first: NDArray, second: NDArray) -> NDArray:
        """Disorientation, rad, of reference grains turned by q to step grains; infinite between phases."""
        a, b = self.reference, self.step
        out = np.full(len(first), np.inf)
        for phase in set(a.phase_names) & set(b.phase_names) - {""}:
            chosen = (a.phase_names[first] == phase) & (b.phase_names[second] == phase)
            turned = quaternion_multiply(q, a.quaternions[first[chosen]])
            out[chosen] = disorientation_angle(turned, b.quaternions[second[chosen]], a.group_of(phase))
        return out

    def proposals(self) -> list[tuple[float, NDArray]]:
        """Turns (rad) and shifts (um) that the largest number of grain pairs propose, the best first."""
        first, second = (
            np.argsort(-area * ok)[: min(LARGEST, ok.sum())]
            for area, ok in zip(self.area, self.usable, strict=True)
        )
        if not len(first) or not len(second):
            return []
        i, j = (v.ravel() for v in np.meshgrid(first, second, indexing="ij"))
        weight = np.minimum(self.area[0][i], self.area[1][j]) / np.maximum(self.area[0][i], self.area[1][j])
        found = []
        radius = max(self.diameter, 0.07 * self.size)
        for turn in np.radians(TURNS_DEG):
            near = self.angles(_about_normal(turn), i, j) < self.tolerance
            if not near.any():
                continue
            shift = self.places[1][j[near]] - self.places[0][i[near]] @ _plane(turn).T
            voices = cKDTree(shift).query_ball_point(shift, radius)
            votes = np.array([weight[near][v].sum() for v in voices])
            taken = np.zeros(len(votes), bool)
            for _ in range(2):
                best = int(np.argmax(np.where(taken, -1.0, votes)))
                if taken[best]:
                    break
                found.append((votes[best], turn, shift[voices[best]].mean(axis=0)))
                taken |= np.linalg.norm(shift - shift[best], axis=1) < 2 * radius
        found.sort(key=lambda entry: -entry[0])
        return [(turn, shift) for _, turn, shift in found[:CANDIDATES]]

    def refined(self, turn: float, shift: NDArray) -> tuple[NDArray, Affine, int] | None:
        """Rotation, plane map and number of pairs, from a proposal; None where the pairs fall apart."""
        q, plane = _about_normal(turn), Affine(_plane(turn), shift, np.nan)
        radius = max(1.5 * self.diameter, 0.1 * self.size)
        least = max(0.7 * self.diameter, 2 * self.step.map.step_um)
        n_pairs = 0
        for _ in range(12):
            i, j = self.pairs(q, plane, radius)
            if not len(i):
                return None
            n_pairs = len(i)
            q = self.turned_on(q, i, j)
            try:
                plane = self.fitted(plane, q, i, j)
            except ParameterError:  # centroids on one line, or mirrored: these pairs are chance
                return None
            radius = max(0.75 * radius, least)
        return (q, plane, n_pairs) if _is_possible(plane) else None

    def pairs(self, q: NDArray, plane: Affine, radius: float) -> tuple[NDArray, NDArray]:
        """Grains of both maps that are the nearest of one orientation to each other."""
        a = np.flatnonzero(self.usable[0])
        distance, near = self.tree.query(
            plane(self.places[0][a]), k=min(12, len(self.places[1])), distance_upper_bound=radius
        )
        distance, near = distance.reshape(len(a), -1), near.reshape(len(a), -1)
        row, column = np.nonzero(np.isfinite(distance))
        i, j, d = a[row], near[row, column], distance[row, column]
        keep = self.usable[1][j]
        i, j, d = i[keep], j[keep], d[keep]
        keep = self.angles(q, i, j) < self.tolerance
        i, j, d = i[keep], j[keep], d[keep]
        order = np.argsort(d, kind="stable")
        i, j = i[order], j[order]
        for side in (0, 1):  # nearest of each reference grain, then of each step grain
            first = np.sort(np.unique((i, j)[side], return_index=True)[1])
            i, j = i[first], j[first]
        return i, j

    def turned_on(self, q: NDArray, i: NDArray, j: NDArray) -> NDArray:
        """Q after the median of what the pairs still turn."""
        turned = quaternion_multiply(q, self.reference.quaternions[i])
        rest = pair_rotations(self.reference, turned, i, self.step.quaternions[j])
        return quaternion_multiply(exponential(np.median(rest, axis=0)[None])[0], q)

    def fitted(self, plane: Affine, q: NDArray, i: NDArray, j: NDArray) -> Affine:
        """The plane map of the pairs: affine, or of too few the turn of their lattices and a shift."""
        p, target = self.places[0][i], self.places[1][j]
        cut = self.reference.table["on_edge"].to_numpy()[i] | self.step.table["on_edge"].to_numpy()[j]
        whole = ~cut if np.sum(~cut) >= FEW_PAIRS else np.ones(len(i), bool)
        if whole.sum() >= FEW_PAIRS and _spread(p[whole]) > 0.5 * self.diameter:
            for _ in range(3):  # centroids that moved since the grain grew or split count less and less
                residual = np.linalg.norm(plane(p) - target, axis=1)
                scale = 2.5 * max(float(np.median(residual[whole])), 0.2 * self.step.map.step_um)
                near = whole & (residual <= scale)
                if near.sum() < FEW_PAIRS or _spread(p[near]) < 0.5 * self.diameter:
                    break
                plane = fit_affine(p[near], target[near])
            return plane
        turn = _plane(_turn_about_normal(q))
        shift = np.median(target - p @ turn.T, axis=0)
        return Affine(
            turn, shift, float(np.sqrt(np.mean(np.sum((p @ turn.T + shift - target) ** 2, axis=1))))
        )

    def agreeing(self, q: NDArray, plane: Affine) -> tuple[NDArray, NDArray]:
        """(n,) of the sampled points: whether they lie in a grain of the step, and of their orientation."""
        place = self.step.point_at(plane(self.reference.map.xy[self.sample]))
        first, second = self.reference.label[self.sample] - 1, np.r_[self.step.label, 0][place] - 1
        inside = second >= 0
        pair, index = np.unique(np.stack([first[inside], second[inside]]), axis=1, return_inverse=True)
        agrees = np.zeros(len(inside), bool)
        agrees[inside] = (self.angles(q, *pair) < self.tolerance)[index.ravel()]
        return inside, agrees

    def score(self, q: NDArray, plane: Affine) -> float:
        """Agreeing points, less half of those that disagree."""
        inside, agrees = self.agreeing(q, plane)
        return float(agrees.sum() - 0.5 * np.sum(inside & ~agrees))

    def polished(self, state: tuple[NDArray, Affine, int]) -> tuple[NDArray, Affine, int]:
        """The plane map under which more points agree; where it is hardly more, the centroids know better.

        Points outside the step's map count as those inside do on average, so that nothing is gained by
        shrinking or spreading the map. With few pairs only the shift is changed.
        """
        q, _, n_pairs = state
        n_free = 2 if n_pairs < FEW_PAIRS else 6
        pixel = max(self.reference.map.step_um, self.step.map.step_um)
        options = {"initial_simplex": 2 * pixel * np.eye(n_free + 1, n_free, k=-1), "maxfev": 100 * n_free}
        for _ in range(3):
            plane = state[1]
            inside, agrees = self.agreeing(q, plane)
            share = float(agrees.sum() / max(inside.sum(), 1))
            centre, half = self.reference.map.xy[self.sample[inside]].mean(axis=0), 0.5 * self.size

            def moved(change: NDArray, plane=plane, centre=centre, half=half) -> Affine:
                matrix = plane.matrix + (change[2:].reshape(2, 2) / half if n_free == 6 else 0)
                return Affine(matrix, plane(centre) + change[:2] - matrix @ centre, plane.residual)

            least = inside.sum() / 2

            def loss(change: NDArray, share=share, moved=moved, least=least) -> float:
                inside, agrees = self.agreeing(q, moved(change))
                if inside.sum() < least or not _is_possible(moved(change)):
                    return np.inf
                return -float(agrees.sum() + share * np.sum(~inside))

            found = minimize(loss, np.zeros(n_free), method="Nelder-Mead", options=options)
            if loss(np.zeros(n_free)) - found.fun <= WORTHWHILE * max(inside.sum(), 1):
                break
            state = q, moved(found.x), n_pairs
        return state

    def result(self, q: NDArray, plane: Affine, n_pairs: int, *, given: bool = False) -> Placement:
        """The placement with its agreement, and that of the same maps laid over each other anyhow."""
        inside, agrees = self.agreeing(q, plane)
        share = agrees.sum() / max(inside.sum(), 1)
        rng = np.random.default_rng(0)
        grain = self.reference.label[self.sample]
        there = self.step.label[self.step.label > 0]
        first, second = rng.choice(grain, POINTS) - 1, rng.choice(there, POINTS) - 1
        chance = np.mean(self.angles(q, first, second) < self.tolerance)
        total, shown, agreeing = (
            np.bincount(grain[chosen], minlength=self.reference.n_grains + 1)
            for chosen in (np.ones(len(grain), bool), inside, agrees)
        )
        is_shown = (total > 0) & (shown >= 0.5 * total)
        # of the step's area the part that the reference covers
        area = self.area[0].sum() * inside.mean() * abs(np.linalg.det(plane.matrix))
        overlap = max(float(inside.mean()), min(float(area / self.area[1].sum()), 1.0))
        n_agreeing = int((is_shown & (agreeing > 0.5 * shown)).sum())
        return Placement(
            plane, q, float(share), float(chance), overlap, n_pairs, int(is_shown.sum()), n_agreeing, given
        )

    def given(self, points: NDArray) -> Placement:
        """The placement of homologous points; the grains then tell the rotation of the lattices alone."""
        if points.ndim != 2 or points.shape[1:] != (4,) or not np.isfinite(points).all():
            raise ParameterError("map_to_ebsd needs rows [step column, step row, map column, map row]")
        ends = [
            r.map.xy.min(axis=0) + points[:, at] * r.map.pixel_um
            for r, at in ((self.reference, slice(2, 4)), (self.step, slice(0, 2)))
        ]
        plane = fit_affine(*ends)
        if np.linalg.det(plane.matrix) <= 0:
            raise ParameterError(
                "map_to_ebsd mirrors the map, which no specimen does: check columns and rows"
            )
        q = _about_normal(_angle_of(plane.matrix))
        i, j = np.zeros(0, int), np.zeros(0, int)
        for _ in range(3):
            i, j = self.pairs(q, plane, 1.5 * self.diameter)
            q = self.turned_on(q, i, j) if len(i) else q
        return self.result(q, plane, len(i), given=True)


def _is_possible(plane: Affine) -> bool:
    """Whether a specimen can be strained so: no mirror, no stretch beyond all measure."""
    stretch = np.linalg.svd(plane.matrix, compute_uv=False)
    if not np.isfinite(stretch).all() or np.linalg.det(plane.matrix) <= 0:
        return False
    return bool(np.abs(np.log(stretch)).max() <= MOST_STRETCH)


def pair_rotations(reference: Regions, turned: NDArray, i: NDArray, other: NDArray) -> NDArray:
    """(P, 3) rotation vectors, rad, from orientations (P, 4) to the nearest symmetry copies of others (P, 4).

    Parameters
    ----------
    i : (P,) grain index of each pair in the reference, which tells the phase
    """
    out = np.full((len(turned), 3), np.nan)
    both = np.concatenate([turned, other])
    known = np.isfinite(both).all(axis=1)
    known = known[: len(turned)] & known[len(turned) :]
    for phase in np.unique(reference.phase_names[i]):
        row = np.flatnonzero((reference.phase_names[i] == phase) & known)
        if len(row):
            out[row] = rotation_vectors(both, row, row + len(turned), reference.group_of(phase))
    return out


def unturned(common: NDArray, quaternions: NDArray) -> NDArray:
    """Orientations of a step (..., 4) in the frame of the reference."""
    return quaternion_multiply(quaternion_conjugate(common), quaternions)


def _about_normal(angle: float) -> NDArray:
    return axis_angle_to_quaternion([0.0, 0.0, 1.0], angle)


def _turn_about_normal(q: NDArray) -> float:
    """Angle, rad, of the turn about z that is nearest to a rotation."""
    return 2 * float(np.arctan2(q[3], q[0]))


def _plane(angle: float) -> NDArray:
    """(2, 2) of a turn about z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _angle_of(matrix: NDArray) -> float:
    """Angle of the rotation in a plane map (polar decomposition)."""
    return float(np.arctan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1]))


def _spread(points: NDArray) -> float:
    """Standard deviation of points (n, 2) along their shorter principal direction."""
    return float(np.linalg.svd(points - points.mean(axis=0), compute_uv=False)[-1] / np.sqrt(len(points)))
