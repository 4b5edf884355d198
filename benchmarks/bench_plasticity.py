"""Solves per second of the viscoplastic kernel and of exact Taylor factors, one thread.

Run: python benchmarks/bench_plasticity.py [orientations]. Prints tolerance, exponent and iterations beside each rate;
first calls are warmed up, the best of three is reported.
"""

import sys
import time

import numpy as np
import torch

from cpml.crystallography import random_quaternions, systems
from cpml.plasticity import PowerLaw, single_crystal, taylor_factor

TENSION = np.diag([1.0, -0.5, -0.5])
MATERIALS = {"fcc, 12 systems": ("fcc", ["octahedral"], [1.0]),
             "bcc, 48 systems": ("bcc", ["110", "112", "123"], [1.0, 1.0, 1.0]),
             "hcp, 18 systems, twins": ("hcp", ["basal", "prismatic", "pyramidal2_ca", "twin_1012"],
                                        [10.0, 55.0, 60.0, 40.0])}


def best_time(function, repeats: int = 3) -> float:
    """Shortest wall time of a call, after one call to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def gradient_share(law: PowerLaw, q, solve_time: float) -> float:
    """Time of the backward pass to the strengths, as a share of the solve."""
    law = PowerLaw(law.systems, law.strength.clone().requires_grad_(), law.n)
    loss = single_crystal(law, TENSION, q).stress.square().sum()
    return best_time(lambda: torch.autograd.grad(loss, law.strength, retain_graph=True)) / solve_time


def main(n_orientations: int = 10_000) -> dict[str, float]:
    """Print one line per material and kernel; returns solves per second by name."""
    torch.set_num_threads(1)
    q = random_quaternions(n_orientations, np.random.default_rng(0))
    rates = {}
    for name, (lattice, families, strength) in MATERIALS.items():
        found = systems(lattice, families=families, c_over_a=1.6236)
        for n in (20.0, 50.0):
            law = PowerLaw(found, strength, n)
            solved = single_crystal(law, TENSION, q)
            seconds = best_time(lambda law=law: single_crystal(law, TENSION, q))
            rates[f"{name}, n={n:g}"] = n_orientations / seconds
            print(f"{name:24s} n = {n:3g}  tol 1e-10  {solved.n_iter:3d} iterations at most  "
                  f"{int(solved.converged.sum())}/{n_orientations} converged  {n_orientations / seconds:10,.0f} solves/s  "
                  f"gradient {100 * gradient_share(law, q, seconds):.0f} % extra")
        seconds = best_time(lambda found=found, strength=strength: taylor_factor(found, TENSION, q, strength))
        rates[f"{name}, LP"] = n_orientations / seconds
        print(f"{name:24s} rate-independent, exact (vertices)                     {n_orientations / seconds:10,.0f} per s")
    return rates


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
