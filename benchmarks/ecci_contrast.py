r"""Contrast of dislocations in ECCI by dynamical two-beam theory: truth that knows no invisibility criterion.

Each point of the image is a column along the beam through the distorted crystal (column approximation). In
the local lattice frame, with path t from the surface, the two beams follow Howie and Whelan:

    dφ₀/dt = πi [ i/ξ'₀ φ₀ + (1/ξ + i/ξ') φ_g ]
    dφ_g/dt = πi [ (1/ξ + i/ξ') φ₀ + (i/ξ'₀ + 2s + 2β) φ_g ],     β = d(g·R)/dt

with the extinction distance ξ, anomalous and mean absorption lengths ξ' and ξ'₀ and excitation error s.
A straight dislocation of Burgers vector b and line u displaces by (Hirsch et al., chapter 10.3)

    R = 1/2π { b φ + b_e sin 2φ / 4(1-ν) + b × u [ (1-2ν)/2(1-ν) ln r + cos 2φ / 4(1-ν) ] },

b_e the edge part of b, (r, φ) the polar coordinates about u with φ from b_e, ν Poisson's ratio. Electrons
scattered back by atoms at depth z reach the detector with weight exp(-z / L), and atoms sit on the planes:

    I = ∫ [ |φ₀|² + |φ_g|² + 2p Re(φ₀* φ_g) ] exp(-z/L) dt     (centrosymmetric crystal, atom at the origin)

with p the Debye-Waller factor of localised back-scattering. The profile I across the line, blurred by the
probe, gives the contrast (max I - min I) / I far away, for several depths of the line below the point.
An inclined line passes all depths, one parallel to the surface lies at one of them: both are the same
calculation, and a mean (or maximum) over depths is returned.

Left out: relaxation at the free surface (it decides the contrast of lines end-on to the beam, which are
returned as NaN, and changes shallow lines); elastic anisotropy; dissociation into partials; further beams;
back-scattering from the electrons that have left the two beams. These add a background, so contrasts are of
the channelling signal alone and mean something only relative to each other.

References: Hirsch, Howie, Nicholson, Pashley, Whelan 1965, Electron Microscopy of Thin Crystals. Spencer,
Humphreys, Hirsch 1972, Phil. Mag. 26, 193. Wilkinson, Hirsch 1997, Micron 28, 279. Picard et al. 2014,
Ultramicroscopy 146, 71.
"""

import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from orix.crystal_map import Phase

from cpml.compiled import compiled

DEPTHS = (0.15, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0)  # of the line below the surface, in extinction distances
STEP = 0.075  # thickness of a slice, in extinction distances; halving changes contrasts by up to 2 %
REACH = 6.0  # length of a column, in extinction distances: the weight of deeper atoms is below 1 %
COLUMNS = 40  # across the line
HALF_WIDTH = 1.5  # of the profile, in extinction distances
END_ON_DEG = 5.0  # closer to the beam a line has contrast from surface relaxation only
CORE_NM = 0.1  # the logarithm stops here

INVISIBLE, WEAK, VISIBLE, UNKNOWN = 0, 1, 2, -1
CLASSES = ("invisible", "weak", "visible")


def contrast(
    g: ArrayLike,
    b: ArrayLike,
    u: ArrayLike,
    beam: ArrayLike,
    *,
    extinction_nm: ArrayLike,
    excitation: ArrayLike = 0.0,
    absorption: float = 10.0,
    mean_absorption: float = 10.0,
    escape_nm: float = 50.0,
    localisation: float = 0.95,
    poisson: float = 0.31,
    probe_nm: float = 2.0,
    depths: Sequence[float] = DEPTHS,
    reduce: Literal["mean", "max"] | None = "mean",
) -> NDArray:
    """Peak-to-peak contrast of dislocations, relative to the channelling signal far away.

    Parameters
    ----------
    g, b, u, beam : (N, 3) or (3,) array_like
        Reflection (1/nm), Burgers vector (nm), line direction and direction of travel of the beam, all in one
        cartesian frame with z into the specimen, normal to its surface. ``u`` and ``beam`` need no length.
    extinction_nm : (N,) array_like or float
        Extinction distance ξ of each reflection, in nm.
    excitation : (N,) array_like or float
        Excitation error as w = s ξ; 0 at the Bragg condition.
    absorption, mean_absorption : float
        ξ'/ξ and ξ'₀/ξ.
    escape_nm : float
        Depth L over which the back-scattered signal falls to 1/e, in nm.
    localisation : float
        Weight p of the interference of the two beams at the atoms.
    poisson : float
        Poisson's ratio.
    probe_nm : float
        Full width at half maximum of the probe, in nm; 0 for none.
    depths : sequence of D floats
        Depths of the line below the imaged point, in extinction distances.
    reduce : {"mean", "max"} or None
        How contrasts at the depths are combined; None returns them all.

    Returns
    -------
    (N,) ndarray, or (N, D) without reduction
        NaN for lines within ``END_ON_DEG`` of the beam.
    """
    g, b, u, beam = np.broadcast_arrays(*(np.atleast_2d(np.asarray(v, float)) for v in (g, b, u, beam)))
    n = len(g)
    u, beam = _unit(u), _unit(beam)
    if np.any(beam[:, 2] <= 0):
        raise ValueError("the beam must travel into the specimen: beam[:, 2] > 0")
    xi = np.broadcast_to(np.asarray(extinction_nm, float), n)
    w = np.broadcast_to(np.asarray(excitation, float), n)

    edge = b - _dot(b, u)[:, None] * u
    # a screw has no edge part to measure φ from, and needs none: any direction across the line serves
    across = np.cross(u, np.eye(3)[np.argmin(np.abs(u), axis=1)])
    is_edge = np.linalg.norm(edge, axis=1) > 1e-9 * np.linalg.norm(b, axis=1)
    x = _unit(np.where(is_edge[:, None], edge, across))
    y = np.cross(u, x)
    bu = np.cross(b, u)
    stiff = 1.0 - poisson
    field = np.stack(
        [
            _dot(g, b),
            _dot(g, edge) / (4 * stiff),
            _dot(g, bu) * (1 - 2 * poisson) / (2 * stiff),
            _dot(g, bu) / (4 * stiff),
        ],
        axis=1,
    )

    sideways = np.cross(beam, u)
    sine = np.linalg.norm(sideways, axis=1)
    end_on = sine < np.sin(np.deg2rad(END_ON_DEG))
    sideways = np.where(end_on[:, None], x, sideways / np.maximum(sine, 1e-12)[:, None])
    frame = np.stack([_dot(beam, x), _dot(beam, y), _dot(sideways, x), _dot(sideways, y)], axis=1)

    value = _contrasts(
        field,
        frame,
        np.stack([beam[:, 2], sideways[:, 2]], axis=1),
        _half_slices(xi, w, absorption, mean_absorption),
        xi,
        np.asarray(depths, float),
        np.array([escape_nm, localisation, probe_nm / np.sqrt(8 * np.log(2))]),
        np.array([STEP, REACH, HALF_WIDTH]),
        COLUMNS,
    )
    value[end_on] = np.nan
    if reduce is None:
        return value
    return value.max(axis=1) if reduce == "max" else value.mean(axis=1)


def reference(g: ArrayLike, beam: ArrayLike, **settings: Any) -> NDArray:
    """Contrast of a screw with g·b = 1 under the same g and beam, the unit of ``seen``.

    The screw lies along g, which makes |b| the plane spacing. Contrast of a screw depends on b by g·b only.

    Parameters
    ----------
    g, beam : (N, 3) or (3,) array_like
        As in ``contrast``.
    **settings
        Those of ``contrast``.

    Returns
    -------
    (N,) ndarray
    """
    g = np.atleast_2d(np.asarray(g, float))
    return contrast(g, g / _dot(g, g)[:, None], g, beam, **settings)


def seen(
    contrast: ArrayLike, reference: ArrayLike, weak_below: float = 1 / 3, invisible_below: float = 1 / 10
) -> NDArray:
    """Class of each contrast relative to that of a screw with |g·b| = 1.

    A tenth of a strong line is about the noise of a micrograph; between a tenth and a third an observer
    notices a line but notes it as weak. Both are choices: vary them.

    Parameters
    ----------
    contrast, reference : (N,) array_like
        From the functions of these names, with the same settings.
    weak_below, invisible_below : float
        Limits of contrast / reference.

    Returns
    -------
    (N,) ndarray of int
        VISIBLE (2), WEAK (1), INVISIBLE (0) or UNKNOWN (-1, lines end-on).
    """
    relative = np.asarray(contrast, float) / np.asarray(reference, float)
    classes = np.select([relative < invisible_below, relative < weak_below], [INVISIBLE, WEAK], VISIBLE)
    return np.where(np.isfinite(relative), classes, UNKNOWN)


def extinction_distances(phase: Phase, hkl: ArrayLike, kilovolt: float = 20.0) -> NDArray:
    """Extinction distances ξ = πV / λ|F| in nm, with the relativistic |F| of atoms at rest.

    Parameters
    ----------
    phase : orix.crystal_map.Phase
        With the space group, the atoms and the lattice in ångströms.
    hkl : (N, 3) array_like of int
        Reflections.
    kilovolt : float
        Acceleration voltage.

    Returns
    -------
    (N,) ndarray
    """
    from diffsims.crystallography import ReciprocalLatticeVector
    from diffsims.utils.sim_utils import get_electron_wavelength

    unique, place = np.unique(np.atleast_2d(hkl), axis=0, return_inverse=True)
    vectors = ReciprocalLatticeVector(phase, hkl=unique)
    vectors.sanitise_phase()
    vectors.calculate_structure_factor()
    relativistic = 1 + kilovolt / 510.99895
    strength = relativistic * np.abs(vectors.structure_factor)
    volume = phase.structure.lattice.volume
    return (np.pi * volume / (get_electron_wavelength(kilovolt) * strength) / 10)[np.ravel(place)]


def _unit(v: NDArray) -> NDArray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def _dot(a: NDArray, b: NDArray) -> NDArray:
    return np.einsum("ni,ni->n", a, b)


def _half_slices(xi: NDArray, w: NDArray, absorption: float, mean_absorption: float) -> NDArray:
    """(N, 3) diagonal 00, diagonal gg and coupling of half a slice of perfect crystal, exact."""
    half = STEP / 2 * np.pi  # everything in units of ξ
    coupling = 1 + 1j / absorption
    kappa = np.sqrt(w**2 + coupling**2 + 0j)
    common = np.exp(1j * half * (w + 1j / mean_absorption))
    cos, sin = np.cos(half * kappa), 1j * np.sin(half * kappa) / kappa
    matrix = common * np.stack([cos - w * sin, cos + w * sin, coupling * sin])
    return np.ascontiguousarray(np.broadcast_to(matrix, (3, len(xi))).T)


@compiled
def _contrasts(
    field: NDArray,
    frame: NDArray,
    down: NDArray,
    slices: NDArray,
    xi: NDArray,
    depths: NDArray,
    detection: NDArray,
    grid: NDArray,
    columns: int,
) -> NDArray:
    """(N, D) contrasts.

    field (N, 4): factors of φ, sin 2φ, ln r and cos 2φ in 2π g·R. frame (N, 4): x and y about the line, of
    the beam, then of the direction across its image. down (N, 2): z of these two directions. detection:
    escape depth, localisation, probe sigma. grid: slice, reach and half width over ξ.
    """
    n, n_depths = len(xi), len(depths)
    escape, p, sigma = detection
    n_steps = round(grid[1] / grid[0])
    spacing = 2 * grid[2] / (columns - 1)
    out = np.empty((n, n_depths))
    weight = np.empty(n_steps + 1)
    profile = np.empty(columns)
    blur = np.empty(columns)
    for i in range(n):
        step = grid[0] * xi[i]
        tx, ty, wx, wy = frame[i]
        m00, mgg, m0g = slices[i]
        for k in range(n_steps + 1):
            weight[k] = np.exp(-k * step * down[i, 0] / escape)
        weight[0] *= 0.5
        weight[n_steps] *= 0.5
        for c in range(columns):
            blur[c] = np.exp(-0.5 * (c * spacing * xi[i] / max(sigma, 1e-6)) ** 2)

        # far away: the same slices without displacement, so that their error cancels
        p0, pg = 1 + 0j, 0j
        far = weight[0]
        for k in range(1, n_steps + 1):
            p0, pg = m00 * p0 + m0g * pg, m0g * p0 + mgg * pg
            p0, pg = m00 * p0 + m0g * pg, m0g * p0 + mgg * pg
            far += weight[k] * _emitted(p0, pg, p)

        for d in range(n_depths):
            for c in range(columns):
                offset = (c * spacing - grid[2]) * xi[i]
                start = -(depths[d] * xi[i] + offset * down[i, 1]) / down[i, 0]
                x, y = offset * wx + start * tx, offset * wy + start * ty
                angle, rest = _phase(field[i], x, y)
                p0, pg = 1 + 0j, 0j
                total = weight[0]
                for k in range(1, n_steps + 1):
                    x += step * tx
                    y += step * ty
                    new_angle, new_rest = _phase(field[i], x, y)
                    turn = new_angle - angle
                    # a straight column turns by less than half a turn about the line
                    if turn > np.pi:
                        turn -= 2 * np.pi
                    elif turn < -np.pi:
                        turn += 2 * np.pi
                    change = field[i, 0] * turn + new_rest - rest
                    angle, rest = new_angle, new_rest
                    p0, pg = m00 * p0 + m0g * pg, m0g * p0 + mgg * pg
                    pg *= complex(np.cos(change), np.sin(change))
                    p0, pg = m00 * p0 + m0g * pg, m0g * p0 + mgg * pg
                    total += weight[k] * _emitted(p0, pg, p)
                profile[c] = total

            low, high = far, far
            for c in range(columns):
                value, norm = 0.0, 0.0
                for k in range(columns):
                    value += blur[abs(c - k)] * profile[k]
                    norm += blur[abs(c - k)]
                low, high = min(low, value / norm), max(high, value / norm)
            out[i, d] = (high - low) / far
    return out


@compiled
def _emitted(p0: complex, pg: complex, p: float) -> float:
    """Probability density at the atoms."""
    own = p0.real**2 + p0.imag**2 + pg.real**2 + pg.imag**2
    return own + 2 * p * (p0.real * pg.real + p0.imag * pg.imag)


@compiled
def _phase(field: NDArray, x: float, y: float) -> tuple[float, float]:
    """The angle φ, and the terms of 2π g·R that need no branch of it."""
    square = x * x + y * y + CORE_NM**2
    rest = field[1] * 2 * x * y / square + field[3] * (x * x - y * y) / square
    return np.arctan2(y, x), rest + field[2] * 0.5 * np.log(square)


def nickel() -> Phase:
    """Nickel, for the checks."""
    from diffpy.structure import Atom, Lattice, Structure

    lattice = Lattice(*[10 * NICKEL_NM] * 3, 90, 90, 90)
    return Phase("ni", space_group=225, structure=Structure([Atom("Ni", [0, 0, 0])], lattice))


NICKEL_NM = 0.3524  # lattice parameter
FAMILIES = ((1, 1, 1), (2, 0, 0), (2, 2, 0))


def fcc_cases(n: int, seed: int = 0, tilt_deg: float = 15.0) -> dict[str, NDArray]:
    """Random dislocations of nickel under random reflections at the Bragg condition.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        Of the random numbers.
    tilt_deg : float
        Largest angle of the beam to the surface normal.

    Returns
    -------
    dict
        hkl (N, 3); g (1/nm), b (nm), u and beam (N, 3) in the specimen's frame; family (N,) place of the
        reflection in FAMILIES. Families are equally frequent; b is any a/2<110>, u uniform in one of the two
        {111} planes of b; the crystal is turned at random about g and g at random about the beam.
    """
    rng = np.random.default_rng(seed)
    family = rng.integers(len(FAMILIES), size=n)
    hkl = rng.permuted(np.array(FAMILIES)[family], axis=1) * rng.choice([-1, 1], size=(n, 3))
    hkl = hkl + 0  # no negative zeros
    pairs = np.array([(i, j, s) for i, j in ((0, 1), (0, 2), (1, 2)) for s in (-1, 1)])
    first, second, sign = pairs[rng.integers(6, size=n)].T
    b = np.zeros((n, 3))
    rows = np.arange(n)
    b[rows, first], b[rows, second] = 1, sign
    third = 3 - first - second
    normal = np.ones((n, 3))
    normal[rows, second] = -sign
    normal[rows, third] = rng.choice([-1, 1], size=n)
    ahead = _unit(b)
    aside = np.cross(_unit(normal), ahead)
    angle = rng.uniform(0, np.pi, size=n)[:, None]
    u = np.cos(angle) * ahead + np.sin(angle) * aside

    # crystal axes: g, then a random direction across it for the beam
    along = _unit(hkl.astype(float))
    beam = _unit(np.cross(along, rng.normal(size=(n, 3))))
    crystal = np.stack([along, np.cross(beam, along), beam], axis=1)
    cosine = rng.uniform(np.cos(np.deg2rad(tilt_deg)), 1, size=n)
    azimuth, spin = rng.uniform(0, 2 * np.pi, size=(2, n))
    sine = np.sqrt(1 - cosine**2)
    travel = np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1)
    lateral = _unit(np.cross(travel, np.stack([np.cos(spin), np.sin(spin), 0 * spin], axis=1)))
    specimen = np.stack([lateral, np.cross(travel, lateral), travel], axis=1)
    turn = np.einsum("nki,nkj->nij", specimen, crystal)

    def turned(v: NDArray) -> NDArray:
        return np.einsum("nij,nj->ni", turn, v)

    return {
        "hkl": hkl,
        "family": family,
        "g": turned(hkl / NICKEL_NM),
        "b": turned(b * NICKEL_NM / 2),
        "u": turned(u),
        "beam": travel,
    }


def by_criteria(g: NDArray, b: NDArray, u: NDArray, limit: float = 0.08) -> NDArray:
    """(N,) classes by the invisibility criteria: g·b, then |g·(b × u)| / 8 against ``limit``."""
    residual = np.abs(_dot(g, np.cross(b, _unit(u)))) / 8
    return np.select([np.abs(_dot(g, b)) > 0.01, residual >= limit], [VISIBLE, WEAK], INVISIBLE)


def confusion(rows: NDArray, columns: NDArray) -> NDArray:
    """(3, 3) counts, rows and columns in the order of CLASSES; unknown ones are not counted."""
    known = (rows >= 0) & (columns >= 0)
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (rows[known], columns[known]), 1)
    return counts


def _print_known_cases(xi: float) -> None:
    """Cases whose contrast is known without a simulation, relative to a screw of g·b = 1.

    Peak to peak, the contrast saturates with |g·b| at the Bragg condition and grows with it away from there.
    """
    d = NICKEL_NM / 2  # spacing of the planes of g
    x, y, z = np.eye(3)
    known = (
        ("screw, g·b = 0", d * y, y),
        ("edge, g·b = 0, g·(b × u) = 0", d * z, x),
        ("edge, g·b = 0, |g·(b × u)| = 0.5", d * z, y + np.sqrt(3) * x),
        ("edge, g·b = 0, |g·(b × u)| = 1", d * z, y),
        ("edge, g·b = 1, in the surface", d * x, y),
        ("screw, g·b = 1, 45° to the surface", d * (x + z), x + z),
        ("screw, g·b = 1, in the surface", d * x, x),
        ("screw, g·b = 2", 2 * d * x, x),
        ("screw, g·b = 3", 3 * d * x, x),
    )
    excitations = np.array([0.0, 0.3, 0.6, 1.0])
    g = np.tile(x / d, (len(excitations), 1))
    settings: dict[str, Any] = {"extinction_nm": xi, "excitation": excitations}
    unit = reference(g, z, **settings)
    print(f"{'w = s ξ':36s}" + "".join(f"{w:8.2f}" for w in excitations))
    print(f"{'contrast of the unit':36s}" + "".join(f"{value:8.3f}" for value in unit))
    for name, b, u in known:
        print(f"{name:36s}" + "".join(f"{value:8.4f}" for value in contrast(g, b, u, z, **settings) / unit))


def main() -> None:
    """Print the checks and the confusion of the criteria with the simulation."""
    phase = nickel()
    distances = extinction_distances(phase, FAMILIES)
    for hkl, xi in zip(FAMILIES, distances, strict=True):
        print(f"Ni {hkl}, 20 kV: extinction distance {xi:.1f} nm")
    _print_known_cases(distances[1])

    cases = fcc_cases(10_000)
    g, b, u, beam = (cases[name] for name in ("g", "b", "u", "beam"))
    xi = distances[cases["family"]]
    start = time.perf_counter()
    every = contrast(g, b, u, beam, extinction_nm=xi, reduce=None)
    print(f"10,000 rows: {time.perf_counter() - start:.1f} s")
    unit = reference(g, beam, extinction_nm=xi, reduce=None)
    rule = by_criteria(g, b, u)
    print(f"lines end-on, left out: {np.isnan(every[:, 0]).mean():.2%}")
    _print_relative(rule, every.mean(axis=1) / unit.mean(axis=1), cases["family"])

    for reduce in ("mean", "max"):
        value, of = getattr(every, reduce)(axis=1), getattr(unit, reduce)(axis=1)
        for limits in ((1 / 3, 1 / 10), (1 / 2, 1 / 10), (1 / 4, 1 / 20), (1 / 2, 1 / 5)):
            classes = seen(value, of, *limits)
            _print_confusion(rule, classes, f"{reduce} over depths, limits {limits[0]:.2f}, {limits[1]:.2f}")
    for w in (0.3, 1.0):
        settings: dict[str, Any] = {"extinction_nm": xi, "excitation": w}
        classes = seen(contrast(g, b, u, beam, **settings), reference(g, beam, **settings))
        _print_confusion(rule, classes, f"w = {w}, mean over depths, limits 0.33, 0.10")


def _print_relative(rule: NDArray, relative: NDArray, family: NDArray) -> None:
    """Quantiles of relative contrast in each class of the criteria."""
    print("contrast / that of a screw with g·b = 1: 5, 50, 95 % quantiles by class of the criteria")
    for f, hkl in enumerate(FAMILIES):
        for c, name in enumerate(CLASSES):
            values = relative[(family == f) & (rule == c) & np.isfinite(relative)]
            low, middle, high = np.quantile(values, [0.05, 0.5, 0.95]) if len(values) else [np.nan] * 3
            print(f"  {hkl} {name:10s} n = {len(values):5d}: {low:.3f} {middle:.3f} {high:.3f}")


def _print_confusion(rule: NDArray, classes: NDArray, title: str) -> None:
    """A table and the share of cases off its diagonal."""
    counts = confusion(rule, classes)
    total = counts.sum()
    any_seen = counts[0, 1:].sum() + counts[1:, 0].sum()
    print(f"\n{title}: {1 - np.trace(counts) / total:.1%} disagree, {any_seen / total:.1%} on seen or not")
    print(f"  {'criteria':10s} | simulation: " + " ".join(f"{name:>10s}" for name in CLASSES))
    for name, row in zip(CLASSES, counts, strict=True):
        print(f"  {name:10s} |             " + " ".join(f"{count:10d}" for count in row))


if __name__ == "__main__":
    main()
