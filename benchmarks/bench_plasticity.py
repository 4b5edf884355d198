"""Speed of single crystals, exact Taylor factors and deformation paths, beside VPSC8.

Run: python benchmarks/bench_plasticity.py [orientations] [threads of the paths]. Prints tolerance, exponent, iterations
and threads beside each rate; first calls are warmed up, the best of three is reported. VPSC8: compiled Fortran with its
shipped tolerances, one core, grain-steps per CPU second.
"""

import sys
import time

import numpy as np
import torch

from cpml.crystallography import quaternion_to_matrix, random_quaternions, systems
from cpml.plasticity import Loading, PowerLaw, Reorientation, Voce, deform, single_crystal, taylor_factor
from cpml.plasticity.basis import rotation_5x5, to_vector
from cpml.plasticity.kernels import solve_grains

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


def warm_rate(law: PowerLaw, q) -> tuple[float, float, int]:
    """Solves per second from the stress of a strain rate turned by about one degree: whole call, and compiled loop alone."""
    turned = TENSION + 0.02 * np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 0]])
    start = single_crystal(law, TENSION, q).stress
    found = single_crystal(law, turned, q, start=start)
    call = best_time(lambda: single_crystal(law, turned, q, start=start))
    turn = rotation_5x5(quaternion_to_matrix(q))
    d = np.ascontiguousarray((to_vector(turned)[None, None] @ turn)[:, 0])
    size = np.linalg.norm(d, axis=1, keepdims=True)
    xi = law.system_strength.numpy()
    first = np.einsum("gi,gij->gj", start.numpy(), turn) / xi.mean() / size ** (1 / law.n)
    schmid, count = np.ascontiguousarray(law.systems.schmid5.T)[None], len(q)
    out = [np.empty((count, len(xi))), np.empty((count, len(xi))), np.zeros(count, np.int64), np.empty(count)]

    def loop():
        solve_grains(schmid, xi[None] / xi.mean(), law.systems.twin, float(law.n), np.zeros((5, 5)), d / size, True, 1e-10,
                     100, first.copy(), *out, 0, count)

    return count / call, count / best_time(loop), found.n_iter


def paths(threads: int) -> dict[str, float]:
    """Grain-steps per CPU second of whole paths beside VPSC8 (compiled, its shipped tolerance of 1e-3)."""
    fcc = systems("fcc", families=["octahedral"])
    zr = systems("hcp", families=["prismatic", "pyramidal1_ca", "twin_1012", "twin_1122"], c_over_a=1.594)
    latent = np.array([[1, 1, 10, 2], [1, 1, 2, 2], [1, 1, 10, 16], [1, 1, 10, 5.0]])
    fcc_case = (PowerLaw(fcc, [30.0]), Voce(fcc, 70.0, 300.0, 15.0), 500, 100, 0.01, None,
                np.diag([-0.5, -0.5, 1.0]))
    zr_case = (PowerLaw(zr, [45.0, 495, 102, 270]),
               Voce(zr, [42.0, 100, 17, 30], [1290.0, 1000, 100, 1000], [25.0, 15, 30, 178], latent), 972, 30, 0.01,
               Reorientation(zr), Loading.uniaxial(0, -1e-3))
    rows = [("fcc 500 x 100, full constraint", fcc_case, "taylor", 1e-9, 86_000),
            ("fcc 500 x 100, affine", fcc_case, "affine", 1e-3, 45_000),
            ("fcc 500 x 100, affine", fcc_case, "affine", 1e-6, 45_000),
            ("fcc 500 x 100, tangent", fcc_case, "tangent", 1e-3, 58_000),
            ("hcp 972 x 30 with PTR, affine", zr_case, "affine", 1e-3, 17_300),
            ("hcp 972 x 30 with PTR, affine", zr_case, "affine", 1e-6, 17_300),
            ("hcp 972 x 30 with PTR, n_eff", zr_case, "n_eff", 1e-3, 16_600)]
    rates = {}
    for name, (law, hardening, grains, steps, increment, rules, loading), scheme, tol, target in rows:
        q = random_quaternions(grains, np.random.default_rng(0))
        options = {"loading": loading, "increment": increment, "scheme": scheme, "tol": tol, "reorientation": rules,
                   "quadrature": (16, 32), "threads": threads}
        deform(law, hardening, q, steps=1, **options)
        cpu = wall = np.inf
        for _ in range(3):
            start, clock = time.process_time(), time.perf_counter()
            path = deform(law, hardening, q, steps=steps, **options)
            cpu, wall = min(cpu, time.process_time() - start), min(wall, time.perf_counter() - clock)
        rates[f"{name}, tol {tol:g}"] = grains * steps / cpu
        print(f"{name:32s} tol {tol:5.0e}  {path.n_iter.mean():4.1f} passes  {path.newton_iterations.mean():4.1f} Newton per "
              f"grain-step  {threads} threads  {grains * steps / cpu:8,.0f} grain-steps/CPU s  "
              f"{grains * steps / wall:8,.0f} /s wall  VPSC8 {target:7,d}  ratio {grains * steps / cpu / target:.2f}", flush=True)
    return rates


def main(n_orientations: int = 10_000, threads: int = 1) -> dict[str, float]:
    """Print one line per material and kernel, then paths; returns rates by name."""
    torch.set_num_threads(1)
    q = random_quaternions(n_orientations, np.random.default_rng(0))
    rates = {}
    for name, (lattice, families, strength) in MATERIALS.items():
        found = systems(lattice, families=families, c_over_a=1.6236)
        for n in (20.0, 50.0):
            law = PowerLaw(found, strength, n)
            for engine in ("numba", "torch"):
                solved = single_crystal(law, TENSION, q, engine=engine)
                seconds = best_time(lambda law=law, engine=engine: single_crystal(law, TENSION, q, engine=engine))
                rates[f"{name}, n={n:g}, {engine}"] = n_orientations / seconds
                extra = f"gradient {100 * gradient_share(law, q, seconds):.0f} % extra" if engine == "numba" else ""
                print(f"{name:24s} n = {n:3g}  cold  {engine:5s}  tol 1e-10  {solved.n_iter:3d} iterations at most  "
                      f"{int(solved.converged.sum())}/{n_orientations} converged  "
                      f"{n_orientations / seconds:10,.0f} solves/s  {extra}")
        call, loop, n_iter = warm_rate(PowerLaw(found, strength, 20.0), q)
        rates[f"{name}, warm"] = loop
        print(f"{name:24s} n =  20  warm  numba  tol 1e-10  {n_iter:3d} iterations at most  {loop:10,.0f} solves/s "
              f"in the loop, {call:10,.0f} /s by the call  (aim 100,000)")
        seconds = best_time(lambda found=found, strength=strength: taylor_factor(found, TENSION, q, strength))
        rates[f"{name}, LP"] = n_orientations / seconds
        print(f"{name:24s} rate-independent, exact (vertices)                     {n_orientations / seconds:10,.0f} per s",
              flush=True)
    return rates | paths(threads)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
