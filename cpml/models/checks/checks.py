"""Everything that can be asked of a fitted model without another specimen, in one record."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cpml.crystallography.slip_systems import FAMILY_WORDS
from cpml.models.checks.families import Absent, check_families
from cpml.models.checks.information import FEWEST, Information, check_information
from cpml.models.checks.loads import Comparison, compare_frames, compare_loads
from cpml.models.checks.predictive import NO_PLANE, check_counts
from cpml.models.checks.variants import with_family
from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.coupled.stand_in import quick_fit
from cpml.models.specimen.specimen import Specimen


@dataclass(frozen=True)
class Checks:
    """Whether a fitted model may be believed on a specimen.

    Attributes
    ----------
    families : absent families of the lattice with their evidence (`cpml.models.checks.families`)
    loads, frames : the declared choice beside its confusions (`cpml.models.checks.loads`); None where they
        were not compared
    counts : footprints seen and expected, by family and part of the map (`cpml.models.checks.predictive`)
    information : what the footprints add to the literature (`cpml.models.checks.information`)
    warnings : sentences with numbers, the gravest first; ** marks what they are about
    """

    specimen: str
    families: tuple[Absent, ...]
    loads: Comparison | None
    frames: Comparison | None
    counts: pd.DataFrame
    information: Information
    warnings: tuple[str, ...]

    @property
    def family_table(self) -> pd.DataFrame:
        """family, p_value, gain_nats, explains, ratio, ratio_low, ratio_high, is_missing; one row an absent
        family.
        """
        columns = [*(Absent.__dataclass_fields__)]
        return pd.DataFrame([[getattr(a, c) for c in columns] for a in self.families], columns=columns)

    @property
    def choice_table(self) -> pd.DataFrame:
        """what ("load", "frame"), and the columns of a :class:`~cpml.models.checks.loads.Comparison`; no rows
        where nothing was compared.
        """
        parts = {"load": self.loads, "frame": self.frames}
        tables = [c.table.assign(what=what) for what, c in parts.items() if c is not None]
        columns = ["what", "choice", "gain_nats", "z", "gain_evidence_nats", "weight"]
        return pd.concat([pd.DataFrame(columns=columns), *tables], ignore_index=True)[columns]

    @property
    def numbers(self) -> dict[str, float]:
        """For a table of numbers; what could not be asked is left out."""
        gains = [a.gain_nats for a in self.families if np.isfinite(a.gain_nats)]
        compared = {"load": self.loads, "frame": self.frames}
        told = {
            "n_warnings": float(len(self.warnings)),
            "informative_footprints": float(self.information.n_footprints),
            "absent_family_gain_nats": max(gains, default=np.nan),
            "counts_that_stand_out": float(self.counts["stands_out"].sum()),
        }
        for what, found in compared.items():
            if found is not None:
                told[f"other_{what}_gain_nats"] = float(found.best["gain_evidence_nats"])
        return {name: value for name, value in told.items() if np.isfinite(value)}


def check_fit(
    model: CoupledClassifier, specimen: Specimen, *, loads: bool = True, frames: bool = True, seed: int = 0
) -> Checks:
    """Check a fitted model against the footprints that it was fitted to.

    Parameters
    ----------
    model : fitted to this specimen (or to several, this one among them)
    loads, frames : compare the declared load, and frame, with their confusions: a quick fit each, together
        most of the time
    seed : of permutations and replicates

    Returns
    -------
    Checks; with fewer than ten informative footprints nothing but the counts is asked
    """
    information = check_information(model, [specimen])
    counts = check_counts(model, specimen, seed=seed)
    families: list[Absent] = []
    load = frame = None
    if information.n_footprints >= FEWEST:
        families = check_families(model, specimen, seed=seed)
        # what a missing family leaves unexplained would speak for wrong loads as well
        slip = [a.family for a in families if a.is_missing and np.isfinite(a.gain_nats)]
        complete = with_family(specimen, slip[0]) if slip else specimen
        plain = quick_fit(model, [complete])
        load = compare_loads(plain, complete) if loads else None
        frame = compare_frames(plain, complete) if frames and len(specimen.traces) else None
    told = Checks(specimen.name, tuple(families), load, frame, counts, information, ())
    return replace(
        told, warnings=tuple(_warnings(told, specimen, model.prior_.families[model.prior_.reference]))
    )


def _warnings(checks: Checks, specimen: Specimen, reference: str) -> list[str]:
    told = []
    n, counts = checks.information.n_footprints, checks.counts
    if not checks.information.is_enough:
        least = f", fewer than {FEWEST}" if 0 < n < FEWEST else ""
        told.append(f"**The literature speaks alone**: {n} informative footprints{least} teach nothing.")
    compared = {"frame": checks.frames, "load": checks.loads}
    told += [_contradicted(what, c) for what, c in compared.items() if c is not None and c.is_contradicted]
    told += [_missing(absent, specimen, reference) for absent in checks.families if absent.is_missing]
    told += [_stands_out(row) for _, row in counts[counts["stands_out"]].iterrows()]
    return told


def _contradicted(what: str, found: Comparison) -> str:
    best = found.best
    return (
        f"**The declared {what} ({found.declared}) is contradicted**: {best['choice']} explains the "
        f"footprints better by {best['gain_evidence_nats']:.0f} nats ({best['z']:.1f} standard errors)."
    )


def _missing(absent: Absent, specimen: Specimen, reference: str) -> str:
    name = absent.name[0].upper() + absent.name[1:]
    start = f"**{name} is missing in the material file** ({specimen.material.name})"
    chance = f"p {'<' if absent.p_value < 0.001 else '='} {max(absent.p_value, 0.001):.3f}"
    if not np.isfinite(absent.gain_nats):
        pairs = f"{absent.explains:.0f} pairs of neighbours"
        return f"{start}: {pairs} more than by chance are in its twin relation ({chance})."
    ratio = f"{absent.ratio:.2g} [{absent.ratio_low:.2g}, {absent.ratio_high:.2g}]"
    return (
        f"{start}: it would explain {absent.explains:.0f} of {len(specimen.traces)} traces that nothing else "
        f"does ({absent.gain_nats:.0f} nats, {chance}), with {ratio} times the strength of "
        f"{FAMILY_WORDS.get(reference, reference)}."
    )


def _stands_out(row: pd.Series) -> str:
    what = "footprints"
    if row["mechanism"] != "all":
        kind = "traces" if row["mechanism"] == "slip" else "variants"
        what = "traces along no plane" if row["family"] == NO_PLANE else f"{kind} of {_words(row['family'])}"
    where = row["where"] if row["mechanism"] != "all" else f"the part {row['where']}"
    less = "Fewer" if row["seen"] < row["expected"] else "More"
    expected = f"{row['expected']:.0f} [{row['low']:.0f}, {row['high']:.0f}]"
    return (
        f"**{less} {what} than the model expects** in {where}: {row['seen']:.0f} seen, {expected} expected."
    )


def _words(family: str) -> str:
    return FAMILY_WORDS.get(family, family)
