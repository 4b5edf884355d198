"""The full field: speed and accuracy beside DAMASK, convergence over exponents and contrasts, large grids.

Run: python benchmarks/bench_fullfield.py [large]. Rates are voxel-increments per CPU second of this process
(other work on the machine does not enter), threads in all; walls are printed beside them and mean something
on an idle machine only.

| part | question |
|---|---|
| damask | rate and accuracy on the grid of a DAMASK 3.0.2 run (fcc 16^3, n = 20, 100 increments to 10 %) |
| robust | does every exponent and contrast converge, and in how many answers of the voxels? |
| large | a map of 250,000 pixels to 2 % and a volume of 64^3 voxels to 3 %: time and memory |

Needs the reference folder $CPML_REFERENCE/damask for the first part. DAMASK's rate is the one measured
there, on two shared cores of a similar machine: 5,000 voxel-increments per second and core at its default
tolerances.
"""

import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import fullfield_robust
from cpml.crystallography import systems
from cpml.crystallography.rotations import random_quaternions
from cpml.crystallography.tensors import to_vector, von_mises_stress
from cpml.load import Load
from cpml.plasticity import Conditions, PowerLaw, Saturation, Stage, full_field_path

DAMASK_RATE = 5_000  # voxel-increments per second and core, default tolerances
AIM_RATIO, AIM_MAP, AIM_VOLUME, AIM_MEMORY = 10.0, 15.0, 20.0, 8.0  # -, min, min, GiB
THREADS = 2
ALUMINIUM = {"C11": 106.75e3, "C12": 60.41e3, "C44": 28.34e3}  # MPa
FCC = systems("fcc", families=["octahedral"])


def damask(folder: Path) -> None:
    """Rate and accuracy beside DAMASK."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from support.damask import read_case

    tight, default = (
        read_case(folder / name / "basic") for name in ("c_fcc_al_16c20g", "c_fcc_al_16c20g_default")
    )

    def cauchy(case):
        gradient = case.result["last_F"]
        stress = case.stress("last_P") @ gradient.swapaxes(-1, -2)
        return stress / np.linalg.det(gradient)[..., None, None]

    truth = von_mises_stress(to_vector(cauchy(tight)))

    def apart(field):
        return np.sqrt(((field - truth) ** 2).mean()) / truth.mean()

    load = tight.steps[0]
    conditions = Conditions.mixed(load.rate, load.stress)
    stage = Stage(conditions, time=load.time, steps=load.increments, nominal=True)
    index = np.ascontiguousarray(tight.grain_id.transpose(2, 1, 0))

    def follow(tol, stage=stage):
        return full_field_path(
            tight.law, index, tight.orientations, loading=stage, hardening=tight.hardening,
            stiffness=tight.crystal.stiffness, difference="continuous", tol=tol, threads=THREADS,
        )  # fmt: skip

    follow(1e-3, Stage(stage.loading, time=2 * load.dt, steps=2, nominal=True))  # compiles
    print("fcc 16^3, n = 20, 100 increments to 10 %, continuous difference")
    off = apart(von_mises_stress(to_vector(cauchy(default))))
    print(f"  DAMASK 3.0.2, default tolerances: rate {DAMASK_RATE}, von Mises rms off {off:.1e}")
    for tol in (2e-3, 1e-3, 1e-4):
        cpu, wall = time.process_time(), time.perf_counter()
        path = follow(tol)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        field = von_mises_stress(to_vector(path.last.cauchy)).reshape(index.shape).transpose(2, 1, 0)
        rate = index.size * load.increments / cpu
        answers = path.n_iter[1:].mean()
        print(
            f"  cpml, tol {tol:.0e}, {answers:.1f} answers an increment  rate {rate:6.0f}  von Mises rms off "
            f"{apart(field):.1e}  ratio {rate / DAMASK_RATE:.1f} (aim {AIM_RATIO:g})  wall {wall:.1f} s"
        )


def large() -> None:
    """Time and memory of large grids, aluminium in tension, increments of 0.1 %."""
    hardening = Saturation(FCC, h0=75.0, saturation=63.0, exponent=2.25, latent=1.4)
    law, load = PowerLaw(FCC, [31.0], 20.0, 1e-3), Load.from_dict({"kind": "tension", "axis": "x"})
    cases = (
        ("map 500 x 500 to 2 %, viscoplastic", (500, 500), 600, 0.02, None, AIM_MAP),
        ("map 500 x 500 to 2 %, with elasticity", (500, 500), 600, 0.02, ALUMINIUM, AIM_MAP),
        ("volume 64^3 to 3 %, with elasticity", (64, 64, 64), 100, 0.03, ALUMINIUM, AIM_VOLUME),
    )
    for name, shape, grains, strain, stiffness, aim in cases:
        rng = np.random.default_rng(0)
        index, q = fullfield_robust.voronoi(shape, grains, rng), random_quaternions(grains, rng)
        cpu, wall = time.process_time(), time.perf_counter()
        path = full_field_path(
            law, index, q, loading=load, strain=strain, steps=round(strain / 1e-3), hardening=hardening,
            stiffness=stiffness, tol=1e-3, threads=THREADS,
        )  # fmt: skip
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"  {name:40s} wall {wall / 60:.1f} min (aim {aim:g}), CPU {cpu / 60:.1f} min, "
            f"peak {memory:.1f} GiB (aim {AIM_MEMORY:g}), von Mises {path.von_mises[-1]:.2f} MPa, "
            f"{path.n_iter[1:].mean():.1f} answers an increment",
            flush=True,
        )


def main() -> None:
    """All parts; the large grids where the command line says so."""
    reference = os.environ.get("CPML_REFERENCE")
    if reference:
        damask(Path(reference) / "damask")
    else:
        print("CPML_REFERENCE is not set: no comparison with DAMASK")
    fullfield_robust.main()
    if "large" in sys.argv:
        large()


if __name__ == "__main__":
    main()
