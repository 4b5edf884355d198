"""Design over strain: three goals at once, curves, what is feasible, what holds with a probability.

Run: tasks.py bench --suite design [--arguments "goals curves feasible chance"].

| part | what | asked |
|---|---|---|
| goals | yield stress, r-value, twin fraction at 3 % of AZ31, five designs; other routes beside | 1 %, 3 %
drawn |
| curves | 20 points to 10 % of curves of hidden textures, three metals | 2 % rms |
| feasible | goals of 100 random textures, by Taylor; of 20 by the affine route | all found |
| chance | bounds with probability .9, at 200 draws that the design was not made with, three seeds | .87 to
.95 |
"""

import argparse
import time

import numpy as np

from cpml import design
from cpml.crystallography import load_material
from cpml.design.goals import goals_of
from cpml.design.grid import orientation_grid, prior_names, prior_texture, sample_copies
from cpml.design.routes import Route
from cpml.plasticity import PowerLaw, material_hardening

AZ31 = "magnesium_az31"
THREE = {"yield_stress_mpa": 120.0, "r_value": 1.2, "twin_fraction": {"strain": 0.03, "value": 0.05}}
BOUNDS = {"yield_stress_mpa": {"min": 130.0}, "twin_fraction": {"strain": 0.03, "max": 0.06}}
SPREAD = 0.15  # of the log strengths


def route_of(name: str, scheme: str = "affine") -> Route:
    """The route of a shipped material."""
    material = load_material(name)
    return Route(PowerLaw.from_material(material), material_hardening(material), scheme=scheme)


def hidden(lattice: str, grid_deg: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A texture nobody knows: a fibre at random, with noise of every orientation; all its sample copies."""
    grid = orientation_grid(lattice, grid_deg)
    name = rng.choice(prior_names(lattice))
    weights = 0.6 * prior_texture(lattice, name, grid) + 0.4 * rng.dirichlet(np.full(len(grid), 0.3))
    copies = sample_copies(grid, "orthotropic")
    return copies.reshape(-1, 4), np.tile(weights / len(copies), len(copies))


def goals() -> dict[str, float]:
    """Three goals at once."""
    start = time.perf_counter()
    found = design.suggest(THREE, material=AZ31, route="affine", count=5)
    seconds, designs = time.perf_counter() - start, [found, *found.alternatives]
    own = [np.abs(np.array(list(d.properties.values())) / [120.0, 1.2, 0.05] - 1).max() for d in designs]
    apart = min(a.distance(b) for a in designs for b in designs if a is not b)
    tables = [design.prove(d, goals_of(THREE), route_of(AZ31)) for d in designs]
    by_route = {}
    for table in tables:
        for name, rows in table.groupby("route"):
            by_route.setdefault(name, []).append(rows["deviation"].abs().to_numpy())
    print(
        f"{len(designs)} designs in {seconds:.0f} s, at least {apart:.2f} apart; "
        f"own route off by {max(own):.1%}"
    )
    for name, rows in by_route.items():
        worst = np.max(rows, axis=0)
        print(
            f"  {name:10s} off by at most "
            + ", ".join(f"{k} {v:.1%}" for k, v in zip(THREE, worst, strict=True))
        )
    return {
        "designs": len(designs),
        "seconds": seconds,
        "own": max(own),
        "drawn": float(np.max(by_route["drawn"])),
    }


def curves() -> dict[str, float]:
    """Curves of hidden textures."""
    strain, worst = np.linspace(0.005, 0.1, 20), {}
    for name in (AZ31, "aluminium", "ferrite"):
        route = route_of(name)
        for seed in range(3):
            rng = np.random.default_rng(seed)
            path = route.path(*hidden(route.law.systems.lattice, 10.0, rng), 0.1)
            stress = np.interp(strain, path.control.numpy(), path.von_mises.numpy())
            start = time.perf_counter()
            curve = {"strain": strain.tolist(), "stress_mpa": stress.tolist()}
            found = design.suggest({"curve": curve}, material=name, route="affine", count=1)
            values = np.array(list(found.properties.values()))
            rms = float(np.sqrt(((values / stress - 1) ** 2).mean()))
            worst[name] = max(worst.get(name, 0.0), rms)
            print(f"{name} {seed}: {found.status}, rms {rms:.2%}, {time.perf_counter() - start:.0f} s")
    return {f"rms {name}": value for name, value in worst.items()}


def feasible(count: int = 100, affine: int = 20) -> dict[str, float]:
    """Goals that a random texture has."""
    numbers = {}
    for scheme, trials in (("taylor", count), ("affine", affine)):
        route, met, start = route_of(AZ31, scheme), 0, time.perf_counter()
        for seed in range(trials):
            texture = hidden("hcp", 15.0, np.random.default_rng(seed))
            values = route.values(*texture, goals_of(THREE))
            asked = dict(zip(("yield_stress_mpa", "r_value"), values[:2].tolist(), strict=True))
            asked |= {"twin_fraction": {"strain": 0.03, "value": float(values[2])}}
            found = design.suggest(asked, material=AZ31, route=scheme, count=1, grid_deg=15.0)
            met += found.status == "reached"
            if found.status != "reached":
                off = found.certificate["largest_deviation"]
                print(f"  {scheme} {seed}: {found.status}, {asked}, off by {off:.3f}")
        print(f"{scheme}: {met} of {trials} found, {time.perf_counter() - start:.0f} s")
        numbers[f"found {scheme}"] = met / trials
    return numbers


def chance() -> dict[str, float]:
    """Bounds at strengths that the design was not made with."""
    material, numbers = load_material(AZ31), {}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        known, fresh = (
            material.strengths * np.exp(SPREAD * rng.standard_normal((200, len(material.families))))
            for _ in range(2)
        )
        start = time.perf_counter()
        found = design.suggest(
            BOUNDS, material=AZ31, route="affine", count=1, strengths=known, probability=0.9
        )
        table = design.chance_table(found, goals_of(BOUNDS), route_of(AZ31), fresh).set_index("goal")
        share = float(table.loc["all goals", "probability"])
        numbers[f"held {seed}"] = share
        print(
            f"seed {seed}: asked 0.9, {found.certificate['probability']:.3f} of its own draws, "
            f"{share:.3f} of others, {time.perf_counter() - start:.0f} s"
        )
    return numbers


PARTS = ("goals", "curves", "feasible", "chance")


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """The parts asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS), choices=PARTS)
    numbers: dict[str, float] = {}
    for part in parser.parse_args(arguments).parts:
        print(f"== {part}")
        numbers |= globals()[part]()
    return numbers


if __name__ == "__main__":
    main()
