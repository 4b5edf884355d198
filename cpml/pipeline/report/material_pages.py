"""One page for each material file: what the law makes of its numbers, to be looked at before they are
trusted.

| figure | what |
|---|---|
| curves | random polycrystal, mean medium, in tension and compression, with the file's hardening |
| shares | which family carries that strain |
| r-values | of a sheet: cubic metals with the cube texture, hexagonal ones with c near the normal |
| strengths | of the families over temperature and rate, where the file describes glide |
| map | stress over temperature at three rates, beside power-law creep as published |
| climb, cross-slip | shares over temperature and rate, where the file describes them |

Beside them: strengths with source and spread, where the file is valid, moduli, and where climb and cross-slip
take over. Everything is computed from the file; nothing is measured.
"""

from collections.abc import Iterator
from functools import partial
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cpml import paths, plots
from cpml.crystallography import random_quaternions
from cpml.crystallography.materials import ROOM, Material, load_material, material_names
from cpml.files import write_atomic
from cpml.plasticity import (
    Conditions,
    PowerLaw,
    Reorientation,
    deform,
    lankford,
    material_hardening,
    regimes,
    strength_table,
    takeover,
)
from cpml.plasticity.paths.path import Path as DeformationPath
from cpml.virtual.volumes.textures import fibre, scattered

STRAIN, STEPS, GRAINS = 0.1, 20, 100
SPREAD_DEG = 20.0
TEMPERATURES = np.linspace(0.2, 0.9, 29)
"""Over the melting point."""

_STYLE = "body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}img{max-width:100%}"
_STYLE += (
    "table{border-collapse:collapse}td,th{padding:.2em .6em;border-bottom:1px solid #ddd;text-align:left}"
)


def write_pages(folder: Path, names: tuple[str, ...] = ()) -> Path:
    """Pages of the shipped materials, or of some (names, or paths of .yml files), in a folder; its
    index.html.

    Raises
    ------
    DatasetError : an unknown material, a file that is none, or a name of a material that is no file name
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in names or material_names():
        material = load_material(name)
        paths.safe_name(material.name, what="name of a material")
        page = _page(material, folder)
        write_atomic(folder / f"{material.name}.html", partial(Path.write_text, data=page, encoding="utf-8"))
        rows.append(f'<li><a href="{escape(material.name)}.html">{escape(material.title)}</a></li>')
    index = folder / "index.html"
    page = _html("Materials", "<ul>" + "".join(rows) + "</ul>")
    write_atomic(index, partial(Path.write_text, data=page, encoding="utf-8"))
    return index


def _page(material: Material, folder: Path) -> str:
    parts = [_facts(material), "<h2>Families</h2>", _table(material.table())]
    for title, name, figure, words in _figures(material):
        parts.append(f"<h2>{escape(title)}</h2><p>{escape(words)}</p>")
        if figure is not None:
            file = f"{material.name}_{name}.png"
            write_atomic(folder / file, partial(figure.savefig, dpi=150, bbox_inches="tight"))
            plt.close(figure)
            parts.append(f'<img src="{file}" alt="{escape(title)}">')
    if material.diffusion:
        table = takeover(_over_temperature(material)).round(0).reset_index()
        parts += ["<h2>Where climb and cross-slip take over, K</h2>", _table(table)]
    parts += ["<h2>Sources</h2>", "<ul>", *(f"<li>{escape(c)}</li>" for c in material.citation), "</ul>"]
    return _html(material.title, "\n".join(parts))


def _facts(material: Material) -> str:
    valid = material.validity
    facts = {
        "lattice": f"{material.lattice}, a = {material.a:g} nm"
        + (f", c = {material.c:g} nm" if material.c else ""),
        "rate": f"n = {material.n:g}, reference rate {material.reference_rate:g} /s ({material.rate_source})",
        "valid": "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in valid.items()) or "not said",
        "elastic constants, MPa": ", ".join(f"{k} {v:g}" for k, v in material.elastic.items()) or "none",
        "hardening": str(material.hardening.get("law", "none"))
        + f" ({material.hardening.get('source', '')})",
    }
    return _table(pd.DataFrame({"": list(facts), " ": list(facts.values())}))


def _figures(material: Material) -> Iterator[tuple[str, str, Figure | None, str]]:
    """Title, file name, figure and a sentence."""
    grains = random_quaternions(GRAINS, np.random.default_rng(0))
    pulled = {word: _pulled(material, grains, sign) for word, sign in (("tension", 1), ("compression", -1))}
    ends = {word: float(path.von_mises[-1]) for word, path in pulled.items()}
    curves = {word: (path.strain.numpy(), path.von_mises.numpy()) for word, path in pulled.items()}
    words = ", ".join(f"{word} {stress:.0f} MPa" for word, stress in ends.items())
    words += f" at {100 * STRAIN:.0f} %: {GRAINS} random grains, mean medium, {material.reference_rate:g} /s."
    yield "Stress and strain", "curves", plots.stress_strain(curves), words
    shares = {
        f"{family} ({word})": (path.strain.numpy(), path.activity[:, k].numpy())
        for word, path in pulled.items()
        for k, family in enumerate(path.families)
    }
    final = pd.DataFrame(
        {w: dict(zip(p.families, p.activity[-1].tolist(), strict=True)) for w, p in pulled.items()}
    )
    yield "Which family carries it", "shares", _share_figure(shares), f"At the end: {_spoken(final)}."
    yield _sheet(material)
    if material.glide:
        table = strength_table(material, temperatures=np.linspace(20, 900, 45), rates=(1e-3, 1.0))
        words = (
            f"From 293 K by thermally activated glide ({material.glide['source']}); exponents at 293 K and "
        )
        at_room = strength_table(material, temperatures=ROOM).set_index("family")["exponent"]
        words += "1e-3 /s: " + ", ".join(f"{family} {n:.0f}" for family, n in at_room.items()) + "."
        yield "Strength over temperature", "strengths", plots.strengths_over_temperature(table), words
    if not material.diffusion:
        yield "Temperature", "none", None, "The file describes no diffusion: climb is unknown."
        return
    table = _over_temperature(material)
    melting = material.diffusion["melting_k"]
    yield "Stress over temperature", "map", plots.regime_map(table), _beside_creep(table)
    words = f"The melting point is {melting:g} K."
    yield "Climb over temperature", "climb", plots.regime_shares(table), words
    if material.cross_slip:
        figure = plots.regime_shares(table, "cross_slip")
        yield (
            "Cross-slip over temperature",
            "cross_slip",
            figure,
            "At the start of flow; hardening brings it on.",
        )


def _pulled(material: Material, grains: NDArray, sign: int) -> DeformationPath:
    """The path of a random polycrystal along z."""
    law = PowerLaw.from_material(material)
    return deform(
        law,
        material_hardening(material),
        grains,
        loading=Conditions.uniaxial(2, sign * material.reference_rate),
        increment=STRAIN / STEPS,
        steps=STEPS,
        control="33",
        scheme="affine",
        reorientation=Reorientation(law.systems) if law.systems.twin.any() else None,
        temperature=293.0,
        tol=1e-5,
    )


def _sheet(material: Material) -> tuple[str, str, Figure | None, str]:
    rng = np.random.default_rng(0)
    if material.lattice == "hcp":
        normal = np.array([0.0, 0.0, 1.0])
        name, sheet = "c near the normal", fibre(normal, normal, GRAINS, SPREAD_DEG, rng)
    else:
        cube = np.array([1.0, 0.0, 0.0, 0.0])
        name, sheet = "cube with spread", scattered(cube, GRAINS, SPREAD_DEG, rng)
    found = lankford(
        PowerLaw.from_material(material), sheet, scheme="affine", rate=material.reference_rate, tol=1e-6
    )
    table = pd.DataFrame({"texture": name, "angle_deg": found.angle_deg, "r_value": found.r})
    words = f"{name}: mean r = {found.mean:.2f}, before any hardening; {GRAINS} crystals."
    if material.lattice == "hcp":
        words += " All directions of such a sheet are alike: what differs is the sample of crystals."
    return "r-values of a sheet", "r_values", plots.lankford_profile(table), words


def _over_temperature(material: Material) -> pd.DataFrame:
    return regimes(material, temperatures=TEMPERATURES * material.diffusion["melting_k"])


def _beside_creep(table: pd.DataFrame) -> str:
    hot = table[table["climb"] > 0.5]
    ratio = (hot["shear_over_modulus"] / hot["published_over_modulus"]).dropna()
    if not len(ratio):
        return "No published creep to compare with where climb carries more than half."
    low, middle, high = ratio.min(), ratio.median(), ratio.max()
    return (
        f"Where climb carries more than half, the law needs {middle:.2g} times the stress of published "
        f"power-law creep ({low:.2g} to {high:.2g}); no constant of it was fitted to creep."
    )


def _share_figure(shares: dict[str, tuple[NDArray, NDArray]]) -> Figure | None:
    figure = plots.stress_strain({name: (x, 100 * y) for name, (x, y) in shares.items() if y.max() > 0.01})
    if figure is not None:
        figure.axes[0].set_ylabel("share of the shear / %")
    return figure


def _spoken(table: pd.DataFrame) -> str:
    rows = (f"{family} {row.min():.0%} to {row.max():.0%}" for family, row in table.iterrows())
    return ", ".join(rows)


def _table(table: pd.DataFrame) -> str:
    return table.to_html(index=False, border=0, na_rep="", float_format=lambda v: f"{v:g}")


def _html(title: str, body: str) -> str:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
    return f"{head}<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
