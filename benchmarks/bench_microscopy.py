"""Grains, means, GROD and KAM of a synthetic map beside DefDAP: same file, same machine, one thread.

Run: python benchmarks/bench_segmentation.py [rows]. The map: 512 x 512 px, 600 fcc grains, 0.3 deg noise, 1 %
not indexed, written as .ctf and read by both. DefDAP is looked for in this interpreter, or in the one that
CPML_BENCH_PYTHON names. Compilation and first calls are left out; the best of three is reported. DefDAP keeps
more objects than cpml does, and its KAM ignores symmetry and grains: the ratio compares what a user waits
for.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS, GRAINS, NOISE_DEG, UNINDEXED = 512, 600, 0.3, 0.01
STAGES = ("angles to grains", "means + GROD", "KAM")


def best_times(stages, prepare, repeats: int = 3) -> list[float]:
    """Shortest wall time of each stage of a chain, after one run to warm up; `prepare` starts every run
    afresh.
    """
    best = [float("inf")] * len(stages)
    for run in range(repeats + 1):
        state = prepare()
        for i, stage in enumerate(stages):
            start = time.perf_counter()
            state = stage(state)
            if run:
                best[i] = min(best[i], time.perf_counter() - start)
    return best


def write_synthetic(path: Path, rows: int, seed: int = 0) -> None:
    """A Voronoi map with noise as .ctf."""
    import numpy as np
    from scipy.spatial import cKDTree

    from cpml.crystallography import (
        axis_angle_to_quaternion,
        quaternion_multiply,
        quaternion_to_euler,
        random_quaternions,
    )

    rng = np.random.default_rng(seed)
    n = rows * rows
    row, col = np.divmod(np.arange(n), rows)
    n_grains = max(2, round(GRAINS * n / ROWS**2))
    cell = cKDTree(rng.uniform(0, rows, (n_grains, 2))).query(np.stack([row, col], axis=1))[1]
    vector = rng.standard_normal((n, 3)) * np.radians(NOISE_DEG) / np.sqrt(3)
    noise = axis_angle_to_quaternion(vector, np.linalg.norm(vector, axis=1))
    euler = np.degrees(
        quaternion_to_euler(quaternion_multiply(random_quaternions(n_grains, rng)[cell], noise))
    )
    phase = (rng.uniform(size=n) >= UNINDEXED).astype(int)
    euler[phase == 0] = 0
    header = [
        "Channel Text File",
        "Prj\tsynthetic",
        "Author\t",
        "JobMode\tGrid",
        f"XCells\t{rows}",
        f"YCells\t{rows}",
        "XStep\t0.5",
        "YStep\t0.5",
        "AcqE1\t0",
        "AcqE2\t0",
        "AcqE3\t0",
        (
            "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t400\tCoverage\t99\tDevice\t1\tKV\t20"
            "\tTiltAngle\t70\tTiltAxis\t0"
        ),
        "Phases\t1",
        "3.57;3.57;3.57\t90;90;90\tNickel\t11\t225\t\t\tsynthetic",
        "Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS",
    ]
    table = np.column_stack(
        [phase, 0.5 * col, 0.5 * row, 8 * phase, 3 * (1 - phase), euler, 0.5 * phase, np.full((n, 2), 100)]
    )
    np.savetxt(
        path,
        table,
        fmt="%d\t%.4f\t%.4f\t%d\t%d\t%.4f\t%.4f\t%.4f\t%.4f\t%d\t%d",
        header="\n".join(header),
        comments="",
    )


def time_ours(path: Path) -> list[float]:
    """Stages of cpml, Euler angles to quaternions included; the table asks for means, GOS and shapes."""
    from dataclasses import replace

    from cpml.crystallography import euler_to_quaternion, quaternion_to_euler
    from cpml.microscopy import grod, kam, read_map, segment

    ebsd_map = read_map(path)
    euler = quaternion_to_euler(ebsd_map.quaternions)

    def grains(ebsd_map):
        return segment(
            replace(ebsd_map, quaternions=euler_to_quaternion(euler)), min_pixels=10, threshold=10.0
        )

    def table_and_grod(grains):
        return grains.table is not None and grod(grains) is not None and grains

    return best_times([grains, table_and_grod, kam], lambda: ebsd_map)


def time_peer(path: Path) -> list[float]:
    """Stages of DefDAP 1.x: quaternions, boundaries and grains; mean orientations and misorientations; KAM.
    """
    from defdap import ebsd

    def grains(m):
        m.find_boundaries(misori_tol=10)
        m.find_grains(min_grain_size=10)
        return m

    def means(m):
        m.calc_grain_av_oris()
        m.calc_grain_mis_ori()
        return m

    def local(m):
        m.calc_kam()
        return m

    return best_times([grains, means, local], lambda: ebsd.Map(path, data_type="OxfordText"))


def peer_times(path: Path) -> list[float] | None:
    """Stages of the peer in its own interpreter; None where it is not installed."""
    python = os.environ.get("CPML_BENCH_PYTHON", sys.executable)
    result = subprocess.run(
        [python, __file__, "--peer", str(path)], capture_output=True, text=True, check=False
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("peer ")]
    if not lines:
        last = (result.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"DefDAP not timed ({last}); install it or name its interpreter in CPML_BENCH_PYTHON")
        return None
    return [float(v) for v in lines[-1].split()[1:]]


def main(rows: int = ROWS) -> list[tuple[str, float, float | None]]:
    """Print project, peer and ratio of every stage; returned as (stage, ours, peer) in s."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.ctf"
        write_synthetic(path, rows)
        ours, peer = time_ours(path), peer_times(path)
    print(f"{rows} x {rows} px, {round(GRAINS * rows**2 / ROWS**2)} grains, {NOISE_DEG} deg noise; s")
    print(f"{'stage':16s} {'cpml':>8s} {'DefDAP':>8s} {'ratio':>7s}")
    for i, (stage, mine) in enumerate(zip(STAGES, ours)):
        print(
            f"{stage:16s} {mine:8.3f} "
            + (f"{peer[i]:8.3f} {peer[i] / mine:6.1f}x" if peer else f"{'-':>8s} {'-':>7s}")
        )
    return [(s, o, peer[i] if peer else None) for i, (s, o) in enumerate(zip(STAGES, ours))]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        print("\npeer", *time_peer(Path(sys.argv[2])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
