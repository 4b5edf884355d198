"""The map with a card for every grain and sliders that the map follows.

In JupyterLab the map is an ipympl canvas: a click on a grain opens its card. Where nobody can click (a
notebook that is executed, not looked at) the same object is a picture, and `card` and `set` do what the mouse
would do, so that a stored notebook has no widget with a random name in it.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cpml.errors import ParameterError
from cpml.explore.cards import Card
from cpml.explore.colourings import colourings
from cpml.explore.content import card_of
from cpml.explore.map_figure import MapFigure, centres
from cpml.explore.settings import Settings
from cpml.explore.situation import Situation
from cpml.explore.survey import Survey

if TYPE_CHECKING:
    from cpml.explore.panel import Panel
    from cpml.pipeline.run import Run

FRONT_END = "JPY_SESSION_NAME"
"""Environment variable that a Jupyter server gives to the kernels of the notebooks it has open."""
MOST_NUMBERS = 12


@dataclass(frozen=True)
class Picture:
    """A map that was painted: what it shows in words, and as PNG of 256 colours."""

    words: str
    png: bytes

    def __repr__(self) -> str:
        return self.words

    def _repr_png_(self) -> bytes:
        return self.png


class GrainExplorer:
    """A map to click on.

    Parameters
    ----------
    run : of the notebook, or a survey made before

    Attributes
    ----------
    situation : grains and answers of the law under the present settings
    grain_id : of the card, None before the first

    Examples
    --------
    In a notebook::

        run = cpml.Run("00_explore", globals())
        explorer = explore.GrainExplorer(run)
        explorer.card(12)
        explorer.set(threshold=3, kind="tension", angle=45)
    """

    def __init__(self, run: Run | Survey):
        self.survey = run if isinstance(run, Survey) else Survey.of(run)
        self.situation = Situation(self.survey, self.survey.settings())
        self.colouring = next(iter(self.colourings))
        self._point: int | None = None  # of the map, that was clicked
        self._card: Card | None = None
        self.drawn = MapFigure(self.survey)
        self._repaint()

    @property
    def settings(self) -> Settings:
        """What the sliders are set to."""
        return self.situation.settings

    @property
    def colourings(self) -> list[str]:
        """Names of what the map can be coloured by."""
        return list(colourings(self.situation))

    @property
    def grain_id(self) -> int | None:
        """The grain of the card, at the present threshold."""
        if self._point is None:
            return None
        return int(self.situation.label[self._point]) or None

    def set(self, *, colouring: str | None = None, **settings: Any) -> Picture:
        """Move sliders; map and card follow.

        Parameters
        ----------
        colouring : one of `colourings`
        settings : any of `Settings`: threshold, kind, angle, strengths, scheme. Strengths may be a word:
            "literature" (material file), "equal" (one for all families), "learned" (by F, chapter 04)

        Returns
        -------
        Picture : of the map as it is then

        Raises
        ------
        ParameterError : a value that no slider reaches, a colouring or a family that there is not
        """
        self.move(colouring=colouring, **settings)
        return self.picture

    def move(self, *, colouring: str | None = None, **settings: Any) -> None:
        """`set` without a picture, which takes longer to save than a map to follow."""
        unknown = sorted(set(settings) - set(Settings.__dataclass_fields__))
        if unknown:
            known = ", ".join(["colouring", *Settings.__dataclass_fields__])
            raise ParameterError(f"no slider {unknown[0]!r}: there are {known}")
        if isinstance(settings.get("strengths"), str):
            settings["strengths"] = self._strengths(settings["strengths"])
        situation = Situation(self.survey, replace(self.settings, **settings))
        self._check_strengths(situation.settings)
        names = colourings(situation)
        wanted = self.colouring if colouring is None else colouring
        if wanted not in names:
            if colouring is not None:
                raise ParameterError(f"colouring {wanted!r}: choose one of {', '.join(names)}")
            wanted = next(iter(names))
        # whatever may fail has been done before anything is changed
        painting = names[wanted](situation)
        moved = situation.twins is not self.situation.twins
        self.situation, self.colouring = situation, wanted
        self.drawn.paint(painting)
        if moved:
            self._outline()
        self._mark()
        if "panel" in self.__dict__:
            self.panel.follow()

    def reset(self) -> Picture:
        """Put all sliders back to what the data set declares, with the first of `colourings`."""
        start = self.survey.settings()
        return self.set(
            colouring=self.colourings[0],
            **{name: getattr(start, name) for name in Settings.__dataclass_fields__},
        )

    def card(self, grain_id: int) -> Card:
        """The card of a grain, which is marked on the map.

        Raises
        ------
        ParameterError : no such grain at this threshold
        """
        card = card_of(self.situation, grain_id)
        self._point = self._inside(grain_id)
        self._card = card
        self._mark()
        if "panel" in self.__dict__:
            self.panel.follow()
        return card

    def click(self, x_um: float, y_um: float) -> Card | None:
        """What a click at a position on the map does; None where no grain is."""
        point = self.drawn.point_at(x_um, y_um)
        grain = 0 if point is None else int(self.situation.label[point])
        if not grain:
            return None
        card = self.card(grain)
        self._point = point  # the very place: after another threshold the card is about the grain found there
        return card

    def grain_at(self, x_um: float, y_um: float) -> int | None:
        """Number of the grain at a position, None where there is none."""
        point = self.drawn.point_at(x_um, y_um)
        return None if point is None else int(self.situation.label[point]) or None

    @property
    def current_card(self) -> Card | None:
        """The card of the chosen grain under the present settings."""
        return None if self.grain_id is None else card_of(self.situation, self.grain_id)

    @property
    def summary(self) -> str:
        """Data set, grains, load and strengths in one line."""
        twins, law = self.situation.twins, self.situation.scheme_name
        grains = f"{len(self.situation.grains)} grains of {twins.segmentation.n_grains} fragments"
        return f"{self.survey.dataset.name}: {grains}; {self.situation.load_name}; law: {law}"

    @cached_property
    def panel(self) -> Panel:
        """The widgets; made when a front end, or a test, asks for them."""
        from cpml.explore.panel import Panel

        return Panel(self)

    @property
    def widget(self) -> Any:
        """The ipywidgets box, for a front end that is not recognised as one: display it yourself."""
        return self.panel.box

    @property
    def picture(self) -> Picture:
        """The map as it is painted."""
        return Picture(repr(self), self._png())

    def _png(self) -> bytes:
        from PIL import Image

        full, small = io.BytesIO(), io.BytesIO()
        self.drawn.figure.savefig(full, format="png", dpi="figure")
        picture = Image.open(full).convert("RGB")
        method, dither = Image.Quantize.FASTOCTREE, Image.Dither.NONE
        picture.quantize(256, method=method, dither=dither).save(small, "PNG", optimize=True)
        return small.getvalue()

    def __repr__(self) -> str:
        return f"{self.summary}; coloured by {self.colouring}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        if os.environ.get(FRONT_END):
            view = "application/vnd.jupyter.widget-view+json"
            return bundle | {view: self.widget._repr_mimebundle_()[view]}
        return bundle | {"image/png": self._png()}

    def _repaint(self) -> None:
        self.drawn.paint(colourings(self.situation)[self.colouring](self.situation))
        self._outline()
        self._mark()

    def _outline(self) -> None:
        self.drawn.outline(self.situation.label, self.situation.twins.segmentation.label)

    def _mark(self) -> None:
        """Rim and numbers of the chosen grain and of those around it."""
        grain = self.grain_id
        if grain is None:
            self.drawn.choose(None)
            return
        table = self.situation.twins.grain_boundaries
        own = table[(table["grain_a"] == grain) | (table["grain_b"] == grain)]
        own = own.sort_values("length_um", ascending=False).head(MOST_NUMBERS)
        around = set(own["grain_a"]) | set(own["grain_b"]) | {grain}
        self.drawn.choose(grain, centres(self.situation.grains, sorted(int(i) for i in around)))

    def _inside(self, grain_id: int) -> int:
        """The point of a grain that lies nearest to its centre."""
        points = np.flatnonzero(self.situation.label == grain_id)
        centre = self.situation.grains.loc[grain_id, ["x_um", "y_um"]].to_numpy(float)
        away = np.linalg.norm(self.survey.ebsd.xy[points] - centre, axis=1)
        return int(points[away.argmin()])

    def _strengths(self, word: str) -> dict[str, dict[str, float]]:
        """What a word for strengths means."""
        phases = {self.survey.ebsd.phases[i].name: m for i, m in self.survey.materials.items()}
        if word == "literature":
            return {}
        if word == "equal":
            return {name: dict.fromkeys(material.families, 1.0) for name, material in phases.items()}
        chapters = self.survey.chapters
        if word != "learned":
            raise ParameterError(
                f"strengths {word!r}: literature, equal, learned, or numbers by phase and family"
            )
        if not chapters.strengths:
            raise ParameterError(f"no strengths were learned yet: {chapters.command('04')}")
        return chapters.strengths

    def _check_strengths(self, settings: Settings) -> None:
        materials = {self.survey.ebsd.phases[i].name: m for i, m in self.survey.materials.items()}
        for phase, ratios in settings.strengths.items():
            known = materials[phase].families if phase in materials else {}
            wrong = sorted(set(ratios) - set(known))
            if phase not in materials or wrong:
                there = ", ".join(known) or f"phases {', '.join(materials) or 'none'}"
                raise ParameterError(f"strengths of {phase!r}: {', '.join(wrong)} is not among {there}")
