"""Does the model know when it is wrong? `tasks.py bench --suite checks`.

Every specimen is checked as it is, without each slip family that carries a part of its footprints, and with
its load turned by 90 and 45 deg. Aims: 19 of 20 faults found, a false alarm in at most 1 of 20 specimens.

| check | fault | found where |
|---|---|---|
| family | the material file lacks a family | a family with the same planes is called missing |
| load | the declared load is turned in the map | the declared load is contradicted |
| none | nothing | any warning is a false alarm, counted by check |

Families that carry less than LEAST of the footprints, or whose planes another family shares, cannot be found
and are not asked. Specimens: those with footprints of a known law (`benchmarks.synthetic`), those of another
solver ($CPML_REFERENCE/virtual), and those of the factory in the folder $CPML_FACTORY, where these are set.
The model that is checked is the stand-in, with `python benchmarks/bench_checks.py auto` F itself.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.synthetic import Microscope, synthetic_specimen
from cpml.crystallography import load_material, systems
from cpml.errors import CpmlError
from cpml.models import CoupledClassifier
from cpml.models.checks.families import check_families
from cpml.models.checks.loads import compare_frames, compare_loads
from cpml.models.checks.predictive import check_counts
from cpml.models.checks.variants import with_systems
from cpml.models.coupled.loads import turned_load
from cpml.models.coupled.stand_in import quick_fit
from cpml.models.specimen.specimen import Specimen

LEAST = 0.05
TURNS_DEG = (90, 45)
SEEDS = range(6)
MATERIALS = {
    "titanium_cp": {"prismatic": 1.0, "basal": 1.3, "pyramidal1_ca": 2.0},
    "magnesium": {"basal": 1.0, "prismatic": 2.0, "pyramidal2_ca": 2.5, "twin_1012": 1.8},
    "ferrite": {"110": 1.0, "112": 1.05},
}


@dataclass(frozen=True)
class Case:
    """One question to one specimen and what was answered."""

    specimen: str
    check: str  # "family", "load", "frame", "counts"
    fault: str  # "" for none
    share: float  # of the footprints that the missing family carries; NaN of other faults
    alarm: bool
    note: str
    cpu_s: float


def synthetic() -> Iterator[tuple[Specimen, pd.Series]]:
    """Specimens of a known law, and the share of every family in their true shear."""
    for seed in SEEDS:
        for name, ratios in MATERIALS.items():
            known = {f: r for f, r in ratios.items() if f in load_material(name).families}
            microscope = Microscope(missed=0.1 + 0.03 * seed, false_rate=0.02 * seed, gradual=seed % 2 == 1)
            law = "student" if seed % 3 == 2 else "gaussian"
            made = synthetic_specimen(
                150, material=name, ratios=known, seed=seed, microscope=microscope, law=law, n=12.0
            )
            own = made.specimen.systems
            share = np.array([made.share[:, own.family == k].sum() for k in range(len(known))])
            yield (
                replace(made.specimen, name=f"{name}-{seed}"),
                pd.Series(share / share.sum(), own.family_names),
            )


def simulated(folders: Iterable[Path], load) -> Iterator[tuple[Specimen, pd.Series]]:
    """Specimens that a full field has solved, and the share of every family in what is truly active."""
    for folder in folders:
        virtual = load(folder)
        active = virtual.truth[virtual.truth["observed"] == 1]
        families = active.merge(virtual.specimen.tokens, on=["mechanism", "target"])["family"]
        yield virtual.specimen, families.value_counts(normalize=True)


def without(specimen: Specimen, family: str) -> Specimen:
    """The same footprints, with a material file that lacks a family."""
    kept = {name: p for name, p in specimen.material.families.items() if name != family}
    material = replace(specimen.material, families=kept)
    fewer = with_systems(replace(specimen, material=material), material.systems())
    return replace(fewer, labels=fewer.labels[fewer.labels["target"].isin(fewer.tokens["target"])])


def cases_of(specimen: Specimen, share: pd.Series, scheme: str) -> Iterator[Case]:
    """Every question to one specimen."""

    def model_of(one: Specimen) -> CoupledClassifier:
        if scheme == "stand-in":
            return quick_fit(CoupledClassifier(), [one])
        return CoupledClassifier(scheme=scheme).fit([one])

    start = time.process_time()

    def case(check: str, fault: str, alarm: bool, note: str, part: float = np.nan) -> Case:
        nonlocal start
        took, start = time.process_time() - start, time.process_time()
        return Case(specimen.name, check, fault, part, alarm, note, took)

    model = model_of(specimen)
    plain = model if scheme == "stand-in" else quick_fit(model, [specimen])
    found = check_families(model, specimen)
    yield case("family", "", any(a.is_missing for a in found), _told(found))
    counts = check_counts(model, specimen)
    out = counts[counts["stands_out"]]
    yield case("counts", "", len(out) > 0, ", ".join(f"{r.where} {r.family}" for r in out.itertuples()))
    frames = compare_frames(plain, specimen)
    yield case("frame", "", frames.is_contradicted, _best(frames))
    loads = compare_loads(plain, specimen)
    yield case("load", "", loads.is_contradicted, _best(loads))
    for turn in TURNS_DEG:
        wrong = replace(specimen, load=turned_load(specimen.load, np.radians(turn)))
        loads = compare_loads(quick_fit(model, [wrong]), wrong)
        yield case("load", f"turned by {turn}", loads.is_contradicted, _best(loads))
    slip = [f for f, p in specimen.material.families.items() if p.kind == "slip"]
    for family in slip if len(slip) > 1 else []:
        fewer = without(specimen, family)
        lost = set(specimen.tokens["target"]) - set(fewer.tokens["target"])
        if not lost or share.get(family, 0.0) < LEAST:
            continue
        found = check_families(model_of(fewer), fewer)
        named = [a.family for a in found if a.is_missing]
        same = bool(named) and set(with_planes(specimen, named[0])) >= lost
        yield case("family", f"no {family}", same, _told(found), float(share[family]))


def with_planes(specimen: Specimen, family: str) -> tuple[str, ...]:
    """Names of the planes of a family of the specimen's lattice."""
    crystal = specimen.material
    return systems(crystal.lattice, families=[family], c_over_a=crystal.c_over_a).plane_names


def _told(found) -> str:
    asked = [a for a in found if a.p_value < 0.1]
    return "; ".join(
        f"{a.family} p {a.p_value:.3f} gain {a.gain_nats:.0f} of {a.explains:.0f}" for a in asked
    )


def _best(comparison) -> str:
    best = comparison.best
    return f"{best['choice']} {best['gain_evidence_nats']:.0f} nats z {best['z']:.1f}"


def table_of(cases: list[Case]) -> pd.DataFrame:
    """Alarms and their number by check and fault."""
    rows = pd.DataFrame(cases)
    rows["fault"] = rows["fault"].where(~rows["fault"].str.startswith("no "), "family removed")
    rows["fault"] = rows["fault"].replace("", "none")
    grouped = rows.groupby(["check", "fault"])
    table = grouped.agg(alarms=("alarm", "sum"), cases=("alarm", "size"), cpu_s=("cpu_s", "median"))
    return table.assign(rate=table["alarms"] / table["cases"])


def specimens() -> Iterator[tuple[Specimen, pd.Series]]:
    """All that there are."""
    yield from synthetic()
    if reference := os.environ.get("CPML_REFERENCE"):
        from benchmarks.virtual_specimens import SPECIMENS, load_virtual

        folders = [Path(reference) / "virtual" / name for name in SPECIMENS]
        yield from simulated([f for f in folders if f.is_dir()], load_virtual)
    if factory := os.environ.get("CPML_FACTORY"):
        from benchmarks.factory_specimens import load_factory

        folders = sorted(path.parent for path in Path(factory).glob("*/dataset.yml"))
        yield from simulated(folders, load_factory)


def main(scheme: str = "stand-in") -> None:
    """Print every case and the table of alarms."""
    judge(specimens(), scheme)


def judge(given: Iterable[tuple[Specimen, pd.Series]], scheme: str) -> pd.DataFrame:
    """Ask every specimen, print as it goes, and return the table of alarms."""
    cases = []
    for specimen, share in given:
        try:
            for case in cases_of(specimen, share, scheme):
                cases.append(case)
                is_right = case.alarm == bool(case.fault)
                told = f"{case.specimen:16s} {case.check:7s} {case.fault or 'none':22s}"
                part = "" if np.isnan(case.share) else f"share {case.share:.2f} "
                print(f"{told} {'right' if is_right else 'WRONG'} {part}{case.note}", flush=True)
        except CpmlError as error:
            print(f"{specimen.name}: {error}")
    table = table_of(cases)
    print(table.round(2).to_string())
    return table


if __name__ == "__main__":
    main(*sys.argv[1:2])
