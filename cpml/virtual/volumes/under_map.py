"""Volumes under a map: grains that a measured plane shows, continued into a depth that it does not show.

The section of a Laguerre tessellation with seeds s_i = (p_i, z_i) and radii r_i by the plane z = 0 is the
power diagram of the points p_i with the weights

    w_i = r_i^2 - z_i^2

So the p_i and w_i are fitted to the measured plane, once; the depth z_i of every seed stays free, and
whatever is drawn for it, r_i^2 = w_i + z_i^2 leaves the plane as it is while it tilts the boundaries below.
Other seeds fill the rest of the volume; one that would show in the plane is placed elsewhere.

| drawn | how |
|---|---|
| z_i | spheres of radius R, cut at any height: density f(R)/R, R^2 = rho_i^2 + z^2, rho_i of the section |
| R | log-normal f, from the mean area (2/3) pi <R^3>/<R> and square area (8/15) pi^2 <R^5>/<R> of sections |
| other seeds | as many as the plane misses grains; anywhere, then moved to the centres of their cells |
| their crystals | of grains of the map, by area, none of those about the seed |

What power diagrams cannot say (grains that are not convex, lamellae) is kept as well: the plane itself is
the measured one, and below it a voxel is of the measured grain as long as the tessellation has not changed
since the plane.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from cpml.errors import ParameterError
from cpml.virtual.volumes.tessellation import RELAXATIONS, centres, laguerre

SHARPNESS = 1.0
"""Of the boundaries of the fitted power diagram, 1/voxel^2: a tenth of a voxel wide between grains that are
five voxels apart. Ten times less, and the fit ends with 4 % more of the plane in a neighbour.
"""
STEPS = 100
"""Of the fit at most; after fifty it gains no voxel."""
FIT_NEIGHBOURS = 10
"""Grains that compete for a voxel of the plane in the fit: a grain has six neighbours on average."""
SPREADS = (0.1, 0.6)
"""Of the log radii: what plane sections can tell of them."""
FEWEST = 10
"""Whole grains from which the spread of the sizes is taken."""
FAR = 1.5
"""Diameters from a seed beyond which a grain may lend it its crystal."""
TRIES = 30
"""Places that a seed tries; in a depth of two diameters every second one is free."""


@dataclass(frozen=True)
class Sizes:
    """Log-normal radii of spheres, voxels."""

    median: float
    spread: float

    @classmethod
    def of(cls, area: NDArray, at_rim: NDArray) -> "Sizes":
        """From the areas of plane sections, voxels, and which of them (G,) end where the map does."""
        whole = area[~at_rim] if (~at_rim).sum() >= FEWEST else area
        # a grain at the rim is half a grain
        mean = area.sum() / (len(area) - at_rim.sum() / 2) / np.pi
        # <rho^4>/<rho^2>^2 is 6/5 for equal spheres and grows as exp(4 spread^2)
        ratio = (whole**2).mean() / whole.mean() ** 2
        spread = float(np.clip(np.sqrt(max(np.log(ratio / 1.2), 0.0)) / 2, *SPREADS))
        return cls(float(np.sqrt(1.5 * mean) * np.exp(-2 * spread**2)), spread)

    @property
    def volume(self) -> float:
        """Mean volume of a grain."""
        return 4 / 3 * np.pi * self.median**3 * float(np.exp(4.5 * self.spread**2))

    @property
    def diameter(self) -> float:
        """Of the sphere of mean volume."""
        return 2 * (3 * self.volume / (4 * np.pi)) ** (1 / 3)

    def draw(self, count: int, rng: np.random.Generator) -> NDArray:
        """(count,) radii."""
        return self.median * np.exp(self.spread * rng.standard_normal(count))

    def depths(self, rho: NDArray, rng: np.random.Generator) -> NDArray:
        """(G,) centres of grains with the section radii ``rho``, along the normal of the plane."""
        z = np.linspace(0.0, 1.0, 201) * self.median * np.exp(3 * self.spread)
        radius = np.sqrt(rho[:, None] ** 2 + z**2)
        log = -0.5 * (np.log(radius / self.median) / self.spread) ** 2 - 2 * np.log(radius)
        share = np.cumsum(np.exp(log - log.max(1, keepdims=True)), axis=1)
        share /= share[:, -1:]
        where = (share < rng.random(len(rho))[:, None]).sum(1)
        return z[where] * rng.choice([-1.0, 1.0], len(rho))


@dataclass(frozen=True, eq=False)
class MapPlane:
    """A measured plane as the section of a tessellation; see :func:`fit_plane`."""

    grain_index: NDArray  # (rows, columns)
    grains: NDArray  # (S,) the rows that occur, in the order in which they do
    point: NDArray  # (S, 2) x, y, voxels
    weight: NDArray  # (S,)
    area: NDArray  # (S,) voxels

    @cached_property
    def sizes(self) -> Sizes:
        """Of the grains that the plane cuts."""
        index = self.grain_index
        rim = np.concatenate([index[0], index[-1], index[:, 0], index[:, -1]])
        return Sizes.of(self.area, np.isin(self.grains, rim))


@dataclass(frozen=True, eq=False)
class UnderMap:
    """A volume whose slice 0 shows a measured plane.

    Attributes
    ----------
    grain_index : (slices, rows, columns), rows and columns with the rim. Numbers of the map stay
    crystal : (N,) row of the map's grain that lends its crystal: its own for the grains of the map
    rim : voxels around the measured plane that are made up
    """

    grain_index: NDArray
    crystal: NDArray
    rim: int

    @property
    def window(self) -> tuple[int, slice, slice]:
        """Index of the measured plane in the arrays of the volume."""
        rows, columns = self.grain_index.shape[1:]
        return 0, slice(self.rim, rows - self.rim), slice(self.rim, columns - self.rim)


def fit_plane(grain_index: NDArray) -> MapPlane:
    """The power diagram that is most like a map: logistic regression of its grains on the places of voxels,
    with the section circles of the grains as prior.

    Parameters
    ----------
    grain_index : (rows, columns) int, none negative

    Raises
    ------
    ParameterError : no plane of grains
    """
    grain_index = np.asarray(grain_index)
    if grain_index.ndim != 2 or grain_index.size == 0 or grain_index.min() < 0:
        raise ParameterError(
            "a plane must be a (rows, columns) array of grain numbers, none of them negative"
        )
    number, first, inverse = np.unique(grain_index, return_index=True, return_inverse=True)
    order = np.argsort(first)  # numbers as they come: names of grains change no draw
    grains = number[order]
    own = np.argsort(order)[inverse.ravel()]
    place = _plane_points(grain_index)[..., :2].reshape(-1, 2)
    area = np.bincount(own).astype(float)
    centre = np.stack([np.bincount(own, place[:, k]) for k in (0, 1)], axis=1) / area[:, None]
    point, weight = _regressed(place, own, centre, area / np.pi)
    return MapPlane(grain_index, grains, point, weight, area)


def _regressed(place: NDArray, own: NDArray, centre: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Points (S, 2) and weights (S,): of the power distances -|x - c|^2 + 2 (x - c).d + v, linear in d and
    v, by the likelihood of the grain of every voxel.
    """
    count = len(centre)
    if count == 1:
        return centre, weight
    near = cKDTree(centre).query(place, min(FIT_NEIGHBOURS, count))[1].reshape(len(place), -1)
    near = np.column_stack([own, np.where(near == own[:, None], -1, near)])  # its own first and once
    is_real = near >= 0
    near = np.where(is_real, near, 0)
    apart = place[:, None] - centre[near]
    distance = np.where(is_real, (apart**2).sum(-1), np.inf)
    flat = near.ravel()

    def loss(unknown: NDArray) -> tuple[float, NDArray]:
        shift, extra = unknown[: 2 * count].reshape(count, 2), unknown[2 * count :]
        logit = SHARPNESS * (2 * (apart * shift[near]).sum(-1) - distance + (weight + extra)[near])
        top = logit.max(1, keepdims=True)
        share = np.exp(logit - top)
        total = share.sum(1, keepdims=True)
        value = (np.log(total) + top).sum() - logit[:, 0].sum()
        pull = share / total
        pull[:, 0] -= 1.0
        by_shift = 2 * SHARPNESS * pull[..., None] * apart
        slope = np.column_stack([np.bincount(flat, by_shift[..., k].ravel(), count) for k in (0, 1)])
        slope_extra = SHARPNESS * np.bincount(flat, pull.ravel(), count)
        # a prior of a radius about the centre, and of the section's area about itself
        stiff = 1 / np.maximum(weight, 1.0)
        value += 0.5 * (stiff[:, None] * shift**2).sum() + 0.5 * (stiff**2 * extra**2).sum()
        slope = slope + stiff[:, None] * shift
        return float(value), np.concatenate([slope.ravel(), slope_extra + stiff**2 * extra])

    found = minimize(loss, np.zeros(3 * count), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    shift, extra = found[: 2 * count].reshape(count, 2), found[2 * count :]
    return centre + shift, weight + extra + (shift**2).sum(1)


def under_map(
    plane: MapPlane, rng: np.random.Generator, *, depth: int, rim: int = 0, repeats: bool = True
) -> UnderMap:
    """One volume under a map.

    Parameters
    ----------
    depth : slices
    rim : voxels of made-up grains around the map. The volume repeats along rows and columns behind them
    repeats : along the depth too, so that unknown grains are above the map as well as below it: a section of
        the bulk. Else the map is a surface, and so is the far side

    Raises
    ------
    ParameterError : a depth below 1, a rim below 0

    Examples
    --------
    >>> plane = fit_plane(np.repeat([[0, 0, 1, 1], [2, 2, 3, 3]], 2, axis=0))
    >>> volume = under_map(plane, np.random.default_rng(0), depth=4)
    >>> volume.grain_index.shape, bool((volume.grain_index[volume.window] == plane.grain_index).all())
    ((4, 4, 4), True)
    """
    if depth < 1 or rim < 0:
        raise ParameterError(f"depth = {depth} must be at least 1 and rim = {rim} at least 0")
    sizes = plane.sizes
    # a surface was a section before what lay above it went
    above = 0 if repeats else int(np.ceil(sizes.diameter))
    shape = (depth + above, *(n + 2 * rim for n in plane.grain_index.shape))
    space = _Space(plane, np.array(shape[::-1], float))
    points = centres(shape) - [rim, rim, 0.5]  # the measured plane has z = 0
    seen = len(plane.grains)
    z = space.bounded(sizes.depths(np.sqrt(plane.area / np.pi), rng))
    hidden = max(round(np.prod(shape) / sizes.volume) - seen, 0)
    radii = sizes.draw(hidden, rng)
    low, high = np.array([-rim, -rim, 0.0]), np.array([shape[2] - rim, shape[1] - rim, shape[0]])
    seeds = np.empty((0, 3))
    for _ in range(TRIES):
        place = low + (high - low) * rng.random((hidden, 3))
        seeds = np.where(space.shows(seeds, radii)[:, None], place, seeds) if len(seeds) else place
    kept = ~space.ever_shows(seeds, radii)
    seeds, radii = seeds[kept], radii[kept]
    for step in range(RELAXATIONS + 1):
        index = space.grains(points, z, seeds, radii)
        if step < RELAXATIONS:
            move = space.to_centroids(points, index, np.concatenate([space.seen_seeds(z), seeds]))
            z = space.bounded(z + move[:seen, 2])
            seeds = space.moved(seeds, seeds + move[seen:], radii)
    return _as_volume(plane, index[:depth], rim, seeds, space, rng)


@dataclass(frozen=True)
class _Space:
    """Where seeds are: around a plane at z = 0, repeating."""

    plane: MapPlane
    period: NDArray  # (3,)

    def bounded(self, z: NDArray) -> NDArray:
        """Depths of seeds of the plane, nearer to it than to its next copy."""
        return np.clip(z, -0.45 * self.period[2], 0.45 * self.period[2])

    def seen_seeds(self, z: NDArray) -> NDArray:
        """(S, 3) of the grains of the plane."""
        return np.column_stack([self.plane.point, z])

    def grains(self, points: NDArray, z: NDArray, seeds: NDArray, radii: NDArray) -> NDArray:
        """Number of the grain of every point: those of the plane first."""
        square = np.concatenate([self.plane.weight + z**2, radii**2])
        square -= square.min()  # a common term changes no grain
        every = np.concatenate([self.seen_seeds(z), seeds])
        return laguerre(points, every, np.sqrt(square), self.period)

    def shows(self, seeds: NDArray, radii: NDArray) -> NDArray:
        """(N,) whether the cell of a seed reaches the measured plane."""
        seen = len(self.plane.grains)
        points = _plane_points(self.plane.grain_index)
        found = np.unique(self.grains(points, np.zeros(seen), seeds, radii))
        shows = np.zeros(len(seeds), bool)
        shows[found[found >= seen] - seen] = True
        return shows

    def ever_shows(self, seeds: NDArray, radii: NDArray) -> NDArray:
        """(N,) whether the cell of a seed would reach the plane once those that do are gone."""
        gone = np.zeros(len(seeds), bool)
        while (more := self.shows(seeds[~gone], radii[~gone])).any():
            gone[np.flatnonzero(~gone)[more]] = True
        return gone

    def moved(self, seeds: NDArray, to: NDArray, radii: NDArray) -> NDArray:
        """Seeds at their new places, where their cells do not reach the plane from there."""
        stays = np.zeros(len(seeds), bool)
        while True:
            new = np.where(stays[:, None], seeds, to)
            shows = self.shows(new, radii) & ~stays
            if not shows.any():
                return new
            stays |= shows

    def to_centroids(self, points: NDArray, index: NDArray, seeds: NDArray) -> NDArray:
        """(N, 3) from every seed to the centre of its cell; 0 for a seed without one."""
        number = index.ravel()
        apart = self.nearest(points.reshape(-1, 3) - seeds[number])
        count = np.bincount(number, minlength=len(seeds))
        total = np.stack([np.bincount(number, column, len(seeds)) for column in apart.T], axis=1)
        return total / np.maximum(count, 1)[:, None]

    def nearest(self, apart: NDArray) -> NDArray:
        """Differences (..., D) of places to the nearest copy, along the first D axes."""
        period = self.period[: apart.shape[-1]]
        return apart - period * np.round(apart / period)


def _as_volume(
    plane: MapPlane, index: NDArray, rim: int, seeds: NDArray, space: _Space, rng: np.random.Generator
) -> UnderMap:
    """The volume with the measured plane, the numbers of the map and crystals for the other grains."""
    seen, most = len(plane.grains), int(plane.grain_index.max())
    volume = index.copy()
    inner = (slice(None), *(slice(rim, rim + n) for n in plane.grain_index.shape))
    rows = np.full(most + 1, -1)
    rows[plane.grains] = np.arange(seen)
    measured = rows[plane.grain_index]
    volume[inner] = np.where(index[inner] == index[inner][:1], measured, index[inner])
    label = np.concatenate([plane.grains, most + 1 + np.arange(len(seeds))])
    crystal = np.arange(most + 1 + len(seeds))
    far = FAR * plane.sizes.diameter
    for k, seed in enumerate(seeds):
        apart = space.nearest(plane.point - seed[:2])
        chance = plane.area * ((apart**2).sum(1) > far**2)
        if not chance.any():
            chance = plane.area
        crystal[most + 1 + k] = plane.grains[rng.choice(seen, p=chance / chance.sum())]
    return UnderMap(label[volume], crystal, rim)


def _plane_points(grain_index: NDArray) -> NDArray:
    """(rows, columns, 3) centres of the voxels of a plane at z = 0."""
    return centres((1, *grain_index.shape))[0] - [0.0, 0.0, 0.5]
