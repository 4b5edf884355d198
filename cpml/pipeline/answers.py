"""Sentences that read the results of a notebook: what was found, and where there is too little to say.

Each function is given results and returns one or two sentences. They are shown where the result is, stored as
the notebook's answer, and stand on the first page of the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binomtest

from cpml.crystallography.slip_systems import FAMILY_WORDS
from cpml.pipeline.found import FEW
from cpml.plots.palette import model_label

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from cpml.design import TextureDesign
    from cpml.microscopy import EbsdMap, FrameCheck, FrameRanking, Grains, Twins
    from cpml.microscopy.curvature.gnd import Gnd
    from cpml.models import Checks, CoupledClassifier, MapField, Transmission
    from cpml.plasticity import Calibration

BY_DATA = 0.5
"""Share of the prior's variance that footprints must remove for a strength to be called learned."""
SCORE_NAMES = {"pr_auc_within": "PR-AUC inside families", "pr_auc": "PR-AUC", "log_loss": "log-loss"}
CLEAR = 0.05
"""Probability of a chance result below which a choice counts as decided."""


def count(number: int, noun: str, plural: str | None = None) -> str:
    """ "1 grain", "3 grains"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}".replace(",", "\u202f")


def percent(share: float) -> str:
    """ "12 %", "0.3 %"."""
    return f"{100 * share:.2g} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"


def name_of(family: str) -> str:
    """A family in words, "twin_1012" -> "{10-12} twinning"."""
    return FAMILY_WORDS.get(family, family.replace("_", " "))


def without_solution(refused: dict[str, str]) -> str:
    """Schemes of a mean field that have no solution, and what stands in their place."""
    return "; ".join(refused.values()) if refused else "All three schemes have a solution."


def the_map(ebsd_map: EbsdMap) -> str:
    """How large the map is, and how much of it is there."""
    width, height = np.ptp(ebsd_map.xy, axis=0) + ebsd_map.step_um
    return (
        f"A map of {count(ebsd_map.n_pixels, 'point')}, {ebsd_map.step_um:.3g} µm apart "
        f"({width:.3g} x {height:.3g} µm); {percent(float(ebsd_map.indexed.mean()))} are indexed."
    )


def hexagonal_axis(table: pd.DataFrame) -> str:
    """Which hexagonal axis the twin boundaries support (table of `hex_axis_check`)."""
    declared, other = (int(n) for n in table["twin_segments"])
    found = f"{count(declared, 'boundary segment')} are {{10-12}} twins as read, {other} with X turned 30 deg"
    if declared + other < FEW:
        return f"{found}: too few twins to tell the hexagonal axis."
    if declared > 3 * other:
        return f"{found}: the declared hexagonal axis is right."
    if other > 3 * declared:
        return f"**{found}: the hexagonal axis is declared wrong.**"
    return f"{found}: the twins do not tell which axis is right."


def frame(check: FrameCheck, what: str) -> str:
    """Whether lines on planes support the y axis of the map as it was read; a sign test on the lines that fit
    in one frame only.
    """
    n = int(check.table["lines"].iloc[0])
    declared, flipped = (int(v) for v in check.table["matched"])
    if not n:
        return f"No {what} to tell which way y points."
    found = f"Of {count(n, what, what)} {declared} lie along planes as read, {flipped} with y flipped"
    only_declared, only_flipped = check.only
    trials = only_declared + only_flipped
    if trials < FEW or binomtest(only_declared, trials).pvalue > CLEAR:
        return f"{found}: they do not tell the two apart."
    if only_declared > only_flipped:
        return f"{found}: its y axis is right."
    return f"**{found}: its y axis is wrong.**"


def frames(ranking: FrameRanking, is_declared: bool) -> str:
    """Which frame, and which hexagonal axis, the footprints single out."""
    kinds = {"traces": "line", "lamellae": "twin lamella", "twins": "twin pair"}
    plural = {"twin lamella": "twin lamellae"}
    told = ", ".join(count(n, kinds[k], plural.get(kinds[k])) for k, n in ranking.n.items() if n)
    best = ranking.best
    choice = best["frames"] + (
        "" if best["hexagonal_axis"] == "-" else f", hexagonal X {best['hexagonal_axis']}"
    )
    if not told:
        if is_declared:
            return "Neither lines nor twins tell the frame: undecided."
        return "**Neither lines nor twins tell the frame, and none is declared: undecided.**"
    start = told if is_declared else f"No frame is declared. {told}"
    mine = "the declared frame" if is_declared else "the frame as read"
    if ranking.verdict == "contradicted":
        return f"**{start}: {mine} is ruled out; they lie along planes with {choice}.**"
    if ranking.verdict == "undecided":
        left, n = int((ranking.table["verdict"] != "ruled out").sum()), len(ranking.table)
        return f"{start}: undecided, {left} of {n} choices of frame and axis are not told apart."
    return f"{start} rule out all but {mine} ({choice}: half a turn about the normal shows in no line)."


def picture(families: pd.DataFrame, lines: pd.DataFrame, apart: NDArray) -> str:
    """What an image shows by itself: families of all tiles, those that count,
    their distance from the tensor's.
    """
    n_tiles, with_lines = families["grain_id"].nunique(), lines["grain_id"].nunique()
    if not len(lines):
        return f"None of {count(n_tiles, 'tile')} shows straight lines above the limits."
    compared = np.isfinite(apart)
    return (
        f"{with_lines} of {count(n_tiles, 'tile')} show straight lines, "
        f"{count(len(lines), 'family', 'families')} in all, with directions known to "
        f"{lines['sigma_deg'].median():.1f} degrees (median); the structure tensor agrees within 3 degrees "
        f"in {int((apart[compared] <= 3).sum())} of {count(int(compared.sum()), 'tile')}."
    )


def grains(table: pd.DataFrame, n_fragments: int) -> str:
    """How many grains of which size (one row a grain)."""
    n, diameter = len(table), table["equivalent_diameter_um"].median()
    found = f"{count(n_fragments, 'fragment')} are {count(n, 'grain')}, median diameter {diameter:.2g} µm."
    return found if n >= FEW else f"{found} So few grains carry no statistics."


def twins(found: Twins, certainty: pd.Series) -> str:
    """Which grains have twinned, how much of them, and how sure their parents are (probability by family)."""
    grains = found.grains
    twinned = grains["twin_fraction"] > 0
    if not twinned.any():
        return "No twin of the kinds that were looked for."
    share = (grains["twin_fraction"] * grains["area_um2"]).sum() / grains["area_um2"].sum()
    unsure = int((certainty < 0.8).sum())
    return (
        f"{int(twinned.sum())} of {count(len(grains), 'grain')} have twinned, and twins take "
        f"{percent(share)} of the area; "
        f"in {unsure} of {count(len(certainty), 'family', 'families')} another orientation may be the parent."
    )


def boundaries(types: pd.DataFrame) -> str:
    """The share of special boundaries (index: type; length_um)."""
    if not len(types):
        return "No boundary: the map is one fragment."
    share = types["length_um"] / types["length_um"].sum()
    plain = {"random", "low angle", "between phases"}
    special = share[[name for name in share.index if name not in plain]]
    if not len(special):
        return "No special boundary: all are random, of low angle or between phases."
    first = special.idxmax()
    most = f"most of it {first} ({percent(special[first])})"
    return f"{percent(special.sum())} of the boundary length is special, {most}."


def least_size(fragments: Grains, declared: float) -> str:
    """That all fragments were kept because none has the declared number of points; "" where some have."""
    if fragments.min_pixels >= declared:
        return ""
    return f"No fragment has {count(int(declared), 'point')}, the least size declared: all are kept."


def twin_boundaries(shares: pd.DataFrame) -> str:
    """How much of the boundary length of each phase is twin boundary (table of `twin_boundary_share`)."""
    parts = []
    for name, rows in shares.groupby("phase_name", sort=False):
        kinds = ", ".join(
            f"{percent(r.share_of_high_angle)} {str(r.kind).replace('_', ' ')}" for r in rows.itertuples()
        )
        parts.append(f"{name}: {kinds}")
    return f"Twin boundaries, share of the high-angle boundary length: {'; '.join(parts)}." if parts else ""


def orientations(table: pd.DataFrame) -> str:
    """How sharp the texture of each phase is (index: phase; half-width, index, that of chance)."""
    parts = []
    for name, row in table.iterrows():
        index, chance = row["texture index"], row["of random orientations"]
        sharp = "" if index - 1 > max(2 * (chance - 1), 0.05) else ", no more than random orientations have"
        parts.append(f"{name} {index:.2g}{sharp} (half-width {row['half-width / deg']:.2g} degrees)")
    return f"Texture index: {'; '.join(parts)}."


def curvature(kam_deg: NDArray, noise_kam_deg: NDArray, dislocations: Gnd) -> str:
    """Whether the lattice bends more than noise (KAM of the map and of noise alone, point by point)."""
    found = np.isfinite(kam_deg)
    if not found.any():
        return "No two neighbours lie in one grain: nothing is known of the lattice between them."
    kam, density = float(np.median(kam_deg[found])), dislocations.density
    known = np.isfinite(density)
    rho = float(np.median(density[known])) if known.any() else None
    told = (
        f" The median density of geometrically necessary dislocations is {rho:.1e} per m2"
        if rho is not None
        else " No phase with known dislocations has a known curvature"
    )
    if not np.isfinite(dislocations.noise_deg):
        return f"The median KAM is {kam:.2g} degrees, and what noise alone reads is not known.{told}."
    floor = float(np.median(noise_kam_deg[np.isfinite(noise_kam_deg)]))
    reading = "the lattice bends more than noise explains" if kam > 1.5 * floor else "most of it is noise"
    beside = "" if rho is None else f" where noise alone reads {dislocations.noise_floor:.1e}"
    return (
        f"The median KAM is {kam:.2g} degrees where noise alone reads {floor:.2g}: {reading}.{told}{beside}."
    )


def transfer(m_prime: pd.Series, percolation: pd.DataFrame) -> str:
    """How far slip could pass from grain to grain."""
    known = m_prime.dropna()
    if len(known) < FEW:
        return f"{count(len(known), 'boundary', 'boundaries')} with a known m': too few to speak of transfer."
    last = percolation.iloc[-1]
    return (
        f"The most stressed slip could pass (m' above 0.8) at {percent((known > 0.8).mean())} of "
        "the boundaries; where it "
        f"must be above {last['above']:g}, the largest cluster holds "
        f"{percent(last['largest_share'])} of the area."
    )


def passing(slip: pd.DataFrame, transmission: Transmission, scores: pd.DataFrame) -> str:
    """Where slip passes, and whether that could be foretold (`slip_transfer`, `transmission_scores`)."""
    told = slip["passes"].value_counts()
    n = int((slip["log_ratio"] != 0).sum())
    seen = (
        f"Of {count(len(slip), 'boundary', 'boundaries')} {n} say something about whether slip passes; it "
        f"does at {told.get(1.0, 0)} and does not at {told.get(0.0, 0)}, at the others nobody can tell."
    )
    worth = f"evidence with places is worth {transmission.evidence:.0f} certain labels"
    if not transmission.is_enough or not len(scores):
        return f"{seen} Not enough data to learn from: {worth}, and the curve is that of the literature."
    learned, constant = (scores.set_index("model").loc[name] for name in ("learned", "prevalence"))
    low, high = learned["less_low"], learned["less_high"]
    verdict = (
        "better than one number for all"
        if high < 0
        else "worse than one number for all"
        if low > 0
        else "no better than one number for all, as far as so few can tell"
    )
    return (
        f"{seen} The {worth}; held out by blocks it is foretold {verdict} (log-loss "
        f"{learned['log_loss']:.2f} against {constant['log_loss']:.2f}, difference {low:.2f} to {high:.2f})."
    )


def single_dislocations(pixel_um: float | None, image_width_um: float, segments: pd.DataFrame | None) -> str:
    """Whether a picture could show single dislocations, and what is known of what it shows without a
    reflection.
    """
    if not pixel_um:
        return "The pixel size is not told: whether single dislocations could be seen is unknown."
    if segments is None:
        return (
            f"A pixel of {1e3 * pixel_um:.3g} nm is wider than the image of a dislocation, about "
            f"{1e3 * image_width_um:.0f} nm: single dislocations cannot be seen in this picture, whatever "
            "its contrast."
        )
    return (
        f"{count(len(segments), 'segment')} as narrow as dislocations, {segments['length_um'].median():.2g} "
        "µm long (median). Without a reflection g none of them has a Burgers vector, and a scratch looks the "
        "same."
    )


def image_lines(lines: pd.DataFrame, on_plane: NDArray, apart: NDArray) -> str:
    """Lines of an image, grain by grain: on planes, and beside drawn ones."""
    n_grains = lines["grain_id"].nunique()
    if not len(on_plane):
        return f"None of {count(n_grains, 'grain')} shows a line."
    compared = apart[np.isfinite(apart)]
    found = (
        f"{count(len(on_plane), 'line')} were found in {count(n_grains, 'grain')}; "
        f"{int((on_plane <= 4).sum())} lie within "
        "4 degrees of a slip plane"
    )
    if not len(compared):
        return f"{found}."
    return (
        f"{found}, {int((compared <= 5).sum())} of {len(compared)} within 5 degrees of a line drawn by hand."
    )


def strain_field(on_plane: NDArray, turns: list[NDArray], clear: NDArray, leading: pd.DataFrame) -> str:
    """Bands on planes, directions as declared and mirrored, and the leading system of each grain."""
    known = on_plane[np.isfinite(on_plane)]
    if len(known) < FEW:
        return f"Bands were found in {count(len(known), 'grain')}: too few to speak of systems."
    fits, mirrored = (int((turn[clear] <= 10).sum()) for turn in turns)
    n_clear = int(clear.sum())
    sign = "the declared sign of v fits better" if fits > mirrored else "the sign of v is not confirmed"
    return (
        f"In {int((known <= 4).sum())} of {count(len(known), 'grain')} the strongest band lies "
        "within 4 degrees of a slip "
        f"plane. Of {count(n_clear, 'clear displacement')} {fits} follow a slip direction, "
        f"{mirrored} with v negated: {sign}. "
        f"In {count(len(leading), 'large grain')} the leading system carries "
        f"{percent(leading['share'].median())} of the "
        "slip (median)."
    )


def traces(seen: pd.DataFrame, strongest: pd.Series) -> str:
    """Lines of all sources, and how the strongest of each grain lies (angle from the nearest slip plane)."""
    lines = int(seen["angle_deg"].notna().sum())
    looked = count(seen["grain_id"].nunique(), "grain")
    if not lines:
        return f"{looked} were looked at, and no line was seen."
    return (
        f"{count(lines, 'line')} were seen in {looked} that were looked at; the strongest of each "
        "lies within 4 degrees of a "
        f"slip plane in {int((strongest <= 4).sum())} of {len(strongest)} grains."
    )


def labels(table: pd.DataFrame, n_footprints: int) -> str:
    """Labels of every mechanism: seen, not seen, missing; and whether they are enough to learn from."""
    from cpml.microscopy import one_a_line

    parts = []
    for mechanism, rows in one_a_line(table).groupby("mechanism", sort=False):
        seen, absent = int((rows["observed"] == 1).sum()), int((rows["observed"] == 0).sum())
        name = str(mechanism).replace("_", "-")
        parts.append(
            f"{name} {seen} seen, {absent} not seen" if seen + absent else f"{name} looked for by nobody"
        )
    few = f" **{count(n_footprints, 'footprint')} of slip and twins: nothing can be learned here.**"
    enough = "" if n_footprints >= FEW else few
    return f"Planes, systems, variants and pairs: {'; '.join(parts)}.{enough}"


def curve(fit: Calibration) -> str:
    """The calibration to a measured curve."""
    scale = fit.values.set_index("parameter").loc["scale"]
    return (
        f"The curve is met to {fit.rms_mpa:.2g} MPa when the strengths of the literature are multiplied by "
        f"{scale['value']:.2g} [{scale['low']:.2g}, {scale['high']:.2g}]."
    )


def law_alone(ranks: dict[str, pd.Series], footprints: pd.Series, n_targets: int) -> str:
    """Where the law's first choice was seen (ranks of what was seen; agrees, differs, nothing seen)."""
    seen = footprints[footprints != "nothing seen"]
    if len(seen) < FEW:
        return f"Footprints were seen in {count(len(seen), 'grain')}: too few to hold the law against them."
    hits = {rule: float((r == 1).mean()) for rule, r in ranks.items()}
    told = ", ".join(f"{percent(share)} by {rule.capitalize()}" for rule, share in hits.items())
    return (
        f"In {int((seen == 'agrees').sum())} of {count(len(seen), 'grain')} with footprints something seen "
        "is the first choice of the affine scheme. Of all planes and variants seen, rank 1 among up to "
        f"{n_targets} is given to {told}."
    )


def solved_map(solved: MapField) -> str:
    """How strongly stress and shear differ from cell to cell of a solved map."""
    low, high = np.quantile(solved.stress, [0.05, 0.95])
    share = np.sort(solved.shear, axis=None)[::-1]
    tenth = float(share[: max(len(share) // 10, 1)].sum() / share.sum())
    state = "" if solved.field.converged else "**The field is not converged.** "
    return (
        f"{state}On {count(solved.shear.size, 'cell')} nine tenths of the von Mises stresses lie "
        f"from {low:.2g} to {high:.2g} of the mean, and the tenth that shears most does {percent(tenth)} of "
        "all shear."
    )


def hot_spots(numbers: Mapping[str, Any]) -> str:
    """Stress and shear near boundaries and triple points (`hot_spot_numbers`)."""
    if numbers["boundary_shear"] is None:
        return "Too few grains are large enough on this grid to tell their inside from their boundaries."
    ends = "{boundary_shear:.2f} [{boundary_shear_low:.2f}, {boundary_shear_high:.2f}]".format(**numbers)
    said = (
        f"Beside boundaries the mean shear is {ends} of that inside the same grains; its upper decile is "
        "{boundary_shear_decile:.2f} against {inside_shear_decile:.2f} inside, that of the stress "
        "{boundary_stress_decile:.2f} against {inside_stress_decile:.2f}"
    ).format(**numbers)
    if numbers["triple_point_shear_decile"] is None:
        return f"{said}."
    at = "; at triple points {triple_point_shear_decile:.2f} and {triple_point_stress_decile:.2f}."
    return said + at.format(**numbers)


def beyond_mean_field(numbers: dict[str, float]) -> str:
    """What the full field says that the mean field does not (`unlike_mean_field`)."""
    n = int(numbers["n_grains"])
    if n < FEW:
        return f"{count(n, 'grain')} on this grid: too few to compare with the self-consistent scheme."
    return (
        f"The self-consistent scheme explains {percent(max(0.0, numbers['explained_by_mean_field']))} of the "
        f"variance of the grains' stresses in the full field (von Mises stresses correlate at "
        f"{numbers['stress_correlation']:.2f}), and {percent(numbers['inside_grains'])} of the variance lies "
        f"inside the grains. In {percent(numbers['target_changes'])} of {n} grains another plane or variant "
        f"shears most, in {percent(numbers['family_changes'])} another family."
    )


def expected_ranks(table: pd.DataFrame, what: str = "Strains") -> str:
    """Whether grains strain, or turn, in the order expected, in the last state (table of `beside_measured`);
    "" where nothing was compared.
    """
    if not len(table):
        return ""
    last = table[table["step"] == table["step"].iloc[-1]]
    told = []
    for scheme, own in last.groupby("scheme", sort=False):
        above, below = (
            ", ".join(f"{r.component} {r.rank_correlation:.2f}" for r in own[is_sure].itertuples())
            for is_sure in (own["low"] > 0, own["high"] < 0)
        )
        opposite = f", in the opposite order {below}" if below else ""
        told.append(f"by the {SCHEME_WORDS[str(scheme)]} {above or 'none'}{opposite}")
    return (
        f"{what} of the grains in the last measured state rank as expected (rank correlation, where its "
        f"interval leaves out zero) {'; '.join(told)}."
    )


def predicted_motions(scores: pd.DataFrame) -> str:
    """Whether held-out grains moved as F says (table of `models.motion_scores`); "" without any."""
    if not len(scores):
        return ""
    sure = scores[scores["low"] > 0]
    ranks = ", ".join(
        f"{r.component.rpartition('_')[0]} {r.rank_correlation:.2f} (law alone {r.literature:.2f})"
        for r in sure.itertuples()
    )
    return (
        f"Grains that were held out turn and strain in the order predicted (rank correlation, where its "
        f"interval leaves out zero): {ranks or 'in no component'}; the 90 % intervals hold "
        f"{percent(float(scores['coverage'].mean()))} of them."
    )


SCHEME_WORDS = {
    "full_field": "full field",
    "affine": "self-consistent scheme",
    "depth": "drawn depths",
    "learned": "learned mechanics",
}


def left_open(shares: pd.DataFrame, spread_correlation: float, n_depths: int) -> str:
    """What a map leaves open of its grains' stresses (table of `OpenDepth.open_shares`), and whether the
    network knows in which grains.
    """
    share = shares["open_share"]
    told = (
        f"{n_depths} depths under one map leave open {percent(float(share['all']))} of the variance of the "
        "stresses from grain to grain"
    )
    if shares["grains"][["rim", "inside"]].min() >= FEW:
        told += f" ({percent(float(share['rim']))} at the rim, {percent(float(share['inside']))} inside)"
    if not np.isfinite(spread_correlation):
        return f"{told}."
    return (
        f"{told}; the spread that the network gives a grain and that of the depths have a rank "
        f"correlation of {spread_correlation:.2f}."
    )


def explained_stresses(table: pd.DataFrame) -> str:
    """How much of the true stresses each scheme explains (table of `OpenDepth.explained`)."""
    if not len(table):
        return ""
    shares = ", ".join(
        f"{SCHEME_WORDS[str(r.scheme)]} {r.explained:.2f} [{r.low:.2f}, {r.high:.2f}]"
        for r in table.itertuples()
    )
    return (
        f"Share of the variance of the true stresses of {count(int(table['n_grains'].max()), 'grain')} that "
        f"is explained at their true strengths: {shares}."
    )


def correction_of(model: CoupledClassifier) -> str:
    """Whether what was learned beyond the law speaks, and why not: the end of a sentence about it."""
    judged = model.holdout_
    words = {"slip": "slip", "twin": "twins"}
    speaks = [words[m] for m in judged.loc[judged["strength"] > 0, "mechanism"]]
    if speaks:
        return f"speaks on {' and '.join(speaks)}"
    if judged.empty:
        return "was switched off"
    if (judged["verdict"] == "too few footprints").all():
        return "was not tried, for want of footprints"
    return "stayed shut: it gains nothing beyond noise on held-out grains"


def learned(model: CoupledClassifier, n_footprints: int) -> str:
    """What the footprints fix, and what is left to the literature."""
    n = n_footprints
    table = model.strengths_[model.strengths_["family"] != model.strengths_["reference"]]
    if n < FEW:
        return f"**{count(n, 'footprint')}: nothing was learned**, every strength is that of the literature."
    fixed, open_ = table[table["by_data"] >= BY_DATA], table[table["by_data"] < BY_DATA]
    reference = name_of(str(model.strengths_["reference"].iloc[0]))
    ratios = ", ".join(
        f"{name_of(r.family)} {r.ratio:.2g} [{r.ratio_low:.2g}, {r.ratio_high:.2g}]"
        for r in fixed.itertuples()
    )
    told = (
        f"{count(n, 'footprint')} fix, relative to {reference}: {ratios}."
        if len(fixed)
        else (f"{count(n, 'footprint')} fix no strength ratio.")
    )
    rest = ", ".join(map(name_of, open_["family"]))
    literature = f" Left to the literature: {rest}." if rest else ""
    return (
        f"{told}{literature} {mechanics_of(model)}; the correction by learning alone {correction_of(model)}."
    )


def doubtful_parents(parents: pd.DataFrame) -> list[str]:
    """Which grains are probably twins that have outgrown their parents: a sentence, or none.

    Parameters
    ----------
    parents : of `CoupledClassifier.parents`
    """
    doubtful = parents[parents["p_outgrown"] > 0.5].sort_values("p_outgrown", ascending=False)
    if doubtful.empty:
        return []
    first = ", ".join(map(str, doubtful["grain_id"].head(FEW)))
    dots = ", ..." if len(doubtful) > FEW else ""
    return [
        f"In {count(len(doubtful), 'grain')} ({first}{dots}) what the map takes for the parent is more "
        "probably a twin that has outgrown it: what is named a twin there is what is left of the parent."
    ]


def mechanics_of(model: CoupledClassifier) -> str:
    """How far the mechanics behind a fit is believed, to be followed by more."""
    if "amplitude" in model.theta_:
        share = percent(float(model.theta_["amplitude"]))
        return f"{share} of what the mechanics says about the neighbours of a grain is believed"
    share = percent(float(model.theta_.get("trust", 0.0)))
    return f"What the mechanics itself leaves open of a grain's stress counts at {share} of its size"


def checks(found: Checks) -> str:
    """What speaks against a fitted model, or what it withstood."""
    if found.warnings:
        return " ".join(found.warnings)
    told = []
    if found.families:
        names = ", ".join(name_of(a.family) for a in found.families)
        told.append(f"no family that the material file lacks is asked for ({names})")
    for what, compared in (("load", found.loads), ("frame", found.frames)):
        if compared is not None:
            ahead = -float(compared.best["gain_evidence_nats"])
            n = len(compared.table) - 1
            clear = "" if compared.is_supported else ", which is not clear of them"
            told.append(f"the declared {what} is ahead of {n} others by {ahead:.0f} nats and more{clear}")
    told.append("counts by family and part of the map are those that the model expects")
    return f"Nothing speaks against the fit: {'; '.join(told)}."


def verdict(verdicts: pd.DataFrame) -> str:
    """The coupled model against every other one (table of `evaluation.verdict`)."""
    parts = []
    for (mechanism, metric), table in verdicts.groupby(["mechanism", "metric"], sort=False):
        n = table["verdict"].value_counts()
        better, tie, worse = (int(n.get(word, 0)) for word in ("better", "tie", "worse"))
        name = SCORE_NAMES.get(str(metric), str(metric))
        losses = ", ".join(map(model_label, table.loc[table["verdict"] == "worse", "model"]))
        behind = f", behind {losses}" if worse else ""
        parts.append(
            f"{mechanism}, {name}: better than {better} of {len(table)} other models, {tie} ties{behind}"
        )
    return "; ".join(parts) + "." if parts else "No mechanism was seen often enough to compare models."


def headline(scores: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The rows of the score that stands first for one mechanism, and where it ranks: inside families, or,
    where no family has enough footprints of its own, over all targets.

    Parameters
    ----------
    scores : of one mechanism: model, metric, value, ..., n_families
    """
    within = scores[scores["metric"] == "pr_auc_within"]
    if len(within) and within["value"].notna().all():
        n = int(within["n_families"].iloc[0])
        return "inside its family" if n == 1 else f"inside {n} families", within
    return "over all targets", scores[scores["metric"] == "pr_auc"]


def guess(ranked: pd.DataFrame) -> float:
    """What knowing the families, and nothing of a grain, scores; without such a model the prevalence."""
    known = ranked.loc[ranked["model"] == "family_share", "value"]
    return float(known.iloc[0] if len(known) else ranked["prevalence"].iloc[0])


def evaluation(scores: pd.DataFrame) -> str:
    """Scores of the coupled model and of the best other one, held out, by mechanism."""
    parts = []
    for mechanism, every in scores.groupby("mechanism"):
        place, table = headline(every)
        own = table[table["model"] == "coupled"].iloc[0]
        n = int(own["n_positive"])
        if n < FEW:
            parts.append(f"{count(n, 'observed ' + mechanism + ' footprint')}: too few to rank models.")
            continue
        others = table[table["model"] != "coupled"]
        best = others.loc[others["value"].idxmax()]
        parts.append(
            f"{mechanism.capitalize()}: PR-AUC {place} of the coupled model {own['value']:.2f} "
            f"[{own['low']:.2f}, {own['high']:.2f}] "
            f"on {count(n, 'footprint')} in {count(int(own['n_grains']), 'grain')}, of the "
            f"best other ({model_label(best['model'])}) "
            f"{best['value']:.2f}, of a share per family {guess(table):.2f}."
        )
    return " ".join(parts) or "Nothing was observed: there is nothing to evaluate."


def texture(design: TextureDesign) -> str:
    """Whether the target was reached, and whether it holds by another route."""
    words = {"yield_stress_mpa": "a yield stress of {:.3g} MPa", "r_value": "an r-value of {:.3g}"}
    wanted = " and ".join(words[key].format(value) for key, value in design.target.items())
    if design.status != "reached":
        return f"No texture of this material gives {wanted}; the nearest point is shown with its proof."
    drawn = design.verification.get("drawn_r_value_deviation")
    told = (
        ""
        if drawn is None
        else (
            f" With free lateral strains 500 drawn orientations change its r-value by {percent(abs(drawn))}."
        )
    )
    return f"A texture with {wanted} exists (duality gap proves that none closer to random does).{told}"


def sheet(design: TextureDesign, processes: pd.DataFrame, chance: pd.DataFrame, changes: pd.DataFrame) -> str:
    """What a design over strain says: reached or not, how sure, what grain size would do, and by which steps
    of a process something like it is made.
    """
    wanted = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in design.target.items())
    best = processes.iloc[0]
    names, amounts = (str(best[key]).replace("_", " ").split(", ") for key in ("process", "strain"))
    steps = " and ".join(f"{name} to {amount}" for name, amount in zip(names, amounts, strict=True))
    made = "doing nothing" if names == ["none"] else steps
    near = "meets" if best["largest_deviation"] == 0 else f"misses by {percent(best['largest_deviation'])}"
    by_process = f"Of the process steps tried {made} {near}."
    size = _grain_size(changes)
    sure = float(chance.set_index("goal").loc["all goals", "probability"])
    if design.status != "reached":
        proof = "provably (under Taylor) " if "proven_deviation" in design.certificate else ""
        return f"{wanted}: {proof}out of reach of textures. {size}{by_process}"
    moved = percent(float(changes["volume_moved"].iloc[0]))
    return (
        f"{wanted}: {count(1 + len(design.alternatives), 'texture')} found by the self-consistent path; the "
        f"first turns {moved} of the volume and holds at {percent(sure)} of the ratios of strengths that "
        f"the intervals allow. {size}{by_process}"
    )


def _grain_size(changes: pd.DataFrame) -> str:
    """What grains of another size alone would do; empty where that was not asked."""
    alone = changes[changes["way"] == "grain size"]
    if alone.empty:
        return ""
    what = f"Grains of {alone['grain_size_um'].iloc[0]:.3g} um in the texture of the map"
    return f"{what} {'meet it too' if alone['status'].iloc[0] == 'reached' else 'alone do not meet it'}. "


def comparison(judged: pd.DataFrame, n_datasets: int) -> str:
    """The coupled model against the best other one on all data sets (gains with verdicts)."""
    rows = judged[judged["against"] == "footprints"]
    if rows.empty:
        return f"{count(n_datasets, 'data set')}, and no footprint to compare models on."
    n = rows["verdict"].value_counts()
    better, tie, worse = (int(n.get(word, 0)) for word in ("better", "tie", "worse"))
    return (
        f"On {count(n_datasets, 'data set')} and {count(len(rows), 'comparison')} with the best of all other "
        f"models, chosen after the fact, the coupled model is better in {better}, level in {tie} and behind "
        f"in {worse}."
    )


def ecci(lines: pd.DataFrame, reading: pd.DataFrame, virtual: pd.Series | None = None) -> str:
    """What single dislocations say: Burgers vectors, climb, cross-slip, and how the pictures were read.

    Parameters
    ----------
    lines : of `ecci_lines`; reading : of `ecci_reading`
    virtual : `Practice.summary`, what a session under the same conditions finds on a virtual grain
    """
    sure = int((lines["p_burgers"] >= 0.9).sum())
    kinds = lines.loc[lines["p_burgers"] >= 0.9, "kind"].value_counts()
    of_kind = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    bent = int((lines["n_segments"] > 1).sum())
    climbed, crossed = int(lines["climbed"].sum()), int(lines["cross_slipped"].sum())
    told = (
        f"{count(len(lines), 'line')} in {count(lines['grain_id'].nunique(), 'grain')}: the Burgers vector "
        f"of {sure} is known with 90 % or more{f' ({of_kind})' if sure else ''}. At 5 % false alarms "
        f"{climbed} {'is' if climbed == 1 else 'are'} called climbed ({0.05 * len(lines):.0f} would be by "
        f"chance), {crossed} of {bent} bent ones cross-slipped ({0.05 * bent:.1f} by chance)."
    )
    learned = reading[reading["learned"]]
    if len(learned):
        shares = ", ".join(percent(w) for w in learned["wrong"].unique())
        told += f" The records themselves say that about {shares} of them are wrong."
    if virtual is not None:
        right = percent(virtual["Burgers vector first"])
        told += (
            f" Under these reflections, of {virtual['lines drawn']:.0f} lines drawn on a virtual grain "
            f"{virtual['lines found']:.0f} were found, and {right} of these were given their Burgers vector."
        )
    return told


def strain_steps(rotations: pd.DataFrame, new: pd.DataFrame, placements: pd.DataFrame) -> str:
    """How many grains were followed into the last map of the specimen, and how far their lattices turned."""
    if placements.empty:
        return ""
    last = rotations[rotations["step"] == placements["step"].iloc[-1]]
    status = last["status"].value_counts()
    shown, followed = int((last["status"] != "outside").sum()), int((last["n_matched"] > 0).sum())
    parts = [
        f"{int(status[word])} {word}" for word in ("split", "merged", "missing") if status.get(word, 0) > 0
    ]
    n_new = int((new["step"] == placements["step"].iloc[-1]).sum())
    parts += [f"{n_new} new"] if n_new else []
    known = last.dropna(subset=["rotation_deg"])
    common = float(np.linalg.norm(placements[[f"common_{c}_deg" for c in "xyz"]].to_numpy()[-1]))
    return (
        f"{followed} of {count(shown, 'grain')} that the last map shows were found again"
        f"{' (' + ', '.join(parts) + ')' if parts else ''}. Against a rotation of {common:.2g} deg that all "
        f"share, which remounting and the lattices together make, they turned by "
        f"{known['rotation_deg'].median():.2g} deg in the median, where noise alone would read "
        f"{known['noise_deg'].median():.2g} deg."
    )


def grain_strains(summary: pd.DataFrame, component: str) -> str:
    """The strain of the grains in the last state (table of `gradient_summary`)."""
    if summary.empty:
        return ""
    last, name = summary.iloc[-1], component.removesuffix("_percent")
    applied = "" if np.isnan(last["applied_percent"]) else f", with {last['applied_percent']:.3g} % applied"
    sentence = (
        f"In the last field the mean of {name} is {last['mean_percent']:.3g} %{applied}; from grain to "
        f"grain it differs by {last['scatter_percent']:.2g} % (standard deviation), with an error of "
        f"{last['error_percent']:.2g} % for one grain."
    )
    if not np.isnan(last["rank_correlation"]):
        sentence += f" Grains keep their rank from the state before: {last['rank_correlation']:.2f}."
    return sentence
