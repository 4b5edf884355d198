"""Whether a dislocation is seen under a reflection: the criteria of invisibility, and how often they fail.

    |g . b| > 0                                       visible
    g . b = 0  and  m = |g . (b x u)| / 8 >= 0.08     weak: the residual contrast of an edge component
    otherwise                                         invisible

How much residual contrast is still seen depends on picture and reader. A line with g . b = 0 is taken to
be at least weak with probability Phi(ln(m / m_w) / s_m), and to look like any visible one with probability
Phi(ln(m / m_v) / s_m). The textbook has m_w = 0.08 and m_v infinite; a dynamical calculation
(`benchmarks.ecci_contrast`) shows lines weakly from m = 0.02 and takes half of those at 0.07 for visible.
`reading` finds both limits, and e, from the records themselves.

A picture is read wrongly, and the criteria fail where the surface relaxes about a line that meets it or where
the crystal is elastically anisotropic: with probability e a line is recorded in one of the two other states,

    P(recorded | expected) = 1 - e where they agree, e / 2 elsewhere

Lines are straight and their Burgers vectors perfect: partials at resolved distances have contrast of their
own, with fractions of g . b.

| symbol | meaning | unit |
|---|---|---|
| g | reflection | 1/a |
| b, u | Burgers vector, unit vector along the line, crystal frame | a, - |
| e | share of wrong observations | - |
| m_w, m_v, s_m | limits of m: seen weakly, taken for visible; their spread, 0.7 | - |

Hirsch, Howie, Nicholson, Pashley & Whelan 1965, Electron Microscopy of Thin Crystals, ch. 7 and 11 (g . b and
the limit 0.08 of m); Crimp 2006, Microsc. Res. Tech. 69:374 and Zaefferer & Elhami 2014, Acta Mater. 75:20
(the criteria in ECCI). e = 0.1 is an estimate, spread 0.7: no study that counts failures was found.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from cpml.crystallography.slip_systems import Systems, direction_indices, direction_vector, lattice_vectors
from cpml.errors import ParameterError
from cpml.microscopy.ecci.reflections import Reflections

STATES = ("visible", "weak", "invisible")
WRONG = 0.1
RESIDUAL, LOG_RESIDUAL_SD = 0.08, 0.7
"""Least m that the textbook sees, and the spread of both limits' logarithms."""
ZERO = 0.05
"""|g . b| below it is zero: between lattice vectors it is a whole number."""
BURGERS = {
    "fcc": (((1, 1, 0), 1 / 2),),
    "bcc": (((1, 1, 1), 1 / 2), ((1, 0, 0), 1.0)),
    "hcp": (((2, -1, -1, 0), 1 / 3), ((0, 0, 0, 1), 1.0), ((2, -1, -1, 3), 1 / 3)),
}
"""Burgers vectors of perfect dislocations: indices, and the factor before them."""
NAMES = {"fcc": ("1/2<110>",), "bcc": ("1/2<111>", "<100>"), "hcp": ("<a>", "<c>", "<c+a>")}


@dataclass(frozen=True, eq=False)
class BurgersVectors:
    """Burgers vectors of a crystal, one of b and -b.

    Attributes
    ----------
    names : (B,) indices, the last that is not zero positive, as "[0-11]"
    kind : (B,) the form, one of NAMES
    vector : (B, 3) in a, crystal frame
    """

    names: tuple[str, ...]
    kind: tuple[str, ...]
    vector: NDArray

    def __len__(self) -> int:
        return len(self.names)


def burgers_vectors(lattice: str, *, c_over_a: float | None = None) -> BurgersVectors:
    """All Burgers vectors of perfect dislocations of a lattice.

    Examples
    --------
    >>> found = burgers_vectors("hcp", c_over_a=1.6)
    >>> print([found.kind.count(kind) for kind in ("<a>", "<c>", "<c+a>")])
    [3, 1, 6]
    """
    from cpml.crystallography.rotations import quaternion_to_matrix
    from cpml.crystallography.symmetry import group_of_lattice, proper_group

    if lattice not in BURGERS:
        raise ParameterError(f"lattice {lattice!r}: choose one of {', '.join(BURGERS)}")
    turns = quaternion_to_matrix(proper_group(group_of_lattice(lattice)))
    cell = lattice_vectors(lattice, c_over_a or 1.0)
    names, kinds, vectors = [], [], []
    for kind, (indices, factor) in zip(NAMES[lattice], BURGERS[lattice], strict=True):
        written = direction_vector(indices, lattice, c_over_a or 1.0)
        seen: dict[tuple[int, ...], NDArray] = {}
        for v in turns @ written:
            own = direction_indices(v, cell)
            lead = own[-1] or next(i for i in own if i)
            seen.setdefault(tuple(int(np.sign(lead)) * i for i in own), np.sign(lead) * v)
        names += ["[" + "".join(map(str, own)) + "]" for own in seen]
        kinds += [kind] * len(seen)
        vectors += [factor * v for v in seen.values()]
    return BurgersVectors(tuple(names), tuple(kinds), np.array(vectors))


def burgers_of_systems(systems: Systems) -> tuple[BurgersVectors, NDArray]:
    """The Burgers vectors of slip systems, and (S,) which of them each system has; -1 for twins."""
    every = burgers_vectors(systems.lattice, c_over_a=systems.c_over_a)
    length = np.linalg.norm(every.vector, axis=1)
    unit = every.vector / length[:, None]
    own = systems.direction * systems.burgers_length[:, None]
    match = np.abs(own @ unit.T) / length - np.abs(np.linalg.norm(own, axis=1)[:, None] / length - 1)
    number = np.where(systems.slip, match.argmax(1), -1)
    used = np.unique(number[number >= 0])
    place = np.full(len(every), -1)
    place[used] = np.arange(len(used))
    kept = BurgersVectors(
        tuple(every.names[i] for i in used), tuple(every.kind[i] for i in used), every.vector[used]
    )
    return kept, np.where(number >= 0, place[number], -1)


@dataclass(frozen=True)
class Reading:
    """How contrast becomes a record: e, m_w and m_v of the module docstring."""

    wrong: float = WRONG
    weak_limit: float = RESIDUAL
    visible_limit: float = np.inf


TEXTBOOK = Reading()


def state_probability(g: ArrayLike, b: ArrayLike, u: ArrayLike, reading: Reading) -> NDArray:
    """(..., 3) probability that reflections, Burgers vectors and lines (..., 3) are recorded in each
    state.
    """
    g, b, u = (np.asarray(v, float) for v in (g, b, u))
    seen = np.abs((g * b).sum(-1)) >= ZERO
    log_m = np.log(np.maximum(np.abs((g * np.cross(b, u)).sum(-1)) / 8, 1e-9))
    strong = ndtr((log_m - np.log(reading.visible_limit)) / LOG_RESIDUAL_SD)
    any_ = ndtr((log_m - np.log(reading.weak_limit)) / LOG_RESIDUAL_SD)
    visible = np.where(seen, 1.0, strong)
    invisible = np.where(seen, 0.0, 1.0 - any_)
    expected = np.stack([visible, 1.0 - visible - invisible, invisible], axis=-1)
    return expected @ recorded_probability(reading.wrong)


def expected_state(g: ArrayLike, b: ArrayLike, u: ArrayLike) -> NDArray:
    """(...) number in STATES that the criteria give reflections, Burgers vectors and lines (..., 3).

    Examples
    --------
    >>> screw, edge = [1, -1, 0], [1, 1, -2]  # lines of b = 1/2 [1-10] on (111)
    >>> b = np.array([1, -1, 0]) / 2
    >>> lines = [np.array(v) / np.linalg.norm(v) for v in (screw, edge)]
    >>> [STATES[expected_state([1, 1, 1], b, u)] for u in lines]
    ['invisible', 'weak']
    """
    g, b, u = (np.asarray(v, float) for v in (g, b, u))
    seen = np.abs((g * b).sum(-1)) >= ZERO
    residual = np.abs((g * np.cross(b, u)).sum(-1)) / 8 >= RESIDUAL - 1e-9
    return np.where(seen, 0, np.where(residual, 1, 2))


def recorded_probability(wrong: float = WRONG) -> NDArray:
    """(3, 3) probability that a line of an expected state (row) is recorded in a state (column).

    Raises
    ------
    ParameterError : a share outside 0 to 2/3, where a record would say nothing or the opposite
    """
    if not 0 <= wrong < 2 / 3:
        raise ParameterError(f"wrong = {wrong:g}: the share of wrong observations is from 0 to below 2/3")
    return np.full((3, 3), wrong / 2) + np.eye(3) * (1 - 1.5 * wrong)


def contrast_table(
    found: Reflections, systems: Systems, names: list[str] | None = None, *, wrong: float = WRONG
) -> pd.DataFrame:
    """g . b of every Burgers vector and what a screw and an edge of each of its planes would look like.

    Parameters
    ----------
    names : reflections; None: one of each pair g, -g of the two strongest forms

    Returns
    -------
    DataFrame g, burgers, kind, gb, plane, screw, edge (states), p_screw, p_edge (probability to be recorded
    as visible or weak)
    """
    vectors, of_system = burgers_of_systems(systems)
    if names is None:
        chosen = [found.names[i] for i in one_of_each_pair(found, np.flatnonzero(found.family < 2))]
    else:
        chosen = names
    recorded = recorded_probability(wrong)[:, :2].sum(1)
    rows = []
    for name in chosen:
        g = found.vector[found.number(name)]
        for s in np.flatnonzero(systems.slip):
            k = int(of_system[s])
            b, screw = vectors.vector[k], systems.direction[s]
            states = [int(expected_state(g, b, u)) for u in (screw, np.cross(systems.plane[s], screw))]
            rows.append(
                {
                    "g": name,
                    "burgers": vectors.names[k],
                    "kind": vectors.kind[k],
                    "gb": float(round(g @ b, 6) + 0.0),
                    "plane": systems.plane_names[systems.plane_id[s]],
                    "screw": STATES[states[0]],
                    "edge": STATES[states[1]],
                    "p_screw": recorded[states[0]],
                    "p_edge": recorded[states[1]],
                }
            )
    return pd.DataFrame(rows)


def one_of_each_pair(found: Reflections, numbers: ArrayLike) -> NDArray:
    """Of reflections g and -g, which give the same contrast, the first."""
    kept: list[int] = []
    for i in np.asarray(numbers, int):
        if not any(np.allclose(found.vector[i], -found.vector[j]) for j in kept):
            kept.append(int(i))
    return np.array(kept, int)


def confused_pairs(gb: ArrayLike) -> int:
    """Number of pairs of Burgers vectors that no reflection of a set tells apart by g . b = 0 or not.

    Parameters
    ----------
    gb : (M, B) g . b of the M reflections
    """
    seen = np.abs(np.asarray(gb, float)) >= ZERO
    pairs = combinations(range(seen.shape[1]), 2)
    return sum(bool((seen[:, i] == seen[:, j]).all()) for i, j in pairs)
