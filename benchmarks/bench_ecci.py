"""What ECCI lines tell: Burgers vectors, coverage, climb, cross-slip, the worth of the suggested reflections.

Grains have random orientations; reflections are those that the stage reaches and `best_reflections` suggests.
Lines are drawn as `cpml.virtual.ecci.lines` says, where it stands what generator and inference share. In each
grain they glide by the Schmid factors to the eighth power under tension along x, all families as strong, so
that hcp grains have lines of <c+a>. 10 % of records are wrong, angles have 3 degrees of noise.

    truth "criteria"     what is expected is what the criteria of invisibility say, sharply
    truth "dynamical"    what is expected is what the two-beam simulation of `benchmarks.ecci_contrast` shows

Coverage is that of 90 % sets whose last member is taken with the probability that makes them 90 % exactly;
the sets of `LinePosterior`, which take it always, cover more. Printed by `tasks.py bench --suite ecci`.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from benchmarks import ecci_contrast
from cpml.crystallography import load_material, quaternion_to_matrix, random_quaternions
from cpml.crystallography.materials import Material
from cpml.microscopy.ecci.best_reflections import best_reflections
from cpml.microscopy.ecci.calls import call_lines
from cpml.microscopy.ecci.channelling import settings_for
from cpml.microscopy.ecci.contrast import STATES, Reading, expected_state
from cpml.microscopy.ecci.evidence import Settings
from cpml.microscopy.ecci.posterior import LinePosterior, infer_lines
from cpml.microscopy.ecci.reading import learn_reading
from cpml.microscopy.ecci.reflections import Reflections, reflections
from cpml.microscopy.ecci.stage import Stage
from cpml.virtual.ecci.lines import Condition, Session, State, simulate_lines

MATERIALS = ("nickel", "titanium_cp", "magnesium")
SCHMID_POWER = 8
LEVEL = 0.9
GRAINS, LINES = 60, 25
PARTS = ("burgers", "number", "calls", "speed")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], help="burgers, number, calls, speed; all by default")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args(arguments)
    for name, part in zip(PARTS, (burgers, number, calls, speed), strict=True):
        if not given.parts or name in given.parts:
            began = time.perf_counter()
            part(given.seeds)
            print(f"{name}: {time.perf_counter() - began:.0f} s\n", flush=True)


class Specimen:
    """Grains of one material with the conditions that they are looked at under."""

    def __init__(self, material: Material, seed: int, *, n: int = 3, random_sets: bool = False):
        self.systems, self.found, self.stage = material.systems(), reflections(material), Stage()
        rng = np.random.default_rng(seed)
        q = random_quaternions(GRAINS, rng)
        self.conditions: dict[int, list[Condition]] = {}
        for grain, one in enumerate(q, start=1):
            chosen = self._random(one, n, rng) if random_sets else self._suggested(one, n)
            if chosen:
                self.conditions[grain] = chosen
        table = pd.DataFrame(q, columns=["qw", "qx", "qy", "qz"]).assign(grain_id=range(1, GRAINS + 1))
        self.grains = table[table["grain_id"].isin(list(self.conditions))]

    def _suggested(self, q: np.ndarray, n: int) -> list[Condition]:
        best = best_reflections(self.found, self.systems, q, self.stage, sizes=(n,), n_best=1)
        if best.empty:
            return []
        names, settings = best["reflections"][0].split(), best["settings"][0].split(", ")
        return [
            (name, self.stage.beam(*map(float, at.split(" / "))))
            for name, at in zip(names, settings, strict=True)
        ]

    def _random(self, q: np.ndarray, n: int, rng: np.random.Generator) -> list[Condition]:
        reach = settings_for(self.found, q, self.stage)
        reach = reach[reach["clear_deg"] >= 1.0]
        if len(reach) < n:
            return []
        rows = reach.iloc[rng.choice(len(reach), n, replace=False)]
        return [(row.g, self.stage.beam(row.tilt_deg, row.second_deg)) for row in rows.itertuples()]

    def lines(
        self, seed: int, session: Session, truth: str = "criteria", per_grain: int = LINES
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Records and truth of all grains, each slipping by its Schmid factors."""
        records, known = [], []
        for grain in self.grains["grain_id"]:
            own = self.grains[self.grains["grain_id"] == grain]
            rotation = quaternion_to_matrix(own[["qw", "qx", "qy", "qz"]].to_numpy()[0])
            x = rotation[0]
            schmid = np.abs((self.systems.plane @ x) * (self.systems.direction @ x))
            state = expected_state
            if truth == "dynamical":
                state = _dynamical(self.found, rotation, [beam for _, beam in self.conditions[grain]])
            told = simulate_lines(
                self.systems,
                own,
                self.conditions,
                self.found,
                per_grain=per_grain,
                session=session,
                shares=np.where(self.systems.slip, schmid**SCHMID_POWER, 0.0),
                state=state,
                seed=1000 * seed + int(grain),
            )
            for tables, table in zip((records, known), told, strict=True):
                tables.append(table.assign(line=table["line"] + 10_000 * int(grain)))
        return pd.concat(records, ignore_index=True), pd.concat(known, ignore_index=True)


def _dynamical(found: Reflections, rotation: np.ndarray, beams: list) -> State:
    """States by the two-beam simulation, of the reflections of a grain in the order of its beams."""

    def state(g: np.ndarray, b: np.ndarray, u: np.ndarray) -> np.ndarray:
        beam = np.array(beams, float)
        per_nm, b_nm, line = (
            np.broadcast_to(v @ rotation.T, g.shape) for v in (g / found.a_nm, b * found.a_nm, u)
        )
        xi = np.array([found.extinction_nm[np.abs(found.vector - one).sum(1).argmin()] for one in g])
        told = ecci_contrast.contrast(per_nm, b_nm, line, beam, extinction_nm=xi)
        seen = ecci_contrast.seen(told, ecci_contrast.reference(per_nm, beam, extinction_nm=xi))
        return np.array([STATES.index(ecci_contrast.CLASSES[max(k, 0)]) for k in seen])

    return state


def scores(posterior: LinePosterior, truth: pd.DataFrame, seed: int = 0) -> dict[str, float]:
    """Shares of lines whose Burgers vector, or system, comes first, and coverage of sets."""
    lines = posterior.lines
    own = truth.drop_duplicates("line").set_index("line").loc[lines["line"]]
    wide = posterior.burgers.pivot(index="line", columns="burgers", values="p").loc[lines["line"]]
    p, names = wide.to_numpy(), wide.columns.to_numpy()
    order = np.argsort(-p, axis=1)
    ranked = np.take_along_axis(p, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked
    taken = np.random.default_rng(seed).random((len(p), 1)) < (LEVEL - before) / np.maximum(ranked, 1e-12)
    hit = names[order] == own["burgers"].to_numpy()[:, None]
    listed = zip(own["burgers"], lines["in_set"], strict=True)
    return {
        "right": hit[:, 0].mean(),
        "expected": ranked[:, 0].mean(),
        "coverage": (hit & taken).any(1).mean(),
        "coverage_listed": np.mean([name in text.split() for name, text in listed]),
        "set_size": lines["in_set"].str.split().str.len().mean(),
    }


def burgers(seeds: int) -> None:
    """Burgers vectors of single lines, and of the lines of a grain together, under three conditions."""
    rows = []
    for truth in ("criteria", "dynamical"):
        for name in MATERIALS:
            for seed in range(seeds):
                specimen = Specimen(load_material(name), seed)
                records, known = specimen.lines(seed, Session(), truth)
                given = (records, specimen.grains, specimen.systems, specimen.found)
                readings = {False: Reading(), True: learn_reading(*given, seed=seed)[0]}
                for learned, pooled in product((False, True), repeat=2):
                    reading = readings[learned]
                    found = infer_lines(*given, settings=Settings(reading=reading, pooled=pooled))
                    about = {"truth": truth, "material": name, "learned": learned, "pooled": pooled}
                    limits = {"m_w": reading.weak_limit, "m_v": reading.visible_limit, "e": reading.wrong}
                    rows.append(about | limits | scores(found, known, seed))
    keys = ["truth", "material", "learned", "pooled"]
    table = pd.DataFrame(rows).groupby(keys, sort=False)
    print("three conditions, 10 % of records wrong, 3 degrees of noise; means over seeds")
    print(table.mean().round(3).to_string())


def number(seeds: int) -> None:
    """How many reflections it takes: suggested sets beside random ones, lines of a grain pooled or not."""
    rows = []
    for name in MATERIALS[:2]:
        for n in (1, 2, 3, 4, 5, 6):
            for random_sets in (False, True):
                for seed in range(seeds):
                    specimen = Specimen(load_material(name), seed, n=n, random_sets=random_sets)
                    if not len(specimen.grains):
                        continue
                    records, known = specimen.lines(seed, Session())
                    for pooled in (False, True):
                        found = infer_lines(
                            records,
                            specimen.grains,
                            specimen.systems,
                            specimen.found,
                            settings=Settings(pooled=pooled),
                        )
                        about = {"material": name, "pooled": pooled, "n": n, "random": random_sets}
                        rows.append(about | {"right": scores(found, known)["right"]})
    table = pd.DataFrame(rows).groupby(["material", "pooled", "random", "n"])["right"].mean().unstack()
    print("share of lines whose Burgers vector comes first, over the number of reflections")
    print(table.round(3).to_string())


def calls(seeds: int) -> None:
    """Climb and cross-slip at 5 % false alarms, under truth that the null does not share."""
    rows = []
    for truth in ("criteria", "dynamical"):
        for name in MATERIALS:
            for seed in range(seeds):
                specimen = Specimen(load_material(name), seed)
                session = Session(climbed=0.15, crossed=0.15, bent=0.3)
                records, known = specimen.lines(seed, session, truth)
                given = (records, specimen.grains, specimen.systems, specimen.found)
                settings = Settings(reading=learn_reading(*given, seed=seed)[0])
                posterior = infer_lines(*given, settings=settings)
                told = call_lines(posterior, *given, settings=settings, seed=seed)
                own = known.drop_duplicates("line").set_index("line").loc[told["line"]]
                climbed, crossed = own["climbed"].to_numpy(bool), own["crossed"].to_numpy(bool)
                bent = (told["n_segments"] > 1).to_numpy()
                rows.append(
                    {
                        "truth": truth,
                        "material": name,
                        "climb_false": told["climbed"][~climbed & ~crossed].mean(),
                        "climb_power": told["climbed"][climbed].mean(),
                        "cross_false": told["cross_slipped"][bent & ~crossed].mean(),
                        "cross_power": told["cross_slipped"][crossed].mean(),
                    }
                )
    print("calls at 5 % false alarms; means over seeds")
    print(pd.DataFrame(rows).groupby(["truth", "material"], sort=False).mean().round(3).to_string())


def speed(seeds: int) -> None:
    """Seconds for 10,000 lines of three records each."""
    for name in MATERIALS[:2]:
        specimen = Specimen(load_material(name), 0)
        records, _ = specimen.lines(0, Session(), per_grain=10_000 // len(specimen.grains) + 1)
        for pooled in (False, True):
            began = time.perf_counter()
            found = infer_lines(
                records, specimen.grains, specimen.systems, specimen.found, settings=Settings(pooled=pooled)
            )
            print(f"{name}, pooled {pooled}: {len(found.lines)} lines {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
