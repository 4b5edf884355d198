"""Many solved volumes, one file each: made side by side, kept when interrupted, the same for the same seed.

    <folder>/volume_000012.npz      arrays of `solving.as_arrays`; seed 12

A file is written whole or not at all, so that whoever is stopped goes on where it ended.
"""

import multiprocessing
import os
import zipfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cpml.errors import DatasetError
from cpml.files import write_atomic
from cpml.progress import progress
from cpml.virtual.volumes.recipes import Recipe
from cpml.virtual.volumes.solving import as_arrays, solve

EDGE = 24
"""Voxels along each side: three to four grains, a second of computing."""


def volume_file(folder: Path, seed: int) -> Path:
    """Where the volume of a seed is kept."""
    return Path(folder) / f"volume_{seed:06d}.npz"


@dataclass(frozen=True)
class Order:
    """Which volumes to make."""

    folder: Path
    edge: int = EDGE
    materials: dict[str, float] | None = None
    free: bool | None = None

    def make(self, seed: int) -> Path:
        """Draw, solve, cut and write the volume of a seed."""
        recipe = Recipe.of(seed, edge=self.edge, materials=self.materials, free=self.free)
        arrays = as_arrays(solve(recipe))
        return write_atomic(volume_file(self.folder, seed), lambda path: _save(path, arrays))


def _save(path: Path, arrays: dict[str, NDArray]) -> None:
    with open(path, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def make_volumes(order: Order, seeds: range, *, workers: int = 2) -> list[Path]:
    """The volumes of the seeds that the folder lacks.

    Parameters
    ----------
    workers : processes; 1 makes them in this one

    Returns
    -------
    Files of all seeds
    """
    order.folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in seeds if not volume_file(order.folder, seed).exists()]
    if workers == 1:
        for seed in progress(missing, "volumes"):
            order.make(seed)
    elif missing:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the workers: they are as many as there are cores
        # spawned, not forked: a fork of a process with compiled loops and threads may hang
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(order.make, seed) for seed in missing]
            for job in progress(as_completed(jobs), "volumes", total=len(jobs)):
                job.result()
    return [volume_file(order.folder, seed) for seed in seeds]


def read_volume(path: Path) -> dict[str, NDArray]:
    """Arrays of one file.

    Raises
    ------
    DatasetError : the file is missing or damaged
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: no solved volume ({error}); delete it and make it again") from None
