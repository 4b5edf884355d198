"""What stands on the card of a grain, section by section."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cpml.crystallography.rotations import quaternion_conjugate, quaternion_to_euler, rotate
from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.errors import ParameterError
from cpml.explore.cards import Bar, Card, Section, Table
from cpml.explore.directions import nearest_direction
from cpml.explore.situation import QUATERNION, Situation
from cpml.microscopy.grains.boundary_slip import boundary_transfer
from cpml.microscopy.grains.grain_sheet import HEXAGONAL, c_axis_angle
from cpml.microscopy.labels.statistics import boundary_type
from cpml.microscopy.twins.evidence import variant_fractions
from cpml.plots.colours import GROUP_OF_LATTICE, ipf_colours

MOST_NEIGHBOURS, MOST_SYSTEMS, MOST_TARGETS, MOST_CAUSES = 12, 5, 6, 4
WORDS = {1.0: "seen", 0.0: "not seen"}
IN_SET = {True: "yes", False: "no", None: "-"}


def card_of(situation: Situation, grain_id: int) -> Card:
    """The card of a grain.

    Raises
    ------
    ParameterError : no such grain at this threshold
    """
    grains = situation.grains
    if grain_id not in grains.index:
        raise ParameterError(
            f"grain {grain_id!r}: at this threshold the grains are 1 to {int(grains.index.max())}"
        )
    row = grains.loc[grain_id]
    quaternion = row[QUATERNION].to_numpy(float)
    phase = situation.survey.ebsd.phases[int(row["phase"])]
    colour = None
    direction = "z" if situation.load is None else situation.load.main_axis
    if np.isfinite(quaternion).all():
        group = GROUP_OF_LATTICE.get(phase.lattice or "", phase.group)
        red, green, blue = ipf_colours(quaternion[None], group=group, direction=direction)[0].tolist()
        colour = (red, green, blue)
    kind = phase.lattice or f"group {phase.group}"
    parts = [
        _orientation(situation, row, quaternion, phase),
        _size(row),
        _twins(situation, row),
        _neighbours(situation, grain_id),
        *_of_chapters(situation, grain_id),
    ]
    return Card(
        f"Grain {grain_id}",
        f"{phase.name} ({kind}); {situation.load_name}; {_threshold(situation)}",
        colour,
        [part for part in parts if part is not None],
    )


def _threshold(situation: Situation) -> str:
    limit = situation.twins.segmentation.threshold
    if isinstance(limit, dict):
        return "thresholds " + ", ".join(f"{name} {value:g}°" for name, value in limit.items())
    return f"threshold {limit:g}°"


def _orientation(situation: Situation, row: pd.Series, quaternion, phase) -> Section:
    if not np.isfinite(quaternion).all():
        return Section("Orientation", text="not indexed")
    euler = np.degrees(quaternion_to_euler(quaternion))
    facts = [("Euler angles (Bunge)", ", ".join(f"{angle:.1f}°" for angle in euler))]
    load = situation.load
    if load is not None:
        in_crystal = rotate(quaternion_conjugate(quaternion), load.main_axis)
        if phase.lattice in GROUP_OF_LATTICE:
            ratio = phase.c_over_a if phase.lattice == "hcp" else None
            name, away = nearest_direction(in_crystal, phase.lattice, ratio)
            facts.append(("along the load axis", f"{name}, {away:.1f}° away"))
        if phase.group in HEXAGONAL:
            angle = float(c_axis_angle(quaternion, load.main_axis))
            facts.append(("c axis to the load axis", f"{angle:.1f}°"))
    facts.append(("spread (GOS)", f"{row['gos_deg']:.2f}°"))
    return Section("Orientation", facts)


def _size(row: pd.Series) -> Section:
    facts = [
        ("diameter of equal circle", f"{row['equivalent_diameter_um']:.3g} µm"),
        ("area", f"{_plain(row['area_um2'])} µm² ({int(row['n_pixels'])} points)"),
        ("aspect ratio", f"{row['aspect_ratio']:.2f}, long axis at {row['long_axis_deg']:.0f}°"),
        ("centre", f"x {row['x_um']:.1f} µm, y {row['y_um']:.1f} µm"),
    ]
    if row["on_edge"]:
        facts.append(("rim of the map", "cuts it: larger than measured"))
    return Section("Size and place", facts)


def _twins(situation: Situation, row: pd.Series) -> Section:
    twins, grain_id = situation.twins, int(row["grain_id"])
    own = twins.table[twins.table["grain_id"] == grain_id]
    if not situation.survey.dataset.looks_for_twins:
        return Section("Twins", text="the data set asks for none to be looked for in the map")
    if not own["is_twin"].any():
        return Section("Twins", text="none found")
    found = _variants(situation)
    found = found[found["grain_id"] == grain_id].sort_values("area_fraction", ascending=False)
    away = own[own["variant"] != ""].groupby("variant")["variant_deviation_deg"].mean()
    rows = [
        [r.variant, str(r.n_fragments), f"{100 * r.area_fraction:.1f} %", f"{r.thickness_um:.2g} µm"]
        + [f"{away.get(r.variant, np.nan):.1f}°"]
        for r in found.itertuples()
    ]
    tables = [Table(["variant", "lamellae", "area", "thickness", "off"], rows)] if rows else []
    secondary = int((own["twin_type"] == "secondary").sum())
    text = f"{100 * row['twin_fraction']:.1f} % of the area has twinned"
    text += f"; {secondary} fragments are twins of twins, or have no variant" if secondary else ""
    return Section("Twins", text=text, tables=tables)


def _variants(situation: Situation) -> pd.DataFrame:
    """Table of `variant_fractions`, made once for every segmentation."""
    twins = situation.twins
    if "variant_fractions" not in twins.__dict__:
        twins.__dict__["variant_fractions"] = variant_fractions(twins)
    return twins.__dict__["variant_fractions"]


def _neighbours(situation: Situation, grain_id: int) -> Section:
    table = situation.twins.grain_boundaries
    own = table[(table["grain_a"] == grain_id) | (table["grain_b"] == grain_id)]
    if own.empty:
        return Section("Neighbours", text="none")
    kind = boundary_type(own).mask(own["phase_boundary"], "between phases")
    own = own.assign(kind=kind, other=np.where(own["grain_a"] == grain_id, own["grain_b"], own["grain_a"]))
    with_transfer = situation.load is not None and bool(situation.survey.materials)
    if with_transfer:
        own = own.assign(m_prime=_m_prime(situation, own))
    own = own.sort_values("length_um", ascending=False)
    rows = [
        [
            f"grain {r.other}",
            f"{r.length_um:.3g} µm",
            "-" if np.isnan(r.angle_deg) else f"{r.angle_deg:.1f}°",
            r.kind,
        ]
        + ([_number(r.m_prime)] if with_transfer else [])
        for r in own.head(MOST_NEIGHBOURS).itertuples()
    ]
    columns = ["", "length", "misorientation", "boundary", *(["m'"] if with_transfer else [])]
    more = (
        f"{len(own) - MOST_NEIGHBOURS} shorter boundaries are left out. "
        if len(own) > MOST_NEIGHBOURS
        else ""
    )
    meaning = (
        "m': between the slip systems with the largest Schmid factors, 1 = slip can cross." * with_transfer
    )
    return Section("Neighbours", tables=[Table(columns, rows, more + meaning)])


def _m_prime(situation: Situation, boundaries: pd.DataFrame) -> np.ndarray:
    """m' of boundaries between grains of phases that have a law, NaN of others."""
    materials, grains = situation.survey.materials, situation.grains
    load = situation.load
    assert load is not None
    a_nm = {number: material.a for number, material in materials.items()} if len(materials) > 1 else None
    table = boundary_transfer(
        boundaries[["grain_a", "grain_b", "trace_deg"]],
        grains[QUATERNION].to_numpy(float),
        situation.survey.systems,
        phase=grains["phase"].to_numpy(),
        stress=load.stress,
        a_nm=a_nm,
    )
    return table["m_prime"].to_numpy(float)


def _of_chapters(situation: Situation, grain_id: int) -> list[Section | None]:
    """Lines, the law and F; the first and the last know the grains of the declared segmentation."""
    declared = int(situation.declared_grain[grain_id])
    law = _law(situation, grain_id)
    if declared == 0:
        return [None, law, Section("What F says", text="no grain of the declared segmentation lies here")]
    return [_lines(situation, declared), law, _learned(situation, declared)]


def _lines(situation: Situation, grain_id: int) -> Section:
    survey = situation.survey
    found = survey.lines
    missing = {}
    if survey.has_more_lines:
        later = "Lines of images and HR-DIC fields come with"
        missing = {"later": later, "command": survey.chapters.command("02e")}
    own = found.traces[found.traces["grain_id"] == grain_id]
    asked = found.labels[(found.labels["grain_id"] == grain_id) & (found.labels["level"] == "plane")]
    if own.empty:
        looked = bool(asked["observed"].notna().any())
        text = "looked at, no line seen" if looked else "nobody looked for lines in this grain"
        return Section("Lines on the surface", text=text, **missing)
    theory = _theory(situation, grain_id)
    rows = []
    for line in own.itertuples():
        fits = found.candidates[found.candidates["trace_id"] == line.trace_id]
        fits = fits[fits["probability"] > 0].sort_values("probability", ascending=False)
        first = [f"{line.angle_deg:.1f}° ± {line.sigma_deg:.1f}°", line.source]
        if fits.empty:
            rows.append([*first, "none fits", "", ""])
        for fit in fits.itertuples():
            angle = theory.get(fit.target, np.nan)
            away = abs(float(line_difference(line.angle_deg, angle)))
            rows.append([*first, fit.target, _degrees(away), Bar(float(fit.probability))])
            first = ["", ""]
    note = "Angles counter-clockwise from x; probability by the angle alone, before any mechanics."
    columns = ["line", "seen by", "candidate", "off", "probability"]
    return Section("Lines on the surface", tables=[Table(columns, rows, note)], **missing)


def _theory(situation: Situation, grain_id: int) -> dict[str, float]:
    """Plane -> angle of its trace, deg, of a grain of the declared segmentation."""
    row = situation.survey.twins(None).grains.set_index("grain_id").loc[grain_id]
    systems = situation.survey.systems.get(int(row["phase"]))
    if systems is None:
        return {}
    angles = slip_traces(row[QUATERNION].to_numpy(float)[None], systems).angle_deg[0]
    return dict(zip(systems.plane_names, angles.tolist(), strict=True))


def _law(situation: Situation, grain_id: int) -> Section:
    title = "What the law says"
    if situation.load is None:
        return Section(title, text="the load is unknown: choose one above")
    found = situation.answer_of(grain_id)
    if found is None:
        return Section(title, text="no law for this phase: it is declared without a material")
    answer, g = found
    order = np.argsort(-answer.loaded[g], kind="stable")[:MOST_SYSTEMS]
    rows = [
        [
            answer.systems.names[s],
            f"{answer.schmid[g, s] if answer.systems.twin[s] else abs(answer.schmid[g, s]):.2f}",
            f"{answer.strength[s]:.2f}",
            f"{answer.loaded[g, s]:.2f}",
            Bar(float(answer.share[g, s])),
        ]
        for s in order
    ]
    stress = {"sachs": "the mean stress", "affine": "a self-consistent medium (affine)"}[answer.scheme]
    note = (
        f"Stress of the grain: {stress}. Strength in multiples of {answer.systems.family_names[0]}; "
        "loaded: resolved shear over strength, mean of the most loaded = 1; share of the grain's shear."
    )
    text = f"{answer.first_choice[g]} takes most of the shear"
    columns = ["system", "Schmid", "strength", "loaded", "share"]
    return Section(title, text=text, tables=[Table(columns, rows, note)])


def _learned(situation: Situation, grain_id: int) -> Section:
    chapters, title = situation.survey.chapters, "What F says, and why"
    table = chapters.predictions
    if table is None:
        if reason := chapters.lacking:
            return Section(title, text=f"it cannot be asked: {reason}")
        text = (
            "the chapters have run on another map or segmentation" if chapters.is_stale else "not asked yet"
        )
        return Section(title, text=text, later="It learns in chapter 04:", command=chapters.command("04"))
    own = table[table["grain_id"] == grain_id]
    if own.empty:
        return Section(title, text="no law for this phase, so nothing was learned")
    column = "p_active" if own["p_active"].notna().all() else "p"
    own = own.sort_values(column, ascending=False).head(MOST_TARGETS)
    seen, sets = _observed(situation, grain_id), _set(situation, grain_id)
    rows = [
        [r.target, Bar(float(getattr(r, column))), f"{r.p:.2f}"]
        + ([IN_SET[sets.get((r.mechanism, r.target))]] if sets else [])
        + [seen.get((r.mechanism, r.target), "unknown")]
        for r in own.itertuples()
    ]
    columns = ["plane or variant", "active", "recorded", *(["in set"] if sets else []), "was"]
    note = "Probabilities that it was active, and that it is recorded as well; fitted on this map"
    note += "; in set: held-out set with 90 % of the footprints." if sets else "."
    tables, missing = [Table(columns, rows, note)], {}
    if chapters.table("evaluation") is None:
        missing = {"later": "Calibrated sets come with", "command": chapters.command("05")}
    causes = chapters.table("causes")
    chain = None if causes is None else causes[causes["grain_id"] == grain_id]
    text = ""
    if chain is not None and len(chain):
        chain = chain.sort_values("x", ascending=False)
        text = _sentence(chain.iloc[0])
        tables.append(_causes(chain.head(MOST_CAUSES)))
    return Section(title, text=text, tables=tables, **missing)


def _observed(situation: Situation, grain_id: int) -> dict[tuple[str, str], str]:
    labels = situation.survey.lines.labels
    table = situation.survey.chapters.table("labels")
    own = (labels if table is None else table).query("grain_id == @grain_id")
    return {(r.mechanism, r.target): WORDS.get(r.observed, "could not be seen") for r in own.itertuples()}


def _set(situation: Situation, grain_id: int) -> dict[tuple[str, str], bool]:
    sets = situation.survey.chapters.sets
    if sets is None:
        return {}
    own = sets[sets["grain_id"] == grain_id]
    return {(r.mechanism, r.target): bool(r.in_set) for r in own.itertuples()}


def _sentence(row: pd.Series) -> str:
    """The chain of causes of the most loaded plane in words."""
    text = (
        f"Most loaded is {row['target']}: the mean stress alone gives {row['mean']:.2f} of its strength, the "
        f"grain in a mean medium {row['grain']:+.2f}, the map around it {row['collective']:+.2f}, what was "
        f"learned from neighbours {row['neighbours']:+.2f}"
    )
    source = int(row["from_grain"])
    text += f" (most of it from grain {source})" if source > 0 and abs(row["neighbours"]) >= 0.005 else ""
    return f"{text}; together {row['x']:.2f} ± {row['scatter']:.2f}."


def _causes(rows: pd.DataFrame) -> Table:
    cells = [
        [r.target, f"{r.mean:.2f}", f"{r.grain:+.2f}", f"{r.collective:+.2f}", f"{r.neighbours:+.2f}"]
        + [f"{r.x:.2f} ± {r.scatter:.2f}"]
        for r in rows.itertuples()
    ]
    columns = ["why", "mean stress", "own grain", "map", "neighbours", "sum"]
    return Table(columns, cells, "Resolved shear over strength, mean of the most loaded = 1.")


def _plain(value: float) -> str:
    """Four digits, large numbers without an exponent."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


def _number(value: float) -> str:
    return "-" if not np.isfinite(value) else f"{value:.2f}"


def _degrees(value: float) -> str:
    return "-" if not np.isfinite(value) else f"{value:.1f}°"
