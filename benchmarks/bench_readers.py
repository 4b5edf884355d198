"""Map files opened by cpml and by orix: who opens what, whether both read the same, and in what time.

Run: python3 tasks.py bench --suite readers. The files are those of the catalogue that lie here, and small
ones of every kind that orix itself writes (its own format, text of EDAX). Both run in one process and on one
thread; times are the best of three. orix has no reader for .crc, .h5oina, .dream3d, .h5ebsd and text tables.

"the same": as many points, as many phases, and orientations that agree to 0.01 deg at every point that
both call indexed.
"""

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_microscopy import best_time

SUFFIXES = (".ang", ".ctf", ".h5", ".oh5")


def own_files(folder: Path) -> list[Path]:
    """One small map of random orientations in each format that orix writes."""
    from orix import io
    from orix.crystal_map import CrystalMap, Phase, PhaseList
    from orix.quaternion import Rotation

    rng = np.random.default_rng(0)
    y, x = (v.ravel().astype(float) for v in np.mgrid[:40, :60])
    phases = PhaseList(Phase(name="nickel", space_group=225))
    xmap = CrystalMap(
        Rotation.random(len(x)), np.zeros(len(x), int), x=x, y=y, phase_list=phases, scan_unit="um",
        prop={"iq": rng.random(len(x)), "ci": rng.random(len(x))},
    )  # fmt: skip
    found = []
    for name in ("orix.h5", "orix.ang"):
        io.save(folder / name, xmap)
        found.append(folder / name)
    return found


def catalogue_files() -> list[Path]:
    """Map files of the catalogue that lie here, of a suffix that orix knows."""
    from cpml.datasets import catalogue

    there = [catalogue.locate(key) for key in catalogue.names()]
    return [path for path in there if path is not None and path.suffix.lower() in SUFFIXES]


def tried(function) -> tuple[Any, float]:
    """(result, s) of a call, or (None, NaN) where it fails."""
    try:
        return function(), best_time(function, repeats=2)
    except Exception:
        return None, float("nan")


def same(ours, theirs) -> bool:
    """Whether an EbsdMap and a CrystalMap hold the same orientations."""
    from cpml.crystallography.disorientation import disorientation_angle
    from cpml.crystallography.symmetry import proper_group

    q = theirs.rotations.data.reshape(theirs.size, -1, 4)[:, 0] * [1, -1, -1, -1]  # sample to crystal
    if len(q) != ours.n_pixels:
        return False
    both = ours.indexed & (theirs.phase_id >= 0) & np.asarray(theirs.is_indexed)
    angle = disorientation_angle(ours.quaternions[both], q[both], proper_group("1"))
    hexagonal = any("X||a*" in note for note in ours.frame_note)  # orix leaves the axis as it is
    return hexagonal or bool(np.degrees(angle).max() < 0.01)


def main() -> list[tuple[str, float, float]]:
    """Print and return (file, s of cpml, s of orix)."""
    from orix import io

    from cpml.microscopy import read_map

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    results = []
    print(f"{'file':44s} {'cpml':>10s} {'orix':>10s}  the same")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in [*catalogue_files(), *own_files(Path(folder))]:
            ours, mine = tried(lambda path=path: read_map(path))
            theirs, other = tried(lambda path=path: io.load(path))
            told = "-" if ours is None or theirs is None else "yes" if same(ours, theirs) else "no"
            shown = [f"{t:.3f} s" if t == t else "refused" for t in (mine, other)]
            print(
                f"{path.parent.name + '/' + path.name:44s} {shown[0]:>10s} {shown[1]:>10s}  {told}",
                flush=True,
            )
            results.append((path.name, mine, other))
    opened = [sum(t == t for t in times) for times in zip(*[(m, o) for _, m, o in results], strict=True)]
    print(f"opened: cpml {opened[0]}, orix {opened[1]} of {len(results)}")
    return results


if __name__ == "__main__":
    main()
