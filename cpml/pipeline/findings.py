"""Tables and sentences of the first page, from the results of the chapters.

Numbers are formatted as they are read, with names and units in the headings; **bold** is red on the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cpml.crystallography.slip_traces import slip_traces
from cpml.pipeline.answers import (
    BY_DATA,
    correction_of,
    count,
    guess,
    headline,
    mechanics_of,
    name_of,
    percent,
)
from cpml.pipeline.found import FEW
from cpml.plots.footprints import trace_segments
from cpml.plots.palette import model_label

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

    from cpml.evaluation.splits import Splits
    from cpml.models import CoupledClassifier, Specimen

LIKELY, SURE = 0.5, 0.9
"""Probabilities above which a mechanism is called likely, and sure."""
TARGETS = {
    "plane": ", planes",
    "system": ", systems",
    "variant": ", variants",
    "family": ", families",
    "any": ", at all",
    "pair": ", pairs of planes",
    "line": ", dislocation lines",
}
"""Kind of target -> what is added to the mechanism."""
LENGTH = 0.8
"""Of a drawn trace, in diameters of its grain."""


def footprint_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row a mechanism and kind of target: what was seen, not seen, and missing (table `all_labels`)."""
    import pandas as pd

    from cpml.microscopy import one_a_line

    rows = []
    groups = one_a_line(table).groupby(["mechanism", "level"], sort=False, dropna=False)
    for (mechanism, level), part in groups:
        seen, absent = int((part["observed"] == 1).sum()), int((part["observed"] == 0).sum())
        few = f"**{seen}**" if seen + absent else "–"
        sources = sorted(set(part.loc[part["observed"].notna(), "source"].astype(str)) - {"nobody"})
        rows.append(
            {
                "footprint of": f"{str(mechanism).replace('_', '-')}{TARGETS.get(str(level), '')}",
                "seen": few if seen < FEW else f"{seen}",
                "looked for, not seen": f"{absent}" if seen + absent else "–",
                "could not be seen, or not looked for": f"{int(part['observed'].isna().sum())}",
                "by": ", ".join(sources) or "nobody",
            }
        )
    return pd.DataFrame(rows)


def enough(n_footprints: int) -> str:
    """Whether the footprints of slip and twins are enough to learn from."""
    told = f"{count(n_footprints, 'footprint')} of slip and twins"
    if n_footprints < FEW:
        return f"**{told}: nothing can be learned from them.**"
    return f"{told}: lines along a plane, and twin variants."


def leading(tokens: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """The family of slip or twins that carries most of the shear of each grain.

    Parameters
    ----------
    tokens : predictions of the coupled model: grain_id, mechanism, family, share of the grain's shear
    levels : `predict_levels`: grain_id, mechanism, level, family, p

    Returns
    -------
    DataFrame, index grain_id: family, mechanism, share (of the grain's shear), p (that the family acts)
    """
    shares = tokens.groupby(["grain_id", "mechanism", "family"], as_index=False)["share"].sum()
    first = shares.loc[shares.groupby("grain_id")["share"].idxmax()]
    acts = levels[levels["level"] == "family"][["grain_id", "mechanism", "family", "p"]]
    return first.merge(acts, on=["grain_id", "mechanism", "family"], how="left").set_index("grain_id")


def mechanism_table(tokens: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """One row a family: in how many grains it is likely, sure, and the most used; its share of the shear."""
    import pandas as pd

    most = leading(tokens, levels)["family"].value_counts()
    n = tokens["grain_id"].nunique()
    shares = tokens.groupby("family", sort=False)["share"].sum() / n
    rows = []
    for family, p in levels[levels["level"] == "family"].groupby("family", sort=False)["p"]:
        rows.append(
            {
                "mechanism": name_of(str(family)),
                f"acts, probability above {LIKELY:.0%} / grains": f"{int((p > LIKELY).sum())}",
                f"above {SURE:.0%} / grains": f"{int((p > SURE).sum())}",
                f"below {1 - SURE:.0%} / grains": f"{int((p < 1 - SURE).sum())}",
                "most used / grains": f"{int(most.get(family, 0))}",
                "mean share of the shear": percent(float(shares[family])),
            }
        )
    return pd.DataFrame(rows)


def grain_mechanisms(
    grains: pd.DataFrame, tokens: pd.DataFrame, levels: pd.DataFrame, parents: pd.DataFrame
) -> pd.DataFrame:
    """What the coupled model says of every grain: a row each, for spreadsheet programs.

    Parameters
    ----------
    parents : of `CoupledClassifier.parents`

    Returns
    -------
    DataFrame grain_id, x_um, y_um, most_used, probability (that it acts), share_of_shear, p_<family>, and
    p_outgrown (that the grain is a twin which passes for its parent)
    """
    first = leading(tokens, levels).rename(
        columns={"family": "most_used", "p": "probability", "share": "share_of_shear"}
    )
    acts = levels[levels["level"] == "family"].pivot(index="grain_id", columns="family", values="p")
    places = grains.set_index("grain_id")[["x_um", "y_um"]]
    outgrown = parents.set_index("grain_id")[["p_outgrown"]]
    parts = [places, first[["most_used", "probability", "share_of_shear"]], acts.add_prefix("p_"), outgrown]
    return places[[]].join(parts).reset_index()


def mechanisms(
    tokens: pd.DataFrame, levels: pd.DataFrame, *, n_footprints: int, taught: Collection[str] = ()
) -> str:
    """Which mechanism most grains use most, in how many that is sure, and what was never learned; ``taught``:
    which of cross_slip and climb labels have moved.
    """
    first = leading(tokens, levels)
    most = first["family"].value_counts()
    told = ", ".join(f"{name_of(str(family))} in {n}" for family, n in most.items())
    sure = int((first["p"] > SURE).sum())
    start = (
        f"**{count(n_footprints, 'footprint')} of slip and twins: this is the law with the strengths of the "
        "literature, nothing was learned.** "
        if n_footprints < FEW
        else ""
    )
    further = " Cross-slip and climb (chapter 04) are said by the law alone, they were not learned."
    if taught:
        names = " and ".join(name.replace("_", "-") for name in taught)
        further = f" Labels taught the law of {names} (chapter 04)."
    return (
        f"{start}Of {count(len(first), 'grain')} the most used mechanism is {told}; that it acts at all is "
        f"more than {percent(SURE)} probable in {sure} of them.{further}"
    )


def strength_table(strengths: pd.DataFrame, *, n_footprints: int) -> pd.DataFrame:
    """One row a family: the literature's ratio, the ratio after the footprints (means over the strain of the
    test both), and which of them speaks.
    """
    import pandas as pd

    reference = name_of(str(strengths["reference"].iloc[0]))
    rows = []
    for r in strengths[strengths["family"] != strengths["reference"]].itertuples():
        learned = n_footprints >= FEW and r.by_data >= BY_DATA
        before = f"{r.prior_ratio:.2g} [{r.prior_low:.2g}, {r.prior_high:.2g}]"
        after = f"{r.ratio:.2g} [{r.ratio_low:.2g}, {r.ratio_high:.2g}]"
        rows.append(
            {
                f"strength relative to {reference}": name_of(str(r.family)),
                "literature, hardened by its law [90 %]": before,
                "learned from this map [90 %]": after if learned else "**not learned**",
                "variance removed by the footprints": percent(float(r.by_data))
                if n_footprints >= FEW
                else "–",
            }
        )
    return pd.DataFrame(rows)


def collective(model: CoupledClassifier, *, n_footprints: int) -> str:
    """How much the neighbours count, and whether more than physics was needed."""
    if n_footprints < FEW:
        return "**Strengths, scatter and the weight of the neighbours are assumptions: nothing was learned.**"
    only = " There is one family, so no ratio of strengths to learn." if len(model.strengths_) == 1 else ""
    return f"{mechanics_of(model)}. The correction by learning alone {correction_of(model)}.{only}"


def comparison_table(scores: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    """One row a mechanism: the coupled model, the best other one, their difference, on held-out grains.

    Parameters
    ----------
    scores : mechanism, model, metric, value, low, high, n_positive, prevalence, n_families
    differences : other minus coupled: mechanism, model, metric, difference, low, high
    """
    import pandas as pd

    rows = []
    for mechanism, every in scores.groupby("mechanism"):
        place, table = headline(every)
        own = table[table["model"] == "coupled"].iloc[0]
        if own["n_positive"] < FEW:
            few = f"**{count(int(own['n_positive']), 'footprint')}: too few to rank models**"
            rows.append({"held-out footprints of": str(mechanism), "coupled model, PR-AUC [90 %]": few})
            continue
        others = table[table["model"] != "coupled"]
        best = others.loc[others["value"].idxmax()]
        same = differences["metric"].eq(own["metric"]) & differences["mechanism"].eq(mechanism)
        gap = differences[same & differences["model"].eq(best["model"])].iloc[0]
        low, high = sorted((-gap["low"], -gap["high"]))
        verdict = "better" if low > 0 else "**behind**" if high < 0 else "level"
        rows.append(
            {
                "held-out footprints of": f"{mechanism} ({int(own['n_positive'])})",
                "ranked": place,
                "coupled model, PR-AUC [90 %]": f"{own['value']:.2f} [{own['low']:.2f}, {own['high']:.2f}]",
                "best other": f"{best['value']:.2f}, {model_label(best['model'])}",
                "share per family": f"{guess(table):.2f}",
                "coupled minus best other [90 %]": f"{-gap['difference']:+.2f} [{low:+.2f}, {high:+.2f}]",
                "verdict": verdict,
            }
        )
    return pd.DataFrame(rows).fillna("")


def first_choices(held_out: pd.DataFrame, specimen: Specimen) -> pd.DataFrame:
    """The slip plane that the coupled model, which had not seen the grain, holds most likely in each grain.

    Parameters
    ----------
    held_out : predictions of blocked cross-validation: grain_id, mechanism, target, model, p

    Returns
    -------
    DataFrame grain_id, target, p, state ("seen"; "fits a line" that other planes fit as well; "not seen";
    "not looked for"), angle_deg on the screen, and x0_um, y0_um, x1_um, y1_um: ends of its trace on the map
    """
    own = held_out[(held_out["model"] == "coupled") & (held_out["mechanism"] == "slip")]
    first = own.loc[own.groupby("grain_id")["p"].idxmax(), ["grain_id", "target", "p"]]
    first = first.merge(specimen.labels[["grain_id", "target", "observed"]], how="left")
    fitting = specimen.candidates[specimen.candidates["probability"] > 0][["grain_id", "target"]]
    first = first.merge(fitting.drop_duplicates(), how="left", indicator="fits")
    first["state"] = np.select(
        [first["observed"] == 1, first["fits"] == "both", first["observed"] == 0],
        ["seen", "fits a line", "not seen"],
        "not looked for",
    )
    traces = slip_traces(specimen.quaternions, specimen.systems)
    grain = specimen.position(first["grain_id"])
    plane = [traces.plane_names.index(target) for target in first["target"]]
    first["angle_deg"] = traces.angle_deg[grain, plane]
    places = specimen.grains.iloc[grain]
    length = LENGTH * places["equivalent_diameter_um"].to_numpy(float)
    ends = trace_segments(places["x_um"], places["y_um"], first["angle_deg"], length)
    first[["x0_um", "y0_um", "x1_um", "y1_um"]] = ends.reshape(-1, 4)
    return first.drop(columns=["observed", "fits"])


def agreeing(choices: pd.DataFrame) -> str:
    """In how many grains the first choice was seen, where one can tell (table of `first_choices`)."""
    n = choices["state"].value_counts()
    seen, absent, fits = (int(n.get(state, 0)) for state in ("seen", "not seen", "fits a line"))
    if seen + absent < FEW:
        return f"A first choice can be held against {count(seen + absent, 'grain')} only: too few."
    more = f" In {fits} more it lies along a line that other planes fit as well." if fits else ""
    return (
        f"The plane held most likely, by a model that has not seen the grain, was seen in {seen} of "
        f"{count(seen + absent, 'grain')} where one can tell.{more}"
    )


def partition(splits: Splits) -> str:
    """On what the comparison rests: one partition of one map."""
    n_blocks = splits.table["block"].nunique()
    return (
        f"On 1 partition of this map into {count(n_blocks, 'block')} and {count(len(splits.folds), 'fold')}: "
        "another partition moves these numbers, and other maps do so more."
    )
