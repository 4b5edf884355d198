"""Virtual dislocation lines with known Burgers vectors, and what an ECCI session would have recorded of them.

What is drawn otherwise than `cpml.microscopy.ecci` takes for granted: screws and edges are more frequent than
characters between them; drawn angles have heavy tails (Student's t with 4 degrees of freedom, scaled to the
given standard deviation); lengths and depths have other medians and spreads; climbed lines lie farther from
their planes; the state of a line may come from another simulation.

What generator and inference share, so that no score on these lines can judge it: straight lines, and the
geometry of a layer, which a line of length l meets with a probability ~ D + l |u_z| and shows over

    L = min(l |p|, D |p| / |u_z|)        p the projection of u along the beam

A line that is invisible under every reflection is never recorded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.microscopy.ecci.contrast import STATES, burgers_of_systems, expected_state
from cpml.microscopy.ecci.reflections import Reflections
from cpml.microscopy.ecci.stage import projected_angle_deg

Condition = tuple[str, ArrayLike]
"""Name of a reflection, and the beam (3,) in the sample frame that excites it."""
State = Callable[[NDArray, NDArray, NDArray], NDArray]
"""Numbers in STATES of reflections, Burgers vectors and lines (..., 3): the criteria, or another
simulation.
"""


@dataclass(frozen=True)
class Session:
    """How lines are, and how they are recorded.

    Attributes
    ----------
    wrong : share of records in one of the two other states
    sigma_deg : standard deviation of drawn angles
    climbed, crossed, bent : shares of lines that climbed, cross-slipped at a bend, or bend in one plane
    screws, edges : shares of lines within 5 degrees of these characters; the rest is uniform
    length_um, log_length_sd, depth_um, log_depth_sd : medians and spreads (log-normal) of l and D
    least_um : shorter lines are points, and not recorded
    """

    wrong: float = 0.1
    sigma_deg: float = 3.0
    climbed: float = 0.0
    crossed: float = 0.0
    bent: float = 0.0
    screws: float = 0.3
    edges: float = 0.2
    length_um: float = 0.6
    log_length_sd: float = 0.5
    depth_um: float = 0.1
    log_depth_sd: float = 0.3
    least_um: float = 0.05

    def __post_init__(self) -> None:
        kinds = self.climbed + self.crossed + self.bent
        if not (0 <= kinds <= 1 and 0 <= self.screws + self.edges <= 1 and 0 <= self.wrong <= 1):
            raise ParameterError(
                f"shares of lines that climbed, crossed or bend add up to {kinds:g}, of screws and edges to "
                f"{self.screws + self.edges:g}, wrong is {self.wrong:g}: each is from 0 to 1"
            )


USUAL = Session()


def simulate_lines(
    systems: Systems,
    grains: pd.DataFrame,
    conditions: Mapping[int, Sequence[Condition]],
    found: Reflections,
    *,
    per_grain: int = 10,
    session: Session = USUAL,
    shares: ArrayLike | None = None,
    state: State = expected_state,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records and truth of lines.

    Parameters
    ----------
    grains : grain_id, qw, qx, qy, qz
    conditions : of each grain_id, what it was looked at under
    shares : (S,) of the systems that lines glide on; None: Burgers vectors equal, and their planes
    state : what is to be seen

    Returns
    -------
    records : columns of `cpml.microscopy.ecci.evidence.ROWS`
    truth : line, segment, grain_id, burgers, system ("" for climb), character_deg, climbed, crossed
    """
    rng = np.random.default_rng(seed)
    vectors, of_system = burgers_of_systems(systems)
    if shares is None:
        planes = np.bincount(of_system[of_system >= 0], minlength=len(vectors))
        shares = np.where(of_system >= 0, 1.0 / planes[of_system] / len(vectors), 0.0)
    weights = np.asarray(shares, float) / np.sum(shares)
    records: list[dict] = []
    truth: list[dict] = []
    number = 0
    for grain in grains.itertuples():
        rotation = quaternion_to_matrix(np.array([grain.qw, grain.qx, grain.qy, grain.qz]))
        looked = [(name, np.asarray(beam, float)) for name, beam in conditions[grain.grain_id]]
        made = 0
        while made < per_grain:
            drawn = _line(systems, of_system, weights, rotation, looked[0][1], session, rng)
            if drawn is None:
                continue
            own, known = _recorded(drawn, vectors.vector, rotation, looked, found, session, state, rng)
            if not own:
                continue
            made, number = made + 1, number + 1
            about = {"line": number, "grain_id": grain.grain_id}
            records += [about | row for row in own]
            truth += [about | row | {"burgers": vectors.names[drawn[0].burgers]} for row in known]
    return pd.DataFrame(records), pd.DataFrame(truth)


@dataclass(frozen=True)
class _Segment:
    burgers: int
    system: int  # -1: climbed
    direction: NDArray  # crystal frame
    length_um: float
    is_crossed: bool


def _line(
    systems: Systems,
    of_system: NDArray,
    weights: NDArray,
    rotation: NDArray,
    beam: NDArray,
    session: Session,
    rng: np.random.Generator,
) -> list[_Segment] | None:
    """Segments of a line; None for one that the layer does not show as a line."""
    first = int(rng.choice(len(weights), p=weights))
    k = int(of_system[first])
    kind = rng.choice(4, p=[session.climbed, session.crossed, session.bent, _rest(session)])
    others = np.flatnonzero((of_system == k) & (systems.plane_id != systems.plane_id[first]))
    if kind == 1 and not len(others):
        kind = 3
    planes = {0: [-1], 1: [first, int(rng.choice(others)) if len(others) else first], 2: [first] * 2}
    segments = []
    for system in planes.get(int(kind), [first]):
        u = _direction(systems, of_system, k, system, session, rng)
        length = _shown(rotation @ u, beam, session, rng)
        if length is None:
            return None
        segments.append(_Segment(k, system, u, length, kind == 1))
    return segments


def _rest(session: Session) -> float:
    return 1.0 - session.climbed - session.crossed - session.bent


def _direction(
    systems: Systems, of_system: NDArray, k: int, system: int, session: Session, rng: np.random.Generator
) -> NDArray:
    if system < 0:  # anywhere, 15 degrees and more from the planes of its Burgers vector
        planes = systems.plane[of_system == k]
        while True:
            u = rng.standard_normal(3)
            u /= np.linalg.norm(u)
            if (np.abs(planes @ u) > np.sin(np.deg2rad(15.0))).all():
                return u
    kind = rng.choice(3, p=[session.screws, session.edges, 1 - session.screws - session.edges])
    psi = rng.uniform(0, np.pi) if kind == 2 else kind * np.pi / 2 + np.deg2rad(rng.uniform(-5, 5))
    b = systems.direction[system]
    return np.cos(psi) * b + np.sin(psi) * np.cross(systems.plane[system], b)


def _shown(u: NDArray, beam: NDArray, session: Session, rng: np.random.Generator) -> float | None:
    """Length on the surface, um; None where the line is not met by the layer, or looks like a point."""
    own = session.length_um * np.exp(session.log_length_sd * rng.standard_normal())
    depth = session.depth_um * np.exp(session.log_depth_sd * rng.standard_normal())
    if rng.uniform() > (depth + own * abs(u[2])) / (depth + own):
        return None
    p = np.linalg.norm(u - u[2] / beam[2] * beam)
    length = min(own * p, depth * p / max(abs(u[2]), 1e-9))
    return length if length >= session.least_um else None


def _recorded(
    drawn: list[_Segment],
    vectors: NDArray,
    rotation: NDArray,
    looked: list[tuple[str, NDArray]],
    found: Reflections,
    session: Session,
    state: State,
    rng: np.random.Generator,
) -> tuple[list[dict], list[dict]]:
    """Rows of records, none for a line of which some segment is never seen, and of the truth."""
    records, truth = [], []
    g = np.array([found.vector[found.number(name)] for name, _ in looked])
    for i, segment in enumerate(drawn, start=1):
        expected = state(g, vectors[segment.burgers], segment.direction)
        other = (expected + rng.integers(1, 3, len(expected))) % 3
        seen = np.where(rng.uniform(size=len(expected)) < session.wrong, other, expected)
        if (seen == STATES.index("invisible")).all():
            return [], []
        shown = int(np.argmax(seen != STATES.index("invisible")))
        noise = session.sigma_deg / np.sqrt(2.0) * rng.standard_t(4)
        angle = float(projected_angle_deg(rotation @ segment.direction, looked[shown][1]) + noise) % 180.0
        for c, (name, beam) in enumerate(looked):
            is_drawn = c == shown
            records.append(
                {
                    "segment": i,
                    "angle_deg": angle if is_drawn else np.nan,
                    "sigma_deg": session.sigma_deg,
                    "length_um": segment.length_um if is_drawn else np.nan,
                    "g": name,
                    "beam_x": beam[0],
                    "beam_y": beam[1],
                    "beam_z": beam[2],
                    "seen": STATES[seen[c]],
                    "weight": 1.0,
                }
            )
        b = vectors[segment.burgers] / np.linalg.norm(vectors[segment.burgers])
        truth.append(
            {
                "segment": i,
                "system": segment.system,
                "character_deg": float(np.degrees(np.arccos(min(1.0, abs(b @ segment.direction))))),
                "climbed": segment.system < 0,
                "crossed": segment.is_crossed,
            }
        )
    return records, truth
