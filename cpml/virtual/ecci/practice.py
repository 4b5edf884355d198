"""From pictures to labels on a virtual grain: what a session under given conditions would find out.

Lines of known Burgers vectors (`lines`) are drawn into one simulated picture for each condition (`picture`).
The pictures are read by `cpml.microscopy.ecci.line_pictures` alone: segments are looked for in every picture,
those of one place and direction are one, and the contrast of each in every picture is its record. What the
inference makes of these records is compared with what was drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference
from cpml.microscopy.ecci.contrast import STATES
from cpml.microscopy.ecci.evidence import ROWS, Settings
from cpml.microscopy.ecci.line_pictures import find_segments, line_contrast
from cpml.microscopy.ecci.posterior import LinePosterior, infer_lines
from cpml.microscopy.ecci.reflections import Reflections
from cpml.microscopy.images.sem_image import SemImage
from cpml.virtual.ecci.lines import Condition, Session, simulate_lines
from cpml.virtual.ecci.picture import line_picture

SIDE_UM, PIXEL_UM = 4.0, 0.01
NEAR_UM, NEAR_DEG = 0.12, 15.0
"""Segments whose centres and directions are nearer than this are one line."""
READ_SIGMA_DEG = 2.0
"""Error of the direction of a segment read off a picture, with that of the orientation."""


@dataclass(frozen=True, eq=False)
class Practice:
    """A virtual session.

    Attributes
    ----------
    pictures : reflection -> SemImage
    segments : table of `find_segments`, one row a place, and drawn (number of the line that was drawn there;
        0: none)
    seen : reflection -> (N,) what was read off each picture
    posterior : of the segments
    truth : of `simulate_lines`
    """

    pictures: dict[str, SemImage]
    segments: pd.DataFrame
    seen: dict[str, list[str]]
    posterior: LinePosterior
    truth: pd.DataFrame

    def summary(self) -> pd.Series:
        """Numbers: lines drawn, found, false segments, states read as drawn, Burgers vectors right
        and expected.
        """
        real = self.segments[self.segments["drawn"] > 0]
        lines = self.posterior.lines.set_index("line").reindex(real["segment_id"])
        true = self.truth.set_index("line").loc[real["drawn"]]
        drawn = np.array([true[g] for g in self.seen])
        read = np.array([np.asarray(states, object)[real.index] for states in self.seen.values()])
        is_right = lines["burgers"].to_numpy() == true["burgers"].to_numpy()
        return pd.Series(
            {
                "lines drawn": len(self.truth),
                "lines found": real["drawn"].nunique(),
                "segments without a line": int((self.segments["drawn"] == 0).sum()),
                "states read as drawn": float((drawn == read).mean()) if len(real) else np.nan,
                "Burgers vector first": float(is_right.mean()),
                "its mean probability": float(lines["p_burgers"].mean()),
            }
        )


def practise(
    systems: Systems,
    quaternion: NDArray,
    conditions: Sequence[Condition],
    found: Reflections,
    *,
    settings: Settings,
    n_lines: int = 24,
    seed: int = 0,
) -> Practice:
    """One session on a virtual grain of an orientation (4,); conditions as `simulate_lines` takes them."""
    grain = pd.DataFrame([quaternion], columns=["qw", "qx", "qy", "qz"]).assign(grain_id=1)
    session = Session(wrong=0.0, sigma_deg=1e-3, length_um=0.5, least_um=0.2)
    records, truth = simulate_lines(
        systems, grain, {1: conditions}, found, per_grain=n_lines, session=session, seed=seed
    )
    rng = np.random.default_rng(seed)
    drawn = records.groupby("line", as_index=False)[["angle_deg", "length_um"]].max()
    for name in ("x_um", "y_um"):
        drawn[name] = rng.uniform(0.3, SIDE_UM - 0.3, len(drawn))
    shape = (round(SIDE_UM / PIXEL_UM),) * 2
    pictures = {}
    for k, (g, _) in enumerate(conditions):
        states = records[records["g"] == g].set_index("line")["seen"]
        truth[g] = states.reindex(truth["line"]).to_numpy()
        lines = drawn.assign(seen=states.reindex(drawn["line"]).to_numpy())
        pictures[g] = line_picture(lines, shape=shape, pixel_um=PIXEL_UM, seed=seed + k)
    segments = merged([find_segments(picture) for picture in pictures.values()])
    segments["drawn"] = _partner(segments, drawn)
    seen = {g: line_contrast(picture, segments)["seen"].tolist() for g, picture in pictures.items()}
    told = [_records(segments, seen[g], g, beam) for g, beam in conditions]
    posterior = infer_lines(
        pd.concat(told, ignore_index=True), grain, systems, found, settings=replace(settings, pooled=True)
    )
    return Practice(pictures, segments, seen, posterior, truth)


def merged(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Segments of several pictures of one place, each line once, where it has the most contrast."""
    every = pd.concat(tables, ignore_index=True)
    every = every.sort_values("contrast_to_noise", ascending=False, kind="stable").reset_index(drop=True)
    kept: list[int] = []
    for i, row in every.iterrows():
        others = every.loc[kept]
        if not _near(others, row["x_px"], row["y_px"], row["angle_deg"]).any():
            kept.append(int(i))  # type: ignore[call-overload]
    table = every.loc[kept].reset_index(drop=True)
    return table.assign(segment_id=np.arange(1, len(table) + 1))


def _near(segments: pd.DataFrame, x_px: float, y_px: float, angle_deg: float) -> NDArray:
    """(N,) bool."""
    apart = np.hypot(segments["x_px"] - x_px, segments["y_px"] - y_px) * PIXEL_UM
    turned = np.abs(line_difference(segments["angle_deg"], angle_deg))
    return np.asarray((apart < NEAR_UM) & (turned < NEAR_DEG))


def _partner(segments: pd.DataFrame, drawn: pd.DataFrame) -> NDArray:
    """(N,) the line drawn where a segment was found, 0 for none."""
    partner = np.zeros(len(segments), int)
    for line in drawn.itertuples():
        near = _near(segments, line.x_um / PIXEL_UM, line.y_um / PIXEL_UM, line.angle_deg)
        partner[near & (partner == 0)] = line.line
    return partner


def _records(segments: pd.DataFrame, seen: Sequence[str], g: str, beam) -> pd.DataFrame:
    k = np.asarray(beam, float)
    return pd.DataFrame(
        {
            "line": segments["segment_id"],
            "segment": 1,
            "grain_id": 1,
            "angle_deg": segments["angle_deg"],
            "sigma_deg": READ_SIGMA_DEG,
            "length_um": segments["length_um"],
            "g": g,
            "beam_x": k[0],
            "beam_y": k[1],
            "beam_z": k[2],
            "seen": [state if state in STATES else "" for state in seen],
            "weight": 1.0,
        }
    )[list(ROWS)]
