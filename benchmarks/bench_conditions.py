"""Mean fields under every condition: random aggregates x conditions x schemes x rate exponents.

Run: tasks.py bench --suite conditions [--arguments "1000 --gradients"]. Crystals of ten sets of families,
three of them with open yield surfaces, 1 to 150 grains of random or sharp textures, strengths over a factor
30, n from 1 to 100; tension, plane strain, shear, a general rate, mixed shears, creep; Taylor, relaxed and
four self-consistent schemes, some with flat grains. Each case must converge, or be refused in one line. With
--gradients the implicit gradient of log stress + log rate along a random direction of log strengths is
compared with central differences, extrapolated from two steps; where those two disagree by more than the
bound, differences cannot judge, and the case is counted apart.
"""

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from scipy.spatial.transform import Rotation

from cpml.crystallography import systems
from cpml.errors import CpmlError
from cpml.plasticity import Conditions, PowerLaw, mean_field
from cpml.plasticity.polycrystal.response import MeanField

CRYSTALS = {
    "fcc": ("fcc", ("octahedral",), None),
    "fcc with twins": ("fcc", ("octahedral", "twin"), None),
    "bcc, 24 systems": ("bcc", ("110", "112"), None),
    "bcc, 48 systems": ("bcc", ("110", "112", "123"), None),
    "Mg": ("hcp", ("basal", "prismatic", "pyramidal2_ca", "twin_1012"), 1.6236),
    "Ti": ("hcp", ("basal", "prismatic", "pyramidal1_ca"), 1.587),
    "Zr": ("hcp", ("prismatic", "pyramidal1_ca", "twin_1012", "twin_1122"), 1.593),
    "open: basal, prismatic": ("hcp", ("basal", "prismatic"), 1.6),
    "open: basal, {10-12}": ("hcp", ("basal", "twin_1012"), 1.6236),
    "open: {10-12}": ("hcp", ("twin_1012",), 1.6236),
}
EXPONENTS = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 70, 100)
SCHEMES = ("taylor", "taylor", "relaxed", "secant", "tangent", "affine", "affine", "n_eff")
CONDITIONS = ("tension", "tension", "plane strain", "shear", "general", "mixed shear", "creep")
BOUND = 1e-6  # of gradients, relative to the larger of 1 and the derivative
STEP = 1e-4  # of log strengths


@dataclass(frozen=True)
class Case:
    """One aggregate under one condition."""

    crystal: str
    scheme: str
    condition: str
    n: float
    law: PowerLaw
    orientations: np.ndarray  # (G, 3, 3)
    weights: np.ndarray
    loading: Conditions
    shape: np.ndarray | None

    def solve(self, law: PowerLaw | None = None, **options) -> MeanField:
        """The mean field; of another law where one is given."""
        return mean_field(
            law or self.law,
            self.orientations,
            weights=self.weights,
            loading=self.loading,
            scheme=self.scheme,
            shape=self.shape,
            **options,
        )


def draw(seed: int) -> Case:
    """The case of a seed."""
    rng = np.random.default_rng([15, seed])
    crystal = str(rng.choice(list(CRYSTALS)))
    lattice, families, ratio = CRYSTALS[crystal]
    found = systems(lattice, families=list(families), **({} if ratio is None else {"c_over_a": ratio}))
    count = int(rng.choice([1, 2, 5, 20, 60, 150]))
    if rng.random() < 0.7:
        turned = Rotation.random(count, random_state=rng)
    else:
        turned = Rotation.random(random_state=rng) * Rotation.from_rotvec(0.15 * rng.normal(size=(count, 3)))
    n, scheme = float(rng.choice(EXPONENTS)), str(rng.choice(SCHEMES))
    law = PowerLaw(found, 10 ** rng.uniform(0.5, 2, size=len(families)), n, 1e-3)
    condition = str(rng.choice(CONDITIONS))
    weights, is_flat = rng.random(count) + 0.1, rng.random() < 0.3 and scheme not in ("taylor", "relaxed")
    shape = np.diag(np.exp(0.5 * rng.normal(size=3))) if is_flat else None
    loading = _loading(condition, rng)
    return Case(crystal, scheme, condition, n, law, turned.as_matrix(), weights, loading, shape)


def _loading(condition: str, rng: np.random.Generator) -> Conditions:
    nan, rate = np.nan, 10 ** rng.uniform(-5, 0) * rng.choice([-1, 1])
    if condition == "tension":
        return Conditions.uniaxial(int(rng.integers(3)), rate)
    if condition == "plane strain":
        return Conditions.mixed(np.diag([rate, 0, -rate]))
    if condition == "shear":
        return Conditions.mixed(rate * np.eye(3)[[0]].T @ np.eye(3)[[1]])
    if condition == "general":
        gradient = rate * rng.normal(size=(3, 3))
        return Conditions.mixed(gradient - np.trace(gradient) / 3 * np.eye(3))
    if condition == "mixed shear":  # tension, and L12 and L13 as the stresses 12 and 13 = 0 have them
        return Conditions.mixed([[nan, 0, 0], [nan, nan, 0], [nan, nan, rate]], _stress(np.zeros((3, 3))))
    free = np.where(np.triu(np.ones((3, 3)), 1) > 0, 0.0, nan)
    return Conditions.mixed(free, 30 * _symmetric(rng.normal(size=(3, 3))))


def _stress(stress: np.ndarray) -> np.ndarray:
    return np.where(np.diag([False, False, True]), np.nan, stress)


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2


def outcome(case: Case) -> tuple[str, str]:
    """ "converged", "refused", "not converged" or "raised", and the words of an error."""
    try:
        field = case.solve()
    except CpmlError as error:
        return "refused", str(error)
    except Exception as error:  # what must not happen is counted, not hidden
        return "raised", repr(error)
    return ("converged" if bool(field.converged.all()) else "not converged"), ""


def gradient_error(case: Case, seed: int) -> tuple[float, float]:
    """Deviation of the implicit gradient from differences, and of the differences from each other."""
    strength = case.law.strength.clone().requires_grad_()
    direction = torch.as_tensor(np.random.default_rng(seed).normal(size=len(strength)))
    direction = direction / direction.norm()

    def value(strength: torch.Tensor) -> torch.Tensor:
        field = case.solve(replace(case.law, strength=strength), tol=1e-12)
        return field.von_mises.log() + field.rate.norm().log()

    def slope(step: float) -> float:
        ends = [float(value(strength.detach() * (k * step * direction).exp())) for k in (1, -1)]
        return (ends[0] - ends[1]) / (2 * step)

    try:
        (gradient,) = torch.autograd.grad(value(strength), strength)
        coarse, fine = slope(2 * STEP), slope(STEP)
    except CpmlError:  # a neighbour without a solution: at the edge of what an open surface allows
        return np.nan, np.inf
    along = float((gradient * strength.detach()) @ direction)
    size = max(1.0, abs(fine))
    return abs(along - (4 * fine - coarse) / 3) / size, abs(fine - coarse) / size


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Print the tables; counts by outcome, and of gradients."""
    parser = argparse.ArgumentParser(prog="bench conditions")
    parser.add_argument("cases", nargs="?", type=int, default=1000)
    parser.add_argument("--gradients", action="store_true")
    asked = parser.parse_args(arguments or [])
    torch.set_num_threads(1)
    rows = []
    for seed in range(asked.cases):
        case, start = draw(seed), time.process_time()
        found, words = outcome(case)
        row = {"seed": seed, "crystal": case.crystal, "scheme": case.scheme, "condition": case.condition}
        row |= {"n": case.n, "outcome": found, "words": words, "seconds": time.process_time() - start}
        if asked.gradients and found == "converged":
            row["error"], row["unsure"] = gradient_error(case, seed)
        rows.append(row)
    table = pd.DataFrame(rows)
    for by in ("crystal", "scheme", "condition", "n"):
        print(table.groupby([by, "outcome"], sort=False).size().unstack(fill_value=0).to_string(), end="\n\n")
    print(table[~table["outcome"].isin(["converged", "refused"])].to_string())
    print("reasons of refusal, first words:")
    print(table.loc[table["outcome"] == "refused", "words"].str.split(":").str[0].value_counts().to_string())
    print(f"{table['seconds'].sum():.0f} CPU s, longest {table['seconds'].max():.2f} s")
    numbers = {k: float(v) for k, v in table["outcome"].value_counts().items()}
    if asked.gradients:
        judged = table["unsure"] <= BOUND
        wrong = judged & (table["error"] > BOUND)
        numbers |= {"gradients": float(judged.sum()), "gradients off": float(wrong.sum())}
        print(f"gradients: {judged.sum()} judged, {wrong.sum()} off by more than {BOUND:g}; ", end="")
        print(f"{(table['unsure'] > BOUND).sum()} where differences disagree with each other")
        print(table.loc[wrong, ["seed", "crystal", "scheme", "condition", "n", "error"]].to_string())
    return numbers


PARTS = ("cases", "--gradients")

if __name__ == "__main__":
    main()
