"""Phases of a map beside those that dataset.yml declares: who is who, and whether lattices and cells agree.

A declared phase is found by its name in the file, or by its number there where several have one name. What
the header lists without a single point is left out. A phase with points that nobody declared, or that is
declared `lattice: other`, is kept, drawn and counted; the mechanics leave it out, and a note says so.

Cells are compared with the material's: a crystal of another size or axial ratio is another material.

    |a_file / a_material - 1| > FAR_A, |(c/a)_file / (c/a)_material - 1| > FAR_RATIO      error
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from cpml.datasets.dataset import Dataset, PhaseSpec
from cpml.datasets.schema import field_error
from cpml.errors import DatasetError

if TYPE_CHECKING:
    from cpml.crystallography import Material, Systems
    from cpml.microscopy import EbsdMap, MapPhase

FAR_A, FAR_RATIO = 0.05, 0.015
"""Alloying moves lattice constants by one or two per cent and c/a by less than one."""
NEAR_A = 0.015
"""Beyond it the difference is worth a note."""


def described(phase: PhaseSpec) -> MapPhase:
    """Phase of a file that does not describe it, from its declared material."""
    from cpml.crystallography import load_material
    from cpml.crystallography.symmetry import group_of_lattice
    from cpml.microscopy import MapPhase

    if phase.material is None:
        raise DatasetError(
            f"phase {phase.name!r}: a text file does not describe its phases, so each needs a lattice fcc, "
            "bcc or hcp and a material"
        )
    material = load_material(phase.material)
    gamma = 120.0 if phase.lattice == "hcp" else 90.0
    a, c = 10 * material.a, 10 * (material.c or material.a)  # nm to Angstrom
    return MapPhase(phase.name, group_of_lattice(phase.lattice), phase.lattice, a, a, c, 90.0, 90.0, gamma)


def with_declared_phases(dataset: Dataset, ebsd_map: EbsdMap) -> EbsdMap:
    """The map with the declared lattice of each phase, without those that have no point.

    Raises
    ------
    DatasetError : a declared phase that the file does not list; a lattice or a cell that contradicts file or
        material; no point of a phase with a law
    """
    owners = _owners(dataset, ebsd_map)
    points = {i: int((ebsd_map.phase_id == i).sum()) for i in ebsd_map.phases}
    notes, kept = [], {}
    for number, phase in ebsd_map.phases.items():
        if not points[number]:
            notes.append(f"phase {phase.name} is listed and has no point: left out")
            continue
        spec = owners.get(number)
        if spec is None or not spec.has_law:
            why = "not declared" if spec is None else "declared as other"
            notes.append(
                f"phase {phase.name} ({points[number]:,} points, group {phase.group}) is {why}: kept in the "
                "map, left out of the mechanics"
            )
            kept[number] = replace(phase, lattice=None) if spec is not None else phase
            continue
        kept[number], note = _compared(dataset, spec, phase)
        notes += note
    if dataset.modelled and not any(owners.get(i) in dataset.modelled for i in kept):
        there = ", ".join(f"{p.name} {points[i]:,}" for i, p in kept.items())
        raise field_error(
            dataset.path,
            "phases",
            None,
            f"no declared phase has a point in {dataset.files['ebsd'].name}; points there: {there}",
        )
    return replace(ebsd_map, phases=kept, frame_note=(*ebsd_map.frame_note, *notes))


def modelled_systems(dataset: Dataset, ebsd_map: EbsdMap) -> dict[int, Systems]:
    """Phase number in the map -> slip and twin systems, of every declared phase that has a law."""
    materials = modelled_materials(dataset, ebsd_map)
    return {number: material.systems() for number, material in materials.items()}


def modelled_materials(dataset: Dataset, ebsd_map: EbsdMap) -> dict[int, Material]:
    """Phase number in the map -> material, of every declared phase that has a law."""
    from cpml.crystallography import load_material

    owners = _owners(dataset, ebsd_map, strict=False)
    return {
        number: load_material(spec.material) for number, spec in owners.items() if spec.material is not None
    }


def _owners(dataset: Dataset, ebsd_map: EbsdMap, *, strict: bool = True) -> dict[int, PhaseSpec]:
    """Phase number in the map -> its declaration."""
    owners: dict[int, PhaseSpec] = {}
    for n, spec in enumerate(dataset.phases):
        numbers = [
            i
            for i, phase in ebsd_map.phases.items()
            if phase.name == spec.name and spec.number in (None, i) and i not in owners
        ]
        if not numbers and strict:
            listed = ", ".join(f"{i} {phase.name!r}" for i, phase in ebsd_map.phases.items())
            what = "" if spec.number is None else f" with the number {spec.number}"
            raise DatasetError(
                f"{dataset.path}: phases[{n}]: phase {spec.name!r}{what} is not in "
                f"{dataset.files['ebsd'].name}, which has {listed}"
            )
        owners |= dict.fromkeys(numbers, spec)
    return owners


def _compared(dataset: Dataset, spec: PhaseSpec, phase: MapPhase) -> tuple[MapPhase, list[str]]:
    """The phase with its declared lattice, after file, declaration and material were found to agree."""
    from cpml.crystallography import load_material
    from cpml.crystallography.symmetry import group_of_lattice

    place = f"{dataset.path}: phase {phase.name!r}"
    if phase.group != group_of_lattice(spec.lattice):
        raise DatasetError(
            f"{place} is declared {spec.lattice}, but has point group {phase.group} in "
            f"{dataset.files['ebsd'].name}: correct the lattice, or write lattice: other to leave the phase "
            "out of the mechanics"
        )
    if phase.lattice not in (None, spec.lattice):
        raise DatasetError(
            f"{place} is declared {spec.lattice}, but its space group in {dataset.files['ebsd'].name} says "
            f"{phase.lattice}"
        )
    phase = replace(phase, lattice=spec.lattice)
    return phase, _cell_notes(place, phase, load_material(spec.material))


def _cell_notes(place: str, phase: MapPhase, material: Material) -> list[str]:
    """A note where the file's cell is not quite the material's; an error where it is another material's."""
    notes = []
    a_material, c_material = 10 * material.a, 10 * material.c if material.c else math.nan
    ratio = phase.a / a_material
    if not math.isfinite(phase.a) or phase.a <= 0 or phase.a == 1:
        return [f"phase {phase.name}: the file states no lattice constant to compare with {material.name}'s"]
    if abs(ratio - 1) > FAR_A:
        raise DatasetError(
            f"{place}: the file has a = {phase.a:g} Angstrom, material {material.name} {a_material:.4g}: "
            "another material, or a wrong cell in the file; choose the material, or copy its .yml beside "
            "dataset.yml and set a"
        )
    if abs(ratio - 1) > NEAR_A:
        notes.append(
            f"phase {phase.name}: a = {phase.a:g} Angstrom in the file, {a_material:.4g} of {material.name}"
        )
    if phase.lattice == "hcp" and math.isfinite(c_material) and phase.c > 0:
        apart = phase.c_over_a / (c_material / a_material) - 1
        if abs(apart) > FAR_RATIO:
            raise DatasetError(
                f"{place}: the file has c/a = {phase.c_over_a:.4g}, material {material.name} "
                f"{c_material / a_material:.4g}: another material, or a wrong cell in the file; choose the "
                "material, or copy its .yml beside dataset.yml and set a and c"
            )
    return notes
