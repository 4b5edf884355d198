"""The stage drawn on the frame of the map, to be compared with what the microscope does."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from cpml.plots.palette import BLUE, RED
from cpml.plots.style import captioned, figure, note

HALF = 1.0  # of the drawn specimen
TEST_DEG = 10.0


@captioned
def stage_sketch(stage: Any) -> Figure:
    """The axes of the map with the motions of the stage as declared: the tilt axis, the edge that a positive
    tilt takes away from the gun, and the turn that a positive second motion makes.

    Parameters
    ----------
    stage : `cpml.microscopy.ecci.stage.Stage`; what is drawn is computed from its rotations
    """
    fig, axes = figure("middle", aspect=0.5, cols=2)
    _frame(axes[0], "positive tilt")
    axis = stage.tilt_axis[:2]
    axes[0].plot(*np.outer([-1.25, 1.25], axis).T, color=RED, linewidth=1.2)
    beside = 1.2 * axis + 0.14 * np.array([-axis[1], axis[0]])
    axes[0].annotate("tilt axis", beside, color=RED, ha="center", va="center", fontsize=7)
    across = np.array([-axis[1], axis[0], 0.0]) * HALF
    depth = (stage.sample_to_lab(TEST_DEG, stage.offset_deg) @ across)[2]  # along the beam, away from the gun
    down = across[:2] * np.sign(depth)
    axes[0].annotate("away from\nthe gun", 0.72 * down, color=BLUE, ha="center", va="center", fontsize=7)
    axes[0].annotate("towards\nthe gun", -0.72 * down, color=BLUE, ha="center", va="center", fontsize=7)
    is_rotation = stage.kind == "rotation-tilt"
    _frame(axes[1], "positive rotation" if is_rotation else "positive second tilt")
    if is_rotation:
        at = (stage.sample_to_lab(0.0, stage.offset_deg + 40.0) @ [HALF, 0.0, 0.0])[:2]
        bend = 0.35 * np.sign(at[1])
        arrow = FancyArrowPatch(
            (0.7, 0.0),
            0.7 * at,
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>",
            mutation_scale=9,
            color=BLUE,
        )
        axes[1].add_patch(arrow)
        axes[1].annotate("the specimen turns", (0.0, 0.5), color=BLUE, ha="center", fontsize=7)
    else:
        second = stage.second_axis[:2]
        axes[1].plot(*np.outer([-1.25, 1.25], second).T, color=RED, linewidth=1.2)
        across = np.array([-second[1], second[0], 0.0]) * HALF
        depth = (stage.sample_to_lab(0.0, stage.offset_deg + TEST_DEG) @ across)[2]
        down = across[:2] * np.sign(depth)
        axes[1].annotate("away from\nthe gun", 0.72 * down, color=BLUE, ha="center", va="center", fontsize=7)
    zero = "" if stage.offset_deg == 0 else f", at {stage.offset_deg:g}° of the second motion"
    return note(fig, f"drawn as on the map{zero}; the gun is in front of the page")


def _frame(ax: Axes, title: str) -> None:
    """The specimen with x to the right and y down."""
    ax.add_patch(Rectangle((-HALF, -HALF), 2 * HALF, 2 * HALF, facecolor="0.93", edgecolor="0.6"))
    for end, name in (((-0.55, -0.95), "x"), ((-0.95, -0.55), "y")):
        ax.annotate("", end, (-0.95, -0.95), arrowprops={"arrowstyle": "->", "linewidth": 0.8})
        ax.annotate(name, np.array(end) + 0.06, fontsize=7)
    ax.set(xlim=(-1.45, 1.45), ylim=(1.45, -1.45), aspect="equal")
    ax.set_title(title)
    ax.axis("off")
