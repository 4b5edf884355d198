"""Speed of single crystals, exact Taylor factors and deformation paths, beside VPSC8,
and the cost of their gradients.

Run: python benchmarks/bench_plasticity.py [orientations]. Prints tolerance, exponent, iterations and threads
beside each rate. Rates count CPU seconds of this process (other work on the machine does not enter); first
calls warm up, the best of several is reported; the wall ratio of threads means something on an idle machine
only. VPSC8: compiled Fortran with its shipped tolerances, one core, grain-steps per CPU second.
"""

import os
import sys
import time

import numpy as np
import torch

from cpml.crystallography import quaternion_to_matrix, random_quaternions, systems
from cpml.crystallography.tensors import rotation_5x5, to_vector
from cpml.plasticity import Conditions, PowerLaw, Reorientation, Voce, deform, single_crystal, taylor_factor
from cpml.plasticity.crystal.kernels import solve_grains

TENSION = np.diag([1.0, -0.5, -0.5])
MATERIALS = {
    "fcc, 12 systems": ("fcc", ["octahedral"], [1.0]),
    "bcc, 48 systems": ("bcc", ["110", "112", "123"], [1.0, 1.0, 1.0]),
    "hcp, 18 systems, twins": (
        "hcp",
        ["basal", "prismatic", "pyramidal2_ca", "twin_1012"],
        [10.0, 55.0, 60.0, 40.0],
    ),
}
AIM_WARM, AIM_CRYSTAL, AIM_PATH = 100_000, 1.10, 2.5


def best_time(function, repeats: int = 5, clock=time.process_time) -> float:
    """Shortest CPU time of a call, after one call to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def crystal_gradient(law: PowerLaw, q, solve_time: float) -> float:
    """Time of solve and gradient by strengths, over the time of the solve alone."""
    strength = law.strength.clone().requires_grad_()
    loss = single_crystal(PowerLaw(law.systems, strength, law.n), TENSION, q).stress.square().sum()
    return 1 + best_time(lambda: torch.autograd.grad(loss, strength, retain_graph=True)) / solve_time


def warm_rate(law: PowerLaw, q) -> tuple[float, float, float]:
    """Solves per second from the stress of a strain rate turned by about one degree: whole call, compiled
    loop alone, and the loop's mean iterations.
    """
    turned = TENSION + 0.02 * np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 0]])
    start = single_crystal(law, TENSION, q).stress
    call = best_time(lambda: single_crystal(law, turned, q, start=start))
    turn = rotation_5x5(quaternion_to_matrix(q))
    d = np.ascontiguousarray((to_vector(turned)[None, None] @ turn)[:, 0])
    size = np.linalg.norm(d, axis=1, keepdims=True)
    xi = law.system_strength.numpy()
    first = np.einsum("gi,gij->gj", start.numpy(), turn) / xi.mean() / size ** (1 / law.n)
    schmid, count = np.ascontiguousarray(law.systems.schmid5.T)[None], len(q)
    out = [np.empty((count, len(xi))), np.empty((count, len(xi))), np.zeros(count, np.int64), np.empty(count)]

    def loop():
        solve_grains(
            schmid,
            xi[None] / xi.mean(),
            law.systems.twin,
            float(law.n),
            np.zeros((5, 5)),
            d / size,
            True,
            1e-10,
            100,
            first.copy(),
            *out,
            0,
            count,
        )

    return count / call, count / best_time(loop), float(np.abs(out[2]).mean())


def crystals(n_orientations: int) -> dict[str, float]:
    """Cold and warm solves, gradients and exact factors, per CPU second."""
    q, rates = random_quaternions(n_orientations, np.random.default_rng(0)), {}
    for name, (lattice, families, strength) in MATERIALS.items():
        found = systems(lattice, families=families, c_over_a=1.6236)
        for n in (20.0, 50.0):
            law = PowerLaw(found, strength, n)
            for engine, device in (("numba", None), ("torch", "cpu")):
                solved = single_crystal(law, TENSION, q, device=device)
                seconds = best_time(
                    lambda law=law, device=device: single_crystal(law, TENSION, q, device=device), 3
                )
                rates[f"{name}, n={n:g}, {engine}"] = n_orientations / seconds
                extra = ""
                if engine == "numba":
                    rates[f"{name}, n={n:g}, gradient"] = cost = crystal_gradient(law, q, seconds)
                    extra = f"  with gradient {cost:.2f} x (bound {AIM_CRYSTAL})"
                print(
                    f"{name:24s} n = {n:3g}  cold  {engine:5s}  tol 1e-10  "
                    f"{solved.n_iter:3d} iterations at most  "
                    f"1 thread  {int(solved.converged.sum())}/{n_orientations} converged  "
                    f"{n_orientations / seconds:10,.0f} solves/CPU s{extra}",
                    flush=True,
                )
        call, loop, n_iter = warm_rate(PowerLaw(found, strength, 20.0), q)
        rates[f"{name}, warm"] = loop
        print(
            f"{name:24s} n =  20  warm  numba  tol 1e-10  {n_iter:.1f} iterations on average "
            f" 1 thread  {loop:10,.0f} "
            f"solves/CPU s in the loop, {call:10,.0f} by the call  (aim {AIM_WARM:,d}, "
            f"ratio {loop / AIM_WARM:.2f})"
        )
        seconds = best_time(
            lambda found=found, strength=strength: taylor_factor(found, TENSION, q, strength), 3
        )
        rates[f"{name}, LP"] = n_orientations / seconds
        print(
            f"{name:24s} rate-independent, exact (vertices)  1 thread  "
            f"{n_orientations / seconds:10,.0f} per CPU s",
            flush=True,
        )
    return rates


def path_cases() -> list[tuple]:
    """Name, law and hardening by strength, grains, steps, increment, PTR rules, loading,
    scheme, tolerance, VPSC8's rate.
    """
    fcc = systems("fcc", families=["octahedral"])
    zr = systems("hcp", families=["prismatic", "pyramidal1_ca", "twin_1012", "twin_1122"], c_over_a=1.594)
    latent = np.array([[1, 1, 10, 2], [1, 1, 2, 2], [1, 1, 10, 16], [1, 1, 10, 5.0]])
    fcc_law = (fcc, [30.0], Voce(fcc, 70.0, 300.0, 15.0))
    zr_law = (
        zr,
        [45.0, 495, 102, 270],
        Voce(zr, [42.0, 100, 17, 30], [1290.0, 1000, 100, 1000], [25.0, 15, 30, 178], latent),
    )
    pull = np.diag([-0.5, -0.5, 1.0])
    press = Conditions.uniaxial(0, -1e-3)
    return [
        ("fcc, full constraint", *fcc_law, 500, 100, None, pull, "taylor", 1e-9, 86_000),
        ("fcc, affine", *fcc_law, 500, 100, None, pull, "affine", 1e-3, 45_000),
        ("fcc, affine", *fcc_law, 500, 100, None, pull, "affine", 1e-6, 45_000),
        ("fcc, tangent", *fcc_law, 500, 100, None, pull, "tangent", 1e-3, 58_000),
        ("hcp with PTR, affine", *zr_law, 972, 30, Reorientation(zr), press, "affine", 1e-3, 17_300),
        ("hcp with PTR, affine", *zr_law, 972, 30, Reorientation(zr), press, "affine", 1e-6, 17_300),
        ("hcp with PTR, n_eff", *zr_law, 972, 30, Reorientation(zr), press, "n_eff", 1e-3, 16_600),
    ]


def paths() -> dict[str, float]:
    """Grain-steps per CPU second of whole paths beside VPSC8, wall time on all
    cores, gradient through the path.
    """
    rates, cores = {}, os.cpu_count() or 1
    for name, found, strength, hardening, grains, steps, rules, loading, scheme, tol, target in path_cases():
        q = random_quaternions(grains, np.random.default_rng(0))

        def run(
            value,
            threads=1,
            count=steps,
            found=found,
            hardening=hardening,
            q=q,
            rules=rules,
            loading=loading,
            scheme=scheme,
            tol=tol,
        ):
            return deform(
                PowerLaw(found, value),
                hardening,
                q,
                loading=loading,
                increment=0.01,
                steps=count,
                scheme=scheme,
                tol=tol,
                reorientation=rules,
                quadrature=(16, 32),
                threads=threads,
            )

        path = run(strength)
        cpu = best_time(lambda run=run, strength=strength: run(strength), 3)
        wall = [
            best_time(lambda run=run, strength=strength, t=t: run(strength, t), 2, time.perf_counter)
            for t in (1, cores)
        ]
        rates[f"{name}, tol {tol:g}"] = rate = grains * steps / cpu
        print(
            f"{name:22s} {grains} x {steps:3d}  n = 20  tol {tol:5.0e}  {path.n_iter.mean():4.1f} Newton "
            f"steps of all grains  1 thread  "
            f"{rate:8,.0f} grain-steps/CPU s  "
            f"VPSC8 {target:7,d}  ratio {rate / target:.2f}  wall on {cores} threads "
            f"{wall[0] / wall[1]:.2f} x faster",
            flush=True,
        )
        if rules is None:
            rates[f"{name}, tol {tol:g}, gradient"] = cost = path_gradient(run, strength)
            print(
                f"{name:22s} {grains} x  20  with gradient of the stress by strengths  "
                f"{cost:.2f} x  (bound {AIM_PATH})",
                flush=True,
            )
    return rates


def path_gradient(run, strength) -> float:
    """CPU time of a path and its gradient by the strengths, over that of the path alone; 20 steps."""

    def whole():
        value = torch.tensor(strength, dtype=torch.float64, requires_grad=True)
        torch.autograd.grad(run(value, count=20).von_mises.sum(), value)

    return best_time(whole, 4) / best_time(lambda: run(strength, count=20), 4)


def main(n_orientations: int = 10_000) -> dict[str, float]:
    """Print one line per material and kernel, then paths; returns rates by name."""
    torch.set_num_threads(1)
    return crystals(n_orientations) | paths()


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
