"""How far every grain's lattice turned and how much it strained, as one table of footprints.

| kind | components | from |
|---|---|---|
| rotation | rotation_x_deg, rotation_y_deg, rotation_z_deg | maps before and after (`track_grains`) |
| strain | e_xx_percent, e_yy_percent, e_xy_percent | HR-DIC (`mean_gradients`) |

Both functions are those of `cpml.microscopy`. All are means over the grain as the map shows it, in the sample
frame; strains that leave the plane of the map are unseen.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import CpmlError
from cpml.load import Load

ROTATIONS, ROTATION_ERROR = ("rotation_x_deg", "rotation_y_deg", "rotation_z_deg"), "rotation_se_deg"
STRAINS = ("e_xx_percent", "e_yy_percent", "e_xy_percent")
KINDS = {"rotation": ROTATIONS, "strain": STRAINS}
MOTION_COLUMNS = ("grain_id", "kind", "component", "value", "se", "strain")


def error_of(component: str) -> str:
    """Column of the standard error of a component."""
    return ROTATION_ERROR if component in ROTATIONS else "_se_".join(component.rsplit("_", 1))


def measured_motions(
    rotations: pd.DataFrame | None = None,
    gradients: pd.DataFrame | None = None,
    *,
    load: Load | None = None,
) -> pd.DataFrame:
    """Motions of the grains in the last state that has them, for `build_specimen`.

    States are cumulative, so an earlier one says little that the last does not; those of an unknown strain,
    or of none, are left out, and so are grains whose error is unknown.

    Parameters
    ----------
    rotations : step, strain and the columns of `Tracks.grains`; the map that was tracked is undeformed
    gradients : step, strain and the columns of `mean_gradients`
    load : strains whose mean runs against it are left out: then load, frame or sign of the field is wrong,
        and the law would be taught the opposite

    Returns
    -------
    DataFrame grain_id, kind ("rotation", "strain"), component, value and se (standard error; both in the unit
    that ends the component's name), strain (von Mises, of the specimen)
    """
    tables = []
    for kind, table in (("rotation", rotations), ("strain", gradients)):
        if table is None:
            continue
        table = table[np.isfinite(table["strain"]) & (table["strain"] > 0)]
        names = list(KINDS[kind])
        if kind == "strain" and load is not None and len(table):
            table = table[_follows(table, load)]
        last = table[table["step"] == table["step"].iloc[-1]] if len(table) else table
        known = last.dropna(subset=[*names, *dict.fromkeys(map(error_of, names))])
        for name in names:
            values = known[["grain_id", "strain"]].assign(
                kind=kind, component=name, value=known[name], se=known[error_of(name)]
            )
            tables.append(values)
    if not tables:
        return pd.DataFrame(columns=list(MOTION_COLUMNS))
    return pd.concat(tables, ignore_index=True)[list(MOTION_COLUMNS)]


def _follows(gradients: pd.DataFrame, load: Load) -> NDArray:
    """(rows,) bool, whether the mean strain of a row's state follows the load, as far as the plane shows."""
    xx, yy, xy = (gradients.groupby("step")[name].transform("mean") for name in STRAINS)
    rate = load.rate_direction
    return (xx * rate[0, 0] + yy * rate[1, 1] + 2 * xy * rate[0, 1] > 0).to_numpy()


def check_motions(motions: pd.DataFrame, name: str) -> None:
    """CpmlError where a table is none of motions: columns, kinds, components or numbers that it cannot have,
    a grain with a component twice or without one.
    """
    lacking = [column for column in MOTION_COLUMNS if column not in motions]
    if lacking:
        raise CpmlError(f"specimen {name!r}: motions have no column {lacking[0]!r}; see measured_motions")
    for kind, own in motions.groupby("kind"):
        if kind not in KINDS:
            raise CpmlError(f"specimen {name!r}: motions of kind {kind!r}; known: {', '.join(KINDS)}")
        wide = own.groupby(["grain_id", "component"]).size().unstack(fill_value=0)
        if set(wide) != set(KINDS[str(kind)]) or (wide != 1).any(axis=None):
            expected = ", ".join(KINDS[str(kind)])
            raise CpmlError(f"specimen {name!r}: every grain with a {kind} needs each once of {expected}")
    numbers = motions[["value", "se", "strain"]].to_numpy(float)
    is_right = np.isfinite(numbers).all(1) & (numbers[:, 1] >= 0) & (numbers[:, 2] > 0)
    if not is_right.all():
        grain = motions["grain_id"].to_numpy()[~is_right][0]
        raise CpmlError(
            f"specimen {name!r}: motion of grain {grain}: value, se and strain must be finite, se not "
            "negative and strain positive"
        )
