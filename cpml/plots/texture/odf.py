"""Sections through an orientation distribution function: f over phi1 and Phi at steps of phi2."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cpml.errors import ParameterError
from cpml.plots.style import captioned, figure, note

MOST_SECTIONS = 6
LEVELS = (1, 2, 3, 5, 8, 12, 20, 40)


@captioned
def odf_sections(
    angles_deg: ArrayLike, values: ArrayLike, *, halfwidth_deg: float, n: int, title: str = "", unit: str = ""
) -> Figure:
    """Sections at constant phi2 on one colour bar, in multiples of a random distribution.

    Parameters
    ----------
    angles_deg : (A, B, C, 3) Bunge angles of a regular grid, phi1, Phi and phi2 ascending
    values : (A, B, C) f there
    halfwidth_deg : of the kernel, for the colour bar
    n : number of orientations, of a unit

    Raises
    ------
    ParameterError : a grid and values that do not fit
    """
    angles, f = np.asarray(angles_deg, float), np.asarray(values, float)
    if f.ndim != 3 or angles.shape != (*f.shape, 3):
        raise ParameterError(f"values of shape {f.shape} on a grid of shape {angles.shape}")
    phi1, phi, phi2 = angles[:, 0, 0, 0], angles[0, :, 0, 1], angles[0, 0, :, 2]
    shown = np.unique(np.linspace(0, len(phi2), MOST_SECTIONS, endpoint=False).astype(int))
    rows = -(-len(shown) // 2)
    # phi1 is whole and wide: two sections beside each other
    fig, axes = figure(
        "double", aspect=0.16 + 0.2 * rows * max(np.ptp(phi) / 90, 1.0), rows=rows, cols=2, squeeze=False
    )
    top = max(1.0, float(f.max()))
    step = phi1[1] - phi1[0] if len(phi1) > 1 else 1.0
    extent = (phi1[0] - step / 2, phi1[-1] + step / 2, phi[-1] + step / 2, phi[0] - step / 2)
    for ax, k in zip(axes.flat, shown, strict=False):
        look = {"cmap": "viridis", "vmin": 0, "vmax": top, "interpolation": "bilinear"}
        drawn = ax.imshow(f[:, :, k].T, extent=extent, aspect="auto", **look)
        levels = [level for level in LEVELS if f[:, :, k].min() < level < f[:, :, k].max()]
        if levels:
            ax.contour(phi1, phi, f[:, :, k].T, levels=levels, colors="white", linewidths=0.3)
        ax.set_title(f"φ2 = {phi2[k]:g}°", loc="center")
        ax.set(xticks=np.arange(0, 361, 90), yticks=np.arange(0, phi[-1] + 1, 45))
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel("φ1 / °")
    for ax in axes[:, 0]:
        ax.set_ylabel("Φ / °")
    label = f"f / MRD (half width {halfwidth_deg:.3g}°)"
    bar = fig.colorbar(
        drawn, ax=list(axes.flat), label=label, fraction=0.04, pad=0.02, shrink=0.75, aspect=18
    )
    bar.outline.set_linewidth(0.5)
    if title:
        fig.suptitle(title, x=0.01, ha="left")
    return note(fig, n=n, unit=unit)
